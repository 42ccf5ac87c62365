//! The arguments of `#[message]` and `#[payload]`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Lit, Token};

use super::args::{Key, KnownKey, Table, leftover, read_args, read_list};
use super::values;
use crate::diagnostics::{Errors, listing, nearest};
use crate::model::{Kind, MessageArgs};
use crate::paths::Root;

const KEYS: Table = Table {
    place: "`#[message]`",
    keys: &[
        KnownKey { name: "service", example: "service = \"orders\"" },
        KnownKey { name: "queue", example: "queue = \"cmd.orders.create\"" },
        KnownKey { name: "aggregate", example: "aggregate = \"order\"" },
        KnownKey { name: "key", example: "key = order_id" },
        KnownKey { name: "reply", example: "reply = OrderPlaced" },
        KnownKey { name: "name", example: "name = \"OrderCreated\"" },
        KnownKey { name: "alias", example: "alias = \"OrderMade\"" },
        KnownKey { name: "version", example: "version = 2" },
        KnownKey { name: "priority", example: "priority = 9" },
        KnownKey { name: "ttl", example: "ttl = \"10m\"" },
        KnownKey { name: "crate", example: "crate = ::mmate" },
    ],
};

const PAYLOAD_KEYS: Table = Table {
    place: "`#[payload]`",
    keys: &[KnownKey { name: "crate", example: "crate = ::mmate" }],
};

/// Reads `KIND, key = value, ..`.
pub(crate) fn message_args(tokens: TokenStream, errors: &mut Errors) -> MessageArgs {
    let mut args = MessageArgs::default();
    let (tokens, late) = without_late_kind(tokens);
    let parsed = (|input: ParseStream<'_>| {
        args.kind = match late {
            Some((kind, word)) => {
                let text = format!("the kind stands first\nhelp: write `#[message({word}, ..)]`");
                errors.at(word.span(), text);
                Some((kind, word))
            }
            None => kind(input, errors),
        };
        read_list(input, &KEYS, errors, &mut |key, input, _| read_key(&mut args, key, input));
        Ok(())
    })
    .parse2(tokens);
    leftover(parsed, errors);
    args
}

/// Reads the arguments of `#[payload]`.
pub(crate) fn payload_args(tokens: TokenStream, errors: &mut Errors) -> Root {
    let mut root = Root::default();
    read_args(tokens, &PAYLOAD_KEYS, errors, |key, input, _| {
        root = values::root(&key, input)?;
        Ok(())
    });
    root
}

/// The kind and the comma after it. What is no kind is reported here, once.
fn kind(input: ParseStream<'_>, errors: &mut Errors) -> Option<(Kind, Ident)> {
    if input.peek(Lit) {
        kind_as_text(input, errors);
        return None;
    }
    let ahead = input.fork();
    let first = ahead.call(Ident::parse_any).ok();
    let bare = first.filter(|_| ahead.is_empty() || ahead.peek(Token![,]));
    let Some(word) = bare else {
        missing_kind(errors);
        return None;
    };
    // The forks agree: the word, then perhaps a comma.
    let _ = input.call(Ident::parse_any);
    let _ = input.parse::<Token![,]>();
    let spelled = word.to_string();
    let Some(kind) = Kind::from_word(&spelled) else {
        let help = match nearest(&spelled, &Kind::WORDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write `#[message(event)]`".to_owned(),
        };
        let kinds = listing(&Kind::WORDS, "and");
        errors.at(
            word.span(),
            format!("`{spelled}` is not a kind of message; the kinds are {kinds}\nhelp: {help}"),
        );
        return None;
    };
    Some((kind, word))
}

fn kind_as_text(input: ParseStream<'_>, errors: &mut Errors) {
    if let Some(literal) = errors.take(input.parse::<Lit>()) {
        errors.on(literal, "the kind is a word without quotes\nhelp: write `#[message(event)]`");
    }
    // What follows is read as keys.
    let _ = input.parse::<Token![,]>();
}

fn missing_kind(errors: &mut Errors) {
    errors.at(
        Span::call_site(),
        "a message is of a kind\nhelp: write `#[message(command)]`, `#[message(event)]`, \
         `#[message(query, reply = ..)]` or `#[message(reply)]`",
    );
}

/// Takes a kind that stands alone, but not first, out of arguments that begin with something else.
fn without_late_kind(tokens: TokenStream) -> (TokenStream, Option<(Kind, Ident)>) {
    let mut rest: Vec<TokenTree> = tokens.into_iter().collect();
    let alone = |at: usize| rest.get(at + 1).is_none_or(is_comma);
    if alone(0) {
        return (rest.into_iter().collect(), None);
    }
    let found = rest.iter().enumerate().skip(1).find_map(|(at, token)| {
        let after_comma = rest.get(at - 1).is_some_and(is_comma);
        let TokenTree::Ident(word) = token else {
            return None;
        };
        let kind = Kind::from_word(&word.to_string()).filter(|_| after_comma && alone(at))?;
        Some((at, kind, word.clone()))
    });
    let late = found.map(|(at, kind, word)| {
        // The comma before it goes with it.
        rest.drain(at - 1..=at);
        (kind, word)
    });
    (rest.into_iter().collect(), late)
}

fn is_comma(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')
}

fn read_key(args: &mut MessageArgs, key: Key, input: ParseStream<'_>) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "service" => args.service = Some(values::name(&key, input).map(|value| key.with(value))?),
        "queue" => args.queue = Some(values::name(&key, input).map(|value| key.with(value))?),
        "aggregate" => {
            args.aggregate = Some(values::name(&key, input).map(|value| key.with(value))?)
        }
        "key" => args.key = Some(values::ident(&key, input).map(|value| key.with(value))?),
        "reply" => args.reply = Some(values::type_name(&key, input).map(|value| key.with(value))?),
        "name" => args.name = Some(values::name(&key, input).map(|value| key.with(value))?),
        "alias" => args.alias = Some(values::names(&key, input).map(|value| key.with(value))?),
        "version" => {
            let (value, _) = values::number(&key, input, 1..=u64::from(u32::MAX))?;
            args.version = Some(key.with(value));
        }
        "priority" => {
            let (value, _) = values::number(&key, input, 0..=9)?;
            args.priority = Some(key.with(value));
        }
        "ttl" => args.ttl = Some(values::duration(&key, input).map(|value| key.with(value))?),
        _ => args.root = values::root(&key, input)?,
    }
    Ok(())
}
