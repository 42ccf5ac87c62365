//! Rules of `#[handler]`.

use syn::{Ident, Type};

use super::signature::{self, Subject};
use crate::diagnostics::Errors;
use crate::model::{FnItem, HandlerArgs, QueueType};
use crate::parse::args::Keyed;
use crate::parse::values::Count;

/// Judges the arguments and the signature.
pub(crate) fn check(args: &HandlerArgs, item: &FnItem, errors: &mut Errors) {
    signature::check(item, Subject::HANDLER, errors);
    if item.sig.inputs.is_empty() {
        let name = &item.sig.ident;
        let text = format!(
            "handler `{name}` takes no message\nhelp: write `async fn {name}(message: YourMessage)`"
        );
        errors.at(name.span(), text);
    }
    broadcast_pairs(args, errors);
    queue_pairs(args, errors);
    more_at_a_time_than_at_hand(args, errors);
    own_fallback(args, item, errors);
    nothing_to_cache(args, item, errors);
}

/// Every query would wait for the one before, and none would be answered.
fn nothing_to_cache(args: &HandlerArgs, item: &FnItem, errors: &mut Errors) {
    let answers = match &item.sig.output {
        syn::ReturnType::Default => false,
        syn::ReturnType::Type(_, ty) => {
            !matches!(&**ty, Type::Tuple(unit) if unit.elems.is_empty())
        }
    };
    if let (Some(cache), false) = (&args.cache, answers) {
        let text = "`cache` keeps answers, and this handler gives none\nhelp: return `Result<YourReply>`, or remove `cache`";
        errors.at(cache.key.span(), text);
    }
}

/// What failed for good would be called once more.
fn own_fallback(args: &HandlerArgs, item: &FnItem, errors: &mut Errors) {
    if let Some(fallback) = &args.fallback
        && fallback.value.is_ident(&item.sig.ident)
    {
        let name = &item.sig.ident;
        let text = format!(
            "handler `{name}` is its own fallback\nhelp: name another function, or remove `fallback`"
        );
        errors.on(&fallback.value, text);
    }
}

/// With `broadcast` every instance has a queue of its own, which the framework makes.
fn broadcast_pairs(args: &HandlerArgs, errors: &mut Errors) {
    if args.broadcast.is_none() {
        return;
    }
    let mut judge = |key: Option<&Ident>, why: &str| {
        if let Some(key) = key {
            let text =
                format!("`{key}` does not go with `broadcast`: {why}\nhelp: remove one of the two");
            errors.at(key.span(), text);
        }
    };
    judge(key_of(&args.queue), "each instance has a queue of its own");
    judge(key_of(&args.group), "each instance is a group of its own");
    judge(key_of(&args.queue_type), "an instance's own queue goes with the instance");
    judge(key_of(&args.max_priority), "an instance's own queue keeps no priorities");
}

fn queue_pairs(args: &HandlerArgs, errors: &mut Errors) {
    if let (Some(_), Some(group), None) = (&args.queue, &args.group, &args.broadcast) {
        let text = "`group` is a part of the queue's name, and `queue` names it already\nhelp: remove one of the two";
        errors.at(group.key.span(), text);
    }
    if let (Some(_), Some(chosen)) = (&args.max_priority, &args.queue_type)
        && chosen.value.0 == QueueType::Quorum
        && args.broadcast.is_none()
    {
        let text = "a quorum queue keeps no priorities\nhelp: write `queue_type = classic`, or remove `max_priority`";
        errors.at(chosen.value.1.span(), text);
    }
}

fn more_at_a_time_than_at_hand(args: &HandlerArgs, errors: &mut Errors) {
    let (Some(concurrency), Some(prefetch)) = (&args.concurrency, &args.prefetch) else {
        return;
    };
    if let (Count::Literal(most, literal), Count::Literal(at_hand, _)) =
        (&concurrency.value, &prefetch.value)
        && most > at_hand
    {
        let text = format!(
            "{most} messages cannot be handled at a time when the broker hands over {at_hand}\nhelp: \
             write `concurrency = {at_hand}`, or `prefetch = {most}`"
        );
        errors.at(literal.span(), text);
    }
}

fn key_of<T>(value: &Option<Keyed<T>>) -> Option<&Ident> {
    value.as_ref().map(|value| &value.key)
}
