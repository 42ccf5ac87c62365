//! Rows as values. The order of the columns is that of [`super::texts::COLUMNS`] and of the statements.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::failure::Trouble;
use crate::store::workflow::{HistoryEntry, Instance, LiveVersion, Mail};

/// The columns of a row by their place.
pub(in crate::store) trait Fields {
    fn id(&self, at: usize) -> Result<Uuid, sqlx::Error>;
    fn text(&self, at: usize) -> Result<String, sqlx::Error>;
    fn opt_text(&self, at: usize) -> Result<Option<String>, sqlx::Error>;
    fn int(&self, at: usize) -> Result<i64, sqlx::Error>;
    fn opt_int(&self, at: usize) -> Result<Option<i64>, sqlx::Error>;
}

/// Implements [`Fields`] for the rows of a database.
macro_rules! fields {
    ($row:ty) => {
        impl $crate::store::sql::Fields for $row {
            fn id(&self, at: usize) -> Result<uuid::Uuid, sqlx::Error> {
                sqlx::Row::try_get(self, at)
            }
            fn text(&self, at: usize) -> Result<String, sqlx::Error> {
                sqlx::Row::try_get(self, at)
            }
            fn opt_text(&self, at: usize) -> Result<Option<String>, sqlx::Error> {
                sqlx::Row::try_get(self, at)
            }
            fn int(&self, at: usize) -> Result<i64, sqlx::Error> {
                sqlx::Row::try_get(self, at)
            }
            fn opt_int(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
                sqlx::Row::try_get(self, at)
            }
        }
    };
}
pub(in crate::store) use fields;

/// A number that has no sign.
fn count<N: TryFrom<i64>>(number: i64) -> Result<N, Trouble> {
    N::try_from(number).map_err(|_| Trouble::Unreadable(format!("`{number}` is no count")))
}

fn time(millis: i64) -> Result<Timestamp, Trouble> {
    Timestamp::from_millisecond(millis)
        .map_err(|_| Trouble::Unreadable(format!("`{millis}` is no time")))
}

/// A word of a later version is not to be guessed at.
fn word<W: std::str::FromStr<Err = String>>(text: &str) -> Result<W, Trouble> {
    text.parse().map_err(Trouble::Unreadable)
}

pub(super) fn instance(row: &impl Fields) -> Result<Instance, Trouble> {
    Ok(Instance {
        id: row.id(0)?,
        workflow: row.text(1)?,
        version: count(row.int(2)?)?,
        graph: row.text(3)?,
        status: word(&row.text(4)?)?,
        position: count(row.int(5)?)?,
        created_at: time(row.int(6)?)?,
        updated_at: time(row.int(7)?)?,
        due_at: row.opt_int(8)?.map(time).transpose()?,
        owner: row.opt_text(9)?,
        claims: count(row.int(10)?)?,
        wish: row.opt_text(11)?.as_deref().map(word).transpose()?,
        awaits: row.opt_text(12)?,
        book: row.text(13)?,
    })
}

pub(super) fn history(row: &impl Fields) -> Result<HistoryEntry, Trouble> {
    Ok(HistoryEntry {
        seq: count(row.int(0)?)?,
        position: count(row.int(1)?)?,
        stage: row.text(2)?,
        event: word(&row.text(3)?)?,
        attempt: count(row.int(4)?)?,
        at: time(row.int(5)?)?,
        took: Duration::from_millis(count(row.int(6)?)?),
        reason: row.opt_text(7)?,
    })
}

pub(super) fn mail(row: &impl Fields) -> Result<Mail, Trouble> {
    Ok(Mail {
        workflow: row.text(0)?,
        address: row.text(1)?,
        id: row.text(2)?,
        body: row.text(3)?,
        at: time(row.int(4)?)?,
    })
}

pub(super) fn live_version(row: &impl Fields) -> Result<LiveVersion, Trouble> {
    let (workflow, graph) = (row.text(0)?, row.text(2)?);
    let instances = count(row.int(3)?)?;
    Ok(LiveVersion::new(&workflow, count(row.int(1)?)?, &graph, instances, row.id(4)?))
}
