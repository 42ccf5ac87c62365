//! Delivery -> envelope -> route -> outcome.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::{Caching, Looked};
use super::deadline::{Deadlines, Expired};
use super::failure::{BreakerOpen, Callee, TimedOut};
use super::handled::{Dispatched, Handled};
use super::invoke::{Target, invoke};
use super::limits::{Admitted, Hold, LATE_WAIT_MIN, Limits, Ticket, Waits};
use super::opening::{self, Opening, Unreadable};
use super::routes::{QueueRoutes, Route};
use crate::contract::{Meta, Text};
use crate::handler::{Call, Context, ContextParts, HandlerError, Outcome, Resources};
use crate::publish::{Origin, Outbox};
use crate::reliability::RetrySettings;
use crate::transport::Delivery;

/// What all dispatchers of an app share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What handlers may ask for.
    pub resources: Resources,
    /// True once the app has begun to stop.
    pub stopping: watch::Receiver<bool>,
    /// The largest body that is opened, in bytes.
    pub body_bytes_max: usize,
    /// What configuration says about the classes of errors.
    pub retry: Arc<RetrySettings>,
    /// Tells which requests come too late.
    pub deadlines: Deadlines,
}

/// Finds and calls the handlers of one queue.
#[derive(Debug)]
pub struct Dispatcher {
    routes: QueueRoutes,
    shared: Shared,
}

/// Whether the handler of a message may be called.
enum Entered {
    Call(Caching, Option<Box<Ticket>>),
    Looked(Looked),
    Left,
    Late(Duration),
    FallBack(BreakerOpen),
    Expired(Expired),
}

impl Dispatcher {
    /// A dispatcher for a queue.
    #[must_use]
    pub const fn new(routes: QueueRoutes, shared: Shared) -> Self {
        Self { routes, shared }
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.routes.queue
    }

    /// The handler of a delivery as far as its properties tell, for a note about it.
    #[must_use]
    pub fn likely_route(&self, delivery: &Delivery) -> Option<&Arc<Route>> {
        self.routes.find(delivery.properties.message_type.as_deref()?)
    }

    /// What may keep messages of the queue waiting.
    #[must_use]
    pub fn waits(&self) -> Option<Waits> {
        self.routes.waits()
    }

    /// Handles a delivery for the given time (from 1), as soon as the handler's limits admit it.
    ///
    /// No `async fn`: the opened envelope would keep its place in the future of every message. What few messages need is
    /// boxed.
    pub fn dispatch<'a>(
        &'a self,
        delivery: &'a Delivery,
        attempt: u32,
        hold: Hold<'a>,
    ) -> impl Future<Output = Dispatched> + Send + use<'a> {
        let opening = match self.open(delivery) {
            Ok(opening) => opening,
            Err(unreadable) => {
                let handled = self.unreadable(*unreadable);
                return Either::Left(ready(Dispatched::Handled(handled)).boxed());
            }
        };
        if let Some(expired) = self.expired(delivery, &opening) {
            return Either::Left(ready(self.too_late(expired, opening)).boxed());
        }
        if opening.route.cache.is_some() || opening.route.limits.is_some() {
            return Either::Left(self.dispatch_limited(opening, delivery, attempt, hold).boxed());
        }
        let target = Target::from(opening.route.entry);
        Either::Right(self.call(opening, target, delivery, attempt).map(Dispatched::Handled))
    }

    /// Calls a handler with a cache or limits.
    async fn dispatch_limited(
        &self,
        opening: Opening<'_>,
        delivery: &Delivery,
        attempt: u32,
        hold: Hold<'_>,
    ) -> Dispatched {
        let (mut caching, ticket) = match self.enter(&opening, delivery, hold).await {
            Entered::Call(caching, ticket) => (caching, ticket),
            other => return Box::pin(self.not_called(other, opening, delivery, attempt)).await,
        };
        let target = Target::from(opening.route.entry);
        caching.call();
        let handled = self.call(opening, target, delivery, attempt).await;
        caching.land(&handled.outcome);
        if let Some(ticket) = ticket {
            ticket.end(target.name, &handled.outcome, &self.shared.retry);
        }
        Dispatched::Handled(Handled { caching, ..handled })
    }

    /// Calls the function, at once; what this gives resolves when the call has ended, and has no place for what the
    /// call began with.
    fn call(
        &self,
        opening: Opening<'_>,
        target: Target,
        delivery: &Delivery,
        attempt: u32,
    ) -> impl Future<Output = Handled> + Send + use<> {
        let Opening { opened, route, reply_to } = opening;
        let (meta, payload) = opened.into_parts();
        let context = self.context(delivery, meta, reply_to, (&route, target), attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let began = Some(parts.began);
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        let fault = if target.is_fallback { None } else { route.fault(self.queue()) };
        invoke(target, route.timeout, fault, &call).map(move |outcome| {
            let (route, outbox) = (Some(route), Some(outbox));
            let (instead_of, caching) = (None, Caching::Not);
            Handled { outcome, route, outbox, reply_to, instead_of, began, caching }
        })
    }

    /// Looks for an answer that is there already, then waits for the handler's limits: what is answered
    /// without a call is not limited.
    async fn enter(&self, opening: &Opening<'_>, delivery: &Delivery, hold: Hold<'_>) -> Entered {
        let Opening { opened, route, .. } = opening;
        let caching = match &route.cache {
            None => Caching::Not,
            Some(cache) => match cache.look(opened, delivery, route.timeout, hold).await {
                Looked::Call(caching) => caching,
                looked => return Entered::Looked(looked),
            },
        };
        let Some(limits) = &route.limits else { return Entered::Call(caching, None) };
        match limits.admit(hold).await {
            Admitted::Left => Entered::Left,
            Admitted::Late(wait) => Entered::Late(wait),
            // A fallback's answer is not kept, and nobody waits for it.
            Admitted::FallBack(open) => Entered::FallBack(open),
            // The wait may have been long.
            Admitted::Call(ticket) => match self.expired(delivery, opening) {
                Some(expired) => Entered::Expired(expired),
                None => Entered::Call(caching, Some(ticket)),
            },
        }
    }

    /// What came of a delivery whose handler is not called.
    async fn not_called(
        &self,
        entered: Entered,
        opening: Opening<'_>,
        delivery: &Delivery,
        attempt: u32,
    ) -> Dispatched {
        match entered {
            Entered::Looked(looked) => self.without_call(looked, opening, delivery),
            Entered::Expired(expired) => self.too_late(expired, opening),
            Entered::Late(wait) => Dispatched::Late(wait),
            Entered::FallBack(open) => {
                Dispatched::Handled(self.fall_back(delivery, attempt, open.into()).await)
            }
            Entered::Left | Entered::Call(..) => Dispatched::Left,
        }
    }

    fn expired(&self, delivery: &Delivery, opening: &Opening<'_>) -> Option<Expired> {
        self.shared.deadlines.expired(delivery, opening.route.entry.name)
    }

    fn open<'a>(&self, delivery: &'a Delivery) -> Result<Opening<'a>, Box<Unreadable>> {
        opening::open(&self.routes, delivery, self.shared.body_bytes_max)
    }

    /// Calls the fallback of the delivery's handler. It waits for none of the handler's limits: it is what
    /// is left when they do not help.
    pub async fn fall_back(
        &self,
        delivery: &Delivery,
        attempt: u32,
        instead_of: HandlerError,
    ) -> Handled {
        let opening = match self.open(delivery) {
            Ok(opening) => opening,
            Err(unreadable) => return self.unreadable(*unreadable),
        };
        let entry = opening.route.entry;
        let target = entry.options.fallback.map_or(Target::from(entry), Target::from);
        let handled = self.call(opening, target, delivery, attempt).await;
        Handled { instead_of: Some(instead_of), ..handled }
    }

    fn context(
        &self,
        delivery: &Delivery,
        mut meta: Meta,
        reply_to: Option<Text>,
        (route, target): (&Route, Target),
        attempt: u32,
    ) -> Context {
        // The envelope is the truth; what stands beside it fills the gaps.
        meta.headers.fill_from(&delivery.properties.headers);
        // A fallback publishes under its own name: some of the handler's messages may have left already,
        // and no other message may have their ids.
        let origin = Origin::new(meta, Arc::clone(&self.routes.queue), target.name);
        let began = Instant::now();
        Context::new(ContextParts {
            reply_to,
            queue: Arc::clone(&self.routes.queue),
            handler: target.name,
            is_fallback: target.is_fallback,
            attempt,
            began,
            deadline: began + route.timeout,
            request_deadline: self.shared.deadlines.of(delivery, began),
            resources: self.shared.resources.clone(),
            outbox: Arc::new(Outbox::new(origin)),
            stopping: self.shared.stopping.clone(),
            extension: None,
        })
    }
}

impl Dispatcher {
    /// What came of a delivery for which no handler could be called.
    fn unreadable(&self, unreadable: Unreadable) -> Handled {
        let Unreadable { error, caller } = unreadable;
        let outcome = Outcome::Failed(HandlerError::from(error));
        let (outbox, reply_to) = match caller {
            Some((meta, to)) => (Some(self.outbox(meta, NO_HANDLER)), Some(to)),
            None => (None, None),
        };
        Handled::uncalled(outcome, None, outbox, reply_to)
    }

    /// What came of a request whose handler was not called, since nobody waits any more.
    #[cold]
    fn too_late(&self, expired: Expired, opening: Opening<'_>) -> Dispatched {
        let Opening { opened, route, reply_to } = opening;
        let outcome = Outcome::Failed(HandlerError::from(expired));
        let outbox = Some(self.outbox(opened.into_parts().0, route.entry.name));
        Dispatched::Handled(Handled::uncalled(outcome, Some(route), outbox, reply_to))
    }

    /// What came of a message for which no call is to be made: an equal query has, or had its turn.
    fn without_call(
        &self,
        looked: Looked,
        opening: Opening<'_>,
        delivery: &Delivery,
    ) -> Dispatched {
        let Opening { opened, route, reply_to } = opening;
        let handler = route.entry.name;
        let (outcome, caching) = match looked {
            Looked::Found(given) => {
                let word = route.cache.as_ref().map_or("cached", |cache| cache.word());
                (given.into(), Caching::Hit(word))
            }
            Looked::TimedOut => {
                let callee = Callee("handler", handler);
                let error = TimedOut { callee, limit: route.timeout, called: false };
                (Outcome::Failed(error.into()), Caching::Not)
            }
            Looked::Late => {
                let wait = route.limits.as_ref().map_or(LATE_WAIT_MIN, Limits::late_wait);
                return Dispatched::Late(wait);
            }
            Looked::Left | Looked::Call(_) => return Dispatched::Left,
        };
        let (mut meta, _) = opened.into_parts();
        meta.headers.fill_from(&delivery.properties.headers);
        // The answer has the id that the handler's own would have had.
        let outbox = Some(self.outbox(meta, handler));
        let handled = Handled::uncalled(outcome, Some(route), outbox, reply_to);
        Dispatched::Handled(Handled { caching, ..handled })
    }

    fn outbox(&self, meta: Meta, handler: &'static str) -> Arc<Outbox> {
        Arc::new(Outbox::new(Origin::new(meta, Arc::clone(&self.routes.queue), handler)))
    }
}

/// Stands for the handler where there is none.
const NO_HANDLER: &str = "-";
