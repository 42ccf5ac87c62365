//! The reader of `key = value` lists, the same for every attribute.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Lit, Token};

use crate::diagnostics::{Errors, listing, nearest};

/// A key that an attribute knows, with an example of its use.
#[derive(Clone, Copy)]
pub(crate) struct KnownKey {
    /// The key.
    pub(crate) name: &'static str,
    /// What a user may copy.
    pub(crate) example: &'static str,
}

/// What an attribute accepts.
pub(crate) struct Table {
    /// The attribute as users write it, for errors.
    pub(crate) place: &'static str,
    /// Its keys, in the order in which they are documented.
    pub(crate) keys: &'static [KnownKey],
}

/// A key as the user wrote it.
#[derive(Clone)]
pub(crate) struct Key {
    /// The identifier, for errors at the key.
    pub(crate) ident: Ident,
    /// The table's example.
    pub(crate) example: &'static str,
}

/// A value that remembers its key.
#[derive(Clone)]
pub(crate) struct Keyed<T> {
    /// The key.
    pub(crate) key: Ident,
    /// The value.
    pub(crate) value: T,
}

impl Key {
    /// An error at the key.
    pub(crate) fn error(&self, text: impl std::fmt::Display) -> syn::Error {
        syn::Error::new(self.ident.span(), text)
    }

    /// The value together with this key.
    pub(crate) fn with<T>(self, value: T) -> Keyed<T> {
        Keyed { key: self.ident, value }
    }
}

/// Reads the arguments of an attribute. `read` is called for each known key that was not there before,
/// and consumes its value; after a mistake the rest of the argument is skipped and reading goes on.
pub(crate) fn read_args(
    tokens: TokenStream,
    table: &Table,
    errors: &mut Errors,
    mut read: impl FnMut(Key, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let parsed = (|input: ParseStream<'_>| {
        read_list(input, table, errors, &mut read);
        Ok(())
    })
    .parse2(tokens);
    leftover(parsed, errors);
}

/// Reports tokens that nobody read, unless that follows from a mistake which was reported.
pub(crate) fn leftover(parsed: syn::Result<()>, errors: &mut Errors) {
    if let Err(error) = parsed
        && !errors.any()
    {
        errors.push(error);
    }
}

/// The same for a list inside parentheses that were opened already.
pub(crate) fn read_list(
    input: ParseStream<'_>,
    table: &Table,
    errors: &mut Errors,
    read: &mut impl FnMut(Key, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let mut seen: Vec<Ident> = Vec::new();
    while !input.is_empty() {
        if let Err(error) = read_one(input, table, &mut seen, errors, read) {
            errors.push(error);
            skip_argument(input);
        }
        if !input.is_empty() && input.parse::<Token![,]>().is_err() {
            errors.push(input.error("write a comma between two keys"));
            skip_argument(input);
            // The comma, or the end.
            let _ = input.parse::<Token![,]>();
        }
    }
}

fn read_one(
    input: ParseStream<'_>,
    table: &Table,
    seen: &mut Vec<Ident>,
    errors: &mut Errors,
    read: &mut impl FnMut(Key, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) -> syn::Result<()> {
    let ident = key_ident(input, table)?;
    let name = ident.to_string();
    let Some(known) = table.keys.iter().find(|known| known.name == name) else {
        return Err(unknown(&ident, table));
    };
    if seen.contains(&ident) {
        let text = format!("`{name}` is there already\nhelp: remove one of the two");
        return Err(syn::Error::new(ident.span(), text));
    }
    seen.push(ident.clone());
    let example = known.example;
    read(Key { ident, example }, input, errors)
}

fn key_ident(input: ParseStream<'_>, table: &Table) -> syn::Result<Ident> {
    if input.peek(Ident::peek_any) {
        return Ident::parse_any(input);
    }
    let example = table.keys.first().map_or("", |known| known.example);
    let text = format!("{} wants keys\nhelp: write them like `{example}`", table.place);
    if input.peek(Lit) {
        let literal: Lit = input.parse()?;
        return Err(syn::Error::new_spanned(literal, text));
    }
    Err(input.error(text))
}

fn unknown(ident: &Ident, table: &Table) -> syn::Error {
    let name = ident.to_string();
    let names: Vec<&str> = table.keys.iter().map(|known| known.name).collect();
    let help = match nearest(&name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it".to_owned(),
    };
    let legal = listing(&names, "and");
    let place = table.place;
    let text = format!("{place} has no key `{name}`; it has {legal}\nhelp: {help}");
    syn::Error::new(ident.span(), text)
}

/// Moves to the next comma or the end.
fn skip_argument(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}
