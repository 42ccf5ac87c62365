//! Messages that are kept back until their time has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::broker::State;
use super::queue::Content;

/// What is not in its queue yet.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// By due time, then by age; with the queue's name.
    due: BTreeMap<(Instant, u64), (String, Arc<Content>)>,
    /// Due, but their queue does not exist: they wait until somebody declares it.
    stranded: BTreeMap<String, Vec<Arc<Content>>>,
    last: u64,
}

impl Delays {
    /// When the next message is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The queues that messages are kept back for.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        self.due.values().map(|(queue, _)| queue.as_str())
    }
}

impl State {
    /// Keeps a message back. A delay beyond reckoning is as good as for ever.
    pub(super) fn keep_back(&mut self, content: Content, delay: Duration) {
        let at = Instant::now().checked_add(delay);
        let queue = content.address.routing_key.to_string();
        let Some(at) = at else {
            self.delays.stranded.entry(queue).or_default().push(Arc::new(content));
            return;
        };
        let earliest = self.alarm().is_none_or(|first| at < first);
        self.delays.last += 1;
        self.delays.due.insert((at, self.delays.last), (queue, Arc::new(content)));
        if earliest {
            self.wake_sleepers(at);
        }
    }

    /// Puts the message that is due first into its queue.
    pub(super) fn release_next(&mut self) {
        let Some((_, (queue, content))) = self.delays.due.pop_first() else {
            return;
        };
        match self.names.get(&queue) {
            Some(&id) => {
                let message = self.message(content, None);
                self.enqueue(id, message);
            }
            None => self.delays.stranded.entry(queue).or_default().push(content),
        }
    }

    /// Gives a new queue what waited for it.
    pub(super) fn release_stranded(&mut self, queue: &str) {
        let (Some(waiting), Some(&id)) =
            (self.delays.stranded.remove(queue), self.names.get(queue))
        else {
            return;
        };
        for content in waiting {
            let message = self.message(content, None);
            self.enqueue(id, message);
        }
    }

    /// True if a message is kept back for a queue that somebody consumes.
    pub(super) fn has_delayed_work(&self) -> bool {
        let consumed = |queue: &str| {
            self.names.get(queue).is_some_and(|id| !self.queues[*id].rotation.is_empty())
        };
        self.delays.queues().any(consumed)
    }
}
