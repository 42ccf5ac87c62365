//! Delivery -> envelope and route. Everything that can be wrong with a message is found here, before its
//! handler has an effect.

use std::sync::Arc;

use super::routes::{QueueRoutes, Route};
use crate::contract::address::check_routing_key;
use crate::contract::envelope::{self, Opened};
use crate::contract::headers::names;
use crate::contract::{DecodeError, HeaderValue, Meta, Reason, Text};
use crate::transport::Delivery;

/// A message whose handler is known.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) opened: Opened<'a>,
    pub(super) route: Arc<Route>,
    /// Where an answer goes.
    pub(super) reply_to: Option<Text>,
}

/// A message for which no handler can be called, and who waits for its answer as far as that is known.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) error: DecodeError,
    pub(super) caller: Option<(Meta, Text)>,
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

/// Opens a message and finds its handler.
pub(super) fn open<'a>(
    routes: &QueueRoutes,
    delivery: &'a Delivery,
    body_bytes_max: usize,
) -> Result<Opening<'a>, Box<Unreadable>> {
    let size = delivery.body.len();
    if size > body_bytes_max {
        let text = format!(
            "the body has {size} bytes; at most {body_bytes_max} are opened (`limits.message_bytes_max`)"
        );
        return Err(DecodeError::new(Reason::TooLarge, text).into());
    }
    let opened = envelope::peek(&delivery.body).map_err(Unreadable::from)?;
    check_headers(delivery).map_err(Unreadable::from)?;
    let reply_to = opened.reply_to().or_else(|| delivery.properties.reply_to.clone());
    check_routing_key(reply_to.as_deref().unwrap_or_default()).map_err(|why| {
        let text = format!("the reply address {why}");
        Unreadable::from(DecodeError::new(Reason::ReplyToTooLong, text))
    })?;
    let route = routes.find(&opened.meta.message_type);
    // Elsewhere the handler's own reading of the payload tells what is no JSON; here nobody may read it.
    let is_unread = route.is_none_or(|route| route.cache.is_some());
    let checked = if is_unread { opened.check() } else { Ok(()) };
    let error = match (checked, route) {
        (Ok(()), Some(route)) => return Ok(Opening { opened, route: Arc::clone(route), reply_to }),
        (Ok(()), None) => unknown(routes, &opened),
        (Err(error), _) => error,
    };
    let caller = reply_to.map(|to| (opened.into_parts().0, to));
    Err(Box::new(Unreadable { error, caller }))
}

#[cold]
fn unknown(routes: &QueueRoutes, opened: &Opened<'_>) -> DecodeError {
    let types = routes.types().join("`, `");
    let text = format!(
        "no handler of this queue takes `{}`; it takes `{types}`",
        opened.meta.message_type
    );
    DecodeError::new(Reason::UnknownType, text)
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
