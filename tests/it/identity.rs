//! Ids along a flow: one correlation id, each causation the parent's id, without a line of user code.

use mmate::contract::headers::names;
use mmate::prelude::*;
use mmate_tests::{Backend, Probe, on_every_transport, unique};
use tokio::sync::Mutex;

#[message(command)]
struct First {}

#[message(event, aggregate = "step")]
struct Second {
    number: u32,
}

#[message(event, aggregate = "step")]
struct Third {
    number: u32,
}

fn note(probe: &Probe, context: &Context) {
    let [id, correlation, causation] =
        [context.message_id(), context.correlation_id(), context.causation_id().unwrap_or("-")];
    let trace = context.headers().text(names::TRACEPARENT).unwrap_or("-");
    probe.note(format!("{id} {correlation} {causation} {trace}"));
}

#[handler]
async fn first(
    _message: First,
    context: Context,
    publisher: Publisher,
    probe: State<Probe>,
) -> Result {
    note(&probe, &context);
    publisher.publish(Second { number: 1 }).await?;
    Ok(())
}

#[handler]
async fn second(
    message: Envelope<Second>,
    context: Context,
    publisher: Publisher,
    probe: State<Probe>,
) -> Result {
    note(&probe, &context);
    assert_eq!(message.meta.id, context.message_id());
    publisher.publish(Third { number: message.message.number + 1 }).await?;
    Ok(())
}

#[handler]
async fn third(message: Third, context: Option<Context>, headers: Headers, probe: State<Probe>) {
    let context = context.expect("a context is always there");
    assert_eq!((message.number, headers.len()), (2, context.headers().len()));
    note(&probe, &context);
}

/// On a shared broker every service hears the events of all others: one of these tests at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn a_flow_keeps_its_correlation_and_names_each_cause(backend: Backend) {
    let _alone = ALONE.lock().await;
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (broker, probe) = (backend.broker().await, Probe::default());
    let service = broker
        .service(&unique("identity"))
        .await
        .handler::<first>()
        .handler::<second>()
        .handler::<third>();
    let running = service.provide(probe.clone()).start().await.expect("boots");
    let command = running
        .publisher()
        .send(First {})
        .correlation_id("req-123")
        .header(names::TRACEPARENT, TRACE);
    let root = command.await.expect("taken").id;
    let notes = probe.wait_for(3).await;
    let hops: Vec<Vec<&str>> = notes.iter().map(|note| note.split(' ').collect()).collect();
    assert_eq!(hops[0], [root.as_str(), "req-123", "-", TRACE]);
    assert_eq!(hops[1][1..], ["req-123", root.as_str(), TRACE]);
    assert_eq!(hops[2][1..], ["req-123", hops[1][0], TRACE]);
    running.stop().await;
}

#[handler]
async fn tenant(_message: Third, headers: Headers, probe: State<Probe>) {
    probe.note(format!("{:?} {:?}", headers.text("tenant"), headers.text("secret")));
}

async fn a_header_that_is_marked_follows_the_flow(backend: Backend) {
    let _alone = ALONE.lock().await;
    let (broker, probe) = (backend.broker().await, Probe::default());
    let service =
        broker.service(&unique("identity")).await.config("wire.flow_headers", "user, tenant");
    let service =
        service.handler::<first>().handler::<second>().handler::<tenant>().provide(probe.clone());
    let running = service.start().await.expect("boots");
    let command = running.publisher().send(First {}).header("tenant", "acme").header("secret", "s");
    command.await.expect("taken");
    assert_eq!(probe.wait_for(3).await[2], r#"Some("acme") None"#);
    running.stop().await;
}

async fn a_message_that_begins_a_flow_is_its_own_correlation(backend: Backend) {
    let _alone = ALONE.lock().await;
    let (broker, probe) = (backend.broker().await, Probe::default());
    let service =
        broker.service(&unique("identity")).await.handler::<third>().provide(probe.clone());
    let running = service.start().await.expect("boots");
    let id = running.publisher().publish(Third { number: 2 }).await.expect("taken").id;
    assert!(probe.wait_for(1).await.contains(&format!("{id} {id} - -")));
    running.stop().await;
}

on_every_transport! {
    a_flow_keeps_its_correlation_and_names_each_cause
    a_message_that_begins_a_flow_is_its_own_correlation
    a_header_that_is_marked_follows_the_flow
}
