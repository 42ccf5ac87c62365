//! The descriptions of handlers and providers that the macros write down at compile time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::context::Call;
use super::error::HandlerError;
use super::outcome::Outcome;
use super::resources::{Requirements, Resources};
use crate::contract::{Location, MessageInfo};
use crate::reliability::{BreakerPolicy, RatePolicy, RetryPolicy};
use crate::transport::QueueKind;

/// A handler call that is under way.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a shim gives: the running call, or why it could not begin.
pub type Started = Result<Running, HandlerError>;

/// What a user may say about a handler; what is left out follows from the message and the config.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HandlerOptions {
    /// The queue, instead of the one that follows from message and service.
    pub queue: Option<&'static str>,
    /// The pattern that binds the queue, instead of the keys that follow from the message.
    pub topic: Option<&'static str>,
    /// The consumer group, instead of the service's name.
    pub group: Option<&'static str>,
    /// How many messages are handled at a time, per process.
    pub concurrency: Option<u16>,
    /// How many messages the broker may hand over in advance.
    pub prefetch: Option<u16>,
    /// How long one call may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How failures are tried again.
    pub retry: Option<RetryPolicy>,
    /// Every running instance gets its own copy.
    pub broadcast: bool,
    /// The queue for what failed for good, instead of `dlq.<queue>`.
    pub dead_letter: Option<&'static str>,
    /// How the queue keeps its messages.
    pub queue_kind: Option<QueueKind>,
    /// The highest priority that the queue distinguishes.
    pub max_priority: Option<u8>,
    /// When the handler is no longer called because its calls keep failing.
    pub breaker: Option<BreakerPolicy>,
    /// The breaker that it shares with other handlers of the process; without it, one of its own.
    pub breaker_name: Option<&'static str>,
    /// How many calls may begin in which time, per process.
    pub rate: Option<RatePolicy>,
    /// The places that it shares with other handlers of the process.
    pub bulkhead: Option<Bulkhead>,
    /// What is called instead once the attempts are spent, or while the breaker is open.
    pub fallback: Option<Fallback>,
    /// How long answers are kept for equal queries, and how many of them. For queries alone.
    pub cache: Option<CachePolicy>,
    /// How long it is remembered which messages were handled, and how many of them.
    pub idempotent: Option<CachePolicy>,
    /// Its queue is bound to nothing: messages are sent to it by its name.
    pub unbound: bool,
}

/// A number of places under a name: so many calls of all handlers with this bulkhead run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bulkhead {
    /// The name.
    pub name: &'static str,
    /// How many calls run at a time, per process; at least 1.
    pub places: u16,
}

impl Bulkhead {
    /// So many places under this name.
    #[must_use]
    pub const fn new(name: &'static str, places: u16) -> Self {
        Self { name, places }
    }
}

/// How long the answers of a handler are kept, and how many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachePolicy {
    /// How long an answer is given out again, from the end of the call that gave it; at least 1 ms.
    pub ttl: Duration,
    /// How many answers are kept, per process; at least 1. The one that was not asked for the longest makes room.
    pub size: u32,
}

impl CachePolicy {
    /// How many answers are kept if nothing is said.
    pub const SIZE: u32 = 1_000;

    /// What `idempotent` keeps if nothing is said: 10,000 messages for a day.
    pub const IDEMPOTENT: Self = Self::new(24 * 60 * 60 * 1_000).size(10_000);

    /// [`CachePolicy::SIZE`] answers, each for so many milliseconds.
    #[must_use]
    pub const fn new(ttl_ms: u64) -> Self {
        Self { ttl: Duration::from_millis(ttl_ms), size: Self::SIZE }
    }

    /// Sets how long they are kept, in milliseconds.
    #[must_use]
    pub const fn ttl_ms(mut self, ttl_ms: u64) -> Self {
        self.ttl = Duration::from_millis(ttl_ms);
        self
    }

    /// Sets how many answers are kept.
    #[must_use]
    pub const fn size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }
}

/// A function that takes what a handler takes and returns what it returns.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Fallback {
    /// The function's name.
    pub name: &'static str,
    /// Decodes, extracts and calls.
    pub start: fn(&Call<'_>) -> Started,
}

impl Fallback {
    /// A function by its name and shim.
    #[must_use]
    pub const fn new(name: &'static str, start: fn(&Call<'_>) -> Started) -> Self {
        Self { name, start }
    }
}

/// A handler: its description, and the shim that calls the user's function.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HandlerEntry {
    /// The function's name.
    pub name: &'static str,
    /// Where it stands.
    pub location: Location,
    /// Its doc comment.
    pub docs: &'static str,
    /// The message that it takes.
    pub message: &'static MessageInfo,
    /// What the user said.
    pub options: HandlerOptions,
    /// Collects what its parameters need.
    pub requires: fn(&mut Requirements),
    /// Decodes, extracts and calls.
    pub start: fn(&Call<'_>) -> Started,
}

impl HandlerEntry {
    /// A handler with no options.
    #[must_use]
    pub const fn new(
        name: &'static str,
        location: Location,
        message: &'static MessageInfo,
        requires: fn(&mut Requirements),
        start: fn(&Call<'_>) -> Started,
    ) -> Self {
        let options = HandlerOptions {
            queue: None,
            topic: None,
            group: None,
            concurrency: None,
            prefetch: None,
            timeout_ms: None,
            retry: None,
            broadcast: false,
            dead_letter: None,
            queue_kind: None,
            max_priority: None,
            breaker: None,
            breaker_name: None,
            rate: None,
            bulkhead: None,
            fallback: None,
            cache: None,
            idempotent: None,
            unbound: false,
        };
        Self { name, location, docs: "", message, options, requires, start }
    }

    /// Sets the doc comment.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// The first paragraph of the doc comment, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        summary(self.docs)
    }
}

macro_rules! option_setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        impl HandlerEntry {
            $($(#[$doc])* #[must_use] pub const fn $name(mut self, $name: $type) -> Self {
                self.options.$name = Some($name);
                self
            })*
        }
    };
}

option_setters! {
    /// Names the queue.
    queue: &'static str;
    /// Names the binding pattern.
    topic: &'static str;
    /// Names the consumer group.
    group: &'static str;
    /// Sets how many messages are handled at a time.
    concurrency: u16;
    /// Sets how many messages are handed over in advance.
    prefetch: u16;
    /// Sets the time limit of one call in milliseconds.
    timeout_ms: u64;
    /// Sets the retry policy.
    retry: RetryPolicy;
    /// Names the dead-letter queue.
    dead_letter: &'static str;
    /// Sets the kind of queue.
    queue_kind: QueueKind;
    /// Sets the highest priority.
    max_priority: u8;
    /// Sets the circuit breaker.
    breaker: BreakerPolicy;
    /// Names the circuit breaker, which handlers with this name share.
    breaker_name: &'static str;
    /// Sets the rate limit.
    rate: RatePolicy;
    /// Sets the bulkhead.
    bulkhead: Bulkhead;
    /// Sets the fallback.
    fallback: Fallback;
    /// Keeps answers for equal queries.
    cache: CachePolicy;
    /// Remembers which messages were handled.
    idempotent: CachePolicy;
}

impl HandlerEntry {
    /// Leaves its queue without bindings.
    #[must_use]
    pub const fn unbound(mut self) -> Self {
        self.options.unbound = true;
        self
    }

    /// Gives every running instance its own copy.
    #[must_use]
    pub const fn broadcast(mut self) -> Self {
        self.options.broadcast = true;
        self
    }
}

/// The first paragraph of a doc comment, on one line.
fn summary(docs: &str) -> String {
    let lines: Vec<&str> =
        docs.trim().lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ")
}

inventory::collect!(HandlerEntry);

/// All handlers that are linked into this program, by queue, message, module and name.
#[must_use]
pub fn registered_handlers() -> Vec<&'static HandlerEntry> {
    let mut all: Vec<&'static HandlerEntry> = inventory::iter::<HandlerEntry>.into_iter().collect();
    all.sort_by_key(|entry| {
        (entry.options.queue, entry.message.name, entry.location.module, entry.name)
    });
    all
}

/// A value that is being built at boot.
pub type Building<'a> = Pin<Box<dyn Future<Output = Result<Resources, HandlerError>> + Send + 'a>>;

/// A provider: its description, and the shim that calls the user's function.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProviderEntry {
    /// The function's name.
    pub name: &'static str,
    /// Where it stands.
    pub location: Location,
    /// Says which type it provides, as a requirement that it fulfils.
    pub provides: fn(&mut Requirements),
    /// Collects what its parameters need.
    pub requires: fn(&mut Requirements),
    /// Calls it; the result holds the one value.
    pub build: fn(Resources) -> Building<'static>,
}

impl ProviderEntry {
    /// A provider.
    #[must_use]
    pub const fn new(
        name: &'static str,
        location: Location,
        provides: fn(&mut Requirements),
        requires: fn(&mut Requirements),
        build: fn(Resources) -> Building<'static>,
    ) -> Self {
        Self { name, location, provides, requires, build }
    }
}

inventory::collect!(ProviderEntry);

/// All providers that are linked into this program, by module and name.
#[must_use]
pub fn registered_providers() -> Vec<&'static ProviderEntry> {
    let mut all: Vec<&'static ProviderEntry> =
        inventory::iter::<ProviderEntry>.into_iter().collect();
    all.sort_by_key(|entry| (entry.location.module, entry.name));
    all
}
