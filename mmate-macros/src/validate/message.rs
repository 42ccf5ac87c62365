//! Rules of `#[message]` and `#[payload]`.
use crate::diagnostics::Errors;
use crate::model::{Kind, MessageArgs};
use syn::DeriveInput;

/// Judges the arguments and the item together.
pub(crate) fn check(
    _args: &MessageArgs,
    _item: &DeriveInput,
    _errors: &mut Errors,
) -> Option<Kind> {
    _args.kind.as_ref().map(|k| k.0)
}
/// Judges a payload.
pub(crate) fn check_payload(_item: &DeriveInput, _errors: &mut Errors) {}
