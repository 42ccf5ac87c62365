//! Rules of the methods that stages name: what undoes them, and what is asked about the state.

use proc_macro2::Ident;
use quote::ToTokens as _;
use syn::{FnArg, ReturnType, Type};

use crate::diagnostics::{Errors, nearest};
use crate::model::{Borrow, FnItem, ImplBlock};
use crate::parse::args::Keyed;
use crate::validate::signature::{self, Subject};

/// Looks every name up, and judges each method once.
pub(super) fn check(block: &ImplBlock, errors: &mut Errors) {
    let (mut undos, mut tests) = (Vec::new(), Vec::new());
    for stage in block.stages() {
        if let Some(name) = &stage.args.compensate {
            let help = "async fn {}(&mut self) -> Result { .. }";
            undos.extend(find(block, name, help, errors));
        }
        for name in stage.args.when.iter().chain(&stage.args.repeat) {
            tests.extend(find(block, name, "fn {}(&self) -> bool { .. }", errors));
        }
    }
    for method in block.methods() {
        let is_named = |named: &[&Ident]| named.contains(&&method.sig.ident);
        if is_named(&undos) {
            undo(method, errors);
        }
        if is_named(&tests) {
            test(method, errors);
        }
    }
}

/// The name of the method, if it is there. `signature` is what one would write, with the name for the braces.
fn find<'a>(
    block: &'a ImplBlock,
    name: &Keyed<Ident>,
    signature: &str,
    errors: &mut Errors,
) -> Option<&'a Ident> {
    let Keyed { key, value: wanted } = name;
    let names: Vec<&Ident> = block.methods().iter().map(|method| &method.sig.ident).collect();
    if let Some(found) = names.iter().find(|name| **name == wanted) {
        return Some(found);
    }
    let text = if block.stages().iter().any(|stage| stage.item.sig.ident == *wanted) {
        format!("`{wanted}` is a stage itself\nhelp: name a method without `#[stage]`")
    } else {
        let spelled: Vec<String> = names.iter().map(ToString::to_string).collect();
        let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let help = match nearest(&wanted.to_string(), &spelled) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write `{}`", signature.replace("{}", &wanted.to_string())),
        };
        format!("`{key}` names a method of this block, and there is no `{wanted}`\nhelp: {help}")
    };
    errors.at(wanted.span(), text);
    None
}

fn undo(method: &FnItem, errors: &mut Errors) {
    signature::check_method(method, Subject::COMPENSATION, errors);
    let name = &method.sig.ident;
    let help = format!("help: write `async fn {name}(&mut self, ..) -> Result`");
    match (Borrow::of(&method.sig), method.sig.receiver()) {
        (Borrow::None, _) => {
            errors
                .at(name.span(), format!("compensation `{name}` does not take the state\n{help}"));
        }
        (Borrow::Owned, Some(receiver)) => {
            errors.on(receiver, format!("compensation `{name}` borrows the state\n{help}"));
        }
        _ => {}
    }
}

fn test(method: &FnItem, errors: &mut Errors) {
    let sig = &method.sig;
    let name = &sig.ident;
    let help = format!("help: write `fn {name}(&self) -> bool`");
    if let Some(word) = &sig.asyncness {
        let text = format!("`{name}` is asked about the state, and cannot wait\n{help}");
        errors.on(word, text);
    }
    if !sig.generics.params.is_empty() {
        let text = format!("`{name}` is called by the framework, and cannot be generic\n{help}");
        errors.on(&sig.generics, text);
    }
    match (Borrow::of(sig), sig.receiver()) {
        (Borrow::Shared, _) => {}
        (_, Some(receiver)) => {
            errors
                .on(receiver, format!("`{name}` looks at the state, and changes nothing\n{help}"));
        }
        (_, None) => {
            errors.at(name.span(), format!("`{name}` does not take the state\n{help}"));
        }
    }
    let mut further = sig.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
    if let Some(parameter) = further.next() {
        errors.on(parameter, format!("`{name}` is asked about the state alone\n{help}"));
    }
    let text = format!("`{name}` answers yes or no\n{help}");
    match &sig.output {
        ReturnType::Default => errors.at(name.span(), text),
        ReturnType::Type(_, ty) if !is_bool(ty) => errors.on(ty, text),
        ReturnType::Type(..) => {}
    }
}

fn is_bool(ty: &Type) -> bool {
    ty.to_token_stream().into_iter().last().is_some_and(|last| last.to_string() == "bool")
}
