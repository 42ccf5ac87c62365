//! Checked definitions to Rust.
//!
//! Emitted code names the user's own tokens, `::core`, `::std` and `<root>::__private`, nothing else,
//! so that it means the same wherever the user writes it.

pub(crate) mod error;
pub(crate) mod handler;
pub(crate) mod message;
pub(crate) mod program;
pub(crate) mod provider;
pub(crate) mod serde;
mod stage;
mod wait;
pub(crate) mod workflow;

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Attribute;
use syn::ext::IdentExt as _;

/// Where an item stands. The line is that of its name, not that of the attribute above it.
fn location(name: &Ident) -> TokenStream {
    let line = quote_spanned!(name.span()=> ::core::line!());
    quote! {
        __mmate::Location { module: ::core::module_path!(), file: ::core::file!(), line: #line }
    }
}

/// A name as text, without `r#`.
fn spelled(name: &Ident) -> String {
    name.unraw().to_string()
}

/// The conditions of an item, for everything that is written beside it.
fn conditions(attrs: &[Attribute]) -> TokenStream {
    let conditions = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    quote!(#(#conditions)*)
}
