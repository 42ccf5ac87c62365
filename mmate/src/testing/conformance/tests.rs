//! The suite against the broker in this process, and against broken ones.

use std::sync::Arc;

use super::doubles::Fault;
use super::*;
use crate::testing::defects::ensure_all_found;
use crate::transport::memory::MemoryTransport;

/// A behaviour, a defect that it must find, and a part of the reason that it must give.
const DOUBLES: &[(&str, Fault, &str)] = &[
    ("a_body_arrives_unchanged", Fault::TruncatesBodies, "256 bytes were sent, 255 came"),
    ("an_empty_body_arrives", Fault::SkipsEmptyBodies, "a delivery from"),
    ("a_body_of_one_mebibyte_arrives", Fault::LimitsBodies, "131072 came"),
    ("every_property_arrives", Fault::DropsProperties, "app_id: None"),
    ("header_values_of_every_scalar_type_arrive", Fault::HeadersAsText, "came as Some(Text("),
    ("lists_and_tables_in_headers_arrive", Fault::ScalarHeadersOnly, "came as None"),
    ("names_and_headers_in_any_language_arrive", Fault::AsciiHeadersOnly, "came as None"),
    ("a_delivery_names_its_exchange_and_routing_key", Fault::ForgetsAddress, "came from ``"),
    ("a_new_message_is_not_marked_as_redelivered", Fault::AlwaysRedelivered, "redelivered=true"),
    ("a_confirmed_message_outlives_its_publisher", Fault::ConfirmsEarly, "a delivery from"),
    ("sequential_publishes_keep_their_order", Fault::Reorders, "expected `0`, got `1`"),
    ("publishes_of_many_tasks_all_arrive_once", Fault::Duplicates, "came twice"),
    ("an_unroutable_message_is_an_error", Fault::LosesUnroutable, "instead of failing as Unrout"),
    (
        "an_unroutable_message_is_an_error_on_the_default_exchange",
        Fault::LosesUnroutable,
        "the publish succeeded",
    ),
    ("an_unroutable_message_is_kept_nowhere", Fault::KeepsUnroutable, "got `too early`"),
    ("an_optional_message_may_be_unroutable", Fault::AlwaysMandatory, "Unroutable"),
    ("a_missing_exchange_is_an_error", Fault::IgnoresMissingExchange, "failing as NoExchange"),
    (
        "the_default_exchange_reaches_the_queue_of_that_name",
        Fault::DefaultReachesFirstQueue,
        "a delivery from",
    ),
    ("a_star_matches_exactly_one_word", Fault::StarIsHash, "expected `a`, got ``"),
    ("a_hash_matches_no_word", Fault::HashNeedsAWord, "expected `a`, got `the end`"),
    ("a_hash_matches_several_words", Fault::HashIsStar, "expected `a.b.c`, got `the end`"),
    (
        "a_hash_in_the_middle_matches_any_number_of_words",
        Fault::HashOnlyAtTheEnd,
        "expected `a.z`, got `a.b.z`",
    ),
    (
        "a_topic_without_wildcards_matches_its_own_key_alone",
        Fault::LiteralIsPrefix,
        "expected `the end`, got `a.b.c`",
    ),
    ("a_direct_exchange_compares_the_whole_key", Fault::DirectIsTopic, "got `a.b`"),
    ("a_fanout_exchange_reaches_all_queues", Fault::FanoutIsDirect, "Unroutable"),
    ("several_matching_bindings_give_a_queue_one_copy", Fault::Duplicates, "got `once`"),
    ("every_matching_queue_gets_a_copy", Fault::OneQueuePerPattern, "a delivery from"),
    ("every_instance_gets_a_copy_of_a_broadcast", Fault::OneQueuePerPattern, "a delivery from"),
    ("a_waiting_consumer_is_woken", Fault::NeverWakes, "a delivery from"),
    ("the_messages_of_a_queue_come_in_order", Fault::Reorders, "expected `0`, got `1`"),
    ("the_prefetch_is_never_exceeded", Fault::IgnoresPrefetch, "the prefetch is 2, but got"),
    ("a_settlement_makes_room_for_the_next_message", Fault::NeverRefills, "a delivery from"),
    ("competing_consumers_share_a_queue", Fault::Duplicates, "came twice"),
    ("competing_consumers_share_a_queue", Fault::IgnoresPrefetch, "a delivery from"),
    ("a_missing_queue_cannot_be_consumed", Fault::CreatesMissingQueues, "could be consumed"),
    ("a_deleted_queue_is_a_loss_to_its_consumer", Fault::LosesInSilence, "a delivery from"),
    ("a_deleted_queue_is_a_loss_to_its_consumer", Fault::NeverWakes, "a delivery from"),
    ("closing_is_a_loss_to_the_consumers", Fault::NeverWakes, "a delivery from"),
    ("a_cancelled_consumer_gets_nothing_new", Fault::IgnoresCancel, "consumers: 1"),
    ("a_cancelled_consumer_ends", Fault::HangsAfterCancel, "a delivery from"),
    (
        "what_a_cancelled_consumer_holds_can_be_settled",
        Fault::CancelReturnsHeld,
        "expected `2`, got `1`",
    ),
    ("a_dropped_subscription_is_no_consumer", Fault::LeaksSubscriptions, "consumers: 1"),
    ("an_acknowledged_message_is_gone", Fault::SwallowsAcks, "got `done`"),
    ("settlements_may_come_in_any_order", Fault::AcksAllBefore, "a delivery from"),
    (
        "an_unsettled_message_comes_again_after_its_subscription",
        Fault::AcksOnDelivery,
        "a delivery from",
    ),
    (
        "an_unsettled_message_comes_again_after_its_connection",
        Fault::AcksOnDelivery,
        "a delivery from",
    ),
    ("a_message_that_nobody_saw_comes_again", Fault::AcksUnseen, "a delivery from"),
    ("a_requeued_message_comes_again", Fault::RequeueDrops, "a delivery from"),
    ("a_redelivered_message_is_marked", Fault::HidesRedelivery, "redelivered=false"),
    ("a_redelivered_message_is_unchanged", Fault::RenamesRedelivered, "Some(\"new\")"),
    ("the_delivery_count_grows", Fault::CountsToOne, "2 times before, the broker counts Some(1)"),
    ("a_rejected_message_goes_to_the_dead_letter_queue", Fault::RejectDrops, "a delivery from"),
    ("a_dead_letter_keeps_body_id_and_headers", Fault::DropsHeaders, "`tenant` came as None"),
    ("a_rejected_message_without_a_dead_letter_queue_is_gone", Fault::RejectRequeues, "got `bad`"),
    ("a_settlement_after_the_loss_does_nothing", Fault::AcksAfterLoss, "a delivery from"),
    ("an_expired_message_is_not_delivered", Fault::KeepsExpired, "got `stale`"),
    ("an_expired_message_goes_to_the_dead_letter_queue", Fault::KeepsExpired, "a delivery from"),
    ("an_expired_message_goes_to_the_dead_letter_queue", Fault::ExpiresAtOnce, "was dead after"),
    ("a_message_is_delivered_before_its_time_is_over", Fault::ExpiresAtOnce, "a delivery from"),
    ("a_dead_letter_does_not_expire", Fault::DeadLettersExpire, "a delivery from"),
    ("a_higher_priority_overtakes", Fault::IgnoresPriority, "expected `high`, got `low`"),
    ("messages_of_one_priority_keep_their_order", Fault::Reorders, "expected `1`, got `2`"),
    ("a_full_queue_refuses_and_keeps_what_it_holds", Fault::IgnoresLength, "50 messages were"),
    ("a_full_queue_refuses_and_keeps_what_it_holds", Fault::DropsOldest, "expected `0`, got `1`"),
    ("a_queue_with_room_again_takes_messages_again", Fault::StaysFull, "still refuses"),
    ("a_delayed_message_is_kept_back", Fault::DelaysNothing, "expected `now`, got `later`"),
    (
        "a_short_delay_does_not_wait_behind_a_long_one",
        Fault::DelaysInLine,
        "expected `short`, got `long`",
    ),
    ("a_delayed_message_is_unchanged", Fault::DropsProperties, "sent as"),
    ("a_delayed_message_outlives_its_sender", Fault::ConfirmsEarly, "a delivery from"),
    ("only_a_message_to_a_queue_can_be_delayed", Fault::DelaysNothing, "the publish succeeded"),
    ("declaring_twice_changes_nothing", Fault::DeclareRecreates, "expected `kept`, got `once`"),
    (
        "a_queue_with_other_arguments_is_a_mismatch_of_both_sides",
        Fault::TerseMismatch,
        "does not show",
    ),
    (
        "a_queue_with_other_arguments_is_a_mismatch_of_both_sides",
        Fault::IgnoresMismatch,
        "declared with other arguments",
    ),
    ("an_exchange_of_another_kind_is_a_mismatch", Fault::IgnoresMismatch, "other arguments"),
    ("a_mismatch_leaves_the_connection_usable", Fault::MismatchBreaksConnection, "by a defect"),
    ("stats_count_messages_and_consumers", Fault::StatsOfNothing, "ready: 0"),
    ("a_missing_queue_has_no_stats", Fault::StatsOfNothing, "about a missing queue"),
    ("a_deleted_queue_is_gone_with_its_messages", Fault::DeleteKeeps, "ready: 1"),
    ("a_missing_queue_can_be_deleted", Fault::DeleteInsists, "NotFound"),
    ("an_exclusive_queue_is_private", Fault::ExclusiveIsShared, "could consume"),
    ("an_exclusive_queue_goes_with_its_owner", Fault::ExclusiveIsShared, "not None"),
    ("a_closed_transport_publishes_nothing", Fault::PublishesAfterClose, "instead of failing as"),
    ("a_closed_transport_consumes_nothing", Fault::SubscribesAfterClose, "could subscribe"),
    ("closing_is_a_loss_to_the_consumers", Fault::LosesInSilence, "a delivery from"),
    ("closing_twice_is_harmless", Fault::HangsOnSecondClose, "closing a second time"),
    ("closing_one_connection_leaves_the_others", Fault::ClosesEverybody, "Closed"),
];

fn memory() -> impl Fn() -> std::future::Ready<bench::Connected> + Send + Sync + 'static {
    let broker = MemoryTransport::new();
    move || std::future::ready(Ok(Arc::new(broker.clone()) as Arc<dyn Transport>))
}

#[tokio::test(start_paused = true)]
async fn the_memory_transport_shows_every_behaviour() {
    let report = run(memory(), "").await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.passed().count(), behaviours().len(), "{report}");
}

#[tokio::test]
async fn the_memory_transport_behaves_in_real_time_too() {
    let report = run(memory(), "an_expired_message").await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_run_leaves_nothing_behind() {
    let broker = MemoryTransport::new();
    let look = broker.clone();
    run(move || std::future::ready(Ok(Arc::new(broker.clone()) as Arc<dyn Transport>)), "").await;
    assert!(look.queue_names().is_empty(), "{:?}", look.queue_names());
}

#[tokio::test(start_paused = true)]
async fn a_double_without_a_defect_shows_every_behaviour() {
    let report = run(doubles::connect(Fault::None), "").await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_behaviour_has_a_double_that_fails_it() {
    let all = behaviours().iter().map(|it| it.name);
    ensure_all_found(DOUBLES, all, async |fault, name| run(doubles::connect(fault), name).await)
        .await;
}
