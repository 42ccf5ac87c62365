use ::orders as _;
use ::billing as _;
fn main() -> ::std::process::ExitCode {
    #[allow(clippy::unused_async)]
    async fn main() -> mmate::Result {
        body
    }
    ::mmate::__private::main(
        ::mmate::__private::ServiceInfo::new(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::env!("CARGO_PKG_VERSION"),
            )
            .worker_threads(4),
        main,
    )
}
