//! PostgreSQL: a database of its own for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmate::contract::Source;
use mmate::store::{Claim, HistoryEntry, HistoryEvent, Mail, Save, Saved, StoreErrorKind, connect};
use mmate_tests::postgres::{execute, with_database, with_empty_database};
use mmate_tests::{DEADLINE, eventually};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;
use xtask::servers::PostgresServer;

use super::{by_url, ensure, ensure_every_behaviour, ensure_prepared_at_once, instance};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_shows_every_behaviour() {
    with_empty_database(|url| ensure_every_behaviour(by_url(url))).await;
}

/// Each call of the suite's many waits for its turn.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_shows_every_behaviour_through_one_connection() {
    with_empty_database(|url| ensure_every_behaviour(by_url(url + "?connections=1"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_prepare_one_postgres_at_once_all_find_it_ready() {
    with_empty_database(|url| ensure_prepared_at_once(by_url(url))).await;
}

#[tokio::test]
async fn a_postgres_of_a_later_version_is_refused() {
    with_empty_database(|url| async move {
        let store = connect(&url, Source::system()).unwrap();
        store.prepare().await.unwrap();
        execute(&url, &["insert into mmate_migrations values (77, 0)"]).await;
        let error = connect(&url, Source::system()).unwrap().prepare().await.unwrap_err();
        ensure(
            &error,
            StoreErrorKind::Mismatch,
            &["version 77", "another database", "on 127.0.0.1:"],
        );
    })
    .await;
}

#[tokio::test]
async fn a_postgres_that_was_not_prepared_says_so() {
    with_empty_database(|url| async move {
        let store = connect(&url, Source::system()).unwrap();
        let error = store.create(&instance()).await.unwrap_err();
        ensure(
            &error,
            StoreErrorKind::Mismatch,
            &["keep a new instance", "`WorkflowStore::prepare`"],
        );
        store.prepare().await.unwrap();
        assert!(store.create(&instance()).await.unwrap(), "the store goes on");
    })
    .await;
}

/// Rights to make tables are needed once, by whoever makes them.
#[tokio::test]
async fn a_user_without_rights_to_make_tables_can_use_them() {
    with_empty_database(|url| async move {
        let user = mmate_tests::unique("user").replace('-', "_");
        let scheme_end = url.find("://").unwrap() + 3;
        let host = url.find('@').unwrap();
        let as_user = format!("{}{user}:hunter2{}", &url[..scheme_end], &url[host..]);
        execute(&url, &[&format!("create role {user} login password 'hunter2'")]).await;
        let store = connect(&as_user, Source::system()).unwrap();
        let error = store.prepare().await.unwrap_err();
        ensure(&error, StoreErrorKind::Invalid, &["permission denied", "42501"]);
        connect(&url, Source::system()).unwrap().prepare().await.unwrap();
        let all = "select, insert, update, delete on all tables in schema public";
        execute(&url, &[&format!("grant {all} to {user}")]).await;
        store.prepare().await.unwrap();
        assert!(store.create(&instance()).await.unwrap());
        store.close().await;
        execute(&url, &[&format!("drop owned by {user}"), &format!("drop role {user}")]).await;
    })
    .await;
}

#[tokio::test]
async fn a_user_or_database_that_is_not_there_is_named_without_the_password() {
    with_empty_database(|url| async move {
        let host = &url[url.find('@').unwrap()..];
        let user = format!("postgres://nobody_knows:hunter2{host}");
        let error = connect(&user, Source::system()).unwrap().prepare().await.unwrap_err();
        ensure(&error, StoreErrorKind::Invalid, &["nobody_knows", "28000"]);
        let database = with_database(&url, "no_such_database").replace("mmate@", "hunter2@");
        let error = connect(&database, Source::system()).unwrap().prepare().await.unwrap_err();
        ensure(&error, StoreErrorKind::Invalid, &["`no_such_database` on 127.0.0.1:", "3D000"]);
    })
    .await;
}

/// Calls fail at once while the server is gone, and work again when it is back, without a connection that is stale.
#[tokio::test]
async fn a_store_outlives_its_postgres() {
    let server = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap().unwrap();
    let url = server.url().replace(":mmate@", ":hunter2@");
    let store = connect(&url, Source::system()).unwrap();
    store.prepare().await.unwrap();
    assert!(store.create(&instance()).await.unwrap());
    // Several connections, all of which are lost.
    let reads = (0..8).map(|_| store.get(instance().id));
    futures_util::future::join_all(reads).await.into_iter().for_each(|read| drop(read.unwrap()));

    for is_killed in [false, true] {
        if is_killed {
            server.kill().unwrap()
        } else {
            server.shut_down().unwrap()
        }
        for _ in 0..12 {
            let began = tokio::time::Instant::now();
            let error = store.claim(instance().id, 0, "me").await.unwrap_err();
            ensure(&error, StoreErrorKind::Unavailable, &["claim an instance", "on 127.0.0.1:"]);
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        }
        server.start_again().unwrap();
        // One call in flight may be told of the loss late; no more than that.
        let claim = store.claim(instance().id, 0, "me").await;
        assert!(matches!(claim, Ok(Claim::Taken(_))), "{claim:?}");
    }
    assert!(store.get(instance().id).await.unwrap().is_some(), "what was kept is there");
    store.close().await;
}

/// With its connections open and unused, a store does not find out until the next call.
#[tokio::test]
async fn a_restart_between_two_calls_costs_one_call() {
    with_empty_database(|url| async move {
        let store = connect(&url, Source::system()).unwrap();
        store.prepare().await.unwrap();
        let reads = (0..8).map(|_| store.get(instance().id));
        futures_util::future::join_all(reads)
            .await
            .into_iter()
            .for_each(|read| drop(read.unwrap()));
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid()";
        execute(&url, &[end]).await;
        let error = store.get(instance().id).await.unwrap_err();
        ensure(&error, StoreErrorKind::Unavailable, &["read an instance"]);
        for _ in 0..8 {
            store.get(instance().id).await.unwrap();
        }
    })
    .await;
}

/// A server that takes connections and says nothing holds nobody up for longer than a call may take.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/shop");
    let store = connect(&url, Source::system()).unwrap();
    let began = tokio::time::Instant::now();
    let error = store.prepare().await.unwrap_err();
    ensure(&error, StoreErrorKind::Unavailable, &["did not answer within 5 s", "`shop`"]);
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
}

/// Whoever waits for a connection is told when that takes too long; a call that is given up gives its place back.
#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_store_usable() {
    with_empty_database(|url| async move {
        let store = connect(&format!("{url}?connections=1"), Source::system()).unwrap();
        store.prepare().await.unwrap();
        store.create(&instance()).await.unwrap();
        let blocked = format!("{url}?options[application_name]=blocker");
        let lock = tokio::spawn(async move {
            let hold = "do $$ begin perform 1 from mmate_workflows for update; perform pg_sleep(60); end $$";
            execute(&blocked, &[hold]).await;
        });
        // While the row is locked, the claim waits in the server; its future is dropped.
        let claim = || store.claim(instance().id, 0, "me");
        eventually("the row is locked", || async {
            tokio::time::timeout(Duration::from_millis(50), claim()).await.is_err()
        })
        .await;
        let read = tokio::time::timeout(DEADLINE, store.get(instance().id)).await;
        assert!(read.expect("a connection is there").unwrap().is_some());
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and query like 'do %'";
        execute(&url, &[end]).await;
        assert!(lock.await.is_err(), "the lock is gone with its connection");
        eventually("the claim is made", || async {
            matches!(claim().await, Ok(Claim::Taken(_)))
        })
        .await;
    })
    .await;
}

/// Two that read one piece of mail meet in the server: the row is held by another until both have come for it.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_read_one_piece_of_mail_at_one_moment_do_not_both_get_it() {
    with_empty_database(|url| async move {
        let store = connect(&url, Source::system()).unwrap();
        store.prepare().await.unwrap();
        let at = instance().at;
        store.post(&Mail::new("order", "address", "id", "{}".to_owned(), at)).await.unwrap();
        let mut saves = Vec::new();
        for id in [1, 2] {
            let mut new = instance();
            new.id = Uuid::from_u128(id);
            store.create(&new).await.unwrap();
            let Claim::Taken(taken) = store.claim(new.id, 0, "me").await.unwrap() else {
                panic!("nobody else works on it")
            };
            let mut save = Save::of(&taken, "{}".to_owned(), at);
            save.read = Some(("address".to_owned(), "id".to_owned()));
            saves.push(save);
        }
        let mut holder = PgConnection::connect(&url).await.unwrap();
        holder.execute("begin").await.unwrap();
        holder.execute("select 1 from mmate_workflow_mail for update").await.unwrap();
        let readers: Vec<_> = saves
            .into_iter()
            .map(|save| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.save(&save).await.unwrap() })
            })
            .collect();
        let waiting = "select count(*) from pg_stat_activity \
            where datname = current_database() and wait_event_type = 'Lock'";
        // The second may wait for the first instead, which is as good.
        eventually("both wait", || async {
            let mut looker = PgConnection::connect(&url).await.unwrap();
            let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut looker).await.unwrap();
            looker.close().await.unwrap();
            count == 2
        })
        .await;
        holder.execute("commit").await.unwrap();
        let mut saved = Vec::new();
        for reader in readers {
            saved.push(reader.await.unwrap());
        }
        saved.sort_by_key(|saved| *saved != Saved::Made);
        assert_eq!(saved, [Saved::Made, Saved::MailGone]);
        store.close().await;
    })
    .await;
}

/// PostgreSQL keeps no NUL in a text; the reason of a failure may hold one all the same.
#[tokio::test]
async fn a_reason_that_postgres_cannot_keep_is_kept_nearly() {
    with_empty_database(|url| async move {
        let store = connect(&url, Source::system()).unwrap();
        store.prepare().await.unwrap();
        store.create(&instance()).await.unwrap();
        let Claim::Taken(taken) = store.claim(instance().id, 0, "me").await.unwrap() else {
            panic!("nobody else works on it")
        };
        let at = taken.created_at;
        let mut save = Save::of(&taken, "{}".to_owned(), at);
        save.history =
            vec![HistoryEntry::new(0, "s", HistoryEvent::Failed, at).because("bad byte \0 in it")];
        assert_eq!(store.save(&save).await.unwrap(), Saved::Made);
        let history = store.history(taken.id).await.unwrap();
        assert_eq!(history[1].reason.as_deref(), Some("bad byte \u{fffd} in it"));
    })
    .await;
}

/// Passes bytes on to a server, and counts how often a client began to speak.
async fn relay(url: &str, spoken: Arc<AtomicUsize>) -> String {
    let start = url.find('@').unwrap() + 1;
    let end = start + url[start..].find('/').unwrap();
    let server = url[start..end].to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, spoken) =
                (TcpStream::connect(&server).await.unwrap(), Arc::clone(&spoken));
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    spoken.fetch_add(1, Ordering::SeqCst);
                    to_server.write_all(&buffer[..length]).await.unwrap();
                }
            });
        }
    });
    format!("{}{here}{}", &url[..start], &url[end..])
}

/// A stage costs one claim and one save.
#[tokio::test]
async fn a_claim_and_a_save_are_one_round_trip_each() {
    with_empty_database(|url| async move {
        let spoken = Arc::new(AtomicUsize::new(0));
        let url = relay(&format!("{url}?connections=1"), Arc::clone(&spoken)).await;
        let store = connect(&url, Source::system()).unwrap();
        store.prepare().await.unwrap();
        store.create(&instance()).await.unwrap();
        let mut trips = Vec::new();
        for position in 0..3 {
            let before = spoken.load(Ordering::SeqCst);
            let claim = store.claim(instance().id, position, "me").await.unwrap();
            let Claim::Taken(taken) = claim else { panic!("nobody else works on it: {claim:?}") };
            let between = spoken.load(Ordering::SeqCst);
            let mut save = Save::of(&taken, "{}".to_owned(), taken.created_at);
            save.next += 1;
            let line = HistoryEntry::new(position, "s", HistoryEvent::Completed, save.at);
            save.history = vec![line; 1 + usize::try_from(position).unwrap()];
            assert_eq!(store.save(&save).await.unwrap(), Saved::Made);
            trips.push((between - before, spoken.load(Ordering::SeqCst) - between));
        }
        // The first time, the server is told what will be asked.
        assert_eq!(trips[1..], [(1, 1), (1, 1)], "{trips:?}");
        store.close().await;
    })
    .await;
}
