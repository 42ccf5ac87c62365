//! A change is made from where the instance is, by whoever works on it, with all that belongs to it; or not at all.

use std::time::Duration;

use super::bench::Bench;
use super::{Checked, Failure, ensure, ensure_empty, ensure_eq, list};
use crate::store::{HistoryEntry, HistoryEvent, Instance, Mail, Save, Saved, WorkflowStatus};

list![
    a_change_is_kept_as_it_was_given,
    a_change_is_there_for_others,
    a_change_from_another_position_changes_nothing,
    a_change_by_another_owner_changes_nothing,
    a_change_of_what_nobody_works_on_changes_nothing,
    a_change_of_an_unknown_instance_is_not_made,
    a_change_is_made_once,
    an_owner_that_goes_on_stays_the_owner,
    an_instance_is_free_after_a_change_that_ends_the_work,
    a_new_position_begins_with_no_claims,
    a_change_at_the_same_position_keeps_the_claims,
    a_change_may_end_the_waiting,
    lines_are_added_in_order,
    a_line_of_the_history_keeps_what_it_says,
    a_change_without_lines_adds_none,
    many_lines_are_added_at_once,
];

/// A change of everything that can be changed.
fn step(bench: &Bench, instance: &Instance) -> Save {
    let mut save = Save::of(instance, "{\"step\":1}".to_owned(), bench.at(60));
    save.next = instance.position + 1;
    save.status = WorkflowStatus::Waiting;
    save.due_at = Some(bench.at(120));
    save.awaits = Some(bench.name("address"));
    save.history = vec![HistoryEntry::new(0, "pay", HistoryEvent::Completed, bench.at(60))];
    save
}

/// What is there of an instance and its mail.
async fn everything(
    bench: &Bench,
    instance: &Instance,
    address: &str,
) -> Result<(Instance, Vec<HistoryEntry>, Option<Mail>), Failure> {
    let store = bench.store();
    let history = store.history(instance.id).await?;
    Ok((bench.get(instance.id).await?, history, store.mail(address).await?))
}

/// Checks that a change of everything is not made, and leaves nothing behind.
async fn ensure_not_made(
    bench: &Bench,
    instance: &Instance,
    spoil: impl FnOnce(&mut Save),
) -> Checked {
    let address = bench.name("mail");
    let [workflow] = bench.workflows();
    let mail = Mail::new(&workflow, &address, "m-1", "1".to_owned(), bench.at(1));
    bench.store().post(&mail).await?;
    let before = everything(bench, instance, &address).await?;
    let mut save = step(bench, instance);
    save.read = Some((address.clone(), mail.id.clone()));
    spoil(&mut save);
    ensure_eq!(bench.store().save(&save).await?, Saved::TooLate, "the change");
    ensure_eq!(everything(bench, instance, &address).await?, before, "instance, history and mail");
    Ok(())
}

async fn a_change_is_kept_as_it_was_given(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let save = step(bench, &taken);
    let saved = bench.saved(&save).await?;
    let expected = Instance {
        position: 1,
        status: save.status,
        book: save.book,
        updated_at: save.at,
        due_at: save.due_at,
        awaits: save.awaits,
        claims: 0,
        ..taken
    };
    ensure_eq!(saved, expected, "the changed instance");
    Ok(())
}

async fn a_change_is_there_for_others(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let saved = bench.saved(&step(bench, &taken)).await?;
    let other = bench.other().await?;
    ensure_eq!(other.get(taken.id).await?, Some(saved), "the instance in another store");
    ensure_eq!(other.history(taken.id).await?.len(), 2, "the lines of its history there");
    Ok(())
}

async fn a_change_from_another_position_changes_nothing(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    let moved = bench.saved(&step(bench, &taken)).await?;
    ensure_not_made(bench, &moved, |save| save.position = 0).await?;
    ensure_not_made(bench, &moved, |save| save.position = 2).await
}

async fn a_change_by_another_owner_changes_nothing(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    ensure_not_made(bench, &taken, |save| save.owner = bench.name("other")).await
}

async fn a_change_of_what_nobody_works_on_changes_nothing(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    bench.store().release(taken.id, &owner).await?;
    ensure_not_made(bench, &taken, |_| {}).await?;
    ensure_not_made(bench, &taken, |save| save.owner = String::new()).await
}

async fn a_change_of_an_unknown_instance_is_not_made(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let id = bench.id();
    ensure_not_made(bench, &taken, |save| save.id = id).await?;
    ensure_empty(&bench.store().history(id).await?, "the history of the unknown instance")?;
    Ok(())
}

async fn a_change_is_made_once(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let save = step(bench, &taken);
    let saved = bench.saved(&save).await?;
    ensure_eq!(bench.store().save(&save).await?, Saved::TooLate, "the same change again");
    ensure_eq!(bench.get(taken.id).await?, saved, "the instance");
    ensure_eq!(bench.events(taken.id).await?.len(), 2, "the lines of its history");
    Ok(())
}

async fn an_owner_that_goes_on_stays_the_owner(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    let mut save = step(bench, &taken);
    save.keep = true;
    let saved = bench.saved(&save).await?;
    ensure_eq!(saved.owner, Some(owner), "the owner");
    bench.saved(&step(bench, &saved)).await.map(drop)
}

async fn an_instance_is_free_after_a_change_that_ends_the_work(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let mut save = step(bench, &taken);
    save.keep = false;
    let saved = bench.saved(&save).await?;
    ensure_eq!(saved.owner, None, "the owner");
    bench.claim(&saved, &bench.name("other")).await.map(drop)
}

async fn a_new_position_begins_with_no_claims(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claim(&bench.claimed(&owner).await?, &owner).await?;
    ensure_eq!(taken.claims, 2, "claims at the first position");
    let saved = bench.saved(&step(bench, &taken)).await?;
    ensure_eq!(saved.claims, 0, "claims at the next position");
    Ok(())
}

async fn a_change_at_the_same_position_keeps_the_claims(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claim(&bench.claimed(&owner).await?, &owner).await?;
    let mut save = step(bench, &taken);
    save.next = taken.position;
    let saved = bench.saved(&save).await?;
    ensure_eq!((saved.position, saved.claims), (0, 2), "position and claims");
    Ok(())
}

async fn a_change_may_end_the_waiting(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let waiting = bench.saved(&step(bench, &taken)).await?;
    let mut save = step(bench, &waiting);
    (save.awaits, save.due_at) = (None, None);
    let saved = bench.saved(&save).await?;
    ensure_eq!((saved.awaits, saved.due_at), (None, None), "address and time");
    Ok(())
}

async fn lines_are_added_in_order(bench: &Bench) -> Checked {
    use HistoryEvent as Event;
    let mut instance = bench.claimed(&bench.name("owner")).await?;
    let rounds = [&[Event::Retried, Event::Completed][..], &[Event::Skipped], &[Event::Waiting]];
    for events in rounds {
        let mut save = step(bench, &instance);
        let lines = events.iter().map(|event| HistoryEntry::new(9, "s", *event, bench.at(0)));
        save.history = lines.collect();
        instance = bench.saved(&save).await?;
    }
    let expected =
        [Event::Started, Event::Retried, Event::Completed, Event::Skipped, Event::Waiting];
    ensure_eq!(bench.events(instance.id).await?, expected, "the history");
    let history = bench.store().history(instance.id).await?;
    let places: Vec<u64> = history.iter().map(|entry| entry.seq).collect();
    ensure_eq!(places, [1, 2, 3, 4, 5], "the places of the lines");
    Ok(())
}

async fn a_line_of_the_history_keeps_what_it_says(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let mut save = step(bench, &taken);
    save.history = HistoryEvent::ALL
        .iter()
        .map(|event| {
            HistoryEntry::new(41, "prüfen 'alles'", *event, bench.at(3))
                .attempt(7)
                .took(Duration::from_millis(1_234))
                .because("keine Antwort: \"☎\"; $1 ''\n")
        })
        .chain([HistoryEntry::new(42, "", HistoryEvent::Ended, bench.at(4))])
        .collect();
    bench.saved(&save).await?;
    let history = bench.store().history(taken.id).await?;
    let places = 2..;
    for ((found, given), place) in history.iter().skip(1).zip(&save.history).zip(places) {
        let expected = HistoryEntry { seq: place, ..given.clone() };
        ensure_eq!(found, &expected, "a line");
    }
    ensure_eq!(history.len(), save.history.len() + 1, "the number of lines");
    Ok(())
}

async fn a_change_without_lines_adds_none(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let mut save = step(bench, &taken);
    save.history.clear();
    let saved = bench.saved(&save).await?;
    bench.saved(&step(bench, &saved)).await?;
    let history = bench.store().history(taken.id).await?;
    let places: Vec<u64> = history.iter().map(|entry| entry.seq).collect();
    ensure_eq!(places, [1, 2], "the places of the lines");
    Ok(())
}

async fn many_lines_are_added_at_once(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let mut save = step(bench, &taken);
    let line = |number| HistoryEntry::new(number, "s", HistoryEvent::Retried, bench.at(0));
    save.history = (0..500).map(line).collect();
    bench.saved(&save).await?;
    let history = bench.store().history(taken.id).await?;
    let positions: Vec<u64> = history.iter().skip(1).map(|entry| entry.position).collect();
    ensure!(positions == (0..500).collect::<Vec<_>>(), "of 500 lines came {positions:?}");
    Ok(())
}
