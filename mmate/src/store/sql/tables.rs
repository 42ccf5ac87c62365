//! The tables, as a list that only grows: each entry brings a database from the version before it to its own.
//!
//! An entry that has been in a release is never changed. Times are milliseconds since 1970.

use super::failure::Trouble;

/// What makes a version.
#[derive(Debug)]
pub(in crate::store) struct Migration {
    pub(in crate::store) version: i64,
    pub(in crate::store) statements: Vec<String>,
}

/// How the databases write the same thing.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Words {
    /// A column that counts the rows by itself, the primary key.
    pub(in crate::store) counting: &'static str,
    /// What ends the definition of a table whose rows are changed in place.
    pub(in crate::store) changing: &'static str,
    /// What ends the definition of a table that is read by its primary key.
    pub(in crate::store) by_key: &'static str,
}

/// The versions there are: the place in the list is the version, from 1.
const VERSIONS: [&[&str]; 1] = [&[
    // `position`, `owner` and `claims` are for one stage, `ended` says what `status` says, so that no list of words
    // stands in an index; `lines` counts those of the history.
    "create table mmate_workflows (
        id uuid not null primary key,
        workflow text not null,
        version bigint not null,
        graph text not null,
        status text not null,
        ended boolean not null default false,
        position bigint not null default 0,
        created_at bigint not null,
        updated_at bigint not null,
        due_at bigint,
        owner text,
        claims bigint not null default 0,
        wish text,
        awaits text,
        lines bigint not null default 1,
        book text not null
    ) {changing}",
    // By workflow first: of a database that services share, each looks at its own rows alone.
    "create index mmate_workflows_due on mmate_workflows (workflow, version, due_at, id) where due_at is not null",
    "create index mmate_workflows_listed on mmate_workflows (workflow, status, created_at)",
    "create index mmate_workflows_awaiting on mmate_workflows (awaits) where awaits is not null",
    "create index mmate_workflows_ended on mmate_workflows (workflow, updated_at, id) where ended",
    "create table mmate_workflow_history (
        instance uuid not null,
        seq bigint not null,
        position bigint not null,
        stage text not null,
        event text not null,
        attempt bigint not null,
        at bigint not null,
        took bigint not null,
        reason text,
        primary key (instance, seq)
    ) {by_key}",
    "create table mmate_workflow_owners (
        owner text not null primary key,
        alive_until bigint not null
    ) {changing}",
    "create table mmate_workflow_mail (
        seq {counting},
        workflow text not null,
        address text not null,
        id text not null,
        body text not null,
        at bigint not null,
        is_read boolean not null default false,
        unique (address, id)
    )",
    "create index mmate_workflow_mail_unread on mmate_workflow_mail (address, seq) where not is_read",
    "create index mmate_workflow_mail_old on mmate_workflow_mail (workflow, at, seq)",
]];

/// The version that this program knows.
pub(in crate::store) const VERSION: i64 = VERSIONS.len() as i64;

/// Where the database's version is kept.
pub(in crate::store) const MIGRATIONS: &str = "create table if not exists mmate_migrations (
        version bigint not null primary key,
        applied_at bigint not null
    )";

/// What has to be applied to a database of this version.
pub(in crate::store) fn migrations(from: i64, words: Words) -> impl Iterator<Item = Migration> {
    (1..).zip(VERSIONS).filter(move |(version, _)| *version > from).map(move |(version, texts)| {
        let in_words = |text: &&str| {
            text.replace("{counting}", words.counting)
                .replace("{changing}", words.changing)
                .replace("{by_key}", words.by_key)
        };
        Migration { version, statements: texts.iter().map(in_words).collect() }
    })
}

/// Refuses a database that a later version of this library has made: what it means is not known here.
pub(in crate::store) fn check_version(found: i64) -> Result<(), Trouble> {
    if found <= VERSION { Ok(()) } else { Err(Trouble::Later(found)) }
}
