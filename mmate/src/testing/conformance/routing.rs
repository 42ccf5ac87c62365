//! Which queues a message reaches.

use super::behaviour::{Checked, list};
use super::bench::{Bench, exchange, to_exchange, to_queue};
use crate::transport::{ExchangeKind, Queue, QueueKind, Topology};

list![
    the_default_exchange_reaches_the_queue_of_that_name,
    a_star_matches_exactly_one_word[TopicPatterns],
    a_hash_matches_no_word[TopicPatterns],
    a_hash_matches_several_words[TopicPatterns],
    a_hash_in_the_middle_matches_any_number_of_words[TopicPatterns],
    a_topic_without_wildcards_matches_its_own_key_alone[TopicPatterns],
    a_direct_exchange_compares_the_whole_key,
    a_fanout_exchange_reaches_all_queues,
    several_matching_bindings_give_a_queue_one_copy,
    every_matching_queue_gets_a_copy,
    every_instance_gets_a_copy_of_a_broadcast[Broadcast],
];

/// Binds a queue by one pattern, publishes with every key in turn, and checks that the queue gets
/// those that it should, in order, and no other.
async fn reaches(
    bench: &Bench,
    kind: ExchangeKind,
    pattern: &str,
    table: &[(&str, bool)],
) -> Checked {
    let queue = bench.bound("q", kind, &[pattern]).await?;
    for (key, _) in table {
        let outgoing = to_exchange(kind, bench.name(key).trim_end_matches('.'), key);
        bench.publish(outgoing.mandatory(false)).await?;
    }
    bench.publish(to_queue(&queue, "the end")).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    for (key, _) in table.iter().filter(|(_, reached)| *reached) {
        consumer.ack_next(key).await?;
    }
    consumer.ack_next("the end").await
}

async fn the_default_exchange_reaches_the_queue_of_that_name(bench: &Bench) -> Checked {
    let (one, two) = (bench.queue("one").await?, bench.queue("two").await?);
    bench.fill(&one, &["first"]).await?;
    bench.fill(&two, &["second"]).await?;
    bench.consume(&two, 1).await?.ack_next("second").await?;
    bench.consume(&one, 1).await?.ack_next("first").await
}

async fn a_star_matches_exactly_one_word(bench: &Bench) -> Checked {
    let table = [("", false), ("a", true), ("a.b", false), ("b", true), ("a.b.c", false)];
    reaches(bench, ExchangeKind::Topic, "*", &table).await
}

async fn a_hash_matches_no_word(bench: &Bench) -> Checked {
    reaches(bench, ExchangeKind::Topic, "a.#", &[("b", false), ("a", true)]).await
}

async fn a_hash_matches_several_words(bench: &Bench) -> Checked {
    let table = [("a.b", true), ("ab.c", false), ("a.b.c", true), ("a.b.c.d", true)];
    reaches(bench, ExchangeKind::Topic, "a.#", &table).await
}

async fn a_hash_in_the_middle_matches_any_number_of_words(bench: &Bench) -> Checked {
    let table = [
        ("a.z", true),
        ("a.b.z", true),
        ("a.b", false),
        // The key of an event without an aggregate has an empty word.
        ("a..z", true),
        ("a.z.z", true),
        ("a.b.c.z", true),
        ("z", false),
        ("a.z.b", false),
    ];
    reaches(bench, ExchangeKind::Topic, "a.#.z", &table).await
}

async fn a_topic_without_wildcards_matches_its_own_key_alone(bench: &Bench) -> Checked {
    let table = [("a", false), ("a.b", true), ("a.b.c", false), ("a.bc", false), ("A.b", false)];
    reaches(bench, ExchangeKind::Topic, "a.b", &table).await
}

async fn a_direct_exchange_compares_the_whole_key(bench: &Bench) -> Checked {
    let table = [("a", false), ("a.b", false), ("a.*", true), ("a.*.b", false)];
    reaches(bench, ExchangeKind::Direct, "a.*", &table).await
}

async fn a_fanout_exchange_reaches_all_queues(bench: &Bench) -> Checked {
    let one = bench.bound("one", ExchangeKind::Fanout, &["x"]).await?;
    let two = bench.bound("two", ExchangeKind::Fanout, &["y"]).await?;
    let key = bench.name("z");
    bench.publish(to_exchange(ExchangeKind::Fanout, &key, "to all")).await?;
    for queue in [one, two] {
        bench.consume(&queue, 1).await?.ack_next("to all").await?;
    }
    Ok(())
}

async fn several_matching_bindings_give_a_queue_one_copy(bench: &Bench) -> Checked {
    let patterns = ["a.b", "a.*", "a.#", "#.b", "#"];
    let queue = bench.bound("q", ExchangeKind::Topic, &patterns).await?;
    let key = bench.name("a.b");
    bench.publish(to_exchange(ExchangeKind::Topic, &key, "once")).await?;
    bench.publish(to_queue(&queue, "the end")).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("once").await?;
    consumer.ack_next("the end").await
}

async fn every_matching_queue_gets_a_copy(bench: &Bench) -> Checked {
    let one = bench.bound("one", ExchangeKind::Topic, &["a.*"]).await?;
    let two = bench.bound("two", ExchangeKind::Topic, &["a.*"]).await?;
    let key = bench.name("a.b");
    bench.publish(to_exchange(ExchangeKind::Topic, &key, "copy")).await?;
    for queue in [one, two] {
        // The copies are settled each for itself.
        bench.consume(&queue, 1).await?.ack_next("copy").await?;
    }
    Ok(())
}

async fn every_instance_gets_a_copy_of_a_broadcast(bench: &Bench) -> Checked {
    let mut consumers = Vec::new();
    for part in ["one", "two"] {
        let instance = bench.connect().await?;
        let name = bench.name(part);
        let mut topology = Topology::default();
        let kind = ExchangeKind::Topic;
        topology.exchange(exchange(kind), kind);
        topology.queue(Queue::new(&name).kind(QueueKind::Exclusive));
        topology.bind(exchange(kind), name.clone(), bench.name("a"));
        bench.declare_all_on(&instance, &topology).await?;
        consumers.push(bench.consume_on(&instance, &name, 1).await?);
    }
    let key = bench.name("a");
    bench.publish(to_exchange(ExchangeKind::Topic, &key, "to each")).await?;
    for consumer in &mut consumers {
        consumer.ack_next("to each").await?;
    }
    Ok(())
}
