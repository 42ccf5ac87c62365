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
    /// The request that the method returns, which is sent.
    Request,
    /// The state of the workflow that is to begin.
    Child,
}

/// What the method takes before what it asks for.
pub(super) enum First<'a> {
    /// The values of these branches; none if it takes nothing first.
    Values(Vec<&'a Stage>),
    /// The event of this type.
    Event(&'a Type),
    /// The reply to what this method asks.
    Reply(&'a FnItem),
    /// The end of the workflow that this method starts.
    End(&'a FnItem),
}

impl First<'_> {
    /// How many parameters it is.
    fn count(&self) -> usize {
        match self {
            Self::Values(sources) => sources.len(),
            Self::Event(_) | Self::Reply(_) | Self::End(_) => 1,
        }
    }
}

/// One function that calls a method of the workflow.
pub(super) struct Shim<'a> {
    /// The name of the shim.
    pub(super) start: Ident,
    pub(super) state: &'a Type,
    /// The method, and its name as it is called: with the place of whoever names it.
    pub(super) item: &'a FnItem,
    pub(super) called: &'a Ident,
    pub(super) keeps: Keeps,
    pub(super) first: First<'a>,
}

impl Shim<'_> {
    fn types(&self) -> Vec<TokenStream> {
        let types = parameter_types(self.item).into_iter();
        types.map(|ty| written_out(ty.to_token_stream(), self.state)).collect()
    }

    /// The function.
    pub(super) fn start(&self) -> TokenStream {
        let (start, state, called) = (&self.start, self.state, self.called);
        let types = self.types();
        // A future that is not `Send` is blamed at the method's name, and so is the call as a whole; the name itself keeps
        // the place of whoever names it, for editors.
        let own = self.item.sig.ident.span();
        let names = argument_names(self.item, own);
        let names = names.get(..types.len()).unwrap_or_default();
        let takes = self.takes(&types, names);
        let imports = self.imports();
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
            Keeps::Request => {
                quote_spanned!(local=> (__mmate::asking::<#returned>().end)(asker, result))
            }
            Keeps::Child => quote_spanned!(local=> (__mmate::beginning::<#returned>().end)(result)),
        };
        let asker = (self.keeps == Keeps::Request)
            .then(|| quote_spanned!(local=> let asker = __mmate::Asker::of(call)?;));
        quote_spanned! {local=>
            fn #start(call: &__mmate::StageCall<'_>) -> __mmate::StageStarted {
                #imports
                #asker
                let #binding state = (__MMATE_STATE.take)(call)?;
                #(#takes)*
                __mmate::running(async move {
                    let result = __mmate::step::<#future>(#call).await;
                    #kept
                })
            }
        }
    }

    fn imports(&self) -> Option<TokenStream> {
        Some(match &self.first {
            First::Values(sources) if sources.is_empty() => return None,
            First::Values(_) => quote!(
                use __mmate::{GivesAnything as _, GivesValue as _};
            ),
            First::Event(_) => quote!(
                use __mmate::{TakesAnything as _, TakesEvent as _};
            ),
            First::Reply(_) => quote!(
                use __mmate::{TakesAnything as _, TakesReply as _};
            ),
            First::End(_) => quote!(
                use __mmate::{TakesAnything as _, TakesEnd as _};
            ),
        })
    }

    /// What comes first, then what a stage may ask for.
    fn takes(&self, types: &[TokenStream], names: &[Ident]) -> Vec<TokenStream> {
        let local = Span::mixed_site();
        let takes = types.iter().zip(names).enumerate().map(|(place, (ty, name))| {
            let taken = self.takes_first(place, ty).unwrap_or_else(
                || quote_spanned!(local=> (__mmate::stage_argument::<#ty>().take)(call)?),
            );
            quote_spanned!(local=> let #name = #taken;)
        });
        takes.collect()
    }

    fn takes_first(&self, place: usize, ty: &TokenStream) -> Option<TokenStream> {
        let local = Span::mixed_site();
        let returned = |item: &FnItem| written_out(return_type(item), self.state);
        Some(match &self.first {
            First::Values(sources) => {
                let source = sources.get(place)?;
                let returned = returned(&source.item);
                let take = if source.args.may_give_nothing() { "optional_value" } else { "value" };
                let (take, place) = (Ident::new(take, local), Literal::usize_unsuffixed(place));
                quote_spanned!(local=> __mmate::branch::<#returned>().#take::<#ty>(call, #place)?)
            }
            _ if place > 0 => return None,
            First::Event(event) => {
                quote_spanned!(local=> __mmate::coming::<#event>().event::<#ty>(call)?)
            }
            First::Reply(asked) => {
                let asked = returned(asked);
                quote_spanned!(local=> __mmate::coming::<#asked>().reply::<#ty>(call)?)
            }
            First::End(begun) => {
                let begun = returned(begun);
                quote_spanned!(local=> __mmate::coming::<#begun>().end::<#ty>(call)?)
            }
        })
    }

    /// The types of what it asks for.
    pub(super) fn asked(&self) -> Vec<TokenStream> {
        self.types().split_off(self.first.count().min(self.item.parameters().count()))
    }

    fn receiver_is_mut(&self) -> bool {
        Borrow::of(&self.item.sig) == Borrow::Mutable
    }
}

/// The function that collects what is needed for values of these types.
pub(super) fn requires(name: &Ident, types: &[TokenStream]) -> TokenStream {
    let local = Span::mixed_site();
    let needs = types
        .iter()
        .map(|ty| quote_spanned!(local=> (__mmate::stage_argument::<#ty>().requires)(needs);));
    let param = if types.is_empty() { quote!(_) } else { quote_spanned!(local=> needs) };
    quote_spanned! {local=>
        fn #name(#param: &mut __mmate::Requirements) { #(#needs)* }
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
