//! What bounds a bridge: places, those who wait for one, time; and that nothing stays behind.

use std::time::Duration;

use mmate::prelude::*;
use mmate_tests::{Backend, eventually, on_every_way};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Gate, asks, start, start_with};

async fn the_next_request_waits_for_a_place_or_is_refused(backend: Backend) {
    let gate = Gate::new(Semaphore::new(0));
    let service = start_with(backend, |builder| {
        let builder = builder.config("bridge.max_concurrent", 2).config("bridge.waiting_max", 1);
        builder.provide(Gate::clone(&gate))
    });
    let service = service.await;
    let bridge = service.running.bridge().clone();
    let ask = |number: u32| {
        let bridge = bridge.clone();
        tokio::spawn(async move { bridge.ask(asks(number, "gate")).timeout("15s").await })
    };
    let (first, second) = (ask(1), ask(2));
    service.probe.wait_for(2).await;
    let mut third = bridge.ask(asks(3, "gate")).timeout("15s").into_future();
    assert!(futures_util::poll!(&mut third).is_pending(), "it waits for a place");
    let refused = bridge.ask(asks(4, "well")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (AskErrorKind::Overloaded, "OVERLOADED"));
    assert!(refused.to_string().contains("`bridge.waiting_max`"), "{refused}");
    gate.add_permits(3);
    assert_eq!(third.await.expect("an answer").number, 6);
    for (task, doubled) in [(first, 2), (second, 4)] {
        assert_eq!(task.await.unwrap().expect("an answer").number, doubled);
    }
    assert_eq!(service.probe.notes().len(), 3, "what was refused was not sent");
    service.running.stop().await;
}

async fn a_request_that_finds_no_place_in_time_is_not_sent(backend: Backend) {
    let gate = Gate::new(Semaphore::new(0));
    let service = start_with(backend, |builder| {
        builder.config("bridge.max_concurrent", 1).provide(Gate::clone(&gate))
    });
    let service = service.await;
    let bridge = service.running.bridge().clone();
    let holding = tokio::spawn({
        let bridge = bridge.clone();
        async move { bridge.ask(asks(1, "gate")).await }
    });
    service.probe.wait_for(1).await;
    let refused = bridge.ask(asks(2, "well")).timeout("200ms").await.unwrap_err();
    assert_eq!(refused.kind(), AskErrorKind::Overloaded);
    assert!(refused.to_string().contains("no place was free within 200ms"), "{refused}");
    gate.add_permits(1);
    holding.await.unwrap().expect("an answer");
    service.running.stop().await;
}

/// Ten thousand requests to a service that does not answer.
async fn timeouts_leave_no_entry_task_or_queue_behind(backend: Backend) {
    const REQUESTS: usize = 10_000;
    let gate = Gate::new(Semaphore::new(0));
    let service = start_with(backend, |builder| {
        builder.config("bridge.max_concurrent", 1_000).provide(Gate::clone(&gate))
    });
    let service = service.await;
    let bridge = service.running.bridge();
    bridge.ask(asks(0, "well")).await.expect("an answer");
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let began = Instant::now();
    let all = (0..REQUESTS).map(|_| async {
        let asked = bridge.ask(asks(1, "gate")).timeout("100ms").await;
        let kind = asked.expect_err("nobody answers").kind();
        assert!(
            matches!(
                kind,
                AskErrorKind::Timeout
                    | AskErrorKind::Overloaded
                    | AskErrorKind::Unknown
                    | AskErrorKind::NotSent
            ),
            "{kind:?}"
        );
    });
    futures_util::stream::StreamExt::for_each_concurrent(
        futures_util::stream::iter(all),
        1_000,
        |ask| ask,
    )
    .await;
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(bridge.pending(), 0);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), tasks);
    // The service answers them all now, too late or as too late.
    gate.add_permits(REQUESTS);
    eventually("an answer comes through", || async {
        bridge.ask(asks(2, "well")).timeout("5s").await.is_ok_and(|doubled| doubled.number == 4)
    })
    .await;
    assert_eq!(bridge.pending(), 0);
    service.running.stop().await;
}

async fn a_timeout_that_is_none_is_a_mistake(backend: Backend) {
    let service = start(backend).await;
    for (timeout, why) in [("0s", "the timeout is zero"), ("soon", "`soon` is not a duration")] {
        let asked = service.running.bridge().ask(asks(1, "well")).timeout(timeout);
        let error = asked.await.unwrap_err();
        assert_eq!(error.kind(), AskErrorKind::Invalid);
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(service.probe.notes().is_empty());
    service.running.stop().await;
}

on_every_way! {
    the_next_request_waits_for_a_place_or_is_refused
    a_request_that_finds_no_place_in_time_is_not_sent
    timeouts_leave_no_entry_task_or_queue_behind
    a_timeout_that_is_none_is_a_mistake
}
