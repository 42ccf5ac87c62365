//! Exchanges, queues and bindings on the broker.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};

use super::failure::{self, cause, code, codes, short, within};
use super::mismatch::describe;
use crate::transport::{
    Binding, Exchange, ExchangeKind, Queue, QueueKind, TransportError, TransportErrorKind,
};

/// Where a person sees what is asked for.
const LISTING: &str = "help: the command `topology` lists everything that this service declares";

/// One thing to declare.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
    Binding(&'a Binding),
}

/// Declares all items. Those that do not fit what exists are reported together.
///
/// They are sent at once and answered in order, which costs one round trip. A refusal closes the
/// channel and takes the rest with it; then they are asked one by one.
pub(super) async fn declare_all(
    connection: &Connection,
    items: &[Item<'_>],
    limit: Duration,
) -> Result<(), TransportError> {
    if items.is_empty() {
        return Ok(());
    }
    let channel = within(limit, "open a channel", connection.create_channel()).await?;
    let calls = items.iter().map(|item| item.call(&channel)).collect::<Result<Vec<_>, _>>()?;
    let at_once = async { join_all(calls).await.into_iter().collect::<lapin::Result<()>>() };
    match tokio::time::timeout(limit, at_once).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if !error.is_amqp_soft_error() => Err(failure::of(&error, "declare queues")),
        // A refusal, or a broker that is slow to make many queues.
        Ok(Err(_)) | Err(_) => one_by_one(connection, items, limit).await,
    }
}

async fn one_by_one(
    connection: &Connection,
    items: &[Item<'_>],
    limit: Duration,
) -> Result<(), TransportError> {
    let mut channel = None;
    let mut mismatches = Vec::new();
    for item in items {
        let open = match channel.take() {
            Some(open) => open,
            None => within(limit, "open a channel", connection.create_channel()).await?,
        };
        let doing = format!("declare {}", item.name());
        match tokio::time::timeout(limit, item.call(&open)?).await {
            Ok(Ok(())) => channel = Some(open),
            // The broker has closed the channel; the next item opens another.
            Ok(Err(error)) if code(&error) == Some(codes::PRECONDITION_FAILED) => {
                mismatches.push(describe(&item.name(), &cause(&error)));
            }
            // A binding of a queue that could not be declared is not a second problem.
            Ok(Err(error)) if code(&error) == Some(codes::NOT_FOUND) && !mismatches.is_empty() => {}
            Ok(Err(error)) => return Err(failure::of(&error, &doing)),
            Err(_) => {
                return Err(TransportError::new(
                    TransportErrorKind::Timeout,
                    format!("failed to {doing}: the broker did not answer within {limit:?}"),
                ));
            }
        }
    }
    match mismatches.as_slice() {
        [] => Ok(()),
        [one] => {
            Err(TransportError::new(TransportErrorKind::Mismatch, format!("{one}\n{LISTING}")))
        }
        many => Err(TransportError::new(
            TransportErrorKind::Mismatch,
            format!(
                "{} declarations do not fit what exists on the broker:\n- {}\n{LISTING}",
                many.len(),
                many.join("\n- ")
            ),
        )),
    }
}

impl Item<'_> {
    fn name(&self) -> String {
        match self {
            Self::Exchange(exchange) => format!("exchange `{}`", exchange.name),
            Self::Queue(queue) => format!("queue `{}`", queue.name),
            Self::Binding(binding) => format!(
                "the binding of queue `{}` to exchange `{}` by `{}`",
                binding.queue, binding.exchange, binding.pattern
            ),
        }
    }

    fn call(
        &self,
        channel: &Channel,
    ) -> Result<BoxFuture<'static, lapin::Result<()>>, TransportError> {
        let channel = channel.clone();
        Ok(match self {
            Self::Exchange(exchange) => {
                let (name, kind) = (short(&exchange.name, "exchange's name")?, kind(exchange.kind));
                let options =
                    ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
                Box::pin(async move {
                    channel.exchange_declare(name, kind, options, FieldTable::default()).await
                })
            }
            Self::Queue(queue) => {
                let (name, options) = (short(&queue.name, "queue's name")?, options(queue.kind));
                let arguments = arguments(queue);
                Box::pin(
                    async move { channel.queue_declare(name, options, arguments).await.map(drop) },
                )
            }
            Self::Binding(binding) => {
                let queue = short(&binding.queue, "queue's name")?;
                let exchange = short(&binding.exchange, "exchange's name")?;
                let pattern = short(&binding.pattern, "pattern")?;
                Box::pin(async move {
                    let options = QueueBindOptions::default();
                    channel
                        .queue_bind(queue, exchange, pattern, options, FieldTable::default())
                        .await
                })
            }
        })
    }
}

fn kind(kind: ExchangeKind) -> lapin::ExchangeKind {
    match kind {
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    }
}

fn options(kind: QueueKind) -> QueueDeclareOptions {
    let exclusive = kind == QueueKind::Exclusive;
    QueueDeclareOptions {
        durable: !exclusive,
        // Not with its last consumer: one whose channel was closed, or that is paused, comes back to it.
        exclusive,
        ..QueueDeclareOptions::default()
    }
}

/// The arguments of a queue; those of one that siblings declare too must equal theirs.
fn arguments(queue: &Queue) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut table = FieldTable::default();
    let mut set = |name: &'static str, value| {
        table.insert(ShortString::from(name), value);
    };
    match queue.kind {
        // From RabbitMQ 4 on, a quorum queue gives up a message after 20 deliveries unless it says
        // otherwise. With a dead-letter queue such a message is parked there, not dropped.
        QueueKind::Quorum => set("x-queue-type", text("quorum")),
        // The same as no argument, also to a queue that a sibling declared without it.
        QueueKind::Classic => set("x-queue-type", text("classic")),
        QueueKind::Exclusive => {}
    }
    if let Some(target) = &queue.dead_letter {
        set("x-dead-letter-exchange", text(""));
        set("x-dead-letter-routing-key", text(target));
        if queue.kind == QueueKind::Quorum {
            // The broker keeps the message until the dead-letter queue has confirmed it. Classic
            // queues cannot: a node that fails at that moment loses it.
            set("x-dead-letter-strategy", text("at-least-once"));
        }
    }
    if queue.kind == QueueKind::Quorum
        && let Some(limit) = queue.delivery_limit
    {
        set("x-delivery-limit", AMQPValue::LongInt(i32::try_from(limit).unwrap_or(i32::MAX)));
    }
    if queue.length_max.is_some()
        || (queue.kind == QueueKind::Quorum && queue.dead_letter.is_some())
    {
        // At-least-once dead-lettering requires it, and a limit must not drop what was accepted.
        set("x-overflow", text("reject-publish"));
    }
    if let Some(max) = queue.length_max {
        set("x-max-length", AMQPValue::LongLongInt(i64::try_from(max).unwrap_or(i64::MAX)));
    }
    if let Some(max) = queue.max_priority {
        set("x-max-priority", AMQPValue::LongInt(i32::from(max)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(queue: &Queue) -> Vec<String> {
        arguments(queue)
            .into_iter()
            .map(|(name, value)| match value {
                AMQPValue::LongString(text) => format!("{name}={text}"),
                AMQPValue::LongLongInt(number) => format!("{name}={number}"),
                AMQPValue::LongInt(number) => format!("{name}={number}"),
                other => format!("{name}={other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_quorum_queue_dead_letters_without_loss() {
        let queue = Queue::new("q").dead_letter("dlq.q");
        assert_eq!(
            shown(&queue),
            [
                "x-dead-letter-exchange=",
                "x-dead-letter-routing-key=dlq.q",
                "x-dead-letter-strategy=at-least-once",
                "x-overflow=reject-publish",
                "x-queue-type=quorum",
            ]
        );
    }

    #[test]
    fn a_dead_letter_queue_gives_nothing_up_and_knows_the_way_back() {
        let queue = Queue::new("dlq.q").dead_letter("q").delivery_limit(1_000_000);
        let shown = shown(&queue);
        assert!(shown.contains(&"x-delivery-limit=1000000".to_owned()), "{shown:?}");
        assert!(shown.contains(&"x-dead-letter-routing-key=q".to_owned()), "{shown:?}");
        assert!(shown.contains(&"x-dead-letter-strategy=at-least-once".to_owned()), "{shown:?}");
    }

    #[test]
    fn a_classic_queue_has_priorities_and_a_limit() {
        let queue = Queue::new("q").kind(QueueKind::Classic).max_priority(9).length_max(100);
        assert_eq!(
            shown(&queue),
            [
                "x-max-length=100",
                "x-max-priority=9",
                "x-overflow=reject-publish",
                "x-queue-type=classic"
            ]
        );
    }

    #[test]
    fn an_exclusive_queue_goes_with_its_connection() {
        let queue = Queue::new("q").kind(QueueKind::Exclusive);
        assert!(shown(&queue).is_empty());
        let options = options(queue.kind);
        assert!(options.exclusive && !options.auto_delete && !options.durable);
    }
}
