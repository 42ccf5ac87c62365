//! `#[derive(MessageError)]`: one `match` and one entry in the registry.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Member};

use crate::model::Class;
use crate::paths::Root;

/// What is known of one variant, or of a struct.
pub(crate) struct Arm {
    /// The variant; `None` for a struct.
    pub(crate) variant: Option<Ident>,
    /// Its class.
    pub(crate) class: Option<Class>,
    /// The field that holds the error behind it.
    pub(crate) source: Option<Member>,
}

/// The expansion of a correct error type.
pub(crate) fn message_error(root: &Root, name: &Ident, arms: &[Arm]) -> TokenStream {
    let body = if arms.is_empty() {
        quote!(match *self {})
    } else {
        let arms = arms.iter().map(arm);
        quote!(match self { #(#arms)* })
    };
    quote! {
        const _: () = {
            use #root::__private as __mmate;
            #[automatically_derived]
            impl __mmate::MessageError for #name {
                fn class(&self) -> __mmate::ErrorClass { #body }
            }
            __mmate::inventory::submit! { __mmate::ErrorEntry::of::<#name>() }
        };
    }
}

/// Keeps the users of a broken error type compiling.
pub(crate) fn stub(root: &Root, name: &Ident) -> TokenStream {
    quote! {
        const _: () = {
            use #root::__private as __mmate;
            impl __mmate::MessageError for #name {
                fn class(&self) -> __mmate::ErrorClass { __mmate::ErrorClass::Unknown }
            }
        };
    }
}

fn arm(arm: &Arm) -> TokenStream {
    let path = match &arm.variant {
        Some(variant) => quote!(Self::#variant),
        None => quote!(Self),
    };
    match (&arm.class, &arm.source) {
        (Some(Class::Plain(class, word)), _) => {
            let class = Ident::new(class, word.span());
            quote!(#path { .. } => __mmate::ErrorClass::#class,)
        }
        (Some(Class::Reject(code)), _) => {
            let code = code.value();
            quote!(#path { .. } => __mmate::ErrorClass::Rejected { code: #code },)
        }
        (None, Some(field)) => {
            quote!(#path { #field: __inner, .. } => {
                use __mmate::AsError as _;
                __mmate::class_of(__inner.as_error())
            })
        }
        (None, None) => quote!(#path { .. } => __mmate::ErrorClass::Unknown,),
    }
}
