//! Publishes that nobody waits for at once: order, room, flush, what is reported of those that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mmate::App;
use mmate::observability::Fate;
use mmate::prelude::*;
use mmate::transport::{
    Capabilities, Outgoing, PublishError, PublishErrorKind, QueueStats, SubscribeOptions,
    Subscription, Topology, Transport, TransportError,
};
use mmate_tests::{Backend, Probe, eventually, on_every_transport, unique};
use tokio::sync::Semaphore;

#[message(command)]
struct CountLater {
    number: u32,
}

/// Nobody takes it.
#[message(command)]
struct CountNothing {}

#[message(command)]
struct CountTwice {
    number: u32,
}

#[handler(concurrency = 1, retry(attempts = 1))]
async fn count(message: CountLater, probe: State<Probe>) {
    probe.note(message.number.to_string());
}

#[handler(retry(attempts = 1))]
async fn count_twice(message: CountTwice, publisher: Publisher, probe: State<Probe>) -> Result {
    let accepted = publisher.send_later(CountLater { number: message.number }).await?;
    publisher.flush().await?;
    let id = accepted.id().to_owned();
    assert_eq!(accepted.await?.id, id, "what is kept has its outcome");
    probe.note(format!("kept {id}"));
    if message.number == 13 { Err(HandlerError::msg("no")) } else { Ok(()) }
}

async fn all_leave_in_order_and_a_flush_waits_for_them(backend: Backend) {
    let (broker, probe, name) = (backend.broker().await, Probe::default(), unique("later"));
    let builder = broker.service(&name).await.handler::<count>().provide(probe.clone());
    let running = builder.start().await.expect("boots");
    let publisher = running.publisher();
    publisher.flush().await.expect("nothing to wait for");
    let mut first = None;
    for number in 0..300 {
        let accepted = publisher.send_later(CountLater { number }).await.expect("accepted");
        first = first.or(Some(accepted));
    }
    publisher.flush().await.expect("all are published");
    // A flush that returns early leaves some that the broker has not confirmed.
    assert_eq!(running.ledger().of_type("CountLater").count(Fate::Confirmed), 300);
    assert_eq!(publisher.pending(), 0);
    let first = first.expect("the first");
    let id = first.id().to_owned();
    assert_eq!(first.await.expect("published").id, id);
    let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(probe.wait_for(300).await, expected);
    let report = running.stop().await;
    assert!(report.drained && report.unpublished == 0, "{report}");
    delete(&*broker.connect().await, &name, "CountLater").await;
}

async fn a_flush_names_each_message_that_was_not_published(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("later"));
    let running = broker.service(&name).await.publish_only().start().await.expect("boots");
    let publisher = running.publisher();
    let dropped = publisher.send_later(CountNothing {}).await.expect("accepted").id().to_owned();
    let held = publisher.send_later(CountNothing {}).await.expect("accepted");
    let error = publisher.flush().await.expect_err("two have no queue");
    let ids: Vec<&str> = error.failed.iter().map(|failed| failed.id.as_str()).collect();
    assert_eq!(ids.iter().copied().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert!(ids.contains(&dropped.as_str()) && ids.contains(&held.id()), "{error:?}");
    for failed in &error.failed {
        assert_eq!(failed.kind, PublishErrorKind::Unroutable, "{error:?}");
        assert_eq!(failed.message_type, "CountNothing");
    }
    assert!(
        error
            .to_string()
            .starts_with("2 accepted messages were not published; the first, a `CountNothing`: ")
    );
    assert_eq!(held.await.expect_err("no queue").kind(), PublishErrorKind::Unroutable);
    publisher.flush().await.expect("each failure is reported once");
    // What cannot be written is refused before it is accepted.
    let invalid = publisher.send(CountNothing {}).priority(99).later().await.expect_err("refused");
    assert_eq!(invalid.kind(), PublishErrorKind::Invalid);
    let last = publisher.send_later(CountNothing {}).await.expect("accepted");
    drop(last);
    let report = running.stop().await;
    assert_eq!(report.unpublished, 1, "{report}");
    assert!(report.to_string().ends_with(", 1 not published"), "{report}");
}

async fn inside_a_handler_they_leave_only_if_it_succeeds(backend: Backend) {
    let (broker, probe, name) = (backend.broker().await, Probe::default(), unique("later"));
    let builder = broker.service(&name).await.handler::<count>().handler::<count_twice>();
    let running = builder.provide(probe.clone()).start().await.expect("boots");
    for number in [13, 7] {
        running.publisher().send(CountTwice { number }).await.expect("taken");
    }
    let notes = probe.wait_for(3).await;
    assert!(notes.contains(&"7".to_owned()) && !notes.contains(&"13".to_owned()), "{notes:?}");
    let ledger = running.ledger().clone();
    eventually("one fails", || async { ledger.count(Fate::DeadLettered) == 1 }).await;
    assert!(running.stop().await.drained);
    assert_eq!(ledger.of_type("CountLater").count(Fate::Confirmed), 1);
    let transport = broker.connect().await;
    delete(&*transport, &name, "CountLater").await;
    delete(&*transport, &name, "CountTwice").await;
}

on_every_transport! {
    all_leave_in_order_and_a_flush_waits_for_them
    a_flush_names_each_message_that_was_not_published
    inside_a_handler_they_leave_only_if_it_succeeds
}

async fn delete(transport: &dyn Transport, service: &str, message: &str) {
    for queue in [format!("cmd.{service}.{message}"), format!("dlq.cmd.{service}.{message}")] {
        transport.delete_queue(&queue).await.expect("removed");
    }
}

/// A broker that confirms when it is allowed to.
#[derive(Debug)]
struct Gate {
    open: Semaphore,
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn capabilities(&self) -> Capabilities {
        mmate::transport::memory::MemoryTransport::CAPABILITIES
    }

    async fn declare(&self, _: &Topology) -> std::result::Result<(), TransportError> {
        Ok(())
    }

    async fn publish(&self, _: Outgoing) -> std::result::Result<(), PublishError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.open.acquire().await.expect("never closed").forget();
        Ok(())
    }

    async fn subscribe(
        &self,
        _: SubscribeOptions,
    ) -> std::result::Result<Box<dyn Subscription>, TransportError> {
        std::future::pending().await
    }

    async fn queue_stats(
        &self,
        _: &str,
    ) -> std::result::Result<Option<QueueStats>, TransportError> {
        Ok(None)
    }

    async fn delete_queue(&self, _: &str) -> std::result::Result<(), TransportError> {
        Ok(())
    }

    async fn close(&self) {}
}

async fn behind_a_gate() -> (Arc<Gate>, mmate::runtime::Running) {
    let gate = Arc::new(Gate { open: Semaphore::new(0), asked: AtomicUsize::new(0) });
    let transport: Arc<dyn Transport> = Arc::clone(&gate) as _;
    let builder = App::builder().name("later").transport(transport).publish_only();
    let running = builder.config("publish.later_max", 3).start().await.expect("boots");
    (gate, running)
}

/// True if it has to wait, on a clock that stands still while anything else can run.
async fn waits<F: Future>(future: F) -> bool {
    tokio::time::timeout(std::time::Duration::from_secs(1), future).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn who_publishes_waits_when_the_buffer_is_full() {
    let (gate, running) = behind_a_gate().await;
    let publisher = running.publisher();
    for number in 0..3 {
        publisher.send_later(CountLater { number }).await.expect("accepted");
    }
    assert!(waits(publisher.send_later(CountLater { number: 3 }).into_future()).await);
    assert!(waits(publisher.flush()).await, "nothing is confirmed");
    gate.open.add_permits(1);
    publisher.send_later(CountLater { number: 3 }).await.expect("there is room again");
    assert_eq!((publisher.pending(), gate.asked.load(Ordering::Relaxed)), (3, 3));
    gate.open.add_permits(3);
    publisher.flush().await.expect("all are confirmed");
    assert_eq!(gate.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_what_is_accepted_after_it() {
    let (gate, running) = behind_a_gate().await;
    let publisher = running.publisher().clone();
    publisher.send_later(CountLater { number: 0 }).await.expect("accepted");
    let flush = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.flush().await }
    });
    tokio::task::yield_now().await;
    publisher.send_later(CountLater { number: 1 }).await.expect("accepted");
    gate.open.add_permits(1);
    let flush =
        tokio::time::timeout(mmate_tests::DEADLINE, flush).await.expect("not for the second");
    flush.expect("no panic").expect("the first is confirmed");
    assert_eq!(publisher.pending(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_them_up_to_its_limit() {
    let (_gate, running) = behind_a_gate().await;
    running.publisher().send_later(CountLater { number: 0 }).await.expect("accepted");
    let publisher = running.publisher().clone();
    let began = tokio::time::Instant::now();
    let report = running.stop().await;
    assert_eq!((began.elapsed().as_secs(), report.unpublished, report.drained), (60, 1, false));
    assert_eq!(publisher.pending(), 1);
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_what_it_has_not_published() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (publisher, accepted) = runtime.block_on(async {
        let (_gate, running) = behind_a_gate().await;
        let accepted = running.publisher().send_later(CountLater { number: 0 }).await;
        (running.publisher().clone(), accepted.expect("accepted"))
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        assert_eq!(accepted.await.expect_err("not published").kind(), PublishErrorKind::Unknown);
        let error = publisher.flush().await.expect_err("not published");
        assert_eq!(error.failed[0].kind, PublishErrorKind::Unknown);
        let closed =
            publisher.send_later(CountLater { number: 1 }).await.expect_err("nobody is there");
        assert_eq!(closed.kind(), PublishErrorKind::Closed);
    });
}
