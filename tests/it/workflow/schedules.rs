//! At which checkpoints of its lives the process is killed: every schedule, once tried, says which ones follow.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::scene::{Life, Scene};
use super::story::Story;

/// What came of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// How many of its kills took place.
    pub(super) kills: usize,
    /// How many checkpoints the last life passed.
    pub(super) passed: usize,
}

/// The schedules of a story that were tried, and what came of each. A schedule is the list of checkpoints, from 0, at which one
/// life after the other is killed; the life after them is not.
#[derive(Debug)]
pub(super) struct Tried {
    ends: BTreeMap<Vec<usize>, End>,
    kills_max: usize,
}

impl Tried {
    /// None of those with up to so many kills.
    pub(super) const fn new(kills_max: usize) -> Self {
        Self { ends: BTreeMap::new(), kills_max }
    }

    /// Writes down what came of a schedule, and gives those that follow: the same with the last kill one checkpoint later, until a
    /// life ends before it is reached, and the same with one more kill.
    pub(super) fn add(&mut self, kills: Vec<usize>, end: End) -> Vec<Vec<usize>> {
        let mut next = Vec::new();
        if end.kills == kills.len() {
            if let Some((last, first)) = kills.split_last() {
                next.push([first, &[last + 1]].concat());
            }
            if kills.len() < self.kills_max {
                next.push([&kills[..], &[0]].concat());
            }
        }
        self.ends.insert(kills, end);
        next
    }

    /// How many there were, after a look that none is missing: each row of kills goes on until a life ends before it is killed. If
    /// lives are `steady`, a life that is left alone passes as many checkpoints as there are at which it was killed.
    ///
    /// # Errors
    /// The schedule after which some are missing, or are too many.
    pub(super) fn count(&self, steady: bool) -> Result<usize, String> {
        let mut due = 1;
        for (kills, end) in &self.ends {
            if end.kills < kills.len() || kills.len() == self.kills_max {
                continue;
            }
            let after = |kill| self.ends.get(&[&kills[..], &[kill]].concat());
            let took_place = |kill: &usize| after(*kill).is_some_and(|end| end.kills > kills.len());
            let places = (0..).take_while(took_place).count();
            due += places + 1;
            if after(places).is_none() || (steady && places != end.passed) {
                return Err(format!(
                    "after {kills:?} the next life was killed at {places} places; {end:?}, then {:?}",
                    after(places)
                ));
            }
        }
        if due == self.ends.len() {
            Ok(due)
        } else {
            Err(format!("{} schedules were tried, and there are {due}", self.ends.len()))
        }
    }
}

/// Says what was tried. It does not go where the output of tests is kept from view unless they fail: every run shows it.
pub(super) fn say(text: &str) {
    // Whoever closes the output does not want to know.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Runs an instance to its end through as many lives as there are kills, and one more.
pub(super) async fn run<S: Story>(scene: &Scene<S>, kills: &[usize]) -> End {
    for (life, kill) in kills.iter().copied().map(Some).chain([None]).enumerate() {
        if let Life::Ended(passed) = scene.live(life, kill).await {
            scene.judge(kills).await;
            return End { kills: life, passed };
        }
    }
    unreachable!("the last life has no kill")
}

/// Tries all schedules with up to so many kills, one after the other, each in a scene of its own. Gives how many there were.
pub(super) async fn exhaust<S: Story>(scene: impl Fn() -> Scene<S>, kills_max: usize) -> usize {
    let (mut tried, mut left) = (Tried::new(kills_max), vec![Vec::new()]);
    while let Some(kills) = left.pop() {
        let end = run(&scene(), &kills).await;
        left.extend(tried.add(kills, end));
    }
    tried.count(true).unwrap_or_else(|why| panic!("{why}\n{:#?}", scene()))
}

#[test]
fn a_schedule_that_was_left_out_is_missed() {
    // Two checkpoints, whatever happened before.
    let end = |kills: &[usize]| {
        let reached = kills.iter().take_while(|kill| **kill < 2).count();
        End { kills: reached, passed: 2 }
    };
    let try_all = |left_out: Option<&[usize]>| {
        let (mut tried, mut left) = (Tried::new(2), vec![Vec::new()]);
        while let Some(kills) = left.pop() {
            if left_out != Some(&kills[..]) {
                let end = end(&kills);
                left.extend(tried.add(kills, end));
            }
        }
        (tried.count(true), tried.count(false))
    };
    let all = Ok(1 + 3 + 2 * 3);
    assert_eq!(try_all(None), (all.clone(), all));
    for left_out in [&[2][..], &[0, 2], &[1, 0], &[1]] {
        let (steady, other) = try_all(Some(left_out));
        assert!(steady.is_err() && other.is_err(), "{left_out:?}");
    }
}
