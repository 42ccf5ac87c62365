//! `#[workflow]`: the `impl` block as it was, shims that call its methods, one entry in the registry.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens as _, format_ident, quote};
use syn::parse_quote;

use super::handler::retry_policy;
use super::stage::{First, Keeps, Shim, requires, test, written_out};
use super::{conditions, location, spelled, wait};
use crate::model::{FnItem, ImplBlock, Member, Stage, WorkflowArgs};
use crate::parse::args::Keyed;
use crate::parse::docs::docs;
use crate::parse::values::Millis;
use crate::validate::naming::kebab;

/// The expansion of a correct workflow.
pub(crate) fn workflow(args: &WorkflowArgs, block: &mut ImplBlock) -> TokenStream {
    let named = Named::of(block);
    let shims = shims(block, &named);
    let stages = stages(block, &named);
    let entry = entry(args, block);
    quiet(block, &named);
    let (root, state) = (&args.root, &block.state);
    let conditions = conditions(&block.attrs);
    quote! {
        #block

        #conditions
        const _: () = {
            use #root::__private as __mmate;
            const __MMATE_STATE: __mmate::StateOf<#state> = __mmate::state_of();
            #shims
            const __MMATE_STAGES: &[__mmate::StageEntry] = &[#(#stages),*];
            const __MMATE_ENTRY: &__mmate::WorkflowEntry = &#entry;
            #[automatically_derived]
            impl __mmate::Workflow for #state {
                const ENTRY: &'static __mmate::WorkflowEntry = __MMATE_ENTRY;
            }
            __mmate::inventory::submit! { *__MMATE_ENTRY }
        };
    }
}

/// The methods that stages name, each once, as the first one names it.
struct Named {
    undos: Vec<Ident>,
    tests: Vec<Ident>,
    /// Further mentions, which editors want to follow as well.
    again: Vec<Ident>,
}

impl Named {
    fn of(block: &ImplBlock) -> Self {
        let mut named = Self { undos: Vec::new(), tests: Vec::new(), again: Vec::new() };
        for Stage { args, .. } in block.stages() {
            let undo = args.compensate.iter().map(|name| (&name.value, true));
            let tests = args.when.iter().chain(&args.repeat).map(|name| (&name.value, false));
            for (name, is_undo) in undo.chain(tests) {
                let known = if is_undo { &mut named.undos } else { &mut named.tests };
                if known.contains(name) {
                    named.again.push(name.clone());
                } else {
                    known.push(name.clone());
                }
            }
        }
        named
    }
}

fn shims(block: &ImplBlock, named: &Named) -> TokenStream {
    let state = &block.state;
    let methods = block.methods();
    let stages = block.stages();
    let starts = stages.iter().enumerate().map(|(index, stage)| {
        let conditions = conditions(&stage.item.attrs);
        let needs = format_ident!("__mmate_needs_{index}");
        if let Some(waiting) = wait::shims(block, stage, index, &needs) {
            return quote!(#(#conditions #waiting)*);
        }
        let keeps = if stage.args.parallel.is_some() { Keeps::Value } else { Keeps::State };
        let shim = Shim {
            start: format_ident!("__mmate_stage_{index}"),
            state,
            item: &stage.item,
            called: &stage.item.sig.ident,
            keeps,
            first: First::Values(stage.branches(&stages)),
        };
        let (start, requires) = (shim.start(), requires(&needs, &shim.asked()));
        quote!(#conditions #start #conditions #requires)
    });
    let undos = named.undos.iter().enumerate().filter_map(|(index, called)| {
        let item = methods.iter().find(|method| method.sig.ident == *called)?;
        let shim = Shim {
            start: format_ident!("__mmate_undo_{index}"),
            state,
            item,
            called,
            keeps: Keeps::State,
            first: First::Values(Vec::new()),
        };
        let needs = format_ident!("__mmate_undo_needs_{index}");
        let (start, requires) = (shim.start(), requires(&needs, &shim.asked()));
        let conditions = conditions(&item.attrs);
        Some(quote!(#conditions #start #conditions #requires))
    });
    let tests = named.tests.iter().enumerate().map(|(index, name)| {
        let test = test(index, state, name);
        let conditions = conditions_of(block, name);
        quote!(#conditions #test)
    });
    let again = named.again.iter().map(|name| {
        let conditions = conditions_of(block, name);
        quote!(#conditions const _: () = { let _ = <#state>::#name; };)
    });
    quote!(#(#starts)* #(#undos)* #(#tests)* #(#again)*)
}

fn conditions_of(block: &ImplBlock, method: &Ident) -> TokenStream {
    let methods = block.methods();
    let method = methods.iter().find(|item| item.sig.ident == *method);
    method.map(|item| conditions(&item.attrs)).unwrap_or_default()
}

fn stages(block: &ImplBlock, named: &Named) -> Vec<TokenStream> {
    let stages = block.stages();
    let entries = stages.iter().enumerate().map(|(index, stage)| {
        let Stage { item, .. } = stage;
        let name = spelled(&item.sig.ident);
        let line = quote::quote_spanned!(item.sig.ident.span()=> ::core::line!());
        let (start, requires) =
            (format_ident!("__mmate_stage_{index}"), format_ident!("__mmate_needs_{index}"));
        let options = stage_options(stage, named, &stages);
        let waits = wait::options(&block.state, stage, index);
        let docs = docs_setter(&item.attrs);
        let conditions = conditions(&item.attrs);
        quote! {
            #conditions
            __mmate::StageEntry::new(#name, #line, #requires, #start) #options #waits #docs
        }
    });
    entries.collect()
}

fn stage_options(stage: &Stage, named: &Named, stages: &[&Stage]) -> TokenStream {
    let args = &stage.args;
    let shape = match (&args.parallel, &args.join) {
        (Some(Keyed { value: group, .. }), _) => Some(("Branch", group)),
        (_, Some(Keyed { value: group, .. })) => Some(("Join", group)),
        (None, None) => None,
    };
    let shape = shape.map(|(shape, group)| {
        let (shape, group) = (format_ident!("{shape}"), spelled(group));
        quote!(.shape(__mmate::Shape::#shape(#group)))
    });
    let timeout = millis("timeout_ms", args.timeout.as_ref());
    let delay = millis("delay_ms", args.delay.as_ref());
    let retry = args.retry.as_ref().map(|retry| retry_policy(&retry.value));
    let retry = retry.map(|policy| quote!(.retry(#policy)));
    let flag = |name: &str, holds: bool| {
        let name = format_ident!("{name}");
        holds.then(|| quote!(.#name(true)))
    };
    let irreversible = flag("irreversible", args.irreversible.is_some());
    let goes_on = flag("continue_on_failure", args.continue_on_failure.is_some());
    let services = flag("takes_services", stage.asks_for_services(stages));
    let can_fail = flag("can_fail", stage.can_fail());
    let when = test_setter("when", args.when.as_ref(), named);
    let repeat = test_setter("repeat", args.repeat.as_ref(), named);
    let undo = args.compensate.as_ref().and_then(|undo| {
        let index = named.undos.iter().position(|name| *name == undo.value)?;
        let (start, requires) =
            (format_ident!("__mmate_undo_{index}"), format_ident!("__mmate_undo_needs_{index}"));
        let name = spelled(&undo.value);
        Some(quote!(.undo(__mmate::Undo::new(#name, #requires, #start))))
    });
    quote!(#shape #timeout #retry #irreversible #goes_on #delay #services #can_fail #when #repeat #undo)
}

fn test_setter(setter: &str, test: Option<&Keyed<Ident>>, named: &Named) -> Option<TokenStream> {
    let test = test?;
    let index = named.tests.iter().position(|name| *name == test.value)?;
    let (setter, shim) = (format_ident!("{setter}"), format_ident!("__mmate_test_{index}"));
    let name = spelled(&test.value);
    Some(quote!(.#setter(__mmate::Test::new(#name, #shim))))
}

fn entry(args: &WorkflowArgs, block: &ImplBlock) -> Option<TokenStream> {
    let state_name = block.state_name()?;
    let name = spelled(state_name);
    let location = location(state_name);
    let id = args.id.as_ref().map_or_else(|| kebab(&name), |id| id.value.value());
    let docs = docs_setter(&block.attrs);
    let version = args.version.as_ref().map(|version| {
        let version = Literal::u64_unsuffixed(version.value);
        quote!(.version(#version))
    });
    let timeout = millis("timeout_ms", args.timeout.as_ref());
    let prefix = args.prefix.as_ref().map(|Keyed { value, .. }| quote!(.prefix(#value)));
    let concurrency = args.concurrency.as_ref().map(|Keyed { value, .. }| {
        let value = written_out(value.to_token_stream(), &block.state);
        quote!(.concurrency(#value))
    });
    let events = args.events.as_ref().map(|_| quote!(.events(true)));
    Some(quote! {
        __mmate::WorkflowEntry::new(#id, #name, #location, __MMATE_STAGES)
            #docs #version #timeout #prefix #concurrency #events
    })
}

pub(super) fn millis(setter: &str, value: Option<&Keyed<Millis>>) -> Option<TokenStream> {
    let (setter, value) = (format_ident!("{setter}"), Literal::u64_unsuffixed(value?.value.value));
    Some(quote!(.#setter(#value)))
}

fn docs_setter(attrs: &[syn::Attribute]) -> Option<TokenStream> {
    Some(docs(attrs)).filter(|docs| !docs.is_empty()).map(|docs| quote!(.docs(#docs)))
}

/// Stages, what takes what they wait for and what undoes them are async and borrow the state, whatever their bodies do with it.
fn quiet(block: &mut ImplBlock, named: &Named) {
    let allow = |item: &mut FnItem| {
        let lints = parse_quote! {
            #[allow(clippy::unused_async, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
        };
        item.attrs.insert(0, lints);
    };
    let follow_ups: Vec<Ident> = block
        .stages()
        .iter()
        .filter_map(|stage| stage.args.follow_up().map(|name| name.value.clone()))
        .collect();
    let is_called = |name: &Ident| named.undos.contains(name) || follow_ups.contains(name);
    for member in &mut block.members {
        match member {
            Member::Stage(stage) => allow(&mut stage.item),
            Member::Method(method) if is_called(&method.sig.ident) => allow(method),
            Member::Method(_) | Member::Other(_) => {}
        }
    }
}
