//! What the user wrote, as types. Every value keeps the span of its key and its own.

use proc_macro2::{Ident, TokenStream};
use syn::{Attribute, FnArg, LitInt, LitStr, Signature, Type, Visibility};

use crate::parse::args::Keyed;
use crate::parse::values::{Count, Millis};
use crate::paths::Root;

mod workflow;

pub(crate) use workflow::{Borrow, ImplBlock, Member, Stage, StageArgs, WorkflowArgs};

/// The four kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Event,
    Query,
    Reply,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Command, Self::Event, Self::Query, Self::Reply];
    pub(crate) const WORDS: [&'static str; 4] = ["command", "event", "query", "reply"];

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Event => "event",
            Self::Query => "query",
            Self::Reply => "reply",
        }
    }

    /// The name of the variant and of the marker trait.
    pub(crate) const fn type_name(self) -> &'static str {
        match self {
            Self::Command => "Command",
            Self::Event => "Event",
            Self::Query => "Query",
            Self::Reply => "Reply",
        }
    }
}

/// The arguments of `#[message]`.
#[derive(Default)]
pub(crate) struct MessageArgs {
    pub(crate) root: Root,
    pub(crate) kind: Option<(Kind, Ident)>,
    pub(crate) service: Option<Keyed<LitStr>>,
    pub(crate) queue: Option<Keyed<LitStr>>,
    pub(crate) aggregate: Option<Keyed<LitStr>>,
    pub(crate) key: Option<Keyed<Ident>>,
    pub(crate) reply: Option<Keyed<Type>>,
    pub(crate) name: Option<Keyed<LitStr>>,
    pub(crate) alias: Option<Keyed<Vec<LitStr>>>,
    pub(crate) version: Option<Keyed<u64>>,
    pub(crate) priority: Option<Keyed<u64>>,
    pub(crate) ttl: Option<Keyed<Millis>>,
}

/// How a queue keeps its messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueType {
    Quorum,
    Classic,
}

/// The growth of waits.
#[derive(Clone)]
pub(crate) enum Backoff {
    Custom(syn::Path),
    Fixed(Millis),
    Linear(Millis, Millis),
    Exponential(Millis, Millis),
}

/// `retry(..)`.
#[derive(Default)]
pub(crate) struct RetryArgs {
    pub(crate) attempts: Option<u64>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) jitter: Option<f64>,
}

/// `breaker` and `breaker(..)`.
#[derive(Default)]
pub(crate) struct BreakerArgs {
    pub(crate) failures: Option<u64>,
    pub(crate) reset: Option<Millis>,
    pub(crate) probes: Option<u64>,
    pub(crate) name: Option<LitStr>,
}

/// `rate(..)`.
#[derive(Default)]
pub(crate) struct RateArgs {
    pub(crate) calls: u64,
    /// Missing only after a mistake.
    pub(crate) per: Option<Millis>,
    pub(crate) burst: Option<u64>,
}

/// `bulkhead(..)`.
pub(crate) struct BulkheadArgs {
    pub(crate) name: LitStr,
    pub(crate) places: Count,
}

/// `cache = ".."`, `cache(..)`, `idempotent` and `idempotent(..)`.
#[derive(Default)]
pub(crate) struct CacheArgs {
    /// Of a `cache` it is missing only after a mistake.
    pub(crate) ttl: Option<Millis>,
    pub(crate) size: Option<u64>,
}

/// The arguments of `#[handler]`.
#[derive(Default)]
pub(crate) struct HandlerArgs {
    pub(crate) root: Root,
    pub(crate) queue: Option<Keyed<LitStr>>,
    pub(crate) topic: Option<Keyed<LitStr>>,
    pub(crate) group: Option<Keyed<LitStr>>,
    pub(crate) dead_letter: Option<Keyed<LitStr>>,
    pub(crate) concurrency: Option<Keyed<Count>>,
    pub(crate) prefetch: Option<Keyed<Count>>,
    pub(crate) timeout: Option<Keyed<Millis>>,
    pub(crate) retry: Option<Keyed<RetryArgs>>,
    pub(crate) broadcast: Option<Keyed<()>>,
    pub(crate) queue_type: Option<Keyed<(QueueType, Ident)>>,
    pub(crate) max_priority: Option<Keyed<u64>>,
    pub(crate) breaker: Option<Keyed<BreakerArgs>>,
    pub(crate) rate: Option<Keyed<RateArgs>>,
    pub(crate) bulkhead: Option<Keyed<BulkheadArgs>>,
    pub(crate) fallback: Option<Keyed<syn::Path>>,
    pub(crate) cache: Option<Keyed<CacheArgs>>,
    pub(crate) idempotent: Option<Keyed<CacheArgs>>,
}

/// The arguments of `#[main]` and `#[test]`.
#[derive(Default)]
pub(crate) struct ProgramArgs {
    pub(crate) root: Root,
    pub(crate) crates: Option<Keyed<Vec<Ident>>>,
    pub(crate) worker_threads: Option<Keyed<LitInt>>,
    pub(crate) log: Option<Keyed<LitStr>>,
    /// Each with its help text.
    pub(crate) flags: Option<Keyed<Vec<(Ident, LitStr)>>>,
}

/// A function whose body stays tokens, so that a body that is being typed changes nothing.
#[derive(Clone)]
pub(crate) struct FnItem {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenStream,
}

impl FnItem {
    /// The types of the parameters, without `self`.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Type> {
        self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
    }
}

/// The class of an error type or of one of its variants.
pub(crate) enum Class {
    /// A word such as `transient`, as the name of the variant of `ErrorClass`.
    Plain(&'static str, Ident),
    /// `reject = "CODE"`.
    Reject(LitStr),
}
