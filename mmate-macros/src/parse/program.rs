//! The arguments of `#[main]` and `#[test]`.

use proc_macro2::TokenStream;
use syn::parse::Parse as _;
use syn::parse::ParseStream;
use syn::{Ident, LitStr, Token};

use super::args::{Key, KnownKey, Table, read_args};
use super::values;
use crate::diagnostics::Errors;
use crate::model::ProgramArgs;

const CRATES: KnownKey = KnownKey { name: "crates", example: "crates(orders, billing)" };
const ROOT: KnownKey = KnownKey { name: "crate", example: "crate = ::mmate" };
const THREADS: KnownKey = KnownKey { name: "worker_threads", example: "worker_threads = 4" };
const LOG: KnownKey = KnownKey { name: "log", example: "log = \"warn\"" };
const FLAGS: KnownKey = KnownKey { name: "flags", example: "flags(dry_run = \"Change nothing\")" };

const MAIN_KEYS: Table =
    Table { place: "`#[mmate::main]`", keys: &[CRATES, THREADS, LOG, FLAGS, ROOT] };
const TEST_KEYS: Table = Table { place: "`#[mmate::test]`", keys: &[CRATES, ROOT] };

/// Reads the arguments of `#[main]`.
pub(crate) fn main_args(tokens: TokenStream, errors: &mut Errors) -> ProgramArgs {
    read(tokens, &MAIN_KEYS, errors)
}

/// Reads the arguments of `#[test]`.
pub(crate) fn test_args(tokens: TokenStream, errors: &mut Errors) -> ProgramArgs {
    read(tokens, &TEST_KEYS, errors)
}

fn read(tokens: TokenStream, table: &Table, errors: &mut Errors) -> ProgramArgs {
    let mut args = ProgramArgs::default();
    read_args(tokens, table, errors, |key, input, _| {
        let word = key.ident.to_string();
        match word.as_str() {
            "crates" => args.crates = Some(crates(&key, input).map(|value| key.with(value))?),
            "worker_threads" => {
                let (_, literal) = values::number(&key, input, 1..=1024)?;
                args.worker_threads = Some(key.with(literal));
            }
            "log" => args.log = Some(values::text(&key, input).map(|value| key.with(value))?),
            "flags" => args.flags = Some(flags(&key, input).map(|value| key.with(value))?),
            _ => args.root = values::root(&key, input)?,
        }
        Ok(())
    });
    args
}

/// Flags that every program has, and the key that no flag may set.
const TAKEN: [&str; 4] = ["wait", "help", "version", "url"];

fn flags(key: &Key, input: ParseStream<'_>) -> syn::Result<Vec<(Ident, LitStr)>> {
    let example = key.example;
    let wanted =
        || key.error(format!("`flags` takes names with their help texts\nhelp: write `{example}`"));
    if !input.peek(syn::token::Paren) {
        return Err(wanted());
    }
    let content;
    syn::parenthesized!(content in input);
    let flags = content.parse_terminated(flag, Token![,])?;
    if flags.is_empty() {
        return Err(wanted());
    }
    let mut seen: Vec<String> = TAKEN.map(str::to_owned).to_vec();
    for (name, _) in &flags {
        if seen.contains(&name.to_string()) {
            let text =
                format!("there is a flag `{name}` already\nhelp: give this one another name");
            return Err(syn::Error::new(name.span(), text));
        }
        seen.push(name.to_string());
    }
    Ok(flags.into_iter().collect())
}

fn flag(input: ParseStream<'_>) -> syn::Result<(Ident, LitStr)> {
    let name: Ident = input.parse()?;
    if !input.peek(Token![=]) || !input.peek2(LitStr) {
        let text =
            format!("flag `{name}` has no help text\nhelp: write `{name} = \"What it does\"`");
        return Err(syn::Error::new(name.span(), text));
    }
    input.parse::<Token![=]>()?;
    let description = input.parse()?;
    Ok((name, description))
}

fn crates(key: &Key, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let wanted =
        || key.error("`crates` takes the names of crates\nhelp: write `crates(orders, billing)`");
    if !input.peek(syn::token::Paren) {
        return Err(wanted());
    }
    let content;
    syn::parenthesized!(content in input);
    let names = content.parse_terminated(Ident::parse, Token![,])?;
    if names.is_empty() {
        return Err(wanted());
    }
    Ok(names.into_iter().collect())
}
