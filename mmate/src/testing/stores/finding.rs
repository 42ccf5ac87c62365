//! Instances are found by what they are.

use uuid::Uuid;

use super::bench::Bench;
use super::{Checked, Failure, ensure, ensure_empty, ensure_eq, list};
use crate::store::{Instance, InstanceFilter, LiveVersion, WorkflowStatus};

list![
    the_newest_instances_are_listed_first,
    instances_are_listed_by_workflow,
    instances_are_listed_of_several_workflows,
    instances_are_listed_by_status,
    instances_are_listed_by_when_they_were_started,
    no_more_instances_are_listed_than_asked_for,
    listed_instances_are_whole,
    all_conditions_of_a_list_hold,
    an_unknown_workflow_lists_nothing,
    versions_with_instances_on_their_way_are_listed,
    versions_are_listed_in_order,
];

fn of(bench: &Bench) -> InstanceFilter {
    InstanceFilter { workflows: bench.workflows().to_vec(), ..InstanceFilter::default() }
}

async fn list(bench: &Bench, filter: &InstanceFilter) -> Result<Vec<Uuid>, Failure> {
    let listed = bench.store().list(filter).await?;
    Ok(listed.iter().map(|instance| instance.id).collect())
}

/// Instances that were started at these seconds.
async fn started(bench: &Bench, seconds: &[i64]) -> Result<Vec<Uuid>, Failure> {
    let mut ids = Vec::new();
    for second in seconds {
        ids.push(bench.started(*second).await?.id);
    }
    Ok(ids)
}

async fn the_newest_instances_are_listed_first(bench: &Bench) -> Checked {
    let ids = started(bench, &[2, 4, 1, 3, 3]).await?;
    let (older, later) = (ids[3].min(ids[4]), ids[3].max(ids[4]));
    let expected = [ids[1], older, later, ids[0], ids[2]];
    ensure_eq!(list(bench, &of(bench)).await?, expected, "the list");
    Ok(())
}

async fn instances_are_listed_by_workflow(bench: &Bench) -> Checked {
    let ids = started(bench, &[1]).await?;
    let mut another = bench.new_instance(1);
    another.workflow = bench.name("Workflow");
    bench.store().create(&another).await?;
    ensure_eq!(list(bench, &of(bench)).await?, ids, "the list");
    let workflows = vec![another.workflow.clone()];
    let filter = InstanceFilter { workflows, ..InstanceFilter::default() };
    ensure_eq!(list(bench, &filter).await?, [another.id], "the list of the other");
    Ok(())
}

async fn instances_are_listed_of_several_workflows(bench: &Bench) -> Checked {
    let mut ids = Vec::new();
    for (workflow, second) in ["a", "b", "c", "b"].iter().zip(0..) {
        let mut new = bench.new_instance(second);
        new.workflow = bench.name(workflow);
        bench.store().create(&new).await?;
        ids.push(new.id);
    }
    let workflows = vec![bench.name("b"), bench.name("a"), bench.name("b")];
    let filter = InstanceFilter { workflows, since: Some(bench.at(1)), ..of(bench) };
    ensure_eq!(list(bench, &filter).await?, [ids[3], ids[1]], "the list since");
    let filter = InstanceFilter { since: None, ..filter };
    ensure_eq!(list(bench, &filter).await?, [ids[3], ids[1], ids[0]], "the list");
    Ok(())
}

async fn instances_are_listed_by_status(bench: &Bench) -> Checked {
    let mut of_status = Vec::new();
    for (status, second) in WorkflowStatus::ALL.iter().zip(0..) {
        of_status.push((*status, bench.ended(second, *status).await?.id));
    }
    for (status, id) in &of_status {
        let filter = InstanceFilter { statuses: vec![*status], ..of(bench) };
        ensure_eq!(list(bench, &filter).await?, [*id], format!("what is {status}"));
    }
    let statuses = vec![WorkflowStatus::Stuck, WorkflowStatus::Failed, WorkflowStatus::Stuck];
    let two = list(bench, &InstanceFilter { statuses, ..of(bench) }).await?;
    let expected = of_status
        .iter()
        .rev()
        .filter(|(status, _)| matches!(status, WorkflowStatus::Stuck | WorkflowStatus::Failed));
    ensure_eq!(two, expected.map(|(_, id)| *id).collect::<Vec<_>>(), "what is stuck or failed");
    Ok(())
}

async fn instances_are_listed_by_when_they_were_started(bench: &Bench) -> Checked {
    let ids = started(bench, &[1, 2, 3, 4]).await?;
    let (since, before) = (Some(bench.at(2)), Some(bench.at(4)));
    let filter = InstanceFilter { since, before, ..InstanceFilter::default() };
    ensure_eq!(list(bench, &filter).await?, [ids[2], ids[1]], "the list");
    let filter = InstanceFilter { since, ..of(bench) };
    ensure_eq!(list(bench, &filter).await?, [ids[3], ids[2], ids[1]], "the list since");
    let filter = InstanceFilter { before, ..of(bench) };
    ensure_eq!(list(bench, &filter).await?, [ids[2], ids[1], ids[0]], "the list before");
    Ok(())
}

async fn no_more_instances_are_listed_than_asked_for(bench: &Bench) -> Checked {
    let seconds: Vec<i64> = (0..101).collect();
    let ids = started(bench, &seconds).await?;
    ensure_eq!(list(bench, &of(bench)).await?.len(), 100, "the number if nothing is said");
    let two = list(bench, &InstanceFilter { limit: Some(2), ..of(bench) }).await?;
    ensure_eq!(two, [ids[100], ids[99]], "two of them");
    let all = list(bench, &InstanceFilter { limit: Some(u32::MAX), ..of(bench) }).await?;
    ensure_eq!(all.len(), 101, "the number of all");
    let none = list(bench, &InstanceFilter { limit: Some(0), ..of(bench) }).await?;
    ensure_empty(&none, "none of them")?;
    Ok(())
}

async fn listed_instances_are_whole(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let listed: Vec<Instance> = bench.store().list(&of(bench)).await?;
    ensure_eq!(listed, [taken], "the list");
    Ok(())
}

async fn all_conditions_of_a_list_hold(bench: &Bench) -> Checked {
    for second in 0..4 {
        bench.started(second).await?;
        bench.ended(second, WorkflowStatus::Failed).await?;
    }
    let filter = InstanceFilter {
        statuses: vec![WorkflowStatus::Failed],
        since: Some(bench.at(1)),
        before: Some(bench.at(3)),
        limit: Some(1),
        ..of(bench)
    };
    let listed = bench.store().list(&filter).await?;
    let [only] = &*listed else {
        return Err(Failure::new(format!("{} are listed instead of 1", listed.len())));
    };
    ensure_eq!((only.status, only.created_at), (WorkflowStatus::Failed, bench.at(2)), "the one");
    Ok(())
}

async fn an_unknown_workflow_lists_nothing(bench: &Bench) -> Checked {
    bench.started(0).await?;
    let workflows = vec![bench.name("' or true --")];
    let filter = InstanceFilter { workflows, ..InstanceFilter::default() };
    ensure_empty(&list(bench, &filter).await?, "the list")?;
    Ok(())
}

/// The versions of this check's workflows.
async fn versions(bench: &Bench) -> Result<Vec<LiveVersion>, Failure> {
    let mut versions = bench.store().live_versions().await?;
    let own = bench.name("");
    versions.retain(|version| version.workflow.starts_with(&own));
    Ok(versions)
}

async fn versions_with_instances_on_their_way_are_listed(bench: &Bench) -> Checked {
    let ids = started(bench, &[1, 2, 3]).await?;
    bench.ended(1, WorkflowStatus::Completed).await?;
    let stuck = bench.ended(1, WorkflowStatus::Stuck).await?;
    let found = versions(bench).await?;
    let [version] = &*found else {
        return Err(Failure::new(format!("the versions are {found:?}")));
    };
    let (workflow, graph) = (bench.name("workflow"), "graph-3");
    let expected = LiveVersion::new(&workflow, 3, graph, 4, version.example);
    ensure_eq!(version, &expected, "the version");
    ensure!(
        ids.contains(&version.example) || stuck.id == version.example,
        "the example {} is none of the instances",
        version.example
    );
    Ok(())
}

async fn versions_are_listed_in_order(bench: &Bench) -> Checked {
    let mut expected = Vec::new();
    for (workflow, version, graph) in
        [("b", 2, "g"), ("b", 10, "g"), ("B", 1, "g"), ("a", 1, "h"), ("a", 1, "g"), ("ä", 1, "g")]
    {
        let mut new = bench.new_instance(0);
        (new.workflow, new.version, new.graph) = (bench.name(workflow), version, graph.to_owned());
        bench.store().create(&new).await?;
        expected.push(LiveVersion::new(&new.workflow, version, graph, 1, new.id));
    }
    expected.sort_unstable();
    ensure_eq!(versions(bench).await?, expected, "the versions");
    Ok(())
}
