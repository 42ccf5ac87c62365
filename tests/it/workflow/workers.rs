//! Tries schedules beside each other in real time, since much of it passes in waiting.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mmate::contract::Source;

use super::place::{Carrying, Keeping, Place, alone};
use super::places::WAITING;
use super::scene::{Life, Scene};
use super::schedules::{End, Tried};
use super::story::Story;

/// What a worker is to try.
#[derive(Clone, Debug)]
struct Job {
    /// The story's number.
    story: usize,
    kills: Vec<usize>,
    /// Whether each life begins at once and waits until the lease of the last one is over. Otherwise so much time passes
    /// between them that it is.
    waits: bool,
}

/// What is to be tried, and what came of it. Each schedule that was tried may add more.
struct Board {
    names: Vec<String>,
    /// Whether a process that is killed leaves a lease behind.
    leases: bool,
    open: Mutex<Open>,
    changed: Condvar,
}

struct Open {
    left: VecDeque<Job>,
    busy: usize,
    has_failed: bool,
    tried: Vec<Tried>,
    /// How many have waited for leases.
    waited: usize,
}

/// A worker that tries something; those that wait must not wait for one that has panicked.
struct Busy<'b> {
    board: &'b Board,
    job: Job,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("so it was with {}: {:?}", self.board.names[self.job.story], self.job);
        }
        let mut open = self.board.open();
        open.busy -= 1;
        open.has_failed |= std::thread::panicking();
        drop(open);
        self.board.changed.notify_all();
    }
}

impl Board {
    fn new(names: Vec<String>, leases: bool, kills_max: usize) -> Self {
        let begin = |story| Job { story, kills: Vec::new(), waits: false };
        let left = (0..names.len()).map(begin).collect();
        let tried = names.iter().map(|_| Tried::new(kills_max)).collect();
        let open = Open { left, busy: 0, has_failed: false, tried, waited: 0 };
        Self { names, leases, open: Mutex::new(open), changed: Condvar::new() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is next; nothing once nobody can add any more.
    fn next(&self) -> Option<Busy<'_>> {
        let idle = |open: &mut Open| !open.has_failed && open.left.is_empty() && open.busy > 0;
        let mut open =
            self.changed.wait_while(self.open(), idle).unwrap_or_else(PoisonError::into_inner);
        let job = open.left.pop_front().filter(|_| !open.has_failed)?;
        open.busy += 1;
        Some(Busy { board: self, job })
    }

    fn add(&self, job: &Job, end: End) {
        let mut open = self.open();
        let Job { story, ref kills, waits } = *job;
        if waits {
            open.waited += 1;
            return;
        }
        if self.leases && kills.len() == 1 && end.kills == 1 {
            open.left.push_back(Job { waits: true, ..job.clone() });
        }
        for kills in open.tried[story].add(kills.clone(), end) {
            let next = Job { story, kills, waits };
            // What begins a row of others goes first, so that there is always enough to do.
            if next.kills.len() == 1 {
                open.left.push_front(next);
            } else {
                open.left.push_back(next);
            }
        }
    }
}

/// Runs an instance to its end, each life in a runtime of its own.
fn run<S: Story>(scene: &Scene<S>, kills: &[usize], waits: bool) -> End {
    for (life, kill) in kills.iter().copied().map(Some).chain([None]).enumerate() {
        let end = alone(scene.live(life, kill));
        if let Carrying::RabbitMq(line) = &scene.place.carrying {
            line.cut();
        }
        match end {
            Life::Ended(passed) => {
                alone(scene.judge(kills));
                return End { kills: life, passed };
            }
            Life::Killed if waits => {}
            Life::Killed => alone(scene.lapse()),
        }
    }
    unreachable!("the last life has no kill")
}

/// Tries all schedules of some stories with up to so many kills, each worker at a place of its own, at which it tells each story.
/// Those with one kill are tried a second time with the lease that it leaves behind. Gives how many schedules there were of all,
/// and how many of the latter. Lives are `steady` if nothing but the process moves an instance.
pub(super) fn exhaust<S: Story>(
    places: &[Place],
    stories: &[impl Fn(&Place) -> S + Sync],
    kills_max: usize,
    steady: bool,
) -> (usize, usize) {
    let names = stories.iter().map(|tell| tell(&places[0]).name()).collect();
    let leases = !matches!(places[0].keeping, Keeping::Nowhere);
    let board = Board::new(names, leases, kills_max);
    std::thread::scope(|scope| {
        for place in places {
            scope.spawn(|| {
                let stories: Vec<S> = stories.iter().map(|tell| tell(place)).collect();
                while let Some(busy) = board.next() {
                    let Job { story, ref kills, waits } = busy.job;
                    let (story, id) = (stories[story].again(), Source::system().id());
                    let config = if waits { WAITING } else { place.config };
                    let scene = Scene { place: Place { config, ..place.clone() }, story, id };
                    let end = run(&scene, kills, waits);
                    board.add(&busy.job, end);
                }
            });
        }
    });
    let Open { tried, waited, .. } =
        board.open.into_inner().unwrap_or_else(PoisonError::into_inner);
    let counts = tried
        .iter()
        .zip(&board.names)
        .map(|(tried, name)| tried.count(steady).unwrap_or_else(|why| panic!("{name}: {why}")));
    (counts.sum(), waited)
}
