//! Publishing: confirms, unroutable messages, what a handler publishes.

use mmate::prelude::*;
use mmate::transport::{Intake, PublishErrorKind, Queue, SubscribeOptions, Topology, Transport};
use mmate_tests::{Backend, DEADLINE, Probe, on_every_transport, take, unique, wait_for_ready};
use std::sync::Arc;

/// Asks for steps to be announced, and then to fail or not.
#[message(command)]
struct Announce {
    steps: u32,
    failures: u32,
}

#[message(event, aggregate = "step", key = number)]
struct Stepped {
    number: u32,
    #[schemars(range(max = 1000))]
    weight: u32,
}

/// Nobody consumes it.
#[message(event)]
struct Unheard {
    number: u32,
}

#[handler(retry(attempts = 3, backoff = fixed("10ms")))]
async fn announce(
    message: Announce,
    context: Context,
    publisher: Publisher,
    probe: State<Probe>,
) -> Result {
    let steps = (0..message.steps).map(|number| Stepped { number, weight: 1 });
    let published = publisher.publish_all(steps).await?;
    let ids: Vec<String> = published.into_iter().map(|published| published.id.into()).collect();
    probe.note(ids.join(","));
    if context.attempt() <= message.failures {
        return Err(HandlerError::msg("not yet"));
    }
    Ok(())
}

#[handler(retry(attempts = 2, backoff = fixed("10ms")))]
async fn shout(message: Stepped, publisher: Publisher) -> Result {
    publisher.publish(Unheard { number: message.number }).await?;
    Ok(())
}

async fn listen(transport: &Arc<dyn Transport>, key: &str) -> String {
    let queue = unique("listener");
    let mut topology = Topology::default();
    topology.exchange("mmate.events", mmate::transport::ExchangeKind::Topic);
    topology.queue(Queue::new(&queue));
    topology.bind("mmate.events", &queue, key);
    transport.declare(&topology).await.expect("a listener");
    queue
}

async fn what_a_handler_publishes_leaves_only_when_it_succeeds(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("publish"), Probe::default());
    let transport = broker.connect().await;
    let listener = listen(&transport, "evt.#.Stepped").await;
    let running = broker
        .service(&name)
        .await
        .handler::<announce>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    running.publisher().send(Announce { steps: 3, failures: 1 }).await.expect("taken");
    let notes = probe.wait_for(2).await;
    // Ids are derived: the second attempt publishes the same ones, and only it publishes at all.
    assert_eq!(notes[0], notes[1]);
    let ids: Vec<&str> = notes[0].split(',').collect();
    assert_eq!(take_ours(&transport, &listener, &ids).await, ids);
    running.stop().await;
    transport.delete_queue(&listener).await.expect("removed");
}

/// Other tests publish steps on the same broker; only ours count.
async fn take_ours(transport: &Arc<dyn Transport>, queue: &str, ids: &[&str]) -> Vec<String> {
    let mut subscription =
        transport.subscribe(SubscribeOptions::new(queue, 10)).await.expect("a consumer");
    let mut ours = Vec::new();
    while ours.len() < ids.len() {
        match tokio::time::timeout(DEADLINE, subscription.next()).await {
            Ok(Intake::Delivery(delivery)) => {
                let id = delivery.properties.message_id.unwrap_or_default();
                if ids.contains(&id.as_str()) {
                    ours.push(id.into());
                }
            }
            other => panic!("{} of {} messages came, then {other:?}", ours.len(), ids.len()),
        }
    }
    ours
}

async fn what_a_failing_handler_published_is_never_seen(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("publish"), Probe::default());
    let transport = broker.connect().await;
    let listener = listen(&transport, "evt.7777.Stepped").await;
    let running = broker
        .service(&name)
        .await
        .handler::<announce>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    running.publisher().send(Announce { steps: 7778, failures: 9 }).await.expect("taken");
    take(&transport, &format!("dlq.cmd.{name}.Announce")).await;
    assert_eq!(probe.notes().len(), 3);
    wait_for_ready(&transport, &listener, 0).await;
    running.stop().await;
    transport.delete_queue(&listener).await.expect("removed");
}

async fn a_publish_that_nobody_takes_is_an_error(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("publish"));
    let running = broker.service(&name).await.publish_only().start().await.expect("boots");
    let error =
        running.publisher().publish(Unheard { number: 1 }).await.expect_err("nobody listens");
    assert_eq!(error.kind(), PublishErrorKind::Unroutable);
    assert!(error.to_string().contains(error.id()), "{error}");
    running
        .publisher()
        .publish(Unheard { number: 1 })
        .optional()
        .await
        .expect("nobody needs to listen");
    running.stop().await;
}

async fn a_handler_whose_event_nobody_takes_fails(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("publish"));
    let running = broker.service(&name).await.handler::<shout>().start().await.expect("boots");
    running.publisher().publish(Stepped { number: 1, weight: 1 }).await.expect("taken");
    let transport = broker.connect().await;
    let parked = take(&transport, &format!("dlq.evt.step.Stepped.{name}")).await;
    assert_eq!(parked.properties.headers.text("x-death-reason"), Some("publish_failed"));
    let report = running.stop().await;
    assert_eq!(report.counts.handled, 0, "{report}");
    transport.delete_queue(&format!("evt.step.Stepped.{name}")).await.expect("removed");
}

async fn a_batch_gives_a_result_for_each_message(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("publish"));
    let builder = broker.service(&name).await.publish_only().config("publish.validate", true);
    let running = builder.start().await.expect("boots");
    let transport = broker.connect().await;
    let listener = listen(&transport, "evt.4242.Stepped").await;
    let batch = [
        Stepped { number: 4242, weight: 1 },
        Stepped { number: 4242, weight: 5_000 },
        Stepped { number: 4243, weight: 1 },
    ];
    let error = running.publisher().publish_all(batch).await.expect_err("one is invalid");
    let kinds: Vec<_> = error
        .results
        .iter()
        .map(|result| result.as_ref().err().map(|error| error.kind()))
        .collect();
    assert_eq!(kinds[0..2], [None, Some(PublishErrorKind::Invalid)]);
    assert!(error.to_string().contains("were not published"), "{error}");
    take(&transport, &listener).await;
    running.stop().await;
    transport.delete_queue(&listener).await.expect("removed");
}

/// Its key is free text, as ids of other systems are.
#[message(event, aggregate = "parcel", key = label)]
struct Labelled {
    label: String,
}

#[handler]
async fn labelled(message: Labelled, probe: State<Probe>) {
    probe.note(message.label);
}

/// Starts work that outlives it.
#[handler]
async fn forget(message: Stepped, publisher: Publisher, probe: State<Probe>) {
    let probe = (*probe).clone();
    tokio::spawn(async move {
        // The note that the test waits for comes once the handler has ended.
        tokio::task::yield_now().await;
        loop {
            let published = publisher.publish(Unheard { number: message.number }).optional().await;
            if let Err(error) = published {
                probe.note(error.to_string());
                return;
            }
            tokio::task::yield_now().await;
        }
    });
}

async fn what_is_published_after_the_handler_ended_is_an_error(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("publish"), Probe::default());
    let running = broker
        .service(&name)
        .await
        .handler::<forget>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    running.publisher().publish(Stepped { number: 9, weight: 1 }).await.expect("taken");
    let notes = probe.wait_for(1).await;
    assert!(notes[0].contains("the handler has already ended"), "{notes:?}");
    running.stop().await;
    broker
        .connect()
        .await
        .delete_queue(&format!("evt.step.Stepped.{name}"))
        .await
        .expect("removed");
}

async fn an_aggregate_id_may_hold_any_characters(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("publish"), Probe::default());
    let service = broker.service(&name).await.handler::<labelled>().provide(probe.clone());
    let running = service.start().await.expect("boots");
    for (index, label) in ["a b", "a.b.c", "ä/#*☃", ""].into_iter().enumerate() {
        running.publisher().publish(Labelled { label: label.to_owned() }).await.expect("taken");
        assert_eq!(probe.wait_for(index + 1).await[index], label);
    }
    let long = running
        .publisher()
        .publish(Labelled { label: "x".repeat(300) })
        .await
        .expect_err("too long");
    assert_eq!(long.kind(), PublishErrorKind::Invalid);
    running.stop().await;
    let queue = format!("evt.parcel.Labelled.{name}");
    broker.connect().await.delete_queue(&queue).await.expect("removed");
}

async fn options_that_make_no_sense_are_errors(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("publish"));
    let running = broker.service(&name).await.publish_only().start().await.expect("boots");
    let publisher = running.publisher();
    let step = || publisher.publish(Stepped { number: 1, weight: 1 });
    let errors = [
        step().priority(10).await,
        step().ttl("soon").await,
        step().ttl("0s").await,
        step().header("", 1).await,
        step().header("x".repeat(256), 1).await,
        step().correlation_id("c".repeat(256)).await,
        step().id("").await,
    ];
    for error in errors {
        assert_eq!(error.expect_err("an impossible option").kind(), PublishErrorKind::Invalid);
    }
    running.stop().await;
}

on_every_transport! {
    what_a_handler_publishes_leaves_only_when_it_succeeds
    what_a_failing_handler_published_is_never_seen
    a_publish_that_nobody_takes_is_an_error
    a_handler_whose_event_nobody_takes_fails
    a_batch_gives_a_result_for_each_message
    what_is_published_after_the_handler_ended_is_an_error
    an_aggregate_id_may_hold_any_characters
    options_that_make_no_sense_are_errors
}
