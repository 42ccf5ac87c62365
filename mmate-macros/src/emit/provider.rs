//! `#[provider]`: the function untouched, a shim that calls it, one entry in the registry.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::handler::{parameter_types, return_type};
use super::{location, spelled};
use crate::model::FnItem;
use crate::paths::Root;
use crate::validate::provider::can_fail;

/// The expansion of a correct provider.
pub(crate) fn provider(root: &Root, item: &FnItem) -> TokenStream {
    let name = &item.sig.ident;
    let (text, location) = (spelled(name), location(name));
    let types = parameter_types(item);
    let returned = return_type(item);
    let taken = types.iter().map(|ty| quote!((__mmate::ingredient::<#ty>().take)(resources)?));
    let call = quote_spanned!(name.span()=> #name(#(#taken),*));
    let future =
        if item.sig.asyncness.is_some() { call } else { quote!(::core::future::ready(#call)) };
    let value = if can_fail(&item.sig.output) { quote!(fallible) } else { quote!(infallible) };
    let needs = types.iter().map(|ty| quote!((__mmate::ingredient::<#ty>().requires)(needs);));
    let (from, needs_param) =
        if types.is_empty() { (quote!(_), quote!(_)) } else { (quote!(resources), quote!(needs)) };
    quote! {
        #[allow(clippy::unused_async)]
        #item

        const _: () = {
            use #root::__private as __mmate;
            fn __begin(#from: &__mmate::Resources) -> __mmate::Begun {
                let provided = __mmate::#value::<#returned>();
                ::core::result::Result::Ok(provided.build(#future))
            }
            fn __requires(#needs_param: &mut __mmate::Requirements) { #(#needs)* }
            __mmate::inventory::submit! {
                __mmate::ProviderEntry::new(
                    #text, #location, __mmate::#value::<#returned>().provides, __requires,
                    |resources| __mmate::building(__begin(&resources)),
                )
            }
        };
    }
}
