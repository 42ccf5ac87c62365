//! Dead letters: looked at, sent back, thrown away, and told of.

mod alerts;
mod replaying;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mmate::consume::Alert;
use mmate::contract::headers::names;
use mmate::deadletter::{DeadLetterQueue, DeadLetters, Selection};
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::transport::{
    Intake, Outgoing, Properties, Queue, Settlement, SubscribeOptions, Topology, Transport,
};
use mmate_tests::{Backend, Probe, on_every_transport, publish_raw, unique, wait_for_ready};

#[message(command)]
struct Ship {
    parcel: u32,
}

/// What the carrier says: the number of the error, 0 for none.
#[derive(Debug, Default)]
struct Carrier(AtomicU32);

#[handler(retry(attempts = 2, backoff = fixed("1ms"), jitter = 0.0))]
async fn ship(
    command: Ship,
    context: Context,
    carrier: State<Arc<Carrier>>,
    probe: State<Probe>,
) -> Result<()> {
    probe.note(format!("{} {}", command.parcel, context.attempt()));
    match carrier.0.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(HandlerError::msg(format!("no van, error {error}"))),
    }
}

type Alerted = Arc<Mutex<Vec<Alert>>>;

struct Service {
    running: Running,
    transport: Arc<dyn Transport>,
    carrier: Arc<Carrier>,
    probe: Probe,
    name: String,
    queue: String,
    parked: String,
    alerts: Alerted,
}

/// A service whose handler fails.
async fn start(backend: Backend) -> Service {
    let (broker, name, probe) = (backend.broker().await, unique("dead"), Probe::default());
    let carrier = Arc::new(Carrier(AtomicU32::new(1)));
    let alerts = Alerted::default();
    let heard = Arc::clone(&alerts);
    let builder = broker.service(&name).await.handler::<ship>().config("dead_letters.alert_at", 3);
    let running = builder
        .provide(probe.clone())
        .provide(Arc::clone(&carrier))
        .on_alert(move |alert| {
            heard.lock().unwrap().push(alert.clone());
            panic!("the pager is broken");
        })
        .start()
        .await
        .expect("boots");
    let queue = format!("cmd.{name}.Ship");
    let parked = format!("dlq.{queue}");
    Service {
        running,
        transport: broker.connect().await,
        carrier,
        probe,
        name,
        queue,
        parked,
        alerts,
    }
}

impl Service {
    fn tools(&self) -> DeadLetters {
        self.running.dead_letters(&self.queue).expect("the app consumes the queue")
    }

    /// Sends parcels that fail; gives their ids once all of them are parked.
    async fn fail(&self, parcels: std::ops::Range<u32>) -> Vec<String> {
        let before = self.tools().count().await.expect("asked");
        let mut ids = Vec::new();
        for parcel in parcels {
            ids.push(
                self.running.publisher().send(Ship { parcel }).await.expect("taken").id.into(),
            );
        }
        wait_for_ready(&self.transport, &self.parked, before + ids.len() as u64).await;
        ids
    }

    fn alerts(&self) -> Vec<Alert> {
        self.alerts.lock().unwrap().clone()
    }
}

async fn a_list_tells_of_every_death_and_changes_nothing(backend: Backend) {
    let service = start(backend).await;
    let ids = service.fail(7..9).await;
    for _ in 0..2 {
        let page = service.tools().list(&Selection::all()).await.expect("listed");
        assert_eq!((page.looked_at, page.waiting), (2, 2));
        let mut found: Vec<_> = page.letters.iter().filter_map(|it| it.id.clone()).collect();
        found.sort();
        assert_eq!(found, {
            let mut ids = ids.clone();
            ids.sort();
            ids
        });
        let letter = &page.letters[0];
        assert_eq!(letter.reason, "retries_exhausted");
        assert_eq!(letter.error.as_deref(), Some("no van, error 1"));
        assert_eq!(letter.attempts, Some(2));
        assert_eq!(letter.queue.as_ref(), Some(&service.queue));
        assert_eq!(letter.handler, Some(format!("{}.ship", service.name)));
        assert_eq!(letter.message_type.as_deref(), Some("Ship"));
        assert_eq!(letter.correlation_id, letter.id, "a root is its own flow");
        assert!(letter.time.is_some() && letter.bytes > 100);
    }
    let tools = service.running.dead_letters(&service.parked).expect("by its own name too");
    let shown = tools.show(&ids[1]).await.expect("looked").expect("there");
    assert_eq!(shown.letter.id.as_ref(), Some(&ids[1]));
    assert!(String::from_utf8_lossy(&shown.body).contains(r#""parcel":8"#));
    assert_eq!(shown.properties.headers.text(names::ORIGINAL_EXCHANGE), Some("mmate.commands"));
    assert!(!format!("{shown:?}").contains("parcel\\\":"), "the body is not printed by accident");
    assert!(tools.show("nobody").await.expect("looked").is_none());
    assert!(service.running.dead_letters("cmd.other").is_none());
    service.running.stop().await;
}

async fn what_works_now_is_handled_and_counts_from_one(backend: Backend) {
    let service = start(backend).await;
    let ids = service.fail(1..3).await;
    assert_eq!(service.probe.wait_for(4).await.len(), 4);
    service.carrier.0.store(0, Ordering::Relaxed);
    let one = Selection::all().id(&ids[1]);
    let outcome = service.tools().replay(&one).await.expect("replayed");
    assert_eq!((outcome.moved, outcome.looked_at), (1, 2));
    assert_eq!(service.probe.wait_for(5).await[4], "2 1", "attempts begin anew");
    wait_for_ready(&service.transport, &service.parked, 1).await;
    let left = service.tools().list(&Selection::all()).await.expect("listed").letters;
    assert_eq!(left[0].id.as_ref(), Some(&ids[0]), "the other one stays");
    let counts = service.running.stop().await.counts;
    assert_eq!((counts.handled, counts.dead_lettered), (1, 2), "{counts:?}");
}

async fn what_fails_again_comes_back_once_with_a_word_of_its_new_death(backend: Backend) {
    let service = start(backend).await;
    let ids = service.fail(5..6).await;
    let first = service.tools().list(&Selection::all()).await.expect("listed").letters.remove(0);
    for round in 2..4_u32 {
        service.carrier.0.store(round, Ordering::Relaxed);
        let outcome = service.tools().replay(&Selection::all()).await.expect("replayed");
        assert_eq!((outcome.moved, outcome.looked_at), (1, 1), "it is not looked at twice");
        let notes = service.probe.wait_for(2 * round as usize).await;
        assert_eq!(notes[notes.len() - 2..], ["5 1", "5 2"], "attempts begin anew");
        wait_for_ready(&service.transport, &service.parked, 1).await;
        wait_for_ready(&service.transport, &service.queue, 0).await;
        let shown = service.tools().show(&ids[0]).await.expect("looked").expect("there");
        let letter = &shown.letter;
        assert_eq!(letter.error.as_deref(), Some(format!("no van, error {round}").as_str()));
        assert_eq!((letter.reason.as_str(), letter.attempts), ("retries_exhausted", Some(2)));
        assert!(letter.queue.as_ref() == Some(&service.queue) && letter.time > first.time);
        let headers = &shown.properties.headers;
        assert_eq!(headers.text(names::ORIGINAL_EXCHANGE), Some("mmate.commands"));
        for gone in [names::ATTEMPT, "x-death", "x-first-death-queue"] {
            assert_eq!(headers.get(gone), None, "{gone}");
        }
    }
    service.running.stop().await;
}

/// What a broker moves by itself keeps the number of its attempt, and when the next one is due.
async fn what_died_between_two_attempts_begins_anew_and_at_once(backend: Backend) {
    let service = start(backend).await;
    service.carrier.0.store(0, Ordering::Relaxed);
    let mut properties = Properties::default();
    properties.headers.set(names::ATTEMPT, 2);
    properties.headers.set(names::NOT_BEFORE, 4_000_000_000_000_i64);
    let body =
        r#"{"id":"late","type":"Ship","timestamp":"2026-01-01T00:00:00Z","payload":{"parcel":6}}"#;
    publish_raw(&service.transport, &service.parked, properties, body).await;
    assert_eq!(service.tools().replay(&Selection::all()).await.expect("replayed").moved, 1);
    assert_eq!(service.probe.wait_for(1).await, ["6 1"]);
    service.running.stop().await;
}

/// What the broker itself gives up carries no word of ours, and may have a history.
async fn a_death_by_the_broker_is_listed_and_replayed_too(backend: Backend) {
    let service = start(backend).await;
    let mut topology = Topology::default();
    let side = unique("side");
    topology.queue(Queue::new(&side).dead_letter(format!("dlq.{side}")));
    let parked = Queue::new(format!("dlq.{side}")).dead_letter(&side).delivery_limit(1_000_000);
    topology.queue(parked.clone());
    service.transport.declare(&topology).await.expect("declared");
    let mut properties = Properties::default();
    properties.message_id = Some("b".into());
    properties.headers.set(names::ATTEMPT, 2);
    let address = mmate::contract::address::Address::queue(&side);
    let late = Outgoing::new(address, properties, "body").delayed(Duration::from_secs(1));
    service.transport.publish(late).await.expect("taken");
    for round in 0..2 {
        wait_for_ready(&service.transport, &side, 1).await;
        let options = SubscribeOptions::new(&side, 1);
        let mut subscription = service.transport.subscribe(options).await.expect("consumes");
        let Intake::Delivery(delivery) = subscription.next().await else { panic!("no message") };
        if round == 1 {
            assert_eq!(
                delivery.earlier_deliveries(),
                0,
                "the count of the other queue is not its own"
            );
        }
        subscription.settle(delivery.tag, Settlement::Reject);
        subscription.flush().await.expect("written");
        drop(subscription);
        wait_for_ready(&service.transport, &parked.name, 1).await;
        let queue = DeadLetterQueue::new(parked.clone(), vec![side.clone()]);
        let tools = DeadLetters::new(Arc::clone(&service.transport), queue);
        let letter = tools.list(&Selection::all()).await.expect("listed").letters.remove(0);
        assert_eq!((letter.reason.as_str(), letter.queue.as_ref()), ("rejected", Some(&side)));
        assert!(letter.time.is_some() && letter.attempts.is_none());
        assert_eq!(tools.replay(&Selection::all()).await.expect("replayed").moved, 1);
    }
    service.running.stop().await;
}

on_every_transport! {
    a_list_tells_of_every_death_and_changes_nothing
    what_works_now_is_handled_and_counts_from_one
    what_fails_again_comes_back_once_with_a_word_of_its_new_death
    what_died_between_two_attempts_begins_anew_and_at_once
    a_death_by_the_broker_is_listed_and_replayed_too
}

#[message(event, aggregate = "parcel", key = parcel)]
struct Shipped {
    parcel: u32,
}

#[handler(dead_letter = "dlq.all")]
async fn bill(_event: Shipped) {}

#[handler(group = "mail", dead_letter = "dlq.all")]
async fn mail(_event: Shipped) {}

#[handler(broadcast)]
async fn show(_event: Shipped) {}

#[handler(queue = "work", queue_type = classic, dead_letter = "work.failed")]
async fn work(_command: Ship) {}

#[test]
fn only_a_dead_letter_queue_of_one_lasting_queue_has_a_way_back() {
    let app = App::builder()
        .config("queues.type", "classic")
        .handler::<bill>()
        .handler::<mail>()
        .handler::<show>()
        .handler::<work>()
        .build()
        .expect("a plan");
    let found: BTreeMap<String, DeadLetterQueue> =
        app.plan().dead_letters().into_iter().map(|it| (it.queue.name.clone(), it)).collect();
    assert!(found.values().all(|it| it.queue.kind == mmate::transport::QueueKind::Quorum));
    assert_eq!(found["dlq.all"].origins.len(), 2);
    assert_eq!(found["dlq.all"].queue.dead_letter, None);
    assert_eq!(found["work.failed"].queue.dead_letter.as_deref(), Some("work"));
    assert_eq!(found["work.failed"].queue.delivery_limit, Some(1_000_000));
    let others: Vec<_> = found.keys().filter(|name| name.starts_with("dlq.evt.")).collect();
    let [shown] = others.as_slice() else { panic!("the broadcast's alone: {others:?}") };
    assert_eq!(found[*shown].queue.dead_letter, None);
    assert!(found[*shown].answers_to(shown.strip_prefix("dlq.").expect("the default name")));
}

#[tokio::test(start_paused = true)]
async fn a_test_app_has_the_tools_and_hears_the_alerts() {
    let (carrier, probe) = (Arc::new(Carrier(AtomicU32::new(1))), Probe::default());
    let alerts = Alerted::default();
    let hook = Arc::clone(&alerts);
    let app = TestApp::builder()
        .name("depot")
        .handler::<ship>()
        .provide(Arc::clone(&carrier))
        .provide(probe.clone())
        .config("dead_letters.alert_at", 1)
        .on_alert(move |alert| hook.lock().unwrap().push(alert.clone()))
        .start()
        .await
        .expect("boots");
    app.send(Ship { parcel: 1 }).await.expect("taken");
    app.settle().await;
    assert_eq!(app.dead_letters("cmd.depot.Ship").len(), 1);
    app.advance(Duration::from_secs(2)).await;
    assert_eq!(alerts.lock().unwrap().len(), 1);
    carrier.0.store(0, Ordering::Relaxed);
    let tools = app.dead_letter_tools("cmd.depot.Ship").expect("its queue");
    assert_eq!(tools.replay(&Selection::all()).await.expect("replayed").moved, 1);
    app.settle().await;
    assert_eq!((app.counts().handled, app.dead_letters("cmd.depot.Ship").len()), (1, 0));
}
