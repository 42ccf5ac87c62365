//! The text of a payload, and when it is known to be JSON.

use serde::de::IgnoredAny;

use super::open::open;
use crate::contract::Message;
use crate::contract::decode_error::{self, DecodeError};

/// The text of a payload, to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(super) text: &'a str,
    /// The body, if nobody has passed over the payload: then it may be no JSON, see [`peek`](super::open::peek).
    pub(super) unread: Option<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// Parses it, as [`Opened::message`](super::Opened::message) does.
    pub(crate) fn message<M: Message>(self) -> Result<M, DecodeError> {
        // What is no JSON is said of the whole body, as it would have been before.
        message(self.text).map_err(|error| self.check().err().unwrap_or(error))
    }

    /// The text as it stands: surely JSON only once a message was parsed from it.
    #[cfg(feature = "validation")]
    pub(crate) const fn as_str(self) -> &'a str {
        self.text
    }

    /// The text, which is JSON.
    #[cfg(feature = "runtime")]
    pub(crate) fn checked(self) -> Result<&'a str, DecodeError> {
        self.check().map(|()| self.text)
    }

    pub(super) fn check(self) -> Result<(), DecodeError> {
        let Some(body) = self.unread else { return Ok(()) };
        if serde_json::from_str::<IgnoredAny>(self.text).is_ok() {
            Ok(())
        } else {
            open(body).map(drop)
        }
    }
}

/// Parses a payload's text, as [`Opened::message`](super::Opened::message) does.
pub(crate) fn message<M: Message>(payload: &str) -> Result<M, DecodeError> {
    decode_error::parse(payload, M::INFO.name)
}
