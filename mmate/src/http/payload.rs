//! A JSON body as a message.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

use super::problem::Problem;
use crate::contract::refusal::codes;
use crate::contract::{DecodeError, Message, MessageInfo, Reason, envelope};

/// The message in the JSON body of a request: decoded as a consumer decodes it, and checked against its JSON
/// schema (feature `validation`, a default one), so that what a peer would refuse is not even sent.
///
/// # Errors
/// Problems with the code `INVALID_REQUEST`, whose text names the place of the mistake and never the value:
///
/// - 400 for a body that is no JSON, does not fit the type or breaks its schema; `details.reason` is the word
///   that a dead letter would carry.
/// - 413 for one that is larger than axum's `DefaultBodyLimit`: 2 MB, unless a layer of the route says otherwise.
/// - 415 for one that is not called `application/json` or `application/..+json`.
///
/// ```
/// use mmate::http::{Payload, Problem};
/// use mmate::prelude::*;
///
/// #[message(event, aggregate = "sensor")]
/// struct Measured {
///     #[schemars(range(min = -50, max = 60))]
///     celsius: i32,
/// }
///
/// async fn measured(publisher: Publisher, Payload(event): Payload<Measured>) -> Result<(), Problem> {
///     publisher.publish(event).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Payload<M>(pub M);

impl<M: Message, S: Send + Sync> FromRequest<S> for Payload<M> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send the body as `content-type: application/json`";
            return Err(wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| unreadable(&rejection))?;
        read(&body).map(Self)
    }
}

fn wrong(status: StatusCode, detail: impl Into<String>) -> Problem {
    Problem::new(status, codes::INVALID_REQUEST, detail)
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        wrong(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this route accepts")
    } else {
        wrong(StatusCode::BAD_REQUEST, "the body could not be read to its end")
    }
}

fn read<M: Message>(body: &[u8]) -> Result<M, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        undecodable(&DecodeError::new(
            Reason::NotUtf8,
            format!("the body stops being UTF-8 at byte {at}"),
        ))
    })?;
    let message = envelope::message(text).map_err(|error| undecodable(&error))?;
    check(M::INFO, text)?;
    Ok(message)
}

fn undecodable(error: &DecodeError) -> Problem {
    wrong(StatusCode::BAD_REQUEST, error.to_string())
        .with_details(json!({"reason": error.reason().as_str()}))
}

/// After decoding, whose errors name line and column.
#[cfg(feature = "validation")]
fn check(info: &'static MessageInfo, text: &str) -> Result<(), Problem> {
    use crate::contract::validate::Validator;

    let validator = Validator::of(info).map_err(|error| {
        tracing::error!(error, "a body cannot be checked");
        Problem::internal()
    })?;
    validator.check(text).map_err(|error| undecodable(&error))
}

#[cfg(not(feature = "validation"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `validation` it can fail")]
fn check(_: &'static MessageInfo, _: &str) -> Result<(), Problem> {
    Ok(())
}

/// `application/json` or `application/<anything>+json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|named| named.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_body_is_json_if_it_says_so() {
        for (name, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/cloudevents+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("multipart/form-data", false),
        ] {
            let named = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(name))]);
            assert_eq!(is_json(&named), expected, "{name}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
