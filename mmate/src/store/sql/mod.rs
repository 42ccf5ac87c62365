//! What the stores in SQLite and PostgreSQL have in common: all but the way to the database.
//!
//! In: the calls of [`WorkflowStore`]. Out: statements for an [`Engine`], which brings them to its database and
//! gives rows back. [`texts`] has the SQL, [`tables`] what it works on, [`pool`] the connections.
//!
//! # Round trips
//!
//! A stage of a workflow costs one claim and one save. A claim that succeeds is one statement, and so is every save
//! in PostgreSQL; in SQLite, where a statement is no trip, a save is a short transaction.

mod failure;
mod pool;
mod rows;
mod statement;
mod tables;
mod texts;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

pub(super) use self::failure::{Place, Trouble};
pub(super) use self::pool::{CALL_TIMEOUT, Pool};
pub(super) use self::rows::{Fields, fields};
pub(super) use self::statement::{Statement, Value, binds};
#[cfg(feature = "postgres")]
pub(super) use self::statement::{millis, signed};
pub(super) use self::tables::{MIGRATIONS, Words, check_version, migrations};
pub(super) use self::texts::{COLUMNS, Dialect, LINE, Texts};
use super::error::StoreError;
use super::words::Wish;
use super::workflow::{
    Claim, HistoryEntry, Instance, InstanceFilter, LiveVersion, Mail, NewInstance, Save, Saved,
    WAITING_MAX, WorkflowStore, WorkflowVersion, after, due_again,
};

/// The way to one kind of database.
#[async_trait]
pub(super) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// A row of an answer.
    type Row: Fields + Send + Sync;

    /// The short name of the store.
    const NAME: &'static str;

    fn place(&self) -> &Place;

    fn texts(&self) -> &Texts;

    /// The time in milliseconds by which owners are alive, unless the database has a clock of its own.
    fn clock(&self) -> Option<i64>;

    async fn prepare(&self) -> Result<(), Trouble>;

    /// Asks.
    async fn read(&self, statement: Statement<'_>) -> Result<Vec<Self::Row>, Trouble>;

    /// Changes something: all statements or none, the rows of the first. Where the first gives no row, the others
    /// are left out.
    async fn change(&self, statements: Vec<Statement<'_>>) -> Result<Vec<Self::Row>, Trouble>;

    /// Statements for a new instance, whose first gives a row if it is new.
    fn create<'v>(&self, new: &'v NewInstance) -> Vec<Statement<'v>>;

    /// Statements for a change, whose first gives a row if it was made.
    fn save<'v>(&self, save: &'v Save) -> Vec<Statement<'v>>;

    /// Statements that put off what is due of these versions, whose first gives it as it was.
    fn take_due<'v>(
        &self,
        of: &'v [WorkflowVersion],
        now: i64,
        again: i64,
        limit: u32,
    ) -> Vec<Statement<'v>>;

    /// Statements that remove ended instances of these workflows, whose first gives a row for each.
    fn purge<'v>(&self, of: &'v [String], before: i64, limit: u32) -> Vec<Statement<'v>>;

    /// Names as one value, for [`Dialect::among`].
    fn names<'v>(&self, names: &'v [String]) -> Value<'v>;

    async fn close(&self);
}

/// A store in a database.
pub(super) struct SqlStore<E>(pub(super) E);

impl<E: Engine> fmt::Debug for SqlStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlStore").field(&self.0).finish()
    }
}

impl<E: Engine> SqlStore<E> {
    fn statement<'v>(&self, text: impl Fn(&Texts) -> &texts::Sql) -> Statement<'v> {
        Statement::new(text(self.0.texts()).clone())
    }

    async fn read(&self, what: &str, statement: Statement<'_>) -> Result<Vec<E::Row>, StoreError> {
        let answer = self.0.read(statement).await;
        answer.map_err(|trouble| self.0.place().failure(what, trouble))
    }

    async fn change(
        &self,
        what: &str,
        statements: Vec<Statement<'_>>,
    ) -> Result<Vec<E::Row>, StoreError> {
        let answer = self.0.change(statements).await;
        answer.map_err(|trouble| self.0.place().failure(what, trouble))
    }

    fn each<T>(
        &self,
        what: &str,
        rows: &[E::Row],
        read: impl Fn(&E::Row) -> Result<T, Trouble>,
    ) -> Result<Vec<T>, StoreError> {
        let read: Result<Vec<T>, Trouble> = rows.iter().map(read).collect();
        read.map_err(|trouble| self.0.place().failure(what, trouble))
    }

    fn instances(&self, what: &str, rows: &[E::Row]) -> Result<Vec<Instance>, StoreError> {
        self.each(what, rows, rows::instance)
    }

    fn first_instance(&self, what: &str, rows: &[E::Row]) -> Result<Option<Instance>, StoreError> {
        Ok(self.instances(what, rows)?.pop())
    }
}

#[async_trait]
impl<E: Engine> WorkflowStore for SqlStore<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let what = "prepare its tables";
        self.0.prepare().await.map_err(|trouble| self.0.place().failure(what, trouble))?;
        // Every process has an owner's name of its own and may end without a word: those that come remove the
        // lines of those that went, which say no more than no line at all.
        let forget = self.statement(|texts| &texts.forget_owners).value(self.0.clock());
        self.change("remove owners that have ended", vec![forget]).await.map(drop)
    }

    async fn create(&self, new: &NewInstance) -> Result<bool, StoreError> {
        Ok(!self.change("keep a new instance", self.0.create(new)).await?.is_empty())
    }

    async fn get(&self, id: Uuid) -> Result<Option<Instance>, StoreError> {
        let what = "read an instance";
        let rows = self.read(what, self.statement(|texts| &texts.get).value(id)).await?;
        self.first_instance(what, &rows)
    }

    async fn claim(&self, id: Uuid, position: u64, owner: &str) -> Result<Claim, StoreError> {
        let what = "claim an instance";
        let claim = self.statement(|texts| &texts.claim).value(id).value(position);
        let claim = claim.value(owner).value(self.0.clock());
        let rows = self.change(what, vec![claim]).await?;
        if let Some(taken) = self.first_instance(what, &rows)? {
            return Ok(Claim::Taken(taken));
        }
        // What is told is a moment later than what was tried: a `Busy` may be free by now, and is asked again.
        Ok(match self.get(id).await? {
            None => Claim::Unknown,
            Some(other) if other.position != position || other.status.is_end() => {
                Claim::Elsewhere(other)
            }
            Some(_) => Claim::Busy,
        })
    }

    async fn save(&self, save: &Save) -> Result<Saved, StoreError> {
        if !self.change("change an instance", self.0.save(save)).await?.is_empty() {
            return Ok(Saved::Made);
        }
        if save.read.is_none() {
            return Ok(Saved::TooLate);
        }
        // As after a claim, what is told is a moment later than what was tried.
        let now = self.get(save.id).await?;
        let stands = now.is_some_and(|instance| {
            instance.position == save.position && instance.owner.as_ref() == Some(&save.owner)
        });
        Ok(if stands { Saved::MailGone } else { Saved::TooLate })
    }

    async fn release(&self, id: Uuid, owner: &str) -> Result<(), StoreError> {
        let release = self.statement(|texts| &texts.release).value(id).value(owner);
        self.change("release an instance", vec![release]).await.map(drop)
    }

    async fn renew(&self, owner: &str, lease: Duration) -> Result<(), StoreError> {
        let renew = self.statement(|texts| &texts.renew).value(owner).value(lease);
        let renew = renew.value(self.0.clock());
        self.change("say that an owner is alive", vec![renew]).await.map(drop)
    }

    async fn retire(&self, owner: &str) -> Result<(), StoreError> {
        let retire = self.statement(|texts| &texts.retire).value(owner);
        self.change("say that an owner has ended", vec![retire]).await.map(drop)
    }

    async fn wish(
        &self,
        id: Uuid,
        wish: Wish,
        at: Timestamp,
    ) -> Result<Option<Instance>, StoreError> {
        let what = "note a wish";
        let note = self.statement(|texts| &texts.wish).value(id).value(wish.as_str());
        let note = note.value(at.as_millisecond());
        let rows = self.change(what, vec![note]).await?;
        self.first_instance(what, &rows)
    }

    async fn take_due(
        &self,
        of: &[WorkflowVersion],
        now: Timestamp,
        again: Duration,
        limit: u32,
    ) -> Result<Vec<Instance>, StoreError> {
        let what = "take instances that are due";
        // No later than any time that there is; the database adds it up as whole numbers.
        let again_millis = after(now, again).as_millisecond() - now.as_millisecond();
        let statements = self.0.take_due(of, now.as_millisecond(), again_millis, limit);
        let rows = self.change(what, statements).await?;
        // The rows are as they were, for they come in that order; this is how they stand now.
        let mut due = self.instances(what, &rows)?;
        for instance in &mut due {
            instance.due_at = Some(due_again(now, instance.updated_at, again));
        }
        Ok(due)
    }

    async fn list(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
        let what = "list instances";
        let rows = self.read(what, texts::list(filter)).await?;
        self.instances(what, &rows)
    }

    async fn history(&self, id: Uuid) -> Result<Vec<HistoryEntry>, StoreError> {
        let what = "read a history";
        let rows = self.read(what, self.statement(|texts| &texts.history).value(id)).await?;
        self.each(what, &rows, rows::history)
    }

    async fn live_versions(&self) -> Result<Vec<LiveVersion>, StoreError> {
        let what = "list versions";
        let rows = self.read(what, self.statement(|texts| &texts.live_versions)).await?;
        let mut versions = self.each(what, &rows, rows::live_version)?;
        // Not by the database, whose order of texts is a matter of its language.
        versions.sort_unstable();
        Ok(versions)
    }

    async fn purge(
        &self,
        of: &[String],
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let statements = self.0.purge(of, before(ended_before), limit);
        Ok(self.change("remove ended instances", statements).await?.len() as u64)
    }

    async fn post(&self, mail: &Mail) -> Result<Vec<Instance>, StoreError> {
        let what = "keep mail";
        let post = self.statement(|texts| &texts.post).value(&mail.workflow);
        let post = post.value(&mail.address).value(&mail.id).value(&mail.body).value(mail.at);
        self.change(what, vec![post]).await?;
        // Only once the mail is there for all to see: an instance that begins to wait meanwhile either finds the
        // mail, or is found here. In one statement both could miss each other.
        let waiting = self.statement(|texts| &texts.waiting).value(&mail.address);
        let waiting = waiting.value(WAITING_MAX as u64).value(&mail.id);
        let rows = self.read(what, waiting).await?;
        self.instances(what, &rows)
    }

    async fn mail(&self, address: &str) -> Result<Option<Mail>, StoreError> {
        let what = "read mail";
        let rows = self.read(what, self.statement(|texts| &texts.mail).value(address)).await?;
        Ok(self.each(what, &rows, rows::mail)?.pop())
    }

    async fn purge_mail(
        &self,
        of: &[String],
        older_than: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let purge = self.statement(|texts| &texts.purge_mail).value(before(older_than));
        let purge = purge.value(limit).value(self.0.names(of));
        Ok(self.change("remove old mail", vec![purge]).await?.len() as u64)
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// The change of an instance without its history, which every change begins with; gives a row if it was made.
pub(super) fn update<'v>(texts: &Texts, save: &'v Save) -> Statement<'v> {
    let fulfilled = save.fulfilled || save.status.is_end();
    let (address, id) = save.read.as_ref().map(|(a, id)| (a.as_str(), id.as_str())).unzip();
    Statement::new(texts.update.clone())
        .value(save.id)
        .value(save.position)
        .value(&save.owner)
        .value(save.next)
        .value(save.status.as_str())
        .value(save.status.is_end())
        .value(&save.book)
        .value(save.at)
        .value(save.due_at)
        .value(save.awaits.as_deref())
        .value(save.keep)
        .value(fulfilled)
        .value(save.history.len() as u64)
        .value(address)
        .value(id)
}

/// The first millisecond that is not before a time: what is kept has no parts of one.
fn before(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    if at > Timestamp::from_millisecond(millis).unwrap_or(at) { millis + 1 } else { millis }
}
