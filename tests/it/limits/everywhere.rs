//! The same on every transport, in real time.

use mmate::consume::Readiness;
use mmate_tests::{
    Backend, Broker, Probe, eventually, on_every_transport, take, unique, wait_for_ready,
};

use super::*;

#[message(command, reply = GuardedAnswer)]
struct AskGuarded {
    number: u32,
}

#[message(reply)]
struct GuardedAnswer {
    cents: u32,
}

#[handler(concurrency = 4, retry(attempts = 9, backoff = fixed("1ms")), breaker(failures = 2, reset = "400ms", probes = 2))]
async fn guarded(_message: AskGuarded, outside: State<Outside>) -> Result {
    outside.call("guarded", Duration::from_millis(5)).await
}

#[handler(concurrency = 4, retry(attempts = 9, backoff = fixed("1ms")), breaker(failures = 1, reset = "1h"))]
async fn guarded_for_long(_message: AskGuarded, outside: State<Outside>) -> Result {
    outside.call("guarded", Duration::ZERO).await
}

#[handler(concurrency = 20, rate(50, per = "1s", burst = 5))]
async fn spread(message: AskGuarded, outside: State<Outside>, probe: State<Probe>) -> Result {
    outside.call("spread", Duration::ZERO).await?;
    probe.note(message.number.to_string());
    Ok(())
}

#[handler(retry(attempts = 2, backoff = fixed("1ms")), fallback = remembered)]
async fn priced(_message: AskGuarded, outside: State<Outside>) -> Result<GuardedAnswer> {
    outside.call("priced", Duration::ZERO).await?;
    Ok(GuardedAnswer { cents: 100 })
}

async fn remembered(message: AskGuarded, outside: State<Outside>) -> Result<GuardedAnswer> {
    outside.note("remembered");
    if message.number == 0 { Err(Trouble::Broken.into()) } else { Ok(GuardedAnswer { cents: 90 }) }
}

struct Service {
    broker: Broker,
    name: String,
    outside: Outside,
    probe: Probe,
    running: mmate::runtime::Running,
}

async fn start<H: mmate::handler::Handler>(backend: Backend, away: bool) -> Service {
    let (broker, name) = (backend.broker().await, unique("limits"));
    let (outside, probe) = (Outside::new(away), Probe::default());
    let builder = broker.service(&name).await.handler::<H>().provide(outside.clone());
    let running = builder.provide(probe.clone()).start().await.expect("the service boots");
    Service { broker, name, outside, probe, running }
}

impl Service {
    async fn ask(&self, count: u32) {
        for number in 0..count {
            self.running
                .publisher()
                .send(AskGuarded { number })
                .await
                .expect("the command is taken");
        }
    }

    fn queue(&self) -> String {
        format!("cmd.{}.AskGuarded", self.name)
    }

    fn readiness(&self) -> Readiness {
        self.running.health().consumers.remove(0).readiness
    }

    async fn handled(&self, count: u64) {
        eventually("all messages are handled", || async {
            self.running.health().consumers[0].counts.handled == count
        })
        .await;
    }

    async fn ends_empty(self) {
        let (queue, transport) = (self.queue(), self.broker.connect().await);
        let report = self.running.stop().await;
        assert!(report.drained, "{report}");
        for queue in [queue.clone(), format!("dlq.{queue}")] {
            wait_for_ready(&transport, &queue, 0).await;
            transport.delete_queue(&queue).await.expect("the queue is removed");
        }
    }
}

async fn an_open_breaker_holds_messages_back_and_loses_nothing(backend: Backend) {
    let service = start::<guarded>(backend, true).await;
    service.ask(30).await;
    eventually("the breaker is open", || async {
        matches!(service.readiness(), Readiness::Waiting(_)) && !service.running.is_ready()
    })
    .await;
    let Readiness::Waiting(text) = service.readiness() else { return service.ends_empty().await };
    assert!(text.contains("`guarded` is open; it tries again at "), "{text}");
    service.outside.set_away(false);
    service.handled(30).await;
    assert!(service.running.is_ready(), "{:?}", service.readiness());
    let counts = service.running.health().consumers[0].counts;
    assert_eq!(counts.dead_lettered, 0);
    service.ends_empty().await;
}

async fn messages_that_wait_at_shutdown_are_left_at_once(backend: Backend) {
    let service = start::<guarded_for_long>(backend, true).await;
    service.ask(6).await;
    eventually("the breaker is open", || async { !service.running.is_ready() }).await;
    let (queue, transport) = (service.queue(), service.broker.connect().await);
    let began = Instant::now();
    let report = service.running.stop().await;
    assert!(report.drained && report.counts.abandoned == 0, "{report}");
    assert!(began.elapsed() < Duration::from_secs(10), "it did not wait for the drain: {report}");
    assert_eq!(report.counts.handled + report.counts.dead_lettered, 0, "{report}");
    wait_for_ready(&transport, &queue, 6).await;
    for queue in [queue.clone(), format!("dlq.{queue}")] {
        transport.delete_queue(&queue).await.expect("the queue is removed");
    }
}

async fn a_rate_is_kept(backend: Backend) {
    let service = start::<spread>(backend, false).await;
    service.ask(30).await;
    service.probe.wait_for(30).await;
    let times = service.outside.times();
    let (first, last) = (times[0].0, times[times.len() - 1].0);
    assert!(last - first >= 490, "25 calls at 50 per second after the burst: {times:?}");
    assert!(times.iter().map(|(_, calls)| calls).sum::<usize>() == 30);
    service.handled(30).await;
    service.ends_empty().await;
}

async fn a_fallback_answers_for_its_handler(backend: Backend) {
    let service = start::<priced>(backend, true).await;
    let transport = service.broker.connect().await;
    let replies = unique("rpl");
    let mut topology = mmate::transport::Topology::default();
    topology.queue(mmate::transport::Queue::new(&replies));
    transport.declare(&topology).await.expect("the reply queue is made");
    let publisher = service.running.publisher();
    publisher
        .send(AskGuarded { number: 1 })
        .reply_to(&replies)
        .await
        .expect("the command is taken");
    let reply = take(&transport, &replies).await;
    let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("a JSON envelope");
    assert_eq!(body["payload"], serde_json::json!({"cents": 90, "success": true}));
    assert_eq!(service.outside.callers(), ["priced", "priced", "remembered"]);
    eventually("it is settled", || async {
        service.running.health().consumers[0].counts.fallen_back == 1
    })
    .await;
    service.running.publisher().send(AskGuarded { number: 0 }).await.expect("the command is taken");
    let parked = take(&transport, &format!("dlq.{}", service.queue())).await;
    let error = parked.properties.headers.text(mmate::contract::headers::names::DEATH_ERROR);
    let expected =
        "the other side is away; then its fallback `remembered` failed: our own storage is broken";
    assert_eq!(error, Some(expected));
    transport.delete_queue(&replies).await.expect("the reply queue is removed");
    service.ends_empty().await;
}

on_every_transport! {
    an_open_breaker_holds_messages_back_and_loses_nothing
    messages_that_wait_at_shutdown_are_left_at_once
    a_rate_is_kept
    a_fallback_answers_for_its_handler
}
