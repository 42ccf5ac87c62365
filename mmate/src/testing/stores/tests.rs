//! The suite against the store in this process, and against broken ones.

use std::collections::BTreeSet;

use super::faults::Fault;
use super::*;

/// A behaviour, a defect that it must find, and a part of the reason that it must give.
const DEFECTS: &[(&str, Fault, &str)] = &[
    ("a_new_instance_is_kept_as_it_was_given", Fault::ForgetsDue, "the new instance"),
    ("a_new_instance_begins_its_history", Fault::NoFirstLine, "the history is []"),
    ("a_new_instance_is_there_for_others", Fault::Private, "another store: None"),
    ("an_instance_is_created_once", Fault::CreatesAgain, "a second time"),
    ("an_unknown_instance_is_not_there", Fault::InventsInstances, "workflow: \"invented\""),
    ("an_instance_keeps_texts_in_any_language", Fault::AsciiOnly, "????"),
    ("an_instance_keeps_a_book_of_a_mebibyte", Fault::LimitsTexts, "1000 came back"),
    ("preparing_twice_changes_nothing", Fault::PrepareForgets, "is not in the store"),
    ("a_claim_makes_somebody_the_owner", Fault::ClaimForgetsOwner, "owner: None"),
    ("a_claim_is_no_change", Fault::ClaimTouches, "when it was changed last"),
    ("a_claim_again_is_given_again", Fault::NoSecondClaim, "gave Busy"),
    ("every_claim_is_counted", Fault::CountsOneClaim, "claims: 1 instead of 2"),
    ("an_instance_of_a_living_owner_is_busy", Fault::Steals, "instead of Busy"),
    ("an_instance_of_an_owner_of_another_store_is_busy", Fault::OwnersPerStore, "instead of Busy"),
    ("an_instance_of_a_dead_owner_is_given", Fault::NeverDies, "not within 10 s"),
    ("an_owner_that_never_said_so_is_not_alive", Fault::SilentIsAlive, "gave Busy"),
    ("a_renewed_owner_stays_alive", Fault::RenewsOnce, "instead of Busy"),
    ("an_instance_of_a_retired_owner_is_given", Fault::RetireDoesNothing, "gave Busy"),
    ("only_the_owner_that_retires_is_dead", Fault::RetiresAll, "instead of Busy"),
    ("a_released_instance_is_free", Fault::ReleaseDoesNothing, "the released instance"),
    ("a_release_by_another_does_nothing", Fault::AnybodyReleases, "owner: None"),
    ("a_claim_at_another_position_shows_where_it_is", Fault::IgnoresPosition, "a claim at 0"),
    ("a_claim_of_what_has_ended_shows_the_end", Fault::ClaimsEnded, "what is completed"),
    ("a_stuck_instance_can_be_claimed", Fault::StuckIsEnd, "stuck: a claim gave Elsewhere"),
    ("a_claim_of_an_unknown_instance_says_so", Fault::UnknownIsBusy, "Busy instead of Unknown"),
    ("a_change_is_kept_as_it_was_given", Fault::ForgetsAwaits, "awaits: None"),
    ("a_change_is_there_for_others", Fault::Private, "another store: None"),
    (
        "a_change_from_another_position_changes_nothing",
        Fault::SavesFromAnywhere,
        "Made instead of TooLate",
    ),
    (
        "a_change_by_another_owner_changes_nothing",
        Fault::SavesForAnybody,
        "Made instead of TooLate",
    ),
    (
        "a_change_of_what_nobody_works_on_changes_nothing",
        Fault::SavesUnclaimed,
        "Made instead of TooLate",
    ),
    ("a_change_of_an_unknown_instance_is_not_made", Fault::SavesUnknown, "Made instead of TooLate"),
    ("a_change_is_made_once", Fault::SaveRepeats, "the same change again: Made"),
    ("an_owner_that_goes_on_stays_the_owner", Fault::AlwaysFrees, "the owner: None"),
    ("an_instance_is_free_after_a_change_that_ends_the_work", Fault::NeverFrees, "instead of None"),
    ("a_new_position_begins_with_no_claims", Fault::CountsClaimsForever, "1 instead of 0"),
    ("a_change_at_the_same_position_keeps_the_claims", Fault::ForgetsClaims, "(0, 0) instead"),
    ("a_change_may_end_the_waiting", Fault::KeepsAwaits, "address and time"),
    ("lines_are_added_in_order", Fault::ReversesLines, "[Started, Completed, Retried"),
    ("a_line_of_the_history_keeps_what_it_says", Fault::DropsReasons, "reason: None"),
    ("a_change_without_lines_adds_none", Fault::AddsALine, "[1, 2, 3] instead"),
    ("many_lines_are_added_at_once", Fault::LimitsLines, "of 500 lines"),
    ("a_wish_is_noted", Fault::ForgetsWishes, "what a wish gives"),
    ("a_wish_is_noted_while_somebody_works", Fault::WishesOnlyFree, "wish: None"),
    ("a_later_wish_takes_the_place_of_an_earlier_one", Fault::FirstWishStays, "Some(Cancel)"),
    ("a_wish_is_kept_by_changes_that_do_not_fulfil_it", Fault::AlwaysFulfils, "the wish: None"),
    ("a_fulfilled_wish_is_gone", Fault::NeverFulfils, "Some(Cancel) instead of None"),
    ("an_end_ends_the_wish", Fault::KeepsWishes, "Some(Cancel) instead of None"),
    ("what_has_ended_keeps_no_wish", Fault::WishesEnded, "when it is completed"),
    ("a_wish_for_an_unknown_instance_finds_nothing", Fault::InventsWished, "instead of None"),
    ("what_is_due_is_taken", Fault::TakesNothing, "what is taken: []"),
    ("what_is_due_later_is_not_taken", Fault::TakesEarly, "instead of nothing"),
    ("what_is_due_the_longest_is_taken_first", Fault::ReversesDue, "in order"),
    ("no_more_is_taken_than_asked_for", Fault::TakesAll, "the first two"),
    ("what_was_taken_is_due_again_later", Fault::DueAgainAtOnce, "as told"),
    (
        "what_is_unchanged_for_long_is_due_again_after_as_long",
        Fault::DueTooEarly,
        "when it is due again",
    ),
    ("what_is_taken_is_otherwise_unchanged", Fault::TakingTouches, "the instance as told"),
    ("what_somebody_works_on_is_taken_too", Fault::TakesOnlyFree, "what is taken: []"),
    ("what_has_ended_is_not_due", Fault::EndedIsDue, "instead of nothing"),
    (
        "what_is_due_of_another_workflow_is_left_to_others",
        Fault::TakesOfAnyWorkflow,
        "what is taken",
    ),
    ("what_is_due_of_another_version_is_left_to_others", Fault::TakesOfAnyVersion, "what is taken"),
    ("what_is_left_to_others_takes_nobodys_place", Fault::OthersTakePlaces, "what is taken: []"),
    (
        "what_is_due_of_several_workflows_is_taken_in_one_order",
        Fault::TakesByWorkflow,
        "the first four",
    ),
    ("whoever_has_no_workflow_takes_nothing", Fault::NobodyTakesAll, "instead of nothing"),
    ("what_is_due_is_given_to_one_of_many", Fault::GivesTwice, "were taken twice"),
    ("the_newest_instances_are_listed_first", Fault::OldestFirst, "the list"),
    ("instances_are_listed_by_workflow", Fault::IgnoresWorkflow, "the list"),
    ("instances_are_listed_of_several_workflows", Fault::ListsFirstWorkflow, "the list: ["),
    ("instances_are_listed_by_status", Fault::IgnoresStatus, "what is pending"),
    ("instances_are_listed_by_when_they_were_started", Fault::IgnoresTimes, "the list"),
    ("no_more_instances_are_listed_than_asked_for", Fault::ListsAll, "101 instead of 100"),
    ("listed_instances_are_whole", Fault::ListsWithoutBook, "book: \"\""),
    ("all_conditions_of_a_list_hold", Fault::IgnoresTimes, "the one"),
    ("an_unknown_workflow_lists_nothing", Fault::IgnoresWorkflow, "instead of nothing"),
    ("versions_with_instances_on_their_way_are_listed", Fault::CountsOneVersion, "instances: 1"),
    ("versions_are_listed_in_order", Fault::ReversesVersions, "the versions"),
    ("mail_is_kept_until_it_is_read", Fault::NeverReads, "after it was read"),
    ("mail_is_kept_once_per_address_and_id", Fault::KeepsTwice, "the first mail"),
    ("the_oldest_mail_of_an_address_is_given", Fault::NewestMail, "the oldest mail"),
    ("mail_of_another_address_is_not_given", Fault::MailIgnoresCase, "mail at `A`"),
    ("mail_finds_those_that_wait", Fault::FindsNobody, "that are found: []"),
    ("mail_does_not_find_those_that_wait_elsewhere", Fault::FindsEverybody, "instead of nothing"),
    ("mail_that_comes_again_finds_those_that_wait", Fault::FindsOnce, "that are found: []"),
    (
        "mail_that_was_read_is_known_when_it_comes_again",
        Fault::ForgetsRead,
        "after it came again: Some",
    ),
    ("mail_that_was_read_finds_nobody", Fault::FindsForRead, "instead of nothing"),
    (
        "a_change_that_reads_what_was_read_is_not_made",
        Fault::ReadsAgain,
        "Made instead of MailGone",
    ),
    (
        "a_change_that_reads_what_never_came_is_not_made",
        Fault::ReadsUnknown,
        "Made instead of MailGone",
    ),
    ("reading_uses_up_one_piece_of_mail", Fault::ReadsAll, "the mail beside it: None"),
    ("mail_keeps_texts_in_any_language", Fault::AsciiOnly, "????"),
    ("mail_keeps_a_body_of_a_mebibyte", Fault::LimitsTexts, "Some(2000)"),
    ("old_mail_is_removed", Fault::PurgesNoMail, "0 instead of 1"),
    ("old_mail_is_removed_also_if_it_was_read", Fault::KeepsReadForEver, "0 instead of 1"),
    ("no_more_mail_is_removed_than_asked_for", Fault::PurgesAllMail, "3 instead of 2"),
    ("the_oldest_mail_is_removed_first", Fault::PurgesMailByArrival, "what is left: None"),
    (
        "mail_for_another_workflow_is_left_to_others",
        Fault::PurgesOthersMail,
        "what is left to others: None",
    ),
    ("what_ended_long_ago_is_removed_with_its_history", Fault::InventsHistory, "its history: ["),
    ("what_ended_later_is_not_removed", Fault::PurgesLater, "1 instead of 0"),
    ("what_has_not_ended_is_not_removed", Fault::PurgesUnended, "1 instead of 0"),
    ("what_ended_first_is_removed_first", Fault::PurgesAll, "3 instead of 2"),
    ("a_removed_instance_can_be_created_again", Fault::NeverCreatesAgain, "false instead of true"),
    (
        "what_ended_of_another_workflow_is_left_to_others",
        Fault::PurgesOthers,
        "removed for nobody: 1",
    ),
    ("what_ended_of_any_version_is_removed", Fault::PurgesOneVersion, "1 instead of 3"),
    ("of_many_that_create_an_instance_one_does", Fault::CreatesAgain, "50 instead of 1"),
    ("of_many_that_claim_an_instance_one_gets_it", Fault::Steals, "(50, 0) instead"),
    ("of_many_changes_of_one_position_one_is_made", Fault::SaveRepeats, "50 were told"),
    ("many_instances_are_changed_at_the_same_time", Fault::DropsLines, "1 instead of 5"),
    ("of_many_that_read_one_piece_of_mail_one_does", Fault::ReadsAgain, "each time by one"),
    ("an_instance_and_its_mail_never_miss_each_other", Fault::FindsNobody, "false instead of true"),
];

#[tokio::test(start_paused = true)]
async fn the_memory_store_shows_every_behaviour() {
    let report = run(faulty::open(Fault::None), "").await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.passed().count(), behaviours().len(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_behaviour_finds_a_defect() {
    let mut wrong = Vec::new();
    for (name, fault, reason) in DEFECTS {
        let report = run(faulty::open(*fault), name).await;
        let outcome = report.outcomes().find(|(behaviour, _)| behaviour == name);
        match outcome {
            Some((_, Outcome::Failed(failure))) if failure.to_string().contains(reason) => {}
            other => wrong.push(format!("{name} with {fault:?}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<&str> = behaviours().iter().map(|it| it.name).collect();
    let failing: BTreeSet<&str> = DEFECTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(all, failing);
    assert_eq!(all.len(), behaviours().len(), "two behaviours have one name");
}
