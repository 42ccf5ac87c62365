//! Why a body was not understood, in words that name the place and never repeat the content.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a body cannot be handled; the word that a dead letter carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not JSON.
    NotJson,
    /// The body is JSON and no envelope.
    NotAnEnvelope,
    /// The body nests too deep.
    TooDeep,
    /// The body is larger than the limit.
    TooLarge,
    /// The envelope has no id.
    MissingId,
    /// The envelope has no type.
    MissingType,
    /// The id is too long.
    IdTooLong,
    /// The correlation id is too long.
    CorrelationIdTooLong,
    /// The reply address is longer than a queue's name.
    ReplyToTooLong,
    /// The timestamp is not one.
    BadTimestamp,
    /// A header has a value of a type that has no meaning here.
    BadHeader,
    /// No handler of the queue takes this type.
    UnknownType,
    /// The payload does not fit the type.
    BadPayload,
    /// The payload fits the type and breaks a rule of its schema.
    SchemaViolation,
}

impl Reason {
    /// The word as it stands in the `x-death-reason` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnEnvelope => "not_an_envelope",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::MissingId => "missing_id",
            Self::MissingType => "missing_type",
            Self::IdTooLong => "id_too_long",
            Self::CorrelationIdTooLong => "correlation_id_too_long",
            Self::ReplyToTooLong => "reply_to_too_long",
            Self::BadTimestamp => "bad_timestamp",
            Self::BadHeader => "bad_header",
            Self::UnknownType => "unknown_type",
            Self::BadPayload => "bad_payload",
            Self::SchemaViolation => "schema_violation",
        }
    }
}

/// A body that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    reason: Reason,
    message: String,
}

impl DecodeError {
    #[cold]
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    #[cold]
    pub(crate) fn from_json(reason: Reason, what: &str, error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        Self::new(reason, format!("{what} at {place}: {}", without_values(&error.to_string())))
    }

    /// The reason as a value to match on.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

/// Parses a payload; on failure once more with whole floats turned into whole numbers.
pub(super) fn parse<T: DeserializeOwned>(payload: &str, type_name: &str) -> Result<T, DecodeError> {
    serde_json::from_str(payload).or_else(|error| {
        relaxed(payload).and_then(|value| serde_json::from_value(value).ok()).ok_or_else(|| {
            DecodeError::from_json(
                Reason::BadPayload,
                &format!("the payload of `{type_name}`"),
                &error,
            )
        })
    })
}

/// The payload with `3.0` as `3`, or nothing if no number changed.
#[cold]
fn relaxed(payload: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(payload).ok()?;
    whole_floats_to_integers(&mut value).then_some(value)
}

fn whole_floats_to_integers(value: &mut Value) -> bool {
    /// Up to here every whole number is exactly itself as a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() <= EXACT_MAX => {
                // In range by the guard above, so the text of the float is a whole number.
                let whole: Option<i64> = format!("{float:.0}").parse().ok();
                whole.is_some_and(|whole| {
                    *number = whole.into();
                    true
                })
            }
            _ => false,
        },
        Value::Array(items) => {
            items.iter_mut().fold(false, |any, item| whole_floats_to_integers(item) | any)
        }
        Value::Object(map) => {
            map.values_mut().fold(false, |any, item| whole_floats_to_integers(item) | any)
        }
        _ => false,
    }
}

/// The deepest nesting of a JSON text, brackets inside strings not counted.
pub(super) fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut level, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_string => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A serde_json message without the value that it quotes: what came may be anybody's secret.
fn without_values(message: &str) -> String {
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    let safe = [
        "missing field ",
        "duplicate field ",
        "EOF while",
        "trailing ",
        "expected ",
        "key must be",
        "recursion limit",
    ];
    if safe.iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    let Some((what, rest)) =
        message.split_once(": ").filter(|(what, _)| what.starts_with("invalid "))
    else {
        return "the value is not one that the type accepts".to_owned();
    };
    let found = rest.split([' ', ',']).next().unwrap_or("value");
    match rest.rfind(", expected ") {
        Some(at) => format!("{what}: {found}{}", &rest[at..]),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_repeats_the_value() {
        for (message, expected) in [
            (
                r#"invalid type: string "secret, expected x", expected u32 at line 1 column 9"#,
                "invalid type: string, expected u32",
            ),
            ("invalid value: integer `300`, expected u8", "invalid value: integer, expected u8"),
            ("missing field `id` at line 1 column 2", "missing field `id`"),
            ("secret is not a date", "the value is not one that the type accepts"),
            (
                "unknown variant `secret`, expected `a`",
                "the value is not one that the type accepts",
            ),
        ] {
            assert_eq!(without_values(message), expected);
        }
    }

    #[test]
    fn whole_numbers_written_as_floats_are_read() {
        assert_eq!(parse::<Vec<u32>>("[3.0, 4e2]", "T"), Ok(vec![3, 400]));
        assert_eq!(parse::<Vec<u32>>("[3.5]", "T").unwrap_err().reason(), Reason::BadPayload);
    }

    #[test]
    fn depth_ignores_brackets_in_strings() {
        assert_eq!(depth(br#"{"a":["[[[[\"[", [1]]}"#), 3);
    }
}
