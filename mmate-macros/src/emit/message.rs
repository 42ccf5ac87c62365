//! `#[message]`: the type with its derives, one `Message` impl, one entry in the catalogue.
//!
//! Names only the part of `__private` that is there without the feature `runtime`: a build script
//! that writes schemas compiles messages, too.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, Ident};

use super::{conditions, location, serde, spelled};
use crate::model::{Kind, MessageArgs};
use crate::parse::docs::docs;

/// The expansion of a correct message.
pub(crate) fn message(args: &MessageArgs, kind: Kind, item: &DeriveInput) -> TokenStream {
    let root = &args.root;
    let name = &item.ident;
    let travelling = serde::travelling(item, root);
    let conditions = conditions(&item.attrs);
    let message = message_impl(args, kind, item);
    let marker = marker(name, kind);
    let request = args.reply.as_ref().map(|reply| {
        let reply = &reply.value;
        quote! {
            #[automatically_derived]
            impl __mmate::Request for #name { type Reply = #reply; }
        }
    });
    quote! {
        #travelling
        #conditions
        const _: () = {
            use #root::__private as __mmate;
            #message
            #marker
            #request
            __mmate::inventory::submit! {
                __mmate::MessageEntry { info: <#name as __mmate::Message>::INFO }
            }
        };
    }
}

/// Impls that keep the users of a broken message compiling, so that its mistakes are all that is
/// reported. Without a kind it is of every kind.
pub(crate) fn stub(args: &MessageArgs, item: &DeriveInput) -> TokenStream {
    let root = &args.root;
    let name = &item.ident;
    let travelling = serde::travelling(item, root);
    let conditions = conditions(&item.attrs);
    let kind = args.kind.as_ref().map(|(kind, _)| *kind);
    let kinds = kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let bare = MessageArgs { root: root.clone(), ..MessageArgs::default() };
    let message = message_impl(&bare, kind.unwrap_or(Kind::Event), item);
    let markers = kinds.iter().map(|kind| marker(name, *kind));
    let reply = args.reply.as_ref().map(|reply| reply.value.clone());
    let missing = reply.is_none() && kinds.contains(&Kind::Query);
    // A query that names no reply answers itself.
    let itself = (missing && kind.is_some()).then(|| marker(name, Kind::Reply));
    let reply = reply.or_else(|| missing.then(|| syn::parse_quote!(#name)));
    let request =
        reply.map(|reply| quote!(impl __mmate::Request for #name { type Reply = #reply; }));
    quote! {
        #travelling
        #conditions
        const _: () = {
            use #root::__private as __mmate;
            #message
            #(#markers)*
            #itself
            #request
        };
    }
}

fn marker(name: &Ident, kind: Kind) -> TokenStream {
    let marker = format_ident!("{}", kind.type_name());
    quote! {
        #[automatically_derived]
        impl __mmate::#marker for #name {}
    }
}

fn message_impl(args: &MessageArgs, kind: Kind, item: &DeriveInput) -> TokenStream {
    let name = &item.ident;
    let kind = format_ident!("{}", kind.type_name());
    let wire_name = args.name.as_ref().map_or_else(|| spelled(name), |name| name.value.value());
    let location = location(name);
    let options = options(args);
    let docs =
        Some(docs(&item.attrs)).filter(|docs| !docs.is_empty()).map(|docs| quote!(.docs(#docs)));
    let key = args.key.as_ref().map(|key| key_fn(&key.value));
    quote! {
        #[automatically_derived]
        impl __mmate::Message for #name {
            const INFO: &'static __mmate::MessageInfo =
                &__mmate::MessageInfo::new::<Self>(__mmate::Kind::#kind, #wire_name, #location)
                    #options #docs;
            #key
        }
    }
}

fn key_fn(field: &Ident) -> TokenStream {
    let value = quote_spanned!(field.span()=> &self.#field);
    quote! {
        fn key(&self) -> ::core::option::Option<::std::string::String> {
            ::core::option::Option::Some(__mmate::key(#value))
        }
    }
}

fn options(args: &MessageArgs) -> TokenStream {
    let text = |setter: &str, value: &Option<crate::parse::args::Keyed<syn::LitStr>>| {
        let setter = format_ident!("{setter}");
        value.as_ref().map(|value| {
            let value = value.value.value();
            quote!(.#setter(#value))
        })
    };
    let service = text("service", &args.service);
    let queue = text("queue", &args.queue);
    let aggregate = text("aggregate", &args.aggregate);
    let aliases = args.alias.as_ref().map(|alias| {
        let aliases = alias.value.iter().map(syn::LitStr::value);
        quote!(.aliases(&[#(#aliases),*]))
    });
    let key = args.key.as_ref().map(|key| {
        let key = spelled(&key.value);
        quote!(.key(#key))
    });
    let reply = args.reply.as_ref().map(|_| quote!(.reply(__mmate::reply_info::<Self>)));
    let version =
        args.version.as_ref().map(|version| plain(version.value)).map(|v| quote!(.version(#v)));
    let priority =
        args.priority.as_ref().map(|level| plain(level.value)).map(|v| quote!(.priority(#v)));
    let ttl = args.ttl.as_ref().map(|ttl| plain(ttl.value.value)).map(|v| quote!(.ttl_ms(#v)));
    quote!(#service #queue #aggregate #aliases #key #reply #version #priority #ttl)
}

fn plain(value: u64) -> proc_macro2::Literal {
    proc_macro2::Literal::u64_unsuffixed(value)
}
