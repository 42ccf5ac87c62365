//! The path of the crate `mmate` in the user's program.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

/// `::mmate`, or what the user wrote with `crate = ..`.
#[derive(Clone, Default)]
pub(crate) struct Root(Option<syn::Path>);

impl Root {
    /// A path is usable if it means the same in every module.
    pub(crate) fn new(path: syn::Path) -> syn::Result<Self> {
        let absolute = path.leading_colon.is_some()
            || path.segments.first().is_some_and(|first| first.ident == "crate");
        if absolute {
            return Ok(Self(Some(path)));
        }
        let shown = spell(&path);
        Err(syn::Error::new_spanned(
            path,
            format!("the path must mean the same in every module\nhelp: write `crate = ::{shown}`"),
        ))
    }

    /// The path as the text that `#[serde(crate = "..")]` wants, down to a re-exported crate.
    pub(crate) fn text_of(&self, krate: &str) -> String {
        let root = self.0.as_ref().map_or_else(|| "::mmate".to_owned(), spell);
        format!("{root}::__private::{krate}")
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.0 {
            Some(path) => path.to_tokens(tokens),
            None => tokens.extend(quote!(::mmate)),
        }
    }
}

fn spell(path: &syn::Path) -> String {
    let start = if path.leading_colon.is_some() { "::" } else { "" };
    let segments: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    format!("{start}{}", segments.join("::"))
}
