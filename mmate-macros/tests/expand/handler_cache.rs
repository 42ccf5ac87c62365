#[allow(clippy::unused_async)]
async fn price(query: Price) -> Result<Priced> {}
#[doc(hidden)]
#[allow(non_camel_case_types)]
struct price {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<Price>();
        let __0 = (message.take)(call)?;
        ::core::result::Result::Ok(message.run::<Result<Priced>, _>(price(__0)))
    }
    fn __mmate_requires(_: &mut __mmate::Requirements) {}
    const _: () = {
        let message = __mmate::incoming::<Price>().info;
        __mmate::only_queries(message)
    };
    #[automatically_derived]
    impl __mmate::Handler for price {
        const ENTRY: &'static __mmate::HandlerEntry = &__mmate::HandlerEntry::new(
                "price",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                __mmate::incoming::<Price>().info,
                __mmate_requires,
                __mmate_start,
            )
            .cache(__mmate::CachePolicy::new(300000).size(50));
    }
    __mmate::inventory::submit! {
        * < price as __mmate::Handler > ::ENTRY
    }
};
