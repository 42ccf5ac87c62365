//! Which handler takes which type of a queue. Built at boot, immutable afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::cache::ReplyCache;
#[cfg(feature = "testing")]
use super::fault::HandlerFaults;
use super::limits::{Limits, Waits};
#[cfg(feature = "validation")]
use crate::contract::validate::Validator;
use crate::handler::{HandlerEntry, HandlerError};
use crate::observability::Account;
use crate::reliability::RetryPolicy;

/// A handler with its options resolved.
#[derive(Debug)]
#[non_exhaustive]
pub struct Route {
    /// The handler.
    pub entry: &'static HandlerEntry,
    /// How long one call may take.
    pub timeout: Duration,
    /// What the user said about retries.
    pub retry: Option<RetryPolicy>,
    /// What a message waits for before the handler is called, if there is anything.
    pub limits: Option<Limits>,
    /// Answers that are given again, if the handler says so.
    pub cache: Option<Arc<ReplyCache>>,
    /// Where the fates of its messages are counted.
    pub account: Arc<Account>,
    /// Checks payloads, where that is switched on.
    #[cfg(feature = "validation")]
    pub validator: Option<Validator>,
    /// Failures that a test asks for.
    #[cfg(feature = "testing")]
    pub faults: Option<Arc<HandlerFaults>>,
}

impl Route {
    /// The route to a handler, without validation.
    #[must_use]
    pub fn new(entry: &'static HandlerEntry, timeout: Duration, account: Arc<Account>) -> Self {
        Self {
            entry,
            timeout,
            retry: entry.options.retry,
            limits: None,
            cache: None,
            account,
            #[cfg(feature = "validation")]
            validator: None,
            #[cfg(feature = "testing")]
            faults: None,
        }
    }

    /// The failure that a test asks for instead of a call.
    #[cfg(feature = "testing")]
    pub(super) fn fault(&self, queue: &str) -> Option<HandlerError> {
        self.faults.as_ref()?.take(self.entry, queue)
    }

    /// Nothing, where there are no tests.
    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "as in the build for tests")]
    pub(super) const fn fault(&self, _queue: &str) -> Option<HandlerError> {
        None
    }
}

/// The name under which a handler takes what no other handler of its queue takes.
pub(crate) const ANY_TYPE: &str = "*";

/// The handlers of one queue.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueRoutes {
    /// The queue.
    pub queue: Arc<str>,
    by_type: HashMap<&'static str, Arc<Route>, RandomState>,
}

impl QueueRoutes {
    /// No handlers yet.
    #[must_use]
    pub fn new(queue: &str) -> Self {
        Self { queue: queue.into(), by_type: HashMap::default() }
    }

    /// Adds a handler under all names of its message.
    pub fn add(&mut self, route: Route) {
        let route = Arc::new(route);
        for name in route.entry.message.names() {
            self.by_type.insert(name, Arc::clone(&route));
        }
    }

    /// The handler of a type.
    #[must_use]
    pub fn find(&self, message_type: &str) -> Option<&Arc<Route>> {
        self.by_type.get(message_type).or_else(|| self.by_type.get(ANY_TYPE))
    }

    /// What may keep messages of the queue waiting.
    #[must_use]
    pub fn waits(&self) -> Option<Waits> {
        Waits::of(self.by_type.values().cloned())
    }

    /// The types that the queue's handlers take, in order, for an error.
    #[must_use]
    pub fn types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.by_type.keys().copied().collect();
        types.sort_unstable();
        types
    }
}
