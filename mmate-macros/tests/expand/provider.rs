#[allow(clippy::unused_async)]
async fn orders(config: Config) -> Result<Orders> {
    body
}
const _: () = {
    use ::mmate::__private as __mmate;
    fn __mmate_begin(resources: &__mmate::Resources) -> __mmate::Begun {
        let provided = __mmate::fallible::<Result<Orders>>();
        let __0 = (__mmate::ingredient::<Config>().take)(resources)?;
        ::core::result::Result::Ok(provided.build(orders(__0)))
    }
    fn __mmate_requires(needs: &mut __mmate::Requirements) {
        (__mmate::ingredient::<Config>().requires)(needs);
    }
    __mmate::inventory::submit! {
        __mmate::ProviderEntry::new("orders", __mmate::Location { module :
        ::core::module_path!(), file : ::core::file!(), line : ::core::line!() },
        __mmate::fallible:: < Result < Orders > > ().provides, __mmate_requires, |
        resources | __mmate::building(__mmate_begin(& resources)),)
    }
};
