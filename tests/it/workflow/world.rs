//! The outside world that stages of generated workflows act on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

/// What is outside: it keeps effects by their key, so that one which comes twice is one.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    effects: Arc<Mutex<Effects>>,
    changed: Arc<Notify>,
    work: Duration,
    /// Where the effects are kept instead, in a process beside the world.
    ledger: Option<Arc<dyn Far>>,
}

/// The way to a world in another process.
pub(super) trait Far: fmt::Debug + Send + Sync {
    /// Has the world there do this. Gives what [`World::act`] there says.
    fn act(&self, deed: Deed, key: &str) -> u32;
}

/// What is done in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Enter,
    Leave,
    Apply,
    Undo,
}

#[derive(Debug, Default)]
struct Effects {
    applied: HashSet<String>,
    undone: HashSet<String>,
    calls: BTreeMap<String, u32>,
    running: HashSet<String>,
    wrong: Vec<String>,
}

/// A call that is under way; over when it is dropped.
pub(super) struct Inside(World, String);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.act(Deed::Leave, &self.1);
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Effects> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One in which everything takes so long.
    pub(super) fn slow(work: Duration) -> Self {
        Self { work, ..Self::default() }
    }

    /// One that another process keeps, in which everything takes so long.
    pub(super) fn far(ledger: Arc<dyn Far>, work: Duration) -> Self {
        Self { ledger: Some(ledger), work, ..Self::default() }
    }

    /// Other tasks get their turn: a second call of the same stage would be seen.
    pub(super) async fn work(&self) {
        tokio::task::yield_now().await;
        if !self.work.is_zero() {
            tokio::time::sleep(self.work).await;
        }
    }

    /// A call begins; gives which one it is of this stage, from 1.
    pub(super) fn enter(&self, key: &str) -> (Inside, u32) {
        let calls = self.act(Deed::Enter, key);
        (Inside(self.clone(), key.to_owned()), calls)
    }

    pub(super) fn apply(&self, key: &str) {
        self.act(Deed::Apply, key);
    }

    pub(super) fn is_applied(&self, key: &str) -> bool {
        self.lock().applied.contains(key)
    }

    pub(super) fn undo(&self, key: &str) {
        self.act(Deed::Undo, key);
    }

    /// Does something; gives how many calls of this stage there were so far.
    pub(super) fn act(&self, deed: Deed, key: &str) -> u32 {
        if let Some(ledger) = &self.ledger {
            return ledger.act(deed, key);
        }
        let mut effects = self.lock();
        match deed {
            Deed::Enter => {
                if !effects.running.insert(key.to_owned()) {
                    effects.wrong.push(format!("`{key}` runs beside itself"));
                }
                *effects.calls.entry(key.to_owned()).or_default() += 1;
            }
            Deed::Leave => {
                effects.running.remove(key);
            }
            Deed::Apply => {
                if effects.undone.contains(key) {
                    effects.wrong.push(format!("`{key}` was undone and is done again"));
                }
                effects.applied.insert(key.to_owned());
            }
            Deed::Undo => {
                effects.undone.insert(key.to_owned());
            }
        }
        let calls = effects.calls.get(key).copied().unwrap_or(0);
        drop(effects);
        self.changed.notify_waiters();
        calls
    }

    /// Waits until these stages of an instance have had their effect, and those are undone.
    pub(super) async fn wait_for(
        &self,
        id: Uuid,
        applied: &BTreeSet<String>,
        undone: &BTreeSet<String>,
    ) {
        loop {
            let changed = self.changed.notified();
            let is_over = {
                let effects = self.lock();
                // What may have had its effect is undone too.
                stages(&effects.applied, id) == *applied
                    && stages(&effects.undone, id).is_superset(undone)
            };
            if is_over {
                return;
            }
            changed.await;
        }
    }

    /// The stages of an instance whose effect is there.
    pub(super) fn kept(&self, id: Uuid) -> BTreeSet<String> {
        let effects = self.lock();
        let (applied, undone) = (stages(&effects.applied, id), stages(&effects.undone, id));
        applied.difference(&undone).cloned().collect()
    }

    /// What must not be, and was.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }
}

/// The stages of an instance among keys.
fn stages(keys: &HashSet<String>, id: Uuid) -> BTreeSet<String> {
    let id = format!("{id}.");
    keys.iter().filter_map(|key| key.strip_prefix(&id)).map(str::to_owned).collect()
}
