//! The outside world that stages of generated workflows act on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What is outside: it keeps effects by their key, so that one which comes twice is one.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Arc<Mutex<Effects>>, Arc<Notify>);

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
        self.0.lock().running.remove(&self.1);
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Effects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; gives which one it is of this stage, from 1.
    pub(super) fn enter(&self, key: &str) -> (Inside, u32) {
        let mut effects = self.lock();
        if !effects.running.insert(key.to_owned()) {
            effects.wrong.push(format!("`{key}` runs beside itself"));
        }
        let calls = effects.calls.entry(key.to_owned()).or_default();
        *calls += 1;
        let calls = *calls;
        drop(effects);
        (Inside(self.clone(), key.to_owned()), calls)
    }

    pub(super) fn apply(&self, key: &str) {
        let mut effects = self.lock();
        if effects.undone.contains(key) {
            effects.wrong.push(format!("`{key}` was undone and is done again"));
        }
        effects.applied.insert(key.to_owned());
        drop(effects);
        self.1.notify_waiters();
    }

    pub(super) fn undo(&self, key: &str) {
        self.lock().undone.insert(key.to_owned());
        self.1.notify_waiters();
    }

    /// Waits until these stages' effects are there, and no others.
    pub(super) async fn wait_for(&self, effects: &BTreeSet<String>) {
        loop {
            let changed = self.1.notified();
            if self.kept().0 == *effects {
                return;
            }
            changed.await;
        }
    }

    /// The stages whose effect is there, and what went wrong.
    pub(super) fn kept(&self) -> (BTreeSet<String>, Vec<String>) {
        let effects = self.lock();
        let kept = effects.applied.difference(&effects.undone);
        let stage = |key: &String| key.rsplit('.').next().unwrap_or_default().to_owned();
        (kept.map(stage).collect(), effects.wrong.clone())
    }
}
