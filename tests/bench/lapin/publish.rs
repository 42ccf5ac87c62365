//! Publishing with confirms: a window of messages in flight, all in one task, nobody waiting for the
//! socket or for another message's confirm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use ::lapin::types::ShortString;
use ::lapin::{Channel, Confirmation, Connection};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use mmate::contract::address::exchanges::EVENTS;

use super::wire::{Dress, Id, TYPE, encode, now};
use crate::Result;
use crate::broker::{Scene, connect};
use crate::figures::Sample;
use crate::message::OrderPlaced;
use crate::rounds::Program;

/// Messages in flight.
pub(crate) const WINDOW: u32 = 256;

/// Publishes over a connection of its own.
#[derive(Debug)]
pub(crate) struct Publishing {
    name: &'static str,
    dress: Dress,
    order: OrderPlaced,
    scene: Arc<Scene>,
    channel: Channel,
    _connection: Connection,
}

impl Publishing {
    /// Connects.
    pub(crate) async fn open(
        name: &'static str,
        url: &str,
        scene: &Arc<Scene>,
        order: &OrderPlaced,
        dress: Dress,
    ) -> Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (scene, order) = (Arc::clone(scene), order.clone());
        Ok(Self { name, dress, order, scene, channel, _connection: connection })
    }

    /// Publishes so many messages and waits for their confirms.
    pub(crate) async fn publish(&self, messages: u32) -> Result {
        publish(&self.channel, &self.order, messages, self.dress).await
    }
}

impl Program for Publishing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>> {
        Box::pin(async move {
            let sample = Sample::of(messages, self.publish(messages)).await?;
            self.scene.purge().await?;
            Ok(sample)
        })
    }
}

/// Publishes so many orders and waits for every confirm.
pub(crate) async fn publish(
    channel: &Channel,
    order: &OrderPlaced,
    messages: u32,
    dress: Dress,
) -> Result {
    let left = AtomicU32::new(messages);
    let lane = || lane(channel, order, &left, dress);
    let lanes: FuturesUnordered<_> = (0..WINDOW.min(messages)).map(|_| lane()).collect();
    lanes.try_collect().await
}

/// One place of the window: a message after the other, with a buffer that is used again.
async fn lane(channel: &Channel, order: &OrderPlaced, left: &AtomicU32, dress: Dress) -> Result {
    let mut body = Vec::new();
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    while take(left) {
        // The event is made anew, as a service makes it.
        let order = std::hint::black_box(order.clone());
        let (id, time) = (Id::new(), now());
        encode(&mut body, &order, id.as_str(), time)?;
        let properties = dress.properties(id.as_str(), time);
        let key = ShortString::from(format!("evt.{}.{TYPE}", order.order_id));
        let confirm = channel.basic_publish(EVENTS.into(), key, options, &body, properties).await?;
        match confirm.await? {
            Confirmation::Ack(None) => {}
            other => return Err(format!("not confirmed: {other:?}").into()),
        }
    }
    Ok(())
}

/// True while messages are left; one is taken.
pub(crate) fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
