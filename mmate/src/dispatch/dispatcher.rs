//! Delivery -> envelope -> route -> outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::{Caching, Looked};
use super::failure::TimedOut;
use super::invoke::{Target, invoke};
use super::limits::{Admitted, Hold, LATE_WAIT_MIN, Limits, Waits};
use super::routes::{QueueRoutes, Route};
use crate::contract::address::check_routing_key;
use crate::contract::envelope::{self, Opened};
use crate::contract::headers::names;
use crate::contract::{DecodeError, HeaderValue, Meta, Reason};
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
}

/// Finds and calls the handlers of one queue.
#[derive(Debug)]
pub struct Dispatcher {
    routes: QueueRoutes,
    shared: Shared,
}

/// What came of a delivery.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handled {
    /// What the handler returned, or why it could not be called.
    pub outcome: Outcome,
    /// The handler, if one was found.
    pub route: Option<Arc<Route>>,
    /// What it published, and the message that it handled; nothing if the envelope was unreadable.
    pub outbox: Option<Arc<Outbox>>,
    /// Where an answer goes.
    pub reply_to: Option<String>,
    /// Why the fallback was called instead of the handler, if it was.
    pub instead_of: Option<HandlerError>,
    /// What the reply cache has to do with it. Dropped, the answer is not kept.
    pub(crate) caching: Caching,
}

/// Whether a delivery was handled.
#[derive(Debug)]
#[non_exhaustive]
pub enum Dispatched {
    /// A handler, its fallback or nobody could take it.
    Handled(Handled),
    /// Nothing was called: the consumer was halted first.
    Left,
    /// Nothing was called: the handler's limits made it wait too long. It is to come again after this time.
    Late(Duration),
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
    pub async fn dispatch(&self, delivery: &Delivery, attempt: u32, hold: Hold<'_>) -> Dispatched {
        let (opened, route, reply_to) = match self.open(delivery) {
            Ok(found) => found,
            Err(error) => return Dispatched::Handled(Handled::unreadable(error)),
        };
        // Before the limits: what is answered without a call is not limited.
        let mut caching = match &route.cache {
            None => Caching::Not,
            Some(cache) => {
                match Box::pin(cache.look(&opened, delivery, route.timeout, hold)).await {
                    Looked::Call(caching) => caching,
                    looked => return without_call(looked, (opened, route, reply_to), delivery),
                }
            }
        };
        let ticket = match &route.limits {
            None => None,
            // Boxed, like all that few handlers need.
            Some(limits) => match Box::pin(limits.admit(hold)).await {
                Admitted::Call(ticket) => Some(ticket),
                Admitted::Left => return Dispatched::Left,
                Admitted::Late(wait) => return Dispatched::Late(wait),
                Admitted::FallBack(open) => {
                    // A fallback's answer is not kept, and nobody waits for it.
                    drop(caching);
                    let instead = self.fall_back(delivery, attempt, open.into());
                    return Dispatched::Handled(Box::pin(instead).await);
                }
            },
        };
        let (meta, payload) = opened.into_parts();
        let target = Target::from(route.entry);
        let context = self.context(delivery, meta, reply_to, (&route, target), attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        caching.call();
        let outcome = match route.fault(self.queue()) {
            Some(error) => Outcome::Failed(error),
            None => invoke(target, route.timeout, call).await,
        };
        caching.land(&outcome);
        if let Some(ticket) = ticket {
            ticket.end(route.entry.name, &outcome, &self.shared.retry);
        }
        let route = Some(route);
        let (outbox, instead_of) = (Some(outbox), None);
        Dispatched::Handled(Handled { outcome, route, outbox, reply_to, instead_of, caching })
    }

    /// Calls the fallback of the delivery's handler. It waits for none of the handler's limits: it is what
    /// is left when they do not help.
    pub async fn fall_back(
        &self,
        delivery: &Delivery,
        attempt: u32,
        instead_of: HandlerError,
    ) -> Handled {
        let (opened, route, reply_to) = match self.open(delivery) {
            Ok(found) => found,
            Err(error) => return Handled::unreadable(error),
        };
        let (meta, payload) = opened.into_parts();
        let target = route.entry.options.fallback.map_or(Target::from(route.entry), Target::from);
        let context = self.context(delivery, meta, reply_to, (&route, target), attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        let outcome = invoke(target, route.timeout, call).await;
        let (route, outbox) = (Some(route), Some(outbox));
        let instead_of = Some(instead_of);
        Handled { outcome, route, outbox, reply_to, instead_of, caching: Caching::Not }
    }

    /// Everything that can be wrong with a message is found before its handler has an effect.
    fn open<'a>(
        &self,
        delivery: &'a Delivery,
    ) -> Result<(Opened<'a>, Arc<Route>, Option<String>), DecodeError> {
        let (size, max) = (delivery.body.len(), self.shared.body_bytes_max);
        if size > max {
            let text = format!(
                "the body has {size} bytes; at most {max} are opened (`limits.message_bytes_max`)"
            );
            return Err(DecodeError::new(Reason::TooLarge, text));
        }
        let opened = envelope::open(&delivery.body)?;
        check_headers(delivery)?;
        let route =
            self.routes.find(&opened.meta.message_type).ok_or_else(|| self.unknown(&opened))?;
        let reply_to = opened.reply_to().or_else(|| delivery.properties.reply_to.clone());
        check_routing_key(reply_to.as_deref().unwrap_or_default()).map_err(|why| {
            DecodeError::new(Reason::ReplyToTooLong, format!("the reply address {why}"))
        })?;
        Ok((opened, Arc::clone(route), reply_to))
    }

    #[cold]
    fn unknown(&self, opened: &Opened<'_>) -> DecodeError {
        let types = self.routes.types().join("`, `");
        let text = format!(
            "no handler of this queue takes `{}`; it takes `{types}`",
            opened.meta.message_type
        );
        DecodeError::new(Reason::UnknownType, text)
    }

    fn context(
        &self,
        delivery: &Delivery,
        mut meta: Meta,
        reply_to: Option<String>,
        (route, target): (&Route, Target),
        attempt: u32,
    ) -> Context {
        // The envelope is the truth; what stands beside it fills the gaps.
        meta.headers.fill_from(&delivery.properties.headers);
        // A fallback publishes under its own name: some of the handler's messages may have left already,
        // and no other message may have their ids.
        let origin = Origin::new(meta, target.name);
        Context::new(ContextParts {
            reply_to,
            queue: Arc::clone(&self.routes.queue),
            handler: target.name,
            is_fallback: target.is_fallback,
            attempt,
            deadline: Instant::now() + route.timeout,
            resources: self.shared.resources.clone(),
            outbox: Arc::new(Outbox::new(origin)),
            stopping: self.shared.stopping.clone(),
        })
    }
}

impl Handled {
    fn unreadable(error: DecodeError) -> Self {
        Self {
            outcome: Outcome::Failed(HandlerError::from(error)),
            route: None,
            outbox: None,
            reply_to: None,
            instead_of: None,
            caching: Caching::Not,
        }
    }
}

/// What came of a message for which no call is to be made: an equal query has, or had its turn.
fn without_call(
    looked: Looked,
    (opened, route, reply_to): (Opened<'_>, Arc<Route>, Option<String>),
    delivery: &Delivery,
) -> Dispatched {
    let handler = route.entry.name;
    let (outcome, caching) = match looked {
        Looked::Found(answer) => (Outcome::Answered(answer), Caching::Hit),
        Looked::TimedOut => {
            let error = TimedOut { handler, limit: route.timeout, called: false };
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
    let outbox = Some(Arc::new(Outbox::new(Origin::new(meta, handler))));
    let (route, instead_of) = (Some(route), None);
    Dispatched::Handled(Handled { outcome, route, outbox, reply_to, instead_of, caching })
}

/// Refuses headers whose value no sibling could have meant. Headers that start with `x-` belong to
/// brokers and their plugins (`x-death` is a list of tables) and are left alone, but for our own.
fn check_headers(delivery: &Delivery) -> Result<(), DecodeError> {
    for (name, value) in delivery.properties.headers.iter() {
        let broken = if name.eq_ignore_ascii_case(names::ATTEMPT) {
            value.as_i64().is_none_or(|attempt| attempt < 1)
        } else if name.eq_ignore_ascii_case(names::NOT_BEFORE) {
            value.as_i64().is_none()
        } else {
            !starts_with_x(name) && !value.is_scalar()
        };
        if broken {
            return Err(bad_header(name, value));
        }
    }
    Ok(())
}

#[cold]
fn bad_header(name: &str, value: &HeaderValue) -> DecodeError {
    let wanted = if name.eq_ignore_ascii_case(names::ATTEMPT) {
        "a number from 1"
    } else if name.eq_ignore_ascii_case(names::NOT_BEFORE) {
        "a number of milliseconds since 1970"
    } else {
        "text, a number or a boolean"
    };
    DecodeError::new(
        Reason::BadHeader,
        format!("header `{name}` is {}; expected {wanted}", value.type_name()),
    )
}

fn starts_with_x(name: &str) -> bool {
    name.as_bytes().get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
}
