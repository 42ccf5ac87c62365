//! What else a route may ask for: the bridge, the publisher, the client's idempotency key.

use std::future::{Future, ready};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use super::problem::Problem;
use crate::bridge::{Ask, Bridge};
use crate::contract::envelope::ID_BYTES_MAX;
use crate::publish::Publisher;

/// The name of the header, as the IETF's draft has it.
const HEADER: &str = "idempotency-key";

impl<S: Send + Sync> FromRequestParts<S> for Bridge
where
    Self: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        _: &mut Parts,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        ready(Ok(Self::from_ref(state)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Publisher
where
    Self: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        _: &mut Parts,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        ready(Ok(Self::from_ref(state)))
    }
}

impl FromRef<Bridge> for Publisher {
    fn from_ref(bridge: &Bridge) -> Self {
        bridge.publisher().clone()
    }
}

/// The client's `Idempotency-Key`, if it sent one: becomes the id of the request, so that a client that asks
/// again (it got no answer, a 504 or a 503) asks for the same thing, and an idempotent handler does it once: one
/// whose store knows the id, or, within one process, one that says `#[handler(idempotent)]`.
///
/// Whoever knows a key asks for the same thing, so clients shall use keys that nobody guesses, such as UUIDs. A key is
/// from 1 to 255 visible ASCII characters; quotes around it are not part of it. Another one is answered with 400
/// and the code `INVALID_IDEMPOTENCY_KEY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// The key, if the client sent one.
    #[must_use]
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Gives the key to a request as its id; without a key the request keeps an id of its own.
    pub fn on<'a, R>(&self, ask: Ask<'a, R>) -> Ask<'a, R> {
        match &self.0 {
            Some(key) => ask.id(key),
            None => ask,
        }
    }

    fn read(parts: &Parts) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let key = quoted.unwrap_or(text);
        if (1..=ID_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(Some(key.to_owned())));
        }
        let detail =
            format!("`Idempotency-Key` is not 1 to {ID_BYTES_MAX} visible ASCII characters");
        Err(Problem::invalid("INVALID_IDEMPOTENCY_KEY", detail))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        ready(Self::read(parts))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::*;

    fn key(value: &[u8]) -> Result<Option<String>, String> {
        let value = HeaderValue::from_bytes(value).unwrap();
        let (parts, ()) = Request::builder().header(HEADER, value).body(()).unwrap().into_parts();
        IdempotencyKey::read(&parts).map(|key| key.0).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn a_key_is_short_visible_and_quoted_or_not() {
        assert_eq!(key(b"3f2a-7"), Ok(Some("3f2a-7".to_owned())));
        assert_eq!(key(b"\"3f2a-7\""), Ok(Some("3f2a-7".to_owned())));
        assert_eq!(key(&[b'k'; 255]), Ok(Some("k".repeat(255))));
        for wrong in [&b""[..], b"\"\"", b"two words", "schl\u{fc}ssel".as_bytes(), &[b'k'; 256]] {
            assert_eq!(key(wrong), Err("INVALID_IDEMPOTENCY_KEY".to_owned()), "{wrong:?}");
        }
        let (parts, ()) = Request::new(()).into_parts();
        assert_eq!(IdempotencyKey::read(&parts).unwrap(), IdempotencyKey(None));
    }
}
