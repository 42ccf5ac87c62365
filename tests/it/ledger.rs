//! What the fate ledger says about a scripted mix of messages, and about a process that is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mmate::App;
use mmate::observability::{Fate, Ledger, LedgerOptions, LedgerReport, Note};
use mmate::prelude::*;
use mmate::transport::{Properties, PublishErrorKind};
use mmate_tests::{
    Backend, Probe, eventually, on_every_transport, publish_raw, unique, wait_for_ready,
};

/// Tells the handler how to end.
#[message(command)]
struct BookTicket {
    end: String,
}

#[message(event, aggregate = "booking")]
struct TicketBooked {
    name: String,
}

/// Nobody listens to it.
#[message(command)]
struct UnheardTicket {}

#[handler(timeout = "200ms", retry(attempts = 2, backoff = fixed("5ms"), jitter = 0.0))]
async fn book(
    message: BookTicket,
    context: Context,
    publisher: Publisher,
    probe: State<Probe>,
) -> Result {
    probe.note(format!("{} {}", message.end, context.attempt()));
    match message.end.as_str() {
        "fail" => Err(std::io::Error::other("no class").into()),
        "fail once" if context.attempt() == 1 => Err(std::io::Error::other("no class").into()),
        "panic" => panic!("the handler is broken"),
        "hang" => std::future::pending().await,
        "refuse" => Err(Reject::new("FULL", "no room").into()),
        "discard" => Err(Discard("not needed".to_owned()).into()),
        "park" => Err(DeadLetter("look at this".to_owned()).into()),
        "publish to nobody" => {
            publisher.send(UnheardTicket {}).await?;
            Ok(())
        }
        "publish" => {
            publisher
                .publish(TicketBooked { name: probe.notes().len().to_string() })
                .optional()
                .await?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A folder of this test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(unique(name)))
    }

    fn report(&self) -> LedgerReport {
        LedgerReport::read(&self.0).expect("the ledger can be read")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config_dir(folder: &Folder) -> String {
    folder.0.display().to_string()
}

/// What is sent, how often, and the ends that follow: `(end, times, fate, reason)`.
const SCRIPT: [(&str, u64, Fate, Option<&str>); 9] = [
    ("well", 5, Fate::Handled, None),
    ("publish", 3, Fate::Handled, None),
    ("fail once", 2, Fate::Handled, None),
    ("fail", 2, Fate::DeadLettered, Some("retries_exhausted")),
    ("panic", 1, Fate::DeadLettered, Some("panic")),
    ("hang", 1, Fate::DeadLettered, Some("timeout")),
    ("refuse", 2, Fate::Rejected, None),
    ("discard", 1, Fate::Discarded, None),
    ("park", 1, Fate::DeadLettered, Some("asked_by_handler")),
];

async fn the_sums_of_a_scripted_mix_are_exact(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("ledger"), Probe::default());
    let folder = Folder::new("ledger-mix");
    let builder = broker.service(&name).await.handler::<book>().provide(probe.clone());
    let builder = builder.config("ledger.dir", config_dir(&folder)).config("ledger.full", true);
    let running = builder.start().await.expect("the service boots");
    let (queue, transport) = (format!("cmd.{name}.BookTicket"), broker.connect().await);
    let mut published = 0;
    for (end, times, ..) in SCRIPT {
        for _ in 0..times {
            let sent = running.publisher().send(BookTicket { end: end.to_owned() }).await;
            sent.expect("the command is taken");
            published += 1;
        }
    }
    // Two that no handler can be found for.
    publish_raw(&transport, &queue, Properties::default(), "no json").await;
    publish_raw(&transport, &queue, Properties::default(), "{\"id\":\"x\"}").await;
    published += 2;
    let unheard = running.publisher().send(UnheardTicket {}).await.expect_err("nobody listens");
    assert_eq!(unheard.kind(), PublishErrorKind::Unroutable);
    let ledger = running.ledger().clone();
    let ends =
        || Fate::ALL.into_iter().filter(|f| f.is_end()).map(|f| ledger.count(f)).sum::<u64>();
    eventually("every message has ended", || async { ends() >= published }).await;
    let report = running.stop().await;
    assert!(report.drained, "{report}");

    let sums = ledger.sums();
    let of = |handler: &str, fate: Fate, reason: Option<&str>| {
        let is = |sum: &&mmate::observability::Sum| {
            sum.queue.as_deref() == Some(&queue)
                && sum.handler.as_deref() == Some(handler)
                && (sum.fate, sum.reason.as_deref()) == (fate, reason)
        };
        sums.iter().filter(is).map(|sum| sum.count).sum::<u64>()
    };
    for (_, _, fate, reason) in SCRIPT {
        let same = SCRIPT.iter().filter(|row| (row.2, row.3) == (fate, reason));
        assert_eq!(of("book", fate, reason), same.map(|row| row.1).sum::<u64>(), "{sums:?}");
    }
    // Each of `fail once`, `fail`, `panic` and `hang` was tried again once.
    assert_eq!(of("book", Fate::Retried, Some("unknown")), 2 + 2 + 1, "{sums:?}");
    assert_eq!(of("book", Fate::Retried, Some("transient")), 1, "{sums:?}");
    assert_eq!(of("-", Fate::DeadLettered, Some("not_json")), 1, "{sums:?}");
    assert_eq!(ends(), published, "{sums:?}");
    assert_eq!(ledger.count(Fate::Left) + ledger.count(Fate::Abandoned), 0, "{sums:?}");
    // By type: what was sent from outside, and what the handlers published.
    let confirmed = |name: &str| ledger.of_type(name).count(Fate::Confirmed);
    assert_eq!((confirmed("BookTicket"), confirmed("TicketBooked")), (published - 2, 3));
    assert_eq!(ledger.of_type("UnheardTicket").count(Fate::Returned), 1);

    // The file says the same, and that no message met its end twice.
    let read = folder.report();
    assert_eq!((read.files, read.unreadable, ledger.unwritten()), (1, 0, 0), "{read}");
    for fate in Fate::ALL {
        assert_eq!(read.count(fate), ledger.count(fate), "{fate}\n{read}");
    }
    assert_eq!(read.ends(), published);
    assert_eq!(read.messages(Fate::Handled), Some(10), "{read}");
    for queue in [queue.clone(), format!("dlq.{queue}")] {
        transport.delete_queue(&queue).await.expect("removed");
    }
}

async fn what_is_published_to_nobody_is_returned_and_never_confirmed(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("ledger"), Probe::default());
    let service = broker.service(&name).await.handler::<book>().provide(probe.clone());
    let running = service.start().await.expect("boots");
    let end = "publish to nobody".to_owned();
    running.publisher().send(BookTicket { end }).await.expect("taken");
    let (ledger, queue) = (running.ledger().clone(), format!("cmd.{name}.BookTicket"));
    eventually("given up", || async { ledger.count(Fate::DeadLettered) == 1 }).await;
    let unheard = ledger.of_type("UnheardTicket");
    // The handler returned `Ok` twice; its message never left, so it was not handled.
    assert_eq!((unheard.count(Fate::Returned), unheard.count(Fate::Confirmed)), (2, 0));
    assert_eq!(ledger.count(Fate::Handled), 0, "{:?}", ledger.sums());
    let reasons: Vec<_> = ledger.sums().into_iter().filter_map(|sum| sum.reason).collect();
    assert_eq!(reasons, ["publish_failed", "system"]);
    assert!(running.stop().await.drained);
    let transport = broker.connect().await;
    for queue in [queue.clone(), format!("dlq.{queue}")] {
        transport.delete_queue(&queue).await.expect("removed");
    }
}

async fn what_is_cut_off_is_left_and_handled_by_the_next_process(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("ledger"), Probe::default());
    let folder = Folder::new("ledger-cut");
    let start = async |end: &str| {
        let builder = broker.service(&name).await.handler::<book>().provide(probe.clone());
        let builder = builder.config("ledger.dir", config_dir(&folder)).config("ledger.full", true);
        let builder = builder.config("shutdown.drain", "20ms").config("consume.prefetch", 10);
        let running = builder.start().await.expect("boots");
        if !end.is_empty() {
            running.publisher().send(BookTicket { end: end.to_owned() }).await.expect("taken");
        }
        running
    };
    let first = start("hang").await;
    probe.wait_for(1).await;
    let report = first.stop().await;
    assert_eq!((report.drained, report.counts.abandoned), (false, 1), "{report}");
    let second = start("").await;
    let ledger = second.ledger().clone();
    eventually("the next process ends it", || async { ledger.count(Fate::DeadLettered) == 1 })
        .await;
    drop(second);
    let read = folder.report();
    assert_eq!((read.files, read.count(Fate::Abandoned)), (2, 1), "{read}");
    assert_eq!(read.messages(Fate::DeadLettered), Some(1), "{read}");
    assert_eq!(read.ends(), 1, "being left is no end: {read}");
    let (queue, transport) = (format!("cmd.{name}.BookTicket"), broker.connect().await);
    wait_for_ready(&transport, &queue, 0).await;
    for queue in [queue.clone(), format!("dlq.{queue}")] {
        transport.delete_queue(&queue).await.expect("removed");
    }
}

on_every_transport! {
    the_sums_of_a_scripted_mix_are_exact
    what_is_published_to_nobody_is_returned_and_never_confirmed
    what_is_cut_off_is_left_and_handled_by_the_next_process
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_the_connection_was_lost_is_left_and_comes_again() {
    let probe = Probe::default();
    let app = TestApp::builder().name("lost").handler::<book>().provide(probe.clone());
    let app = app.start().await.expect("boots");
    app.send(BookTicket { end: "hang".to_owned() }).await.expect("taken");
    probe.wait_for(1).await;
    app.drop_connection("cmd.lost.BookTicket");
    app.send(BookTicket { end: "well".to_owned() }).await.expect("taken");
    app.settle().await;
    let sums = app.ledger().sums();
    let of = |fate: Fate| {
        let found = sums.iter().filter(|sum| sum.fate == fate);
        found.map(|sum| (sum.reason.as_deref(), sum.count)).collect::<Vec<_>>()
    };
    // The one that hangs is cut off in its first attempt and spends its second one; the other one was
    // handled before its ack was lost, and is handled again.
    assert_eq!(of(Fate::Left), [(Some("connection_lost"), 1)], "{sums:?}");
    assert_eq!(of(Fate::Handled), [(None, 2)], "{sums:?}");
    assert_eq!(of(Fate::DeadLettered), [(Some("timeout"), 1)], "{sums:?}");
    assert_eq!(app.counts().left, 1);
}

/// The folder of [`a_process_that_is_killed_leaves_a_readable_ledger`], for its child.
const CHILD: &str = "MMATE_TEST_LEDGER_DIR";

/// What the test below starts and kills; without its variable there is nothing to do.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let probe = Probe::default();
    let builder = App::builder().name("killed").handler::<book>().provide(probe.clone());
    let builder = builder.config("ledger.dir", dir.to_str().expect("UTF-8"));
    let running = builder.config("ledger.full", true).start().await.expect("boots");
    for count in 1.. {
        let sent = running.publisher().send(BookTicket { end: "well".to_owned() }).await;
        println!("confirmed {}", sent.expect("taken").id);
        probe.wait_for(count).await;
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_readable_ledger() {
    let folder = Folder::new("ledger-killed");
    let mut child = Command::new(std::env::current_exe().expect("this test's program"))
        .args(["--exact", "ledger::the_process_that_is_killed", "--nocapture"])
        .env(CHILD, &folder.0)
        .env("MMATE_URL", "memory://")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut told = BTreeSet::new();
    for line in output.lines() {
        if let Some(id) = line.expect("text").strip_prefix("confirmed ") {
            told.insert(id.to_owned());
        }
        if told.len() == 500 {
            // SIGKILL, in the middle of whatever it does.
            child.kill().expect("killed");
            break;
        }
    }
    child.wait().expect("ended");
    let report = folder.report();
    assert_eq!(report.unreadable, 0, "{report}");
    let written = ids(&folder.0, "confirmed");
    let lost: Vec<_> = told.difference(&written).collect();
    assert!(lost.is_empty(), "the child was told, and the ledger was not: {lost:?}");
    assert!(told.len() == 500 && report.count(Fate::Handled) > 0, "{report}");
    assert_eq!(report.messages(Fate::Handled), Some(report.count(Fate::Handled)), "{report}");
}

/// The ids in all lines that hold a word.
fn ids(dir: &Path, fate: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("readable");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            if line["fate"] == fate {
                ids.insert(line["message_id"].as_str().expect("text").to_owned());
            }
        }
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn without_every_fate_the_sums_are_written_from_time_to_time_and_at_the_end() {
    let (folder, probe) = (Folder::new("ledger-sums"), Probe::default());
    let builder = Backend::Memory.broker().await.service("sums").await.handler::<book>();
    let builder = builder.provide(probe.clone()).config("ledger.dir", config_dir(&folder));
    let running = builder.start().await.expect("boots");
    assert_eq!(folder.report().count(Fate::Handled), 0);
    running.publisher().send(BookTicket { end: "well".to_owned() }).await.expect("taken");
    probe.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(5_001)).await;
    assert_eq!(folder.report().count(Fate::Handled), 1, "after five seconds");
    running.publisher().send(BookTicket { end: "refuse".to_owned() }).await.expect("taken");
    probe.wait_for(2).await;
    assert!(running.stop().await.drained);
    let report = folder.report();
    assert_eq!((report.files, report.count(Fate::Rejected), report.ends()), (1, 1, 2), "{report}");
    // Sums name no messages.
    assert_eq!(report.messages(Fate::Handled), None);
}

#[test]
fn files_of_several_processes_are_added_up_and_half_a_line_is_counted() {
    let folder = Folder::new("ledger-files");
    for instance in ["a", "b"] {
        let options = LedgerOptions::new("shop/eu", instance).dir(&folder.0).full(true);
        let ledger = Ledger::open(options, mmate::contract::Source::system()).expect("opened");
        let account = ledger.route("cmd.shop.Pay", "pay");
        account.record(Fate::Handled, Note::new("same", 1));
        account.record(Fate::Retried, Note::new("other", 1).because("unknown"));
        let given_up = Note::new("given up", 1).because("given_up");
        ledger.of_type("Unknown").record(Fate::Unknown, given_up);
    }
    let mut half = std::fs::OpenOptions::new();
    let path = folder.0.join("shop_eu.a.jsonl");
    let mut half = half.append(true).open(path).expect("a name without the slash");
    std::io::Write::write_all(&mut half, b"{\"time\":\"2026-").expect("written");
    let report = folder.report();
    assert_eq!((report.files, report.unreadable), (2, 1));
    assert_eq!((report.count(Fate::Handled), report.messages(Fate::Handled)), (2, Some(1)));
    assert_eq!((report.count(Fate::Unknown), report.ends()), (2, 2));
    let text = report.to_string();
    for line in [
        "cmd.shop.Pay pay  handled                2          1 messages",
        "publish -         unknown                2          1 messages  given_up",
        "2 files; 2 deliveries ended",
        "1 lines could not be read",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_kept_refuses_the_boot() {
    let file = Folder::new("ledger-file");
    std::fs::write(&file.0, "in the way").expect("written");
    let start = async |key: &str, value: &str| {
        let app = App::builder().name("ledger").publish_only().config(key, value);
        app.config("ledger.full", true).start().await.map(|_| ()).expect_err("refused").to_string()
    };
    let error = start("ledger.dir", file.0.to_str().expect("UTF-8")).await;
    assert!(error.contains("the ledger `") && error.contains("cannot be made"), "{error}");
    let error = start("ledger.every", "1s").await;
    assert!(error.contains("a full ledger needs a folder: set `ledger.dir`"), "{error}");
    std::fs::remove_file(&file.0).expect("removed");
}
