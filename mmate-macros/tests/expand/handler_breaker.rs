#[allow(clippy::unused_async)]
async fn on(event: E) {}
#[doc(hidden)]
#[allow(non_camel_case_types)]
struct on {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<E>();
        let __0 = (message.take)(call)?;
        ::core::result::Result::Ok(message.run::<(), _>(on(__0)))
    }
    fn __mmate_requires(_: &mut __mmate::Requirements) {}
    #[automatically_derived]
    impl __mmate::Handler for on {
        const ENTRY: &'static __mmate::HandlerEntry = &__mmate::HandlerEntry::new(
                "on",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                __mmate::incoming::<E>().info,
                __mmate_requires,
                __mmate_start,
            )
            .breaker(__mmate::BreakerPolicy::DEFAULT);
    }
    __mmate::inventory::submit! {
        * < on as __mmate::Handler > ::ENTRY
    }
};
