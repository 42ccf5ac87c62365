//! Which of the workflows made at random are killed at every pair of checkpoints, and what they must show together.
//!
//! The number of pairs grows with the square of the checkpoints, so of the first 4,000 seeds those were chosen that have the fewest
//! checkpoints and yet show everything together: one for each number of steps that are made. Undoing succeeds at once in all
//! of them, since a second passes between its attempts; what fails there first is killed in memory, where a second takes no time.

use std::collections::BTreeSet;

use mmate::workflow::Shape;

use super::generated::{Act, Plan, STEPS_MAX, model, plan};

/// From one step to six.
pub(super) const CHOSEN: [u64; 6] = [190, 460, 374, 362, 3053, 1199];

/// The same in three parts, one for each store on RabbitMQ: there a life takes five times as much of the machine.
pub(super) const ON_RABBITMQ: [&[u64]; 3] = [&[1199], &[3053, 190], &[460, 374, 362]];

/// For RabbitMQ without a store.
pub(super) const WITHOUT_STORE: [u64; 3] = [36, 57, 77];

/// What an instance of a plan goes through.
fn shown(plan: &[Plan]) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let (mut steps, mut index, mut goes_forward) = (0, 0, true);
    while index < plan.len() && goes_forward {
        let shape = plan[index].shape;
        let step: Vec<&Plan> = match shape {
            Shape::Branch(_) => plan[index..].iter().take_while(|at| at.shape == shape).collect(),
            Shape::Single | Shape::Join(_) => vec![&plan[index]],
        };
        index += step.len();
        if matches!(shape, Shape::Branch(_)) {
            shown.insert("branches".to_owned());
        }
        shown.extend(step.iter().filter_map(|at| at.when).map(|when| format!("when {when}")));
        let made: Vec<&&Plan> = step.iter().filter(|at| at.when != Some(false)).collect();
        // A join belongs to its branches.
        steps += usize::from(!made.is_empty() && !matches!(shape, Shape::Join(_)));
        for stage in made {
            let failed = !matches!(stage.act, Act::Do | Act::FailOnce | Act::Once);
            shown.insert(format!("{:?}", stage.act));
            if failed && stage.goes_on {
                shown.insert("goes on".to_owned());
            }
            goes_forward &= !failed || stage.goes_on;
        }
    }
    let end = model(plan);
    if !end.undone.is_empty() {
        shown.insert("undone".to_owned());
    }
    if !end.completed && !end.kept().is_empty() {
        shown.insert("irreversible".to_owned());
    }
    shown.insert(format!("{steps} steps"));
    shown.insert(if end.completed { "completed" } else { "not completed" }.to_owned());
    shown
}

fn all_of(seeds: &[u64]) -> BTreeSet<String> {
    seeds.iter().flat_map(|seed| shown(&plan(*seed, STEPS_MAX))).collect()
}

#[test]
fn the_workflows_that_are_killed_everywhere_show_everything_together() {
    let acts = [Act::Do, Act::Refuse, Act::FailOnce, Act::Hang, Act::Panic, Act::Doubt, Act::Waver];
    let words = ["branches", "when true", "when false", "goes on", "undone", "irreversible"];
    let mut all: BTreeSet<String> = words.iter().map(|word| (*word).to_owned()).collect();
    all.extend(acts.iter().map(|act| format!("{act:?}")));
    all.extend((1..=STEPS_MAX).map(|steps| format!("{steps} steps")));
    all.extend(["completed".to_owned(), "not completed".to_owned()]);
    assert_eq!(all_of(&CHOSEN), all);
    assert_eq!(all_of(&ON_RABBITMQ.concat()), all);
    for word in ["branches", "when false", "undone", "completed"] {
        assert!(all_of(&WITHOUT_STORE).contains(word), "{word}");
    }
    for seed in CHOSEN.iter().chain(&WITHOUT_STORE) {
        let plan = plan(*seed, STEPS_MAX);
        for name in model(&plan).undone {
            let index: usize = name[1..].parse().unwrap();
            assert!(!plan[index].undo_fails_once, "undoing `{name}` of {seed} succeeds at once");
        }
    }
}
