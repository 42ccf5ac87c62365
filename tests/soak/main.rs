//! The service under fire: an ordinary Mmate program whose handlers do what each message wishes, so that the
//! fate of every message is known from its id alone.
//!
//! Lines on standard output tell an onlooker what happens: `run id attempt`, `discard id`, `everywhere id`,
//! `ready`, `unready reason`, `stopped ..`; of its own publishes `A id` before and `C id` after the confirm.

mod defects;

use std::io::Write;
use std::time::Duration;

use mmate::prelude::*;
use mmate::runtime::Running;
use tokio::signal::unix::{SignalKind, signal};

/// How often the service looks at its own health.
const HEALTH_INTERVAL: Duration = Duration::from_millis(50);
/// The time that a slow message takes.
const SLOW: Duration = Duration::from_millis(1_500);
/// How long a hanging attempt waits to be killed.
const HANG: Duration = Duration::from_secs(25);

#[message(command, service = "soak", reply = Answer)]
struct Work {
    id: String,
    #[schemars(length(min = 1))]
    wish: String,
}

/// Handled without any setting.
#[message(command, service = "soak", reply = Answer)]
struct Plain {
    id: String,
    #[schemars(length(min = 1))]
    wish: String,
}

/// Handled with a time limit that a test can wait for.
#[message(command, service = "soak")]
struct Timed {
    id: String,
    wish: String,
}

#[message(query, service = "soak", reply = Answer)]
struct Ask {
    id: String,
    wish: String,
}

#[message(event, aggregate = "soak", key = id)]
struct Happened {
    id: String,
    wish: String,
}

#[message(reply)]
struct Answer {
    of: String,
}

/// A command that nobody takes.
#[message(command, service = "nobody")]
struct Unheard {
    of: String,
}

/// The visible effect of a message.
#[message(event, aggregate = "soak", key = of)]
struct Done {
    of: String,
    attempt: u32,
}

/// One line for the onlooker. Nobody may be looking any more; the service goes on nevertheless.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Ends an attempt as the message wishes.
async fn fulfil(id: &str, wish: &str, attempt: u32) -> Result {
    say(&format!("run {id} {attempt}"));
    let failed = || HandlerError::msg("the message wishes to fail");
    match wish {
        "slow" => tokio::time::sleep(SLOW).await,
        "hang" if attempt == 1 => tokio::time::sleep(HANG).await,
        "overrun" => std::future::pending().await,
        "always" => return Err(failed()),
        "flaky1" if attempt <= 1 => return Err(failed()),
        "flaky3" if attempt <= 3 => return Err(failed()),
        "reject" => {
            return Err(Reject::new("NOT_WANTED", "the message wishes to be refused").into());
        }
        "discard" => {
            say(&format!("discard {id}"));
            return Err(Discard("the message wishes to be forgotten".to_owned()).into());
        }
        "panic" => panic!("the message wishes a panic"),
        _ => {}
    }
    Ok(())
}

/// Many attempts: a message that is delivered again after a fault must not run out of them.
#[handler(concurrency = 20, retry(attempts = 12, backoff = fixed("100ms")))]
async fn work(message: Work, context: Context, publisher: Publisher) -> Result<Answer> {
    let (of, attempt) = (message.id, context.attempt());
    fulfil(&of, &message.wish, attempt).await?;
    publisher.publish(Done { of: of.clone(), attempt }).await?;
    Ok(Answer { of })
}

#[handler]
async fn plain(message: Plain, context: Context, publisher: Publisher) -> Result<Answer> {
    let (of, attempt) = (message.id, context.attempt());
    fulfil(&of, &message.wish, attempt).await?;
    if message.wish == "unbound" {
        publisher.send(Unheard { of: of.clone() }).await?;
    }
    publisher.publish(Done { of: of.clone(), attempt }).await?;
    Ok(Answer { of })
}

#[handler(timeout = "500ms", retry(attempts = 2, backoff = fixed("100ms")))]
async fn timed(message: Timed, context: Context, publisher: Publisher) -> Result {
    let attempt = context.attempt();
    fulfil(&message.id, &message.wish, attempt).await?;
    publisher.publish(Done { of: message.id, attempt }).await?;
    Ok(())
}

#[handler(retry(attempts = 12, backoff = fixed("100ms")))]
async fn ask(message: Ask, context: Context) -> Result<Answer> {
    fulfil(&message.id, &message.wish, context.attempt()).await?;
    Ok(Answer { of: message.id })
}

#[handler(group = "soak", concurrency = 20, retry(attempts = 12, backoff = fixed("100ms")))]
async fn happened(message: Happened, context: Context, publisher: Publisher) -> Result {
    let attempt = context.attempt();
    fulfil(&message.id, &message.wish, attempt).await?;
    publisher.publish(Done { of: message.id, attempt }).await?;
    Ok(())
}

/// Every instance hears of it while it is there; nothing keeps it for an instance that is not.
#[handler(broadcast)]
async fn everywhere(message: Happened) {
    say(&format!("everywhere {}", message.id));
}

/// What stands in the way of readiness, in words.
fn health(running: &Running) -> Option<String> {
    let health = running.health();
    (!health.ready).then(|| health.reasons().join("; "))
}

/// Tells of every change of health, for as long as it is polled.
async fn tell_health(running: &Running) {
    let mut told: Option<Option<String>> = None;
    let mut ticks = tokio::time::interval(HEALTH_INTERVAL);
    loop {
        ticks.tick().await;
        let now = health(running);
        if told.as_ref() != Some(&now) {
            match &now {
                None => say("ready"),
                Some(reason) => say(&format!("unready {}", reason.replace('\n', " "))),
            }
            told = Some(now);
        }
    }
}

/// Publishes commands of its own, outside of any handler, if it was asked to.
async fn publish_own(publisher: Publisher) {
    let Some(pause) = std::env::var("SOAK_OWN_EVERY_MS").ok().and_then(|ms| ms.parse().ok()) else {
        return std::future::pending().await;
    };
    for number in 0_u64.. {
        let id = format!("own{}.{number}.plain.ok", std::process::id());
        say(&format!("A {id}"));
        let plain = Plain { id: id.clone(), wish: "ok".to_owned() };
        match publisher.send(plain).id(id.clone()).await {
            Ok(_) => say(&format!("C {id}")),
            Err(error) => say(&format!("E {id} {error}")),
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[mmate::main]
async fn main() -> Result {
    // Before anybody is told that the service is up.
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut app = App::builder().registered();
    if let Some(transport) = defects::asked().await? {
        app = app.transport(transport);
    }
    let Some(running) = app.launch().await? else { return Ok(()) };
    let publisher = running.publisher().clone();
    let own = tokio::spawn(publish_own(publisher));
    tokio::select! {
        () = tell_health(&running) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    own.abort();
    say(&format!("{}", running.stop().await));
    Ok(())
}
