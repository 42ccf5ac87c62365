//! Exclusive queues: they belong to the connection that declares them, and go with it. So they are
//! declared on the connection that consumes, and again before each subscription.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::declare::Item;
use crate::transport::{Binding, Queue, QueueKind, Topology};

/// The exclusive queues of this process, with their bindings.
#[derive(Debug, Default)]
pub(super) struct ExclusiveQueues(Mutex<Vec<Remembered>>);

#[derive(Clone, Debug)]
pub(super) struct Remembered {
    queue: Queue,
    bindings: Vec<Binding>,
}

impl ExclusiveQueues {
    /// Remembers the exclusive queues of a topology; gives them back.
    pub(super) fn remember(&self, topology: &Topology) -> Vec<Remembered> {
        let exclusive = topology.queues.iter().filter(|queue| queue.kind == QueueKind::Exclusive);
        let mut all = self.all();
        let mut fresh = Vec::new();
        for queue in exclusive {
            let bindings = topology.bindings.iter().filter(|binding| binding.queue == queue.name);
            let entry = Remembered { queue: queue.clone(), bindings: bindings.cloned().collect() };
            all.retain(|known| known.queue.name != queue.name);
            all.push(entry.clone());
            fresh.push(entry);
        }
        fresh
    }

    /// The exclusive queue of a name.
    pub(super) fn find(&self, queue: &str) -> Option<Remembered> {
        self.all().iter().find(|known| known.queue.name == queue).cloned()
    }

    /// Forgets a queue.
    pub(super) fn forget(&self, queue: &str) {
        self.all().retain(|known| known.queue.name != queue);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// What to declare for it.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        std::iter::once(Item::Queue(&self.queue)).chain(self.bindings.iter().map(Item::Binding))
    }
}
