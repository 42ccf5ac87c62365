//! Which acknowledgements to write: as few as possible, and never one too many.
//!
//! Pure bookkeeping of one channel's delivery tags, which count up from 1. A run of finished tags at
//! the bottom is acknowledged with one `multiple` ack; finished tags above an unfinished one have to
//! wait, or are acknowledged one by one.

use std::collections::{BTreeSet, VecDeque};

/// An acknowledgement to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    /// The tag.
    pub(super) tag: u64,
    /// True if it stands for all lower tags too.
    pub(super) multiple: bool,
}

/// The tags that were received and are not forgotten yet.
#[derive(Debug)]
pub(super) struct AckWindow {
    prefetch: usize,
    /// The tag of `slots[0]`; all lower ones are forgotten, or stragglers.
    base: u64,
    slots: VecDeque<Slot>,
    /// Unfinished tags below `base`: slow ones, set aside so that `slots` stays short. While there
    /// is one, no `multiple` ack can be written, since it would cover it.
    stragglers: BTreeSet<u64>,
    /// Stragglers that have finished.
    late: Vec<u64>,
    finished: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// With a handler.
    Open,
    /// To be acknowledged.
    Finished,
    /// The broker has been told.
    Settled,
}

impl AckWindow {
    /// A window for a channel that lets at most `prefetch` deliveries be unsettled.
    pub(super) fn new(prefetch: u16) -> Self {
        Self {
            prefetch: usize::from(prefetch.max(1)),
            base: 1,
            slots: VecDeque::new(),
            stragglers: BTreeSet::new(),
            late: Vec::new(),
            finished: 0,
        }
    }

    /// A delivery came.
    pub(super) fn received(&mut self, tag: u64) {
        let next = self.base + self.slots.len() as u64;
        debug_assert_eq!(tag, next, "tags count up by one");
        if tag < next {
            return;
        }
        // A tag that was skipped would belong to a delivery that nobody has seen. It stays open, so
        // it is never acknowledged.
        for _ in next..=tag {
            self.slots.push_back(Slot::Open);
        }
    }

    /// A delivery is done and is to be acknowledged. False if it is unknown or settled already: a
    /// second ack would close the channel.
    pub(super) fn finish(&mut self, tag: u64) -> bool {
        self.close(tag, Slot::Finished)
    }

    /// A delivery was rejected or given back; the broker has been told.
    pub(super) fn settled(&mut self, tag: u64) -> bool {
        self.close(tag, Slot::Settled)
    }

    /// True if so many wait that it is time to write.
    pub(super) fn is_due(&self) -> bool {
        self.finished >= (self.prefetch / 2).max(1)
    }

    /// True if something waits.
    pub(super) fn has_finished(&self) -> bool {
        self.finished > 0
    }

    /// Gives the acks to write now, in order. Finished tags above an unfinished one are left for
    /// later, unless `all` is set or they are too many.
    pub(super) fn flush(&mut self, all: bool, mut write: impl FnMut(Ack)) {
        self.finished -= self.late.len();
        for tag in self.late.drain(..) {
            write(Ack { tag, multiple: false });
        }
        if self.stragglers.is_empty() {
            self.flush_run(&mut write);
        }
        if all || self.is_due() {
            self.flush_each(&mut write);
        }
        if self.slots.len() > 4 * self.prefetch + 64 {
            self.flush_each(&mut write);
            self.set_stragglers_aside();
        }
    }

    fn close(&mut self, tag: u64, to: Slot) -> bool {
        let known = match tag.checked_sub(self.base) {
            Some(at) => match self.slots.get_mut(at as usize) {
                Some(slot) if *slot == Slot::Open => {
                    *slot = to;
                    true
                }
                _ => false,
            },
            None if self.stragglers.remove(&tag) => {
                if to == Slot::Finished {
                    self.late.push(tag);
                }
                true
            }
            None => false,
        };
        if known {
            self.finished += usize::from(to == Slot::Finished);
        }
        known
    }

    /// One ack for the run of finished tags at the bottom.
    fn flush_run(&mut self, write: &mut impl FnMut(Ack)) {
        let (mut count, mut last) = (0, 0);
        while let Some(slot) = self.slots.front().copied().filter(|slot| *slot != Slot::Open) {
            if slot == Slot::Finished {
                count += 1;
                last = self.base;
            }
            self.slots.pop_front();
            self.base += 1;
        }
        if count > 0 {
            self.finished -= count;
            write(Ack { tag: last, multiple: count > 1 });
        }
    }

    /// An ack for each finished tag.
    fn flush_each(&mut self, write: &mut impl FnMut(Ack)) {
        if self.finished == 0 {
            return;
        }
        for (slot, tag) in self.slots.iter_mut().zip(self.base..) {
            if *slot == Slot::Finished {
                *slot = Slot::Settled;
                write(Ack { tag, multiple: false });
            }
        }
        self.finished = 0;
    }

    /// Shortens the window: a delivery that takes an hour must not keep a slot for each one that
    /// overtook it.
    fn set_stragglers_aside(&mut self) {
        while self.slots.len() > 2 * self.prefetch {
            if self.slots.pop_front() == Some(Slot::Open) {
                self.stragglers.insert(self.base);
            }
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn flush(window: &mut AckWindow, all: bool) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        window.flush(all, |ack| acks.push((ack.tag, ack.multiple)));
        acks
    }

    fn window(prefetch: u16, received: u64) -> AckWindow {
        let mut window = AckWindow::new(prefetch);
        for tag in 1..=received {
            window.received(tag);
        }
        window
    }

    #[test]
    fn a_run_at_the_bottom_is_one_ack() {
        let mut window = window(10, 6);
        for tag in [2, 1, 3, 5] {
            assert!(window.finish(tag));
        }
        assert_eq!(flush(&mut window, false), [(3, true)]);
        assert_eq!(flush(&mut window, false), [], "tag 5 waits for tag 4");
        assert!(window.finish(4));
        assert_eq!(flush(&mut window, false), [(5, true)]);
        assert!(window.finish(6));
        assert_eq!(flush(&mut window, false), [(6, false)]);
    }

    #[test]
    fn what_is_above_an_unfinished_one_is_acknowledged_one_by_one_in_the_end() {
        let mut window = window(10, 4);
        assert!(window.finish(3));
        assert!(window.finish(4));
        assert_eq!(flush(&mut window, false), []);
        assert_eq!(flush(&mut window, true), [(3, false), (4, false)]);
        assert!(window.finish(1));
        assert!(window.finish(2));
        assert_eq!(flush(&mut window, true), [(2, true)]);
    }

    #[test]
    fn too_many_finished_ones_do_not_wait_for_a_slow_one() {
        let mut window = window(4, 4);
        assert!(window.finish(2));
        assert!(!window.is_due());
        assert!(window.finish(3));
        assert!(window.is_due());
        assert_eq!(flush(&mut window, false), [(2, false), (3, false)]);
    }

    #[test]
    fn a_rejected_one_counts_as_finished_in_a_run() {
        let mut window = window(10, 4);
        assert!(window.settled(2));
        assert!(window.finish(1));
        assert!(window.finish(3));
        assert!(window.settled(4));
        assert_eq!(flush(&mut window, false), [(3, true)]);
        assert!(!window.has_finished());
    }

    #[test]
    fn a_prefetch_of_one_is_due_at_once() {
        let mut window = window(1, 1);
        assert!(window.finish(1));
        assert!(window.is_due());
        assert_eq!(flush(&mut window, false), [(1, false)]);
    }

    #[test]
    fn nothing_is_settled_twice_and_nothing_unknown() {
        let mut window = window(10, 2);
        assert!(window.finish(1));
        assert!(!window.finish(1));
        assert!(!window.settled(1));
        assert!(!window.finish(3));
        assert!(!window.finish(0));
        assert_eq!(flush(&mut window, true), [(1, false)]);
        assert!(!window.finish(1));
        assert!(!window.settled(1));
    }

    /// The broker's side: which tags are unacknowledged, and what an ack of an unknown one does.
    struct Broker {
        unacknowledged: BTreeSet<u64>,
        finished: BTreeSet<u64>,
    }

    impl Broker {
        fn take(&mut self, ack: Ack) {
            assert!(self.unacknowledged.contains(&ack.tag), "unknown tag {ack:?}");
            let covered: Vec<u64> = if ack.multiple {
                self.unacknowledged.range(..=ack.tag).copied().collect()
            } else {
                vec![ack.tag]
            };
            for tag in covered {
                assert!(self.finished.contains(&tag), "{tag} is not finished, {ack:?}");
                self.unacknowledged.remove(&tag);
            }
        }
    }

    #[test]
    fn random_orders_acknowledge_everything_once_and_nothing_early() {
        for seed in 0..300 {
            let mut random = StdRng::seed_from_u64(seed);
            let prefetch = random.random_range(1..40_u16);
            let mut window = AckWindow::new(prefetch);
            let mut broker = Broker { unacknowledged: BTreeSet::new(), finished: BTreeSet::new() };
            let mut open = Vec::new();
            let mut next = 1;
            for _ in 0..2000 {
                match random.random_range(0..10) {
                    0..=3 if broker.unacknowledged.len() < usize::from(prefetch) => {
                        window.received(next);
                        broker.unacknowledged.insert(next);
                        open.push(next);
                        next += 1;
                    }
                    // Mostly the newest, so that some stay open for very long.
                    4..=6 if !open.is_empty() => {
                        let at = open.len() - 1 - random.random_range(0..open.len().min(3));
                        let tag = open.remove(at);
                        broker.finished.insert(tag);
                        assert!(window.finish(tag));
                    }
                    7 if !open.is_empty() => {
                        let at = random.random_range(0..open.len());
                        let tag = open.remove(at);
                        assert!(window.settled(tag));
                        assert!(broker.unacknowledged.remove(&tag));
                    }
                    _ => {
                        let all = random.random_bool(0.2);
                        window.flush(all, |ack| broker.take(ack));
                        assert!(window.slots.len() <= 4 * usize::from(prefetch) + 64);
                        if all {
                            let left: Vec<u64> = broker.unacknowledged.iter().copied().collect();
                            assert_eq!(
                                left,
                                {
                                    open.sort_unstable();
                                    open.clone()
                                },
                                "seed {seed}"
                            );
                        }
                    }
                }
            }
            for tag in open {
                broker.finished.insert(tag);
                assert!(window.finish(tag));
            }
            window.flush(true, |ack| broker.take(ack));
            assert!(broker.unacknowledged.is_empty(), "seed {seed}");
            assert!(!window.has_finished());
        }
    }
}
