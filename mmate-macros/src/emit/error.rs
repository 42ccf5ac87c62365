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
    let (behind, doubt) = (behind(arms), doubt(arms));
    quote! {
        const _: () = {
            use #root::__private as __mmate;
            #[automatically_derived]
            impl __mmate::MessageError for #name {
                fn class(&self) -> __mmate::ErrorClass { #body }
                #behind
                #doubt
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

impl Arm {
    fn path(&self) -> TokenStream {
        match &self.variant {
            Some(variant) => quote!(Self::#variant),
            None => quote!(Self),
        }
    }

    /// The field that decides in place of the user.
    fn deciding(&self) -> Option<&Member> {
        self.source.as_ref().filter(|_| self.class.is_none())
    }
}

/// The errors that decide for variants without a class; left out if there are none.
fn behind(arms: &[Arm]) -> Option<TokenStream> {
    arms.iter().find_map(Arm::deciding)?;
    let arms = arms.iter().map(|arm| {
        let path = arm.path();
        match arm.deciding() {
            Some(field) => quote!(#path { #field: __inner, .. } => {
                use __mmate::AsError as _;
                ::core::option::Option::Some(__inner.as_error())
            }),
            None => quote!(#path { .. } => ::core::option::Option::None,),
        }
    });
    Some(quote! {
        fn behind(&self) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
            match self { #(#arms)* }
        }
    })
}

/// Whether the outcome is unknown, as the errors behind the variants say; left out if there are none. Also for variants with
/// a class of their own: what is behind one that is transparent is not among its sources.
fn doubt(arms: &[Arm]) -> Option<TokenStream> {
    arms.iter().find_map(|arm| arm.source.as_ref())?;
    let arms = arms.iter().map(|arm| {
        let path = arm.path();
        match &arm.source {
            Some(field) => quote!(#path { #field: __inner, .. } => {
                use __mmate::AsError as _;
                __mmate::outcome_is_unknown(__inner.as_error())
            }),
            None => quote!(#path { .. } => false,),
        }
    });
    Some(quote! {
        fn outcome_is_unknown(&self) -> bool {
            match self { #(#arms)* }
        }
    })
}

fn arm(arm: &Arm) -> TokenStream {
    let path = arm.path();
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
