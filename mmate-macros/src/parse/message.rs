//! The arguments of `#[message]` and `#[payload]`.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Lit, Token};

use super::args::{Key, KnownKey, Table, read_args, read_list};
use super::values;
use crate::diagnostics::{Errors, listing, nearest};
use crate::model::{Kind, MessageArgs};
use crate::paths::Root;

const KEYS: Table = Table {
    place: "`#[message]`",
    keys: &[
        KnownKey {
            name: "service",
            example: "service = \"orders\"",
        },
        KnownKey {
            name: "queue",
            example: "queue = \"cmd.orders.create\"",
        },
        KnownKey {
            name: "aggregate",
            example: "aggregate = \"order\"",
        },
        KnownKey {
            name: "key",
            example: "key = order_id",
        },
        KnownKey {
            name: "reply",
            example: "reply = OrderPlaced",
        },
        KnownKey {
            name: "name",
            example: "name = \"OrderCreated\"",
        },
        KnownKey {
            name: "alias",
            example: "alias = \"OrderMade\"",
        },
        KnownKey {
            name: "version",
            example: "version = 2",
        },
        KnownKey {
            name: "priority",
            example: "priority = 9",
        },
        KnownKey {
            name: "ttl",
            example: "ttl = \"10m\"",
        },
        KnownKey {
            name: "crate",
            example: "crate = ::mmate",
        },
    ],
};

const PAYLOAD_KEYS: Table = Table {
    place: "`#[payload]`",
    keys: &[KnownKey {
        name: "crate",
        example: "crate = ::mmate",
    }],
};

/// Reads `KIND, key = value, ..`.
pub(crate) fn message_args(tokens: TokenStream, errors: &mut Errors) -> MessageArgs {
    let mut args = MessageArgs::default();
    let parsed = (|input: ParseStream<'_>| {
        args.kind = kind(input, errors);
        let mut read = |key: Key, input: ParseStream<'_>, errors: &mut Errors| {
            read_key(&mut args, key, input, errors)
        };
        read_list(input, &KEYS, errors, &mut read);
        Ok(())
    })
    .parse2(tokens);
    errors.take(parsed);
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
        missing_kind(input, errors);
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
        errors.on(
            literal,
            "the kind is a word without quotes\nhelp: write `#[message(event)]`",
        );
    }
    // What follows is read as keys.
    let _ = input.parse::<Token![,]>();
}

fn missing_kind(input: ParseStream<'_>, errors: &mut Errors) {
    let late = input.fork().parse::<TokenStream>().ok().and_then(late_kind);
    match late {
        Some(word) => errors.at(
            word.span(),
            format!("the kind stands first\nhelp: write `#[message({word}, ..)]`"),
        ),
        None => errors.at(
            Span::call_site(),
            "a message is of a kind\nhelp: write `#[message(command)]`, `#[message(event)]`, \
             `#[message(query, reply = ..)]` or `#[message(reply)]`",
        ),
    }
}

/// A kind that stands alone between commas, but not first.
fn late_kind(tokens: TokenStream) -> Option<Ident> {
    let mut after_comma = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let alone =
            !matches!(tokens.peek(), Some(proc_macro2::TokenTree::Punct(p)) if p.as_char() != ',');
        match token {
            proc_macro2::TokenTree::Ident(word)
                if after_comma && alone && Kind::from_word(&word.to_string()).is_some() =>
            {
                return Some(word);
            }
            proc_macro2::TokenTree::Punct(punct) => after_comma = punct.as_char() == ',',
            _ => after_comma = false,
        }
    }
    None
}

fn read_key(
    args: &mut MessageArgs,
    key: Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let word = key.ident.to_string();
    match word.as_str() {
        "service" => args.service = Some(values::name(&key, input).map(|value| key.with(value))?),
        "queue" => args.queue = Some(values::name(&key, input).map(|value| key.with(value))?),
        "aggregate" => {
            args.aggregate = Some(values::name(&key, input).map(|value| key.with(value))?)
        }
        "key" => args.key = Some(values::ident(&key, input).map(|value| key.with(value))?),
        "reply" => reply(args, key, input, errors)?,
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

/// `reply` is a key and a kind; alone it can only have been meant as the kind.
fn reply(
    args: &mut MessageArgs,
    key: Key,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let alone = input.is_empty() || input.peek(Token![,]);
    if alone && args.kind.is_none() && errors.any() {
        // Reported as a kind that does not stand first.
        return Ok(());
    }
    args.reply = Some(values::type_name(&key, input).map(|value| key.with(value))?);
    Ok(())
}
