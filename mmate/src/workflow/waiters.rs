//! Who in this process waits for the end of which instance.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// Those who wait, by instance. An end wakes those who wait for it and nobody else.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Uuid, watch::Sender<()>>>);

/// Waits for one instance; gone, it does no longer.
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    instance: Uuid,
    woken: watch::Receiver<()>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait: every end from now on is heard of.
    pub(super) fn wait_for(&self, instance: Uuid) -> Waiter<'_> {
        let woken = self.lock().entry(instance).or_default().subscribe();
        Waiter { waiters: self, instance, woken }
    }

    /// Wakes those who wait for this instance.
    pub(super) fn wake(&self, instance: Uuid) {
        if let Some(waiting) = self.lock().get(&instance) {
            waiting.send_replace(());
        }
    }
}

impl Waiter<'_> {
    /// Ends when the instance has ended since the last time.
    pub(super) async fn woken(&mut self) {
        // Its sender is there as long as anybody waits.
        let _sender_is_there = self.woken.changed().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        // This one is counted still.
        if waiting.get(&self.instance).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn an_end_wakes_those_who_wait_for_it_and_nobody_else() {
        let waiters = Waiters::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut first = [waiters.wait_for(one), waiters.wait_for(one)];
        let mut second = waiters.wait_for(two);
        waiters.wake(one);
        for waiter in &mut first {
            assert!(waiter.woken().now_or_never().is_some());
            assert!(waiter.woken().now_or_never().is_none(), "once for each end");
        }
        assert!(second.woken().now_or_never().is_none());
        waiters.wake(two);
        assert!(second.woken().now_or_never().is_some());
    }

    #[test]
    fn nothing_is_left_of_those_who_have_waited() {
        let waiters = Waiters::default();
        let one = Uuid::from_u128(1);
        let (first, mut second) = (waiters.wait_for(one), waiters.wait_for(one));
        drop(first);
        waiters.wake(one);
        assert!(second.woken().now_or_never().is_some(), "the other one waits still");
        drop(second);
        assert!(waiters.lock().is_empty());
    }
}
