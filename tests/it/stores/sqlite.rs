//! SQLite: a file of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mmate::contract::Source;
use mmate::store::{StoreErrorKind, connect};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::{by_url, ensure, ensure_every_behaviour, ensure_prepared_at_once, instance};

/// A folder that is removed with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(mmate_tests::unique("mmate-sqlite"));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.0.join("workflows.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_shows_every_behaviour() {
    let folder = Folder::new();
    ensure_every_behaviour(by_url(folder.url())).await;
}

/// A database in memory outlives its connections, and is nobody else's.
#[tokio::test]
async fn sqlite_in_memory_is_kept_until_the_store_is_closed() {
    let store = connect("sqlite::memory:", Source::system()).unwrap();
    store.prepare().await.unwrap();
    assert!(store.create(&instance()).await.unwrap());
    let all = (0..20).map(|_| store.get(instance().id));
    for found in futures_util::future::join_all(all).await {
        assert!(found.unwrap().is_some());
    }
    let _given_up = tokio::time::timeout(Duration::ZERO, store.get(instance().id)).await;
    assert!(!store.create(&instance()).await.unwrap(), "it is still there");
    let other = connect("sqlite::memory:", Source::system()).unwrap();
    other.prepare().await.unwrap();
    assert!(other.create(&instance()).await.unwrap(), "another is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_prepare_one_file_at_once_all_find_it_ready() {
    for _ in 0..5 {
        let folder = Folder::new();
        ensure_prepared_at_once(by_url(folder.url())).await;
    }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused() {
    let folder = Folder::new();
    let store = connect(&folder.url(), Source::system()).unwrap();
    store.prepare().await.unwrap();
    let mut connection = SqliteConnection::connect(&folder.url()).await.unwrap();
    connection.execute("insert into mmate_migrations values (77, 0)").await.unwrap();
    let error = store.prepare().await.unwrap_err();
    ensure(&error, StoreErrorKind::Mismatch, &["version 77", "workflows.db", "another database"]);
}

#[tokio::test]
async fn a_file_that_was_not_prepared_says_so() {
    let folder = Folder::new();
    let store = connect(&folder.url(), Source::system()).unwrap();
    let error = store.create(&instance()).await.unwrap_err();
    ensure(&error, StoreErrorKind::Mismatch, &["keep a new instance", "`WorkflowStore::prepare`"]);
    store.prepare().await.unwrap();
    assert!(store.create(&instance()).await.unwrap(), "the store goes on");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let url = format!("sqlite://{}", folder.0.join("missing/workflows.db").display());
    let error = connect(&url, Source::system()).unwrap().prepare().await.unwrap_err();
    ensure(&error, StoreErrorKind::Invalid, &["missing/workflows.db", "unable to open"]);
    let text = folder.0.join("text.db");
    fs::write(&text, "this is a letter and not a database, and long enough to tell".repeat(99))
        .unwrap();
    let url = format!("sqlite://{}", text.display());
    let error = connect(&url, Source::system()).unwrap().prepare().await.unwrap_err();
    ensure(&error, StoreErrorKind::Mismatch, &["text.db", "not a database"]);
}

/// Another process that holds the right to write for too long is told apart from a failure.
#[tokio::test]
async fn a_file_that_another_locks_is_unavailable_until_it_is_free() {
    let folder = Folder::new();
    let store = connect(&folder.url(), Source::system()).unwrap();
    store.prepare().await.unwrap();
    let mut other = SqliteConnection::connect(&folder.url()).await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let began = tokio::time::Instant::now();
    let error = store.create(&instance()).await.unwrap_err();
    ensure(&error, StoreErrorKind::Unavailable, &["workflows.db", "locked"]);
    assert!(began.elapsed() >= Duration::from_secs(4), "it waits: {:?}", began.elapsed());
    assert_eq!(store.get(instance().id).await.unwrap(), None, "reading goes on");
    other.execute("rollback").await.unwrap();
    assert!(store.create(&instance()).await.unwrap());
}

/// A change that is given up halfway is not made by halves, and the next one goes through.
#[tokio::test]
async fn a_change_that_is_given_up_leaves_the_file_usable() {
    let folder = Folder::new();
    let store = connect(&folder.url(), Source::system()).unwrap();
    store.prepare().await.unwrap();
    for _ in 0..20 {
        let _given_up =
            tokio::time::timeout(Duration::from_micros(50), store.create(&instance())).await;
    }
    let made = store.create(&instance()).await.unwrap();
    let history = store.history(instance().id).await.unwrap();
    assert_eq!(history.len(), 1, "created now: {made}; {history:?}");
}

#[tokio::test]
async fn every_answer_is_on_the_disk() {
    let folder = Folder::new();
    let store = connect(&folder.url(), Source::system()).unwrap();
    store.prepare().await.unwrap();
    store.create(&instance()).await.unwrap();
    // As after a power cut: what is there, without any connection having been closed.
    let copy = Folder::new();
    for entry in fs::read_dir(&folder.0).unwrap().flatten() {
        fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
    }
    let restored = connect(&copy.url(), Source::system()).unwrap();
    assert!(restored.get(instance().id).await.unwrap().is_some());
}
