//! Rules of stages that wait: for an event, for a reply, for the end of a workflow.

use proc_macro2::Ident;
use quote::ToTokens as _;

use super::groups::is_asked_for;
use super::stage::{key_of, value_of};
use crate::diagnostics::{Errors, nearest};
use crate::model::{Borrow, FnItem, ImplBlock, Stage, StageArgs};
use crate::parse::args::Keyed;
use crate::validate::signature::{self, Subject};

/// Judges what each stage waits for, and each method that takes what comes.
pub(super) fn check(block: &ImplBlock, errors: &mut Errors) {
    let mut used: Vec<&Ident> = Vec::new();
    for stage in block.stages() {
        if !keys(&stage.args, errors) {
            continue;
        }
        if stage.args.wait_for.is_some() {
            event(stage, errors);
        }
        let Some(name) = stage.args.follow_up() else {
            continue;
        };
        asked(stage, errors);
        if let Some(method) = find(block, name, &used, errors) {
            used.push(&method.sig.ident);
            follow_up(stage, method, errors);
        }
    }
}

/// Which keys go together. False if it is unclear what the stage waits for.
fn keys(args: &StageArgs, errors: &mut Errors) -> bool {
    if args.has_unread(&["wait_for", "reply", "ended"]) {
        return false;
    }
    let waits = [key_of(&args.wait_for), key_of(&args.reply), key_of(&args.ended)];
    let mut waits = waits.into_iter().flatten();
    let Some(first) = waits.next() else {
        nothing_to_wait_for(args, errors);
        return true;
    };
    if let Some(second) = waits.next() {
        let text = format!("a stage waits for one thing\nhelp: remove `{first}` or `{second}`");
        errors.at(second.span(), text);
        return false;
    }
    match (&args.wait_for, &args.key) {
        (Some(wait_for), None) if !args.has_unread(&["key"]) => {
            let text = "`wait_for` needs to know which event is for which instance\nhelp: write `key = ..` too, with the field of \
                        the state that equals the event's own key";
            errors.at(wait_for.key.span(), text);
        }
        (None, Some(key)) => {
            let text = format!(
                "`key` says which event is for which instance, and this stage has `{first}`\nhelp: remove it"
            );
            errors.at(key.key.span(), text);
        }
        _ => {}
    }
    alone(args, first, errors);
    true
}

fn nothing_to_wait_for(args: &StageArgs, errors: &mut Errors) {
    if let Some(key) = &args.key {
        let text = "`key` says which event is for which instance, and this stage waits for none\nhelp: write `wait_for = ..` too, \
                    with the event's type";
        errors.at(key.key.span(), text);
    }
    if let Some(within) = &args.within {
        let text = "`within` limits how long a stage waits, and this one waits for nothing\nhelp: write `wait_for`, `reply` or \
                    `ended` too; `timeout` limits how long an attempt may take";
        errors.at(within.key.span(), text);
    }
}

/// What waits stands alone, and happens once.
fn alone(args: &StageArgs, waits: &Ident, errors: &mut Errors) {
    let group = key_of(&args.parallel).or_else(|| key_of(&args.join));
    if let Some(group) = group {
        let kind = if args.parallel.is_some() { "a branch" } else { "a join" };
        let text = format!(
            "`{waits}` is for a stage that stands alone, and this is {kind}\nhelp: remove `{group}`, or wait in a stage of its own \
             beside the group"
        );
        errors.at(waits.span(), text);
    } else if let Some(repeat) = &args.repeat {
        let text = format!(
            "a stage with `{waits}` happens once\nhelp: remove `repeat`, or wait in a stage of its own"
        );
        errors.at(repeat.key.span(), text);
    }
    if let (Some(_), Some(delay)) = (&args.wait_for, &args.delay) {
        let text = "a stage that waits for an event begins when the event is there\nhelp: remove `delay`, or put a stage with `delay` \
                    before this one";
        errors.at(delay.key.span(), text);
    }
}

/// The event is the first parameter. That its type fits is the compiler's to judge, who knows what names mean.
fn event(stage: &Stage, errors: &mut Errors) {
    let sig = &stage.item.sig;
    let name = &sig.ident;
    let Some(first) = stage.item.parameters().next() else {
        let text = format!(
            "stage `{name}` does not take the event that it waits for\nhelp: write `async fn {name}(&mut self, event: .., ..)`"
        );
        errors.at(name.span(), text);
        return;
    };
    let event = stage.args.wait_for.as_ref().map(|event| event.value.to_token_stream());
    let is_event =
        event.is_some_and(|event| event.to_string() == first.to_token_stream().to_string());
    if is_asked_for(first) && !is_event {
        let text = format!(
            "stage `{name}` takes the event that it waits for first\nhelp: write `async fn {name}(&mut self, event: .., ..)`"
        );
        errors.on(first, text);
    } else if stage.takes_nothing_for_an_event()
        && stage.args.within.is_none()
        && !stage.args.has_unread(&["within"])
    {
        let text = "this is never `None`, since nothing ends the wait\nhelp: write `within = \"24h\"`, or take the event without \
                    `Option`";
        errors.on(first, text);
    }
}

/// The method that asks looks at the state, and gives what is to be sent.
fn asked(stage: &Stage, errors: &mut Errors) {
    let sig = &stage.item.sig;
    let (name, is_reply) = (&sig.ident, stage.args.reply.is_some());
    if value_of(&sig.output).is_none() {
        let (what, of) = if is_reply {
            ("request", "`M` is a message with `reply = ..`")
        } else {
            ("workflow to start", "`W` is the state of that workflow")
        };
        let letter = if is_reply { "M" } else { "W" };
        let text = format!(
            "stage `{name}` returns no {what}\nhelp: write `-> Result<{letter}>`, where {of}"
        );
        match &sig.output {
            syn::ReturnType::Default => errors.at(name.span(), text),
            syn::ReturnType::Type(_, ty) => errors.on(ty, text),
        }
    }
}

/// The method that takes what comes, if it can be one.
fn find<'a>(
    block: &'a ImplBlock,
    name: &Keyed<Ident>,
    used: &[&Ident],
    errors: &mut Errors,
) -> Option<&'a FnItem> {
    let Keyed { key, value: wanted } = name;
    let stages = block.stages();
    let undone_by = stages
        .iter()
        .find(|stage| stage.args.compensate.as_ref().is_some_and(|undo| undo.value == *wanted));
    let methods = block.methods();
    let text = if let Some(stage) = undone_by {
        let name = &stage.item.sig.ident;
        format!(
            "`{wanted}` undoes stage `{name}`\nhelp: name a method of its own, without `#[stage]`"
        )
    } else if used.contains(&wanted) {
        format!(
            "`{wanted}` takes what comes for another stage already\nhelp: write a method for each"
        )
    } else if let Some(method) = methods.iter().find(|method| method.sig.ident == *wanted) {
        return Some(method);
    } else if stages.iter().any(|stage| stage.item.sig.ident == *wanted) {
        format!("`{wanted}` is a stage itself\nhelp: name a method without `#[stage]`")
    } else {
        let names: Vec<String> =
            methods.iter().map(|method| method.sig.ident.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = nearest(&wanted.to_string(), &names).map_or_else(
            || format!("write `async fn {wanted}(&mut self, {key}: ..) -> Result {{ .. }}`"),
            |near| format!("did you mean `{near}`?"),
        );
        format!("`{key}` names a method of this block, and there is no `{wanted}`\nhelp: {help}")
    };
    errors.at(wanted.span(), text);
    None
}

fn follow_up(stage: &Stage, method: &FnItem, errors: &mut Errors) {
    signature::check_method(method, Subject::FOLLOW_UP, errors);
    let name = &method.sig.ident;
    let (what, parameter) = match &stage.args.reply {
        Some(_) => ("the reply", "reply: .."),
        None => ("the end of the workflow", "ended: Ended<..>"),
    };
    let help = format!("help: write `async fn {name}(&mut self, {parameter}, ..)`");
    match (Borrow::of(&method.sig), method.sig.receiver()) {
        (Borrow::Mutable, _) => {}
        (Borrow::Owned, Some(receiver)) => {
            errors.on(receiver, format!("follow-up `{name}` borrows the state\n{help}"));
        }
        (_, Some(receiver)) => {
            let text =
                format!("follow-up `{name}` changes the state: it takes `&mut self`\n{help}");
            errors.on(receiver, text);
        }
        (_, None) => {
            errors.at(name.span(), format!("follow-up `{name}` does not take the state\n{help}"));
        }
    }
    match method.parameters().next() {
        None => errors.at(name.span(), format!("follow-up `{name}` does not take {what}\n{help}")),
        Some(first) if is_asked_for(first) => {
            errors.on(first, format!("follow-up `{name}` takes {what} first\n{help}"));
        }
        Some(_) => {}
    }
}
