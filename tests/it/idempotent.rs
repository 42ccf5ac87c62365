//! Messages that come again under the same id: handled once in a process, and answered as the first time.

use std::sync::Arc;
use std::time::Duration;

use mmate::observability::Fate;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate_tests::{Backend, Broker, Probe, eventually, on_every_transport, take, unique};
use tokio::sync::Semaphore;

#[message(command, reply = Debited)]
struct Debit {
    order: String,
    how: String,
}

#[message(reply)]
#[derive(PartialEq)]
struct Debited {
    receipt: usize,
}

#[message(event, aggregate = "charge", key = order)]
struct DebitTaken {
    order: String,
}

/// Has no answer.
#[message(command)]
struct Remark {}

#[handler(idempotent, concurrency = 20, retry(attempts = 2, backoff = fixed("10ms"), jitter = 0.0))]
async fn charge(
    command: Debit,
    probe: State<Probe>,
    gate: Option<State<Arc<Semaphore>>>,
    publisher: Publisher,
) -> Result<Debited> {
    let receipt = probe.note(&command.order);
    if let Some(gate) = gate {
        gate.acquire().await?.forget();
    }
    match command.how.as_str() {
        "refused" => Err(Reject::new("DECLINED", "no money").into()),
        "once" if receipt == 1 => Err(std::io::Error::other("away").into()),
        _ => {
            publisher.publish(DebitTaken { order: command.order }).optional().await?;
            Ok(Debited { receipt })
        }
    }
}

#[handler(idempotent(ttl = "1h", size = 2))]
async fn note(_: Remark, probe: State<Probe>) {
    probe.note("noted");
}

struct Service {
    broker: Broker,
    probe: Probe,
    running: Running,
}

async fn start(backend: Backend, gate: Option<&Arc<Semaphore>>) -> Service {
    let (broker, probe) = (backend.broker().await, Probe::default());
    let builder = broker.service(&unique("idempotent")).await;
    let builder = builder.handler::<charge>().handler::<note>().provide(probe.clone());
    let builder = match gate {
        Some(gate) => builder.provide(Arc::clone(gate)),
        None => builder,
    };
    let running = builder.start().await.expect("boots");
    Service { broker, probe, running }
}

fn order(how: &str) -> Debit {
    Debit { order: "A1".to_owned(), how: how.to_owned() }
}

fn repeated(running: &Running) -> u64 {
    let sums = running.ledger().sums();
    let of = sums.iter().filter(|sum| sum.reason.as_deref() == Some("repeated"));
    of.map(|sum| sum.count).sum()
}

async fn a_repeated_request_gets_the_first_answer(backend: Backend) {
    let service = start(backend, None).await;
    let transport = service.broker.connect().await;
    let events = unique("events");
    let mut topology = mmate::transport::Topology::default();
    topology.queue(mmate::transport::Queue::new(&events));
    topology.bind("mmate.events", &events, "evt.#.DebitTaken");
    transport.declare(&topology).await.expect("declared");
    let bridge = service.running.bridge();
    let id = unique("charge");
    for _ in 0..3 {
        let charged = bridge.ask(order("well")).id(&id).await.expect("an answer");
        assert_eq!(charged, Debited { receipt: 1 });
    }
    // Counted once the broker has confirmed the answer, which may be here before.
    eventually("the repetitions are counted", || async { repeated(&service.running) == 2 }).await;
    assert_eq!(service.probe.notes().len(), 1);
    // Another id is another charge. Its event is the second one: the repetitions published none.
    assert_eq!(bridge.ask(order("well")).await.expect("an answer"), Debited { receipt: 2 });
    let caused = async || {
        let event = take(&transport, &events).await;
        let body: serde_json::Value = serde_json::from_slice(&event.body).expect("JSON");
        body["headers"]["causationId"].as_str().map(str::to_owned)
    };
    assert_eq!(caused().await, Some(id.clone()));
    assert_ne!(caused().await, Some(id));
    transport.delete_queue(&events).await.expect("deleted");
    service.running.stop().await;
}

async fn repetitions_at_the_same_time_are_one_call(backend: Backend) {
    let gate = Arc::new(Semaphore::new(0));
    let service = start(backend, Some(&gate)).await;
    let id = unique("charge");
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let (bridge, id) = (service.running.bridge().clone(), id.clone());
            tokio::spawn(async move { bridge.ask(order("well")).id(id).await })
        })
        .collect();
    service.probe.wait_for(1).await;
    gate.add_permits(10);
    for asking in asked {
        assert_eq!(asking.await.unwrap().expect("an answer"), Debited { receipt: 1 });
    }
    eventually("the others are counted", || async { repeated(&service.running) == 9 }).await;
    assert_eq!(service.probe.notes().len(), 1);
    service.running.stop().await;
}

async fn what_failed_or_was_refused_runs_again(backend: Backend) {
    let service = start(backend, None).await;
    let bridge = service.running.bridge();
    let id = unique("charge");
    // The first attempt fails, the second one is kept.
    for _ in 0..2 {
        let charged = bridge.ask(order("once")).id(&id).await.expect("an answer");
        assert_eq!(charged, Debited { receipt: 2 });
    }
    let id = unique("charge");
    for _ in 0..2 {
        let refused = bridge.ask(order("refused")).id(&id).await.unwrap_err();
        assert_eq!(refused.code(), "DECLINED");
    }
    // Counted once the broker has confirmed the answers, which may be here before.
    let counted = || async { service.running.ledger().count(Fate::Rejected) == 2 };
    eventually("what was refused is counted", counted).await;
    eventually("what came again is counted", || async { repeated(&service.running) == 1 }).await;
    assert_eq!(service.probe.notes().len(), 4);
    service.running.stop().await;
}

async fn a_message_without_an_answer_is_handled_once_and_the_oldest_is_forgotten(backend: Backend) {
    let service = start(backend, None).await;
    let (running, run) = (&service.running, unique("note"));
    let send = async |number: u32| {
        let sent = running.publisher().send(Remark {}).id(format!("{run}-{number}"));
        let sent = sent.acknowledged(Duration::from_secs(20)).await;
        assert!(sent.expect("a word").is_processed());
    };
    for number in [1, 1, 2, 1, 3, 2] {
        send(number).await;
    }
    // Two are kept: 3 pushed out 2, which had not been seen for the longest.
    // Counted once the broker has confirmed the word, which may be here before.
    let handled = || async { running.ledger().count(Fate::Handled) == 6 };
    eventually("all are counted", handled).await;
    assert_eq!((service.probe.notes().len(), repeated(running)), (4, 2));
    service.running.stop().await;
}

on_every_transport! {
    a_repeated_request_gets_the_first_answer
    repetitions_at_the_same_time_are_one_call
    what_failed_or_was_refused_runs_again
    a_message_without_an_answer_is_handled_once_and_the_oldest_is_forgotten
}
