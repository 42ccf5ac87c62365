//! Rules of `#[handler]`.
use super::signature::{self, Subject};
use crate::diagnostics::Errors;
use crate::model::{FnItem, HandlerArgs};

/// Judges the arguments and the signature.
pub(crate) fn check(_args: &HandlerArgs, item: &FnItem, errors: &mut Errors) {
    signature::check(item, Subject::HANDLER, errors);
}
