//! Connected means consuming: every way to lose a consumer, and each a second time during the recovery
//! from the first. Afterwards every kind of handler is served again, within ten seconds.

use std::sync::Arc;
use std::time::Duration;

use mmate::contract::address::{Address, exchanges};
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{
    LinkHealth, Outgoing, Properties, PublishError, PublishErrorKind, Transport,
};
use mmate_tests::{Probe, unique};
use xtask::servers::{RabbitNode, StartOptions};

use super::broker::{self, connect_to, eventually, within};
use super::proxy::{Proxy, Slip};

/// From the end of a fault until every kind of message is handled.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

#[message(command)]
struct LossCommand {
    token: String,
}

#[message(event)]
struct LossEvent {
    token: String,
}

#[message(event)]
struct LossNews {
    token: String,
}

#[message(query, reply = LossAnswer)]
struct LossQuery {
    token: String,
}

#[message(reply)]
struct LossAnswer {
    token: String,
}

#[handler]
async fn on_command(message: LossCommand, probe: State<Probe>) {
    probe.note(format!("command {}", message.token));
}

#[handler]
async fn on_event(message: LossEvent, probe: State<Probe>) {
    probe.note(format!("event {}", message.token));
}

#[handler(broadcast)]
async fn on_news(message: LossNews, probe: State<Probe>) {
    probe.note(format!("broadcast {}", message.token));
}

#[handler]
async fn on_query(message: LossQuery, probe: State<Probe>) -> Result<LossAnswer> {
    probe.note(format!("query {}", message.token));
    Ok(LossAnswer { token: message.token })
}

/// A service with a handler of each kind, and a way to its broker that no fault concerns.
struct Service {
    running: Running,
    transport: Arc<AmqpTransport>,
    direct: AmqpTransport,
    probe: Probe,
    name: String,
}

impl Service {
    /// `url` is the way of the service, `direct` that of the test.
    async fn start(url: String, direct: String, queue_type: &str) -> Self {
        let mut config = AmqpConfig::new(url);
        // The smallest that there is: silence of two seconds is a loss.
        config.heartbeat = Duration::from_secs(1);
        config.connect_timeout = Duration::from_secs(2);
        config.call_timeout = Duration::from_secs(2);
        config.reconnect_delay_min = Duration::from_millis(10);
        config.reconnect_delay_max = Duration::from_millis(200);
        let transport = Arc::new(connect_to(config).await);
        let (name, probe) = (unique("losses"), Probe::default());
        let builder = App::builder().name(&name).transport(Arc::clone(&transport) as Arc<_>);
        let builder = builder.handler::<on_command>().handler::<on_event>();
        let builder = builder.handler::<on_news>().handler::<on_query>().provide(probe.clone());
        let running = builder.config("queues.type", queue_type).start().await.expect("boots");
        let direct = connect_to(AmqpConfig::new(direct)).await;
        let service = Self { running, transport, direct, probe, name };
        service.serves("before any fault").await;
        service
    }

    async fn behind(proxy: &Proxy) -> Self {
        Self::start(proxy.url(), broker::url(), "quorum").await
    }

    /// Waits until the service says itself that something is wrong; gives what it says.
    async fn is_red(&self) -> String {
        within("red readiness", async {
            while self.running.is_ready() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        self.running.health().to_string()
    }

    /// Waits until neither connection is there, and the service says so.
    async fn is_cut_off(&self) {
        let down = || {
            let state = self.transport.state();
            state.publish_down.is_some() && state.consume_down.is_some()
        };
        eventually("the loss of both connections", async || down()).await;
        let reason = self.is_red().await;
        assert!(reason.contains("publishing connection down"), "{reason}");
    }

    /// Every kind of message is handled, and readiness is green.
    async fn serves(&self, when: &str) {
        let token = unique("token");
        let served = async {
            let publisher = self.running.publisher();
            let of = || token.clone();
            taken(async || publisher.send(LossCommand { token: of() }).await.map(drop)).await;
            taken(async || publisher.publish(LossEvent { token: of() }).await.map(drop)).await;
            taken(async || self.ask(&token).await).await;
            // The queue of a broadcast goes with its connection. Until the broker has noticed that, it takes
            // messages that nobody will see; the service is not ready meanwhile.
            self.running.until_ready().await;
            taken(async || publisher.publish(LossNews { token: of() }).await.map(drop)).await;
            let expected = ["broadcast", "command", "event", "query"];
            let expected = expected.map(|kind| format!("{kind} {token}"));
            while !expected.iter().all(|note| self.probe.notes().contains(note)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.running.until_ready().await;
        };
        if tokio::time::timeout(RECOVERY_MAX, served).await.is_err() {
            let (health, notes) = (self.running.health(), self.probe.notes());
            panic!("not everything was handled {when}; {health}; handled: {notes:?}");
        }
    }

    async fn ask(&self, token: &str) -> Result<(), PublishError> {
        let body = format!(
            r#"{{"id":"{token}","type":"LossQuery","timestamp":"2026-01-01T00:00:00Z","payload":{{"token":"{token}"}}}}"#
        );
        let address =
            Address { exchange: exchanges::QUERIES.into(), routing_key: "qry.LossQuery".into() };
        let outgoing = Outgoing::new(address, Properties::default(), body);
        self.direct.publish(outgoing).await
    }

    /// The queues that anybody may delete.
    fn shared_queues(&self) -> Vec<String> {
        let consumers = self.running.health().consumers.into_iter().map(|consumer| consumer.queue);
        consumers.filter(|queue| !queue.contains("LossNews")).collect()
    }

    /// Waits until the connections are up again; the consumers may or may not be.
    async fn is_connected(&self) {
        let up = || {
            let state = self.transport.state();
            state.publish_down.is_none() && state.consume_down.is_none()
        };
        eventually("both connections", async || up()).await;
    }
}

/// Publishes until a queue takes it. One that went with its connection is not there for a moment, and
/// the publisher is told so.
async fn taken(mut publish: impl AsyncFnMut() -> Result<(), PublishError>) {
    while let Err(error) = publish().await {
        assert_eq!(error.kind(), PublishErrorKind::Unroutable, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn queues_that_are_deleted() {
    // RabbitMQ 3.10 breaks a quorum queue that is deleted within moments of being made: its process ends
    // with an error, and the queue takes nothing any more.
    let service = Service::start(broker::url(), broker::url(), "classic").await;
    let queues = service.shared_queues();
    assert_eq!(queues.len(), 3);
    for _ in 1..=2 {
        for queue in &queues {
            // The second time while the consumer subscribes to the one that it has made again.
            eventually("the queue", async || {
                service.direct.queue_stats(queue).await.unwrap().is_some()
            })
            .await;
            service.direct.delete_queue(queue).await.unwrap();
        }
    }
    let reason = service.is_red().await;
    assert!(reason.contains("was the queue deleted?") || reason.contains("no queue"), "{reason}");
    // An event that comes meanwhile is taken by other services, and is none of this one's.
    for queue in &queues {
        eventually("the queue", async || {
            service.direct.queue_stats(queue).await.unwrap().is_some()
        })
        .await;
    }
    // Made again, and bound as well.
    within("readiness", service.running.until_ready()).await;
    service.serves("after the queues were deleted twice").await;
}

async fn channels_that_the_broker_closes(slip: Slip, code: &str) {
    let proxy = Proxy::start().await;
    let service = Service::behind(&proxy).await;
    proxy.slip_in(slip);
    let reason = service.is_red().await;
    assert!(reason.contains(code), "{reason}");
    // The second time as soon as one of them consumes again.
    eventually("a consumer", async || {
        let consumers = service.running.health().consumers;
        consumers.iter().any(|it| it.readiness == mmate::consume::Readiness::Consuming)
    })
    .await;
    proxy.slip_in(slip);
    service.is_red().await;
    service.serves("after the channels were closed twice").await;
    assert_eq!(service.transport.state().consume_down, None);
}

#[tokio::test]
async fn channels_that_are_closed_by_406() {
    channels_that_the_broker_closes(Slip::UnknownTag, "PRECONDITION_FAILED").await;
}

#[tokio::test]
async fn channels_that_are_closed_by_404() {
    channels_that_the_broker_closes(Slip::MissingQueue, "NOT_FOUND").await;
}

#[tokio::test]
async fn connections_that_are_reset() {
    let proxy = Proxy::start().await;
    let service = Service::behind(&proxy).await;
    proxy.kick();
    service.is_red().await;
    service.is_connected().await;
    proxy.kick();
    service.is_red().await;
    service.serves("after two resets").await;
}

#[tokio::test]
async fn connections_that_are_half_open() {
    let proxy = Proxy::start().await;
    let service = Service::behind(&proxy).await;
    for _ in 1..=2 {
        proxy.silence();
        service.is_cut_off().await;
        proxy.mend();
        service.is_connected().await;
    }
    service.serves("after the network was silent twice").await;
}

#[tokio::test]
async fn a_broker_that_is_slow_to_confirm_consumers() {
    let proxy = Proxy::start().await;
    let service = Service::behind(&proxy).await;
    // Slow, but within the limits: it takes its time and succeeds.
    proxy.slow_down(Duration::from_millis(150));
    proxy.kick();
    service.is_red().await;
    service.is_connected().await;
    proxy.kick();
    service.is_red().await;
    service.serves("although the broker is slow").await;

    // Too slow for a consumer to be confirmed in time.
    proxy.slow_down(Duration::from_millis(1_200));
    proxy.slip_in(Slip::UnknownTag);
    eventually("the reason", async || {
        service.running.health().to_string().contains("did not answer within")
    })
    .await;
    proxy.mend();
    service.serves("after the broker was too slow").await;
}

async fn blocking<T: Send + 'static>(
    node: &Arc<RabbitNode>,
    work: impl FnOnce(&RabbitNode) -> std::io::Result<T> + Send + 'static,
) -> T {
    let node = Arc::clone(node);
    tokio::task::spawn_blocking(move || work(&node)).await.expect("no panic").expect("it works")
}

/// One node for all that concerns a whole broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_frozen_or_low_on_memory_or_killed() {
    let start = || RabbitNode::start(&StartOptions::default());
    let node = Arc::new(tokio::task::spawn_blocking(start).await.unwrap().expect("a node"));
    let service = Service::start(node.amqp_url(), node.amqp_url(), "quorum").await;

    for _ in 1..=2 {
        blocking(&node, RabbitNode::pause).await;
        service.is_cut_off().await;
        blocking(&node, RabbitNode::resume).await;
        service.is_connected().await;
    }
    service.serves("after the broker was frozen twice").await;

    replies_alone_are_consumed_without_acks(&service, &node).await;
    alarm_blocks_publishing_and_nothing_else(&service, &node).await;

    let queue = format!("cmd.{}.LossCommand", service.name);
    blocking(&node, move |node| node.wait_until_registered(&queue)).await;
    for _ in 1..=2 {
        blocking(&node, RabbitNode::kill).await;
        service.is_cut_off().await;
        blocking(&node, RabbitNode::start_again).await;
        service.is_connected().await;
    }
    service.serves("after the broker was killed twice").await;
}

/// As the broker sees it.
async fn replies_alone_are_consumed_without_acks(service: &Service, node: &Arc<RabbitNode>) {
    let question = LossQuery { token: "acks".to_owned() };
    service.running.bridge().ask(question).await.expect("an answer");
    let list = ["--quiet", "list_consumers", "queue_name", "ack_required"];
    let listed = blocking(node, move |node| node.ctl(&list)).await;
    let consumers = listed.lines().skip(1).filter_map(|line| line.split_once('\t'));
    let (replies, others): (Vec<_>, Vec<_>) =
        consumers.partition(|(queue, _)| queue.starts_with("rpl."));
    assert!(!replies.is_empty() && replies.iter().all(|(_, acks)| *acks == "false"), "{listed}");
    assert!(!others.is_empty() && others.iter().all(|(_, acks)| *acks == "true"), "{listed}");
}

async fn alarm_blocks_publishing_and_nothing_else(service: &Service, node: &Arc<RabbitNode>) {
    for round in 1..=2 {
        blocking(node, |node| node.ctl(&["set_vm_memory_high_watermark", "0.0000001"])).await;
        let token = format!("blocked {} {round}", service.name);
        let publisher = service.running.publisher().clone();
        let message = LossCommand { token: token.clone() };
        let publish = tokio::spawn(async move { publisher.send(message).await });
        let reason = service.is_red().await;
        assert!(reason.contains("low on memory"), "{reason}");
        let health = service.running.health();
        assert!(matches!(health.publish, LinkHealth::Blocked(_)), "{health:?}");
        assert_eq!(health.consume, LinkHealth::Up);
        assert!(!publish.is_finished());
        blocking(node, |node| node.ctl(&["set_vm_memory_high_watermark", "0.6"])).await;
        within("the confirm", publish).await.unwrap().expect("published after the alarm");
        eventually("the message", async || {
            service.probe.notes().contains(&format!("command {token}"))
        })
        .await;
    }
    service.serves("after two alarms").await;
}
