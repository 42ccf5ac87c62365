//! The arguments of `#[handler]` and `#[provider]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Lit, LitStr, Token};

use super::args::{Key, KnownKey, Table, read_args, read_list};
use super::limits;
use super::values::{self, Millis};
use crate::diagnostics::{Errors, nearest};
use crate::model::{Backoff, HandlerArgs, QueueType, RetryArgs};
use crate::paths::Root;

const KEYS: Table = Table {
    place: "`#[handler]`",
    keys: &[
        KnownKey { name: "queue", example: "queue = \"cmd.orders.create\"" },
        KnownKey { name: "topic", example: "topic = \"evt.#.OrderCreated\"" },
        KnownKey { name: "group", example: "group = \"billing\"" },
        KnownKey { name: "dead_letter", example: "dead_letter = \"dlq.orders\"" },
        KnownKey { name: "concurrency", example: "concurrency = 16" },
        KnownKey { name: "prefetch", example: "prefetch = 32" },
        KnownKey { name: "timeout", example: "timeout = \"30s\"" },
        KnownKey {
            name: "retry",
            example: "retry(attempts = 5, backoff = exponential(\"100ms\", \"30s\"))",
        },
        KnownKey { name: "breaker", example: "breaker(failures = 5, reset = \"30s\")" },
        KnownKey { name: "rate", example: "rate(100, per = \"1s\")" },
        KnownKey { name: "bulkhead", example: "bulkhead(\"db\", 10)" },
        KnownKey { name: "fallback", example: "fallback = cached_price" },
        KnownKey { name: "cache", example: "cache(ttl = \"5m\", size = 1000)" },
        KnownKey { name: "idempotent", example: "idempotent(ttl = \"1d\", size = 10000)" },
        KnownKey { name: "broadcast", example: "broadcast" },
        KnownKey { name: "queue_type", example: "queue_type = classic" },
        KnownKey { name: "max_priority", example: "max_priority = 9" },
        KnownKey { name: "crate", example: "crate = ::mmate" },
    ],
};

const RETRY_KEYS: Table = Table {
    place: "`retry(..)`",
    keys: &[
        KnownKey { name: "attempts", example: "attempts = 5" },
        KnownKey { name: "backoff", example: "backoff = exponential(\"100ms\", \"30s\")" },
        KnownKey { name: "jitter", example: "jitter = 0.1" },
    ],
};

const PROVIDER_KEYS: Table = Table {
    place: "`#[provider]`",
    keys: &[KnownKey { name: "crate", example: "crate = ::mmate" }],
};

/// Reads the arguments of `#[handler]`.
pub(crate) fn handler_args(tokens: TokenStream, errors: &mut Errors) -> HandlerArgs {
    let mut args = HandlerArgs::default();
    read_args(tokens, &KEYS, errors, |key, input, errors| read_key(&mut args, key, input, errors));
    args
}

/// Reads the arguments of `#[provider]`.
pub(crate) fn provider_args(tokens: TokenStream, errors: &mut Errors) -> Root {
    let mut root = Root::default();
    read_args(tokens, &PROVIDER_KEYS, errors, |key, input, _| {
        root = values::root(&key, input)?;
        Ok(())
    });
    root
}

fn read_key(
    args: &mut HandlerArgs,
    key: Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "queue" => args.queue = Some(values::name(&key, input).map(|value| key.with(value))?),
        "topic" => args.topic = Some(values::name(&key, input).map(|value| key.with(value))?),
        "group" => args.group = Some(values::name(&key, input).map(|value| key.with(value))?),
        "dead_letter" => {
            args.dead_letter = Some(values::name(&key, input).map(|value| key.with(value))?);
        }
        "concurrency" => {
            args.concurrency = Some(values::count(&key, input).map(|value| key.with(value))?)
        }
        "prefetch" => {
            args.prefetch = Some(values::count(&key, input).map(|value| key.with(value))?)
        }
        "timeout" => {
            args.timeout = Some(values::duration(&key, input).map(|value| key.with(value))?)
        }
        "retry" => args.retry = Some(retry(&key, input, errors).map(|value| key.with(value))?),
        "breaker" => {
            args.breaker = Some(limits::breaker(&key, input, errors).map(|value| key.with(value))?)
        }
        "rate" => args.rate = Some(limits::rate(&key, input, errors).map(|value| key.with(value))?),
        "bulkhead" => {
            args.bulkhead = Some(limits::bulkhead(&key, input).map(|value| key.with(value))?)
        }
        "fallback" => {
            args.fallback = Some(limits::fallback(&key, input).map(|value| key.with(value))?)
        }
        "cache" => {
            args.cache = Some(limits::cache(&key, input, errors).map(|value| key.with(value))?)
        }
        "idempotent" => {
            let value = limits::idempotent(&key, input, errors);
            args.idempotent = Some(value.map(|value| key.with(value))?)
        }
        "broadcast" => args.broadcast = Some(values::flag(&key, input).map(|()| key.with(()))?),
        "queue_type" => {
            args.queue_type = Some(queue_type(&key, input).map(|value| key.with(value))?)
        }
        "max_priority" => {
            let (value, _) = values::number(&key, input, 1..=9)?;
            args.max_priority = Some(key.with(value));
        }
        _ => args.root = values::root(&key, input)?,
    }
    Ok(())
}

fn queue_type(key: &Key, input: ParseStream<'_>) -> syn::Result<(QueueType, syn::Ident)> {
    let word = values::word(key, input, &["quorum", "classic"])?;
    let kind = if word == "quorum" { QueueType::Quorum } else { QueueType::Classic };
    Ok((kind, word))
}

/// `retry(attempts = 5, ..)`.
pub(super) fn retry(
    key: &Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<RetryArgs> {
    if !input.peek(syn::token::Paren) {
        let example = key.example;
        return Err(key.error(format!("`retry` takes its own keys\nhelp: write `{example}`")));
    }
    let content;
    syn::parenthesized!(content in input);
    let mut args = RetryArgs::default();
    if content.is_empty() {
        let text = "`retry()` says nothing\nhelp: write `retry(attempts = 5)`, or remove it";
        return Err(key.error(text));
    }
    read_list(&content, &RETRY_KEYS, errors, &mut |key, input, _| {
        read_retry_key(&mut args, &key, input)
    });
    Ok(args)
}

fn read_retry_key(args: &mut RetryArgs, key: &Key, input: ParseStream<'_>) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "attempts" => {
            let (value, _) = values::number(key, input, 1..=u64::from(u32::MAX))?;
            args.attempts = Some(value);
        }
        "backoff" => args.backoff = Some(backoff(key, input)?),
        _ => args.jitter = Some(jitter(key, input)?),
    }
    Ok(())
}

fn jitter(key: &Key, input: ParseStream<'_>) -> syn::Result<f64> {
    values::equals(key, input)?;
    let ahead = input.fork();
    let value = match ahead.parse::<Lit>() {
        Ok(Lit::Float(value)) => value.base10_parse::<f64>().ok(),
        Ok(Lit::Int(value)) => value.base10_parse::<f64>().ok(),
        _ => None,
    };
    match value {
        Some(value) if (0.0..=1.0).contains(&value) => {
            input.parse::<Lit>()?;
            Ok(value)
        }
        _ => Err(values::wrong_kind(key, input, "a part of the wait, from 0.0 to 1.0")),
    }
}

const BACKOFFS: [&str; 4] = ["exponential", "linear", "fixed", "custom"];

fn backoff(key: &Key, input: ParseStream<'_>) -> syn::Result<Backoff> {
    values::equals(key, input)?;
    let help = "help: write `exponential(\"100ms\", \"30s\")`, `linear(\"1s\", \"30s\")`, `fixed(\"1s\")` or `custom(waits)`";
    if !input.peek(syn::Ident::peek_any) {
        return Err(input.error(format!("`backoff` is the growth of the waits\n{help}")));
    }
    let word = syn::Ident::parse_any(input)?;
    let spelled = word.to_string();
    if !BACKOFFS.contains(&spelled.as_str()) {
        let help = nearest(&spelled, &BACKOFFS)
            .map_or_else(|| help.to_owned(), |near| format!("help: did you mean `{near}`?"));
        return Err(syn::Error::new(
            word.span(),
            format!("there is no backoff `{spelled}`\n{help}"),
        ));
    }
    if !input.peek(syn::token::Paren) {
        let text = format!("`{spelled}` takes its waits in parentheses\n{help}");
        return Err(syn::Error::new(word.span(), text));
    }
    let content;
    syn::parenthesized!(content in input);
    if spelled == "custom" {
        return custom(&content, &word);
    }
    let waits = waits(&content, &spelled)?;
    match (spelled.as_str(), waits.as_slice()) {
        ("fixed", [wait]) => Ok(Backoff::Fixed(*wait)),
        ("linear", [step, cap]) => capped(*step, *cap).map(|()| Backoff::Linear(*step, *cap)),
        ("exponential", [base, cap]) => {
            capped(*base, *cap).map(|()| Backoff::Exponential(*base, *cap))
        }
        ("fixed", _) => {
            Err(syn::Error::new(word.span(), "`fixed` takes one wait\nhelp: write `fixed(\"1s\")`"))
        }
        _ => Err(syn::Error::new(
            word.span(),
            format!(
                "`{spelled}` takes the first wait and the longest\nhelp: write `{spelled}(\"1s\", \"30s\")`"
            ),
        )),
    }
}

/// The function that says how long to wait.
fn custom(input: ParseStream<'_>, word: &syn::Ident) -> syn::Result<Backoff> {
    let path = syn::Path::parse_mod_style(input);
    match path {
        Ok(path) if input.is_empty() => Ok(Backoff::Custom(path)),
        _ => {
            input.parse::<TokenStream>()?;
            let text = "`custom` takes the name of a function\nhelp: write `custom(waits)` with `fn waits(attempt: u32) -> \
                        Duration`";
            Err(syn::Error::new(word.span(), text))
        }
    }
}

fn waits(input: ParseStream<'_>, backoff: &str) -> syn::Result<Vec<Millis>> {
    let mut waits = Vec::new();
    while !input.is_empty() {
        if !input.peek(LitStr) {
            let example = if backoff == "fixed" { "\"1s\"" } else { "\"1s\", \"30s\"" };
            let text = format!("a wait is a text in quotes\nhelp: write `{backoff}({example})`");
            return Err(input.error(text));
        }
        waits.push(values::millis_of(&input.parse()?)?);
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(waits)
}

fn capped(first: Millis, cap: Millis) -> syn::Result<()> {
    if first.value == 0 {
        let text =
            "the first wait is longer than zero\nhelp: write `fixed(\"0ms\")` to try again at once";
        return Err(syn::Error::new(first.span, text));
    }
    if cap.value < first.value {
        return Err(syn::Error::new(cap.span, "the longest wait is shorter than the first"));
    }
    Ok(())
}
