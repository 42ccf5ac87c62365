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
struct Page<T> {
    items: Vec<T>,
    #[serde(skip_serializing_if = "::core::option::Option::is_none")]
    next: Option<u32>,
}
