//! Rules of one `#[stage]`: its signature, and which keys go together.

use syn::ext::IdentExt as _;
use syn::{GenericArgument, Ident, PathArguments, ReturnType, Type};

use crate::diagnostics::Errors;
use crate::model::{Borrow, Stage};
use crate::parse::args::Keyed;
use crate::validate::naming;
use crate::validate::signature::{self, Subject};

/// Judges a stage by itself.
pub(super) fn check(stage: &Stage, errors: &mut Errors) {
    signature::check_method(&stage.item, Subject::STAGE, errors);
    name(&stage.item.sig.ident, errors);
    receiver(stage, errors);
    value_of_a_branch(stage, errors);
    pairs(stage, errors);
}

fn name(name: &Ident, errors: &mut Errors) {
    if let Err(text) = naming::plain(&name.unraw().to_string()) {
        let text = format!(
            "the name of a stage is part of its `StageKey`, and `{name}` {text}\nhelp: choose another name"
        );
        errors.at(name.span(), text);
    }
}

fn receiver(stage: &Stage, errors: &mut Errors) {
    let sig = &stage.item.sig;
    let (name, is_branch) = (&sig.ident, stage.args.parallel.is_some());
    let follow_up = stage.args.follow_up();
    if stage.args.has_unread(&["reply", "ended"]) {
        return;
    }
    let looks_on = is_branch || follow_up.is_some();
    let wanted = if looks_on { "&self" } else { "&mut self" };
    let (subject, help) = match (Borrow::of(sig), follow_up) {
        (Borrow::Mutable, Some(follow_up)) => (
            format!(
                "stage `{name}` asks, and the state changes when the answer is there: it takes `&self`"
            ),
            format!("write `&self`, and change the state in `{}`", follow_up.value),
        ),
        (Borrow::Mutable, None) if is_branch => (
            format!(
                "branch `{name}` runs beside others, which see the same state: it takes `&self`"
            ),
            "write `&self`, and return the value for the join".to_owned(),
        ),
        (Borrow::Shared, _) if !looks_on => (
            format!("stage `{name}` changes the state: it takes `&mut self`"),
            "write `&mut self`; `&self` is for stages that run beside others, with `parallel = ..`"
                .to_owned(),
        ),
        (Borrow::Owned, _) => {
            (format!("stage `{name}` borrows the state"), format!("write `{wanted}`"))
        }
        (Borrow::None, _) => (
            format!("stage `{name}` does not take the state"),
            format!("write `async fn {name}({wanted}, ..)`"),
        ),
        (Borrow::Mutable | Borrow::Shared, _) => return,
    };
    let text = format!("{subject}\nhelp: {help}");
    match sig.receiver() {
        Some(receiver) => errors.on(receiver, text),
        None => errors.at(name.span(), text),
    }
}

fn value_of_a_branch(stage: &Stage, errors: &mut Errors) {
    let sig = &stage.item.sig;
    if stage.args.parallel.is_none() || value_of(&sig.output).is_some() {
        return;
    }
    let name = &sig.ident;
    let text = format!(
        "branch `{name}` returns no value for its join\nhelp: write `-> Result<T>` with the type of the value"
    );
    match &sig.output {
        ReturnType::Default => errors.at(name.span(), text),
        ReturnType::Type(_, ty) => errors.on(ty, text),
    }
}

/// The type of the value that a branch returns: what stands first in its `Result<..>`. A type of another name is
/// taken as a whole.
pub(super) fn value_of(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let is_unit = |ty: &Type| matches!(ty, Type::Tuple(unit) if unit.elems.is_empty());
    if is_unit(ty) {
        return None;
    }
    let Type::Path(path) = &**ty else {
        return Some(ty);
    };
    let last = path.path.segments.last()?;
    let first = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => None,
    };
    match first {
        None if last.ident == "Result" => None,
        Some(GenericArgument::Type(value)) if last.ident.to_string().ends_with("Result") => {
            Some(value).filter(|value| !is_unit(value))
        }
        _ => Some(ty),
    }
}

fn pairs(stage: &Stage, errors: &mut Errors) {
    let args = &stage.args;
    if let (Some(_), Some(join)) = (&args.parallel, &args.join) {
        let text = "a stage is a branch or a join, not both\nhelp: remove `parallel` or `join`";
        errors.at(join.key.span(), text);
    }
    if let (Some(_), Some(irreversible)) = (&args.compensate, &args.irreversible) {
        let text = "what `compensate` undoes is not irreversible\nhelp: remove one of the two";
        errors.at(irreversible.key.span(), text);
    }
    let (kind, instead) = match (&args.parallel, &args.join) {
        (Some(_), _) => ("a branch", "put a stage of its own before the group"),
        (_, Some(_)) => ("a join", "put a stage of its own after the join"),
        (None, None) => return,
    };
    let mut alone = |key: Option<&Ident>| {
        if let Some(key) = key {
            let text = format!(
                "`{key}` is for a stage that stands alone, and this is {kind}\nhelp: {instead}"
            );
            errors.at(key.span(), text);
        }
    };
    alone(key_of(&args.repeat));
    alone(key_of(&args.delay));
}

/// The key of a value that is there.
pub(super) fn key_of<T>(value: &Option<Keyed<T>>) -> Option<&Ident> {
    value.as_ref().map(|value| &value.key)
}
