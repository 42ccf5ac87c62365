//! Error replies: `success: false`, a code and a text, as the siblings write and read them.

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

/// The type of an error reply.
pub const ERROR_REPLY: &str = "ErrorReply";

/// The code of a refusal that came without one.
const NO_CODE: &str = "ERROR";

/// The codes that Mmate itself gives. A business rule's own codes stand beside them.
pub mod codes {
    /// The request could not be understood: it does not fit its type or breaks its schema, or nobody
    /// takes the type. Sending it again cannot help.
    pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
    /// The handler failed for good: its attempts are spent, or its error allows none. The request lies
    /// in the dead-letter queue, where somebody may send it back.
    pub const REQUEST_FAILED: &str = "REQUEST_FAILED";
    /// Nobody waited any more when the handler's turn came, so it was not called.
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    /// The handler asked for the message to be forgotten.
    pub const DISCARDED: &str = "DISCARDED";
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What a program reads, such as `OUT_OF_STOCK`, or one of [`codes`].
    pub code: String,
    /// What a person reads.
    pub message: String,
    /// More for a program, as far as the peer says more.
    pub details: Option<Value>,
}

impl Refusal {
    /// A refusal with a code and a text.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    /// Adds what a program may want to know.
    #[must_use]
    pub fn details(mut self, details: impl Into<Option<Value>>) -> Self {
        self.details = details.into();
        self
    }

    /// Whether the peer failed, rather than refused: then nobody knows whether it has done what it was asked for. So it
    /// is with [`codes::REQUEST_FAILED`], and with an error that came without a code.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(&*self.code, codes::REQUEST_FAILED | NO_CODE)
    }

    /// The refusal in the payload of a reply; nothing if the payload says `success`, or nothing of it.
    #[must_use]
    pub fn read(payload: &str) -> Option<Self> {
        if !may_refuse(payload) {
            return None;
        }
        let wire: Wire = serde_json::from_str(payload).ok()?;
        if wire.success != Some(Value::Bool(false)) {
            return None;
        }
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Some(Self {
            code: text(wire.error_code).unwrap_or_else(|| NO_CODE.to_owned()),
            message: text(wire.error_message).or_else(|| text(wire.error)).unwrap_or_default(),
            details: wire.error_details.filter(|details| !details.is_null()),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return f.write_str(&self.code);
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Any value is accepted: a reply type of the user's may have fields of these names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    success: Option<Value>,
    error_code: Option<Value>,
    error_message: Option<Value>,
    error: Option<Value>,
    error_details: Option<Value>,
}

/// True if somewhere in the payload `"success"` is followed by `false`: nearly no payload is parsed
/// twice for it.
pub(super) fn may_refuse(payload: &str) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"success\""));
    let bytes = payload.as_bytes();
    NAME.find_iter(bytes).any(|at| {
        let rest = payload[at + NAME.needle().len()..].trim_start();
        rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with("false"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_as_every_sibling_writes_it() {
        for payload in [
            r#"{"success":false,"errorCode":"E1","errorMessage":"no","error":"no"}"#,
            r#"{ "success" : false, "errorCode" : "E1", "error" : "no", "stackTrace": "at x" }"#,
            "{\"order\":{\"success\":true},\"success\":\n false,\"errorCode\":\"E1\",\"errorMessage\":\"no\"}",
        ] {
            assert_eq!(Refusal::read(payload), Some(Refusal::new("E1", "no")), "{payload}");
        }
        let details = r#"{"success":false,"errorCode":7,"errorDetails":{"left":3}}"#;
        let expected = Refusal::new("7", "").details(serde_json::json!({"left": 3}));
        assert_eq!(Refusal::read(details), Some(expected));
        assert_eq!(Refusal::read(r#"{"success":false}"#), Some(Refusal::new("ERROR", "")));
    }

    #[test]
    fn whatever_does_not_say_no_is_no_refusal() {
        for payload in [
            "{}",
            r#"{"success":true,"errorCode":"E1"}"#,
            r#"{"errorCode":"E1"}"#,
            r#"{"nested":{"success":false}}"#,
            r#"{"note":"\"success\": false"}"#,
            r#"{"success":"false"}"#,
            r#"{"success":false"#,
        ] {
            assert_eq!(Refusal::read(payload), None, "{payload}");
        }
    }
}
