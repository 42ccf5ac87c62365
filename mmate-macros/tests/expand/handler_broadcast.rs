#[allow(clippy::unused_async)]
pub async fn forget(OrderCreated { id }: OrderCreated) {}
#[doc(hidden)]
#[allow(non_camel_case_types)]
pub struct forget {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<OrderCreated>();
        let __0 = (message.take)(call)?;
        ::core::result::Result::Ok(message.run::<(), _>(forget(__0)))
    }
    fn __mmate_requires(_: &mut __mmate::Requirements) {}
    #[automatically_derived]
    impl __mmate::Handler for forget {
        const ENTRY: &'static __mmate::HandlerEntry = &__mmate::HandlerEntry::new(
                "forget",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                __mmate::incoming::<OrderCreated>().info,
                __mmate_requires,
                __mmate_start,
            )
            .retry(__mmate::RetryPolicy::new(2, __mmate::RetryPolicy::DEFAULT.backoff))
            .broadcast();
    }
    __mmate::inventory::submit! {
        * < forget as __mmate::Handler > ::ENTRY
    }
};
