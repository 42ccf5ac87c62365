#[allow(clippy::unused_async)]
async fn price(query: Price, db: State<Db>) -> Result<Priced> {}
#[doc(hidden)]
#[allow(non_camel_case_types)]
struct price {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<Price>();
        let __0 = (message.take)(call)?;
        let __1 = (__mmate::argument::<State<Db>>().take)(call)?;
        ::core::result::Result::Ok(message.run::<Result<Priced>, _>(price(__0, __1)))
    }
    fn __mmate_fallback(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<Price>();
        let __0 = (message.take)(call)?;
        let __1 = (__mmate::argument::<State<Db>>().take)(call)?;
        ::core::result::Result::Ok(
            message.run::<Result<Priced>, _>(prices::cached(__0, __1)),
        )
    }
    fn __mmate_requires(needs: &mut __mmate::Requirements) {
        (__mmate::argument::<State<Db>>().requires)(needs);
    }
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
            .retry(
                __mmate::RetryPolicy::new(
                    __mmate::RetryPolicy::DEFAULT.attempts,
                    __mmate::Backoff::custom(waits),
                ),
            )
            .rate(__mmate::RatePolicy::new(100, 1000).burst(10))
            .bulkhead(__mmate::Bulkhead::new("db", 10))
            .breaker(__mmate::BreakerPolicy::DEFAULT.failures(3).reset_ms(10000))
            .breaker_name("payments")
            .fallback(__mmate::Fallback::new("cached", __mmate_fallback));
    }
    __mmate::inventory::submit! {
        * < price as __mmate::Handler > ::ENTRY
    }
};
