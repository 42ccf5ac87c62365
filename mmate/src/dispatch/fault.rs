//! Failures of handlers that a test asks for. Compiled only with the feature `testing`.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::handler::{HandlerEntry, HandlerError};

type Make = Box<dyn Fn() -> HandlerError + Send + Sync>;

/// The failures that a test has asked for. The dispatcher of an app takes them from its resources.
#[derive(Clone, Debug, Default)]
pub struct HandlerFaults(Arc<Mutex<Vec<Arc<Rule>>>>);

/// Whose calls fail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    Handler(&'static HandlerEntry),
    Queue(&'a str),
}

struct Rule {
    handler: Option<&'static HandlerEntry>,
    queue: Option<String>,
    left: AtomicU32,
    hits: AtomicU32,
    make: Mutex<Make>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = self.handler.map(|entry| entry.name);
        f.debug_struct("Rule")
            .field("handler", &handler)
            .field("queue", &self.queue)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl HandlerFaults {
    pub(crate) fn add(&self, target: Target<'_>) -> HandlerFault {
        let (handler, queue) = match target {
            Target::Handler(entry) => (Some(entry), None),
            Target::Queue(queue) => (None, Some(queue.to_owned())),
        };
        let make: Make = Box::new(|| HandlerError::msg("a failure that the test asked for"));
        let (left, hits) = (AtomicU32::new(1), AtomicU32::new(0));
        let rule = Arc::new(Rule { handler, queue, left, hits, make: Mutex::new(make) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rule));
        HandlerFault(rule)
    }

    /// The error that this call is to end with, if a test asked for one.
    pub(super) fn take(&self, entry: &HandlerEntry, queue: &str) -> Option<HandlerError> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter().find(|rule| rule.fits(entry, queue) && rule.use_up())?;
        rule.hits.fetch_add(1, Ordering::Relaxed);
        let make = rule.make.lock().unwrap_or_else(PoisonError::into_inner);
        Some(make())
    }
}

impl Rule {
    fn fits(&self, entry: &HandlerEntry, queue: &str) -> bool {
        // By place: two handlers may have one name.
        self.handler
            .is_none_or(|wanted| (wanted.name, wanted.location) == (entry.name, entry.location))
            && self.queue.as_deref().is_none_or(|wanted| wanted == queue)
    }

    fn use_up(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// Calls of a handler that fail because a test asked for it: the handler is not called. Once, if nothing
/// else is said.
#[derive(Clone, Debug)]
pub struct HandlerFault(Arc<Rule>);

impl HandlerFault {
    /// How many calls fail, from now on.
    #[expect(
        clippy::must_use_candidate,
        reason = "the fault is in force whether it is kept or not"
    )]
    pub fn times(self, calls: u32) -> Self {
        self.0.left.store(calls, Ordering::Relaxed);
        self
    }

    /// The error that they fail with, made anew for each; by default one that says nothing of its class.
    pub fn with<E: Into<Box<dyn StdError + Send + Sync>>>(
        self,
        error: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let make: Make = Box::new(move || HandlerError::from_boxed(error().into()));
        *self.0.make.lock().unwrap_or_else(PoisonError::into_inner) = make;
        self
    }

    /// How many calls have failed so far.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.0.hits.load(Ordering::Relaxed)
    }
}
