//! Delivery -> envelope -> route -> outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::deadline::{Deadlines, Expired};
use super::invoke::{Target, invoke};
use super::limits::{Admitted, Hold, Waits};
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
    /// Tells which requests come too late.
    pub deadlines: Deadlines,
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
    /// When the call began, if there was one.
    pub began: Option<Instant>,
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
            Err(unreadable) => return Dispatched::Handled(self.unreadable(*unreadable)),
        };
        // Before it waits for a limit, and after: nobody is to wait for what nobody waits for.
        if let Some(expired) = self.shared.deadlines.expired(delivery, route.entry.name) {
            return Dispatched::Handled(self.too_late(expired, opened, route, reply_to));
        }
        let ticket = match &route.limits {
            None => None,
            // Boxed, like all that few handlers need.
            Some(limits) => match Box::pin(limits.admit(hold)).await {
                Admitted::Call(ticket) => Some(ticket),
                Admitted::Left => return Dispatched::Left,
                Admitted::Late(wait) => return Dispatched::Late(wait),
                Admitted::FallBack(open) => {
                    let instead = self.fall_back(delivery, attempt, open.into());
                    return Dispatched::Handled(Box::pin(instead).await);
                }
            },
        };
        if ticket.is_some()
            && let Some(expired) = self.shared.deadlines.expired(delivery, route.entry.name)
        {
            return Dispatched::Handled(self.too_late(expired, opened, route, reply_to));
        }
        let (meta, payload) = opened.into_parts();
        let target = Target::from(route.entry);
        let context = self.context(delivery, meta, reply_to, (&route, target), attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let began = Some(parts.began);
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        let outcome = match route.fault(self.queue()) {
            Some(error) => Outcome::Failed(error),
            None => invoke(target, route.timeout, call).await,
        };
        if let Some(ticket) = ticket {
            ticket.end(route.entry.name, &outcome, &self.shared.retry);
        }
        let route = Some(route);
        let (outbox, instead_of) = (Some(outbox), None);
        Dispatched::Handled(Handled { outcome, route, outbox, reply_to, instead_of, began })
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
            Err(unreadable) => return self.unreadable(*unreadable),
        };
        let (meta, payload) = opened.into_parts();
        let target = route.entry.options.fallback.map_or(Target::from(route.entry), Target::from);
        let context = self.context(delivery, meta, reply_to, (&route, target), attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let began = Some(parts.began);
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        let outcome = invoke(target, route.timeout, call).await;
        let (route, outbox) = (Some(route), Some(outbox));
        Handled { outcome, route, outbox, reply_to, instead_of: Some(instead_of), began }
    }

    /// Everything that can be wrong with a message is found before its handler has an effect.
    fn open<'a>(
        &self,
        delivery: &'a Delivery,
    ) -> Result<(Opened<'a>, Arc<Route>, Option<String>), Box<Unreadable>> {
        let (size, max) = (delivery.body.len(), self.shared.body_bytes_max);
        if size > max {
            let text = format!(
                "the body has {size} bytes; at most {max} are opened (`limits.message_bytes_max`)"
            );
            return Err(DecodeError::new(Reason::TooLarge, text).into());
        }
        let opened = envelope::open(&delivery.body).map_err(Unreadable::from)?;
        check_headers(delivery).map_err(Unreadable::from)?;
        let reply_to = opened.reply_to().or_else(|| delivery.properties.reply_to.clone());
        check_routing_key(reply_to.as_deref().unwrap_or_default()).map_err(|why| {
            let text = format!("the reply address {why}");
            Unreadable::from(DecodeError::new(Reason::ReplyToTooLong, text))
        })?;
        match self.routes.find(&opened.meta.message_type) {
            Some(route) => Ok((opened, Arc::clone(route), reply_to)),
            None => Err(Box::new(Unreadable {
                error: self.unknown(&opened),
                caller: reply_to.map(|to| (opened.into_parts().0, to)),
            })),
        }
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
        Handled { outcome, route: None, outbox, reply_to, instead_of: None, began: None }
    }

    /// What came of a request whose handler was not called, since nobody waits any more.
    #[cold]
    fn too_late(
        &self,
        expired: Expired,
        opened: Opened<'_>,
        route: Arc<Route>,
        reply_to: Option<String>,
    ) -> Handled {
        let outcome = Outcome::Failed(HandlerError::from(expired));
        let outbox = Some(self.outbox(opened.into_parts().0, route.entry.name));
        Handled { outcome, route: Some(route), outbox, reply_to, instead_of: None, began: None }
    }

    fn outbox(&self, meta: Meta, handler: &'static str) -> Arc<Outbox> {
        Arc::new(Outbox::new(Origin::new(meta, Arc::clone(&self.routes.queue), handler)))
    }
}

/// Stands for the handler where there is none.
const NO_HANDLER: &str = "-";

/// A message for which no handler can be called, and who waits for its answer as far as that is known.
#[derive(Debug)]
struct Unreadable {
    error: DecodeError,
    caller: Option<(Meta, String)>,
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        Self { error, caller: None }
    }
}

impl From<DecodeError> for Box<Unreadable> {
    fn from(error: DecodeError) -> Self {
        Self::new(error.into())
    }
}

/// Refuses headers whose value no sibling could have meant. Headers that start with `x-` belong to
/// brokers and their plugins (`x-death` is a list of tables) and are left alone, but for our own.
fn check_headers(delivery: &Delivery) -> Result<(), DecodeError> {
    for (name, value) in delivery.properties.headers.iter() {
        let broken = if name.eq_ignore_ascii_case(names::ATTEMPT) {
            value.as_i64().is_none_or(|attempt| attempt < 1)
        } else if is_moment(name) {
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
    } else if is_moment(name) {
        "a number of milliseconds since 1970"
    } else {
        "text, a number or a boolean"
    };
    DecodeError::new(
        Reason::BadHeader,
        format!("header `{name}` is {}; expected {wanted}", value.type_name()),
    )
}

/// The headers that hold a moment.
fn is_moment(name: &str) -> bool {
    [names::NOT_BEFORE, names::DEADLINE].iter().any(|moment| name.eq_ignore_ascii_case(moment))
}

fn starts_with_x(name: &str) -> bool {
    name.as_bytes().get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
}
