//! The keys of `#[handler]` that limit or save its calls: `breaker`, `rate`, `bulkhead`, `fallback`, `cache`.

use syn::parse::ParseStream;
use syn::{Lit, LitInt, LitStr, Token};

use super::args::{Key, KnownKey, Table, read_list};
use super::values::{self, Count, Millis};
use crate::diagnostics::Errors;
use crate::model::{BreakerArgs, BulkheadArgs, CacheArgs, RateArgs};
use crate::validate::naming;

/// The longest reset of a breaker, time of a rate and life of a cached answer: 7 days.
const TIME_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;

/// The most calls per time, the largest burst, and the most failures and probes.
const CALLS_MAX: u64 = 1_000_000;

const BREAKER_KEYS: Table = Table {
    place: "`breaker(..)`",
    keys: &[
        KnownKey { name: "failures", example: "failures = 5" },
        KnownKey { name: "reset", example: "reset = \"30s\"" },
        KnownKey { name: "probes", example: "probes = 3" },
        KnownKey { name: "name", example: "name = \"payments\"" },
    ],
};

/// The most answers that a handler keeps.
const ANSWERS_MAX: u64 = 1_000_000;

const CACHE_KEYS: Table = Table {
    place: "`cache(..)`",
    keys: &[
        KnownKey { name: "ttl", example: "ttl = \"5m\"" },
        KnownKey { name: "size", example: "size = 1000" },
    ],
};

const RATE_KEYS: Table = Table {
    place: "`rate(..)`",
    keys: &[
        KnownKey { name: "per", example: "per = \"1s\"" },
        KnownKey { name: "burst", example: "burst = 10" },
    ],
};

/// `breaker`, or `breaker(failures = 5, reset = "30s", probes = 3, name = "payments")`.
pub(super) fn breaker(
    key: &Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<BreakerArgs> {
    let mut args = BreakerArgs::default();
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(args);
    }
    if !input.peek(syn::token::Paren) {
        let example = key.example;
        let text = format!(
            "`breaker` takes its own keys, or stands alone\nhelp: write `{example}`, or `breaker`"
        );
        return Err(key.error(text));
    }
    let content;
    syn::parenthesized!(content in input);
    if content.is_empty() {
        return Err(key.error("`breaker()` says nothing\nhelp: write `breaker`, or remove it"));
    }
    read_list(&content, &BREAKER_KEYS, errors, &mut |key, input, _| {
        match key.ident.to_string().as_str() {
            "failures" => args.failures = Some(values::number(&key, input, 1..=CALLS_MAX)?.0),
            "reset" => args.reset = Some(bounded(&key, values::duration(&key, input)?)?),
            "probes" => args.probes = Some(values::number(&key, input, 1..=CALLS_MAX)?.0),
            _ => args.name = Some(values::name(&key, input)?),
        }
        Ok(())
    });
    Ok(args)
}

/// `rate(100, per = "1s", burst = 10)`.
pub(super) fn rate(
    key: &Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<RateArgs> {
    let example = key.example;
    let help = format!("help: write `{example}`");
    if !input.peek(syn::token::Paren) {
        return Err(key.error(format!("`rate` takes its values in parentheses\n{help}")));
    }
    let content;
    syn::parenthesized!(content in input);
    let said_before = errors.any();
    let mut args = RateArgs::default();
    if content.peek(LitInt) {
        args.calls = positional(&content, "the number of calls", 1..=CALLS_MAX)?.0;
    } else {
        // What follows is read all the same, if it reads like keys.
        let text = format!("`rate` begins with the number of calls\n{help}");
        let place = if content.is_empty() { key.ident.span() } else { content.span() };
        return skip(&content, syn::Error::new(place, text));
    }
    if !content.is_empty() {
        content.parse::<Token![,]>()?;
    }
    let mut per = None;
    read_list(&content, &RATE_KEYS, errors, &mut |key, input, _| {
        if key.ident == "per" {
            per = Some(bounded(&key, values::duration(&key, input)?)?);
        } else {
            args.burst = Some(values::number(&key, input, 1..=CALLS_MAX)?.0);
        }
        Ok(())
    });
    match per {
        Some(per) => args.per = Some(per),
        // A mistake in the list may well be the missing `per`.
        None if errors.any() && !said_before => {}
        None => {
            return Err(key.error(format!("`rate` says per which time with `per`\n{help}")));
        }
    }
    Ok(args)
}

/// `bulkhead("db", 10)`.
pub(super) fn bulkhead(key: &Key, input: ParseStream<'_>) -> syn::Result<BulkheadArgs> {
    let help = format!("help: write `{}`", key.example);
    if !input.peek(syn::token::Paren) {
        let text = format!("`bulkhead` takes a name and a number of places\n{help}");
        return Err(key.error(text));
    }
    let content;
    syn::parenthesized!(content in input);
    if !content.peek(LitStr) {
        let text = format!("`bulkhead` begins with its name, a text in quotes\n{help}");
        let place = if content.is_empty() { key.ident.span() } else { content.span() };
        return skip(&content, syn::Error::new(place, text));
    }
    let name: LitStr = content.parse()?;
    if let Err(text) = naming::check(&name.value()) {
        return skip(&content, syn::Error::new(name.span(), format!("`bulkhead` {text}\n{help}")));
    }
    if !content.is_empty() {
        content.parse::<Token![,]>()?;
    }
    if content.is_empty() {
        return Err(key.error(format!("`bulkhead` says how many places there are\n{help}")));
    }
    let places = places(&content, &help)?;
    if !content.is_empty() {
        content.parse::<Token![,]>()?;
    }
    if !content.is_empty() {
        let error = content.error(format!("`bulkhead` takes a name and a number\n{help}"));
        return skip(&content, error);
    }
    Ok(BulkheadArgs { name, places })
}

/// A number, or a constant as with `concurrency`.
fn places(input: ParseStream<'_>, help: &str) -> syn::Result<Count> {
    let ahead = input.fork();
    if ahead.parse::<LitInt>().is_ok() && (ahead.is_empty() || ahead.peek(Token![,])) {
        let (value, literal) = positional(input, "the number of places", 1..=u64::from(u16::MAX))?;
        let value = u16::try_from(value).unwrap_or(u16::MAX);
        return Ok(Count::Literal(value, literal));
    }
    if input.peek(Lit) && input.fork().parse::<LitInt>().is_err() {
        let error = input.error(format!("`bulkhead` takes a whole number or a constant\n{help}"));
        return skip(input, error);
    }
    input.parse().map(|expr| Count::Const(Box::new(expr)))
}

/// A number without a key.
fn positional(
    input: ParseStream<'_>,
    what: &str,
    bounds: std::ops::RangeInclusive<u64>,
) -> syn::Result<(u64, LitInt)> {
    let literal: LitInt = input.parse()?;
    match literal.base10_parse::<u64>() {
        Ok(value) if bounds.contains(&value) => Ok((value, literal)),
        _ => {
            let (low, high) = (bounds.start(), bounds.end());
            let text = format!("{what} is from {low} to {high}");
            skip(input, syn::Error::new(literal.span(), text))
        }
    }
}

fn bounded(key: &Key, time: Millis) -> syn::Result<Millis> {
    if time.value <= TIME_MS_MAX {
        return Ok(time);
    }
    Err(syn::Error::new(time.span, format!("`{}` is at most 7 days", key.ident)))
}

/// Leaves nothing unread inside the parentheses, which would be a second error.
fn skip<T>(input: ParseStream<'_>, error: syn::Error) -> syn::Result<T> {
    input.parse::<proc_macro2::TokenStream>()?;
    Err(error)
}

/// `cache = "5m"`, or `cache(ttl = "5m", size = 1000)`.
pub(super) fn cache(
    key: &Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<CacheArgs> {
    let help = format!("help: write `cache = \"5m\"`, or `{}`", key.example);
    if input.peek(Token![=]) {
        let ttl = Some(bounded(key, values::duration(key, input)?)?);
        return Ok(CacheArgs { ttl, size: None });
    }
    if !input.peek(syn::token::Paren) {
        return Err(key.error(format!("`cache` says how long an answer is kept\n{help}")));
    }
    let content;
    syn::parenthesized!(content in input);
    let said_before = errors.any();
    let mut args = CacheArgs::default();
    read_list(&content, &CACHE_KEYS, errors, &mut |key, input, _| {
        if key.ident == "ttl" {
            args.ttl = Some(bounded(&key, values::duration(&key, input)?)?);
        } else {
            args.size = Some(values::number(&key, input, 1..=ANSWERS_MAX)?.0);
        }
        Ok(())
    });
    // A mistake in the list may well be the missing `ttl`.
    if args.ttl.is_none() && (said_before || !errors.any()) {
        let text = format!("`cache` says with `ttl` how long an answer is kept\n{help}");
        return Err(key.error(text));
    }
    Ok(args)
}

/// `fallback = cached_price`.
pub(super) fn fallback(key: &Key, input: ParseStream<'_>) -> syn::Result<syn::Path> {
    values::path(key, input, "the name of an async function")
}
