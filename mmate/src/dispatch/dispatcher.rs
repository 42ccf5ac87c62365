//! Delivery -> envelope -> route -> outcome.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::invoke::invoke;
use super::routes::{QueueRoutes, Route};
use crate::contract::address::check_routing_key;
use crate::contract::envelope::{self, Opened};
use crate::contract::headers::names;
use crate::contract::{DecodeError, HeaderValue, Meta, Reason};
use crate::handler::{Call, Context, ContextParts, HandlerError, Outcome, Resources};
use crate::publish::{Origin, Outbox};
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

    /// Handles a delivery for the given time (from 1).
    pub async fn dispatch(&self, delivery: &Delivery, attempt: u32) -> Handled {
        let (opened, route, reply_to) = match self.open(delivery) {
            Ok(found) => found,
            Err(error) => return Handled::unreadable(error),
        };
        let (meta, payload) = opened.into_parts();
        let context = self.context(delivery, meta, reply_to, &route, attempt);
        let parts = context.parts();
        let (outbox, reply_to) = (Arc::clone(&parts.outbox), parts.reply_to.clone());
        let call = Call::new(payload, &context);
        #[cfg(feature = "validation")]
        let call = call.validated_by(route.validator.as_ref());
        let outcome = invoke(&route, call).await;
        Handled { outcome, route: Some(route), outbox: Some(outbox), reply_to }
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
        route: &Route,
        attempt: u32,
    ) -> Context {
        // The envelope is the truth; what stands beside it fills the gaps.
        meta.headers.fill_from(&delivery.properties.headers);
        let origin = Origin::new(meta, route.entry.name);
        Context::new(ContextParts {
            reply_to,
            queue: Arc::clone(&self.routes.queue),
            handler: route.entry.name,
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
        }
    }
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
