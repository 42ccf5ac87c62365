//! Time, priority, length.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, ensure_refused, to_queue};
use super::consumer::waited;
use crate::transport::{Outgoing, PublishErrorKind, Queue, QueueKind, Settlement};

list![
    an_expired_message_is_not_delivered [Ttl],
    an_expired_message_goes_to_the_dead_letter_queue [Ttl, DeadLetter],
    a_message_is_delivered_before_its_time_is_over [Ttl],
    a_dead_letter_does_not_expire [Ttl, DeadLetter],
    a_higher_priority_overtakes [Priority],
    messages_of_one_priority_keep_their_order [Priority],
    a_full_queue_refuses_and_keeps_what_it_holds [LengthLimit],
    a_queue_with_room_again_takes_messages_again [LengthLimit],
];

/// The time to live of messages that are to expire.
const SHORT_MS: u64 = 200;
/// When they have certainly expired.
const AFTER: Duration = Duration::from_millis(600);
/// The limit of the queues that are to be filled.
const LENGTH_MAX: u64 = 5;
/// How much above its limit a replicated queue may go before it notices.
const LENGTH_SLACK: u64 = 45;

fn expiring(queue: &str, body: &str, expiration_ms: u64) -> Outgoing {
    let mut outgoing = to_queue(queue, body);
    outgoing.properties.expiration_ms = Some(expiration_ms);
    outgoing
}

fn urgent(queue: &str, body: &str, priority: u8) -> Outgoing {
    let mut outgoing = to_queue(queue, body);
    outgoing.properties.priority = Some(priority);
    outgoing
}

/// A queue and its dead-letter queue.
async fn queue_with_dead_letters(bench: &Bench) -> Result<(String, String), Failure> {
    let (queue, dead) = (bench.name("q"), bench.queue("dead").await?);
    bench.declare(Queue::new(&queue).dead_letter(&dead)).await?;
    Ok((queue, dead))
}

/// A queue with priorities up to 9.
async fn queue_with_priorities(bench: &Bench) -> Result<String, Failure> {
    let queue = bench.name("q");
    let classic = Queue::new(&queue).kind(QueueKind::Classic);
    bench.declare(classic.max_priority(9)).await?;
    Ok(queue)
}

/// Publishes numbers until the broker refuses one; says how many it took.
async fn fill_up(bench: &Bench, queue: &str) -> Result<u64, Failure> {
    bench.declare(Queue::new(queue).length_max(LENGTH_MAX)).await?;
    for number in 0..LENGTH_MAX + LENGTH_SLACK {
        let outcome = bench.try_publish(to_queue(queue, number.to_string())).await?;
        if outcome.is_err() {
            ensure_refused(outcome, PublishErrorKind::Refused)?;
            return Ok(number);
        }
    }
    Err(Failure::new(format!(
        "the limit is {LENGTH_MAX}, and {} messages were taken",
        LENGTH_MAX + LENGTH_SLACK
    )))
}

async fn an_expired_message_is_not_delivered(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.publish(expiring(&queue, "stale", SHORT_MS)).await?;
    bench.fill(&queue, &["fresh"]).await?;
    sleep(AFTER).await;
    bench.consume(&queue, 1).await?.ack_next("fresh").await
}

async fn an_expired_message_goes_to_the_dead_letter_queue(bench: &Bench) -> Checked {
    let (queue, dead) = queue_with_dead_letters(bench).await?;
    // Nobody consumes the queue itself, and the consumer of its dead letters is only waiting.
    let waiting = bench.consume(&dead, 1).await?.wait_apart().await;
    let began = Instant::now();
    bench.publish(expiring(&queue, "stale", SHORT_MS)).await?;
    let (mut consumer, delivery) = waited(waiting, "stale").await?;
    let waited_ms = began.elapsed().as_millis();
    ensure!(
        waited_ms + 10 >= u128::from(SHORT_MS),
        "it was to live {SHORT_MS} ms and was dead after {waited_ms} ms"
    );
    consumer.settle(&delivery, Settlement::Ack).await?;
    drop(consumer);
    bench.ensure_empty(&dead).await
}

async fn a_message_is_delivered_before_its_time_is_over(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    bench.publish(expiring(&queue, "in time", 600_000)).await?;
    sleep(AFTER).await;
    bench.consume(&queue, 1).await?.ack_next("in time").await
}

async fn a_dead_letter_does_not_expire(bench: &Bench) -> Checked {
    let (queue, dead) = queue_with_dead_letters(bench).await?;
    bench.publish(expiring(&queue, "stale", SHORT_MS)).await?;
    sleep(AFTER).await;
    sleep(AFTER).await;
    bench.consume(&dead, 1).await?.ack_next("stale").await
}

async fn a_higher_priority_overtakes(bench: &Bench) -> Checked {
    let queue = queue_with_priorities(bench).await?;
    for (body, priority) in [("low", 1), ("high", 9), ("middle", 5)] {
        bench.publish(urgent(&queue, body, priority)).await?;
    }
    bench.fill(&queue, &["none"]).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    for body in ["high", "middle", "low", "none"] {
        consumer.ack_next(body).await?;
    }
    Ok(())
}

async fn messages_of_one_priority_keep_their_order(bench: &Bench) -> Checked {
    let queue = queue_with_priorities(bench).await?;
    for body in ["1", "2", "3", "4"] {
        bench.publish(urgent(&queue, body, 4)).await?;
    }
    let mut consumer = bench.consume(&queue, 1).await?;
    for body in ["1", "2", "3", "4"] {
        consumer.ack_next(body).await?;
    }
    Ok(())
}

async fn a_full_queue_refuses_and_keeps_what_it_holds(bench: &Bench) -> Checked {
    let queue = bench.name("q");
    let taken = fill_up(bench, &queue).await?;
    ensure!(taken >= LENGTH_MAX, "the limit is {LENGTH_MAX}, and only {taken} were taken");
    let mut consumer = bench.consume(&queue, 1).await?;
    for number in 0..taken {
        consumer.ack_next(&number.to_string()).await?;
    }
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn a_queue_with_room_again_takes_messages_again(bench: &Bench) -> Checked {
    let queue = bench.name("q");
    let taken = fill_up(bench, &queue).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    for number in 0..taken {
        consumer.ack_next(&number.to_string()).await?;
    }
    // A replicated queue notices late that it has room.
    let give_up = Instant::now() + Duration::from_secs(10);
    while let Err(error) = bench.try_publish(to_queue(&queue, "fits")).await? {
        ensure!(Instant::now() < give_up, "the queue is empty and still refuses: {error}");
        sleep(Duration::from_millis(20)).await;
    }
    consumer.ack_next("fits").await
}
