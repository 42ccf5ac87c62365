//! What an operator is told.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mmate::consume::Alert;
use mmate::deadletter::Selection;
use mmate_tests::{Backend, eventually, on_every_transport};

use super::{Service, Ship, start};

impl Service {
    /// The depths that were told of.
    fn depths(&self) -> Vec<u64> {
        let count = |alert: &Alert| match alert {
            Alert::DeadLetters { queue, dead_letter_queue, count, threshold } => {
                assert_eq!((queue, dead_letter_queue), (&self.queue, &self.parked));
                assert_eq!(*threshold, 3);
                Some(*count)
            }
            _ => None,
        };
        self.alerts().iter().filter_map(count).collect()
    }
}

async fn an_alert_is_raised_at_the_threshold_and_again_after_it_was_over(backend: Backend) {
    let service = start(backend).await;
    service.fail(1..3).await;
    assert_eq!(service.depths(), [0; 0], "two are below the threshold");
    service.fail(3..4).await;
    eventually("the alert", || async { service.depths() == [3] }).await;
    // The watch looks at most once a second: each depth is there for longer, until it has seen both.
    let look = Duration::from_millis(1_200);
    eventually("the second alert", || async {
        service.tools().purge(&Selection::all()).await.expect("purged");
        service.fail(4..5).await;
        tokio::time::sleep(look).await;
        service.fail(5..8).await;
        tokio::time::sleep(look).await;
        service.depths().len() == 2
    })
    .await;
    service.running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_said_once_however_often_is_looked() {
    let service = start(Backend::Memory).await;
    let minute = Duration::from_secs(60);
    for (parcels, depths) in [(0..2, vec![]), (2..3, vec![3]), (3..5, vec![3]), (5..9, vec![3])] {
        service.fail(parcels).await;
        tokio::time::sleep(minute).await;
        assert_eq!(service.depths(), depths);
    }
    // A look takes the messages out of the queue for a while, which is no recovery.
    let slow = service.tools().rate_per_second(1);
    service.carrier.0.store(0, Ordering::Relaxed);
    slow.replay(&Selection::all().count(6)).await.expect("replayed");
    assert_eq!(service.tools().list(&Selection::all()).await.expect("listed").letters.len(), 3);
    tokio::time::sleep(minute).await;
    assert_eq!(service.depths(), [3]);
    service.tools().purge(&Selection::all().count(1)).await.expect("purged");
    tokio::time::sleep(minute).await;
    service.carrier.0.store(1, Ordering::Relaxed);
    service.fail(9..10).await;
    tokio::time::sleep(minute).await;
    assert_eq!(service.depths(), [3, 3], "it was below in between");
    service.running.stop().await;
}

async fn an_alert_says_that_a_message_cannot_be_parked(backend: Backend) {
    let service = start(backend).await;
    service.transport.delete_queue(&service.parked).await.expect("deleted");
    let sent = service.running.publisher().send(Ship { parcel: 1 }).await.expect("taken").id;
    eventually("the dead-letter queue is made again", || async {
        matches!(service.transport.queue_stats(&service.parked).await, Ok(Some(stats)) if stats.ready == 1)
    })
    .await;
    let alerts = service.alerts();
    let [Alert::ParkingFails { queue, dead_letter_queue, message_id, error }] = alerts.as_slice()
    else {
        panic!("one alert, got {alerts:?}");
    };
    assert_eq!(
        (queue, dead_letter_queue, message_id.as_str()),
        (&service.queue, &service.parked, sent.as_str())
    );
    assert!(error.contains(&service.parked), "{error}");
    // Made again as it was: with the way back.
    service.carrier.0.store(0, Ordering::Relaxed);
    assert_eq!(service.tools().replay(&Selection::all()).await.expect("replayed").moved, 1);
    assert_eq!(service.probe.wait_for(3).await[2], "1 1");
    service.running.stop().await;
}

on_every_transport! {
    an_alert_is_raised_at_the_threshold_and_again_after_it_was_over
    an_alert_says_that_a_message_cannot_be_parked
}
