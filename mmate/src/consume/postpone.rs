//! The copy of a message that waits at the broker for its next attempt.
//!
//! Short waits stay in the process: they hold a place of the prefetch, and a queue would cost more than
//! they last. Longer ones go to the broker, where they survive a restart of both and hold nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::contract::HeaderValue;
use crate::contract::address::Address;
use crate::contract::headers::names;
use crate::transport::{Delivery, Outgoing};

/// The longest wait that a process keeps to itself.
pub(super) const IN_PROCESS_MAX: Duration = Duration::from_secs(1);

/// The longest wait between two attempts, whatever a policy, an error or a header asks for.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The copy: body, id, correlation, content type and priority as they came, own headers added to a
/// copy of the headers. The expiration is left out: it said how long the message may wait for its
/// first attempt, and that is made.
pub(super) fn copy(
    delivery: &Delivery,
    queue: &str,
    attempt: u32,
    not_before: Timestamp,
    wait: Duration,
) -> Outgoing {
    let mut properties = delivery.properties.clone();
    properties.expiration_ms = None;
    let headers = &mut properties.headers;
    headers.remove_broker_deaths();
    headers.set(names::ATTEMPT, attempt);
    headers.set(names::NOT_BEFORE, not_before.as_millisecond());
    if headers.get(names::ORIGINAL_ROUTING_KEY).is_none() {
        headers.set(names::ORIGINAL_EXCHANGE, delivery.exchange.as_str());
        headers.set(names::ORIGINAL_ROUTING_KEY, delivery.routing_key.as_str());
    }
    Outgoing::new(Address::queue(queue), properties, delivery.body.clone()).delayed(wait)
}

/// The moment that lies a wait from now.
pub(super) fn moment(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// How long a message must still wait, if it came before its time. What is no time at all is refused
/// when the message is opened; a time that no wait of ours reaches is as good as the longest wait.
pub(super) fn wait_left(delivery: &Delivery, now: impl FnOnce() -> Timestamp) -> Option<Duration> {
    let headers = &delivery.properties.headers;
    let due = headers.get(names::NOT_BEFORE).and_then(HeaderValue::as_i64)?;
    let left = u64::try_from(due.saturating_sub(now().as_millisecond())).ok()?;
    (left > 0).then(|| Duration::from_millis(left).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::{Properties, Tag};

    fn delivery(not_before: impl Into<HeaderValue>) -> Delivery {
        let mut properties = Properties::default();
        properties.headers.set(names::NOT_BEFORE, not_before);
        Delivery::new(Tag(1), "q", properties, Bytes::new())
    }

    #[test]
    fn a_message_waits_until_its_time_and_never_longer_than_the_limit() {
        let now = || Timestamp::from_millisecond(10_000).unwrap();
        assert_eq!(wait_left(&delivery(10_250_i64), now), Some(Duration::from_millis(250)));
        assert_eq!(wait_left(&delivery(10_000_i64), now), None);
        assert_eq!(wait_left(&delivery(i64::MIN), now), None);
        assert_eq!(wait_left(&delivery(i64::MAX), now), Some(WAIT_MAX));
        assert_eq!(wait_left(&delivery("soon"), now), None);
    }

    #[test]
    fn a_copy_remembers_where_the_first_one_came_from() {
        let mut first = delivery(0_i64);
        first.exchange = "mmate.events".to_owned();
        let mut second = first.clone();
        second.properties = copy(&first, "queue", 2, Timestamp::UNIX_EPOCH, WAIT_MAX).properties;
        (second.exchange, second.routing_key) = (String::new(), "queue".to_owned());
        let third = copy(&second, "queue", 3, Timestamp::UNIX_EPOCH, WAIT_MAX).properties.headers;
        assert_eq!(third.text(names::ORIGINAL_EXCHANGE), Some("mmate.events"));
        assert_eq!(third.text(names::ORIGINAL_ROUTING_KEY), Some("q"));
        assert_eq!(third.get(names::ATTEMPT), Some(&HeaderValue::Int(3)));
    }
}
