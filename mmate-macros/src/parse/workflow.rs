//! The arguments of `#[workflow]` and `#[stage]`.

use proc_macro2::{Ident, TokenStream};
use syn::Token;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;

use super::args::{Key, KnownKey, Table, read_args};
use super::{handler, values};
use crate::diagnostics::Errors;
use crate::model::{StageArgs, WorkflowArgs};

const WORKFLOW_KEYS: Table = Table {
    place: "`#[workflow]`",
    keys: &[
        KnownKey { name: "id", example: "id = \"order-processing\"" },
        KnownKey { name: "timeout", example: "timeout = \"10m\"" },
        KnownKey { name: "version", example: "version = 2" },
        KnownKey { name: "prefix", example: "prefix = \"ecommerce.workflow.\"" },
        KnownKey { name: "concurrency", example: "concurrency = 10" },
        KnownKey { name: "events", example: "events" },
        KnownKey { name: "complete", example: "complete" },
        KnownKey { name: "crate", example: "crate = ::mmate" },
    ],
};

const STAGE_KEYS: Table = Table {
    place: "`#[stage]`",
    keys: &[
        KnownKey { name: "compensate", example: "compensate = refund" },
        KnownKey { name: "irreversible", example: "irreversible" },
        KnownKey { name: "timeout", example: "timeout = \"20s\"" },
        KnownKey {
            name: "retry",
            example: "retry(attempts = 3, backoff = exponential(\"1s\", \"30s\"))",
        },
        KnownKey { name: "continue_on_failure", example: "continue_on_failure" },
        KnownKey { name: "when", example: "when = is_abroad" },
        KnownKey { name: "repeat", example: "repeat = has_more" },
        KnownKey { name: "delay", example: "delay = \"1h\"" },
        KnownKey { name: "parallel", example: "parallel = checks" },
        KnownKey { name: "join", example: "join = checks" },
        KnownKey { name: "wait_for", example: "wait_for = PaymentReceived" },
        KnownKey { name: "key", example: "key = order_id" },
        KnownKey { name: "reply", example: "reply = reserved" },
        KnownKey { name: "ended", example: "ended = shipped" },
        KnownKey { name: "within", example: "within = \"24h\"" },
    ],
};

/// Reads the arguments of `#[workflow]`.
pub(crate) fn workflow_args(tokens: TokenStream, errors: &mut Errors) -> WorkflowArgs {
    let mut args = WorkflowArgs::default();
    read_args(tokens, &WORKFLOW_KEYS, errors, |key, input, _| {
        read_workflow_key(&mut args, key, input)
    });
    args
}

/// Reads the arguments of `#[stage]`.
pub(super) fn stage_args(tokens: TokenStream, errors: &mut Errors) -> StageArgs {
    let mut args = StageArgs::default();
    read_args(tokens, &STAGE_KEYS, errors, |key, input, errors| {
        let ident = key.ident.clone();
        read_stage_key(&mut args, key, input, errors).inspect_err(|_| args.unread.push(ident))
    });
    args
}

fn read_workflow_key(args: &mut WorkflowArgs, key: Key, input: ParseStream<'_>) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "id" => args.id = Some(values::plain_name(&key, input).map(|value| key.with(value))?),
        "timeout" => {
            args.timeout = Some(values::duration(&key, input).map(|value| key.with(value))?);
        }
        "version" => {
            let (value, _) = values::number(&key, input, 1..=u64::from(u32::MAX))?;
            args.version = Some(key.with(value));
        }
        "prefix" => {
            args.prefix = Some(values::plain_name(&key, input).map(|value| key.with(value))?);
        }
        "concurrency" => {
            args.concurrency = Some(values::count(&key, input).map(|value| key.with(value))?);
        }
        "events" => args.events = Some(values::flag(&key, input).map(|()| key.with(()))?),
        "complete" => args.complete = Some(values::flag(&key, input).map(|()| key.with(()))?),
        _ => args.root = values::root(&key, input)?,
    }
    Ok(())
}

fn read_stage_key(
    args: &mut StageArgs,
    key: Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "compensate" => args.compensate = Some(method(&key, input).map(|name| key.with(name))?),
        "irreversible" => {
            args.irreversible = Some(values::flag(&key, input).map(|()| key.with(()))?);
        }
        "timeout" => {
            args.timeout = Some(values::duration(&key, input).map(|value| key.with(value))?);
        }
        "retry" => {
            let value = handler::retry(&key, input, errors)?;
            args.retry = Some(key.with(value));
        }
        "continue_on_failure" => {
            args.continue_on_failure = Some(values::flag(&key, input).map(|()| key.with(()))?);
        }
        "when" => args.when = Some(method(&key, input).map(|name| key.with(name))?),
        "repeat" => args.repeat = Some(method(&key, input).map(|name| key.with(name))?),
        "delay" => args.delay = Some(values::duration(&key, input).map(|value| key.with(value))?),
        "parallel" => args.parallel = Some(group(&key, input).map(|name| key.with(name))?),
        "join" => args.join = Some(group(&key, input).map(|name| key.with(name))?),
        _ => read_wait_key(args, key, input)?,
    }
    Ok(())
}

/// What a stage waits for, and for how long.
fn read_wait_key(args: &mut StageArgs, key: Key, input: ParseStream<'_>) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "wait_for" => {
            args.wait_for = Some(values::type_name(&key, input).map(|event| key.with(event))?);
        }
        "key" => {
            let wanted = "the name of a field of the state, without quotes";
            args.key = Some(bare(&key, input, wanted).map(|field| key.with(field))?);
        }
        "reply" => args.reply = Some(method(&key, input).map(|name| key.with(name))?),
        "ended" => args.ended = Some(method(&key, input).map(|name| key.with(name))?),
        _ => args.within = Some(values::duration(&key, input).map(|value| key.with(value))?),
    }
    Ok(())
}

fn method(key: &Key, input: ParseStream<'_>) -> syn::Result<Ident> {
    bare(key, input, "the name of a method of this block")
}

fn group(key: &Key, input: ParseStream<'_>) -> syn::Result<Ident> {
    bare(key, input, "the name of a group, without quotes")
}

/// An identifier and nothing more: no path, no call, no text.
fn bare(key: &Key, input: ParseStream<'_>, wanted: &str) -> syn::Result<Ident> {
    values::equals(key, input)?;
    let ahead = input.fork();
    match Ident::parse_any(&ahead) {
        Ok(_) if ahead.is_empty() || ahead.peek(Token![,]) => Ident::parse_any(input),
        _ => Err(values::wrong_kind(key, input, wanted)),
    }
}
