//! Messages that come back from the dead-letter queue.

use crate::contract::Headers;
use crate::contract::headers::names;

/// True if the last thing that happened to a message was that the broker moved it out of the
/// dead-letter queue: somebody sent it back to be handled again.
///
/// RabbitMQ says so in its list of deaths, which no copy of ours carries on; the in-memory broker in
/// the same headers in which we say it.
pub(super) fn replayed_from(headers: &Headers, dead_letter_queue: &str) -> bool {
    match headers.broker_death() {
        Some(death) => death.queue == dead_letter_queue,
        None => headers.text(names::DEATH_QUEUE) == Some(dead_letter_queue),
    }
}

/// Removes what an earlier life wrote, so that attempts are counted from 1 and the next dead letter
/// tells of nothing but its own death. The place of origin stays: it is the same one.
pub(crate) fn forget_death(headers: &mut Headers) {
    for name in [
        names::ATTEMPT,
        names::NOT_BEFORE,
        names::SIBLING_ATTEMPTS,
        // Whoever asked has gone; somebody else wants it done now.
        names::DEADLINE,
        names::DEATH_REASON,
        names::DEATH_ERROR,
        names::DEATH_QUEUE,
        names::DEATH_TIME,
        names::DEATH_ATTEMPTS,
        names::DEATH_HANDLER,
    ] {
        headers.remove(name);
    }
    headers.remove_broker_deaths();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::HeaderValue;

    fn deaths(queues: &[&str]) -> Headers {
        let entry = |queue: &&str| {
            let mut table = Headers::new();
            table.set("queue", *queue);
            table.set("reason", "rejected");
            HeaderValue::Table(table)
        };
        let mut headers = Headers::new();
        headers.set("x-death", HeaderValue::List(queues.iter().map(entry).collect()));
        headers
    }

    #[test]
    fn only_the_newest_death_counts() {
        assert!(replayed_from(&deaths(&["dlq.q", "q"]), "dlq.q"));
        assert!(!replayed_from(&deaths(&["q", "dlq.q"]), "dlq.q"));
        assert!(!replayed_from(&Headers::new(), "dlq.q"));
        let mut ours = Headers::new();
        ours.set(names::DEATH_QUEUE, "dlq.q");
        assert!(replayed_from(&ours, "dlq.q"));
        assert!(!replayed_from(&ours, "dlq.other"));
    }

    #[test]
    fn nothing_is_left_of_an_earlier_death_but_the_origin() {
        let mut headers = deaths(&["dlq.q"]);
        for name in ["x-first-death-queue", names::ATTEMPT, names::DEATH_ERROR, names::NOT_BEFORE] {
            headers.set(name, "1");
        }
        headers.set(names::ORIGINAL_ROUTING_KEY, "evt.order");
        headers.set("tenant", "a");
        forget_death(&mut headers);
        let left: Vec<_> = headers.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(left, [names::ORIGINAL_ROUTING_KEY, "tenant"]);
    }
}
