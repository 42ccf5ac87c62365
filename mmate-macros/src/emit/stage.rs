//! The shims of a stage: what takes its state and its arguments, calls it and keeps what comes of it.

use proc_macro2::{Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::Type;

use super::handler::{argument_names, parameter_types, return_type};
use crate::model::{Borrow, FnItem, Stage};

/// What a call keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// The state, which the method may have changed.
    State,
    /// The value that a branch returns.
    Value,
}

/// One function that calls a method of the workflow.
pub(super) struct Shim<'a> {
    /// Names of the shim and of what collects its needs.
    pub(super) start: Ident,
    pub(super) requires: Ident,
    pub(super) state: &'a Type,
    /// The method, and its name as it is called: with the place of whoever names it.
    pub(super) item: &'a FnItem,
    pub(super) called: &'a Ident,
    pub(super) keeps: Keeps,
    /// Whose values come first.
    pub(super) sources: Vec<&'a Stage>,
}

impl Shim<'_> {
    /// Both functions, under the conditions of the method.
    pub(super) fn emit(&self, conditions: &TokenStream) -> TokenStream {
        let (start, requires) = (self.start(), self.requires());
        quote!(#conditions #start #conditions #requires)
    }

    fn types(&self) -> Vec<TokenStream> {
        let types = parameter_types(self.item).into_iter();
        types.map(|ty| written_out(ty.to_token_stream(), self.state)).collect()
    }

    fn start(&self) -> TokenStream {
        let (start, state, called) = (&self.start, self.state, self.called);
        let types = self.types();
        // A future that is not `Send` is blamed at the method's name, and so is the call as a whole; the name itself keeps
        // the place of whoever names it, for editors.
        let own = self.item.sig.ident.span();
        let names = argument_names(self.item, own);
        let names = names.get(..types.len()).unwrap_or_default();
        let takes = self.takes(&types, names);
        let imports = (!self.sources.is_empty()).then(|| {
            quote!(
                use __mmate::{GivesAnything as _, GivesValue as _};
            )
        });
        let local = Span::mixed_site();
        let borrowed = match self.receiver_is_mut() {
            true => quote_spanned!(local=> &mut state),
            false => quote_spanned!(local=> &state),
        };
        let binding = self.receiver_is_mut().then(|| quote!(mut));
        let call = quote_spanned!(own=> <#state>::#called(#borrowed #(, #names)*));
        let future = quote_spanned!(own=> _);
        let returned = written_out(return_type(self.item), state);
        let kept = match self.keeps {
            Keeps::State => quote_spanned! {local=>
                __mmate::changed::<_, #returned>(__MMATE_STATE.give, &state, result)
            },
            Keeps::Value => quote_spanned!(local=> __mmate::produced::<#returned>(result)),
        };
        quote_spanned! {local=>
            fn #start(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
                #imports
                let #binding state = (__MMATE_STATE.take)(call)?;
                #(#takes)*
                __mmate::running(async move {
                    let result = __mmate::step::<#future>(#call).await;
                    #kept
                })
            }
        }
    }

    /// The values of the branches first, then what a stage may ask for.
    fn takes(&self, types: &[TokenStream], names: &[Ident]) -> Vec<TokenStream> {
        let local = Span::mixed_site();
        let takes = types.iter().zip(names).enumerate().map(|(place, (ty, name))| {
            let Some(source) = self.sources.get(place) else {
                return quote_spanned! {local=>
                    let #name = (__mmate::stage_argument::<#ty>().take)(call)?;
                };
            };
            let returned = written_out(return_type(&source.item), self.state);
            let place = Literal::usize_unsuffixed(place);
            let take = if source.args.may_give_nothing() { "optional_value" } else { "value" };
            let take = Ident::new(take, local);
            quote_spanned! {local=>
                let #name = __mmate::branch::<#returned>().#take::<#ty>(call, #place)?;
            }
        });
        takes.collect()
    }

    fn requires(&self) -> TokenStream {
        let local = Span::mixed_site();
        let requires = &self.requires;
        let types = self.types();
        let asked = types.get(self.sources.len()..).unwrap_or_default();
        let needs = asked
            .iter()
            .map(|ty| quote_spanned!(local=> (__mmate::stage_argument::<#ty>().requires)(needs);));
        let param = if asked.is_empty() { quote!(_) } else { quote_spanned!(local=> needs) };
        quote_spanned! {local=>
            fn #requires(#param: &mut __mmate::Requirements) { #(#needs)* }
        }
    }

    fn receiver_is_mut(&self) -> bool {
        Borrow::of(&self.item.sig) == Borrow::Mutable
    }
}

/// The function that asks a method about the state.
pub(super) fn test(index: usize, state: &Type, name: &Ident) -> TokenStream {
    let shim = format_ident!("__mmate_test_{index}");
    let local = Span::mixed_site();
    let call = quote_spanned!(name.span()=> <#state>::#name);
    quote_spanned! {local=>
        fn #shim(state: &::core::primitive::str) -> __mmate::Tested {
            (__MMATE_STATE.read)(state).map(|state| #call(&state))
        }
    }
}

/// Tokens in which `Self` is written out, since what they come to stand in is no method.
pub(super) fn written_out(tokens: TokenStream, state: &Type) -> TokenStream {
    let tokens = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(word) if word == "Self" => placed(state.to_token_stream(), word.span()),
        TokenTree::Group(group) => {
            let mut inside = Group::new(group.delimiter(), written_out(group.stream(), state));
            inside.set_span(group.span());
            TokenTree::Group(inside).into()
        }
        other => other.into(),
    });
    tokens.collect()
}

fn placed(tokens: TokenStream, span: Span) -> TokenStream {
    let tokens = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    tokens.collect()
}
