//! Reading a reply: the type that was asked for, a refusal, or something else.

use super::error::{AskError, AskErrorKind, Asked};
use crate::contract::envelope::{self, Glance};
use crate::contract::{MessageInfo, Refusal, Reply};

/// Reads a reply of type `R`.
pub(super) fn read<R: Reply>(asked: &Asked, reply: &[u8]) -> Result<R, AskError> {
    if let Some(answer) = envelope::expect(reply) {
        return Ok(answer);
    }
    let payload = payload(asked, R::INFO, reply)?;
    envelope::message(payload).map_err(|error| asked.bad_reply(error))
}

/// The payload of an answer, told from everything else.
fn payload<'a>(
    asked: &Asked,
    wanted: &'static MessageInfo,
    reply: &'a [u8],
) -> Result<&'a str, AskError> {
    let Glance { message_type, payload } =
        envelope::glance(reply).map_err(|error| asked.bad_reply(error))?;
    let is_wanted = wanted.names().any(|name| name == message_type);
    if let Some(refusal) = Refusal::read(payload)
        && !(is_wanted && has_own_success(wanted))
    {
        return Err(asked.refused(refusal));
    }
    if is_wanted {
        return Ok(payload);
    }
    let text = format!("the reply is a `{message_type}`, not a `{}`", wanted.name);
    Err(asked.error(AskErrorKind::BadReply, text))
}

/// True if `success` is a field of the user's own type, and so says nothing about the request. Asked only
/// about replies that say `false`.
#[cold]
fn has_own_success(info: &MessageInfo) -> bool {
    let schema = (info.schema)().to_value();
    schema.pointer("/properties/success").is_some()
}
