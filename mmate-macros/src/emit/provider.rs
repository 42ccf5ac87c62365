//! `#[provider]`: the function untouched, a shim that calls it, one entry in the registry.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::handler::{argument_names, parameter_types, return_type};
use super::{conditions, location, spelled};
use crate::model::FnItem;
use crate::paths::Root;
use crate::validate::provider::can_fail;

/// The expansion of a correct provider.
pub(crate) fn provider(root: &Root, item: &FnItem) -> TokenStream {
    let name = &item.sig.ident;
    let (text, location) = (spelled(name), location(name));
    let types = parameter_types(item);
    let returned = return_type(item);
    let local = Span::mixed_site();
    let names = argument_names(item, item.sig.ident.span());
    let call = quote_spanned!(name.span()=> #name(#(#names),*));
    let build = if item.sig.asyncness.is_some() { quote!(build) } else { quote!(done) };
    let value = if can_fail(&item.sig.output) { quote!(fallible) } else { quote!(infallible) };
    let needs = types
        .iter()
        .map(|ty| quote_spanned!(local=> (__mmate::ingredient::<#ty>().requires)(needs);));
    let (from, needs_param) = if types.is_empty() {
        (quote!(_), quote!(_))
    } else {
        (quote_spanned!(local=> resources), quote_spanned!(local=> needs))
    };
    let conditions = conditions(&item.attrs);
    let shims = quote_spanned! {local=>
        fn __mmate_begin(#from: &__mmate::Resources) -> __mmate::Begun {
            let provided = __mmate::#value::<#returned>();
            #(let #names = (__mmate::ingredient::<#types>().take)(resources)?;)*
            ::core::result::Result::Ok(provided.#build(#call))
        }
        fn __mmate_requires(#needs_param: &mut __mmate::Requirements) { #(#needs)* }
    };
    // Parameters are owned and results are what they are, whatever the body does with them.
    let lints = if item.sig.asyncness.is_some() {
        quote!(clippy::unused_async)
    } else {
        quote!(clippy::needless_pass_by_value, clippy::unnecessary_wraps)
    };
    quote! {
        #[allow(#lints)]
        #item

        #conditions
        const _: () = {
            use #root::__private as __mmate;
            #shims
            __mmate::inventory::submit! {
                __mmate::ProviderEntry::new(
                    #text, #location, __mmate::#value::<#returned>().provides, __mmate_requires,
                    |resources| __mmate::building(__mmate_begin(&resources)),
                )
            }
        };
    }
}
