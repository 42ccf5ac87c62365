//! Starting a consumer: a channel, its prefetch, and the broker's word that it consumes.

use std::sync::Arc;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};

use super::config::AmqpConfig;
use super::connect::Established;
use super::declare::{Item, declare_all};
use super::exclusive::Remembered;
use super::failure::{short, within};
use super::link::Link;
use super::subscription::{AmqpSubscription, Parts};
use crate::transport::{SubscribeOptions, TransportError, TransportErrorKind};

/// Consumes a queue. `owned` is the queue's description if it belongs to this connection alone.
pub(super) async fn subscribe(
    established: &Established,
    options: SubscribeOptions,
    owned: Option<Remembered>,
    link: &Link,
    config: &AmqpConfig,
) -> Result<AmqpSubscription, TransportError> {
    let SubscribeOptions { queue, prefetch, consumer, auto_ack } = options;
    let Established { connection, place, .. } = established;
    let place = Arc::clone(place);
    if let Some(owned) = &owned {
        // It went with the last connection.
        let items: Vec<Item<'_>> = owned.items().collect();
        declare_all(connection, &items, config.call_timeout).await?;
    }
    let name = short(&queue, "queue's name")?;
    let how = BasicConsumeOptions { no_ack: auto_ack, ..BasicConsumeOptions::default() };
    let start = async {
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let consumer = channel
            .basic_consume(name, consumer_tag(&consumer), how, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    };
    let doing = format!("consume queue `{queue}`");
    let started = within(config.call_timeout, &doing, start).await;
    let (channel, consumer) = started.map_err(|error| match error.kind() {
        kind @ TransportErrorKind::Timeout => {
            let hint = leaderless(&established.vhost, &queue);
            TransportError::new(kind, format!("{error}; {hint}"))
        }
        _ => error,
    })?;
    tracing::debug!(broker = %place, %queue, prefetch, "consuming");
    Ok(AmqpSubscription::new(Parts {
        consumer,
        channel,
        queue,
        place,
        prefetch,
        auto_ack,
        call_timeout: config.call_timeout,
        ack_delay: config.ack_delay,
        closing: link.closing(),
    }))
}

/// What an operator does about a queue that never answers while others do.
fn leaderless(vhost: &str, queue: &str) -> String {
    // As RabbitMQ names the process of a quorum queue.
    let vhost = if vhost == "/" { "%2F" } else { vhost };
    format!(
        "if this goes on and other queues are consumed, it is a quorum queue without a leader: restart the broker's node, or run `rabbitmqctl eval \"ra:trigger_election({{'{vhost}_{queue}', node()}}).\"` on it"
    )
}

/// The consumer's name, as much of it as fits.
fn consumer_tag(name: &str) -> ShortString {
    let mut end = name.len().min(255);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_of_a_queue_without_a_leader_can_be_copied() {
        let hint = leaderless("/", "cmd.shop.Pay");
        assert!(hint.contains("ra:trigger_election({'%2F_cmd.shop.Pay', node()})."), "{hint}");
        assert!(leaderless("orders", "q").contains("{'orders_q', node()}"));
    }
}
