//! What the AMQP library reports, in the words of the port.

use std::future::Future;
use std::time::Duration;

use lapin::ErrorKind as Amqp;
use lapin::types::ShortString;

use crate::transport::{TransportError, TransportErrorKind};

/// AMQP's reply codes that are told apart.
pub(super) mod codes {
    /// Connection forced: an operator or a shutdown closed it.
    pub(in super::super) const CONNECTION_FORCED: u16 = 320;
    /// Access refused.
    pub(in super::super) const ACCESS_REFUSED: u16 = 403;
    /// Not found.
    pub(in super::super) const NOT_FOUND: u16 = 404;
    /// Resource locked: another connection owns an exclusive queue.
    pub(in super::super) const RESOURCE_LOCKED: u16 = 405;
    /// Precondition failed.
    pub(in super::super) const PRECONDITION_FAILED: u16 = 406;
    /// Not allowed: on login, a virtual host that is missing or closed to the user.
    pub(in super::super) const NOT_ALLOWED: u16 = 530;
}

/// The reply code with which the broker closed a channel or connection.
pub(super) fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        Amqp::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// The error's own words: the broker's reply text where there is one.
pub(super) fn cause(error: &lapin::Error) -> String {
    match error.kind() {
        Amqp::ProtocolError(error) => error.get_message().to_string(),
        Amqp::InvalidChannelState(..) | Amqp::InvalidChannel(_) => {
            "the channel is closed".to_owned()
        }
        Amqp::InvalidConnectionState(_) => "the connection is closed".to_owned(),
        Amqp::IOError(error) => error.to_string(),
        _ => error.to_string(),
    }
}

/// An error of something that was asked of the broker: `doing` stands after "failed to".
pub(super) fn of(error: &lapin::Error, doing: &str) -> TransportError {
    TransportError::new(kind(error), format!("failed to {doing}: {}", cause(error)))
        .with_source(error.clone())
}

/// Awaits an answer of the broker, but not for ever.
pub(super) async fn within<T>(
    limit: Duration,
    doing: &str,
    work: impl Future<Output = lapin::Result<T>>,
) -> Result<T, TransportError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| of(&error, doing)),
        Err(_) => Err(TransportError::new(
            TransportErrorKind::Timeout,
            format!("failed to {doing}: the broker did not answer within {limit:?}"),
        )),
    }
}

/// A name on the wire; AMQP's short strings end at 255 bytes.
pub(super) fn short(name: &str, what: &str) -> Result<ShortString, TransportError> {
    ShortString::try_new(name).map_err(|_| {
        TransportError::new(
            TransportErrorKind::Invalid,
            format!("the {what} has {} bytes; AMQP allows 255", name.len()),
        )
    })
}

fn kind(error: &lapin::Error) -> TransportErrorKind {
    use TransportErrorKind as Kind;
    match error.kind() {
        Amqp::ProtocolError(protocol) => match protocol.get_id() {
            codes::ACCESS_REFUSED | codes::NOT_ALLOWED => Kind::Forbidden,
            codes::NOT_FOUND => Kind::NotFound,
            codes::PRECONDITION_FAILED => Kind::Mismatch,
            // The owner of an exclusive queue may be our own connection from before an outage,
            // which the broker has not given up yet: it passes.
            codes::RESOURCE_LOCKED | codes::CONNECTION_FORCED => Kind::Lost,
            _ if error.is_amqp_hard_error() => Kind::Lost,
            _ => Kind::Other,
        },
        Amqp::IOError(_)
        | Amqp::MissingHeartbeatError
        | Amqp::InvalidChannel(_)
        | Amqp::InvalidChannelState(..)
        | Amqp::InvalidConnectionState(_) => Kind::Lost,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn protocol(code: u16, text: &str) -> lapin::Error {
        Amqp::ProtocolError(AMQPError::from_id(code, text.into()).unwrap()).into()
    }

    #[test]
    fn reply_codes_become_kinds() {
        use TransportErrorKind as Kind;
        for (code, expected, transient) in [
            (403, Kind::Forbidden, false),
            (404, Kind::NotFound, false),
            (405, Kind::Lost, true),
            (406, Kind::Mismatch, false),
            (320, Kind::Lost, true),
            (541, Kind::Lost, true),
        ] {
            let error = of(&protocol(code, "SOME - text"), "consume `q`");
            assert_eq!(error.kind(), expected, "{code}");
            assert_eq!(error.is_transient(), transient, "{code}");
            assert_eq!(error.to_string(), "failed to consume `q`: SOME - text");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error() {
        assert!(short(&"x".repeat(255), "queue's name").is_ok());
        let error = short(&"x".repeat(256), "queue's name").unwrap_err();
        assert!(error.to_string().contains("256 bytes"), "{error}");
        assert!(!error.is_transient());
    }
}
