impl flows::OrderFlow {
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn credit(&self, bank: State<Bank>) -> Result<Score> {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn customs(&self) -> Result<Duty, Failure> {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn judge(
        &mut self,
        credit: Score,
        customs: Option<Duty>,
        of: State<Self>,
    ) -> Result {}
    #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    async fn undo(&self) {}
    fn is_abroad(&self) -> bool {}
}
const _: () = {
    use ::mmate::__private as __mmate;
    const __MMATE_STATE: __mmate::StateOf<flows::OrderFlow> = __mmate::state_of();
    fn __mmate_stage_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let state = (__MMATE_STATE.take)(call)?;
        let __0 = (__mmate::stage_argument::<State<Bank>>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<flows::OrderFlow>::credit(&state, __0))
                .await;
            __mmate::produced::<Result<Score>>(result)
        })
    }
    fn __mmate_needs_0(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<State<Bank>>().requires)(needs);
    }
    fn __mmate_stage_1(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let state = (__MMATE_STATE.take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<flows::OrderFlow>::customs(&state)).await;
            __mmate::produced::<Result<Duty, Failure>>(result)
        })
    }
    fn __mmate_needs_1(_: &mut __mmate::Requirements) {}
    fn __mmate_stage_2(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        use __mmate::{GivesAnything as _, GivesValue as _};
        let mut state = (__MMATE_STATE.take)(call)?;
        let __0 = __mmate::branch::<Result<Score>>().value::<Score>(call, 0)?;
        let __1 = __mmate::branch::<Result<Duty, Failure>>()
            .optional_value::<Option<Duty>>(call, 1)?;
        let __2 = (__mmate::stage_argument::<State<flows::OrderFlow>>().take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<
                _,
            >(<flows::OrderFlow>::judge(&mut state, __0, __1, __2))
                .await;
            __mmate::changed::<_, Result>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_needs_2(needs: &mut __mmate::Requirements) {
        (__mmate::stage_argument::<State<flows::OrderFlow>>().requires)(needs);
    }
    fn __mmate_undo_0(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
        let state = (__MMATE_STATE.take)(call)?;
        __mmate::running(async move {
            let result = __mmate::step::<_>(<flows::OrderFlow>::undo(&state)).await;
            __mmate::changed::<_, ()>(__MMATE_STATE.give, &state, result)
        })
    }
    fn __mmate_undo_needs_0(_: &mut __mmate::Requirements) {}
    fn __mmate_test_0(state: &::core::primitive::str) -> __mmate::Tested {
        (__MMATE_STATE.read)(state).map(|state| <flows::OrderFlow>::is_abroad(&state))
    }
    const __MMATE_STAGES: &[__mmate::StageEntry] = &[
        __mmate::StageEntry::new(
                "credit",
                ::core::line!(),
                __mmate_needs_0,
                __mmate_stage_0,
            )
            .shape(__mmate::Shape::Branch("checks"))
            .takes_services(true)
            .can_fail(true),
        __mmate::StageEntry::new(
                "customs",
                ::core::line!(),
                __mmate_needs_1,
                __mmate_stage_1,
            )
            .shape(__mmate::Shape::Branch("checks"))
            .can_fail(true)
            .when(__mmate::Test::new("is_abroad", __mmate_test_0))
            .undo(__mmate::Undo::new("undo", __mmate_undo_needs_0, __mmate_undo_0)),
        __mmate::StageEntry::new(
                "judge",
                ::core::line!(),
                __mmate_needs_2,
                __mmate_stage_2,
            )
            .shape(__mmate::Shape::Join("checks"))
            .takes_services(true)
            .can_fail(true),
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
    impl __mmate::Workflow for flows::OrderFlow {
        const ENTRY: &'static __mmate::WorkflowEntry = __MMATE_ENTRY;
    }
    __mmate::inventory::submit! {
        * __MMATE_ENTRY
    }
};
