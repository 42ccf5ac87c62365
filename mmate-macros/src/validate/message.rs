//! Rules of `#[message]` and `#[payload]`.

use syn::{Data, DataEnum, DataStruct, DeriveInput, Fields, Ident};

use crate::diagnostics::{Errors, nearest};
use crate::emit::serde::has_key;
use crate::model::{Kind, MessageArgs};
use crate::parse::args::Keyed;

/// Judges the arguments and the item together. `None` if the kind is not known.
pub(crate) fn check(args: &MessageArgs, item: &DeriveInput, errors: &mut Errors) -> Option<Kind> {
    shape(item, errors);
    names(args, item, errors);
    key_field(args, item, errors);
    let (kind, word) = args.kind.as_ref()?;
    keys_of_kind(args, *kind, errors);
    if *kind == Kind::Query && args.reply.is_none() {
        let text = format!(
            "query `{}` names no reply\nhelp: write `#[message(query, reply = SomeReply)]`",
            item.ident
        );
        errors.at(word.span(), text);
    }
    Some(*kind)
}

/// Takes a second `#[message]` or `#[payload]` off the item: both derive the same.
pub(crate) fn only_once(item: &mut DeriveInput, errors: &mut Errors) {
    item.attrs.retain(|attr| {
        let last = attr.path().segments.last().map(|last| last.ident.to_string());
        let again = matches!(last.as_deref(), Some("message" | "payload"));
        if again {
            errors.on(
                attr,
                "one attribute is enough: a message is also a payload\nhelp: remove one of the two",
            );
        }
        !again
    });
}

/// Judges a payload.
pub(crate) fn check_payload(item: &DeriveInput, errors: &mut Errors) {
    if let Data::Union(data) = &item.data {
        errors.on(
            data.union_token,
            "a union has no form on the wire\nhelp: write a struct or an enum",
        );
    }
}

/// A message is a JSON object, for peers of every language.
fn shape(item: &DeriveInput, errors: &mut Errors) {
    let name = &item.ident;
    if !item.generics.params.is_empty() {
        let text = format!(
            "message `{name}` cannot be generic: one type has one name on the wire\nhelp: write the \
             types out; a nested `#[payload]` may be generic"
        );
        errors.on(&item.generics, text);
    } else if let Some(clause) = &item.generics.where_clause {
        errors.on(clause, "a message has no `where` clause\nhelp: remove it");
    }
    match &item.data {
        Data::Struct(data) => struct_shape(name, data, errors),
        Data::Enum(data) => enum_shape(item, data, errors),
        Data::Union(data) => errors.on(
            data.union_token,
            "a union has no form on the wire\nhelp: write a struct or an enum",
        ),
    }
}

fn struct_shape(name: &Ident, data: &DataStruct, errors: &mut Errors) {
    match &data.fields {
        Fields::Named(_) => {}
        Fields::Unit => errors.at(
            name.span(),
            format!(
                "peers read a JSON object, and `{name}` is none\nhelp: write `struct {name} {{}}`"
            ),
        ),
        Fields::Unnamed(fields) => errors.on(
            fields,
            format!(
                "peers read a JSON object, whose fields have names\nhelp: name the fields: `struct \
                 {name} {{ value: .. }}`"
            ),
        ),
    }
}

fn enum_shape(item: &DeriveInput, data: &DataEnum, errors: &mut Errors) {
    if data.variants.is_empty() {
        let text = "an enum without variants has no values to send\nhelp: write `struct` instead";
        errors.on(data.enum_token, text);
    }
    if has_key(&item.attrs, "serde", "tag") {
        return;
    }
    let unit = data.variants.iter().find(|variant| matches!(variant.fields, Fields::Unit));
    if let Some(variant) = unit {
        let text = format!(
            "`{}` would travel as a bare string, and peers read a JSON object\nhelp: write \
             `#[serde(tag = \"type\")]` below `#[message]`",
            variant.ident
        );
        errors.on(&variant.ident, text);
    }
}

fn names(args: &MessageArgs, item: &DeriveInput, errors: &mut Errors) {
    let Some(alias) = &args.alias else { return };
    let own = args.name.as_ref().map_or_else(|| item.ident.to_string(), |name| name.value.value());
    let mut seen: Vec<String> = vec![own.clone()];
    for literal in &alias.value {
        let text = literal.value();
        if text == own {
            let text = format!("`{own}` is the message's name already\nhelp: remove the alias");
            errors.at(literal.span(), text);
        } else if seen.contains(&text) {
            errors.at(literal.span(), format!("alias `{text}` is there already\nhelp: remove it"));
        }
        seen.push(text);
    }
    if alias.value.is_empty() {
        errors.at(
            alias.key.span(),
            "`alias` names nothing\nhelp: remove it, or write `alias = \"OldName\"`",
        );
    }
}

fn key_field(args: &MessageArgs, item: &DeriveInput, errors: &mut Errors) {
    let Some(key) = &args.key else { return };
    let field = &key.value;
    let fields = match &item.data {
        Data::Struct(data) => &data.fields,
        _ => {
            let text = "`key` names a field, and an enum has none of its own\nhelp: remove `key`";
            errors.at(key.key.span(), text);
            return;
        }
    };
    let names: Vec<String> =
        fields.iter().filter_map(|field| field.ident.as_ref()).map(ToString::to_string).collect();
    // A struct without named fields has been reported.
    if names.contains(&field.to_string()) || !matches!(fields, Fields::Named(_)) {
        return;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let help = match nearest(&field.to_string(), &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name the field that identifies what the message is about".to_owned(),
    };
    errors.at(field.span(), format!("`{}` has no field `{field}`\nhelp: {help}", item.ident));
}

/// Keys that mean nothing for the message's kind.
fn keys_of_kind(args: &MessageArgs, kind: Kind, errors: &mut Errors) {
    let (command, query) = (kind == Kind::Command, kind == Kind::Query);
    let event = kind == Kind::Event;
    let addressed = command || query;
    let mut judge = |key: Option<&Ident>, fits: bool, owners: &str, help: &str| {
        let Some(key) = key.filter(|_| !fits) else {
            return;
        };
        let (article, kind) = (article(kind), kind.word());
        errors.at(key.span(), format!("{article} {kind} has no `{key}`; {owners}\nhelp: {help}"));
    };
    let to_one = "commands and queries are sent to one service";
    judge(key_of(&args.service), addressed, to_one, "remove it");
    judge(
        key_of(&args.queue),
        addressed,
        "commands and queries are sent to one queue",
        "remove it",
    );
    judge(
        key_of(&args.aggregate),
        event,
        "only events are about an aggregate",
        "remove it, or write `#[message(event, ..)]`",
    );
    judge(
        key_of(&args.key),
        event || command,
        "events and commands are about something",
        "remove it",
    );
    let help = if event { "remove it, or write `#[message(command, ..)]`" } else { "remove it" };
    judge(key_of(&args.reply), addressed, "only commands and queries are answered", help);
}

fn key_of<T>(value: &Option<Keyed<T>>) -> Option<&Ident> {
    value.as_ref().map(|value| &value.key)
}

fn article(kind: Kind) -> &'static str {
    if kind == Kind::Event { "an" } else { "a" }
}
