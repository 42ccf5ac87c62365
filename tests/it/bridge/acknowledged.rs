//! A command whose sender wants to know how it ended.

use std::time::Duration;

use mmate::contract::ProcessingOutcome;
use mmate::contract::refusal::codes;
use mmate::prelude::*;
use mmate_tests::{Backend, Probe, on_every_way, unique};

#[message(command)]
struct Dispatch {
    how: String,
}

/// Its usual reply is not what the sender of an acknowledged command gets.
#[message(command, reply = Parcelled)]
struct Parcel {
    fragile: bool,
}

#[message(reply)]
struct Parcelled {}

#[handler(retry(attempts = 3, backoff = fixed("20ms"), jitter = 0.0), timeout = "5s")]
async fn ship(command: Dispatch, context: Context, probe: State<Probe>) -> Result {
    probe.note(format!("{} {}", command.how, context.attempt()));
    assert_eq!(context.request_remaining(), None, "an acknowledged command has no deadline");
    match command.how.as_str() {
        "refused" => Err(Reject::new("BLOCKED", "the customer is blocked").into()),
        "second" if context.attempt() < 2 => Err(std::io::Error::other("away").into()),
        "never" => Err(std::io::Error::other("away").into()),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

#[handler]
async fn pack(parcel: Parcel) -> Result<Result<Parcelled, Refusal>> {
    Ok(if parcel.fragile { Err(Refusal::new("FRAGILE", "it breaks")) } else { Ok(Parcelled {}) })
}

#[handler]
async fn ship_from_a_handler(_: Parcel, publisher: Publisher) -> Result<Parcelled> {
    let sent = publisher.send(Dispatch { how: "well".to_owned() }).acknowledged("5s").await;
    let error = sent.expect_err("it cannot be waited for");
    Err(Reject::new(error.code(), error.to_string()).into())
}

async fn the_sender_hears_how_its_command_ended(backend: Backend) {
    let (broker, probe) = (backend.broker().await, Probe::default());
    let service = broker.service(&unique("acknowledged")).await;
    let service = service.handler::<ship>().handler::<pack>().provide(probe.clone());
    let running = service.start().await.expect("boots");
    let send = async |how: &str| {
        let sent = running.publisher().send(Dispatch { how: how.to_owned() }).acknowledged("10s");
        sent.await.expect("a word")
    };
    let done = send("slow").await;
    assert!(done.is_processed());
    assert!(done.processing_time.unwrap() >= Duration::from_millis(50), "{done:?}");
    assert!(done.processed_at.is_some() && done.processor.starts_with("acknowledged-"), "{done:?}");
    let done = send("second").await;
    assert_eq!(done.outcome, ProcessingOutcome::Processed);
    let refused = send("refused").await;
    let ProcessingOutcome::Rejected(why) = &refused.outcome else { panic!("{refused:?}") };
    assert_eq!((why.code.as_str(), why.message.as_str()), ("BLOCKED", "the customer is blocked"));
    let failed = send("never").await;
    let ProcessingOutcome::Failed(why) = &failed.outcome else { panic!("{failed:?}") };
    assert_eq!(why.code, codes::REQUEST_FAILED);
    assert_eq!(probe.notes().iter().filter(|note| note.starts_with("never")).count(), 3);
    let pack = async |fragile: bool| {
        running.publisher().send(Parcel { fragile }).acknowledged("10s").await.expect("a word")
    };
    assert!(pack(false).await.is_processed());
    // A "no" that is an answer and no error is a "no" all the same.
    let refused = pack(true).await;
    let ProcessingOutcome::Rejected(why) = &refused.outcome else { panic!("{refused:?}") };
    assert_eq!((why.code.as_str(), why.message.as_str()), ("FRAGILE", "it breaks"));
    assert_eq!(running.bridge().pending(), 0);
    running.stop().await;
}

async fn inside_a_handler_nothing_can_be_acknowledged(backend: Backend) {
    let broker = backend.broker().await;
    let service = broker.service(&unique("acknowledged")).await.handler::<ship_from_a_handler>();
    let running = service.start().await.expect("boots");
    let refused = running.bridge().ask(Parcel { fragile: false }).await.unwrap_err();
    assert_eq!(refused.code(), "NOT_SENT");
    assert!(refused.to_string().contains("take a `Bridge` as a parameter"), "{refused}");
    running.stop().await;
}

async fn a_command_that_nobody_handles_is_not_waited_for_longer_than_said(backend: Backend) {
    let broker = backend.broker().await;
    let service = broker.service(&unique("acknowledged")).await.publish_only();
    let running = service.start().await.expect("boots");
    let sent =
        running.publisher().send(Parcel { fragile: false }).acknowledged("10s").await.unwrap_err();
    assert_eq!(sent.kind(), AskErrorKind::NoListener);
    let wrong =
        running.publisher().send(Parcel { fragile: false }).acknowledged("soon").await.unwrap_err();
    assert_eq!(wrong.kind(), AskErrorKind::Invalid);
    assert!(wrong.to_string().contains("`soon` is not a duration"), "{wrong}");
    running.stop().await;
}

on_every_way! {
    the_sender_hears_how_its_command_ended
    inside_a_handler_nothing_can_be_acknowledged
    a_command_that_nobody_handles_is_not_waited_for_longer_than_said
}
