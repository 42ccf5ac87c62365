//! What both sides need from the broker and what is never timed: its version, the queue, its filling.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ::lapin::message::Delivery;
use ::lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use ::lapin::types::FieldTable;
use ::lapin::uri::AMQPUri;
use ::lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::Result;
use crate::lapin::answering::check;
use crate::lapin::publish::publish;
use crate::lapin::wire::Dress;
use crate::message::OrderPlaced;
use crate::mmate::service::Service;

/// How long the broker may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a message may take to arrive that is looked at.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The queue of a contest, over a connection that is not measured.
#[derive(Debug)]
pub(crate) struct Scene {
    queue: &'static str,
    connection: Connection,
    channel: Channel,
}

impl Scene {
    /// Makes exchanges and the queue afresh, exactly as Mmate makes them for the service.
    pub(crate) async fn open(service: &Service) -> Result<Arc<Self>> {
        let queue = service.queue();
        let connection = connect(&service.url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let scene = Arc::new(Self { queue, connection, channel });
        scene.delete().await?;
        service.declare().await?;
        Ok(scene)
    }

    /// Puts messages into the queue and waits until the broker has them.
    pub(crate) async fn fill(&self, order: &OrderPlaced, messages: u32) -> Result {
        self.purge().await?;
        publish(&self.channel, order, messages, Dress::MMATE).await
    }

    /// Empties the queue.
    pub(crate) async fn purge(&self) -> Result {
        self.channel.queue_purge(self.queue.into(), QueuePurgeOptions::default()).await?;
        Ok(())
    }

    /// A message of the queue, taken out of it.
    pub(crate) async fn take_one(&self) -> Result<Delivery> {
        self.take_from(self.queue).await
    }

    /// A message of any queue, taken out of it as soon as there is one.
    pub(crate) async fn take_from(&self, queue: &str) -> Result<Delivery> {
        let options = BasicGetOptions { no_ack: true };
        let taking = async {
            loop {
                if let Some(found) = self.channel.basic_get(queue.into(), options).await? {
                    return Ok(found.delivery);
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(ARRIVAL_TIMEOUT, taking).await;
        found.map_err(|_| format!("nothing came into `{queue}`"))?
    }

    /// Makes a queue that goes with the scene, for answers that are looked at.
    pub(crate) async fn declare_exclusive(&self, queue: &str) -> Result {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        Ok(())
    }

    /// Puts a message of one's own into the queue.
    pub(crate) async fn send(&self, body: &[u8], properties: BasicProperties) -> Result {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let key = self.queue.into();
        let confirm = self.channel.basic_publish("".into(), key, options, body, properties).await?;
        check(confirm.await?)
    }

    /// Removes the queue and ends the connection.
    pub(crate) async fn close(&self) -> Result {
        self.delete().await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    async fn delete(&self) -> Result {
        for queue in
            [self.queue.to_owned(), mmate::contract::address::dead_letter_queue(self.queue)]
        {
            self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

/// A connection of the hand-written programs.
pub(crate) async fn connect(url: &str) -> Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

/// The version that the broker says in the first frame of a connection; the library keeps it to itself.
pub(crate) async fn version(url: &str) -> Result<String> {
    let uri: AMQPUri = url.parse()?;
    let greeting = tokio::task::spawn_blocking(move || greeting(&uri)).await??;
    let field = b"\x07versionS";
    let found = greeting.windows(field.len()).position(|window| window == field);
    let version = found.and_then(|at| {
        let value = greeting.get(at + field.len()..)?;
        let length = u32::from_be_bytes(value.get(..4)?.try_into().ok()?);
        std::str::from_utf8(value.get(4..4 + usize::try_from(length).ok()?)?).ok()
    });
    Ok(format!("RabbitMQ {}", version.unwrap_or("of unknown version")))
}

fn greeting(uri: &AMQPUri) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port))?;
    stream.set_read_timeout(Some(VERSION_TIMEOUT))?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    let mut head = [0; 7];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut frame = vec![0; usize::try_from(length)?.min(1 << 17)];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
