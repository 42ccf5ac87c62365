//! SQLite: a file on this machine, for one process or a few.
//!
//! Everything that changes something goes through one connection, since SQLite lets one write at a time anyway;
//! what only reads has a few of its own, which never wait for it (write-ahead log). Each answer is on the disk
//! (`synchronous = full`). Owners are alive by the machine's clock.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::error::{StoreError, StoreErrorKind};
use super::sql::{
    CALL_TIMEOUT, COLUMNS, Dialect, Engine, Fields as _, LINE, MIGRATIONS, Place, Pool, SqlStore,
    Statement, Texts, Trouble, Value, Words, binds, check_version, fields, migrations,
};
use super::words::{HistoryEvent, WorkflowStatus};
use super::workflow::{NewInstance, Save, WorkflowVersion};
use crate::contract::Source;

/// How many connections read at the same time.
const READERS_MAX: usize = 4;
/// How long a call waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile to switch to the write-ahead log, for which SQLite itself does not wait.
const SWITCH_INTERVAL: Duration = Duration::from_millis(20);

const WORDS: Words = Words {
    // Numbers of removed rows are not given again, so that the order of mail stays what it was.
    counting: "integer primary key autoincrement",
    changing: "",
    by_key: "without rowid",
};

/// What is due at `$1` of the pairs of workflow and version in `$3`, at most `$2`: the first of each pair by the index,
/// and the first of those.
const DUE: &str = "(select distinct json_extract(value, '$[0]') as own_workflow, \
     json_extract(value, '$[1]') as own_version from json_each($3)) cross join mmate_workflows \
     where id in (select own.id from mmate_workflows as own where own.workflow = own_workflow \
     and own.version = own_version and own.due_at <= $1 order by own.due_at, own.id limit $2) \
     order by due_at, id limit $2";

#[derive(Debug)]
struct Sqlite {
    place: Place,
    source: Source,
    texts: Texts,
    history: std::sync::Arc<str>,
    writer: Pool<SqliteConnection>,
    /// None for a database in memory, which is not worth it.
    readers: Option<Pool<SqliteConnection>>,
    /// A database in memory is there as long as a connection to it is: this one is never used.
    anchor: Option<Mutex<Option<SqliteConnection>>>,
    options: SqliteConnectOptions,
}

/// A store in a file, which is made if it is not there, or in memory if the file is `:memory:`.
pub(super) fn open(file: &str, source: Source) -> Result<SqlStore<impl Engine>, StoreError> {
    if file.is_empty() || file.contains(['?', '#']) {
        let text = "failed to read the URL of the store: write `sqlite://` and the path of a file, without \
            parameters, or `sqlite::memory:`";
        return Err(StoreError::new(StoreErrorKind::Invalid, text));
    }
    let in_memory = file == ":memory:";
    let options = if in_memory { memory_options() } else { file_options(Path::new(file)) };
    let options = options
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .disable_statement_logging();
    let readers = (!in_memory).then(|| Pool::new(options.clone(), READERS_MAX));
    let dialect = Dialect {
        clock: "$n",
        least_id: "min(id)",
        unread: "exists (select 1 from mmate_workflow_mail where address = $14 and id = $15 and not is_read)",
        among: "workflow in (select value from json_each($n))",
    };
    Ok(SqlStore(Sqlite {
        place: Place { text: format!("the SQLite file `{file}`"), classify },
        source,
        texts: Texts::new(dialect),
        history: format!(
            "insert into mmate_workflow_history (instance, seq, {LINE}) values ($1, \
             (select lines from mmate_workflows where id = $1) - $2, $3, $4, $5, $6, $7, $8, $9)"
        )
        .into(),
        writer: Pool::new(options.clone(), 1),
        readers,
        anchor: in_memory.then(Mutex::default),
        options,
    }))
}

fn file_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).create_if_missing(true)
}

/// A database of its own that the connections of this store share.
fn memory_options() -> SqliteConnectOptions {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("file:mmate-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    SqliteConnectOptions::new().filename(name).in_memory(true).shared_cache(true)
}

/// The first byte of an extended code is the code itself.
fn classify(code: &str, message: &str) -> StoreErrorKind {
    match code.parse::<i32>().map(|code| code & 0xff) {
        // Busy, locked, an error of the disk, a disk that is full.
        Ok(5 | 6 | 10 | 13) => StoreErrorKind::Unavailable,
        // Not allowed, read-only, cannot be opened.
        Ok(3 | 8 | 14 | 23) => StoreErrorKind::Invalid,
        // Damaged, or not a database at all.
        Ok(11 | 26) => StoreErrorKind::Mismatch,
        _ if message.contains("no such table") || message.contains("no such column") => {
            StoreErrorKind::Mismatch
        }
        _ => StoreErrorKind::Other,
    }
}

fields!(SqliteRow);

binds!(
    arguments: SqliteArguments,
    Value::Json(text) => arguments.add(text),
    #[cfg(feature = "postgres")]
    Value::Ints(_) | Value::OptTexts(_) => Err("SQLite has no lists".into()),
);

async fn run(
    connection: &mut SqliteConnection,
    statement: Statement<'_>,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let arguments = arguments(statement.values)?;
    // All rows, although one may be enough: a statement that is left before its end is not committed.
    sqlx::query_with(AssertSqlSafe(statement.text), arguments).fetch_all(connection).await
}

async fn run_text(connection: &mut SqliteConnection, text: &'static str) -> sqlx::Result<()> {
    run(connection, Statement::new(text)).await.map(drop)
}

async fn run_all(
    connection: &mut SqliteConnection,
    statements: Vec<Statement<'_>>,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let is_one = statements.len() == 1;
    let mut statements = statements.into_iter();
    let Some(first) = statements.next() else { return Ok(Vec::new()) };
    if is_one {
        return run(connection, first).await;
    }
    // Not a plain `begin`: that takes the right to write only when it writes, and then fails at once if another
    // process has written since it began to read.
    run_text(connection, "begin immediate").await?;
    let rows = run(connection, first).await?;
    if rows.is_empty() {
        run_text(connection, "rollback").await?;
        return Ok(rows);
    }
    for statement in statements {
        run(connection, statement).await?;
    }
    run_text(connection, "commit").await?;
    Ok(rows)
}

async fn within<T>(call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or(Err(Trouble::Late(CALL_TIMEOUT)))
}

impl Sqlite {
    /// Once per database: the file remembers it.
    async fn switch_to_log(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let begun = Instant::now();
        loop {
            match run_text(connection, "pragma journal_mode = wal").await {
                Err(sqlx::Error::Database(busy))
                    if begun.elapsed() < BUSY_TIMEOUT
                        && classify(&busy.code().unwrap_or_default(), "")
                            == StoreErrorKind::Unavailable => {}
                switched => return switched,
            }
            sleep(SWITCH_INTERVAL).await;
        }
    }

    /// Brings the tables up to this version, in one transaction; the version that was found if it is a later one.
    async fn migrate(&self, connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
        run_text(connection, "begin immediate").await?;
        run_text(connection, MIGRATIONS).await?;
        let version = "select coalesce(max(version), 0) from mmate_migrations";
        let found = run(connection, Statement::new(version)).await?;
        let found = found.first().map_or(Ok(0), |row| row.int(0))?;
        for migration in migrations(found, WORDS) {
            for text in migration.statements {
                run(connection, Statement::new(text)).await?;
            }
            let note = "insert into mmate_migrations (version, applied_at) values ($1, $2)";
            let note = Statement::new(note).value(migration.version).value(self.source.now());
            run(connection, note).await?;
        }
        run_text(connection, "commit").await?;
        Ok(found)
    }

    async fn hold_memory(&self) -> Result<(), sqlx::Error> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        let mut anchor = anchor.lock().await;
        if anchor.is_none() {
            *anchor = Some(self.options.connect().await?);
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for Sqlite {
    type Row = SqliteRow;

    const NAME: &'static str = "sqlite";

    fn place(&self) -> &Place {
        &self.place
    }

    fn texts(&self) -> &Texts {
        &self.texts
    }

    fn clock(&self) -> Option<i64> {
        Some(self.source.now().as_millisecond())
    }

    async fn prepare(&self) -> Result<(), Trouble> {
        self.hold_memory().await?;
        let found = within(async {
            let mut lease = self.writer.lease().await?;
            let connection = lease.connection();
            let outcome = async {
                if self.anchor.is_none() {
                    self.switch_to_log(connection).await?;
                }
                self.migrate(connection).await
            };
            let outcome = outcome.await;
            lease.end(outcome)
        });
        check_version(found.await?)
    }

    async fn read(&self, statement: Statement<'_>) -> Result<Vec<SqliteRow>, Trouble> {
        within(async {
            let mut lease = self.readers.as_ref().unwrap_or(&self.writer).lease().await?;
            let rows = run(lease.connection(), statement).await;
            lease.end(rows)
        })
        .await
    }

    async fn change(&self, statements: Vec<Statement<'_>>) -> Result<Vec<SqliteRow>, Trouble> {
        within(async {
            let mut lease = self.writer.lease().await?;
            let rows = run_all(lease.connection(), statements).await;
            lease.end(rows)
        })
        .await
    }

    fn create<'v>(&self, new: &'v NewInstance) -> Vec<Statement<'v>> {
        let insert = Statement::new(self.texts.insert.clone()).value(new.id).value(&new.workflow);
        let insert = insert.value(new.version).value(&new.graph);
        let insert = insert.value(WorkflowStatus::Pending.as_str()).value(new.at);
        let insert = insert.value(new.due_at).value(&new.book);
        let line = Statement::new(self.history.clone()).value(new.id).value(0_i64).value(0_i64);
        let line = line.value("").value(HistoryEvent::Started.as_str()).value(0_i64);
        vec![insert, line.value(new.at).value(0_i64).value(None::<&str>)]
    }

    fn save<'v>(&self, save: &'v Save) -> Vec<Statement<'v>> {
        let update = super::sql::update(&self.texts, save);
        let lines = save.history.len() as u64;
        let mut statements = vec![update];
        for (entry, number) in save.history.iter().zip(1..) {
            let line = Statement::new(self.history.clone()).value(save.id).value(lines - number);
            let line = line.value(entry.position).value(&entry.stage).value(entry.event.as_str());
            let line = line.value(entry.attempt).value(entry.at).value(entry.took);
            statements.push(line.value(entry.reason.as_deref()));
        }
        if let Some((address, id)) = &save.read {
            let text = "update mmate_workflow_mail set is_read = true, body = '' where address = $1 and id = $2";
            statements.push(Statement::new(text).value(address).value(id));
        }
        statements
    }

    fn take_due<'v>(
        &self,
        of: &'v [WorkflowVersion],
        now: i64,
        again: i64,
        limit: u32,
    ) -> Vec<Statement<'v>> {
        let own: Vec<(&str, u32)> = of.iter().map(|own| (&*own.workflow, own.version)).collect();
        let due = |text: String| {
            Statement::new(text).value(now).value(limit).value(Value::Json(json!(own).to_string()))
        };
        let put_off = format!(
            "update mmate_workflows set due_at = $1 + max($1 - updated_at, $4) \
             where id in (select id from {DUE})"
        );
        vec![due(format!("select {COLUMNS} from {DUE}")), due(put_off).value(again)]
    }

    fn purge<'v>(&self, of: &'v [String], before: i64, limit: u32) -> Vec<Statement<'v>> {
        let ended = &self.texts.ended;
        let lines = format!("delete from mmate_workflow_history where instance in ({ended})");
        let instances = format!("delete from mmate_workflows where id in ({ended})");
        let ended_of =
            |text: String| Statement::new(text).value(before).value(limit).value(self.names(of));
        vec![ended_of(ended.to_string()), ended_of(lines), ended_of(instances)]
    }

    fn names<'v>(&self, names: &'v [String]) -> Value<'v> {
        Value::Json(json!(names).to_string())
    }

    async fn close(&self) {
        self.writer.close().await;
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        if let Some(anchor) = &self.anchor {
            anchor.lock().await.take();
        }
    }
}
