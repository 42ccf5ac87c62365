//! What has ended is removed in the end, with all that belongs to it.

use super::bench::{Bench, VERSION};
use super::{Checked, Failure, ensure_empty, ensure_eq, list};
use crate::store::{Instance, WorkflowStatus};

list![
    what_ended_long_ago_is_removed_with_its_history,
    what_ended_later_is_not_removed,
    what_has_not_ended_is_not_removed,
    what_ended_first_is_removed_first,
    a_removed_instance_can_be_created_again,
    what_ended_of_another_workflow_is_left_to_others,
    what_ended_of_any_version_is_removed,
];

async fn what_ended_long_ago_is_removed_with_its_history(bench: &Bench) -> Checked {
    let mut ids = Vec::new();
    for status in WorkflowStatus::ALL.iter().filter(|status| status.is_end()) {
        ids.push(bench.ended(1, *status).await?.id);
    }
    let removed = bench.store().purge(&bench.workflows(), bench.at(2), 100).await?;
    ensure_eq!(removed, ids.len() as u64, "how many are removed");
    for id in ids {
        ensure_eq!(bench.store().get(id).await?, None, "the instance");
        ensure_empty(&bench.store().history(id).await?, "its history")?;
    }
    Ok(())
}

async fn what_ended_later_is_not_removed(bench: &Bench) -> Checked {
    let ended = bench.ended(2, WorkflowStatus::Completed).await?;
    ensure_eq!(
        bench.store().purge(&bench.workflows(), bench.at(2), 100).await?,
        0,
        "how many are removed"
    );
    ensure_eq!(bench.get(ended.id).await?, ended, "the instance");
    ensure_eq!(bench.events(ended.id).await?.len(), 1, "the lines of its history");
    Ok(())
}

async fn what_has_not_ended_is_not_removed(bench: &Bench) -> Checked {
    let mut all = Vec::new();
    for status in WorkflowStatus::ALL.iter().filter(|status| !status.is_end()) {
        all.push(bench.ended(1, *status).await?);
    }
    ensure_eq!(
        bench.store().purge(&bench.workflows(), bench.at(9), 100).await?,
        0,
        "how many are removed"
    );
    for instance in all {
        ensure_eq!(bench.get(instance.id).await?, instance, "what is left");
    }
    Ok(())
}

async fn what_ended_first_is_removed_first(bench: &Bench) -> Checked {
    let mut ids = Vec::new();
    for second in [3, 1, 2] {
        ids.push(bench.ended(second, WorkflowStatus::Failed).await?.id);
    }
    ensure_eq!(
        bench.store().purge(&bench.workflows(), bench.at(9), 2).await?,
        2,
        "how many are removed"
    );
    for (id, is_left) in ids.iter().zip([true, false, false]) {
        ensure_eq!(bench.store().get(*id).await?.is_some(), is_left, "whether one is left");
        let lines = bench.store().history(*id).await?.len();
        ensure_eq!(lines > 0, is_left, "whether its history is left");
    }
    Ok(())
}

async fn a_removed_instance_can_be_created_again(bench: &Bench) -> Checked {
    let ended = bench.ended(1, WorkflowStatus::Completed).await?;
    bench.store().purge(&bench.workflows(), bench.at(2), 100).await?;
    let mut new = bench.new_instance(1);
    new.id = ended.id;
    ensure_eq!(bench.store().create(&new).await?, true, "whether it is kept");
    let history = bench.store().history(new.id).await?;
    ensure_eq!(history.iter().map(|line| line.seq).collect::<Vec<_>>(), [1], "its lines");
    Ok(())
}

/// An instance of another workflow or version that ended at a time.
async fn ended_of(bench: &Bench, workflow: &str, version: u32) -> Result<Instance, Failure> {
    let mut new = bench.new_instance(1);
    (new.workflow, new.version) = (workflow.to_owned(), version);
    bench.store().create(&new).await?;
    bench.end(&bench.get(new.id).await?, 1, WorkflowStatus::Completed).await
}

/// Others may keep theirs for longer.
async fn what_ended_of_another_workflow_is_left_to_others(bench: &Bench) -> Checked {
    let theirs = ended_of(bench, &bench.name("other"), VERSION).await?;
    bench.ended(2, WorkflowStatus::Completed).await?;
    let removed = bench.store().purge(&bench.workflows(), bench.at(9), 1).await?;
    ensure_eq!(removed, 1, "how many are removed");
    ensure_eq!(
        bench.store().purge(&[], bench.at(9), 1).await?,
        0,
        "how many are removed for nobody"
    );
    ensure_eq!(bench.get(theirs.id).await?, theirs, "what is left to others");
    ensure_eq!(bench.events(theirs.id).await?.len(), 1, "the lines of its history");
    let all = [bench.name("other"), bench.name("workflow")];
    ensure_eq!(bench.store().purge(&all, bench.at(9), 9).await?, 1, "how many the others remove");
    Ok(())
}

async fn what_ended_of_any_version_is_removed(bench: &Bench) -> Checked {
    for version in [VERSION - 1, VERSION, VERSION + 1] {
        ended_of(bench, &bench.name("workflow"), version).await?;
    }
    let removed = bench.store().purge(&bench.workflows(), bench.at(9), 9).await?;
    ensure_eq!(removed, 3, "how many are removed");
    Ok(())
}
