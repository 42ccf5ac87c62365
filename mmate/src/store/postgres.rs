//! PostgreSQL (12 or later), for any number of processes.
//!
//! Every change is one statement, which is a transaction of its own: one round trip. Owners are alive by the
//! server's clock, so that processes whose clocks differ agree on it.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tokio::time::timeout;

use super::error::{StoreError, StoreErrorKind};
use super::sql::{
    CALL_TIMEOUT, COLUMNS, Dialect, Engine, Fields as _, LINE, MIGRATIONS, Place, Pool, SqlStore,
    Statement, Texts, Trouble, Value, Words, binds, check_version, fields, migrations, millis,
    signed,
};
use super::words::{HistoryEvent, WorkflowStatus};
use super::workflow::{HistoryEntry, NewInstance, Save, WorkflowVersion};

/// How many connections a store has if its URL does not say (`?connections=`).
const CONNECTIONS: usize = 10;
/// How many it may say.
const CONNECTIONS_MAX: usize = 100;
/// What the server allows one statement, and one wait for a lock, in milliseconds: less than a call waits, so that
/// no statement goes on that nobody waits for.
const STATEMENT_TIMEOUT: &str = "8000";
/// Keeps those apart that make the tables at the same time. Any number that no one else uses.
const LOCK: i64 = 0x6d6d_6174_6500_0001;

/// What sqlx knows to read in a URL. It says what it does not know, value included, in the log.
const PARAMETERS: [&str; 20] = [
    "application_name",
    "connections",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
    "options[",
];

const WORDS: Words = Words {
    counting: "bigint generated always as identity primary key",
    // A claim changes no index: with room on its page, the row's next state needs no entry in any.
    changing: "with (fillfactor = 70)",
    by_key: "",
};

#[derive(Debug)]
struct Postgres {
    place: Place,
    texts: Texts,
    create: Arc<str>,
    save: Arc<str>,
    take_due: Arc<str>,
    purge: Arc<str>,
    pool: Pool<PgConnection>,
}

/// A store in the database that a URL names.
pub(super) fn connect(url: &str) -> Result<SqlStore<impl Engine>, StoreError> {
    let (url, connections) = own_parameters(url)?;
    let options = PgConnectOptions::from_str(&url).map_err(|_| {
        invalid("is it `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with a port that is a number, a `sslmode` \
                 that PostgreSQL knows, and `%` escapes for what is special in the password?")
    })?;
    let database = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let options = options
        .options([("statement_timeout", STATEMENT_TIMEOUT), ("lock_timeout", STATEMENT_TIMEOUT)])
        .disable_statement_logging();
    let dialect = Dialect {
        clock: "coalesce($n::bigint, (extract(epoch from now()) * 1000)::bigint)",
        least_id: "min(id::text collate \"C\")::uuid",
        unread: "exists (select 1 from letter)",
        among: "workflow = any($n::text[])",
    };
    let texts = Texts::new(dialect);
    Ok(SqlStore(Postgres {
        place: Place { text: format!("the PostgreSQL database `{database}` on {place}"), classify },
        create: create_text(&texts).into(),
        save: save_text(&texts).into(),
        take_due: TAKE_DUE.replace("{COLUMNS}", COLUMNS).into(),
        purge: purge_text(&texts).into(),
        texts,
        pool: Pool::new(options, connections),
    }))
}

fn invalid(why: &str) -> StoreError {
    let text = format!("failed to read the URL of the store: {why}");
    StoreError::new(StoreErrorKind::Invalid, text)
}

/// Takes out what is ours, and refuses what nobody knows: a mistyped `sslmode` must not go unseen.
fn own_parameters(url: &str) -> Result<(String, usize), StoreError> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), CONNECTIONS)) };
    let (mut connections, mut others) = (CONNECTIONS, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !PARAMETERS.iter().any(|known| name == *known || name.starts_with("options[")) {
            let known = PARAMETERS[..PARAMETERS.len() - 1].join("`, `");
            return Err(invalid(&format!("the parameter `{name}` is none of `{known}`")));
        }
        if name != "connections" {
            others.push(parameter);
            continue;
        }
        let wanted = value.parse().ok().filter(|wanted| (1..=CONNECTIONS_MAX).contains(wanted));
        connections = wanted.ok_or_else(|| {
            invalid(&format!("`connections` is a number from 1 to {CONNECTIONS_MAX}"))
        })?;
    }
    Ok((format!("{base}?{}", others.join("&")), connections))
}

/// The first line of the history comes from the new row, or not at all.
fn create_text(texts: &Texts) -> String {
    let insert = &texts.insert;
    format!(
        "with made as ({insert}), begun as (insert into mmate_workflow_history (instance, seq, {LINE}) \
         select id, 1, 0, '', $9, 0, $6, 0, null from made) select 1 from made"
    )
}

/// A change with its lines and the mail that it reads, which all hang on the row that was changed. The mail is locked
/// first: of two that read it, the second waits for the first, and then finds it read.
fn save_text(texts: &Texts) -> String {
    let update = &texts.update;
    format!(
        "with letter as (select seq from mmate_workflow_mail where address = $14 and id = $15 and not is_read \
         for update), changed as ({update}), \
         written as (insert into mmate_workflow_history (instance, seq, {LINE}) \
         select $1, changed.lines - $13 + line.seq, line.position, line.stage, line.event, line.attempt, line.at, \
         line.took, line.reason from changed, unnest($16::bigint[], $17::text[], $18::text[], $19::bigint[], \
         $20::bigint[], $21::bigint[], $22::text[]) with ordinality as line ({LINE}, seq)), \
         marked as (update mmate_workflow_mail set is_read = true, body = '' from changed, letter \
         where mmate_workflow_mail.seq = letter.seq) \
         select 1 from changed"
    )
}

/// What is due at `$1` of the versions `$5` of workflows `$4`, at most `$2`: the first of each version by the index, and
/// the first of those. What another caller is just taking is skipped, not waited for: it is not due any more.
const TAKE_DUE: &str = "with due as (select first.* \
     from (select distinct own.workflow, own.version from unnest($4::text[], $5::bigint[]) as own (workflow, version)) \
     as own cross join lateral (select * from mmate_workflows where mmate_workflows.workflow = own.workflow \
     and mmate_workflows.version = own.version and due_at <= $1 order by due_at, id limit $2 \
     for update skip locked) as first order by first.due_at, first.id limit $2), \
     put_off as (update mmate_workflows set due_at = $1 + greatest($1 - due.updated_at, $3) from due \
     where mmate_workflows.id = due.id) \
     select {COLUMNS} from due order by due_at, id";

fn purge_text(texts: &Texts) -> String {
    let ended = &texts.ended;
    format!(
        "with gone as ({ended} for update skip locked), \
         lines as (delete from mmate_workflow_history using gone where instance = gone.id) \
         delete from mmate_workflows using gone where mmate_workflows.id = gone.id returning 1"
    )
}

/// By the class of the code, and some codes that are not like their class.
fn classify(code: &str, _message: &str) -> StoreErrorKind {
    match code {
        // A lock or an answer that took too long, a deadlock, a server that is only a copy.
        "55P03" | "57014" | "40001" | "40P01" | "25006" => StoreErrorKind::Unavailable,
        // No such table, column or function.
        "42P01" | "42703" | "42883" => StoreErrorKind::Mismatch,
        // A right that is missing, a database or a schema that is not there.
        "42501" | "3D000" | "3F000" => StoreErrorKind::Invalid,
        _ => match code.get(..2) {
            // Connections, resources, a server that starts or stops.
            Some("08" | "53" | "57" | "58") => StoreErrorKind::Unavailable,
            // User and password, texts that cannot be stored, limits of the server.
            Some("28" | "22" | "54") => StoreErrorKind::Invalid,
            _ => StoreErrorKind::Other,
        },
    }
}

fields!(PgRow);

binds!(
    arguments: PgArguments,
    Value::Ints(numbers) => arguments.add(numbers),
    Value::OptTexts(texts) => arguments.add(texts),
    #[cfg(feature = "sqlite")]
    Value::Json(_) => Err("PostgreSQL is given lists".into()),
);

async fn run(
    connection: &mut PgConnection,
    statement: Statement<'_>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let arguments = arguments(statement.values)?;
    sqlx::query_with(AssertSqlSafe(statement.text), arguments).fetch_all(connection).await
}

async fn run_text(connection: &mut PgConnection, text: &'static str) -> sqlx::Result<()> {
    run(connection, Statement::new(text)).await.map(drop)
}

/// The version of the tables.
async fn version(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let version = "select coalesce(max(version), 0) from mmate_migrations";
    let found = run(connection, Statement::new(version)).await?;
    found.first().map_or(Ok(0), |row| row.int(0))
}

/// The version of the tables, 0 if there are none.
async fn version_if_any(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let there =
        "select case when to_regclass('mmate_migrations') is null then 0::bigint else 1 end";
    let there = run(connection, Statement::new(there)).await?;
    match there.first().map_or(Ok(0), |row| row.int(0))? {
        0 => Ok(0),
        _ => version(connection).await,
    }
}

/// Brings the tables up to this version; gives the one that was found. Only if something is to be done are rights
/// to do it needed.
async fn migrate(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let found = version_if_any(connection).await?;
    if migrations(found, WORDS).next().is_none() {
        return Ok(found);
    }
    run_text(connection, "begin").await?;
    // Others wait here until this one is done, and then find nothing to do. It ends with the transaction.
    let lock = Statement::new("select 1 from pg_advisory_xact_lock($1)").value(LOCK);
    run(connection, lock).await?;
    // Not by looking whether the table is there: that the answer was "no" is remembered, and this wait for a lock
    // is none that would make the server look again.
    run_text(connection, MIGRATIONS).await?;
    let found = version(connection).await?;
    for migration in migrations(found, WORDS) {
        for text in migration.statements {
            run(connection, Statement::new(text)).await?;
        }
        let note = "insert into mmate_migrations (version, applied_at) \
             values ($1, (extract(epoch from now()) * 1000)::bigint)";
        run(connection, Statement::new(note).value(migration.version)).await?;
    }
    run_text(connection, "commit").await?;
    Ok(found)
}

/// The lines of the history, column by column.
fn with_lines<'v>(statement: Statement<'v>, save: &'v Save) -> Statement<'v> {
    let lines = &save.history;
    let ints = |of: fn(&HistoryEntry) -> i64| Value::Ints(lines.iter().map(of).collect());
    let texts = |of: fn(&'v HistoryEntry) -> Option<Cow<'v, str>>| {
        Value::OptTexts(lines.iter().map(of).collect())
    };
    statement
        .value(ints(|line| signed(line.position)))
        .value(texts(|line| Some(Cow::Borrowed(&line.stage))))
        .value(texts(|line| Some(Cow::Borrowed(line.event.as_str()))))
        .value(ints(|line| line.attempt.into()))
        .value(ints(|line| line.at.as_millisecond()))
        .value(ints(|line| millis(line.took)))
        // A reason is the text of any error, and PostgreSQL keeps no NUL: a change must not fail for that.
        .value(texts(|line| line.reason.as_deref().map(without_nul)))
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

impl Postgres {
    async fn ask(&self, statement: Statement<'_>) -> Result<Vec<PgRow>, Trouble> {
        let call = async {
            let mut lease = self.pool.lease().await?;
            let rows = run(lease.connection(), statement).await;
            lease.end(rows)
        };
        timeout(CALL_TIMEOUT, call).await.unwrap_or(Err(Trouble::Late(CALL_TIMEOUT)))
    }
}

#[async_trait]
impl Engine for Postgres {
    type Row = PgRow;

    const NAME: &'static str = "postgres";

    fn place(&self) -> &Place {
        &self.place
    }

    fn texts(&self) -> &Texts {
        &self.texts
    }

    fn clock(&self) -> Option<i64> {
        None
    }

    async fn prepare(&self) -> Result<(), Trouble> {
        let call = async {
            let mut lease = self.pool.lease().await?;
            let found = migrate(lease.connection()).await;
            lease.end(found)
        };
        let found = timeout(CALL_TIMEOUT, call).await;
        check_version(found.unwrap_or(Err(Trouble::Late(CALL_TIMEOUT)))?)
    }

    async fn read(&self, statement: Statement<'_>) -> Result<Vec<PgRow>, Trouble> {
        self.ask(statement).await
    }

    async fn change(&self, statements: Vec<Statement<'_>>) -> Result<Vec<PgRow>, Trouble> {
        debug_assert_eq!(statements.len(), 1, "every change is one statement");
        let mut rows = Vec::new();
        for statement in statements {
            rows = self.ask(statement).await?;
        }
        Ok(rows)
    }

    fn create<'v>(&self, new: &'v NewInstance) -> Vec<Statement<'v>> {
        let create = Statement::new(self.create.clone()).value(new.id).value(&new.workflow);
        let create = create.value(new.version).value(&new.graph);
        let create = create.value(WorkflowStatus::Pending.as_str()).value(new.at).value(new.due_at);
        vec![create.value(&new.book).value(HistoryEvent::Started.as_str())]
    }

    fn save<'v>(&self, save: &'v Save) -> Vec<Statement<'v>> {
        let mut statement = super::sql::update(&self.texts, save);
        statement.text = self.save.clone();
        vec![with_lines(statement, save)]
    }

    fn take_due<'v>(
        &self,
        of: &'v [WorkflowVersion],
        now: i64,
        again: i64,
        limit: u32,
    ) -> Vec<Statement<'v>> {
        let workflows = of.iter().map(|own| Some(Cow::Borrowed(&*own.workflow))).collect();
        let versions = of.iter().map(|own| own.version.into()).collect();
        let take = Statement::new(self.take_due.clone()).value(now).value(limit).value(again);
        vec![take.value(Value::OptTexts(workflows)).value(Value::Ints(versions))]
    }

    fn purge<'v>(&self, of: &'v [String], before: i64, limit: u32) -> Vec<Statement<'v>> {
        let purge = Statement::new(self.purge.clone()).value(before).value(limit);
        vec![purge.value(self.names(of))]
    }

    fn names<'v>(&self, names: &'v [String]) -> Value<'v> {
        Value::OptTexts(names.iter().map(|name| Some(Cow::Borrowed(&**name))).collect())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
