//! Two layers below the ui tests: mistakes as texts, and whole expansions as files.

mod expansions;
mod mistakes;
mod workflows;

use proc_macro2::{TokenStream, TokenTree};

/// The texts of all `compile_error!` calls in an expansion, without their help.
fn errors_of(expansion: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_name = false;
    for token in expansion {
        match token {
            TokenTree::Ident(word) => after_name = word == "compile_error",
            TokenTree::Group(group) if after_name => {
                let text: syn::LitStr = syn::parse2(group.stream()).unwrap();
                let text = text.value();
                found.push(text.lines().next().unwrap_or_default().to_owned());
            }
            TokenTree::Group(group) => found.extend(errors_of(group.stream())),
            _ => {}
        }
    }
    found
}
