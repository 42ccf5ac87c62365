//! Asking as fast as the AMQP library allows: one reply queue, a task that takes answers from it, which need no acks since
//! the queue ends with its connection, and finds who waits for each in a table, confirms that nobody stands in line for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::lapin::message::Delivery;
use ::lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use ::lapin::types::{FieldTable, ShortString};
use ::lapin::{Channel, Connection, Consumer, PublisherConfirm};
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;
use mmate::contract::address::exchanges::QUERIES;
use mmate::prelude::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answering::{Answering, check};
use super::inlet::subscribe_without_acks;
use super::question::{self, Letter, QUESTION};
use super::wire::Id;
use crate::Result;
use crate::broker::connect;
use crate::callers::{Ask, Callers};
use crate::figures::Sample;
use crate::mmate::service::Service;
use crate::question::{OrderPriced, PriceOrder};
use crate::rounds::Program;

/// How long an answer is waited for.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks and answers in one process.
#[derive(Debug)]
pub(crate) struct Asking {
    service: Service,
    callers: Callers,
}

impl Asking {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, callers: &Callers) -> Self {
        Self { service: service.clone(), callers: callers.clone() }
    }
}

impl Program for Asking {
    fn name(&self) -> &'static str {
        "hand-tuned"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let answering = Answering::start(&self.service).await?;
            let asker = Arc::new(Asker::start(&self.service.url).await?);
            let sample = self.callers.measure(&asker, messages).await?;
            asker.stop().await?;
            answering.stop().await?;
            Ok(sample)
        })
    }
}

/// Who waits for which answer, by the id that the question carried as its `correlation_id`.
#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<HashMap<Id, oneshot::Sender<Delivery>>>>);

/// An asker with its two connections and its reply queue.
#[derive(Debug)]
pub(crate) struct Asker {
    outlet: Connection,
    inlet: (Connection, Channel),
    channel: Channel,
    reply_to: ShortString,
    table: Table,
    receiving: JoinHandle<Result>,
    /// Takes the confirms that come later than the answer.
    leftover: mpsc::UnboundedSender<PublisherConfirm>,
}

impl Asker {
    /// Connects and makes the reply queue.
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let outlet = connect(url).await?;
        let channel = outlet.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let connection = connect(url).await?;
        let reply_to = declare_replies(&connection).await?;
        let (inlet, answers) = subscribe_without_acks(&connection, reply_to.as_str()).await?;
        let table = Table::default();
        let receiving = tokio::spawn(receive(answers, table.clone()));
        let (leftover, confirms) = mpsc::unbounded_channel();
        tokio::spawn(take_confirms(confirms));
        let inlet = (connection, inlet);
        Ok(Self { outlet, inlet, channel, reply_to, table, receiving, leftover })
    }

    /// Ends the connections, and the reply queue with them.
    pub(crate) async fn stop(&self) -> Result {
        self.receiving.abort();
        self.inlet.0.close(200, "done".into()).await?;
        self.outlet.close(200, "done".into()).await?;
        Ok(())
    }

    async fn exchange(
        &self,
        letter: Letter,
        mut answer: oneshot::Receiver<Delivery>,
    ) -> Result<Delivery> {
        let Letter { body, properties, .. } = letter;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let key = ShortString::from(format!("qry.{QUESTION}"));
        let mut confirm =
            self.channel.basic_publish(QUERIES.into(), key, options, &body, properties).await?;
        tokio::select! {
            biased;
            answer = &mut answer => {
                // Dropped without being awaited, it would stay in a list of the library.
                self.leftover.send(confirm).map_err(|_| "nobody takes confirms")?;
                Ok(answer?)
            }
            confirmation = &mut confirm => {
                check(confirmation?)?;
                Ok(answer.await?)
            }
        }
    }
}

impl Ask for Asker {
    async fn ask(&self, question: PriceOrder) -> Result<OrderPriced> {
        let letter = question::ask(&question, &self.reply_to, deadline())?;
        let (sender, answer) = oneshot::channel();
        let _entry = self.table.enter(letter.id, sender);
        let delivery = timeout(TIMEOUT, self.exchange(letter, answer)).await??;
        question::read_answer(&delivery.data)
    }
}

/// When nobody waits any more, in milliseconds since 1970.
pub(crate) fn deadline() -> i64 {
    Timestamp::now().as_millisecond() + i64::try_from(TIMEOUT.as_millis()).unwrap_or(i64::MAX)
}

/// Makes a reply queue that goes with its connection.
pub(crate) async fn declare_replies(connection: &Connection) -> Result<ShortString> {
    let name = ShortString::from(format!("rpl.{}", Id::new().as_str()));
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let channel = connection.create_channel().await?;
    channel.queue_declare(name.clone(), options, FieldTable::default()).await?;
    Ok(name)
}

async fn receive(mut answers: Consumer, table: Table) -> Result {
    while let Some(answer) = answers.next().await {
        table.give(answer?);
    }
    Ok(())
}

async fn take_confirms(mut confirms: mpsc::UnboundedReceiver<PublisherConfirm>) -> Result {
    while let Some(confirm) = confirms.recv().await {
        check(confirm.await?)?;
    }
    Ok(())
}

/// A line in the table; removed when it is dropped.
struct Entry<'a> {
    table: &'a Table,
    id: Id,
}

impl Table {
    fn enter(&self, id: Id, sender: oneshot::Sender<Delivery>) -> Entry<'_> {
        self.lock().insert(id, sender);
        Entry { table: self, id }
    }

    /// Gives an answer to who waits for it, if somebody does.
    fn give(&self, delivery: Delivery) {
        let id = delivery.properties.correlation_id().as_ref();
        let Some(id) = id.and_then(|id| Id::parse(id.as_str())) else { return };
        let sender = self.lock().remove(&id);
        if let Some(sender) = sender {
            // One that has gone does not want to know.
            let _ = sender.send(delivery);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, oneshot::Sender<Delivery>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
    }
}
