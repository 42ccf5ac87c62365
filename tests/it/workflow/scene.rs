//! One instance and what outlives the processes that run it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmate::runtime::Running;
use mmate::store::{HistoryEntry, HistoryEvent, InstanceFilter, WorkflowStatus};
use mmate::workflow::{Checkpoints, InstanceId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::place::{Keeping, Place};
use super::story::{Planned, Story};

/// How long an instance may take, whatever happens to it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One instance, from its start to its end, through as many lives as it takes.
#[derive(Debug)]
pub(super) struct Scene<S = Planned> {
    pub(super) place: Place,
    pub(super) story: S,
    pub(super) id: Uuid,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// At a checkpoint.
    Killed,
    /// With the instance, after so many checkpoints.
    Ended(usize),
}

impl<S: Story> Scene<S> {
    /// One life of the process. It is to end at the checkpoint with this number, from 0.
    pub(super) async fn live(&self, life: usize, kill: Option<usize>) -> Life {
        let (reached, killed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, ring) = (Arc::clone(&reached), Arc::clone(&killed));
        let checkpoints = Checkpoints::new(move |_| {
            // Other tasks may get there too before the runtime is dropped: nothing gets any further.
            let reached = count.fetch_add(1, Ordering::Relaxed);
            let now = kill.is_some_and(|kill| reached >= kill);
            if now {
                ring.notify_one();
            }
            now
        });
        let process = self.story.equip(self.place.process().await).provide(checkpoints);
        let running = process.start().await.unwrap();
        if life == 0 {
            let workflows = running.workflows().unwrap();
            workflows.start(self.story.state(self.id)).id(self.id).await.unwrap();
        }
        let to_the_end = async {
            self.end(&running).await;
            running.stop().await;
        };
        tokio::select! {
            biased;
            () = killed.notified() => Life::Killed,
            () = to_the_end => Life::Ended(reached.load(Ordering::Relaxed)),
        }
    }

    /// So much time passes that nobody counts as alive any more who has worked on the instance. Without it the next
    /// process waits until the lease is over.
    pub(super) async fn lapse(&self) {
        let Some(store) = self.place.store() else { return };
        for instance in store.list(&live()).await.unwrap() {
            if let Some(owner) = &instance.owner {
                store.renew(owner, Duration::ZERO).await.unwrap();
            }
        }
        self.let_go(&*store).await;
    }

    /// Waits for the end of the instance.
    async fn end(&self, running: &Running) {
        let workflows = running.workflows().unwrap();
        if matches!(self.place.keeping, Keeping::Nowhere) {
            if tokio::time::timeout(PATIENCE, self.story.over(self.id)).await.is_err() {
                panic!("after {PATIENCE:?} {:#?}", self.story);
            }
            return;
        }
        let ended = workflows.wait(InstanceId::<S::State>::from(self.id), PATIENCE).await;
        if let Err(error) = ended {
            panic!("{error}\n{:#?}\n{:#?}", self.story, workflows.history(self.id).await);
        }
    }

    /// What must be so at the end, however often the process was killed.
    pub(super) async fn judge(&self, kills: &[usize]) {
        let told = || format!("killed at {kills:?} on {:?}\n{:#?}", self.place, self.story);
        let store = self.place.store();
        if let Err(why) = self.story.check(self.id, store.is_some()) {
            panic!("{why}: {}", told());
        }
        let Some(store) = store else { return };
        let instance = store.get(self.id).await.unwrap().unwrap();
        let history = store.history(self.id).await.unwrap();
        let told = || format!("{}\n{:?}\n{history:#?}", told(), instance.status);
        let is_completed = instance.status == WorkflowStatus::Completed;
        assert_eq!(is_completed, self.story.completes(), "{}", told());
        assert_eq!(instance.owner, None, "{}", told());
        if let Err(why) = check_history(&history, S::PARTS) {
            panic!("{why}: {}", told());
        }
        // Nor is one that it has started.
        assert_eq!(store.list(&live()).await.unwrap(), [], "{}", told());
        self.let_go(&*store).await;
    }

    /// A handle that was opened for a look is closed; one that all processes share is not.
    async fn let_go(&self, store: &dyn mmate::store::WorkflowStore) {
        if matches!(self.place.keeping, Keeping::Url(_)) {
            store.close().await;
        }
    }
}

/// The instances that have not come to their end.
pub(super) fn live() -> InstanceFilter {
    let live = WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end());
    let mut filter = InstanceFilter::default();
    filter.statuses = live.collect();
    filter
}

/// What must be so of every history: nothing happens twice, nothing is out of order, and the end is the end. A stage is complete
/// after so many parts.
pub(super) fn check_history(history: &[HistoryEntry], parts: usize) -> Result<(), String> {
    let count = |stage: &str, event| {
        history.iter().filter(|line| line.stage == stage && line.event == event).count()
    };
    for line in history {
        let most = match line.event {
            HistoryEvent::Completed => parts,
            HistoryEvent::Undone => 1,
            _ => continue,
        };
        let there = history.iter().filter(|other| {
            (other.position, &other.stage, other.event) == (line.position, &line.stage, line.event)
        });
        if there.count() > 1 || count(&line.stage, line.event) > most {
            return Err(format!("`{}` is {} more than once", line.stage, line.event));
        }
    }
    if !history.is_sorted_by_key(|line| line.position) {
        return Err("positions go back".to_owned());
    }
    let seqs = history.iter().map(|line| line.seq);
    if !seqs.eq(1..=history.len() as u64) {
        return Err("the lines are not numbered without a gap".to_owned());
    }
    match history.last() {
        Some(last) if last.event == HistoryEvent::Ended && count("", HistoryEvent::Ended) == 1 => {
            Ok(())
        }
        _ => Err("the end is not the one last line".to_owned()),
    }
}
