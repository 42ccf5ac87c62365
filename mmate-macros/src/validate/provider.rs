//! Rules of `#[provider]`.

use syn::{ReturnType, Type};

use super::signature::{self, Subject};
use crate::diagnostics::Errors;
use crate::model::FnItem;

/// Judges the signature.
pub(crate) fn check(item: &FnItem, errors: &mut Errors) {
    signature::check(item, Subject::PROVIDER, errors);
    let nothing = match &item.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => is_unit(ty) || is_bare_result(ty),
    };
    if nothing {
        let name = &item.sig.ident;
        let text = format!(
            "provider `{name}` returns nothing\nhelp: write `-> Result<T>` or `-> T`, where `T` is the \
             type that handlers ask for with `State<T>`"
        );
        match &item.sig.output {
            ReturnType::Default => errors.at(name.span(), text),
            ReturnType::Type(_, ty) => errors.on(ty, text),
        }
    }
}

/// Whether the function returns a `Result`, as far as its last word tells.
pub(crate) fn can_fail(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, ty) if last_segment(ty).is_some_and(|last| last.ident == "Result"))
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// `Result` alone, which is a `Result<()>`.
fn is_bare_result(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == "Result" && last.arguments.is_empty())
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}
