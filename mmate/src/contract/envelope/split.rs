//! Envelope and payload apart, without reading the payload.
//!
//! A reader of JSON has to pass over the payload to find its end, and whoever wants the message reads it once more. Where
//! the payload is the last field, as the whole family writes it, its end is known: it is the end of the body. That nothing
//! follows the payload is proven without reading it:
//!
//! - `,"payload":` begins a field. Its first quote cannot be inside a text, where a backslash would stand before it, and
//!   cannot end one, since a name comes after it.
//! - It is a field of the envelope itself, not of something inside: what stands before it is a whole object once a brace
//!   is added, which it is not while another object is open.
//! - After an object, another field begins with a comma and a quote. Where no brace is followed by these, no field follows
//!   the payload, wherever it ends.
//!
//! This holds for every body that is JSON. One that is not is found out by whoever reads the payload, see [`super::peek`].

use std::sync::LazyLock;

use arrayvec::ArrayString;
use memchr::memchr_iter;
use memchr::memmem::Finder;

/// What stands before the payload is copied if it has at most so many bytes: without headers it has some 250.
const HEAD_BYTES_MAX: usize = 511;

/// What stands before the payload, as an object of its own.
pub(super) type Head = ArrayString<{ HEAD_BYTES_MAX + 1 }>;

/// Takes a body apart: writes what stands before the payload into `head`, which is empty, and gives the payload's text.
/// Nothing where that cannot be done without reading the payload.
pub(super) fn split<'a>(body: &'a str, head: &mut Head) -> Option<&'a str> {
    static FIELD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(",\"payload\":"));
    let at = FIELD.find(body.as_bytes())?;
    let (before, rest) = body.split_at_checked(at)?;
    let payload = rest.get(FIELD.needle().len()..)?.strip_suffix('}')?;
    let is_object = payload.starts_with('{') && payload.ends_with('}');
    if !is_object || before.len() > HEAD_BYTES_MAX || may_go_on(payload.as_bytes()) {
        return None;
    }
    head.try_push_str(before).ok()?;
    head.try_push('}').ok()?;
    Some(payload)
}

/// True if a field may follow an object that ends somewhere in this text.
fn may_go_on(text: &[u8]) -> bool {
    memchr_iter(b'}', text).any(|brace| {
        let after = text.get(brace + 1..).unwrap_or_default().trim_ascii_start();
        after.strip_prefix(b",").is_some_and(|field| field.trim_ascii_start().starts_with(b"\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> Option<(String, &str)> {
        let mut head = Head::new();
        split(body, &mut head).map(|payload| (head.to_string(), payload))
    }

    #[test]
    fn the_payload_at_the_end_is_told_from_the_rest() {
        let body = r#"{"id":"1","type":"T","payload":{"lines":[{"a":1},{"a":2}],"b":"}"}}"#;
        let head = r#"{"id":"1","type":"T"}"#.to_owned();
        assert_eq!(parts(body), Some((head, r#"{"lines":[{"a":1},{"a":2}],"b":"}"}"#)));
    }

    #[test]
    fn what_has_to_be_read_is_not_taken_apart() {
        for body in [
            r#"{"id":"1","payload":{"a":{"b":1},"c":1}}"#,
            r#"{"id":"1","payload":{"a":1} , "replyTo":"q"}"#,
            r#"{"id":"1","payload":{"a":1},"payload":{"a":2}}"#,
            r#"{"id":"1","payload":[{"a":1}]}"#,
            r#"{"id":"1","payload":7}"#,
            r#"{"id":"1","payload":{}} "#,
            r#"{"payload":{},"id":"1"}"#,
            r#"{"id":"1", "payload": {}}"#,
            r#"{"id":"1","Payload":{}}"#,
            "",
        ] {
            assert_eq!(parts(body), None, "{body}");
        }
        let long = format!(r#"{{"id":"{}","payload":{{}}}}"#, "1".repeat(HEAD_BYTES_MAX));
        assert_eq!(parts(&long), None);
    }
}
