//! Fallbacks and the user's own backoff, on the virtual clock.

use mmate::publish::Publisher;

use super::*;

#[message(command, reply = PriceQuoted)]
struct AskPrice {
    end: String,
}

#[message(reply)]
struct PriceQuoted {
    cents: u32,
}

#[message(event)]
struct PriceAsked {
    by: String,
}

#[handler(retry(attempts = 3, backoff = custom(squares), jitter = 0.0), fallback = cached_price)]
async fn price(
    query: AskPrice,
    context: Context,
    outside: State<Outside>,
    publisher: Publisher,
) -> Result<PriceQuoted> {
    outside.note(&format!("price {}", context.attempt()));
    outside.id(&publisher.publish(PriceAsked { by: "price".to_owned() }).await?.id);
    trouble(query.end.split(',').next().unwrap_or_default())?;
    Ok(PriceQuoted { cents: 100 })
}

async fn cached_price(
    query: AskPrice,
    context: Context,
    outside: State<Outside>,
    publisher: Publisher,
) -> Result<PriceQuoted> {
    assert!(context.is_fallback() && context.handler() == "cached_price");
    outside.note(&format!("cached {}", context.attempt()));
    outside.id(&publisher.publish(PriceAsked { by: "cached_price".to_owned() }).await?.id);
    match query.end.split(',').nth(1) {
        Some("hang") => std::future::pending().await,
        Some("panic") => panic!("the cache is broken"),
        Some("away") => Err(std::io::Error::other("the cache is away").into()),
        _ => Ok(PriceQuoted { cents: 90 }),
    }
}

fn squares(attempt: u32) -> Duration {
    Duration::from_secs(u64::from(attempt * attempt))
}

#[handler(retry(attempts = 1), breaker(failures = 1), fallback = cached)]
async fn guarded(_query: AskPrice, outside: State<Outside>) -> Result<PriceQuoted> {
    outside.call("guarded", Duration::ZERO).await?;
    Ok(PriceQuoted { cents: 100 })
}

async fn cached(query: AskPrice, outside: State<Outside>) -> Result<PriceQuoted> {
    outside.note("cached");
    trouble(&query.end)?;
    Ok(PriceQuoted { cents: 90 })
}

async fn ask(app: &TestApp, end: &str) {
    app.send(AskPrice { end: end.to_owned() }).await.expect("the command is taken");
}

async fn price_app(outside: &Outside) -> TestApp {
    let app = TestApp::builder().name("shop").handler::<price>().provide(outside.clone());
    app.start().await.expect("the app starts")
}

#[tokio::test(start_paused = true)]
async fn when_the_attempts_are_spent_the_fallback_handles_the_message() {
    let outside = Outside::new(false);
    let app = price_app(&outside).await;
    ask(&app, "away").await;
    app.settle().await;
    assert_eq!(outside.callers(), ["price 1", "price 2", "price 3", "cached 3"]);
    assert_eq!(outside.times(), [(0, 1), (1_000, 1), (5_000, 2)], "waits of 1 s and 4 s");
    let counts = app.counts();
    assert_eq!((counts.fallen_back, counts.handled, counts.dead_lettered), (1, 0, 0), "{counts:?}");
    assert_eq!(
        app.published::<PriceAsked>().one().message.by,
        "cached_price",
        "the handler's are dropped"
    );
    let ids = outside.ids();
    assert_eq!((&ids[0], &ids[1]), (&ids[1], &ids[2]), "attempts publish the same ids");
    assert_ne!(
        ids[2], ids[3],
        "some of the handler's may have left: no other message has their ids"
    );
    let report = app.stop().await.to_string();
    assert!(report.contains("0 handled, 1 fallen back"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_succeeds_needs_no_fallback() {
    let outside = Outside::new(false);
    let app = price_app(&outside).await;
    ask(&app, "ok").await;
    app.settle().await;
    assert_eq!(outside.callers(), ["price 1"]);
    assert_eq!((app.counts().handled, app.counts().fallen_back), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_no_attempt_can_help_does_not_reach_the_fallback() {
    let outside = Outside::new(false);
    let app = price_app(&outside).await;
    for end in ["nonsense", "never", "asked", "blocked", "discard"] {
        ask(&app, end).await;
    }
    app.settle().await;
    assert_eq!(outside.callers(), ["price 1"; 5]);
    let counts = app.counts();
    let fates = (counts.dead_lettered, counts.rejected, counts.discarded, counts.fallen_back);
    assert_eq!(fates, (3, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_fails_dead_letters_with_both_errors() {
    for (end, error) in [
        ("away,away", "the cache is away"),
        ("away,panic", "handler `cached_price` panicked: the cache is broken"),
        ("away,hang", "handler `cached_price` did not end within 30s and was cancelled"),
    ] {
        let outside = Outside::new(false);
        let app = price_app(&outside).await;
        ask(&app, end).await;
        app.settle().await;
        assert_eq!(outside.callers().last().map(String::as_str), Some("cached 3"));
        let dead = app.dead_letters("cmd.shop.AskPrice").remove(0);
        let expected =
            format!("the other side is away; then its fallback `cached_price` failed: {error}");
        assert_eq!((dead.reason(), dead.error()), ("retries_exhausted", expected.as_str()));
        assert_eq!(dead.attempts(), 3);
        app.published::<PriceAsked>().none();
        assert_eq!((app.counts().dead_lettered, app.counts().fallen_back), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_breaker_is_open_the_fallback_answers_at_once() {
    let outside = Outside::new(true);
    let app = TestApp::builder().name("shop").handler::<guarded>().provide(outside.clone());
    let app = app.start().await.expect("the app starts");
    for end in ["ok", "ok", "ok", "away"] {
        ask(&app, end).await;
    }
    app.settle().await;
    // The first opens the breaker and falls back; for the others the handler is not even called.
    assert_eq!(outside.callers(), ["guarded", "cached", "cached", "cached", "cached"]);
    assert_eq!(outside.times(), [(0, 5)]);
    assert_eq!((app.counts().fallen_back, app.counts().dead_lettered), (3, 1));
    let readiness = app.health().remove(0).readiness;
    assert_eq!(readiness, mmate::consume::Readiness::Consuming, "nothing waits");
    let dead = app.dead_letters("cmd.shop.AskPrice").remove(0);
    assert_eq!(dead.reason(), "breaker_open");
    let expected = "handler `guarded` was not called: circuit breaker `guarded` is open; then its fallback `cached` \
                    failed: the other side is away";
    assert_eq!(dead.error(), expected);
    outside.set_away(false);
    app.advance(Duration::from_secs(30)).await;
    ask(&app, "ok").await;
    app.settle().await;
    assert_eq!(app.counts().handled, 1, "the handler is called again after the reset time");
}
