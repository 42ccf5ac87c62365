impl OrderFlow {
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn paid(&mut self, event: PaymentReceived, log: State<Log>) -> Result {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn reminded(&mut self, event: Option<events::Reminded>) {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    #[cfg(feature = "stock")]
    async fn reserve(&self, key: StageKey) -> Result<ReserveStock> {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    /// The answer.
    async fn reserved(&mut self, reply: StockReserved, stock: State<Stock>) -> Result {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn ship(&self) -> Result<Vec<Self>, Failure> {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn shipped(&mut self, ended: Ended<Vec<Self>>) {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn release(&mut self, key: StageKey) {}
}
const _: () = {
    use ::mmate::__private as __mmate;
    const __MMATE_STATE: __mmate::StateOf<OrderFlow> = __mmate::state_of();
    fn __mmate_stage_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        use __mmate::{TakesAnything as _, TakesEvent as _};
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = __mmate::coming::<PaymentReceived>().event::<PaymentReceived>(call)?;
        let __1 = (__mmate::stage_argument::<State<Log>>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::paid(&mut state, __0, __1))
                .await;
            __mmate::changed::<_, Result>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_0(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<State<Log>>().requires)(needs);
    }
    fn __mmate_key_0(state: &::core::primitive::str) -> __mmate::StageEnd {
        (__MMATE_STATE.read)(state).map(|state| __mmate::key(&state.order_id))
    }
    const _: () = {
        let event = __mmate::event_info::<PaymentReceived>();
        __mmate::only_with_key(event)
    };
    fn __mmate_stage_1(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        use __mmate::{TakesAnything as _, TakesEvent as _};
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = __mmate::coming::<events::Reminded>()
            .event::<Option<events::Reminded>>(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::reminded(&mut state, __0))
                .await;
            __mmate::changed::<_, ()>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_1(_: &mut __mmate::Requirements) {}
    fn __mmate_key_1(state: &::core::primitive::str) -> __mmate::StageEnd {
        (__MMATE_STATE.read)(state).map(|state| __mmate::key(&state.order_id))
    }
    const _: () = {
        let event = __mmate::event_info::<events::Reminded>();
        __mmate::only_with_key(event)
    };
    #[cfg(feature = "stock")]
    fn __mmate_ask_2(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let asker = __mmate::Asker::of(call)?;
        let state = (__MMATE_STATE.take)(call)?;
        let __0 = (__mmate::stage_argument::<StageKey>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::reserve(&state, __0)).await;
            (__mmate::asking::<Result<ReserveStock>>().end)(asker, result)
        })
    }
    #[cfg(feature = "stock")]
    fn __mmate_stage_2(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        use __mmate::{TakesAnything as _, TakesReply as _};
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = __mmate::coming::<Result<ReserveStock>>()
            .reply::<StockReserved>(call)?;
        let __1 = (__mmate::stage_argument::<State<Stock>>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::reserved(&mut state, __0, __1))
                .await;
            __mmate::changed::<_, Result>(__MMATE_STATE.give, &state, result)
        })
    }
    #[cfg(feature = "stock")]
    fn __mmate_needs_2(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<StageKey>().requires)(needs);
        (__mmate::stage_argument::<State<Stock>>().requires)(needs);
    }
    fn __mmate_ask_3(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let state = (__MMATE_STATE.take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::ship(&state)).await;
            (__mmate::beginning::<Result<Vec<OrderFlow>, Failure>>().end)(result)
        })
    }
    fn __mmate_stage_3(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        use __mmate::{TakesAnything as _, TakesEnd as _};
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = __mmate::coming::<Result<Vec<OrderFlow>, Failure>>()
            .end::<Ended<Vec<OrderFlow>>>(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::shipped(&mut state, __0)).await;
            __mmate::changed::<_, ()>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_3(_: &mut __mmate::Requirements) {}
    fn __mmate_undo_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = (__mmate::stage_argument::<StageKey>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<OrderFlow>::release(&mut state, __0)).await;
            __mmate::changed::<_, ()>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_undo_needs_0(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<StageKey>().requires)(needs);
    }
    const __MMATE_STAGES: &[__mmate::StageEntry] = &[
        __mmate::StageEntry::new(
                "paid",
                ::core::line!(),
                __mmate_needs_0,
                __mmate_stage_0,
            )
            .takes_services(true)
            .can_fail(true)
            .wait(
                __mmate::Wait::Event(
                    __mmate::EventWait::new(
                        __mmate::event_info::<PaymentReceived>(),
                        __mmate_key_0,
                    ),
                ),
            ),
        __mmate::StageEntry::new(
                "reminded",
                ::core::line!(),
                __mmate_needs_1,
                __mmate_stage_1,
            )
            .retry(__mmate::RetryPolicy::new(2, __mmate::RetryPolicy::DEFAULT.backoff))
            .wait(
                __mmate::Wait::Event(
                    __mmate::EventWait::new(
                        __mmate::event_info::<events::Reminded>(),
                        __mmate_key_1,
                    ),
                ),
            )
            .within_ms(86400000)
            .optional(true),
        #[cfg(feature = "stock")]
        __mmate::StageEntry::new(
                "reserve",
                ::core::line!(),
                __mmate_needs_2,
                __mmate_stage_2,
            )
            .timeout_ms(5000)
            .delay_ms(3600000)
            .takes_services(true)
            .can_fail(true)
            .undo(__mmate::Undo::new("release", __mmate_undo_needs_0, __mmate_undo_0))
            .wait(
                __mmate::Wait::Reply(
                    __mmate::ReplyWait::new(
                        __mmate_ask_2,
                        __mmate::asking::<Result<ReserveStock>>().request,
                    ),
                ),
            )
            .within_ms(120000),
        __mmate::StageEntry::new(
                "ship",
                ::core::line!(),
                __mmate_needs_3,
                __mmate_stage_3,
            )
            .takes_services(true)
            .can_fail(true)
            .wait(
                __mmate::Wait::Child(
                    __mmate::ChildWait::new(
                        __mmate_ask_3,
                        __mmate::beginning::<Result<Vec<OrderFlow>, Failure>>().workflow,
                    ),
                ),
            ),
    ];
    const __MMATE_ENTRY: &__mmate::WorkflowEntry = &__mmate::WorkflowEntry::new(
        "order-flow",
        "OrderFlow",
        __mmate::Location {
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: ::core::line!(),
        },
        __MMATE_STAGES,
    );
    #[automatically_derived]
    impl __mmate::Workflow for OrderFlow {
        const ENTRY: &'static __mmate::WorkflowEntry = __MMATE_ENTRY;
    }
    __mmate::inventory::submit! {
        * __MMATE_ENTRY
    }
};
