#[derive(
    ::core::fmt::Debug,
    ::mmate::__private::serde::Deserialize,
    ::mmate::__private::schemars::JsonSchema
)]
#[derive(Clone, PartialEq, serde::Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
#[serde(crate = "::mmate::__private::serde")]
#[serde(rename_all_fields = "camelCase")]
#[schemars(crate = "::mmate::__private::schemars")]
enum OrderClosed {
    Shipped {
        #[serde(skip_serializing_if = "::core::option::Option::is_none")]
        tracking_code: Option<String>,
        #[serde(skip)]
        local: Option<u8>,
    },
    Cancelled,
}
const _: () = {
    use ::mmate::__private as __mmate;
    #[automatically_derived]
    impl __mmate::Message for OrderClosed {
        const INFO: &'static __mmate::MessageInfo = &__mmate::MessageInfo::new::<
            Self,
        >(
                __mmate::Kind::Event,
                "OrderClosed",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            )
            .aggregate("order");
    }
    #[automatically_derived]
    impl __mmate::Event for OrderClosed {}
    __mmate::inventory::submit! {
        __mmate::MessageEntry { info : < OrderClosed as __mmate::Message > ::INFO }
    }
};
