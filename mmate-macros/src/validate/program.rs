//! Rules of `#[main]` and `#[test]`.

use super::signature::{self, Subject};
use crate::diagnostics::Errors;
use crate::model::FnItem;

/// Judges a `main`.
pub(crate) fn check_main(item: &FnItem, errors: &mut Errors) {
    signature::check(item, Subject::MAIN, errors);
    if item.sig.ident != "main" {
        let text = format!(
            "the program starts in `main`\nhelp: write `async fn main`, not `{}`",
            item.sig.ident
        );
        errors.at(item.sig.ident.span(), text);
    }
    if let Some(first) =
        item.sig.inputs.first().filter(|input| matches!(input, syn::FnArg::Typed(_)))
    {
        errors.on(
            first,
            "`main` takes no parameters\nhelp: read values with `Config` in a `#[provider]`",
        );
    }
}

/// Judges a test.
pub(crate) fn check_test(item: &FnItem, errors: &mut Errors) {
    signature::check(item, Subject::TEST, errors);
    if let Some(second) = item.sig.inputs.iter().nth(1) {
        errors.on(second, "a test takes nothing but the app\nhelp: write `(app: TestApp)`");
    }
}
