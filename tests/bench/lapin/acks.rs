//! Acks, coalesced: one `multiple` ack for the run of finished messages at the bottom.

use std::collections::VecDeque;

use ::lapin::Channel;
use ::lapin::options::BasicAckOptions;

use crate::Result;

/// The deliveries of a channel that the broker has not been told about.
#[derive(Debug)]
pub(crate) struct Acks {
    channel: Channel,
    /// So many finished ones are worth an ack.
    due: usize,
    /// The tag of `finished[0]`.
    base: u64,
    finished: VecDeque<bool>,
    run: usize,
}

impl Acks {
    /// Acks for a new channel, whose tags begin at 1.
    pub(crate) fn new(channel: &Channel, prefetch: u16) -> Self {
        Self {
            channel: channel.clone(),
            due: usize::from(prefetch / 2).max(1),
            base: 1,
            finished: VecDeque::with_capacity(usize::from(prefetch)),
            run: 0,
        }
    }

    /// A delivery came; they come in the order of their tags.
    pub(crate) fn received(&mut self) {
        self.finished.push_back(false);
    }

    /// A delivery was handled.
    pub(crate) fn finish(&mut self, tag: u64) {
        let at = usize::try_from(tag - self.base).unwrap_or(usize::MAX);
        if let Some(finished) = self.finished.get_mut(at) {
            *finished = true;
        }
        while self.finished.get(self.run) == Some(&true) {
            self.run += 1;
        }
    }

    /// True if something can be acknowledged.
    pub(crate) fn has_finished(&self) -> bool {
        self.run > 0
    }

    /// Writes the ack if enough have finished.
    pub(crate) async fn write_if_due(&mut self) -> Result {
        if self.run >= self.due { self.write().await } else { Ok(()) }
    }

    /// Writes the ack.
    pub(crate) async fn write(&mut self) -> Result {
        if self.run > 0 {
            self.finished.drain(..self.run);
            self.base += self.run as u64;
            self.run = 0;
            self.channel.basic_ack(self.base - 1, BasicAckOptions { multiple: true }).await?;
        }
        Ok(())
    }
}
