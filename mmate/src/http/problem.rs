//! A "no" as HTTP says it: `application/problem+json` (RFC 9457).

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

/// The media type of a problem.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The type of problems that say no more than their status, as the RFC names it.
const BLANK: &str = "about:blank";

/// Why a request was not done: an `application/problem+json` body of `type`, `title`, `status` and `detail`,
/// and beside these `code`, by which programs tell problems apart, and `details` where there are any.
///
/// ```
/// use mmate::http::Problem;
/// use mmate::http::axum::http::StatusCode;
///
/// let gone = Problem::new(StatusCode::GONE, "ORDER_ARCHIVED", "the order is in the archive");
/// assert_eq!(gone.to_string(), "410 ORDER_ARCHIVED: the order is in the archive");
/// ```
///
/// # From errors of the bridge and of publishing
///
/// | what became of it | status | `code` | |
/// |---|---|---|---|
/// | refused by the peer | 422 | the peer's | with the peer's text and details |
/// | the peer failed for good | 502 | `REQUEST_FAILED` | without a word of the inside |
/// | the peer does not understand it | 502 | `INVALID_REQUEST` | this edge has checked it, so the two disagree on the contract, which no client can mend |
/// | no reply in time | 504 | `TIMEOUT` | the request may still be done |
/// | nobody knows, fewer replies than needed | 504 | `UNKNOWN`, `TOO_FEW` | likewise |
/// | too many requests wait | 503 | `OVERLOADED` | `Retry-After: 1`; it was not sent |
/// | nobody listens, not sent | 503 | `NO_LISTENER`, `NOT_SENT` | `Retry-After: 5`; it was not sent |
/// | a reply that cannot be read | 502 | `BAD_REPLY` | the request was done |
/// | breaks its own contract | 400 | `INVALID` | |
/// | too large for a message | 413 | `TOO_LARGE` | |
///
/// Where the request may have been done, `details.requestId` names it: asked again with that id, which is the
/// client's own `Idempotency-Key` where it sent one ([`IdempotencyKey`](super::IdempotencyKey)), an idempotent
/// handler sees one request. What is not told to the client is logged as a warning.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    kind: String,
    title: Option<String>,
    code: String,
    detail: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with a status, a code for programs and a text for people. Both are shown to the client.
    #[must_use]
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            kind: BLANK.to_owned(),
            title: None,
            code: code.into(),
            detail: detail.into(),
            details: None,
            retry_after: None,
        }))
    }

    /// 400: the request itself is wrong.
    #[must_use]
    pub fn invalid(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404: what the request is about is not there.
    #[must_use]
    pub fn not_found(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 422: understood, and refused by a rule of the business.
    #[must_use]
    pub fn refused(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 500, without a word of what went wrong: that belongs into the log.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "something went wrong on this side";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail)
    }

    /// Changes the status: a refusal `UNKNOWN_ORDER` of a peer may be this edge's 404.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Sets `type`, a URI that identifies the kind of problem, and the `title` that goes with it. Without
    /// it they are `about:blank` and the status's own phrase.
    #[must_use]
    pub fn of_type(mut self, uri: impl Into<String>, title: impl Into<String>) -> Self {
        self.0.kind = uri.into();
        self.0.title = Some(title.into());
        self
    }

    /// Sets `details`, what a program may want to know.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Option<Value>>) -> Self {
        self.0.details = details.into();
        self
    }

    /// Says when to try again, as `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What a program reads.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What a person reads.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// More for a program.
    #[must_use]
    pub const fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    fn body(&self) -> Vec<u8> {
        let Inner { status, kind, title, code, detail, details, .. } = &*self.0;
        let phrase = status.canonical_reason().unwrap_or_default();
        let title = title.as_deref().unwrap_or(phrase);
        let wire = Wire { kind, title, status: status.as_u16(), detail, code, details };
        // Texts and a JSON value can always be written.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: &'a Option<Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        if let Some(wait) = self.0.retry_after {
            let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(whole));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_as_the_rfc_says() {
        let problem = Problem::refused("BLOCKED", "customer ada is blocked")
            .with_details(serde_json::json!({"since": 2026}))
            .retry_after(Duration::from_millis(1_200));
        let body: Value = serde_json::from_slice(&problem.body()).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "customer ada is blocked",
            "code": "BLOCKED",
            "details": {"since": 2026},
        });
        assert_eq!(body, expected);
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn what_is_empty_is_left_out_and_a_type_of_its_own_has_its_title() {
        let problem = Problem::not_found("GONE", "").of_type("https://shop.example/gone", "Gone");
        let body: Value = serde_json::from_slice(&problem.body()).unwrap();
        let expected = serde_json::json!({
            "type": "https://shop.example/gone", "title": "Gone", "status": 404, "code": "GONE",
        });
        assert_eq!(body, expected);
        assert!(!problem.into_response().headers().contains_key(RETRY_AFTER));
    }
}
