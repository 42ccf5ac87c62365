//! The attributes of `#[derive(MessageError)]`.

use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Attribute, Ident, LitStr, Meta, Token};

use super::args::{KnownKey, Table, read_args};
use super::values;
use crate::diagnostics::{Errors, listing, nearest};
use crate::model::Class;
use crate::paths::Root;

const WORDS: [&str; 7] =
    ["transient", "throttle", "invalid", "permanent", "system", "unknown", "reject"];

const HELP: &str = "write `#[class(transient)]`, or `#[class(reject = \"CODE\")]` for a refusal";

const ROOT_KEYS: Table =
    Table { place: "`#[mmate]`", keys: &[KnownKey { name: "crate", example: "crate = ::mmate" }] };

/// The class that `#[class(..)]` names. `Err` stands for one that was reported.
pub(crate) fn class(attrs: &[Attribute], errors: &mut Errors) -> Option<Class> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("class")) {
        if found.is_some() {
            errors.on(attr, "there is a class already\nhelp: remove one of the two");
            continue;
        }
        found = errors.take(read_class(attr));
    }
    found
}

fn read_class(attr: &Attribute) -> syn::Result<Class> {
    match &attr.meta {
        Meta::List(list) if !list.tokens.is_empty() => attr.parse_args_with(class_word),
        _ => Err(syn::Error::new_spanned(
            attr,
            format!("a class is named in parentheses\nhelp: {HELP}"),
        )),
    }
}

fn class_word(input: ParseStream<'_>) -> syn::Result<Class> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error(format!("`class` takes one word\nhelp: {HELP}")));
    }
    let word = input.call(Ident::parse_any)?;
    let spelled = word.to_string();
    if spelled == "reject" {
        return reject_code(&word, input);
    }
    let Some(variant) = variant_of(&spelled) else {
        return Err(unknown_class(&word, &spelled));
    };
    if input.is_empty() {
        return Ok(Class::Plain(variant, word));
    }
    let text = format!("`{spelled}` stands alone\nhelp: write `#[class({spelled})]`");
    Err(syn::Error::new(input.span(), text))
}

fn reject_code(word: &Ident, input: ParseStream<'_>) -> syn::Result<Class> {
    let example = "help: write `#[class(reject = \"OUT_OF_STOCK\")]`";
    if !input.peek(Token![=]) {
        let text = format!("a refusal has a code, which the caller sees\n{example}");
        return Err(syn::Error::new(word.span(), text));
    }
    input.parse::<Token![=]>()?;
    if !input.peek(LitStr) {
        return Err(input.error(format!("the code is a text in quotes\n{example}")));
    }
    let code: LitStr = input.parse()?;
    if code.value().trim().is_empty() {
        return Err(syn::Error::new(code.span(), format!("the code is empty\n{example}")));
    }
    Ok(Class::Reject(code))
}

fn variant_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "transient" => "Transient",
        "throttle" => "Throttle",
        "invalid" => "Invalid",
        "permanent" => "Permanent",
        "system" => "System",
        "unknown" => "Unknown",
        _ => return None,
    })
}

fn unknown_class(word: &Ident, spelled: &str) -> syn::Error {
    let help = nearest(spelled, &WORDS)
        .map_or_else(|| HELP.to_owned(), |near| format!("did you mean `{near}`?"));
    let legal = listing(&WORDS, "and");
    let text = format!("there is no class `{spelled}`; the classes are {legal}\nhelp: {help}");
    syn::Error::new(word.span(), text)
}

/// The path that `#[mmate(crate = ..)]` names.
pub(crate) fn root(attrs: &[Attribute], errors: &mut Errors) -> Root {
    let mut root = Root::default();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("mmate")) {
        let Meta::List(list) = &attr.meta else {
            errors.on(
                attr,
                "`#[mmate]` takes the path of the crate\nhelp: write `#[mmate(crate = ::path)]`",
            );
            continue;
        };
        read_args(list.tokens.clone(), &ROOT_KEYS, errors, |key, input, _| {
            root = values::root(&key, input)?;
            Ok(())
        });
    }
    root
}
