//! A dead letter, as its headers tell of it.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use crate::contract::headers::{BrokerDeath, names};
use crate::contract::{HeaderValue, Headers, Text};
use crate::transport::{Delivery, Properties};

/// A message in a dead-letter queue. What nobody wrote down is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message's id.
    pub id: Option<String>,
    /// The message's type.
    pub message_type: Option<String>,
    /// A short word for why: ours, such as `retries_exhausted`, or the broker's, such as `expired`;
    /// `unknown` where nobody said.
    pub reason: String,
    /// What a person reads.
    pub error: Option<String>,
    /// When it died.
    pub time: Option<Timestamp>,
    /// How many attempts were made.
    pub attempts: Option<u32>,
    /// The queue that it failed in.
    pub queue: Option<String>,
    /// The service and handler that gave up.
    pub handler: Option<String>,
    /// What the message belongs to.
    pub correlation_id: Option<String>,
    /// The size of its body.
    pub bytes: usize,
}

impl DeadLetter {
    /// Reads what is known. `origins` are the queues whose failed messages come here.
    pub(super) fn of(delivery: &Delivery, origins: &[String]) -> Self {
        let Properties { message_id, message_type, correlation_id, headers, .. } =
            &delivery.properties;
        let mut letter = Self {
            id: message_id.as_ref().map(Text::to_string),
            message_type: message_type.as_ref().map(Text::to_string),
            reason: "unknown".to_owned(),
            error: None,
            time: None,
            attempts: None,
            queue: None,
            handler: None,
            correlation_id: correlation_id.as_ref().map(Text::to_string),
            bytes: delivery.body.len(),
        };
        match headers.broker_death() {
            Some(death) if is_newest(&death, headers, origins) => letter.died_by_broker(&death),
            _ => letter.died_by_service(headers),
        }
        letter
    }

    fn died_by_broker(&mut self, death: &BrokerDeath<'_>) {
        death.reason.clone_into(&mut self.reason);
        self.queue = Some(death.queue.to_owned());
        let seconds = death.time.and_then(|seconds| i64::try_from(seconds).ok());
        self.time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    }

    fn died_by_service(&mut self, headers: &Headers) {
        let text = |name| headers.text(name).map(str::to_owned);
        if let Some(reason) = text(names::DEATH_REASON) {
            self.reason = reason;
        }
        self.error = text(names::DEATH_ERROR);
        self.time = headers.text(names::DEATH_TIME).and_then(|time| time.parse().ok());
        let attempts = headers.get(names::DEATH_ATTEMPTS).and_then(HeaderValue::as_i64);
        self.attempts = attempts.and_then(|attempts| u32::try_from(attempts).ok());
        self.queue = text(names::DEATH_QUEUE);
        self.handler = text(names::DEATH_HANDLER);
    }
}

/// True if the broker's word is about the last death. A copy that a service parks carries no earlier
/// word of the broker; a message that the broker moved may well carry an earlier one of the service.
fn is_newest(death: &BrokerDeath<'_>, headers: &Headers, origins: &[String]) -> bool {
    headers.get(names::DEATH_QUEUE).is_none() || origins.iter().any(|origin| origin == death.queue)
}

/// A dead letter with all that came with it. `Debug` does not show the body.
#[derive(Clone)]
#[non_exhaustive]
pub struct ShownLetter {
    /// What is known of its death.
    pub letter: DeadLetter,
    /// Its properties and headers.
    pub properties: Properties,
    /// The body as it came.
    pub body: Bytes,
}

impl fmt::Debug for ShownLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownLetter").field("letter", &self.letter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Tag;

    fn delivery(headers: Headers) -> Delivery {
        let properties = Properties { headers, ..Properties::default() };
        Delivery::new(Tag(1), "dlq.q", properties, "12345".into())
    }

    fn broker_death(queue: &str, reason: &str) -> Headers {
        let mut table = Headers::new();
        table.set("queue", queue);
        table.set("reason", reason);
        table.set("time", HeaderValue::Time(1_700_000_000));
        let mut headers = Headers::new();
        headers.set("x-death", HeaderValue::List(vec![HeaderValue::Table(table)]));
        headers
    }

    fn origins() -> [String; 1] {
        ["q".to_owned()]
    }

    #[test]
    fn a_death_by_the_broker_is_read_from_its_list() {
        let letter = DeadLetter::of(&delivery(broker_death("q", "delivery_limit")), &origins());
        assert_eq!(
            (letter.reason.as_str(), letter.queue.as_deref()),
            ("delivery_limit", Some("q"))
        );
        assert_eq!(letter.time, Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(letter.bytes, 5);
    }

    #[test]
    fn an_older_word_of_the_service_does_not_stand_for_a_death_by_the_broker() {
        let mut headers = broker_death("q", "expired");
        headers.set(names::DEATH_QUEUE, "q");
        headers.set(names::DEATH_REASON, "timeout");
        headers.set(names::DEATH_ERROR, "too late");
        let letter = DeadLetter::of(&delivery(headers), &origins());
        assert_eq!((letter.reason.as_str(), letter.error), ("expired", None));
    }

    #[test]
    fn a_death_elsewhere_does_not_hide_the_service_s_own_word() {
        let mut headers = broker_death("foreign.delay", "expired");
        headers.set(names::DEATH_QUEUE, "q");
        headers.set(names::DEATH_REASON, "timeout");
        headers.set(names::DEATH_ATTEMPTS, 3);
        let letter = DeadLetter::of(&delivery(headers), &origins());
        assert_eq!((letter.reason.as_str(), letter.attempts), ("timeout", Some(3)));
    }

    #[test]
    fn what_nobody_wrote_is_missing() {
        let letter = DeadLetter::of(&delivery(Headers::new()), &origins());
        assert_eq!((letter.reason.as_str(), letter.id, letter.time), ("unknown", None, None));
    }
}
