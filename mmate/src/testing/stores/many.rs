//! Of many that try at the same time, from several stores, each is told the truth.

use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::bench::{Bench, LEASE};
use super::{Checked, Failure, ensure_eq, list};
use crate::store::{Claim, HistoryEntry, HistoryEvent, Mail, Save, Saved, WorkflowStore};

/// How many try at once.
const MANY: usize = 50;

list![
    of_many_that_create_an_instance_one_does,
    of_many_that_claim_an_instance_one_gets_it,
    of_many_changes_of_one_position_one_is_made,
    many_instances_are_changed_at_the_same_time,
    of_many_that_read_one_piece_of_mail_one_does,
    an_instance_and_its_mail_never_miss_each_other,
];

/// Stores that take turns.
async fn stores(bench: &Bench) -> Result<Vec<Arc<dyn WorkflowStore>>, Failure> {
    let pair = [Arc::clone(bench.store()), bench.other().await?];
    Ok(pair.into_iter().cycle().take(MANY).collect())
}

async fn of_many_that_create_an_instance_one_does(bench: &Bench) -> Checked {
    let new = bench.new_instance(0);
    let stores = stores(bench).await?;
    let mut made = 0;
    for outcome in join_all(stores.iter().map(|store| store.create(&new))).await {
        made += usize::from(outcome?);
    }
    ensure_eq!(made, 1, "how many were told that they created it");
    ensure_eq!(bench.events(new.id).await?, [HistoryEvent::Started], "its history");
    Ok(())
}

async fn of_many_that_claim_an_instance_one_gets_it(bench: &Bench) -> Checked {
    let instance = bench.started(0).await?;
    let stores = stores(bench).await?;
    let owners: Vec<String> = (0..MANY).map(|number| bench.name(&number.to_string())).collect();
    for owner in &owners {
        bench.store().renew(owner, LEASE).await?;
    }
    let claims =
        stores.iter().zip(&owners).map(|(store, owner)| store.claim(instance.id, 0, owner));
    let (mut taken, mut busy) = (0, 0);
    for outcome in join_all(claims).await {
        match outcome? {
            Claim::Taken(_) => taken += 1,
            Claim::Busy => busy += 1,
            other => return Err(Failure::new(format!("a claim gave {other:?}"))),
        }
    }
    ensure_eq!((taken, busy), (1, MANY - 1), "how many got it and how many did not");
    ensure_eq!(bench.get(instance.id).await?.claims, 1, "the claims that are counted");
    Ok(())
}

async fn of_many_changes_of_one_position_one_is_made(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let stores = stores(bench).await?;
    let changes: Vec<Save> = (0..MANY)
        .map(|number| {
            let mut save = Save::of(&taken, format!("{{\"by\":{number}}}"), bench.at(1));
            save.next = 1;
            let line = HistoryEntry::new(0, "s", HistoryEvent::Completed, bench.at(1));
            save.history = vec![line.because(number.to_string())];
            save
        })
        .collect();
    let saves = stores.iter().zip(&changes).map(|(store, save)| store.save(save));
    let mut made = Vec::new();
    for (outcome, number) in join_all(saves).await.into_iter().zip(0..) {
        if outcome? == Saved::Made {
            made.push(number);
        }
    }
    let [winner] = &*made else {
        return Err(Failure::new(format!("{} were told that their change was made", made.len())));
    };
    ensure_eq!(bench.get(taken.id).await?.book, format!("{{\"by\":{winner}}}"), "the book");
    let history = bench.store().history(taken.id).await?;
    let reasons: Vec<_> = history.iter().filter_map(|line| line.reason.clone()).collect();
    ensure_eq!(reasons, [winner.to_string()], "the lines of the change");
    Ok(())
}

async fn many_instances_are_changed_at_the_same_time(bench: &Bench) -> Checked {
    let stores = stores(bench).await?;
    let owner = bench.name("owner");
    bench.store().renew(&owner, LEASE).await?;
    let ways = stores.iter().zip(0..).map(|(store, second)| {
        let owner = &owner;
        async move {
            let new = bench.new_instance(second);
            store.create(&new).await?;
            for position in 0..4 {
                let Claim::Taken(taken) = store.claim(new.id, position, owner).await? else {
                    return Err(Failure::new("an instance of its own was not given"));
                };
                let mut save = Save::of(&taken, "{}".to_owned(), bench.at(second));
                (save.next, save.keep) = (position + 1, false);
                let event = HistoryEvent::Completed;
                save.history = vec![HistoryEntry::new(position, "s", event, bench.at(second))];
                ensure_eq!(store.save(&save).await?, Saved::Made, "a change");
            }
            ensure_eq!(store.history(new.id).await?.len(), 5, "the lines of a history");
            Ok(())
        }
    });
    join_all(ways).await.into_iter().collect()
}

/// Two read each piece of mail at the same time, from two stores.
async fn of_many_that_read_one_piece_of_mail_one_does(bench: &Bench) -> Checked {
    let (one, two) = (bench.store(), bench.other().await?);
    let owner = bench.name("owner");
    let mut readers = Vec::new();
    for number in 0..2 * MANY {
        let address = bench.name(&format!("address-{number}"));
        let [workflow] = bench.workflows();
        one.post(&Mail::new(&workflow, &address, "m", "{}".to_owned(), bench.at(1))).await?;
        for store in [one, &two] {
            let taken = bench.claim(&bench.started(0).await?, &owner).await?;
            let mut save = Save::of(&taken, "{\"read\":true}".to_owned(), bench.at(1));
            save.read = Some((address.clone(), "m".to_owned()));
            save.history = vec![HistoryEntry::new(0, "s", HistoryEvent::Completed, bench.at(1))];
            readers.push((store, save));
        }
    }
    let saves = readers.iter().map(|(store, save)| store.save(save));
    let saved: Result<Vec<Saved>, _> = join_all(saves).await.into_iter().collect();
    let saved = saved?;
    for (pair, readers) in saved.chunks(2).zip(readers.chunks(2)) {
        let is_one =
            matches!(pair, [Saved::Made, Saved::MailGone] | [Saved::MailGone, Saved::Made]);
        ensure_eq!(is_one, true, format!("whether one of two has read a piece of mail: {pair:?}"));
        for (saved, (_, save)) in pair.iter().zip(readers) {
            let is_made = *saved == Saved::Made;
            let kept = bench.get(save.id).await?.book == save.book;
            ensure_eq!(kept, is_made, "whether a change is there");
            let lines = bench.events(save.id).await?.len();
            ensure_eq!(lines, 1 + usize::from(is_made), "the lines of its history");
        }
    }
    Ok(())
}

/// Whoever begins to wait looks for mail afterwards; whoever brings mail is told afterwards who waits. One of the
/// two sees the other.
async fn an_instance_and_its_mail_never_miss_each_other(bench: &Bench) -> Checked {
    let other = bench.other().await?;
    let owner = bench.name("owner");
    let mut pairs = Vec::new();
    for number in 0..2 * MANY {
        let taken = bench.claim(&bench.started(0).await?, &owner).await?;
        let address = bench.name(&format!("address-{number}"));
        let mut save = Save::of(&taken, "{}".to_owned(), bench.at(1));
        save.awaits = Some(address.clone());
        pairs.push((save, Mail::new(&taken.workflow, &address, "m", "{}".to_owned(), bench.at(1))));
    }
    // All at once, so that they get into each other's way at different moments.
    let meetings = pairs.iter().map(|(save, mail)| {
        let wait = async {
            ensure_eq!(bench.store().save(save).await?, Saved::Made, "a change");
            Ok::<_, Failure>(bench.store().mail(&mail.address).await?)
        };
        join(wait, other.post(mail))
    });
    for (seen, found) in join_all(meetings).await {
        let (seen, found) = (seen?.is_some(), !found?.is_empty());
        ensure_eq!(seen || found, true, "whether the instance saw the mail or was found by it");
    }
    Ok(())
}
