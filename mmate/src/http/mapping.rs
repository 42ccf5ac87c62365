//! What became of a request over the bridge, or of a publish, in HTTP's words. The table stands at [`Problem`].

use std::error::Error as StdError;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::problem::Problem;
use crate::bridge::{AskError, AskErrorKind};
use crate::contract::Refusal;
use crate::contract::refusal::codes;
use crate::transport::{PublishError, PublishErrorKind};

/// After an overload: places are free again as soon as replies come.
const RETRY_OVERLOAD: Duration = Duration::from_secs(1);

/// After an outage: a broker or a service that is away needs a moment to be back.
const RETRY_OUTAGE: Duration = Duration::from_secs(5);

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        let problem = of_ask(&error);
        // The text of a 5xx is not the client's business, and a person will look for it.
        if problem.status().is_server_error() && error.kind() != AskErrorKind::Overloaded {
            tracing::warn!(status = problem.status().as_u16(), code = problem.code(), %error, "a request has no answer");
        }
        problem
    }
}

fn of_ask(error: &AskError) -> Problem {
    let code = error.code();
    match error.kind() {
        AskErrorKind::Refused => match error.refusal() {
            Some(refusal) => of_refusal(refusal, error.id()),
            None => Problem::refused(code, ""),
        },
        AskErrorKind::Timeout => {
            let detail =
                "no answer came in time; the request may still be done, so ask again with its id";
            gateway_timeout("TIMEOUT", detail, error.id())
        }
        AskErrorKind::TooFew => {
            let detail = "fewer answers came in time than are needed; the request may still be done, so ask again with its id";
            gateway_timeout(code, detail, error.id())
        }
        AskErrorKind::Unknown => {
            let detail = "whether the request was done is not known, so ask again with its id, which is safe";
            gateway_timeout(code, detail, error.id())
        }
        AskErrorKind::Overloaded => {
            let detail = "too many requests wait for their answers; this one was not taken";
            unavailable(code, detail).retry_after(RETRY_OVERLOAD)
        }
        AskErrorKind::NoListener => {
            unavailable(code, "nobody is there to do it; the request was not taken")
        }
        AskErrorKind::NotSent => {
            unavailable(code, "it cannot be passed on now; the request was not taken")
        }
        AskErrorKind::BadReply => {
            let detail = "the request was done, and its answer cannot be read";
            bad_gateway(code, detail, error.id())
        }
        AskErrorKind::Invalid if is_too_large(error) => too_large(),
        AskErrorKind::Invalid => invalid(code),
    }
}

/// The peer's own refusals are meant for the caller; those of the framework say how the peer fared.
fn of_refusal(refusal: &Refusal, id: &str) -> Problem {
    let code = refusal.code.as_str();
    match code {
        codes::REQUEST_FAILED => {
            bad_gateway(code, "the request was taken, and could not be done", id)
        }
        codes::INVALID_REQUEST => {
            bad_gateway(code, "the service behind this edge does not understand the request", id)
        }
        _ => Problem::refused(code, &refusal.message).with_details(refusal.details.clone()),
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let problem = of_publish(&error);
        if problem.status().is_server_error() {
            tracing::warn!(status = problem.status().as_u16(), code = problem.code(), %error, "a message was not published");
        }
        problem
    }
}

fn of_publish(error: &PublishError) -> Problem {
    match error.kind() {
        PublishErrorKind::Unroutable | PublishErrorKind::NoExchange => {
            unavailable("NO_LISTENER", "nobody is there to take it; it was not kept")
        }
        PublishErrorKind::Refused | PublishErrorKind::Closed => {
            unavailable("NOT_SENT", "it cannot be passed on now")
        }
        PublishErrorKind::TooLarge => too_large(),
        PublishErrorKind::Invalid => invalid("INVALID"),
        PublishErrorKind::Unknown => {
            let detail = "whether it was passed on is not known, so send it again with its id, which is safe";
            gateway_timeout("UNKNOWN", detail, error.id())
        }
    }
}

fn gateway_timeout(code: &str, detail: &str, id: &str) -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, code, detail).with_details(json!({"requestId": id}))
}

fn bad_gateway(code: &str, detail: &str, id: &str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, code, detail).with_details(json!({"requestId": id}))
}

fn unavailable(code: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_OUTAGE)
}

fn invalid(code: &str) -> Problem {
    Problem::invalid(code, "the request breaks the contract of the message that it becomes")
}

fn too_large() -> Problem {
    let detail = "the request is too large for a message";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", detail)
}

fn is_too_large(error: &AskError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<PublishError>());
    source.is_some_and(|source| source.kind() == PublishErrorKind::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_publish_has_its_status() {
        for (kind, status, code) in [
            (PublishErrorKind::Unroutable, 503, "NO_LISTENER"),
            (PublishErrorKind::NoExchange, 503, "NO_LISTENER"),
            (PublishErrorKind::Refused, 503, "NOT_SENT"),
            (PublishErrorKind::Closed, 503, "NOT_SENT"),
            (PublishErrorKind::TooLarge, 413, "TOO_LARGE"),
            (PublishErrorKind::Invalid, 400, "INVALID"),
            (PublishErrorKind::Unknown, 504, "UNKNOWN"),
        ] {
            let problem = Problem::from(PublishError::new(kind, "id-1", "a secret of the inside"));
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
            assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        }
    }

    #[test]
    fn a_peer_speaks_for_itself_and_the_framework_says_nothing_of_the_inside() {
        let own = Refusal::new("BLOCKED", "ada is blocked").details(json!({"until": 7}));
        let problem = of_refusal(&own, "id-1");
        assert_eq!(problem.to_string(), "422 BLOCKED: ada is blocked");
        assert_eq!(problem.details(), Some(&json!({"until": 7})));
        for (code, status) in
            [(codes::REQUEST_FAILED, 502), (codes::INVALID_REQUEST, 502), (codes::DISCARDED, 422)]
        {
            let problem = of_refusal(&Refusal::new(code, "x").details(json!({"x": 1})), "id-1");
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        }
        let failed = Refusal::new(codes::REQUEST_FAILED, "secret").details(json!({"s": "secret"}));
        assert!(!format!("{:?}", of_refusal(&failed, "id-1")).contains("secret"));
    }
}
