//! Which dead letters are meant.

use jiff::{SignedDuration, Timestamp};

use super::letter::DeadLetter;
use crate::publish::IntoDuration;

/// Chooses dead letters. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    ids: Vec<String>,
    reason: Option<String>,
    message_type: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    count: Option<u64>,
}

impl Selection {
    /// Every dead letter.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those with this id, or with one of several. A message that was dead-lettered twice, because a
    /// process ended at a bad moment, is there twice under its id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.ids.push(id.into());
        self
    }

    /// Those with this reason, such as `retries_exhausted`.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Those of this message type.
    #[must_use]
    pub fn message_type(mut self, message_type: impl Into<String>) -> Self {
        self.message_type = Some(message_type.into());
        self
    }

    /// Those that died at this moment or later.
    #[must_use]
    pub const fn after(mut self, after: Timestamp) -> Self {
        self.after = Some(after);
        self
    }

    /// Those that died before this moment.
    #[must_use]
    pub const fn before(mut self, before: Timestamp) -> Self {
        self.before = Some(before);
        self
    }

    /// At most so many, the oldest first.
    #[must_use]
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// True if nothing restricts it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// How many at most.
    pub(super) const fn count_max(&self) -> u64 {
        match self.count {
            Some(count) => count,
            None => u64::MAX,
        }
    }

    /// True if the letter fits; the count is the caller's to keep.
    pub(super) fn fits(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        let id = letter.id.as_deref();
        (self.ids.is_empty() || self.ids.iter().any(|wanted| Some(wanted.as_str()) == id))
            && is(&self.reason, Some(&letter.reason))
            && is(&self.message_type, letter.message_type.as_deref())
            && self.after.is_none_or(|after| letter.time.is_some_and(|time| time >= after))
            && self.before.is_none_or(|before| letter.time.is_some_and(|time| time < before))
    }
}

/// Reads a moment: RFC 3339 like `2026-02-03T04:05:06Z`, or how long ago, like `2h` or `1d 12h`.
///
/// # Errors
/// If the text is neither.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = text.into_duration().ok().and_then(|ago| SignedDuration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        format!(
            "`{text}` is no moment; write it like `2026-02-03T04:05:06Z`, or `2h` for two hours ago"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Delivery, Properties, Tag};

    fn letter(id: &str, reason: &str, second: i64) -> DeadLetter {
        let delivery = Delivery::new(Tag(1), "", Properties::default(), "".into());
        DeadLetter {
            id: Some(id.to_owned()),
            message_type: Some("Order".to_owned()),
            reason: reason.to_owned(),
            time: Timestamp::from_second(second).ok(),
            ..DeadLetter::of(&delivery, &[])
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let found = letter("a", "timeout", 100);
        for (selection, fits) in [
            (Selection::all(), true),
            (Selection::all().id("b").id("a"), true),
            (Selection::all().id("b"), false),
            (Selection::all().reason("timeout").message_type("Order"), true),
            (Selection::all().reason("timeout").message_type("Invoice"), false),
            (Selection::all().id("a").reason("panic"), false),
            (Selection::all().after(at(100)).before(at(101)), true),
            (Selection::all().before(at(100)), false),
            (Selection::all().after(at(101)), false),
        ] {
            assert_eq!(selection.fits(&found), fits, "{selection:?}");
        }
        let timeless = DeadLetter { time: None, ..found };
        assert!(!Selection::all().after(at(0)).fits(&timeless), "nobody knows when it died");
    }

    #[test]
    fn only_a_selection_without_any_condition_is_all() {
        assert!(Selection::all().is_all());
        assert!(!Selection::all().count(1).is_all());
    }

    #[test]
    fn a_moment_is_a_date_or_how_long_ago() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(moment("2h", now).map(Timestamp::as_second), Ok(1_699_992_800));
        assert_eq!(moment("1d 12h", now).map(Timestamp::as_second), Ok(1_699_870_400));
        let date = moment("2026-02-03T04:05:06+01:00", now).unwrap();
        assert_eq!(date.to_string(), "2026-02-03T03:05:06Z");
        for text in ["", "yesterday", "-2h", "12:00"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
