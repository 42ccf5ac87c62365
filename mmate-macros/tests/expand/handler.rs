#[allow(clippy::unused_async)]
/// Places orders.
async fn create_order(
    cmd: CreateOrder,
    orders: State<Orders>,
    events: Publisher,
) -> Result<OrderPlaced, OrderError> {
    body
}
#[doc(hidden)]
#[allow(non_camel_case_types)]
struct create_order {}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_start(call: &__mmate::Call<'_>) -> __mmate::Started {
        use __mmate::{RunsAnything as _, RunsHandler as _};
        let message = __mmate::incoming::<CreateOrder>();
        let __0 = (message.take)(call)?;
        let __1 = (__mmate::argument::<State<Orders>>().take)(call)?;
        let __2 = (__mmate::argument::<Publisher>().take)(call)?;
        ::core::result::Result::Ok(
            message
                .run::<Result<OrderPlaced, OrderError>, _>(create_order(__0, __1, __2)),
        )
    }
    fn __mmate_requires(needs: &mut __mmate::Requirements) {
        (__mmate::argument::<State<Orders>>().requires)(needs);
        (__mmate::argument::<Publisher>().requires)(needs);
    }
    #[automatically_derived]
    impl __mmate::Handler for create_order {
        const ENTRY: &'static __mmate::HandlerEntry = &__mmate::HandlerEntry::new(
                "create_order",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
                __mmate::incoming::<CreateOrder>().info,
                __mmate_requires,
                __mmate_start,
            )
            .queue("cmd.orders.create")
            .concurrency(16)
            .prefetch(PREFETCH)
            .timeout_ms(30000)
            .retry(
                __mmate::RetryPolicy::new(
                        5,
                        __mmate::Backoff::exponential_ms(100, 30000),
                    )
                    .jitter(0.2),
            )
            .queue_kind(__mmate::QueueKind::Classic)
            .max_priority(9)
            .docs("Places orders.");
    }
    __mmate::inventory::submit! {
        * < create_order as __mmate::Handler > ::ENTRY
    }
};
