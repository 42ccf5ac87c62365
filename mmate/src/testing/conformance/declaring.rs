//! Queues and exchanges: made, found, compared, asked about, removed.

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, exchange, to_exchange, within};
use crate::transport::{
    ExchangeKind, Queue, QueueKind, QueueStats, SubscribeOptions, Topology, TransportErrorKind,
};

list![
    declaring_twice_changes_nothing,
    a_queue_with_other_arguments_is_a_mismatch_of_both_sides[LengthLimit],
    an_exchange_of_another_kind_is_a_mismatch,
    a_mismatch_leaves_the_connection_usable[LengthLimit],
    stats_count_messages_and_consumers,
    a_missing_queue_has_no_stats,
    a_deleted_queue_is_gone_with_its_messages,
    a_missing_queue_can_be_deleted,
    an_exclusive_queue_is_private,
    an_exclusive_queue_goes_with_its_owner,
];

/// Declares and returns the text of the mismatch that it must lead to.
async fn mismatch(bench: &Bench, topology: &Topology) -> Result<String, Failure> {
    match within("declaring", bench.transport().declare(topology)).await? {
        Ok(()) => Err(Failure::new("it was declared with other arguments")),
        Err(error) => {
            let kind = error.kind();
            ensure!(kind == TransportErrorKind::Mismatch, "failed as {kind:?}: {error}");
            Ok(error.to_string())
        }
    }
}

async fn declaring_twice_changes_nothing(bench: &Bench) -> Checked {
    let queue = bench.bound("q", ExchangeKind::Topic, &["a"]).await?;
    bench.fill(&queue, &["kept"]).await?;
    bench.bound("q", ExchangeKind::Topic, &["a"]).await?;
    let key = bench.name("a");
    bench.publish(to_exchange(ExchangeKind::Topic, &key, "once")).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("kept").await?;
    consumer.ack_next("once").await?;
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn a_queue_with_other_arguments_is_a_mismatch_of_both_sides(bench: &Bench) -> Checked {
    let queue = bench.name("q");
    bench.declare(Queue::new(&queue).length_max(4_711)).await?;
    let mut topology = Topology::default();
    topology.queue(Queue::new(&queue).length_max(8_093));
    let text = mismatch(bench, &topology).await?;
    for part in [&*queue, "4711", "8093"] {
        ensure!(text.contains(part), "the text does not show `{part}`: {text}");
    }
    Ok(())
}

async fn an_exchange_of_another_kind_is_a_mismatch(bench: &Bench) -> Checked {
    bench.bound("q", ExchangeKind::Topic, &["a"]).await?;
    let name = exchange(ExchangeKind::Topic);
    let mut topology = Topology::default();
    topology.exchange(name, ExchangeKind::Fanout);
    let text = mismatch(bench, &topology).await?;
    ensure!(text.contains(name), "the text does not name the exchange: {text}");
    Ok(())
}

async fn a_mismatch_leaves_the_connection_usable(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let mut topology = Topology::default();
    topology.queue(Queue::new(&queue).length_max(1));
    mismatch(bench, &topology).await?;
    bench.fill(&queue, &["after"]).await?;
    consumer.ack_next("after").await
}

async fn stats_count_messages_and_consumers(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.ensure_stats(&queue, Some(QueueStats::new(0, 0))).await?;
    bench.fill(&queue, &["1", "2", "3"]).await?;
    bench.ensure_stats(&queue, Some(QueueStats::new(3, 0))).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.expect("1").await?;
    // What a consumer holds does not wait any more.
    bench.ensure_stats(&queue, Some(QueueStats::new(2, 1))).await
}

async fn a_missing_queue_has_no_stats(bench: &Bench) -> Checked {
    let stats = bench.stats(&bench.name("missing")).await?;
    ensure!(stats.is_none(), "the broker says {stats:?} about a missing queue");
    // Asking must not break what is asked next.
    let queue = bench.queue("q").await?;
    bench.ensure_stats(&queue, Some(QueueStats::new(0, 0))).await
}

async fn a_deleted_queue_is_gone_with_its_messages(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.fill(&queue, &["gone"]).await?;
    within("deleting a queue", bench.transport().delete_queue(&queue)).await??;
    bench.ensure_stats(&queue, None).await?;
    bench.queue("q").await?;
    bench.ensure_empty(&queue).await
}

async fn a_missing_queue_can_be_deleted(bench: &Bench) -> Checked {
    let queue = bench.name("missing");
    within("deleting a queue", bench.transport().delete_queue(&queue)).await??;
    Ok(())
}

async fn an_exclusive_queue_is_private(bench: &Bench) -> Checked {
    let owner = bench.connect().await?;
    let queue = bench.name("own");
    let exclusive = Queue::new(&queue).kind(QueueKind::Exclusive);
    bench.declare_on(&owner, exclusive).await?;
    let mut consumer = bench.consume_on(&owner, &queue, 1).await?;
    let options = SubscribeOptions::new(&queue, 1);
    let stranger = within("subscribing", bench.transport().subscribe(options)).await?;
    ensure!(stranger.is_err(), "another connection could consume the exclusive queue");
    // It is private to consumers alone: anybody may answer into it.
    bench.fill(&queue, &["for you"]).await?;
    consumer.ack_next("for you").await
}

async fn an_exclusive_queue_goes_with_its_owner(bench: &Bench) -> Checked {
    let owner = bench.connect().await?;
    let queue = bench.name("own");
    let exclusive = Queue::new(&queue).kind(QueueKind::Exclusive);
    bench.declare_on(&owner, exclusive).await?;
    let consumer = bench.consume_on(&owner, &queue, 1).await?;
    drop(consumer);
    within("closing", owner.close()).await?;
    bench.ensure_stats(&queue, None).await
}
