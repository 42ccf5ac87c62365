/// Takes an order to its end.
impl OrderFlow {
    const LIMIT: usize = 3;
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    /// Takes the money.
    async fn charge(&mut self, payments: State<Payments>, key: StageKey) -> Result {
        body
    }
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    pub async fn ship(&mut self) {
        body
    }
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn again(&mut self) -> std::result::Result<(), Failure> {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn refund(&mut self, payments: State<Payments>) -> Result {
        body
    }
    fn is_abroad(&self) -> bool {
        body
    }
    fn has_more(&self) -> bool {
        body
    }
}
const _: () = {
    use ::mmate::__private as __mmate;
    const __MMATE_STATE: __mmate::StateOf<OrderFlow> = __mmate::state_of();
    fn __mmate_stage_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = (__mmate::stage_argument::<State<Payments>>().take)(call)?;
        let __1 = (__mmate::stage_argument::<StageKey>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::charge(&mut state, __0, __1))
                .await;
            __mmate::changed::<_, Result>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_0(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<State<Payments>>().requires)(needs);
        (__mmate::stage_argument::<StageKey>().requires)(needs);
    }
    fn __mmate_stage_1(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let mut state = (__MMATE_STATE.take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::ship(&mut state)).await;
            __mmate::changed::<_, ()>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_1(_: &mut __mmate::Requirements) {}
    fn __mmate_stage_2(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let mut state = (__MMATE_STATE.take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::again(&mut state)).await;
            __mmate::changed::<
                _,
                std::result::Result<(), Failure>,
            >(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_2(_: &mut __mmate::Requirements) {}
    fn __mmate_undo_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = (__mmate::stage_argument::<State<Payments>>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::refund(&mut state, __0)).await;
            __mmate::changed::<_, Result>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_undo_needs_0(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<State<Payments>>().requires)(needs);
    }
    fn __mmate_test_0(state: &::core::primitive::str) -> __mmate::Tested {
        (__MMATE_STATE.read)(state).map(|state| <OrderFlow>::is_abroad(&state))
    }
    fn __mmate_test_1(state: &::core::primitive::str) -> __mmate::Tested {
        (__MMATE_STATE.read)(state).map(|state| <OrderFlow>::has_more(&state))
    }
    const _: () = {
        let _ = <OrderFlow>::refund;
    };
    const _: () = {
        let _ = <OrderFlow>::is_abroad;
    };
    const __MMATE_STAGES: &[__mmate::StageEntry] = &[
        __mmate::StageEntry::new(
                "charge",
                ::core::line!(),
                __mmate_needs_0,
                __mmate_stage_0,
            )
            .timeout_ms(20000)
            .retry(
                __mmate::RetryPolicy::new(
                    3,
                    __mmate::Backoff::exponential_ms(1000, 30000),
                ),
            )
            .takes_services(true)
            .can_fail(true)
            .undo(__mmate::Undo::new("refund", __mmate_undo_needs_0, __mmate_undo_0))
            .docs("Takes the money."),
        __mmate::StageEntry::new(
                "ship",
                ::core::line!(),
                __mmate_needs_1,
                __mmate_stage_1,
            )
            .irreversible(true)
            .continue_on_failure(true)
            .delay_ms(3600000)
            .when(__mmate::Test::new("is_abroad", __mmate_test_0))
            .repeat(__mmate::Test::new("has_more", __mmate_test_1)),
        __mmate::StageEntry::new(
                "again",
                ::core::line!(),
                __mmate_needs_2,
                __mmate_stage_2,
            )
            .can_fail(true)
            .when(__mmate::Test::new("is_abroad", __mmate_test_0))
            .undo(__mmate::Undo::new("refund", __mmate_undo_needs_0, __mmate_undo_0)),
    ];
    const __MMATE_ENTRY: &__mmate::WorkflowEntry = &__mmate::WorkflowEntry::new(
            "order-processing",
            "OrderFlow",
            __mmate::Location {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
            },
            __MMATE_STAGES,
        )
        .docs("Takes an order to its end.")
        .version(2)
        .timeout_ms(600000)
        .prefix("ecommerce.workflow.")
        .concurrency(PLACES * 2)
        .events(true);
    #[automatically_derived]
    impl __mmate::Workflow for OrderFlow {
        const ENTRY: &'static __mmate::WorkflowEntry = __MMATE_ENTRY;
    }
    __mmate::inventory::submit! {
        * __MMATE_ENTRY
    }
};
