//! Three hops written by hand: each takes a message, changes the order in it, publishes it to the next queue with a
//! confirm, and acknowledges. With a database, it updates a row in between.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Result;
use crate::workflow::{CONCURRENCY, CONNECTIONS, Clock, Order};

/// The queues of the hops.
const QUEUES: [&str; 3] = ["flows.hand.0", "flows.hand.1", "flows.hand.2"];

/// What travels: as much as a stage message of the workflow holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Hop {
    id: Uuid,
    position: i64,
    order: Order,
    padding: String,
}

/// Hops that run.
pub(crate) struct Hops {
    publish: Channel,
    pool: Option<PgPool>,
    clock: Clock,
    padding: String,
    connections: Vec<Connection>,
    /// Outlive their connection: the library does not close one gladly while a channel of it is being closed.
    channels: Vec<Channel>,
    tasks: JoinSet<()>,
}

impl Hops {
    /// Starts the hops. `padding` makes each message as large as the workflow's.
    pub(crate) async fn start(
        amqp: &str,
        postgres: Option<&str>,
        clock: &Clock,
        padding: usize,
    ) -> Result<Self> {
        let inbound = Connection::connect(amqp, ConnectionProperties::default()).await?;
        let outbound = Connection::connect(amqp, ConnectionProperties::default()).await?;
        let publish = outbound.create_channel().await?;
        publish.confirm_select(ConfirmSelectOptions::default()).await?;
        let pool = match postgres {
            Some(url) => Some(pool(url).await?),
            None => None,
        };
        let (mut tasks, mut channels) = (JoinSet::new(), Vec::new());
        for (step, queue) in QUEUES.into_iter().enumerate() {
            let channel = inbound.create_channel().await?;
            declare(&channel, queue).await?;
            channel.basic_qos(128, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consumer = channel
                .basic_consume(queue.into(), queue.into(), options, FieldTable::default())
                .await?;
            channels.push(channel);
            let (publish, clock, pool) = (publish.clone(), clock.clone(), pool.clone());
            let shared = Arc::new((publish, clock, pool));
            tasks.spawn(async move {
                consumer
                    .for_each_concurrent(usize::from(CONCURRENCY), |delivery| {
                        let shared = Arc::clone(&shared);
                        async move {
                            let (publish, clock, pool) = &*shared;
                            let Ok(delivery) = delivery else { return };
                            if let Err(error) =
                                hop(step, delivery, publish, pool.as_ref(), clock).await
                            {
                                eprintln!("a hop failed: {error}");
                            }
                        }
                    })
                    .await;
            });
        }
        let connections = vec![inbound, outbound];
        let padding = "x".repeat(padding);
        let clock = clock.clone();
        Ok(Self { publish, pool, clock, padding, connections, channels, tasks })
    }

    /// Starts one that goes through all hops.
    pub(crate) async fn begin(&self, number: u32) -> Result {
        let id = Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number));
        let hop = Hop { id, position: 0, order: Order::new(number), padding: self.padding.clone() };
        let body = serde_json::to_vec(&hop)?;
        if let Some(pool) = &self.pool {
            let text = String::from_utf8(body.clone())?;
            sqlx::query("insert into flows_hand (id, position, book) values ($1, 0, $2)")
                .bind(id)
                .bind(text)
                .execute(pool)
                .await?;
        }
        self.clock.begin(id);
        publish(&self.publish, QUEUES[0], id, &body).await
    }

    pub(crate) async fn stop(mut self) -> Result {
        self.tasks.shutdown().await;
        for connection in &self.connections {
            connection.close(200, "done".into()).await?;
        }
        drop(self.channels);
        if let Some(pool) = &self.pool {
            sqlx::query("truncate flows_hand").execute(pool).await?;
            pool.close().await;
        }
        Ok(())
    }
}

async fn pool(url: &str) -> Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    let table = "create table if not exists flows_hand (id uuid primary key, position bigint not null, book text not null)";
    sqlx::query(table).execute(&pool).await?;
    Ok(pool)
}

async fn declare(channel: &Channel, queue: &str) -> Result {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, arguments).await?;
    Ok(())
}

async fn hop(
    step: usize,
    delivery: Delivery,
    channel: &Channel,
    pool: Option<&PgPool>,
    clock: &Clock,
) -> Result {
    let mut hop: Hop = serde_json::from_slice(&delivery.data)?;
    match step {
        0 => hop.order.reserved = true,
        1 => hop.order.charged = true,
        _ => {
            hop.order.shipped = true;
            clock.end(hop.id);
        }
    }
    let before = hop.position;
    hop.position += 1;
    let body = serde_json::to_vec(&hop)?;
    if let Some(pool) = pool {
        let text = String::from_utf8(body.clone())?;
        sqlx::query(
            "update flows_hand set position = $1, book = $2 where id = $3 and position = $4",
        )
        .bind(hop.position)
        .bind(text)
        .bind(hop.id)
        .bind(before)
        .execute(pool)
        .await?;
    }
    if let Some(next) = QUEUES.get(step + 1) {
        publish(channel, next, hop.id, &body).await?;
    }
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, id: Uuid, body: &[u8]) -> Result {
    let id = id.to_string();
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await?;
    confirm.await?;
    Ok(())
}
