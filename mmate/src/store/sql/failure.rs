//! What a database complains of, as an error that names the place and says what to do.

use std::time::Duration;

use super::tables::VERSION;
use crate::store::error::{StoreError, StoreErrorKind};

/// Which database: for people, without user and password.
#[derive(Clone, Debug)]
pub(in crate::store) struct Place {
    pub(in crate::store) text: String,
    /// What kind of failure a code of the database is.
    pub(in crate::store) classify: fn(code: &str, message: &str) -> StoreErrorKind,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::store) enum Trouble {
    Sql(sqlx::Error),
    /// A value that this version cannot read.
    Unreadable(String),
    /// The tables are of this later version.
    Later(i64),
    /// All connections were taken for so long.
    Full(Duration),
    /// There was no answer for so long.
    Late(Duration),
    Closed,
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl Place {
    /// The error of a call that was to do `what`.
    pub(in crate::store) fn failure(&self, what: &str, trouble: Trouble) -> StoreError {
        let kind = self.kind(&trouble);
        let why = match &trouble {
            // The text alone: what else belongs to such an error can hold values of the row.
            Trouble::Sql(sqlx::Error::Database(error)) => {
                let code = error.code().map(|code| format!(" (code {code})")).unwrap_or_default();
                format!("{}{code}{}", error.message(), advice(kind))
            }
            Trouble::Sql(error) => format!("{error}{}", advice(kind)),
            Trouble::Unreadable(why) => format!(
                "it holds what this version of mmate cannot read ({why}); was it written by a later one?"
            ),
            Trouble::Later(found) => format!(
                "its tables are of version {found}, and this version of mmate knows them up to {VERSION}; \
                 use the version that made them, or another database"
            ),
            Trouble::Full(wait) => format!(
                "all connections were taken for {} s; is the database slow, or too much asked of it?",
                wait.as_secs()
            ),
            Trouble::Late(wait) => format!(
                "it did not answer within {} s; whether it did as it was told is not known",
                wait.as_secs()
            ),
            Trouble::Closed => "the store was closed".to_owned(),
        };
        let error = StoreError::new(kind, format!("failed to {what} in {}: {why}", self.text));
        match trouble {
            Trouble::Sql(cause @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_))) => {
                error.with_source(cause)
            }
            _ => error,
        }
    }

    fn kind(&self, trouble: &Trouble) -> StoreErrorKind {
        use StoreErrorKind as Kind;
        use sqlx::Error;
        match trouble {
            Trouble::Full(_) | Trouble::Late(_) | Trouble::Closed => Kind::Unavailable,
            Trouble::Unreadable(_) | Trouble::Later(_) => Kind::Mismatch,
            Trouble::Sql(Error::Io(_) | Error::WorkerCrashed) => Kind::Unavailable,
            Trouble::Sql(Error::Configuration(_) | Error::Tls(_) | Error::Encode(_)) => {
                Kind::Invalid
            }
            Trouble::Sql(
                Error::ColumnDecode { .. }
                | Error::Decode(_)
                | Error::ColumnNotFound(_)
                | Error::ColumnIndexOutOfBounds { .. }
                | Error::TypeNotFound { .. },
            ) => Kind::Mismatch,
            Trouble::Sql(Error::Database(error)) => {
                (self.classify)(&error.code().unwrap_or_default(), error.message())
            }
            Trouble::Sql(_) => Kind::Other,
        }
    }
}

fn advice(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Mismatch => {
            "; are its tables those of mmate, and were they made (`WorkflowStore::prepare`)?"
        }
        StoreErrorKind::Unavailable | StoreErrorKind::Invalid | StoreErrorKind::Other => "",
    }
}
