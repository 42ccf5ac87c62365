//! Asking and answering as most programs do it: the asker waits for the confirm of its question and
//! then for the answer, and acknowledges each answer; the responder takes a question, awaits the
//! confirm of its answer, awaits its ack, and takes the next. One reply queue for all, as in the
//! broker's own tutorial; with one for each question, as many write, it would be slower by far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::lapin::message::Delivery;
use ::lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};
use ::lapin::types::ShortString;
use ::lapin::{Channel, Connection};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use mmate::contract::address::exchanges::QUERIES;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answering::{answer, check};
use super::asking::{TIMEOUT, deadline, declare_replies};
use super::inlet::subscribe;
use super::question::{self, Letter, QUESTION};
use crate::Result;
use crate::broker::connect;
use crate::callers::{Ask, Callers};
use crate::figures::Sample;
use crate::mmate::service::Service;
use crate::question::{OrderPriced, PriceOrder};
use crate::rounds::Program;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Vec<u8>>>>>;

/// Asks and answers in one process.
#[derive(Debug)]
pub(crate) struct NaiveAsking {
    service: Service,
    callers: Callers,
}

impl NaiveAsking {
    /// A program that has not begun.
    pub(crate) fn new(service: &Service, callers: &Callers) -> Self {
        Self { service: service.clone(), callers: callers.clone() }
    }
}

impl Program for NaiveAsking {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let connection = connect(&self.service.url).await?;
            let answering = tokio::spawn(answer_all(connection, self.service.clone()));
            let asker = Arc::new(Asker::start(&self.service.url).await?);
            let sample = self.callers.measure(&asker, messages).await?;
            asker.receiving.abort();
            answering.abort();
            Ok(sample)
        })
    }
}

/// An asker with one connection.
struct Asker {
    _connection: Connection,
    channel: Channel,
    reply_to: ShortString,
    waiting: Waiting,
    receiving: JoinHandle<Result>,
}

impl Asker {
    async fn start(url: &str) -> Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let reply_to = declare_replies(&connection).await?;
        let (inlet, mut replies) = subscribe(&connection, reply_to.as_str(), 0).await?;
        let waiting = Waiting::default();
        let table = Arc::clone(&waiting);
        let receiving = tokio::spawn(async move {
            // Dropped, the channel would be closed.
            let _inlet = inlet;
            while let Some(delivery) = replies.next().await {
                give(&table, delivery?).await?;
            }
            Ok(())
        });
        Ok(Self { _connection: connection, channel, reply_to, waiting, receiving })
    }
}

impl Ask for Asker {
    async fn ask(&self, question: PriceOrder) -> Result<OrderPriced> {
        let Letter { id, body, properties } = question::ask(&question, &self.reply_to, deadline())?;
        let (sender, answer) = oneshot::channel();
        let id = id.as_str().to_owned();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let key = ShortString::from(format!("qry.{QUESTION}"));
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let confirm =
            self.channel.basic_publish(QUERIES.into(), key, options, &body, properties).await?;
        check(confirm.await?)?;
        question::read_answer(&timeout(TIMEOUT, answer).await??)
    }
}

/// Hands an answer to who waits for it, and acknowledges it.
async fn give(waiting: &Waiting, delivery: Delivery) -> Result {
    let id = delivery.properties.correlation_id().as_ref().map(ShortString::as_str);
    let sender =
        id.and_then(|id| waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id));
    delivery.acker.ack(BasicAckOptions::default()).await?;
    if let Some(sender) = sender {
        // One that has gone does not want to know.
        let _ = sender.send(delivery.data);
    }
    Ok(())
}

/// Answers one question after the other.
async fn answer_all(connection: Connection, service: Service) -> Result {
    let (channel, mut questions) =
        subscribe(&connection, service.queue(), service.prefetch).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    while let Some(delivery) = questions.next().await {
        let delivery = delivery?;
        let acker = delivery.acker.clone();
        answer(&channel, delivery).await?;
        acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
