#[::core::prelude::v1::test]
#[ignore]
fn an_order_is_placed() -> Result<()> {
    #[allow(clippy::unused_async)]
    async fn an_order_is_placed(app: TestApp) -> Result<()> {
        body
    }
    ::mmate::__private::test(
        ::mmate::__private::ServiceInfo::new(
            ::core::env!("CARGO_PKG_NAME"),
            ::core::env!("CARGO_PKG_VERSION"),
        ),
        an_order_is_placed,
    )
}
