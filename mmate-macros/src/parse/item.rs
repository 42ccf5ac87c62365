//! Functions with opaque bodies.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Signature, Token};

use crate::model::FnItem;

impl Parse for FnItem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse::<Signature>()?,
            body: input.parse()?,
        })
    }
}

impl quote::ToTokens for FnItem {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// Reads a function. `wanted` is the error for anything that is no function.
pub(crate) fn function(item: TokenStream, wanted: &str) -> syn::Result<FnItem> {
    if is_function(item.clone()) {
        return syn::parse2(item);
    }
    Err(syn::Error::new(proc_macro2::Span::call_site(), wanted))
}

/// Whether the tokens begin like a function, however broken the rest of it is.
fn is_function(item: TokenStream) -> bool {
    syn::parse::Parser::parse2(
        |input: ParseStream<'_>| {
            let found = begins_like_function(input)?;
            input.parse::<TokenStream>()?;
            Ok(found)
        },
        item,
    )
    .unwrap_or(false)
}

/// Reads up to the word `fn`, if it comes.
pub(super) fn begins_like_function(input: ParseStream<'_>) -> syn::Result<bool> {
    input.call(Attribute::parse_outer)?;
    input.parse::<syn::Visibility>()?;
    while input.peek(Token![const])
        || input.peek(Token![async])
        || input.peek(Token![unsafe])
        || input.peek(Token![extern])
        || input.peek(syn::LitStr)
    {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(input.peek(Token![fn]))
}
