//! An envelope's timestamp: read with patience, written in one form.

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{Timestamp, civil, tz::TimeZone};

/// Reads a timestamp with or without fraction, offset and zone; without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    utc(text).or_else(|| text.parse().ok()).or_else(|| {
        let local: civil::DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// Reads a timestamp as the family writes it, `2026-11-28T10:42:03.125Z`; whatever looks otherwise is left to the library,
/// whose reader of everything that a time may look like takes some 600 instructions more (callgrind).
fn utc(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.as_bytes().split_at_checked(19)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] =
        date
    else {
        return None;
    };
    let nanos = match rest.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let missing = u32::try_from(9 - digits.len()).ok()?;
            number(digits)? * 10_i32.pow(missing)
        }
        _ => return None,
    };
    let year = i16::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let two = |tens, ones| number(&[tens, ones]).and_then(|number| i8::try_from(number).ok());
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let time = civil::DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// At most nine digits.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0'))
    })
}

/// A timestamp as the family writes it: RFC 3339, UTC, milliseconds where there are any.
#[must_use]
pub fn format_timestamp(timestamp: Timestamp) -> String {
    to_millis(timestamp).to_string()
}

/// Writes the same text without a detour over a string of its own.
pub(super) fn write(timestamp: Timestamp, text: &mut Vec<u8>) -> Result<(), jiff::Error> {
    DateTimePrinter::new().print_timestamp(&to_millis(timestamp), text)
}

fn to_millis(timestamp: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(timestamp.as_millisecond()).unwrap_or(timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_familys_own_timestamps_need_no_library() {
        for text in ["2026-11-28T10:42:03Z", "2024-02-29T23:59:59.5Z", "0000-01-01T00:00:00.125Z"] {
            assert_eq!(utc(text), text.parse().ok(), "{text}");
            assert!(utc(text).is_some(), "{text}");
        }
    }

    proptest! {
        /// Whatever it reads, the library reads as the same.
        #[test]
        fn a_timestamp_that_is_read_is_what_the_library_says(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?[Zz]?"
        ) {
            if let Some(read) = utc(&text) {
                prop_assert_eq!(Some(read), text.parse().ok());
            }
        }

        #[test]
        fn every_moment_that_is_written_is_read(millis in -62_000_000_000_000_i64..250_000_000_000_000) {
            let moment = Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(utc(&format_timestamp(moment)), Some(moment));
        }
    }
}
