//! Answering: several questions at a time, each acknowledged once its answer is confirmed, acks
//! coalesced.

use std::sync::Arc;

use ::lapin::message::Delivery;
use ::lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use ::lapin::{Channel, Confirmation, Connection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::asking::TIMEOUT;
use super::inlet::Inlet;
use super::question::{self, Letter};
use crate::Result;
use crate::broker::connect;
use crate::mmate::service::Service;

/// A responder that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Answering {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result>,
    outlet: Connection,
    /// Outlives the connection: the library does not close one gladly while its channel is being closed.
    channel: Arc<Channel>,
}

impl Answering {
    /// Connects and begins to answer.
    pub(crate) async fn start(service: &Service) -> Result<Self> {
        let outlet = connect(&service.url).await?;
        let channel = outlet.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let channel = Arc::new(channel);
        let inlet = Inlet::open(&service.url, service.queue(), service.prefetch).await?;
        let (stop, stopping) = oneshot::channel();
        let concurrency = usize::from(service.concurrency);
        let task = tokio::spawn(run(inlet, Arc::clone(&channel), concurrency, stopping));
        Ok(Self { stop, task, outlet, channel })
    }

    /// Writes the last acks and ends the connections.
    pub(crate) async fn stop(self) -> Result {
        let Self { stop, task, outlet, channel } = self;
        drop(stop);
        task.await??;
        outlet.close(200, "done".into()).await?;
        drop(channel);
        Ok(())
    }
}

async fn run(
    mut inlet: Inlet,
    channel: Arc<Channel>,
    concurrency: usize,
    stopping: oneshot::Receiver<()>,
) -> Result {
    tokio::select! {
        biased;
        ended = inlet.several(concurrency, |delivery| answer(&channel, delivery), || false) => ended?,
        _ = stopping => {}
    }
    inlet.close().await
}

/// Answers a question and waits for the confirm: only then the question may be acknowledged.
pub(crate) async fn answer(channel: &Channel, delivery: Delivery) -> Result<u64> {
    let asked = question::read(&delivery.data)?;
    let priced = asked.question.answer();
    let theirs = delivery.properties.correlation_id().clone();
    let Letter { body, properties, .. } = question::answer(&asked, &priced, theirs)?;
    let (to, options) = (asked.reply_to.into(), BasicPublishOptions::default());
    // A broker that is low on memory or disk takes nothing and says nothing: no wait is without an end.
    let sending =
        async { channel.basic_publish("".into(), to, options, &body, properties).await?.await };
    check(timeout(TIMEOUT, sending).await??)?;
    Ok(delivery.delivery_tag)
}

/// Whether the broker has a message.
pub(crate) fn check(confirmation: Confirmation) -> Result {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("not confirmed: {other:?}").into()),
    }
}
