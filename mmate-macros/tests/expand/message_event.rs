#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::mmate::__private::serde::Serialize,
    ::mmate::__private::serde::Deserialize,
    ::mmate::__private::schemars::JsonSchema
)]
#[serde(crate = "::mmate::__private::serde")]
#[serde(rename_all = "camelCase")]
#[schemars(crate = "::mmate::__private::schemars")]
struct OrderCreated {}
const _: () = {
    use ::mmate::__private as __mmate;
    #[automatically_derived]
    impl __mmate::Message for OrderCreated {
        const INFO: &'static __mmate::MessageInfo = &__mmate::MessageInfo::new::<
            Self,
        >(
            __mmate::Kind::Event,
            "OrderCreated",
            __mmate::Location {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
            },
        );
    }
    #[automatically_derived]
    impl __mmate::Event for OrderCreated {}
    __mmate::inventory::submit! {
        __mmate::MessageEntry { info : < OrderCreated as __mmate::Message > ::INFO }
    }
};
