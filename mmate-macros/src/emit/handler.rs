//! `#[handler]`: the function untouched, a shim that calls it, one entry in the registry.
//!
//! Each type stands in one generic call per place, with the user's own tokens: then the compiler
//! underlines exactly the type that does not fit, and says so once.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;

use super::{conditions, location, spelled};
use crate::model::{
    Backoff, BreakerArgs, CacheArgs, FnItem, HandlerArgs, QueueType, RateArgs, RetryArgs,
};
use crate::parse::args::Keyed;
use crate::parse::docs::docs;

/// The expansion of a correct handler.
pub(crate) fn handler(args: &HandlerArgs, item: &FnItem) -> TokenStream {
    let root = &args.root;
    let (name, vis) = (&item.sig.ident, &item.vis);
    // The type's place is the attribute, so that editors go to the function when asked for the name.
    let mut type_name = name.clone();
    type_name.set_span(Span::call_site());
    let shims = shims(args, item);
    let entry = entry(args, item);
    let conditions = conditions(&item.attrs);
    quote! {
        #[allow(clippy::unused_async)]
        #item

        #conditions
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis struct #type_name {}

        #conditions
        const _: () = {
            use #root::__private as __mmate;
            #shims
            #[automatically_derived]
            impl __mmate::Handler for #type_name {
                const ENTRY: &'static __mmate::HandlerEntry = &#entry;
            }
            __mmate::inventory::submit! { *<#type_name as __mmate::Handler>::ENTRY }
        };
    }
}

/// The types of the parameters.
pub(super) fn parameter_types(item: &FnItem) -> Vec<&Type> {
    item.parameters().collect()
}

/// Names for the arguments, at the place of the called function's name, so that an error about the whole
/// call stands there.
pub(super) fn argument_names(item: &FnItem, called: Span) -> Vec<syn::Ident> {
    let span = called.resolved_at(Span::mixed_site());
    (0..item.sig.inputs.len()).map(|index| format_ident!("__{index}", span = span)).collect()
}

/// The type that the function returns.
pub(super) fn return_type(item: &FnItem) -> TokenStream {
    match &item.sig.output {
        syn::ReturnType::Default => quote!(()),
        syn::ReturnType::Type(_, ty) => quote!(#ty),
    }
}

fn shims(args: &HandlerArgs, item: &FnItem) -> TokenStream {
    let name = &item.sig.ident;
    let local = Span::mixed_site();
    let start = shim(&quote_spanned!(local=> __mmate_start), &quote!(#name), name.span(), item);
    // A fallback is called the same way, so its types are checked against the handler's own.
    let fallback = args.fallback.as_ref().map(|Keyed { value: path, .. }| {
        let span = path.segments.last().map_or(name.span(), |last| last.ident.span());
        shim(&quote_spanned!(local=> __mmate_fallback), &quote!(#path), span, item)
    });
    let types = parameter_types(item);
    let only_queries = only_queries(args, &types);
    let needs = types
        .iter()
        .skip(1)
        .map(|ty| quote_spanned!(local=> (__mmate::argument::<#ty>().requires)(needs);));
    let (needs_param, needs) = if types.len() < 2 {
        (quote!(_), quote!())
    } else {
        (quote_spanned!(local=> needs), quote!(#(#needs)*))
    };
    quote_spanned! {local=>
        #start
        #fallback
        fn __mmate_requires(#needs_param: &mut __mmate::Requirements) { #needs }
        #only_queries
    }
}

/// The kind of the message is not known here, but while constants are evaluated. A message that is none at all
/// is an error elsewhere, and then this is not evaluated.
fn only_queries(args: &HandlerArgs, types: &[&Type]) -> Option<TokenStream> {
    let (key, message) = (&args.cache.as_ref()?.key, types.first()?);
    let local = Span::mixed_site();
    let check = quote_spanned!(key.span().resolved_at(local)=> __mmate::only_queries(message));
    Some(quote_spanned! {local=>
        const _: () = {
            let message = __mmate::incoming::<#message>().info;
            #check
        };
    })
}

/// The function that takes the arguments and calls `called`, which stands at `span`.
fn shim(shim: &TokenStream, called: &TokenStream, span: Span, item: &FnItem) -> TokenStream {
    let types = parameter_types(item);
    let (message, further) = match types.split_first() {
        Some((message, further)) => (quote!(#message), further),
        None => (quote!(()), [].as_slice()),
    };
    let returned = return_type(item);
    let local = Span::mixed_site();
    let names = argument_names(item, span);
    let (first, others) = match names.split_first() {
        Some((first, others)) => (quote!(#first), others),
        None => (quote!(_), [].as_slice()),
    };
    let running = quote_spanned!(span=> #called(#(#names),*));
    // A future that is not `Send` is blamed here, so it stands at the function's name, too.
    let future = quote_spanned!(span=> _);
    // Hygienic locals: the user's function may be called `message` or `call`.
    quote_spanned! {local=>
        fn #shim(call: &__mmate::Call<'_>) -> __mmate::Started {
            use __mmate::{RunsAnything as _, RunsHandler as _};
            let message = __mmate::incoming::<#message>();
            let #first = (message.take)(call)?;
            #(let #others = (__mmate::argument::<#further>().take)(call)?;)*
            ::core::result::Result::Ok(message.run::<#returned, #future>(#running))
        }
    }
}

fn entry(args: &HandlerArgs, item: &FnItem) -> TokenStream {
    let name = spelled(&item.sig.ident);
    let location = location(&item.sig.ident);
    let message = parameter_types(item).first().map_or_else(|| quote!(()), |ty| quote!(#ty));
    let docs =
        Some(docs(&item.attrs)).filter(|docs| !docs.is_empty()).map(|docs| quote!(.docs(#docs)));
    let options = options(args);
    quote! {
        __mmate::HandlerEntry::new(
            #name, #location, __mmate::incoming::<#message>().info, __mmate_requires, __mmate_start,
        ) #options #docs
    }
}

fn options(args: &HandlerArgs) -> TokenStream {
    let text = |setter: &str, value: &Option<Keyed<syn::LitStr>>| {
        let setter = format_ident!("{setter}");
        value.as_ref().map(|value| {
            let value = value.value.value();
            quote!(.#setter(#value))
        })
    };
    let queue = text("queue", &args.queue);
    let topic = text("topic", &args.topic);
    let group = text("group", &args.group);
    let dead_letter = text("dead_letter", &args.dead_letter);
    let concurrency =
        args.concurrency.as_ref().map(|Keyed { value, .. }| quote!(.concurrency(#value)));
    let prefetch = args.prefetch.as_ref().map(|Keyed { value, .. }| quote!(.prefetch(#value)));
    let timeout = args.timeout.as_ref().map(|timeout| {
        let millis = Literal::u64_unsuffixed(timeout.value.value);
        quote!(.timeout_ms(#millis))
    });
    let retry = args
        .retry
        .as_ref()
        .map(|retry| retry_policy(&retry.value))
        .map(|policy| quote!(.retry(#policy)));
    let broadcast = args.broadcast.as_ref().map(|_| quote!(.broadcast()));
    let queue_kind = queue_kind(args);
    let limits = limits(args);
    let max_priority = args.max_priority.as_ref().map(|level| {
        let level = Literal::u64_unsuffixed(level.value);
        quote!(.max_priority(#level))
    });
    quote!(#queue #topic #group #dead_letter #concurrency #prefetch #timeout #retry #broadcast #queue_kind #max_priority #limits)
}

/// Rate, bulkhead, breaker, fallback and cache.
fn limits(args: &HandlerArgs) -> TokenStream {
    let rate = args.rate.as_ref().map(|rate| rate_policy(&rate.value));
    let bulkhead = args.bulkhead.as_ref().map(|bulkhead| {
        let (name, places) = (&bulkhead.value.name, &bulkhead.value.places);
        quote!(.bulkhead(__mmate::Bulkhead::new(#name, #places)))
    });
    let breaker = args.breaker.as_ref().map(|breaker| breaker_policy(&breaker.value));
    let fallback = args.fallback.as_ref().map(|fallback| {
        let name = fallback.value.segments.last().map(|last| spelled(&last.ident));
        quote!(.fallback(__mmate::Fallback::new(#name, __mmate_fallback)))
    });
    let cache = args.cache.as_ref().map(|cache| cache_policy(&cache.value));
    let idempotent = args.idempotent.as_ref().map(|kept| idempotence(&kept.value));
    quote!(#rate #bulkhead #breaker #fallback #cache #idempotent)
}

fn idempotence(kept: &CacheArgs) -> TokenStream {
    let ttl = kept.ttl.map(|ttl| {
        let ttl = Literal::u64_unsuffixed(ttl.value);
        quote!(.ttl_ms(#ttl))
    });
    let size = number_setter("size", kept.size);
    quote!(.idempotent(__mmate::CachePolicy::IDEMPOTENT #ttl #size))
}

fn cache_policy(cache: &CacheArgs) -> TokenStream {
    let ttl = Literal::u64_unsuffixed(cache.ttl.map_or(0, |ttl| ttl.value));
    let size = number_setter("size", cache.size);
    quote!(.cache(__mmate::CachePolicy::new(#ttl) #size))
}

fn rate_policy(rate: &RateArgs) -> TokenStream {
    let calls = Literal::u64_unsuffixed(rate.calls);
    let per = Literal::u64_unsuffixed(rate.per.map_or(0, |per| per.value));
    let burst = number_setter("burst", rate.burst);
    quote!(.rate(__mmate::RatePolicy::new(#calls, #per) #burst))
}

fn breaker_policy(breaker: &BreakerArgs) -> TokenStream {
    let failures = number_setter("failures", breaker.failures);
    let reset = number_setter("reset_ms", breaker.reset.map(|reset| reset.value));
    let probes = number_setter("probes", breaker.probes);
    let name = breaker.name.as_ref().map(|name| quote!(.breaker_name(#name)));
    quote!(.breaker(__mmate::BreakerPolicy::DEFAULT #failures #reset #probes) #name)
}

fn number_setter(name: &str, value: Option<u64>) -> Option<TokenStream> {
    let (name, value) = (format_ident!("{name}"), Literal::u64_unsuffixed(value?));
    Some(quote!(.#name(#value)))
}

/// Priorities are there on classic queues alone, so they choose the kind if the user did not.
fn queue_kind(args: &HandlerArgs) -> Option<TokenStream> {
    let chosen = args.queue_type.as_ref().map(|chosen| chosen.value.0);
    match chosen.or_else(|| args.max_priority.as_ref().map(|_| QueueType::Classic))? {
        QueueType::Quorum => Some(quote!(.queue_kind(__mmate::QueueKind::Quorum))),
        QueueType::Classic => Some(quote!(.queue_kind(__mmate::QueueKind::Classic))),
    }
}

pub(super) fn retry_policy(retry: &RetryArgs) -> TokenStream {
    let attempts = retry.attempts.map_or_else(
        || quote!(__mmate::RetryPolicy::DEFAULT.attempts),
        |attempts| {
            let attempts = Literal::u64_unsuffixed(attempts);
            quote!(#attempts)
        },
    );
    let backoff = retry
        .backoff
        .as_ref()
        .map_or_else(|| quote!(__mmate::RetryPolicy::DEFAULT.backoff), backoff);
    let jitter = retry.jitter.map(|jitter| {
        let jitter = Literal::f64_unsuffixed(jitter);
        quote!(.jitter(#jitter))
    });
    quote!(__mmate::RetryPolicy::new(#attempts, #backoff) #jitter)
}

fn backoff(backoff: &Backoff) -> TokenStream {
    let (name, waits) = match backoff {
        Backoff::Custom(path) => return quote!(__mmate::Backoff::custom(#path)),
        Backoff::Fixed(wait) => ("fixed_ms", vec![wait]),
        Backoff::Linear(step, cap) => ("linear_ms", vec![step, cap]),
        Backoff::Exponential(base, cap) => ("exponential_ms", vec![base, cap]),
    };
    let name = format_ident!("{name}");
    let waits = waits.iter().map(|wait| Literal::u64_unsuffixed(wait.value));
    quote!(__mmate::Backoff::#name(#(#waits),*))
}
