//! Circuit breakers on the virtual clock.

use mmate::consume::Readiness;

use super::*;

#[message(command)]
struct CallBank {
    end: String,
}

/// Another message behind the same breaker.
#[message(command)]
struct CallBankBack {}

#[handler(concurrency = 8, breaker, retry(attempts = 50, backoff = fixed("1s"), jitter = 0.0))]
async fn charge(_message: CallBank, outside: State<Outside>) -> Result {
    outside.call("charge", Duration::from_millis(100)).await
}

/// One call at a time, one attempt each, as the message says.
#[handler(concurrency = 1, timeout = "5s", retry(attempts = 1), breaker(failures = 2, probes = 1))]
async fn charge_once(message: CallBank, outside: State<Outside>) -> Result {
    outside.note(&message.end);
    match message.end.as_str() {
        "hang" => std::future::pending().await,
        "panic" => panic!("the handler is broken"),
        end => trouble(end),
    }
}

#[handler(retry(attempts = 1), breaker(name = "bank", failures = 1, reset = "10s", probes = 1))]
async fn shared_charge(_message: CallBank, outside: State<Outside>) -> Result {
    outside.call("charge", Duration::ZERO).await
}

#[handler(breaker(name = "bank", failures = 1, reset = "10s", probes = 1))]
async fn shared_refund(_message: CallBankBack, outside: State<Outside>) -> Result {
    outside.call("refund", Duration::ZERO).await
}

#[handler(concurrency = 8, retry(attempts = 2, backoff = fixed("1ms")), breaker(failures = 1, reset = "1d", probes = 1))]
async fn call_for_long(_message: CallBank, context: Context, outside: State<Outside>) -> Result {
    outside.note(&context.attempt().to_string());
    trouble(if outside.is_away() { "away" } else { "" })
}

#[handler(
    timeout = "2m",
    concurrency = 2,
    retry(attempts = 1),
    breaker(name = "slow", failures = 1, reset = "10s", probes = 1)
)]
async fn slow_probe(_message: CallBank, outside: State<Outside>) -> Result {
    outside.call("slow", Duration::from_secs(60)).await
}

#[handler(concurrency = 1, breaker(name = "slow", failures = 1, reset = "10s", probes = 1))]
async fn waits_for_probe(_message: CallBankBack, outside: State<Outside>) -> Result {
    outside.call("back", Duration::ZERO).await
}

async fn send(app: &TestApp, ends: &[&str]) {
    for end in ends {
        app.send(CallBank { end: (*end).to_owned() }).await.expect("the command is taken");
    }
}

fn readiness(app: &TestApp) -> Readiness {
    app.health().remove(0).readiness
}

#[tokio::test(start_paused = true)]
async fn it_opens_stays_quiet_lets_probes_through_and_closes() {
    let outside = Outside::new(true);
    let app = TestApp::builder().name("shop").handler::<charge>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, &["ok"; 10]).await;
    app.advance(Duration::from_secs(50)).await;
    // Eight at a time, as many as the concurrency allows; all fail at 100 ms. Then quiet for 30 s, and
    // three probes in parallel, of which the first to fail opens it again.
    assert_eq!(outside.times(), [(0, 8), (30_100, 3)]);
    assert_eq!(outside.most(), 8, "calls run in parallel");
    let paused = "circuit breaker `charge` of handler `charge` is open; it tries again at 2026-01-01T00:01:00.2Z";
    assert_eq!(readiness(&app), Readiness::Waiting(paused.to_owned()));
    outside.set_away(false);
    app.settle().await;
    assert_eq!(outside.times()[2..], [(60_200, 3), (60_300, 7)], "three probes, then the others");
    assert_eq!(readiness(&app), Readiness::Consuming);
    let counts = app.counts();
    assert_eq!((counts.handled, counts.dead_lettered, counts.retried), (10, 0, 11), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_uses_up_no_attempt() {
    let outside = Outside::new(true);
    let app = TestApp::builder().handler::<charge>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, &["ok"]).await;
    app.settle().await;
    // Five attempts a second apart, then each probe uses up one, and half a minute of waiting none.
    let times = outside.times();
    assert_eq!((times.len(), app.counts().dead_lettered), (50, 1), "{times:?}");
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(waits[..4].iter().all(|wait| *wait == 1_100), "{waits:?}");
    assert!(waits[4..].iter().all(|wait| *wait == 30_100), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn errors_about_the_message_do_not_open_it() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<charge_once>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    let ends = ["nonsense", "never", "blocked", "unclassified", "discard", "asked", "panic"];
    for _ in 0..3 {
        send(&app, &ends).await;
    }
    app.settle().await;
    assert_eq!(outside.times(), [(0, 21)], "nobody waited");
    assert_eq!(readiness(&app), Readiness::Consuming);
}

#[tokio::test(start_paused = true)]
async fn trouble_behind_the_handler_and_overruns_open_it() {
    for (ends, opens_at) in
        [(["away", "less"], 0), (["broken", "away"], 0), (["hang", "away"], 5_000)]
    {
        let outside = Outside::new(false);
        let app = TestApp::builder().handler::<charge_once>().provide(outside.clone());
        let app = app.start().await.expect("the app starts");
        send(&app, &ends).await;
        send(&app, &["ok"]).await;
        app.settle().await;
        let times = outside.times();
        assert_eq!(times.last(), Some(&(opens_at + 30_000, 1)), "{ends:?}: {times:?}");
        assert_eq!(app.counts().handled, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_or_is_no_answer_does_not_leave_it_stuck() {
    let outside = Outside::new(false);
    let app = TestApp::builder().name("shop").handler::<charge_once>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, &["away", "away", "panic", "panic"]).await;
    let unreadable = mmate::transport::Outgoing::new(
        mmate::contract::address::Address::queue("cmd.shop.CallBank"),
        mmate::transport::Properties::default(),
        r#"{"id":"1","type":"CallBank","timestamp":"2026-01-01T00:00:00Z","payload":{"end":7}}"#,
    );
    let transport: &dyn mmate::transport::Transport = app.transport();
    transport.publish(unreadable).await.expect("the broker takes it");
    send(&app, &["nonsense", "ok"]).await;
    app.settle().await;
    let callers = ["away", "away", "panic", "panic", "nonsense", "ok"];
    assert_eq!(outside.callers(), callers);
    assert_eq!(outside.times(), [(0, 2), (30_000, 4)], "none of them cost another half minute");
    assert_eq!((app.counts().handled, app.counts().dead_lettered), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_that_nobody_asks_is_ready_again_after_its_time() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<charge_once>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, &["away", "away"]).await;
    app.settle().await;
    app.advance(Duration::from_millis(29_990)).await;
    assert!(matches!(readiness(&app), Readiness::Waiting(_)), "{:?}", readiness(&app));
    app.advance(Duration::from_millis(20)).await;
    assert_eq!(readiness(&app), Readiness::Consuming);
}

#[tokio::test(start_paused = true)]
async fn handlers_with_one_name_share_one_breaker() {
    let outside = Outside::new(true);
    let app = TestApp::builder().handler::<shared_charge>().handler::<shared_refund>();
    let app = app.provide(outside.clone()).start().await.expect("the app starts");
    send(&app, &["ok"]).await;
    app.settle().await;
    outside.set_away(false);
    app.send(CallBankBack {}).await.expect("the command is taken");
    app.advance(Duration::from_secs(1)).await;
    let states: Vec<_> = app.health().into_iter().map(|consumer| consumer.readiness).collect();
    assert!(states.iter().all(|state| matches!(state, Readiness::Waiting(_))), "{states:?}");
    app.settle().await;
    assert_eq!(outside.callers(), ["charge", "refund"]);
    assert_eq!(outside.times(), [(0, 1), (10_000, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_places_all_wait_takes_no_more() {
    let outside = Outside::new(true);
    let app = TestApp::builder().name("shop").handler::<charge>().provide(outside.clone());
    let app = app.config("consume.prefetch", 8).start().await.expect("the app starts");
    send(&app, &["ok"; 100]).await;
    app.advance(Duration::from_secs(20)).await;
    let transport: &dyn mmate::transport::Transport = app.transport();
    let stats = transport.queue_stats("cmd.shop.CallBank").await.expect("stats").expect("a queue");
    assert_eq!(stats.ready, 92, "the backlog stays in the broker");
    outside.set_away(false);
    app.settle().await;
    assert_eq!((app.counts().handled, app.counts().dead_lettered), (100, 0), "nothing is dropped");
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_for_long_go_back_to_the_broker_with_their_count() {
    let outside = Outside::new(true);
    let app = TestApp::builder().name("shop").handler::<call_for_long>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    send(&app, &["ok"; 40]).await;
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(outside.callers(), ["1"], "the breaker is open for a day");
    let in_flight = || app.health().remove(0).in_flight;
    assert!(in_flight() >= 8, "{} wait in the process", in_flight());
    // RabbitMQ takes away after half an hour what is not acknowledged, and all would have lost an attempt.
    app.advance(Duration::from_secs(29 * 60)).await;
    assert_eq!(in_flight(), 0, "all of them wait at the broker");
    outside.set_away(false);
    app.settle().await;
    let mut attempts = outside.callers();
    attempts.sort_unstable();
    let expected = [vec!["1"; 40], vec!["2"]].concat();
    assert_eq!(attempts, expected, "no attempt is used up but the one that failed");
    assert_eq!((app.counts().handled, app.counts().dead_lettered), (40, 0));
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_gives_back_what_waits_for_a_breaker() {
    let outside = Outside::new(true);
    let transport = mmate::transport::memory::MemoryTransport::new();
    let began = Instant::now();
    let clock = mmate::contract::Source::seeded(1, move || began.elapsed());
    let builder = App::builder().name("shop").handler::<call_for_long>().provide(outside.clone());
    let builder = builder.source(clock);
    let running =
        builder.transport(Arc::new(transport.clone()) as Arc<dyn mmate::transport::Transport>);
    let running = running.start().await.expect("the app starts");
    for _ in 0..20 {
        let message = CallBank { end: "ok".to_owned() };
        running.publisher().send(message).await.expect("the command is taken");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!running.is_ready());
    let paused =
        tokio::time::timeout(Duration::from_secs(1), running.pause("cmd.shop.CallBank", "a look"));
    paused.await.expect("nobody waits for the breaker").expect("the queue is known");
    outside.set_away(false);
    let transport: &dyn mmate::transport::Transport = &transport;
    let stats = transport.queue_stats("cmd.shop.CallBank").await.expect("stats").expect("a queue");
    assert_eq!(stats.ready, 20, "all are back");
    let resumed = running.resume("cmd.shop.CallBank").await;
    resumed.expect("the queue is known");
    tokio::time::sleep(Duration::from_secs(3 * 24 * 3_600)).await;
    assert_eq!(running.health().consumers[0].counts.handled, 20);
}

/// Two queues, one breaker: while its only probe is with the other queue, this one shows what it waits for.
#[tokio::test(start_paused = true)]
async fn a_queue_whose_places_all_wait_for_a_probe_elsewhere_says_so() {
    let outside = Outside::new(true);
    let app = TestApp::builder().name("shop").handler::<slow_probe>().handler::<waits_for_probe>();
    let app = app.provide(outside.clone()).start().await.expect("the app starts");
    send(&app, &["ok"]).await;
    app.advance(Duration::from_secs(61)).await;
    outside.set_away(false);
    send(&app, &["ok"]).await;
    app.advance(Duration::from_secs(12)).await;
    app.send(CallBankBack {}).await.expect("the command is taken");
    app.advance(Duration::from_secs(1)).await;
    let of = |queue: &str| {
        let all = app.health();
        let found = all.iter().find(|consumer| consumer.queue == queue).expect("a consumer");
        found.readiness.clone()
    };
    assert_eq!(of("cmd.shop.CallBank"), Readiness::Consuming, "it has the probe");
    let text = "every place waits for circuit breaker `slow` of handler `waits_for_probe`, which is being probed";
    assert_eq!(of("cmd.shop.CallBankBack"), Readiness::Waiting(text.to_owned()));
    app.settle().await;
    assert_eq!(of("cmd.shop.CallBankBack"), Readiness::Consuming);
    assert_eq!(app.counts().handled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_the_configuration_decides_also_for_the_breaker() {
    let outside = Outside::new(false);
    let app = TestApp::builder().handler::<charge_once>().provide(outside.clone());
    let app = app.config("retry.rules", "[{ error = 'no class', class = 'transient' }]");
    let app = app.start().await.expect("the app starts");
    send(&app, &["unclassified", "unclassified", "ok"]).await;
    app.settle().await;
    assert_eq!(outside.times(), [(0, 2), (30_000, 1)]);
}
