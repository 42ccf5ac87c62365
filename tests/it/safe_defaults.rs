//! The table "Safe with nothing configured", from outside: a real process that is told nothing but
//! `MMATE_URL`, on a broker of its own, driven by a foreign client.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mmate_tests::unique;
use xtask::servers::process::{Signal, guarded};
use xtask::servers::{ForeignClient, Guard, InstallPolicy, RabbitNode, StartOptions};

use super::program::{PATIENCE, Program, foreign_program};

const WORK_QUEUES: [&str; 4] =
    ["cmd.soak.Work", "cmd.soak.Plain", "cmd.soak.Timed", "qry.soak.Ask"];

/// A broker and what was started against it.
struct Scene {
    guard: Arc<Guard>,
    node: RabbitNode,
    folder: PathBuf,
    client: ForeignClient,
}

impl Scene {
    fn set() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique("defaults"));
        fs::create_dir_all(&folder).expect("a folder for logs");
        let client = ForeignClient::python(InstallPolicy::FindOnly).required();
        Self {
            guard: Guard::new(Some(&folder)).expect("a shell"),
            node: RabbitNode::start(&StartOptions::default()).expect("a broker"),
            folder,
            client: client.expect("a client that knows nothing of Mmate"),
        }
    }

    fn service(&self, environment: &[(&str, &str)]) -> Program {
        let mut command = guarded(env!("CARGO_BIN_EXE_soak-service"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MMATE_")) {
            command.env_remove(name);
        }
        command.env("MMATE_URL", self.node.amqp_url()).envs(environment.iter().copied());
        Program::start(&self.guard, command.current_dir(&self.folder), &self.folder)
    }

    fn ready_service(&self) -> Program {
        let mut service = self.service(&[]);
        service.wait_for("ready", |line| line == "ready");
        service
    }

    fn collector(&self) -> Program {
        let mut command = self.foreign("collector.py");
        command.args([&self.node.amqp_url(), "quorum"]);
        command.args(WORK_QUEUES.map(|queue| format!("dlq.{queue}")));
        let mut collector = Program::start(&self.guard, &mut command, &self.folder);
        collector.wait_for("collecting", |line| line == "up");
        collector
    }

    /// Publishes the messages of a list like `plain:ok,ask:reject`, each under the id `p.NUMBER.KIND.WISH`.
    fn publish(&self, messages: &str) {
        let count = messages.split(',').count().to_string();
        let mut command = self.foreign("publisher.py");
        command.args([&self.node.amqp_url(), "p", "1000", &count, messages]);
        let mut publisher = Program::start(&self.guard, &mut command, &self.folder);
        publisher.wait_for("the end", |line| line.starts_with("end "));
    }

    fn foreign(&self, program: &str) -> Command {
        self.client.command(&foreign_program(program))
    }
}

impl Program {
    /// When each attempt at a message began.
    fn runs(&mut self, id: &str) -> Vec<Instant> {
        let start = format!("run {id} ");
        let all = self.all().iter();
        all.filter(|(_, line)| line.starts_with(&start)).map(|(when, _)| *when).collect()
    }

    /// The reason and the number of attempts with which a message was dead-lettered.
    fn dead_letter(&mut self, id: &str) -> (String, String) {
        let start = format!("P {id} ");
        let (_, line) = self.wait_for(&start, |line| line.starts_with(&start));
        let words: Vec<&str> = line.split(' ').collect();
        (words[3].to_owned(), words[4].to_owned())
    }
}

fn dead(reason: &str, attempts: u32) -> (String, String) {
    (reason.to_owned(), attempts.to_string())
}

#[test]
fn what_fails_is_tried_again_and_parked_with_its_reason_and_the_service_goes_on() {
    let scene = Scene::set();
    let (mut service, mut collector) = (scene.ready_service(), scene.collector());
    scene.publish("plain:always,plain:panic,timed:overrun,plain:unbound,plain:ok");
    assert_eq!(collector.dead_letter("p.0.plain.always"), dead("retries_exhausted", 3));
    assert_eq!(collector.dead_letter("p.1.plain.panic"), dead("panic", 3));
    // This handler says itself: at most 500 ms, two attempts.
    assert_eq!(collector.dead_letter("p.2.timed.overrun"), dead("timeout", 2));
    // Nothing is bound for what its handler publishes: an error of the handler, not silence.
    assert_eq!(collector.dead_letter("p.3.plain.unbound"), dead("publish_failed", 3));
    collector.wait_for_start("D p.4.plain.ok ");
    let runs = service.runs("p.0.plain.always");
    assert_eq!(runs.len(), 3, "three attempts");
    let (first, second) = (runs[1] - runs[0], runs[2] - runs[1]);
    // 1 s and 2 s, each give or take 10 %.
    assert!(first >= Duration::from_millis(850) && second >= Duration::from_millis(1_750));
    scene.publish("plain:ok");
    collector.wait_for_another("another result", |line| line.starts_with("D p.0.plain.ok "));
    assert!(!service.all().iter().any(|(_, line)| line.starts_with("unready")));
}

#[test]
fn what_cannot_be_understood_is_parked_at_once_with_its_reason() {
    let scene = Scene::set();
    let (mut service, mut collector) = (scene.ready_service(), scene.collector());
    scene.publish("plain:notjson,plain:unknown,plain:schema");
    let begun = Instant::now();
    assert_eq!(collector.dead_letter("p.0.plain.notjson"), dead("not_json", 1));
    assert_eq!(collector.dead_letter("p.1.plain.unknown"), dead("unknown_type", 1));
    assert_eq!(collector.dead_letter("p.2.plain.schema"), dead("schema_violation", 1));
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(service.all().iter().filter(|(_, line)| line.starts_with("run ")).count(), 0);
}

#[test]
fn a_refusal_is_answered_once_and_never_tried_again() {
    let scene = Scene::set();
    let (mut service, mut collector) = (scene.ready_service(), scene.collector());
    scene.publish("plain:reject,ask:reject,ask:ok");
    collector.wait_for_start("R p.0.plain.reject ErrorReply");
    collector.wait_for_start("R p.1.ask.reject ErrorReply");
    collector.wait_for_start("R p.2.ask.ok Answer");
    // Whatever comes again comes before a message that is sent later.
    scene.publish("plain:ok,ask:ok");
    collector.wait_for_start("D p.0.plain.ok ");
    for id in ["p.0.plain.reject", "p.1.ask.reject"] {
        assert_eq!(service.runs(id).len(), 1, "{id}");
    }
    let parked = collector.all().iter().filter(|(_, line)| line.starts_with("P ")).count();
    assert_eq!(parked, 0);
}

#[test]
fn a_message_whose_process_was_killed_comes_again_and_the_attempt_counts() {
    let scene = Scene::set();
    let (mut service, mut collector) = (scene.ready_service(), scene.collector());
    scene.publish("plain:hang");
    service.wait_for_start("run p.0.plain.hang 1");
    service.child.kill().expect("killed");
    let mut successor = scene.ready_service();
    successor.wait_for_start("run p.0.plain.hang 2");
    let result = collector.wait_for_start("D p.0.plain.hang ");
    assert!(result.ends_with(" 2 0"), "attempt 2, delivered once to the collector: {result}");
}

#[test]
fn nothing_in_flight_is_lost_or_done_twice_when_a_service_is_asked_to_end() {
    let scene = Scene::set();
    let (mut service, mut collector) = (scene.ready_service(), scene.collector());
    let slow = ["plain:slow"; 40].join(",");
    scene.publish(&slow);
    service.wait_for_start("run ");
    service.child.signal(Signal::Terminate).expect("asked to end");
    service.wait_for("the report", |line| {
        line.starts_with("stopped in") && line.contains("everything in flight has ended")
    });
    assert!(service.ended().0, "an orderly end");
    let _successor = scene.ready_service();
    for number in 0..40 {
        collector.wait_for_start(&format!("D p.{number}.plain.slow "));
    }
    let mut results: BTreeMap<String, u32> = BTreeMap::new();
    for (_, line) in collector.all().iter().filter(|(_, line)| line.starts_with("D ")) {
        *results.entry(line.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
    }
    assert!(results.values().all(|count| *count == 1), "{results:?}");
}

#[test]
fn a_publish_waits_for_a_broker_that_is_away_up_to_its_deadline_and_the_service_consumes_again() {
    let scene = Scene::set();
    let mut service = scene.service(&[("SOAK_OWN_EVERY_MS", "20")]);
    service.wait_for("ready", |line| line == "ready");
    let mut collector = scene.collector();
    service.wait_for_start("C ");
    scene.node.wait_until_all_registered().expect("what is a second old no broker keeps");
    scene.node.kill().expect("killed");
    service.wait_for_another("the loss", |line| line.starts_with("unready"));
    // The default deadline, and an error that names the message: never silence.
    let (_, error) = service.wait_for_another("the error", |line| line.starts_with("E "));
    let id = error.split(' ').nth(1).unwrap().to_owned();
    let (begun, _) = service.wait_for("its beginning", |line| line == format!("A {id}"));
    let waited = begun.elapsed();
    assert!((25..50).contains(&waited.as_secs()), "{waited:?} instead of 30 s: {error}");
    assert!(error.contains(&id), "{error}");
    // The next one waits and is confirmed under its id when the broker is back.
    let (_, next) = service.wait_for_another("the next one", |line| line.starts_with("A "));
    scene.node.start_again().expect("started again");
    let next = next.replacen('A', "C", 1);
    service.wait_for_another("its confirm", |line| line == next);
    let (ready, _) = service.wait_for_another("readiness", |line| line == "ready");
    let start = next.replacen('C', "D", 1);
    let (handled, _) = collector.wait_for(&start, |line| line.starts_with(&start));
    // Later would not be the recovery but the watchdog, which looks for forgotten consumers.
    assert!(handled.saturating_duration_since(ready) < Duration::from_secs(30));
}

#[test]
fn a_queue_with_other_arguments_is_a_boot_error_that_shows_both_sides() {
    let scene = Scene::set();
    let mut other = scene.service(&[("MMATE_QUEUES_TYPE", "classic")]);
    other.wait_for("ready", |line| line == "ready");
    other.child.signal(Signal::Terminate).expect("asked to end");
    assert!(other.ended().0);
    let (ended_well, error) = scene.service(&[]).ended();
    assert!(!ended_well);
    let sides = ["asks for `reject-publish`", "the broker has none", "kind (quorum or classic)"];
    for part in WORK_QUEUES.into_iter().chain(sides).chain(["rabbitmqctl delete_queue"]) {
        assert!(error.contains(part), "`{part}` is missing in:\n{error}");
    }
}
