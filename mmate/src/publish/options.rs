//! What a caller may say about one publish.

use std::time::Duration;

use crate::contract::{HeaderValue, Headers, Text};

/// Options of one publish; each overrides what the message's type says.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    pub(super) headers: Headers,
    pub(super) priority: Option<u8>,
    pub(super) ttl: Option<Duration>,
    pub(crate) correlation_id: Option<Text>,
    pub(crate) reply_to: Option<Text>,
    pub(crate) message_id: Option<Text>,
    pub(crate) optional: bool,
    /// The first mistake in the options; reported when the publish is awaited.
    pub(crate) mistake: Option<String>,
}

impl PublishOptions {
    pub(crate) fn set_header(&mut self, name: Text, value: HeaderValue) {
        if name.is_empty() || name.len() > crate::contract::address::NAME_BYTES_MAX {
            let length = name.len();
            self.note(format!("a header's name has {length} bytes; from 1 to 255 are allowed"));
        } else if !value.is_scalar() {
            self.note(format!(
                "header `{name}` is {}; peers read text, numbers and booleans",
                value.type_name()
            ));
        } else {
            self.headers.set(name, value);
        }
    }

    pub(super) fn set_ttl(&mut self, ttl: Result<Duration, String>) {
        match ttl {
            Ok(ttl) if ttl.is_zero() => {
                self.note("the time to live is zero: the message would expire at once".into())
            }
            Ok(ttl) => self.ttl = Some(ttl),
            Err(mistake) => self.note(mistake),
        }
    }

    pub(crate) fn set_priority(&mut self, priority: u8) {
        if priority <= 9 {
            self.priority = Some(priority);
        } else {
            self.note(format!("priority {priority} is over 9, the highest"));
        }
    }

    pub(crate) fn note(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }
}

/// A duration, as a value or as text like `"30s"`, `"5m"`, `"1h 30m"`.
pub trait IntoDuration {
    /// The duration.
    ///
    /// # Errors
    /// If the text is not a positive duration.
    fn into_duration(self) -> Result<Duration, String>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, String> {
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, String> {
        let mistake = || {
            format!(
                "`{self}` is not a duration; write it like `500ms`, `30s`, `5m`, `1h 30m` or `7d`"
            )
        };
        // A day is 24 hours here: there is no calendar in a time to live.
        let span: jiff::Span = self.parse().map_err(|_| mistake())?;
        let signed =
            span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| mistake())?;
        Duration::try_from(signed).map_err(|_| mistake())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_attributes() {
        for (text, seconds) in
            [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h 30m", 5_400.0), ("7d", 604_800.0)]
        {
            assert_eq!(text.into_duration().map(|duration| duration.as_secs_f64()), Ok(seconds));
        }
        for text in ["", "soon", "5", "-1s", "1mo"] {
            assert!(text.into_duration().is_err(), "{text}");
        }
    }
}
