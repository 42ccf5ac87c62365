//! The way of each attribute from tokens to tokens: parse, validate, emit.
//!
//! These functions take plain token streams, so that unit tests can call them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput};

use crate::diagnostics::Errors;
use crate::emit;
use crate::model::FnItem;
use crate::parse::item::function;
use crate::{parse, validate};

/// `#[message(..)]`.
pub(crate) fn message(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = parse::message::message_args(args, &mut errors);
    let Ok(mut parsed) = syn::parse2::<DeriveInput>(item.clone()) else {
        return with_errors(&item, not_a_type("message", errors));
    };
    validate::message::only_once(&mut parsed, &mut errors);
    let kind = validate::message::check(&args, &parsed, &mut errors);
    let expanded = match kind {
        Some(kind) if !errors.any() => emit::message::message(&args, kind, &parsed),
        _ if can_have_impls(&parsed) => emit::message::stub(&args, &parsed),
        _ => item,
    };
    shown(&parsed.ident, with_errors(&expanded, errors))
}

/// `#[payload]`.
pub(crate) fn payload(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let root = parse::message::payload_args(args, &mut errors);
    let Ok(mut parsed) = syn::parse2::<DeriveInput>(item.clone()) else {
        return with_errors(&item, not_a_type("payload", errors));
    };
    validate::message::only_once(&mut parsed, &mut errors);
    validate::message::check_payload(&parsed, &mut errors);
    let expanded = match &parsed.data {
        Data::Union(_) => item,
        _ => emit::serde::travelling(&parsed, &root),
    };
    shown(&parsed.ident, with_errors(&expanded, errors))
}

/// `#[handler(..)]`.
pub(crate) fn handler(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = parse::handler::handler_args(args, &mut errors);
    let wanted = "`#[handler]` goes on a free `async fn`";
    let Some(parsed) = errors.take(function(item.clone(), wanted)) else {
        return with_errors(&item, errors);
    };
    validate::handler::check(&args, &parsed, &mut errors);
    finish(item, &parsed, errors, |parsed| emit::handler::handler(&args, parsed))
}

/// `#[workflow(..)]`.
pub(crate) fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = parse::workflow::workflow_args(args, &mut errors);
    let Some(mut block) = parse::block::block(&item, &mut errors) else {
        return with_errors(&parse::block::without_stages(item), errors);
    };
    validate::workflow::check(&args, &block, &mut errors);
    let expanded =
        if errors.any() { quote!(#block) } else { emit::workflow::workflow(&args, &mut block) };
    let expanded = with_errors(&expanded, errors);
    match block.state_name() {
        Some(name) => shown(name, expanded),
        None => expanded,
    }
}

/// `#[stage]` where no `#[workflow]` takes it off.
pub(crate) fn stage(item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let text = "`#[stage]` belongs on a method of an `impl` block with `#[workflow]`\nhelp: write `#[workflow]` above the `impl` \
                block of the workflow's state";
    errors.at(proc_macro2::Span::call_site(), text);
    with_errors(item, errors)
}

/// `#[provider]`.
pub(crate) fn provider(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let root = parse::handler::provider_args(args, &mut errors);
    let wanted = "`#[provider]` goes on a free function";
    let Some(parsed) = errors.take(function(item.clone(), wanted)) else {
        return with_errors(&item, errors);
    };
    validate::provider::check(&parsed, &mut errors);
    finish(item, &parsed, errors, |parsed| emit::provider::provider(&root, parsed))
}

/// `#[derive(MessageError)]`.
pub(crate) fn message_error(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(parsed) = errors.take(syn::parse2::<DeriveInput>(item)) else {
        return errors.into_tokens();
    };
    let root = parse::error::root(&parsed.attrs, &mut errors);
    let arms = validate::error::check(&parsed, &mut errors);
    let expanded = if !errors.any() {
        emit::error::message_error(&root, &parsed.ident, &arms)
    } else if can_have_impls(&parsed) {
        emit::error::stub(&root, &parsed.ident)
    } else {
        TokenStream::new()
    };
    shown(&parsed.ident, with_errors(&expanded, errors))
}

/// `#[mmate::main]`.
pub(crate) fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = parse::program::main_args(args, &mut errors);
    let wanted = "`#[mmate::main]` goes on `async fn main()`";
    let Some(parsed) = errors.take(function(item.clone(), wanted)) else {
        return with_errors(&item, errors);
    };
    validate::program::check_main(&parsed, &mut errors);
    // An async `main` is an error of its own.
    let fallback = if parsed.sig.ident == "main" {
        quote!(
            fn main() {}
        )
    } else {
        item
    };
    finish(fallback, &parsed, errors, |parsed| emit::program::main(&args, parsed))
}

/// `#[mmate::test]`.
pub(crate) fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = parse::program::test_args(args, &mut errors);
    let wanted = "`#[mmate::test]` goes on a free `async fn`";
    let Some(parsed) = errors.take(function(item.clone(), wanted)) else {
        return with_errors(&item, errors);
    };
    validate::program::check_test(&parsed, &mut errors);
    finish(item, &parsed, errors, |parsed| emit::program::test(&args, parsed))
}

fn finish(
    item: TokenStream,
    parsed: &FnItem,
    errors: Errors,
    emit: impl FnOnce(&FnItem) -> TokenStream,
) -> TokenStream {
    let expanded = if errors.any() { item } else { emit(parsed) };
    shown(&parsed.sig.ident, with_errors(&expanded, errors))
}

fn with_errors(item: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    quote!(#item #errors)
}

fn not_a_type(attribute: &str, mut errors: Errors) -> Errors {
    let text = format!("`#[{attribute}]` goes on a struct or an enum");
    errors.at(proc_macro2::Span::call_site(), text);
    errors
}

fn can_have_impls(item: &DeriveInput) -> bool {
    item.generics.params.is_empty() && !matches!(item.data, Data::Union(_))
}

/// Prints the expansion of the item that the variable `MMATE_MACROS_DEBUG` names.
fn shown(name: &syn::Ident, expansion: TokenStream) -> TokenStream {
    if std::env::var("MMATE_MACROS_DEBUG").is_ok_and(|wanted| name == &wanted) {
        eprintln!("{expansion}");
    }
    expansion
}
