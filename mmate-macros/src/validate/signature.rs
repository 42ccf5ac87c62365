//! Rules of every function that the framework calls.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{ReturnType, Safety, Signature, Type};

use crate::diagnostics::Errors;
use crate::model::FnItem;

/// What kind of function is judged, in the words of its errors.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// `handler`, `provider`, ..
    pub(crate) noun: &'static str,
    /// What to do instead of taking `self`.
    pub(crate) instead_of_self: &'static str,
    /// What to do instead of borrowing a parameter.
    pub(crate) instead_of_borrow: &'static str,
    /// Whether it may also be an ordinary function.
    pub(crate) sync_allowed: bool,
}

impl Subject {
    pub(crate) const HANDLER: Self = Self {
        noun: "handler",
        instead_of_self: "handlers are free functions; take `State<T>` instead",
        instead_of_borrow: "take the parameter by value",
        sync_allowed: false,
    };
    pub(crate) const PROVIDER: Self = Self {
        noun: "provider",
        instead_of_self: "providers are free functions; take `State<T>` of another provider instead",
        instead_of_borrow: "take the parameter by value",
        sync_allowed: true,
    };
    pub(crate) const STAGE: Self = Self {
        noun: "stage",
        instead_of_self: "",
        instead_of_borrow: "take the parameter by value",
        sync_allowed: false,
    };
    pub(crate) const COMPENSATION: Self = Self { noun: "compensation", ..Self::STAGE };
    pub(crate) const FOLLOW_UP: Self = Self { noun: "follow-up", ..Self::STAGE };
    pub(crate) const MAIN: Self = Self {
        noun: "program",
        instead_of_self: "the program is a free function",
        instead_of_borrow: "",
        sync_allowed: false,
    };
    pub(crate) const TEST: Self = Self {
        noun: "test",
        instead_of_self: "tests are free functions; take `app: TestApp` instead",
        instead_of_borrow: "take the `TestApp` by value",
        sync_allowed: false,
    };
}

/// Judges everything but the number of parameters. What the compiler itself refuses, such as a missing body,
/// is left to it.
pub(crate) fn check(item: &FnItem, subject: Subject, errors: &mut Errors) {
    qualifiers(&item.sig, subject, errors);
    generics(&item.sig, subject, errors);
    if let Some(receiver) = item.sig.receiver() {
        errors.on(receiver, subject.instead_of_self);
    }
    types(item, subject, errors);
}

/// The same for a method, whose `self` is judged elsewhere.
pub(crate) fn check_method(item: &FnItem, subject: Subject, errors: &mut Errors) {
    qualifiers(&item.sig, subject, errors);
    generics(&item.sig, subject, errors);
    types(item, subject, errors);
}

fn types(item: &FnItem, subject: Subject, errors: &mut Errors) {
    for ty in item.parameters() {
        parameter(ty, subject, errors);
    }
    output(&item.sig, subject, errors);
}

fn name(sig: &Signature, subject: Subject) -> String {
    format!("{} `{}`", subject.noun, sig.ident)
}

fn qualifiers(sig: &Signature, subject: Subject, errors: &mut Errors) {
    let who = name(sig, subject);
    if let (Some(word), None) = (&sig.constness, &sig.asyncness) {
        errors.on(word, format!("{who} cannot be `const`\nhelp: remove `const`"));
    } else if sig.asyncness.is_none() && !subject.sync_allowed {
        errors
            .on(sig.fn_token, format!("{who} must be async\nhelp: write `async fn {}`", sig.ident));
    }
    if let Safety::Unsafe(word) = &sig.safety {
        errors.on(
            word,
            format!("{who} cannot be `unsafe`: the framework calls it\nhelp: remove `unsafe`"),
        );
    }
    if let Some(abi) = &sig.abi {
        errors.on(abi, format!("{who} cannot have an ABI\nhelp: remove `extern`"));
    }
}

fn generics(sig: &Signature, subject: Subject, errors: &mut Errors) {
    let who = name(sig, subject);
    if !sig.generics.params.is_empty() {
        let text = format!(
            "{who} cannot be generic: the framework calls it by itself\nhelp: write the types out"
        );
        errors.on(&sig.generics, text);
    } else if let Some(clause) = &sig.generics.where_clause {
        errors.on(clause, format!("{who} cannot have a `where` clause\nhelp: remove it"));
    }
}

fn parameter(ty: &Type, subject: Subject, errors: &mut Errors) {
    let tokens = ty.to_token_stream();
    if let Some(place) = find(tokens.clone(), &is_impl) {
        let text = format!(
            "a {} names the types of its parameters\nhelp: write the type instead of `impl ..`",
            subject.noun
        );
        errors.push(syn::Error::new(place, text));
    } else if borrows(ty) && !subject.instead_of_borrow.is_empty() {
        let text =
            format!("a {} owns its parameters\nhelp: {}", subject.noun, subject.instead_of_borrow);
        errors.on(ty, text);
    }
}

/// Whether a type holds a reference, or a lifetime that is not `'static`.
pub(crate) fn borrows(ty: &Type) -> bool {
    find(ty.to_token_stream(), &is_borrow).is_some()
}

fn output(sig: &Signature, subject: Subject, errors: &mut Errors) {
    let ReturnType::Type(_, ty) = &sig.output else {
        return;
    };
    if find(ty.to_token_stream(), &is_impl).is_some() {
        let text = format!(
            "a {} names the type that it returns\nhelp: write the type instead of `impl ..`",
            subject.noun
        );
        errors.on(ty, text);
    }
}

/// The place of the first token that `wanted` accepts, at any depth.
fn find(
    tokens: TokenStream,
    wanted: &dyn Fn(&TokenTree, Option<&TokenTree>) -> bool,
) -> Option<Span> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if wanted(&token, tokens.peek()) {
            return Some(token.span());
        }
        if let TokenTree::Group(group) = &token
            && let Some(found) = find(group.stream(), wanted)
        {
            return Some(found);
        }
    }
    None
}

fn is_impl(token: &TokenTree, _: Option<&TokenTree>) -> bool {
    matches!(token, TokenTree::Ident(word) if word == "impl")
}

/// A reference or a lifetime, `'static` aside.
fn is_borrow(token: &TokenTree, next: Option<&TokenTree>) -> bool {
    let TokenTree::Punct(punct) = token else {
        return false;
    };
    match punct.as_char() {
        '&' => true,
        '\'' => !matches!(next, Some(TokenTree::Ident(word)) if word == "static"),
        _ => false,
    }
}
