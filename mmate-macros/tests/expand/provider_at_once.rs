#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
fn clock() -> Clock {
    Clock
}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_begin(_: &__mmate::Resources) -> __mmate::Begun {
        let provided = __mmate::infallible::<Clock>();
        ::core::result::Result::Ok(provided.done(clock()))
    }
    fn __mmate_requires(_: &mut __mmate::Requirements) {}
    __mmate::inventory::submit! {
        __mmate::ProviderEntry::new("clock", __mmate::Location { module :
        ::core::module_path!(), file : ::core::file!(), line : ::core::line!() },
        __mmate::infallible:: < Clock > ().provides, __mmate_requires, | resources |
        __mmate::building(__mmate_begin(& resources)),)
    }
};
