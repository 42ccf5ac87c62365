//! The shims of a stage that waits: what asks, what takes what comes, and the part of the entry that says so.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::Type;

use super::handler::return_type;
use super::stage::{First, Keeps, Shim, requires, written_out};
use super::workflow::millis;
use crate::model::{ImplBlock, Stage};

/// The functions of a stage that waits; nothing if it does not.
pub(super) fn shims(
    block: &ImplBlock,
    stage: &Stage,
    index: usize,
    needs: &Ident,
) -> Option<Vec<TokenStream>> {
    let (state, start) = (&block.state, format_ident!("__mmate_stage_{index}"));
    let own = &stage.item;
    if let Some(event) = &stage.args.wait_for {
        let (item, called) = (own, &own.sig.ident);
        let first = First::Event(&event.value);
        let shim = Shim { start, state, item, called, keeps: Keeps::State, first };
        let key = stage.args.key.as_ref().map(|key| key_fn(index, &key.value))?;
        let check = only_with_key(&written_out(event.value.to_token_stream(), state));
        return Some(vec![shim.start(), requires(needs, &shim.asked()), key, check]);
    }
    let is_reply = stage.args.reply.is_some();
    let (called, item) = (&stage.args.follow_up()?.value, block.follow_up_of(stage)?);
    let ask = Shim {
        start: format_ident!("__mmate_ask_{index}"),
        state,
        item: own,
        called: &own.sig.ident,
        keeps: if is_reply { Keeps::Request } else { Keeps::Child },
        first: First::Values(Vec::new()),
    };
    let first = if is_reply { First::Reply(own) } else { First::End(own) };
    let answer = Shim { start, state, item, called, keeps: Keeps::State, first };
    let mut asked = ask.asked();
    asked.extend(answer.asked());
    Some(vec![ask.start(), answer.start(), requires(needs, &asked)])
}

/// The function that reads from the state which key the event has.
fn key_fn(index: usize, field: &Ident) -> TokenStream {
    let shim = format_ident!("__mmate_key_{index}");
    let local = Span::mixed_site();
    // Blamed at the field: that it is not there, and that it has no text.
    let state = Ident::new("state", field.span().resolved_at(local));
    let value = quote_spanned!(field.span()=> &#state.#field);
    quote_spanned! {local=>
        fn #shim(state: &::core::primitive::str) -> __mmate::StageEnd {
            (__MMATE_STATE.read)(state).map(|state| __mmate::key(#value))
        }
    }
}

/// Whether the event has a key is not known here, but while constants are evaluated. A type that is no event is an error
/// elsewhere, and then this is not evaluated.
fn only_with_key(event: &TokenStream) -> TokenStream {
    let local = Span::mixed_site();
    let place = event.clone().into_iter().next().map_or(local, |token| token.span());
    let check = quote_spanned!(place.resolved_at(local)=> __mmate::only_with_key(event));
    quote_spanned! {local=>
        const _: () = {
            let event = __mmate::event_info::<#event>();
            #check
        };
    }
}

/// What the entry says of the wait.
pub(super) fn options(state: &Type, stage: &Stage, index: usize) -> Option<TokenStream> {
    let args = &stage.args;
    let local = Span::mixed_site();
    let within = millis("within_ms", args.within.as_ref());
    if let Some(event) = &args.wait_for {
        let event = written_out(event.value.to_token_stream(), state);
        let key = format_ident!("__mmate_key_{index}");
        let optional = stage.takes_nothing_for_an_event().then(|| quote!(.optional(true)));
        return Some(quote_spanned! {local=>
            .wait(__mmate::Wait::Event(__mmate::EventWait::new(
                __mmate::event_info::<#event>(), #key,
            ))) #within #optional
        });
    }
    args.follow_up()?;
    let ask = format_ident!("__mmate_ask_{index}");
    let returned = written_out(return_type(&stage.item), state);
    let wait = if args.reply.is_some() {
        quote_spanned! {local=>
            Reply(__mmate::ReplyWait::new(#ask, __mmate::asking::<#returned>().request))
        }
    } else {
        quote_spanned! {local=>
            Child(__mmate::ChildWait::new(#ask, __mmate::beginning::<#returned>().workflow))
        }
    };
    Some(quote!(.wait(__mmate::Wait::#wait) #within))
}
