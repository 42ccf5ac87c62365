//! The text of ids, names and headers: short, copied often, and changed by nobody.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use arrayvec::ArrayString;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest text that needs no memory of its own, in bytes: a UUID has 36, and the name of a reply queue,
/// which is `rpl.` and a UUID, has 40.
pub const INLINE_BYTES_MAX: usize = 40;

/// A text that cannot be changed: an id, a name, the value of a header.
///
/// A message carries a dozen of them from delivery to envelope to context to answer. Up to
/// [`INLINE_BYTES_MAX`] bytes stand in the value itself, so that making and copying one costs no allocation;
/// a longer text is shared by its copies. It is read like a `&str`, made from one or from a `String`, and
/// becomes a `String` with `into` or `to_string`.
///
/// ```
/// use mmate::contract::Text;
///
/// let id = Text::from("order-17");
/// assert_eq!(id, "order-17");
/// assert!(id.starts_with("order-"));
/// ```
#[derive(Clone)]
pub struct Text(Repr);

/// A text has one form by its length, so that equal texts have equal forms.
#[derive(Clone)]
enum Repr {
    Inline(ArrayString<INLINE_BYTES_MAX>),
    Shared(Arc<str>),
}

impl Text {
    /// The empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Inline(ArrayString::new_const()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline(text) => text,
            Repr::Shared(text) => text,
        }
    }

    /// Several texts as one, without a detour over a string of its own where the whole is short.
    pub(super) fn concat<const N: usize>(parts: [&str; N]) -> Self {
        let mut whole = ArrayString::new();
        for part in parts {
            if whole.try_push_str(part).is_err() {
                return Self(Repr::Shared(parts.concat().into()));
            }
        }
        Self(Repr::Inline(whole))
    }

    fn inline(text: &str) -> Option<Self> {
        ArrayString::from(text).ok().map(|text| Self(Repr::Inline(text)))
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::inline(text).unwrap_or_else(|| Self(Repr::Shared(text.into())))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        (&*text).into()
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::inline(&text).unwrap_or(Self(Repr::Shared(text)))
    }
}

impl From<&Self> for Text {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl From<&Text> for String {
    fn from(text: &Text) -> Self {
        text.as_str().to_owned()
    }
}

impl From<Text> for serde_json::Value {
    fn from(text: Text) -> Self {
        text.as_str().into()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

macro_rules! equal_to {
    ($($other:ty),*) => {$(
        impl PartialEq<$other> for Text {
            fn eq(&self, other: &$other) -> bool {
                self.as_str() == &other[..]
            }
        }

        impl PartialEq<Text> for $other {
            fn eq(&self, other: &Text) -> bool {
                other.as_str() == &self[..]
            }
        }
    )*};
}

equal_to!(str, &str, String);

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other)
    }
}

/// As `str` hashes, which [`Borrow`] asks for.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl Visitor<'_> for AnyText {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_text_of_any_length_is_what_it_was_made_from() {
        for bytes in [0, 1, 39, 40, 41, 42, 255, 10_000] {
            let owned = "x".repeat(bytes);
            for text in [
                Text::from(&*owned),
                Text::from(owned.clone()),
                Text::from(Arc::<str>::from(&*owned)),
                serde_json::from_value(serde_json::json!(owned)).unwrap(),
            ] {
                assert_eq!(text, owned);
                assert_eq!(text.clone(), text);
                assert_eq!(String::from(text.clone()), owned);
                assert_eq!(serde_json::to_value(&text).unwrap(), serde_json::json!(owned));
                assert!(HashSet::from([text]).contains(&*owned));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_shared_and_not_cut() {
        let (fits, too_long) = ("ü".repeat(20), "ü".repeat(20) + "x");
        assert!(matches!(Text::from(&*fits).0, Repr::Inline(_)));
        let text = Text::from(&*too_long);
        let Repr::Shared(of_first) = &text.0 else { panic!("{text:?} has 41 bytes") };
        let Repr::Shared(of_second) = text.clone().0 else { panic!("a copy has another form") };
        assert!(Arc::ptr_eq(of_first, &of_second));
        assert_eq!(text, too_long);
    }

    #[test]
    fn a_whole_of_any_length_has_all_parts() {
        for bytes in [0, 18, 19, 20, 100] {
            let part = "x".repeat(bytes);
            assert_eq!(Text::concat([&part, ".y.", &part]), format!("{part}.y.{part}"));
        }
    }

    #[test]
    fn texts_are_ordered_and_shown_as_strings_are() {
        let texts = ["b", "a\"", "", &"ü".repeat(50)].map(Text::from);
        let mut sorted = texts.clone();
        sorted.sort();
        let mut expected = texts.each_ref().map(Text::to_string);
        expected.sort();
        assert_eq!(sorted.each_ref().map(Text::to_string), expected);
        assert_eq!(format!("{:?} {}", texts[1], texts[0]), r#""a\"" b"#);
    }

    #[test]
    fn a_message_has_room_for_many() {
        assert_eq!(size_of::<Text>(), 48);
        assert_eq!(size_of::<Option<Text>>(), 48);
    }
}
