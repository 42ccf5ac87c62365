//! A broker that dies and comes back under a running service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mmate::prelude::*;
use mmate_tests::{Probe, eventually};
use xtask::servers::{RabbitCluster, RabbitNode, StartOptions};

const MESSAGES: u32 = 2_000;
const KILL_AT: u32 = 500;

#[message(command)]
struct Count {
    number: u32,
}

#[handler(concurrency = 8)]
async fn count(message: Count, probe: State<Probe>) {
    probe.note(message.number.to_string());
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Twice, the second time as soon as the service has recovered from the first.
async fn what_was_confirmed_is_handled_although_the_broker_is_killed_twice(queue_type: &str) {
    let node =
        Arc::new(blocking(|| RabbitNode::start(&StartOptions::default())).await.expect("a node"));
    let probe = Probe::default();
    let builder = App::builder()
        .name("outage")
        .handler::<count>()
        .provide(probe.clone())
        .config("queues.type", queue_type)
        .config("url", node.amqp_url());
    let running = builder.start().await.expect("boots");
    let fresh = Arc::clone(&node);
    blocking(move || fresh.write_down()).await.expect("the queues are written down");
    let publisher = running.publisher().clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            publisher.send(Count { number }).await.expect("confirmed within the publish deadline");
        }
    });
    for round in 1..=2 {
        probe.wait_for((KILL_AT * round) as usize).await;
        let killed = Arc::clone(&node);
        blocking(move || killed.kill().and_then(|()| killed.start_again()))
            .await
            .expect("killed and started again");
        eventually("consuming again", || async { running.is_ready() }).await;
    }
    sending.await.expect("every publish is confirmed");
    eventually("every message is handled", || async { seen(&probe).len() == MESSAGES as usize })
        .await;
    let counts = running.stop().await.counts;
    assert_eq!(counts.dead_lettered, 0, "{counts:?}");
}

/// A queue with three members needs two of them. The service is told all three brokers, so it does not
/// matter which one it is connected to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_the_leader_of_a_queue_loses_no_message() {
    let cluster = blocking(|| RabbitCluster::start(&StartOptions::default())).await;
    let cluster = Arc::new(cluster.expect("a cluster"));
    let probe = Probe::default();
    let builder = App::builder()
        .name("cluster")
        .handler::<count>()
        .provide(probe.clone())
        .config("url", cluster.amqp_urls());
    let running = builder.start().await.expect("boots");
    let queue = running.health().consumers[0].queue.clone();
    let publisher = running.publisher().clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            publisher.send(Count { number }).await.expect("confirmed within the publish deadline");
        }
    });
    probe.wait_for(KILL_AT as usize).await;
    let asked = Arc::clone(&cluster);
    let leader = blocking(move || asked.leader_of(&queue)).await.expect("a leader");
    let killed = Arc::clone(&cluster);
    blocking(move || killed.nodes()[leader].kill()).await.expect("killed");
    // One by one on channels of their own, because the shared one is refused everything, would take minutes.
    let sent = tokio::time::timeout(Duration::from_secs(30), sending).await;
    sent.expect("the shared channel is used again").expect("every publish is confirmed");
    eventually("every message is handled", || async { seen(&probe).len() == MESSAGES as usize })
        .await;
    eventually("ready with two nodes", || async { running.is_ready() }).await;
    let counts = running.stop().await.counts;
    assert_eq!(counts.dead_lettered, 0, "{counts:?}");
}

fn seen(probe: &Probe) -> BTreeSet<String> {
    probe.notes().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_queue_outlives_two_kills_of_its_broker() {
    what_was_confirmed_is_handled_although_the_broker_is_killed_twice("classic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_outlives_two_kills_of_its_broker() {
    what_was_confirmed_is_handled_although_the_broker_is_killed_twice("quorum").await;
}
