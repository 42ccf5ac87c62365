#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::mmate::__private::serde::Serialize,
    ::mmate::__private::serde::Deserialize,
    ::mmate::__private::schemars::JsonSchema
)]
/// Asks for an order.
///
/// Answered at once.
#[serde(crate = "::mmate::__private::serde")]
#[serde(rename_all = "camelCase")]
#[schemars(crate = "::mmate::__private::schemars")]
pub struct CreateOrder {
    pub customer_id: String,
    #[serde(skip_serializing_if = "::core::option::Option::is_none")]
    pub note: Option<String>,
}
const _: () = {
    use ::mmate::__private as __mmate;
    #[automatically_derived]
    impl __mmate::Message for CreateOrder {
        const INFO: &'static __mmate::MessageInfo = &__mmate::MessageInfo::new::<
            Self,
        >(
                __mmate::Kind::Command,
                "Create",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            )
            .service("orders")
            .queue("cmd.orders.create")
            .aliases(&["Place"])
            .key("customer_id")
            .reply(__mmate::reply_info::<Self>)
            .version(2)
            .priority(9)
            .ttl_ms(600000)
            .docs("Asks for an order.\n\nAnswered at once.");
        fn key(&self) -> ::core::option::Option<::std::string::String> {
            ::core::option::Option::Some(__mmate::key(&self.customer_id))
        }
    }
    #[automatically_derived]
    impl __mmate::Command for CreateOrder {}
    #[automatically_derived]
    impl __mmate::Request for CreateOrder {
        type Reply = OrderPlaced;
    }
    __mmate::inventory::submit! {
        __mmate::MessageEntry { info : < CreateOrder as __mmate::Message > ::INFO }
    }
};
