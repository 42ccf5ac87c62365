#[allow(clippy::unused_async)]
async fn pay(command: Pay) {}
#[doc(hidden)]
#[allow(non_camel_case_types)]
struct pay {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<Pay>();
        let __0 = (message.take)(call)?;
        ::core::result::Result::Ok(message.run::<(), _>(pay(__0)))
    }
    fn __mmate_requires(_: &mut __mmate::Requirements) {}
    #[automatically_derived]
    impl __mmate::Handler for pay {
        const ENTRY: &'static __mmate::HandlerEntry = &__mmate::HandlerEntry::new(
                "pay",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                __mmate::incoming::<Pay>().info,
                __mmate_requires,
                __mmate_start,
            )
            .idempotent(__mmate::CachePolicy::IDEMPOTENT.ttl_ms(3600000).size(50));
    }
    __mmate::inventory::submit! {
        * < pay as __mmate::Handler > ::ENTRY
    }
};
