//! Who waits for which confirm of one channel, as plain state: the caller locks it.
//!
//! Two promises: whoever was let in gets exactly one answer, and nobody is let in after the end. Both
//! hold because [`Board::enter`] and [`Board::bury`] are one step each.

use std::collections::VecDeque;

/// All that wait, in the order in which they were sent. The oldest has the number `base`.
#[derive(Debug)]
pub(super) struct Board<W> {
    base: u64,
    waiting: VecDeque<Option<W>>,
    dead: bool,
}

impl<W> Board<W> {
    /// The number that the next one gets; nothing once the channel is no use any more.
    pub(super) fn next_number(&self) -> Option<u64> {
        (!self.dead).then_some(self.base + self.waiting.len() as u64)
    }

    /// Lets one in, unless the channel is no use any more; then it comes back.
    pub(super) fn enter(&mut self, waiting: W) -> Result<(), W> {
        if self.dead {
            return Err(waiting);
        }
        self.waiting.push_back(Some(waiting));
        Ok(())
    }

    /// One that waits.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut W> {
        let at = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.waiting.get_mut(at)?.as_mut()
    }

    /// Takes one off, if it is there and `done` gives something of it.
    pub(super) fn take<R>(
        &mut self,
        number: u64,
        done: impl FnOnce(&mut W) -> Option<R>,
    ) -> Option<(W, R)> {
        let at = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let slot = self.waiting.get_mut(at)?;
        let result = done(slot.as_mut()?)?;
        let waiting = slot.take()?;
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.base += 1;
        }
        Some((waiting, result))
    }

    /// Those that wait.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut W> {
        self.waiting.iter_mut().flatten()
    }

    /// How many wait at most: the oldest waits, and all that came after it may.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets nobody in any more. Those that wait may still get their answers.
    pub(super) const fn shut(&mut self) {
        self.dead = true;
    }

    /// Lets nobody in any more, and gives those that still wait: they are to be told.
    pub(super) fn bury(&mut self) -> Vec<W> {
        self.shut();
        std::mem::take(&mut self.waiting).into_iter().flatten().collect()
    }
}

impl<W> Default for Board<W> {
    fn default() -> Self {
        Self { base: 0, waiting: VecDeque::new(), dead: false }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use shuttle::sync::mpsc::{self, Receiver, Sender};
    use shuttle::sync::{Arc, Condvar, Mutex};
    use shuttle::thread;

    use super::*;

    /// How many orders of events are tried.
    const SCHEDULES: usize = 1_000;
    const PUBLISHERS: u32 = 3;
    const LANES: usize = 3;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Verdict {
        Confirmed,
        Failed,
    }

    struct Slot {
        message: u32,
        confirmed: Arc<Mutex<bool>>,
        answer: Sender<Verdict>,
    }

    /// What is under one lock.
    #[derive(Default)]
    struct Desk {
        board: Board<Slot>,
        /// What is to be sent together with others.
        aside: Vec<(u32, Sender<Verdict>)>,
    }

    type OnWire = (u64, u32, Arc<Mutex<bool>>);

    /// A channel as `Lane` uses it, with the model's locks.
    #[derive(Default)]
    struct Lane {
        /// The connection is lost: nothing on the wire arrives, nothing is confirmed.
        gone: AtomicBool,
        desk: Mutex<Desk>,
        /// Sent and not seen by the broker: number and slot's flag.
        wire: Mutex<VecDeque<OnWire>>,
        woken: Mutex<Vec<u64>>,
        signal: Condvar,
        /// Whether nobody has woken the lane's task since it looked.
        calm: AtomicBool,
    }

    #[derive(Default)]
    struct World {
        lanes: [Lane; LANES],
        current: Mutex<usize>,
        changed: Condvar,
        /// How often the broker took each message.
        broker: Mutex<BTreeMap<u32, u32>>,
        published: Mutex<u32>,
    }

    impl World {
        /// What `Publisher::attempts` does: again on the next channel until one confirms.
        fn publish(&self, message: u32) {
            let mut lane = 0;
            loop {
                if let Some(verdict) = self.submit(lane, message) {
                    let told = verdict.recv().expect("whoever was let in is told");
                    assert!(verdict.try_recv().is_err(), "told once");
                    if told == Verdict::Confirmed {
                        break;
                    }
                }
                let mut current = self.current.lock().unwrap();
                while *current == lane {
                    current = self.changed.wait(current).unwrap();
                }
                lane = *current;
            }
            let taken = self.broker.lock().unwrap().get(&message).copied();
            assert!(taken >= Some(1), "message {message} was confirmed and the broker has it not");
            *self.published.lock().unwrap() += 1;
            (0..LANES).for_each(|at| self.wake(at));
        }

        /// What `Lane::submit` does: where one is on its way already, the next is left to the lane's task, or is the last
        /// that was waited for.
        fn submit(&self, at: usize, message: u32) -> Option<Receiver<Verdict>> {
            let lane = &self.lanes[at];
            let (answer, verdict) = mpsc::channel();
            let mut desk = lane.desk.lock().unwrap();
            desk.board.next_number()?;
            desk.aside.push((message, answer));
            if desk.board.is_empty() || desk.aside.len() > 1 {
                self.send_aside(at, &mut desk);
            } else {
                drop(desk);
                self.wake(at);
            }
            Some(verdict)
        }

        fn send_aside(&self, at: usize, desk: &mut Desk) {
            let lane = &self.lanes[at];
            while let Some(number) = desk.board.next_number()
                && let Some((message, answer)) = desk.aside.pop()
            {
                let confirmed = Arc::new(Mutex::new(false));
                lane.wire.lock().unwrap().push_back((number, message, Arc::clone(&confirmed)));
                lane.signal.notify_all();
                assert!(desk.board.enter(Slot { message, confirmed, answer }).is_ok());
            }
        }

        /// What `Lane::drive` does for those that were put aside.
        fn drive(&self, at: usize) {
            let lane = &self.lanes[at];
            let mut wire = lane.wire.lock().unwrap();
            while !self.is_over() && !lane.gone.load(Ordering::SeqCst) {
                drop(wire);
                self.send_aside(at, &mut lane.desk.lock().unwrap());
                wire = lane.wire.lock().unwrap();
                let calm = lane.calm.swap(true, Ordering::SeqCst);
                if calm && !self.is_over() && !lane.gone.load(Ordering::SeqCst) {
                    wire = lane.signal.wait(wire).unwrap();
                }
            }
        }

        fn wake(&self, at: usize) {
            // With the lock, or one that is about to wait would miss it.
            let _wire = self.lanes[at].wire.lock().unwrap();
            self.lanes[at].calm.store(false, Ordering::SeqCst);
            self.lanes[at].signal.notify_all();
        }

        fn is_over(&self) -> bool {
            *self.published.lock().unwrap() == PUBLISHERS
        }

        /// The broker and the library's thread: take a message, confirm it, wake.
        fn confirm(&self, at: usize) {
            let lane = &self.lanes[at];
            loop {
                let mut wire = lane.wire.lock().unwrap();
                let (number, message, confirmed) = loop {
                    if self.is_over() || lane.gone.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Some(sent) = wire.pop_front() {
                        break sent;
                    }
                    wire = lane.signal.wait(wire).unwrap();
                };
                drop(wire);
                // The library also wakes when a frame is written.
                lane.woken.lock().unwrap().push(number);
                self.look(at);
                *self.broker.lock().unwrap().entry(message).or_default() += 1;
                if lane.gone.load(Ordering::SeqCst) {
                    // The broker has it, and its confirm is lost: it is published twice.
                    return;
                }
                *confirmed.lock().unwrap() = true;
                lane.woken.lock().unwrap().push(number);
                self.look(at);
            }
        }

        /// What `Lane::look` does.
        fn look(&self, at: usize) {
            let lane = &self.lanes[at];
            let mut desk = lane.desk.lock().unwrap();
            let numbers = std::mem::take(&mut *lane.woken.lock().unwrap());
            let done: Vec<Slot> = numbers
                .into_iter()
                .filter_map(|number| {
                    let confirmed = |slot: &mut Slot| slot.confirmed.lock().unwrap().then_some(());
                    desk.board.take(number, confirmed)
                })
                .map(|(slot, ())| slot)
                .collect();
            drop(desk);
            for slot in done {
                assert!(self.broker.lock().unwrap().contains_key(&slot.message));
                slot.answer.send(Verdict::Confirmed).expect("the publisher waits");
            }
        }

        /// What `Lane::bury` and the keeper do: the connection is lost, and there is another.
        fn lose(&self, at: usize) {
            self.lanes[at].gone.store(true, Ordering::SeqCst);
            self.wake(at);
            self.lanes[at].desk.lock().unwrap().board.shut();
            self.look(at);
            let (left, aside) = {
                let mut desk = self.lanes[at].desk.lock().unwrap();
                (desk.board.bury(), std::mem::take(&mut desk.aside))
            };
            let unsent = aside.into_iter().map(|(_, answer)| answer);
            for answer in left.into_iter().map(|slot| slot.answer).chain(unsent) {
                answer.send(Verdict::Failed).expect("the publisher waits");
            }
            *self.current.lock().unwrap() = at + 1;
            self.changed.notify_all();
        }
    }

    #[test]
    fn every_publish_is_told_once_while_connections_are_lost_in_any_order() {
        let model = || {
            let world = Arc::new(World::default());
            let run = |work: Box<dyn FnOnce(&World) + Send>| {
                let world = Arc::clone(&world);
                thread::spawn(move || work(&world))
            };
            let mut threads: Vec<_> = (0..PUBLISHERS)
                .map(|message| run(Box::new(move |world| world.publish(message))))
                .collect();
            threads.extend((0..LANES).map(|at| run(Box::new(move |world| world.confirm(at)))));
            threads.extend((0..LANES).map(|at| run(Box::new(move |world| world.drive(at)))));
            // The second loss during the recovery from the first.
            threads.push(run(Box::new(|world| (0..LANES - 1).for_each(|at| world.lose(at)))));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let is_empty = |desk: &Desk| desk.board.is_empty() && desk.aside.is_empty();
            assert!(world.lanes.iter().all(|lane| is_empty(&lane.desk.lock().unwrap())));
        };
        shuttle::check_random(model, SCHEDULES);
    }
}
