//! Rules of `#[derive(MessageError)]`.

use syn::{Attribute, Data, DeriveInput, Field, Fields, Member};

use crate::diagnostics::Errors;
use crate::emit::error::Arm;
use crate::parse::error::class;

/// The variants with their classes.
pub(crate) fn check(item: &DeriveInput, errors: &mut Errors) -> Vec<Arm> {
    if !item.generics.params.is_empty() {
        let text = format!(
            "error `{}` cannot be generic: its class is found by its type\nhelp: write the types out",
            item.ident
        );
        errors.on(&item.generics, text);
    }
    match &item.data {
        Data::Struct(data) => {
            let class = class(&item.attrs, errors);
            no_class_on_fields(&data.fields, errors);
            vec![Arm { variant: None, class, source: source(&data.fields) }]
        }
        Data::Enum(data) => {
            if let Some(attr) = class_attr(&item.attrs) {
                errors.on(attr, "an enum has a class per variant\nhelp: move it to a variant");
            }
            data.variants
                .iter()
                .map(|variant| {
                    no_class_on_fields(&variant.fields, errors);
                    let class = class(&variant.attrs, errors);
                    let source = source(&variant.fields);
                    Arm { variant: Some(variant.ident.clone()), class, source }
                })
                .collect()
        }
        Data::Union(data) => {
            errors.on(data.union_token, "an error is a struct or an enum");
            Vec::new()
        }
    }
}

fn class_attr(attrs: &[Attribute]) -> Option<&Attribute> {
    attrs.iter().find(|attr| attr.path().is_ident("class"))
}

fn no_class_on_fields(fields: &Fields, errors: &mut Errors) {
    for attr in fields.iter().filter_map(|field| class_attr(&field.attrs)) {
        errors.on(attr, "a field has no class\nhelp: move it above the variant or the struct");
    }
}

/// The field that holds the error behind this one, by the marks of `thiserror` or by its name.
fn source(fields: &Fields) -> Option<Member> {
    let marked = fields.members().zip(fields).find(|(_, field)| is_marked(field));
    let named = || {
        fields.members().find(|member| matches!(member, Member::Named(name) if name == "source"))
    };
    marked.map(|(member, _)| member).or_else(named)
}

fn is_marked(field: &Field) -> bool {
    field.attrs.iter().any(|attr| attr.path().is_ident("from") || attr.path().is_ident("source"))
}
