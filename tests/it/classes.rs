//! What configuration says about errors: how often a class is tried, and which class an error has.

use mmate::observability::Fate;
use mmate::prelude::*;
use mmate::runtime::AppBuilder;
use mmate_tests::{Backend, Broker, Probe, eventually, on_every_transport, unique};

/// Tells the handler how to fail.
#[message(command)]
struct Fail {
    how: String,
}

#[derive(Debug, thiserror::Error, MessageError)]
enum Failure {
    #[error("the disk is full")]
    #[class(system)]
    Disk,
    #[error("no such card")]
    #[class(permanent)]
    Card,
}

/// An error of others, which knows no class.
#[derive(Debug, thiserror::Error)]
#[error("the request failed")]
struct Foreign(#[source] std::io::Error);

fn fail(how: &str) -> Result {
    Err(match how {
        "disk" => Failure::Disk.into(),
        "card" => Failure::Card.into(),
        "refuse" => Reject::new("NO", "timed out, too").into(),
        other => Foreign(std::io::Error::other(other.to_owned())).into(),
    })
}

#[handler(group = "plain")]
async fn plain(message: Fail, probe: State<Probe>) -> Result {
    probe.note("attempt");
    fail(&message.how)
}

#[handler(group = "own", retry(attempts = 2, backoff = fixed("1ms")))]
async fn own(message: Fail, probe: State<Probe>) -> Result {
    probe.note("attempt");
    fail(&message.how)
}

const SHORT: &str = "fixed(1ms)";

/// The attempts that one message gets, and the reasons in the ledger.
async fn attempts(
    broker: &Broker,
    how: &str,
    extend: impl FnOnce(AppBuilder) -> AppBuilder,
) -> (usize, String) {
    let (name, probe) = (unique("classes"), Probe::default());
    let builder = extend(broker.service(&name).await.provide(probe.clone()));
    let builder = ["transient", "throttle", "system", "unknown"]
        .into_iter()
        .fold(builder, |app, class| app.config(format!("retry.classes.{class}.backoff"), SHORT));
    let running = builder.start().await.expect("boots");
    running.publisher().send(Fail { how: how.to_owned() }).await.expect("taken");
    let ledger = running.ledger().clone();
    let ended = || ledger.count(Fate::DeadLettered) + ledger.count(Fate::Rejected);
    eventually("the message ends", || async { ended() == 1 }).await;
    let queues: Vec<String> =
        running.health().consumers.into_iter().map(|consumer| consumer.queue).collect();
    running.stop().await;
    let transport = broker.connect().await;
    for queue in queues {
        transport.delete_queue(&queue).await.expect("removed");
        transport.delete_queue(&format!("dlq.{queue}")).await.expect("removed");
    }
    let words = ledger.sums().into_iter().filter_map(|sum| sum.reason).collect::<Vec<_>>();
    (probe.notes().len(), words.join(" "))
}

async fn a_class_is_tried_as_often_as_configuration_says(backend: Backend) {
    let broker = backend.broker().await;
    let app = |app: AppBuilder| {
        let app = app.handler::<plain>().config("retry.classes.system.attempts", 6);
        app.config("retry.classes.unknown.attempts", 1)
    };
    let found = attempts(&broker, "disk", app).await;
    assert_eq!(found, (6, "retries_exhausted system".to_owned()));
    assert_eq!(attempts(&broker, "anything", app).await.0, 1);
    assert_eq!(attempts(&broker, "card", app).await, (1, "permanent".to_owned()));
}

async fn what_the_handler_says_comes_before_configuration(backend: Backend) {
    let broker = backend.broker().await;
    let app = |app: AppBuilder| app.handler::<own>().config("retry.classes.system.attempts", 6);
    assert_eq!(attempts(&broker, "disk", app).await.0, 2);
}

async fn a_rule_gives_a_class_to_an_error_that_says_nothing(backend: Backend) {
    let broker = backend.broker().await;
    let rules = "[{ error = 'timed out', class = 'transient' }, { handler = 'plain', error = 'card', class = 'permanent' }, \
                 { error = 'disk', class = 'permanent' }]";
    let app = |app: AppBuilder| {
        let app = app.handler::<plain>().config("retry.rules", rules);
        app.config("retry.classes.transient.attempts", 4)
    };
    // Found in the source of the error, too.
    let found = attempts(&broker, "it timed out", app).await;
    assert_eq!(found, (4, "retries_exhausted transient".to_owned()));
    assert_eq!(attempts(&broker, "a bad card", app).await, (1, "permanent".to_owned()));
    // What says its class itself keeps it, and a refusal is one whatever its text.
    assert_eq!(attempts(&broker, "disk", app).await.1, "retries_exhausted system");
    assert_eq!(attempts(&broker, "refuse", app).await, (1, String::new()));
}

async fn a_rule_for_always_comes_before_what_the_error_says(backend: Backend) {
    let broker = backend.broker().await;
    let app = |app: AppBuilder| {
        let rules = "[{ error = 'card', class = 'system', always = true }]";
        app.handler::<plain>().config("retry.rules", rules)
    };
    assert_eq!(attempts(&broker, "card", app).await, (3, "retries_exhausted system".to_owned()));
}

on_every_transport! {
    a_class_is_tried_as_often_as_configuration_says
    what_the_handler_says_comes_before_configuration
    a_rule_gives_a_class_to_an_error_that_says_nothing
    a_rule_for_always_comes_before_what_the_error_says
}

#[tokio::test]
async fn a_rule_for_a_handler_that_does_not_exist_refuses_the_boot() {
    let app = App::builder().name("classes").handler::<plain>();
    let app = app.config("retry.rules", "[{ handler = 'plane', class = 'system' }]");
    let error = app.build().expect_err("refused").to_string();
    let text = "configuration `retry.rules`: from code: rule 1: there is no handler `plane`; the handlers are `plain`";
    assert!(error.contains(text), "{error}");
}
