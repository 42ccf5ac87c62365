//! Messages that RabbitMQ keeps back for a while, without a plugin.
//!
//! A message waits in a queue whose time to live is a fixed step, and which then dead-letters it to
//! the queue that its routing key names. All messages of such a queue wait equally long, so none
//! blocks another: a wait of a second does not stand behind one of an hour. There are 34 steps, two
//! for every doubling from one second to 27 hours, whatever waits are asked for; a queue is
//! made when its step is first needed, and all services of a virtual host share it.
//!
//! A wait is rounded down to a step, at least two thirds of it; the receiver sees from the message
//! that it came early, and delays the rest. So any wait takes a few hops and is kept exactly.
//!
//! The queues are quorum queues that dead-letter at least once: they survive a restart of the broker,
//! and keep a message until its target has confirmed it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};

use super::failure::within;
use super::mismatch::describe;
use crate::transport::{TransportError, TransportErrorKind};

/// What the names of the queues, and of the exchanges before them, begin with.
pub(super) const PREFIX: &str = "mmate.delay.";

/// How many steps there are.
const STEPS: usize = 34;

/// One of the fixed waits, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step(usize);

impl Step {
    /// The longest step that is not longer than the wait; the shortest for waits below it.
    pub(super) fn within(wait: Duration) -> Self {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let longest = (0..STEPS).rev().find(|step| Self(*step).millis() <= wait_ms);
        Self(longest.unwrap_or(0))
    }

    /// 1, 1.5, 2, 3, 4, 6, 8, .. seconds.
    pub(super) const fn millis(self) -> u64 {
        let octave = 1_000 << (self.0 / 2);
        if self.0.is_multiple_of(2) { octave } else { octave + octave / 2 }
    }

    /// The name of the queue, and of the exchange before it.
    pub(super) fn name(self) -> String {
        format!("{PREFIX}{}ms", self.millis())
    }
}

/// Which steps have their queue.
#[derive(Debug, Default)]
pub(super) struct DelayQueues(AtomicU64);

impl DelayQueues {
    /// True if the queue was there when it was last looked for.
    pub(super) fn knows(&self, step: Step) -> bool {
        self.0.load(Ordering::Acquire) & (1 << step.0) != 0
    }

    /// Somebody deleted it.
    pub(super) fn forget(&self, step: Step) {
        self.0.fetch_and(!(1 << step.0), Ordering::AcqRel);
    }

    /// Makes the queue of a step, or finds it as described.
    pub(super) async fn declare(
        &self,
        step: Step,
        connection: &Connection,
        limit: Duration,
    ) -> Result<(), TransportError> {
        let name = step.name();
        let make = async {
            let channel = connection.create_channel().await?;
            declare(&channel, &name, step.millis()).await
        };
        let made = within(limit, &format!("declare the delay queue `{name}`"), make).await;
        made.map_err(|error| match error.kind() {
            kind @ TransportErrorKind::Mismatch => {
                TransportError::new(kind, describe(&format!("queue `{name}`"), &error.to_string()))
            }
            _ => error,
        })?;
        self.0.fetch_or(1 << step.0, Ordering::AcqRel);
        Ok(())
    }
}

async fn declare(channel: &Channel, name: &str, ttl_ms: u64) -> lapin::Result<()> {
    let name = ShortString::from(name);
    // A fanout, so that the routing key stays free for the target: the queue dead-letters to the
    // default exchange and keeps the key.
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let fanout = ExchangeKind::Fanout;
    channel.exchange_declare(name.clone(), fanout, durable, FieldTable::default()).await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), durable, arguments(ttl_ms)).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.clone(), name, ShortString::from(""), bind, FieldTable::default()).await
}

/// No `x-expires`: a queue that vanished would take what waits in it along.
fn arguments(ttl_ms: u64) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut table = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", text("quorum")),
        ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(ttl_ms).unwrap_or(i64::MAX))),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ] {
        table.insert(ShortString::from(name), value);
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_two_steps_for_every_doubling() {
        let steps: Vec<u64> = (0..STEPS).map(|step| Step(step).millis()).collect();
        assert_eq!(steps[..6], [1_000, 1_500, 2_000, 3_000, 4_000, 6_000]);
        assert_eq!(steps[STEPS - 1], 98_304_000);
        assert_eq!(Step(1).name(), "mmate.delay.1500ms");
    }

    #[test]
    fn a_queue_is_known_until_it_is_missed() {
        let (queues, first, last) = (DelayQueues::default(), Step(0), Step(STEPS - 1));
        queues.0.store(1 | 1 << last.0, Ordering::Release);
        assert!(queues.knows(first) && queues.knows(last) && !queues.knows(Step(1)));
        queues.forget(first);
        assert!(!queues.knows(first) && queues.knows(last));
    }

    proptest! {
        #[test]
        fn a_step_is_never_too_long_and_takes_most_of_the_wait(wait_ms in 1_000_u64..98_304_000) {
            let step = Step::within(Duration::from_millis(wait_ms)).millis();
            prop_assert!(step <= wait_ms);
            prop_assert!(step * 3 >= wait_ms * 2 || step * 3 + 3 >= wait_ms * 2);
        }

        #[test]
        fn any_wait_ends_after_few_hops(wait_ms in 0_u64..=7 * 24 * 3_600_000) {
            let (mut left, mut hops) = (wait_ms, 0);
            while left > 1_000 {
                left -= Step::within(Duration::from_millis(left)).millis();
                hops += 1;
            }
            prop_assert!(hops <= 17, "{hops} hops for {wait_ms} ms");
        }
    }
}
