//! Rate limits, measured on the virtual clock.

use super::*;

#[message(command)]
struct SendMail {}

#[handler(concurrency = 50, rate(100, per = "1s", burst = 10))]
async fn mail(_message: SendMail, outside: State<Outside>) -> Result {
    outside.call("mail", Duration::from_millis(35)).await
}

#[handler(concurrency = 4, rate(2, per = "1s"), retry(attempts = 3, backoff = fixed("1ms"), jitter = 0.0))]
async fn mail_slowly(_message: SendMail, outside: State<Outside>) -> Result {
    outside.call("mail", Duration::ZERO).await
}

#[handler(rate(1, per = "10s"), breaker(failures = 1, reset = "25s", probes = 1), retry(backoff = fixed("1s"), jitter = 0.0))]
async fn mail_carefully(_message: SendMail, outside: State<Outside>) -> Result {
    outside.call("mail", Duration::ZERO).await
}

#[handler(concurrency = 4, rate(1, per = "1h"), bulkhead("post", 1))]
async fn mail_rarely(_message: SendMail, outside: State<Outside>) -> Result {
    outside.call("mail", Duration::ZERO).await
}

async fn send(app: &TestApp, count: usize) {
    for _ in 0..count {
        app.send(SendMail {}).await.expect("the command is taken");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_begin_at_the_rate_and_nothing_is_dropped() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<mail>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, 210).await;
    app.settle().await;
    let times = outside.times();
    assert_eq!(times[0], (0, 10), "the burst");
    assert!(
        times[1..].iter().enumerate().all(|(n, at)| *at == (10 * (n as u128 + 1), 1)),
        "{times:?}"
    );
    assert_eq!(times.last(), Some(&(2_000, 1)), "200 more in two seconds");
    assert_eq!(app.counts().handled, 210);
    assert_eq!(app.counts().retried + app.counts().dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_counts() {
    let outside = Outside::new(true);
    let app = TestApp::builder().handler::<mail_slowly>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, 2).await;
    app.settle().await;
    assert_eq!(outside.times(), [(0, 1), (500, 1), (1_000, 1), (1_500, 1), (2_000, 1), (2_500, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_the_rate_holds_no_probe() {
    let outside = Outside::new(true);
    let app = TestApp::builder().handler::<mail_carefully>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, 3).await;
    app.advance(Duration::from_secs(1)).await;
    outside.set_away(false);
    app.settle().await;
    let times = outside.times();
    assert_eq!((times[0], times[1].1), ((0, 1), 1));
    assert!(times[1].0 >= 25_000, "{times:?}");
    for pair in times.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 10_000 && pair[1].1 == 1, "one in 10 s: {times:?}");
    }
    assert_eq!(app.counts().handled, 3);
}

#[tokio::test(start_paused = true)]
async fn a_rate_slower_than_the_hold_loses_neither_messages_nor_places() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<mail_rarely>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, 6).await;
    app.settle().await;
    let times = outside.times();
    assert_eq!(times.len(), 6, "{times:?}");
    for pair in times.windows(2) {
        let hours = pair[1].0 - pair[0].0;
        // What went back to the broker in between comes again within seconds.
        assert!((3_600_000..3_605_000).contains(&hours) && pair[1].1 == 1, "{times:?}");
    }
    assert_eq!((app.counts().handled, app.counts().retried), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_rate_at_shutdown_is_left_at_once() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<mail_rarely>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, 6).await;
    app.advance(Duration::from_secs(1)).await;
    let began = Instant::now();
    let report = app.stop().await;
    assert_eq!((report.drained, report.counts.handled), (true, 1), "{report}");
    assert!(began.elapsed() < Duration::from_secs(1), "{report}");
}
