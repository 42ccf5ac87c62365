//! One works on an instance at a time, for as long as that one is alive.

use std::time::Duration;

use super::bench::{Bench, LEASE};
use super::{Checked, Failure, ensure, ensure_eq, list};
use crate::store::{Claim, Instance, Save, WorkflowStatus};

list![
    a_claim_makes_somebody_the_owner,
    a_claim_is_no_change,
    a_claim_again_is_given_again,
    every_claim_is_counted,
    an_instance_of_a_living_owner_is_busy,
    an_instance_of_an_owner_of_another_store_is_busy,
    an_instance_of_a_dead_owner_is_given,
    an_owner_that_never_said_so_is_not_alive,
    a_renewed_owner_stays_alive,
    an_instance_of_a_retired_owner_is_given,
    only_the_owner_that_retires_is_dead,
    a_released_instance_is_free,
    a_release_by_another_does_nothing,
    a_claim_at_another_position_shows_where_it_is,
    a_claim_of_what_has_ended_shows_the_end,
    a_stuck_instance_can_be_claimed,
    a_claim_of_an_unknown_instance_says_so,
];

async fn ensure_busy(bench: &Bench, instance: &Instance, owner: &str) -> Checked {
    let claim = bench.store().claim(instance.id, instance.position, owner).await?;
    ensure_eq!(claim, Claim::Busy, "the claim of another");
    Ok(())
}

async fn a_claim_makes_somebody_the_owner(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let started = bench.started(0).await?;
    let taken = bench.claim(&started, &owner).await?;
    let expected = Instance { owner: Some(owner), claims: 1, ..started };
    ensure_eq!(taken, expected, "the claimed instance");
    ensure_eq!(bench.get(taken.id).await?, expected, "the instance in the store");
    Ok(())
}

async fn a_claim_is_no_change(bench: &Bench) -> Checked {
    let started = bench.started(0).await?;
    let taken = bench.claim(&started, &bench.name("owner")).await?;
    ensure_eq!(taken.updated_at, started.updated_at, "when it was changed last");
    ensure_eq!(bench.events(taken.id).await?.len(), 1, "the lines of its history");
    Ok(())
}

async fn a_claim_again_is_given_again(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    bench.claim(&taken, &owner).await.map(drop)
}

async fn every_claim_is_counted(bench: &Bench) -> Checked {
    let (one, two) = (bench.name("one"), bench.name("two"));
    let mut instance = bench.started(0).await?;
    for (owner, count) in [(&one, 1), (&one, 2), (&two, 3)] {
        bench.store().renew(owner, LEASE).await?;
        instance = bench.claim(&instance, owner).await?;
        ensure_eq!(instance.claims, count, "claims");
        bench.store().retire(owner).await?;
    }
    Ok(())
}

async fn an_instance_of_a_living_owner_is_busy(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    ensure_busy(bench, &taken, &bench.name("other")).await?;
    ensure_eq!(bench.get(taken.id).await?, taken, "the instance");
    Ok(())
}

async fn an_instance_of_an_owner_of_another_store_is_busy(bench: &Bench) -> Checked {
    let (other, owner) = (bench.other().await?, bench.name("owner"));
    let instance = bench.started(0).await?;
    other.renew(&owner, LEASE).await?;
    let claim = other.claim(instance.id, 0, &owner).await?;
    ensure!(matches!(claim, Claim::Taken(_)), "the claim gave {claim:?}");
    ensure_busy(bench, &instance, &bench.name("other")).await
}

async fn an_instance_of_a_dead_owner_is_given(bench: &Bench) -> Checked {
    let (dead, alive) = (bench.name("dead"), bench.name("alive"));
    let instance = bench.claimed(&dead).await?;
    bench.store().renew(&dead, Duration::from_millis(20)).await?;
    let (store, id) = (bench.store(), instance.id);
    let taken = bench
        .eventually("the instance of a dead owner is given", || async {
            Ok(match store.claim(id, 0, &alive).await? {
                Claim::Taken(taken) => Some(taken),
                _ => None,
            })
        })
        .await?;
    ensure_eq!((taken.owner, taken.claims), (Some(alive), 2), "owner and claims");
    Ok(())
}

async fn an_owner_that_never_said_so_is_not_alive(bench: &Bench) -> Checked {
    let instance = bench.started(0).await?;
    let taken = bench.claim(&instance, &bench.name("silent")).await?;
    bench.claim(&taken, &bench.name("other")).await.map(drop)
}

async fn a_renewed_owner_stays_alive(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let short = Duration::from_millis(20);
    bench.store().renew(&owner, short).await?;
    let taken = bench.claim(&bench.started(0).await?, &owner).await?;
    bench.store().renew(&owner, LEASE).await?;
    // An owner whose time is over shows when the first lease has passed.
    let witness = bench.name("witness");
    bench.store().renew(&witness, short).await?;
    let watched = bench.claim(&bench.started(1).await?, &witness).await?;
    let (store, other) = (bench.store(), bench.name("other"));
    bench
        .eventually("the first lease is over", || async {
            let claim = store.claim(watched.id, 0, &other).await?;
            Ok(matches!(claim, Claim::Taken(_)).then_some(()))
        })
        .await?;
    ensure_busy(bench, &taken, &other).await
}

async fn an_instance_of_a_retired_owner_is_given(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    bench.store().retire(&owner).await?;
    bench.claim(&taken, &bench.name("other")).await.map(drop)
}

async fn only_the_owner_that_retires_is_dead(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let other = bench.name("other");
    bench.store().renew(&other, LEASE).await?;
    bench.store().retire(&other).await?;
    ensure_busy(bench, &taken, &other).await
}

async fn a_released_instance_is_free(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    bench.store().release(taken.id, &owner).await?;
    let free = bench.get(taken.id).await?;
    // Nothing was begun, so the claim counts no more.
    ensure_eq!(free, Instance { owner: None, claims: 0, ..taken }, "the released instance");
    bench.claim(&free, &bench.name("other")).await.map(drop)
}

async fn a_release_by_another_does_nothing(bench: &Bench) -> Checked {
    let taken = bench.claimed(&bench.name("owner")).await?;
    let other = bench.name("other");
    bench.store().release(taken.id, &other).await?;
    bench.store().release(bench.id(), &other).await?;
    ensure_eq!(bench.get(taken.id).await?, taken, "the instance");
    Ok(())
}

async fn a_claim_at_another_position_shows_where_it_is(bench: &Bench) -> Checked {
    let owner = bench.name("owner");
    let taken = bench.claimed(&owner).await?;
    let mut save = Save::of(&taken, "{}".to_owned(), bench.at(1));
    (save.next, save.keep) = (2, false);
    let moved = bench.saved(&save).await?;
    for position in [0, 1, 3] {
        let claim = bench.store().claim(taken.id, position, &owner).await?;
        ensure_eq!(claim, Claim::Elsewhere(moved.clone()), format!("a claim at {position}"));
    }
    ensure_eq!(bench.get(taken.id).await?, moved, "the instance");
    Ok(())
}

async fn a_claim_of_what_has_ended_shows_the_end(bench: &Bench) -> Checked {
    for status in WorkflowStatus::ALL.iter().filter(|status| status.is_end()) {
        let ended = bench.ended(0, *status).await?;
        let claim = bench.store().claim(ended.id, ended.position, &bench.name("owner")).await?;
        ensure_eq!(claim, Claim::Elsewhere(ended), format!("a claim of what is {status}"));
    }
    Ok(())
}

async fn a_stuck_instance_can_be_claimed(bench: &Bench) -> Checked {
    for status in WorkflowStatus::ALL.iter().filter(|status| !status.is_end()) {
        let instance = bench.ended(0, *status).await?;
        let taken = bench.claim(&instance, &bench.name("owner")).await;
        taken.map_err(|failure| Failure::new(format!("{status}: {failure}")))?;
    }
    Ok(())
}

async fn a_claim_of_an_unknown_instance_says_so(bench: &Bench) -> Checked {
    let claim = bench.store().claim(bench.id(), 0, &bench.name("owner")).await?;
    ensure_eq!(claim, Claim::Unknown, "a claim of an unknown instance");
    Ok(())
}
