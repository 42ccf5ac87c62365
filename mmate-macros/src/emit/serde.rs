//! The derives of messages and payloads, and what they are told.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Field, Fields, GenericArgument, Path, PathArguments, Token, Type,
    parse_quote,
};

use crate::paths::Root;

const DERIVES: [&str; 5] = ["Clone", "Debug", "Serialize", "Deserialize", "JsonSchema"];

/// The item with its derives, with camelCase names and without absent values on the wire, as far as
/// the user did not decide otherwise.
pub(crate) fn travelling(item: &DeriveInput, root: &Root) -> TokenStream {
    let mut item = item.clone();
    let derives = derives(&item, root);
    let names = renaming(&item);
    let (serde, schemars) = (root.text_of("serde"), root.text_of("schemars"));
    let serde = (!has_key(&item.attrs, "serde", "crate")).then(|| quote!(#[serde(crate = #serde)]));
    let schemars = (!has_key(&item.attrs, "schemars", "crate"))
        .then(|| quote!(#[schemars(crate = #schemars)]));
    fields_mut(&mut item.data).for_each(skip_absent);
    let attrs = std::mem::take(&mut item.attrs);
    // The derives stand first: a helper attribute above its derive is on its way out of the language.
    quote!(#[derive(#(#derives),*)] #(#attrs)* #serde #names #schemars #item)
}

fn derives(item: &DeriveInput, root: &Root) -> Vec<TokenStream> {
    let own = derived_by_user(&item.attrs);
    DERIVES
        .into_iter()
        .filter(|name| !own.iter().any(|own| own == name))
        .map(|name| match name {
            "Clone" => quote!(::core::clone::Clone),
            "Debug" => quote!(::core::fmt::Debug),
            "Serialize" => quote!(#root::__private::serde::Serialize),
            "Deserialize" => quote!(#root::__private::serde::Deserialize),
            _ => quote!(#root::__private::schemars::JsonSchema),
        })
        .collect()
}

/// The last segments of the paths in the user's own `#[derive(..)]`.
fn derived_by_user(attrs: &[Attribute]) -> Vec<String> {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("derive"))
        .filter_map(|attr| {
            attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok()
        })
        .flatten()
        .filter_map(|path| path.segments.last().map(|last| last.ident.to_string()))
        .collect()
}

fn renaming(item: &DeriveInput) -> Option<TokenStream> {
    let is_enum = matches!(item.data, Data::Enum(_));
    let variants = !has_key(&item.attrs, "serde", "rename_all");
    let fields = is_enum && !has_key(&item.attrs, "serde", "rename_all_fields");
    match (variants, fields) {
        (true, true) => {
            Some(quote!(#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]))
        }
        (true, false) => Some(quote!(#[serde(rename_all = "camelCase")])),
        (false, true) => Some(quote!(#[serde(rename_all_fields = "camelCase")])),
        (false, false) => None,
    }
}

/// Whether one of the attributes `#[name(..)]` has `key`, with or without a value.
pub(crate) fn has_key(attrs: &[Attribute], name: &str, key: &str) -> bool {
    attrs.iter().filter(|attr| attr.path().is_ident(name)).any(|attr| {
        let mut found = false;
        // What serde cannot read it reports itself.
        let _ = attr.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(key);
            if meta.input.peek(Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                meta.input.parse::<proc_macro2::TokenTree>()?;
            }
            Ok(())
        });
        found
    })
}

fn fields_mut(data: &mut Data) -> Box<dyn Iterator<Item = &mut Field> + '_> {
    match data {
        Data::Struct(data) => Box::new(data.fields.iter_mut()),
        Data::Enum(data) => Box::new(
            data.variants
                .iter_mut()
                .filter(|variant| matches!(variant.fields, Fields::Named(_)))
                .flat_map(|variant| variant.fields.iter_mut()),
        ),
        Data::Union(_) => Box::new(std::iter::empty()),
    }
}

/// Keeps `null` off the wire. In tuples every place counts, so it stays there.
fn skip_absent(field: &mut Field) {
    let decided =
        ["skip_serializing_if", "skip_serializing", "skip", "with", "serialize_with", "flatten"]
            .iter()
            .any(|key| has_key(&field.attrs, "serde", key));
    if field.ident.is_some() && is_option(&field.ty) && !decided {
        field
            .attrs
            .push(parse_quote!(#[serde(skip_serializing_if = "::core::option::Option::is_none")]));
    }
}

fn is_option(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    let PathArguments::AngleBracketed(generics) = &last.arguments else {
        return false;
    };
    last.ident == "Option"
        && generics.args.len() == 1
        && matches!(generics.args.first(), Some(GenericArgument::Type(_)))
}
