//! What nobody has looked at for too long is given to somebody, and again later if nothing comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::bench::{Bench, VERSION};
use super::{Checked, Failure, ensure, ensure_empty, ensure_eq, list};
use crate::store::{Instance, Save, WorkflowStatus, WorkflowVersion};

const MINUTE: Duration = Duration::from_secs(60);

list![
    what_is_due_is_taken,
    what_is_due_later_is_not_taken,
    what_is_due_the_longest_is_taken_first,
    no_more_is_taken_than_asked_for,
    what_was_taken_is_due_again_later,
    what_is_unchanged_for_long_is_due_again_after_as_long,
    what_is_taken_is_otherwise_unchanged,
    what_somebody_works_on_is_taken_too,
    what_has_ended_is_not_due,
    what_is_due_of_another_workflow_is_left_to_others,
    what_is_due_of_another_version_is_left_to_others,
    what_is_left_to_others_takes_nobodys_place,
    what_is_due_of_several_workflows_is_taken_in_one_order,
    whoever_has_no_workflow_takes_nothing,
    what_is_due_is_given_to_one_of_many,
];

/// An instance that was changed last, and is due, so many seconds after the beginning.
async fn due(bench: &Bench, changed: i64, due: i64) -> Result<Instance, Failure> {
    let mut new = bench.new_instance(changed);
    new.due_at = bench.at(due);
    bench.store().create(&new).await?;
    bench.get(new.id).await
}

async fn take(
    bench: &Bench,
    now: Timestamp,
    again: Duration,
    limit: u32,
) -> Result<Vec<Uuid>, Failure> {
    take_of(bench, &bench.versions(), now, again, limit).await
}

async fn take_of(
    bench: &Bench,
    of: &[WorkflowVersion],
    now: Timestamp,
    again: Duration,
    limit: u32,
) -> Result<Vec<Uuid>, Failure> {
    let taken = bench.store().take_due(of, now, again, limit).await?;
    Ok(taken.iter().map(|instance| instance.id).collect())
}

/// An instance of another workflow or version, which is due then.
async fn due_of(bench: &Bench, of: &WorkflowVersion, due: i64) -> Result<Instance, Failure> {
    let mut new = bench.new_instance(0);
    (new.workflow, new.version) = (of.workflow.clone(), of.version);
    new.due_at = bench.at(due);
    bench.store().create(&new).await?;
    bench.get(new.id).await
}

async fn what_is_due_is_taken(bench: &Bench) -> Checked {
    let (past, present) = (due(bench, 0, 10).await?, due(bench, 0, 20).await?);
    let taken = take(bench, bench.at(20), MINUTE, 10).await?;
    ensure_eq!(taken, [past.id, present.id], "what is taken");
    Ok(())
}

async fn what_is_due_later_is_not_taken(bench: &Bench) -> Checked {
    due(bench, 0, 21).await?;
    ensure_empty(&take(bench, bench.at(20), MINUTE, 10).await?, "what is taken")?;
    Ok(())
}

async fn what_is_due_the_longest_is_taken_first(bench: &Bench) -> Checked {
    let mut expected = Vec::new();
    for second in [3, 9, 1, 7, 5] {
        expected.push((second, due(bench, 0, second).await?.id));
    }
    expected.sort_unstable();
    let expected: Vec<Uuid> = expected.into_iter().map(|(_, id)| id).collect();
    ensure_eq!(take(bench, bench.at(20), MINUTE, 10).await?, expected, "what is taken, in order");
    Ok(())
}

async fn no_more_is_taken_than_asked_for(bench: &Bench) -> Checked {
    let mut all = Vec::new();
    for second in 0..5 {
        all.push(due(bench, 0, second).await?.id);
    }
    let now = bench.at(20);
    ensure_eq!(take(bench, now, MINUTE, 2).await?, all[..2], "the first two");
    ensure_eq!(take(bench, now, MINUTE, 2).await?, all[2..4], "the next two");
    ensure_eq!(take(bench, now, MINUTE, 2).await?, all[4..], "the last");
    ensure_empty(&take(bench, now, MINUTE, 2).await?, "what is left")?;
    Ok(())
}

async fn what_was_taken_is_due_again_later(bench: &Bench) -> Checked {
    let instance = due(bench, 10, 15).await?;
    let taken = bench.store().take_due(&bench.versions(), bench.at(20), MINUTE, 1).await?;
    let told: Vec<_> = taken.iter().map(|instance| instance.due_at).collect();
    ensure_eq!(told, [Some(bench.at(80))], "when it is due again, as told");
    let kept = bench.get(instance.id).await?.due_at;
    ensure_eq!(kept, Some(bench.at(80)), "when it is due again");
    ensure_empty(&take(bench, bench.at(79), MINUTE, 1).await?, "what is taken before")?;
    ensure_eq!(take(bench, bench.at(80), MINUTE, 1).await?, [instance.id], "what is taken then");
    Ok(())
}

async fn what_is_unchanged_for_long_is_due_again_after_as_long(bench: &Bench) -> Checked {
    let instance = due(bench, 0, 10).await?;
    take(bench, bench.at(100), MINUTE, 1).await?;
    ensure_eq!(bench.get(instance.id).await?.due_at, Some(bench.at(200)), "when it is due again");
    take(bench, bench.at(200), MINUTE, 1).await?;
    ensure_eq!(bench.get(instance.id).await?.due_at, Some(bench.at(400)), "and again");
    Ok(())
}

async fn what_is_taken_is_otherwise_unchanged(bench: &Bench) -> Checked {
    let instance = due(bench, 10, 15).await?;
    let taken = bench.store().take_due(&bench.versions(), bench.at(20), MINUTE, 1).await?;
    let expected = Instance { due_at: Some(bench.at(80)), ..instance };
    ensure_eq!(taken.first(), Some(&expected), "the instance as told");
    ensure_eq!(bench.get(expected.id).await?, expected, "the instance");
    Ok(())
}

async fn what_somebody_works_on_is_taken_too(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let instance = bench.claimed(&owner).await?;
    let taken = bench.store().take_due(&bench.versions(), bench.at(7200), MINUTE, 10).await?;
    let told: Vec<_> = taken.iter().map(|it| (it.id, it.owner.clone())).collect();
    ensure_eq!(told, [(instance.id, Some(owner))], "what is taken");
    Ok(())
}

async fn what_has_ended_is_not_due(bench: &Bench) -> Checked {
    bench.ended(0, WorkflowStatus::Completed).await?;
    ensure_empty(&take(bench, bench.at(80_000), MINUTE, 10).await?, "what is taken")?;
    let stuck = bench.ended(0, WorkflowStatus::Stuck).await?;
    let stuck = bench.claim(&stuck, &bench.name("owner")).await?;
    let mut save = Save::of(&stuck, "{}".to_owned(), bench.at(1));
    save.due_at = Some(bench.at(2));
    bench.saved(&save).await?;
    ensure_eq!(take(bench, bench.at(80_000), MINUTE, 10).await?, [stuck.id], "what is taken");
    Ok(())
}

/// Checks that an instance of `other` is not taken, and is as before.
async fn ensure_left(bench: &Bench, other: WorkflowVersion) -> Checked {
    let theirs = due_of(bench, &other, 10).await?;
    let ours = due(bench, 0, 15).await?;
    let taken = take(bench, bench.at(20), MINUTE, 10).await?;
    ensure_eq!(taken, [ours.id], "what is taken");
    ensure_eq!(bench.get(theirs.id).await?, theirs, "what is left to others");
    let taken = take_of(bench, &[other], bench.at(20), MINUTE, 10).await?;
    ensure_eq!(taken, [theirs.id], "what the others take");
    Ok(())
}

async fn what_is_due_of_another_workflow_is_left_to_others(bench: &Bench) -> Checked {
    for other in ["Workflow", "workflow ", "workflow-2", "w"] {
        ensure_left(bench, WorkflowVersion::new(&bench.name(other), VERSION)).await?;
    }
    Ok(())
}

async fn what_is_due_of_another_version_is_left_to_others(bench: &Bench) -> Checked {
    ensure_left(bench, WorkflowVersion::new(&bench.name("workflow"), VERSION - 1)).await?;
    ensure_left(bench, WorkflowVersion::new(&bench.name("workflow"), VERSION + 1)).await
}

async fn what_is_left_to_others_takes_nobodys_place(bench: &Bench) -> Checked {
    let other = WorkflowVersion::new(&bench.name("other"), VERSION);
    for second in 0..5 {
        due_of(bench, &other, second).await?;
    }
    let ours = due(bench, 0, 15).await?;
    let taken = take(bench, bench.at(20), MINUTE, 2).await?;
    ensure_eq!(taken, [ours.id], "what is taken");
    Ok(())
}

async fn what_is_due_of_several_workflows_is_taken_in_one_order(bench: &Bench) -> Checked {
    let of = [
        WorkflowVersion::new(&bench.name("b"), 1),
        WorkflowVersion::new(&bench.name("b"), 2),
        WorkflowVersion::new(&bench.name("a"), 7),
    ];
    let mut expected = Vec::new();
    for second in 0..9 {
        let of = &of[usize::try_from(second % 3).unwrap_or_default()];
        expected.push(due_of(bench, of, second).await?.id);
    }
    let now = bench.at(20);
    ensure_eq!(take_of(bench, &of, now, MINUTE, 4).await?, expected[..4], "the first four");
    // Whoever names one twice gets no instance twice.
    let twice = [&of[..], &of[..]].concat();
    ensure_eq!(take_of(bench, &twice, now, MINUTE, 9).await?, expected[4..], "the others");
    Ok(())
}

async fn whoever_has_no_workflow_takes_nothing(bench: &Bench) -> Checked {
    let ours = due(bench, 0, 15).await?;
    ensure_empty(&take_of(bench, &[], bench.at(20), MINUTE, 10).await?, "what is taken")?;
    ensure_eq!(bench.get(ours.id).await?, ours, "the instance");
    Ok(())
}

async fn what_is_due_is_given_to_one_of_many(bench: &Bench) -> Checked {
    let mut all = BTreeSet::new();
    for second in 0..40 {
        all.insert(due(bench, 0, second).await?.id);
    }
    let (one, two, of) = (bench.store(), bench.other().await?, bench.versions());
    let now = bench.at(100);
    let takers = (0..20).map(|number| {
        let store = if number % 2 == 0 { one } else { &two };
        store.take_due(&of, now, MINUTE, 5)
    });
    let mut taken = Vec::new();
    for outcome in futures_util::future::join_all(takers).await {
        taken.extend(outcome?.iter().map(|instance| instance.id));
    }
    // A store may skip what another is just taking, so that something may be left for the next.
    taken.extend(take(bench, now, MINUTE, 40).await?);
    let different: BTreeSet<Uuid> = taken.iter().copied().collect();
    ensure!(taken.len() == different.len(), "{} were taken twice", taken.len() - different.len());
    ensure_eq!(different, all, "all that are taken");
    Ok(())
}
