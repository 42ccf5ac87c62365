//! A statement on its way: a text, and the values for its places `$1`, `$2`, ..

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::texts::Sql;

/// A text with the values for its places, in order.
#[derive(Debug)]
pub(in crate::store) struct Statement<'v> {
    pub(in crate::store) text: Sql,
    pub(in crate::store) values: Vec<Value<'v>>,
}

/// What stands at a place. No `Debug` of what it holds: it may be a payload.
pub(in crate::store) enum Value<'v> {
    Id(Uuid),
    Text(&'v str),
    OptText(Option<&'v str>),
    Int(i64),
    OptInt(Option<i64>),
    Bool(bool),
    /// Values of several rows as JSON, for SQLite.
    #[cfg(feature = "sqlite")]
    Json(String),
    /// Columns of several rows, for PostgreSQL.
    #[cfg(feature = "postgres")]
    Ints(Vec<i64>),
    #[cfg(feature = "postgres")]
    OptTexts(Vec<Option<std::borrow::Cow<'v, str>>>),
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value")
    }
}

impl<'v> Statement<'v> {
    pub(in crate::store) fn new(text: impl Into<Sql>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    /// Adds the value for the next place.
    pub(in crate::store) fn value(mut self, value: impl Into<Value<'v>>) -> Self {
        self.values.push(value.into());
        self
    }
}

impl From<Uuid> for Value<'_> {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        Self::OptText(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::OptInt(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

/// Databases count with a sign; nothing here comes near the half that is lost.
pub(in crate::store) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Milliseconds, but so few that they can be added to a time.
pub(in crate::store) fn millis(took: Duration) -> i64 {
    const MOST: i64 = i64::MAX / 4;
    i64::try_from(took.as_millis()).unwrap_or(MOST).min(MOST)
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(signed(number))
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.as_millisecond())
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(at: Option<Timestamp>) -> Self {
        Self::OptInt(at.map(Timestamp::as_millisecond))
    }
}

impl From<Duration> for Value<'_> {
    fn from(took: Duration) -> Self {
        Self::Int(millis(took))
    }
}

/// Writes `fn arguments`, which makes the arguments of a database of values. What a database lacks is refused.
macro_rules! binds {
    ($arguments:ident: $kind:ty $(, $($more:tt)*)?) => {
        fn arguments(
            values: Vec<$crate::store::sql::Value<'_>>,
        ) -> Result<$kind, sqlx::Error> {
            use sqlx::Arguments as _;
            use $crate::store::sql::Value;
            let mut $arguments = <$kind>::default();
            for value in values {
                match value {
                    Value::Id(id) => $arguments.add(id),
                    Value::Text(text) => $arguments.add(text),
                    Value::OptText(text) => $arguments.add(text),
                    Value::Int(number) => $arguments.add(number),
                    Value::OptInt(number) => $arguments.add(number),
                    Value::Bool(yes) => $arguments.add(yes),
                    $($($more)*)?
                }
                .map_err(sqlx::Error::Encode)?;
            }
            Ok($arguments)
        }
    };
}
pub(in crate::store) use binds;
