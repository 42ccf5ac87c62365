//! Bulkheads on the virtual clock, and what handlers must agree on.

use mmate::Error;

use super::*;

#[message(command)]
struct ReadRows {}

#[message(command)]
struct WriteRows {}

#[handler(concurrency = 10, bulkhead("db", 3))]
async fn read(_message: ReadRows, outside: State<Outside>) -> Result {
    outside.call("read", Duration::from_millis(100)).await
}

const PLACES: u16 = 3;

#[handler(concurrency = 10, bulkhead("db", PLACES))]
async fn write(_message: WriteRows, outside: State<Outside>) -> Result {
    outside.call("write", Duration::from_millis(100)).await
}

#[handler(concurrency = 10, bulkhead("db", 3), retry(attempts = 1), breaker(failures = 1))]
async fn read_carefully(_message: ReadRows, outside: State<Outside>) -> Result {
    outside.call("read", Duration::from_millis(100)).await
}

#[handler(bulkhead("db", 4), breaker(name = "db", probes = 1))]
async fn other_figures(_message: ReadRows) {}

const NONE: u16 = 0;

#[handler(bulkhead("none", NONE), breaker(name = "db"))]
async fn no_places(_message: WriteRows) {}

#[tokio::test(start_paused = true)]
async fn handlers_share_the_places_of_a_bulkhead() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<read>().handler::<write>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    for _ in 0..6 {
        app.send(ReadRows {}).await.expect("the command is taken");
        app.send(WriteRows {}).await.expect("the command is taken");
    }
    app.settle().await;
    assert_eq!(outside.most(), 3, "of both handlers together");
    assert_eq!(outside.times(), [(0, 3), (100, 3), (200, 3), (300, 3)]);
    assert_eq!(app.counts().handled, 12);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_a_breaker_holds_no_place() {
    let outside = Outside::new(true);
    let app = TestApp::builder().handler::<read_carefully>().handler::<write>();
    let app = app.provide(outside.clone()).start().await.expect("the app starts");
    app.send(ReadRows {}).await.expect("the command is taken");
    app.settle().await;
    outside.set_away(false);
    for _ in 0..10 {
        app.send(ReadRows {}).await.expect("the command is taken");
    }
    app.advance(Duration::from_secs(1)).await;
    for _ in 0..3 {
        app.send(WriteRows {}).await.expect("the command is taken");
    }
    app.advance(Duration::from_secs(1)).await;
    assert_eq!(outside.callers(), ["read", "write", "write", "write"]);
    app.settle().await;
    assert_eq!(app.counts().handled, 13);
}

#[tokio::test]
async fn different_figures_for_one_name_refuse_the_boot_with_both_places() {
    let app = TestApp::builder().handler::<read>().handler::<other_figures>();
    let error = app.handler::<no_places>().provide(Outside::new(false)).start().await;
    let Err(Error::Boot(errors)) = error else { panic!("the boot is refused: {error:?}") };
    let all: Vec<&str> = errors.iter().collect();
    for (start, places) in [
        ("bulkhead `db` has different sizes", ["`read` at", "`other_figures` at"]),
        ("circuit breaker `db` has different figures", ["`other_figures` at", "`no_places` at"]),
        ("bulkhead `none` has no places", ["`no_places` at", "limits/places.rs:"]),
    ] {
        let found = all.iter().find(|mistake| mistake.starts_with(start));
        let found = found.unwrap_or_else(|| panic!("{start}: {errors}"));
        assert!(places.iter().all(|place| found.contains(place)), "{found}");
    }
}
