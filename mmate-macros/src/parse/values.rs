//! The values of keys: texts, names, durations, counts, words, types.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Lit, LitInt, LitStr, Token};

use super::args::Key;
use crate::diagnostics::{listing, nearest};
use crate::validate::naming;

/// A duration in milliseconds, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Millis {
    /// The duration.
    pub(crate) value: u64,
    /// The literal's place.
    pub(crate) span: Span,
}

/// A count: a literal, which the macro can judge, or a constant expression, which it cannot.
#[derive(Clone)]
pub(crate) enum Count {
    /// Written as a number.
    Literal(u16, LitInt),
    /// Written as an expression.
    Const(Box<syn::Expr>),
}

impl ToTokens for Count {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Literal(value, literal) => {
                let mut plain = proc_macro2::Literal::u16_unsuffixed(*value);
                plain.set_span(literal.span());
                plain.to_tokens(tokens);
            }
            Self::Const(expr) => expr.to_tokens(tokens),
        }
    }
}

/// The `=` after a key.
pub(crate) fn equals(key: &Key, input: ParseStream<'_>) -> syn::Result<()> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Ok(());
        }
    }
    let (name, example) = (&key.ident, key.example);
    Err(key.error(format!("`{name}` needs a value\nhelp: write `{example}`")))
}

/// Nothing after a key.
pub(crate) fn flag(key: &Key, input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    let name = &key.ident;
    Err(key.error(format!("`{name}` stands alone\nhelp: write `{name}`, or remove it")))
}

/// A text.
pub(crate) fn text(key: &Key, input: ParseStream<'_>) -> syn::Result<LitStr> {
    equals(key, input)?;
    literal_text(key, input)
}

fn literal_text(key: &Key, input: ParseStream<'_>) -> syn::Result<LitStr> {
    if input.peek(LitStr) {
        return input.parse();
    }
    Err(wrong_kind(key, input, "a text in quotes"))
}

/// What to say if a value is of another kind. Marks the whole value.
pub(crate) fn wrong_kind(key: &Key, input: ParseStream<'_>, wanted: &str) -> syn::Error {
    let (name, example) = (&key.ident, key.example);
    let text = format!("`{name}` takes {wanted}\nhelp: write `{example}`");
    match input.fork().parse::<syn::Expr>() {
        Ok(value) => syn::Error::new_spanned(value, text),
        Err(_) => input.error(text),
    }
}

/// A name of a queue, a group, a service and so on.
pub(crate) fn name(key: &Key, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let literal = text(key, input)?;
    checked_name(key, literal)
}

fn checked_name(key: &Key, literal: LitStr) -> syn::Result<LitStr> {
    match naming::check(&literal.value()) {
        Ok(()) => Ok(literal),
        Err(text) => Err(syn::Error::new(
            literal.span(),
            format!("`{}` {text}\nhelp: write it like `{}`", key.ident, key.example),
        )),
    }
}

/// A name that becomes a part of other names: letters, digits, `-`, `_` and `.`.
pub(crate) fn plain_name(key: &Key, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let literal = name(key, input)?;
    match naming::plain(&literal.value()) {
        Ok(()) => Ok(literal),
        Err(text) => Err(syn::Error::new(
            literal.span(),
            format!("`{}` {text}\nhelp: write it like `{}`", key.ident, key.example),
        )),
    }
}

/// One name, or several in brackets.
pub(crate) fn names(key: &Key, input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    equals(key, input)?;
    if !input.peek(syn::token::Bracket) {
        return literal_text(key, input)
            .and_then(|literal| checked_name(key, literal))
            .map(|literal| vec![literal]);
    }
    let content;
    syn::bracketed!(content in input);
    let mut found = Vec::new();
    while !content.is_empty() {
        found.push(checked_name(key, literal_text(key, &content)?)?);
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(found)
}

/// A number within bounds.
pub(crate) fn number(
    key: &Key,
    input: ParseStream<'_>,
    bounds: std::ops::RangeInclusive<u64>,
) -> syn::Result<(u64, LitInt)> {
    equals(key, input)?;
    if !input.peek(LitInt) {
        return Err(wrong_kind(key, input, "a whole number"));
    }
    let literal: LitInt = input.parse()?;
    match literal.base10_parse::<u64>() {
        Ok(value) if bounds.contains(&value) => Ok((value, literal)),
        _ => {
            let (low, high) = (bounds.start(), bounds.end());
            let text = if *high >= u64::from(u32::MAX) {
                format!("`{}` is at least {low}", key.ident)
            } else {
                format!("`{}` is from {low} to {high}", key.ident)
            };
            Err(syn::Error::new(literal.span(), text))
        }
    }
}

/// A count: a number from 1 to 65535, or a constant.
pub(crate) fn count(key: &Key, input: ParseStream<'_>) -> syn::Result<Count> {
    let ahead = input.fork();
    equals(key, &ahead)?;
    let number_alone = ahead.peek(LitInt) && (ahead.peek2(Token![,]) || ends_after_one(&ahead));
    if number_alone {
        let (value, literal) = number(key, input, 1..=u64::from(u16::MAX))?;
        let value = u16::try_from(value).map_err(|_| key.error("is too large"))?;
        return Ok(Count::Literal(value, literal));
    }
    if ahead.peek(Lit) {
        equals(key, input)?;
        return Err(wrong_kind(key, input, "a whole number or a constant"));
    }
    equals(key, input)?;
    input.parse().map(|expr| Count::Const(Box::new(expr)))
}

fn ends_after_one(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    ahead.parse::<proc_macro2::TokenTree>().is_ok() && ahead.is_empty()
}

/// A duration that is not zero.
pub(crate) fn duration(key: &Key, input: ParseStream<'_>) -> syn::Result<Millis> {
    let literal = text(key, input)?;
    let millis = millis_of(&literal)?;
    if millis.value == 0 {
        let text =
            format!("`{}` is longer than zero\nhelp: write it like `{}`", key.ident, key.example);
        return Err(syn::Error::new(literal.span(), text));
    }
    Ok(millis)
}

/// The duration that a text says.
pub(crate) fn millis_of(literal: &LitStr) -> syn::Result<Millis> {
    match read_duration(&literal.value()) {
        Some(value) => Ok(Millis { value, span: literal.span() }),
        None => Err(syn::Error::new(
            literal.span(),
            "not a duration\nhelp: write it like `500ms`, `30s`, `5m` or `1h 30m`",
        )),
    }
}

fn read_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let part = number.parse::<u64>().ok()?.checked_mul(millis_per(unit)?)?;
        total = Some(total.unwrap_or(0).checked_add(part)?);
        rest = after.trim_start();
    }
    total
}

fn millis_per(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

/// One of a few words.
pub(crate) fn word(key: &Key, input: ParseStream<'_>, legal: &[&str]) -> syn::Result<Ident> {
    equals(key, input)?;
    if !input.peek(Ident::peek_any) {
        return Err(wrong_kind(key, input, &listing(legal, "or")));
    }
    let word = Ident::parse_any(input)?;
    let spelled = word.to_string();
    if legal.contains(&spelled.as_str()) {
        return Ok(word);
    }
    let help = match nearest(&spelled, legal) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `{}`", key.example),
    };
    let text = format!("`{}` is {}\nhelp: {help}", key.ident, listing(legal, "or"));
    Err(syn::Error::new(word.span(), text))
}

/// A type.
pub(crate) fn type_name(key: &Key, input: ParseStream<'_>) -> syn::Result<syn::Type> {
    equals(key, input)?;
    if input.peek(Lit) {
        return Err(wrong_kind(key, input, "a type"));
    }
    input.parse()
}

/// An identifier.
pub(crate) fn ident(key: &Key, input: ParseStream<'_>) -> syn::Result<Ident> {
    equals(key, input)?;
    if input.peek(Ident::peek_any) {
        return Ident::parse_any(input);
    }
    Err(wrong_kind(key, input, "the name of a field, without quotes"))
}

/// The path of a function.
pub(crate) fn path(key: &Key, input: ParseStream<'_>, wanted: &str) -> syn::Result<syn::Path> {
    equals(key, input)?;
    let ahead = input.fork();
    // `f()`, `|x| y` and `f::<T>` are expressions, which no shim could name.
    match syn::Path::parse_mod_style(&ahead) {
        Ok(_) if ahead.is_empty() || ahead.peek(Token![,]) => syn::Path::parse_mod_style(input),
        _ => Err(wrong_kind(key, input, wanted)),
    }
}

/// The path of the crate `mmate`.
pub(crate) fn root(key: &Key, input: ParseStream<'_>) -> syn::Result<crate::paths::Root> {
    equals(key, input)?;
    if input.peek(Lit) {
        return Err(wrong_kind(key, input, "a path"));
    }
    crate::paths::Root::new(syn::Path::parse_mod_style(input)?)
}
