//! The faults that a test of a service may ask for.

use mmate::observability::Fate;
use mmate::prelude::*;
use mmate_tests::Probe;

#[message(command)]
struct AskBank {
    card: u32,
}

#[message(event, aggregate = "card", key = card)]
struct BankPaid {
    card: u32,
}

#[derive(Debug, thiserror::Error, MessageError)]
#[error("the bank is away")]
#[class(transient)]
struct BankAway;

#[handler(concurrency = 1)]
async fn charge(
    message: AskBank,
    context: Context,
    publisher: Publisher,
    probe: State<Probe>,
) -> Result {
    probe.note(format!("{} {}", message.card, context.attempt()));
    publisher.publish(BankPaid { card: message.card }).await?;
    Ok(())
}

/// Another handler, which the app of these tests does not have.
#[handler(group = "other")]
async fn charge_elsewhere(_message: AskBank) {}

const QUEUE: &str = "cmd.bank.AskBank";

async fn app() -> (TestApp, Probe) {
    let probe = Probe::default();
    let app = TestApp::builder().name("bank").handler::<charge>().provide(probe.clone());
    (app.start().await.expect("boots"), probe)
}

async fn charge_cards(app: &TestApp, cards: impl IntoIterator<Item = u32>) {
    for card in cards {
        app.send(AskBank { card }).await.expect("taken");
    }
    app.settle().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_tried_again_by_their_class() {
    let (app, probe) = app().await;
    let fault = app.fail::<charge>().times(2).with(|| BankAway);
    charge_cards(&app, [1]).await;
    assert_eq!((fault.hits(), probe.notes()), (2, vec!["1 3".to_owned()]));
    let retried = app.ledger().sums().into_iter().find(|sum| sum.fate == Fate::Retried);
    let retried = retried.expect("it was tried again");
    assert_eq!((retried.reason.as_deref(), retried.count), (Some("transient"), 2));
    app.published::<BankPaid>().one();
    assert_eq!(app.counts().handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_calls_all_fail_ends_in_the_dead_letter_queue() {
    let (app, probe) = app().await;
    let fault = app.fail_queue(QUEUE).times(u32::MAX);
    charge_cards(&app, [1]).await;
    assert_eq!((fault.hits(), probe.notes().len()), (3, 0), "the handler is not called");
    let parked = app.dead_letters(QUEUE);
    assert_eq!((parked.len(), parked[0].reason()), (1, "retries_exhausted"));
    assert_eq!(parked[0].error(), "a failure that the test asked for");
    app.published::<BankPaid>().none();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_before_the_ack_brings_the_message_again() {
    let (app, probe) = app().await;
    let fault = app.drop_connection(QUEUE);
    charge_cards(&app, [1, 2]).await;
    assert_eq!(
        (fault.hits(), probe.notes()),
        (1, ["1 1", "1 2", "2 1"].map(str::to_owned).to_vec())
    );
    // Published twice, with one id: who listens and is idempotent sees one.
    let charged = app.published::<BankPaid>().exactly(3);
    assert_eq!(charged[0].meta.id, charged[1].meta.id);
    assert_ne!(charged[1].meta.id, charged[2].meta.id);
    assert_eq!((app.counts().handled, app.dead_letters(QUEUE).len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_delivery_is_overtaken() {
    let (app, probe) = app().await;
    let fault = app.delay(QUEUE, "30s");
    let began = tokio::time::Instant::now();
    charge_cards(&app, [1, 2, 3]).await;
    assert_eq!(
        (fault.hits(), probe.notes()),
        (1, ["2 1", "3 1", "1 1"].map(str::to_owned).to_vec())
    );
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_handled_twice_and_settled_once() {
    let (app, probe) = app().await;
    let fault = app.duplicate(QUEUE).times(2);
    charge_cards(&app, [1, 2, 3]).await;
    assert_eq!((fault.hits(), app.counts().handled), (2, 5));
    assert_eq!(probe.notes(), ["1 1", "1 1", "2 1", "2 1", "3 1"]);
    let charged = app.published::<BankPaid>().exactly(5);
    assert_eq!(charged[0].meta.id, charged[1].meta.id);
    assert!(app.stop().await.drained);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_nothing_can_meet_is_a_mistake_of_the_test() {
    let (app, _) = app().await;
    let panic_of = |call: &dyn Fn(&TestApp)| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&app)));
        *caught.expect_err("refused").downcast::<String>().expect("a text")
    };
    let error = panic_of(&|app| drop(app.duplicate("cmd.bank.Pay")));
    assert_eq!(
        error,
        "no handler takes messages from `cmd.bank.Pay`; the queues are `cmd.bank.AskBank`"
    );
    let error = panic_of(&|app| drop(app.fail::<charge_elsewhere>()));
    assert_eq!(error, "the app has no handler `charge_elsewhere`");
    let error = panic_of(&|app| drop(app.delay(QUEUE, "soon")));
    assert!(error.contains("`soon` is not a duration"), "{error}");
}
