//! What somebody wishes is kept until it is fulfilled, or nothing will happen any more.

use super::bench::Bench;
use super::{Checked, ensure_eq, list};
use crate::store::{Instance, Save, Wish, WorkflowStatus};

list![
    a_wish_is_noted,
    a_wish_is_noted_while_somebody_works,
    a_later_wish_takes_the_place_of_an_earlier_one,
    a_wish_is_kept_by_changes_that_do_not_fulfil_it,
    a_fulfilled_wish_is_gone,
    an_end_ends_the_wish,
    what_has_ended_keeps_no_wish,
    a_wish_for_an_unknown_instance_finds_nothing,
];

async fn a_wish_is_noted(bench: &Bench) -> Checked {
    for wish in Wish::ALL {
        let started = bench.started(0).await?;
        let noted = bench.store().wish(started.id, *wish, bench.at(7)).await?;
        let expected = Instance { wish: Some(*wish), due_at: Some(bench.at(7)), ..started };
        ensure_eq!(noted, Some(expected.clone()), "what a wish gives");
        ensure_eq!(bench.get(expected.id).await?, expected, "the instance");
    }
    Ok(())
}

async fn a_wish_is_noted_while_somebody_works(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let noted = bench.store().wish(taken.id, Wish::Cancel, bench.at(7)).await?;
    ensure_eq!(
        noted,
        Some(Instance { wish: Some(Wish::Cancel), due_at: Some(bench.at(7)), ..taken }),
        "the instance"
    );
    Ok(())
}

async fn a_later_wish_takes_the_place_of_an_earlier_one(bench: &Bench) -> Checked {
    let started = bench.started(0).await?;
    bench.store().wish(started.id, Wish::Cancel, bench.at(7)).await?;
    bench.store().wish(started.id, Wish::Skip, bench.at(7)).await?;
    ensure_eq!(bench.get(started.id).await?.wish, Some(Wish::Skip), "the wish");
    Ok(())
}

async fn a_wish_is_kept_by_changes_that_do_not_fulfil_it(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    bench.store().wish(taken.id, Wish::Cancel, bench.at(7)).await?;
    let mut save = Save::of(&taken, "{}".to_owned(), bench.at(1));
    save.next = 1;
    ensure_eq!(bench.saved(&save).await?.wish, Some(Wish::Cancel), "the wish");
    Ok(())
}

async fn a_fulfilled_wish_is_gone(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    bench.store().wish(taken.id, Wish::Cancel, bench.at(7)).await?;
    let mut save = Save::of(&taken, "{}".to_owned(), bench.at(1));
    save.fulfilled = true;
    ensure_eq!(bench.saved(&save).await?.wish, None, "the wish");
    Ok(())
}

async fn an_end_ends_the_wish(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    bench.store().wish(taken.id, Wish::Cancel, bench.at(7)).await?;
    let mut save = Save::of(&taken, "{}".to_owned(), bench.at(1));
    (save.status, save.due_at) = (WorkflowStatus::Completed, None);
    ensure_eq!(bench.saved(&save).await?.wish, None, "the wish");
    Ok(())
}

async fn what_has_ended_keeps_no_wish(bench: &Bench) -> Checked {
    for status in WorkflowStatus::ALL.iter().filter(|status| status.is_end()) {
        let ended = bench.ended(0, *status).await?;
        let noted = bench.store().wish(ended.id, Wish::Resume, bench.at(7)).await?;
        ensure_eq!(noted, Some(ended.clone()), format!("what a wish gives when it is {status}"));
        ensure_eq!(bench.get(ended.id).await?, ended, "the instance");
    }
    let stuck = bench.ended(0, WorkflowStatus::Stuck).await?;
    let noted = bench.store().wish(stuck.id, Wish::Resume, bench.at(7)).await?;
    ensure_eq!(noted.and_then(|stuck| stuck.wish), Some(Wish::Resume), "the wish of what is stuck");
    Ok(())
}

async fn a_wish_for_an_unknown_instance_finds_nothing(bench: &Bench) -> Checked {
    ensure_eq!(
        bench.store().wish(bench.id(), Wish::Cancel, bench.at(7)).await?,
        None,
        "an unknown instance"
    );
    Ok(())
}
