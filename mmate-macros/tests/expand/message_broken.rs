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
                __mmate::Kind::Query,
                "CreateOrder",
                __mmate::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            )
            .docs("Asks for an order.\n\nAnswered at once.");
    }
    #[automatically_derived]
    impl __mmate::Query for CreateOrder {}
    #[automatically_derived]
    impl __mmate::Reply for CreateOrder {}
    impl __mmate::Request for CreateOrder {
        type Reply = CreateOrder;
    }
};
::core::compile_error! {
    "`#[message]` has no key `verson`; it has `service`, `queue`, `aggregate`, `key`, `reply`, `name`, `alias`, `version`, `priority`, `ttl` and `crate`\nhelp: did you mean `version`?"
}
::core::compile_error! {
    "query `CreateOrder` names no reply\nhelp: write `#[message(query, reply = SomeReply)]`"
}
