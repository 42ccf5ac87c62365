//! The SQL that both databases understand, and where they differ.
//!
//! SQLite knows `$1` as well as PostgreSQL does. Whatever changes something says `returning`, so that the number of
//! rows tells what became of it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::before;
use super::statement::{Statement, Value};
use crate::store::workflow::InstanceFilter;

/// The columns of an instance. The book is last: SQLite reads a row from its beginning.
pub(in crate::store) const COLUMNS: &str = "id, workflow, version, graph, status, position, created_at, \
     updated_at, due_at, owner, claims, wish, awaits, book";

/// A text that is made once and shared by all calls.
pub(in crate::store) type Sql = Arc<str>;

/// What differs between the databases.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Dialect {
    /// The milliseconds now, where `$n` is what [`super::Engine::clock`] gave.
    pub(in crate::store) clock: &'static str,
    /// The least of the column `id`.
    pub(in crate::store) least_id: &'static str,
    /// That the mail with the address `$14` and the id `$15` is there to be read.
    pub(in crate::store) unread: &'static str,
    /// That the column `workflow` is among those that [`super::Engine::names`] gave for `$n`.
    pub(in crate::store) among: &'static str,
}

/// The statements that are the same but for the dialect.
#[derive(Debug)]
pub(in crate::store) struct Texts {
    pub(super) get: Sql,
    pub(super) claim: Sql,
    pub(super) release: Sql,
    pub(super) renew: Sql,
    pub(super) retire: Sql,
    pub(super) forget_owners: Sql,
    pub(super) wish: Sql,
    pub(super) history: Sql,
    pub(super) live_versions: Sql,
    pub(super) post: Sql,
    pub(super) waiting: Sql,
    pub(super) mail: Sql,
    pub(super) purge_mail: Sql,
    /// `$1` id, `$2` workflow, `$3` version, `$4` graph, `$5` status, `$6` time, `$7` due, `$8` book.
    pub(in crate::store) insert: Sql,
    /// `$1` id, `$2` position, `$3` owner, then what it gets; `$14` and `$15` address and id of the mail that it reads.
    pub(in crate::store) update: Sql,
    /// The ids of what ended before `$1`, at most `$2`, of the workflows `$3`.
    pub(in crate::store) ended: Sql,
}

const HISTORY: &str = "select seq, position, stage, event, attempt, at, took, reason \
     from mmate_workflow_history where instance = $1 order by seq";

const MAIL: &str = "select workflow, address, id, body, at from mmate_workflow_mail \
     where address = $1 and not is_read order by seq limit 1";

const INSERT: &str = "insert into mmate_workflows (id, workflow, version, graph, status, created_at, \
     updated_at, due_at, book) values ($1, $2, $3, $4, $5, $6, $6, $7, $8) on conflict (id) do nothing returning id";

const POST: &str = "insert into mmate_workflow_mail (workflow, address, id, body, at) \
     values ($1, $2, $3, $4, $5) on conflict (address, id) do nothing";

impl Texts {
    pub(in crate::store) fn new(dialect: Dialect) -> Self {
        let clock = |place: u8| dialect.clock.replace("$n", &format!("${place}"));
        let one = "select 1 from mmate_workflow_owners";
        let alive = format!("owners.alive_until > {}", clock(4));
        let among = dialect.among.replace("$n", "$3");
        Self {
            get: format!("select {COLUMNS} from mmate_workflows where id = $1").into(),
            claim: format!(
                "update mmate_workflows set owner = $3, claims = claims + 1 \
                 where id = $1 and position = $2 and not ended and (owner is null or owner = $3 or not exists \
                 ({one} as owners where owners.owner = mmate_workflows.owner and {alive})) returning {COLUMNS}"
            )
            .into(),
            release: "update mmate_workflows set owner = null, \
                 claims = case when claims > 0 then claims - 1 else 0 end where id = $1 and owner = $2"
                .into(),
            renew: format!(
                "insert into mmate_workflow_owners (owner, alive_until) values ($1, $2 + {}) \
                 on conflict (owner) do update set alive_until = excluded.alive_until",
                clock(3)
            )
            .into(),
            retire: "delete from mmate_workflow_owners where owner = $1".into(),
            forget_owners: format!(
                "delete from mmate_workflow_owners where alive_until <= {}",
                clock(1)
            )
            .into(),
            wish: format!(
                "update mmate_workflows set wish = case when ended then wish else $2 end, \
                 due_at = case when ended then due_at else $3 end \
                 where id = $1 returning {COLUMNS}"
            )
            .into(),
            history: HISTORY.into(),
            live_versions: format!(
                "select workflow, version, graph, count(*), {} from mmate_workflows \
                 where not ended group by workflow, version, graph",
                dialect.least_id
            )
            .into(),
            post: POST.into(),
            waiting: format!(
                "select {COLUMNS} from mmate_workflows where awaits = $1 and exists (select 1 \
                 from mmate_workflow_mail where address = $1 and id = $3 and not is_read) \
                 order by created_at, id limit $2"
            )
            .into(),
            mail: MAIL.into(),
            purge_mail: format!(
                "delete from mmate_workflow_mail where seq in (select seq from mmate_workflow_mail \
                 where at < $1 and {among} order by at, seq limit $2) returning 1"
            )
            .into(),
            insert: INSERT.into(),
            update: format!(
                "update mmate_workflows set position = $4, status = $5, ended = $6, book = $7, \
                 updated_at = $8, due_at = $9, awaits = $10, \
                 claims = case when position = $4 then claims else 0 end, \
                 owner = case when $11 then owner end, wish = case when $12 then null else wish end, \
                 lines = lines + $13 where id = $1 and position = $2 and owner = $3 \
                 and (cast($14 as text) is null or {}) returning lines",
                dialect.unread
            )
            .into(),
            ended: format!(
                "select id from mmate_workflows where ended and updated_at < $1 and {among} \
                 order by updated_at, id limit $2"
            )
            .into(),
        }
    }
}

/// The columns of a line of the history, all but the instance and the place.
pub(in crate::store) const LINE: &str = "position, stage, event, attempt, at, took, reason";

/// Lists what a filter lets through. The words of states are ours, so they may stand in the text; that the
/// database knows them when it plans is worth more than one text for all.
pub(super) fn list(filter: &InstanceFilter) -> Statement<'_> {
    let mut text = format!("select {COLUMNS} from mmate_workflows where true");
    let mut values: Vec<Value<'_>> = Vec::new();
    let mut add = |words: &str, value: Value<'static>| {
        values.push(value);
        let _infallible = write!(text, " and {words} ${}", values.len());
    };
    if let Some(since) = filter.since {
        add("created_at >=", before(since).into());
    }
    if let Some(end) = filter.before {
        add("created_at <", before(end).into());
    }
    if !filter.workflows.is_empty() {
        let first = values.len() + 1;
        values.extend(filter.workflows.iter().map(Value::from));
        let places: Vec<String> = (first..=values.len()).map(|place| format!("${place}")).collect();
        let _infallible = write!(text, " and workflow in ({})", places.join(", "));
    }
    if !filter.statuses.is_empty() {
        let words: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        let _infallible = write!(text, " and status in ('{}')", words.join("', '"));
    }
    values.push(filter.limit().into());
    let _infallible = write!(text, " order by created_at desc, id limit ${}", values.len());
    Statement { text: text.into(), values }
}
