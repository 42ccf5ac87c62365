//! Stages that do not know whether they had their effect, and say so.

use std::fmt;
use std::time::Duration;

use mmate::prelude::*;
use mmate::store::WorkflowStatus;

use super::World;

/// What each attempt of the stage in the middle comes to, from the first on.
#[payload]
struct Transfer {
    attempts: Vec<String>,
}

/// An error that says more than the one that it holds, and shows the latter as its source.
#[derive(Debug, MessageError)]
#[class(transient)]
struct BankError(OutcomeUnknown);

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank hung up")
    }
}

impl std::error::Error for BankError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// One that is nothing but the other, whose sources it shows as its own.
#[derive(Debug, MessageError)]
enum SeeThrough {
    #[class(transient)]
    Bank { source: OutcomeUnknown },
}

impl fmt::Display for SeeThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Bank { source } = self;
        source.fmt(f)
    }
}

impl std::error::Error for SeeThrough {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let Self::Bank { source } = self;
        std::error::Error::source(source)
    }
}

/// Asks a bank that is not there.
#[message(query, service = "bank", reply = Balance)]
struct AskBalance {}

/// What it would say.
#[message(reply)]
struct Balance {}

impl Transfer {
    async fn attempt(&self, stage: &StageInfo, world: &World, bridge: &Bridge) -> Result {
        let lost = || OutcomeUnknown::new("connection reset");
        let number = usize::try_from(stage.attempt).unwrap_or(0);
        let what = self.attempts.get(number - 1).map_or("yes", String::as_str);
        world.note(what);
        match what {
            "no effect" => Err(HandlerError::msg("no connection")),
            "lost" => Err(lost().into()),
            "lost below" => Err(BankError(lost()).into()),
            "lost behind" => Err(SeeThrough::Bank { source: lost() }.into()),
            "lost refusal" => Err(OutcomeUnknown::new(Reject::new("NO", "perhaps")).into()),
            "no answer" => Ok(bridge.ask(AskBalance {}).timeout("1s").await.map(drop)?),
            "too slow" => std::future::pending().await,
            "panic" => std::panic::resume_unwind(Box::new("as a test wants it")),
            "no" => Err(Reject::new("NO", "never").into()),
            _ => Ok(()),
        }
    }
}

#[workflow(id = "transfer")]
impl Transfer {
    #[stage(compensate = undo)]
    async fn reserve(&mut self, world: State<World>) {
        world.note("reserve");
    }

    #[stage(compensate = undo, timeout = "5s", retry(attempts = 3, backoff = fixed("1m")))]
    async fn pay(&mut self, stage: StageInfo, world: State<World>, bridge: Bridge) -> Result {
        self.attempt(&stage, &world, &bridge).await
    }

    async fn undo(&mut self, stage: StageInfo, world: State<World>) {
        world.note(format!("undo {}", stage.stage));
    }
}

/// The same in a group.
#[payload]
struct Split {
    attempts: Vec<String>,
}

#[workflow(id = "split")]
impl Split {
    #[stage(parallel = halves, compensate = undo, retry(attempts = 3, backoff = fixed("1m")))]
    async fn left(&self, stage: StageInfo, world: State<World>, bridge: Bridge) -> Result<u32> {
        let transfer = Transfer { attempts: self.attempts.clone() };
        transfer.attempt(&stage, &world, &bridge).await.map(|()| 1)
    }

    #[stage(parallel = halves)]
    async fn right(&self) -> Result<u32> {
        Ok(2)
    }

    #[stage(join = halves)]
    async fn sum(&mut self, _left: u32, _right: u32) {}

    async fn undo(&mut self, stage: StageInfo, world: State<World>) {
        world.note(format!("undo {}", stage.stage));
    }
}

async fn app(world: &World) -> TestApp {
    let app = TestApp::builder().workflow::<Transfer>().workflow::<Split>();
    app.provide(world.clone()).start().await.unwrap()
}

fn words(attempts: &[&str]) -> Vec<String> {
    attempts.iter().map(|&attempt| attempt.to_owned()).collect()
}

/// Runs a transfer whose attempts come to this; gives how it ended, its error, and what was undone.
async fn transfer(attempts: &[&str]) -> (WorkflowStatus, String, Vec<String>) {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Transfer { attempts: words(attempts) }).await.unwrap();
    let ended = app.workflows().wait(run.id, "1h").await.unwrap();
    let error = ended.failure.map(|failure| failure.error).unwrap_or_default();
    let seen = world.seen();
    assert_eq!(seen[..=attempts.len()].split_first().unwrap().1, words(attempts));
    (ended.status, error, seen[1 + attempts.len()..].to_vec())
}

const BOTH: [&str; 2] = ["undo pay", "undo reserve"];

#[tokio::test(start_paused = true)]
async fn a_stage_that_says_it_does_not_know_is_undone() {
    for lost in ["lost", "lost below", "lost behind", "no answer", "too slow", "panic"] {
        let (status, error, undone) = transfer(&[lost, lost, lost]).await;
        assert_eq!(
            (status, undone),
            (WorkflowStatus::Compensated, words(&BOTH)),
            "{lost}: {error}"
        );
    }
    let (_, error, _) = transfer(&["lost", "lost", "lost"]).await;
    assert_eq!(error, "connection reset (whether it had its effect is not known)");
    // The error inside says that there is no other attempt.
    let (_, error, undone) = transfer(&["lost refusal"]).await;
    assert_eq!((error.starts_with("NO: perhaps"), undone), (true, words(&BOTH)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_attempt_that_does_not_know_counts_whatever_the_others_say() {
    for lost in ["lost", "lost below", "lost behind", "no answer", "too slow", "panic"] {
        for attempts in [
            &[lost, "no"][..],
            &["no effect", lost, "no effect"],
            &[lost, "no effect", "no effect"],
            &["no effect", lost, "no"],
        ] {
            let (status, _, undone) = transfer(attempts).await;
            assert_eq!(status, WorkflowStatus::Compensated, "{attempts:?}");
            assert_eq!(undone, BOTH, "{attempts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_attempts_all_say_that_they_had_no_effect_is_not_undone() {
    for attempts in [&["no"][..], &["no effect", "no"], &["no effect", "no effect", "no effect"]] {
        let (status, _, undone) = transfer(attempts).await;
        assert_eq!(status, WorkflowStatus::Compensated, "{attempts:?}");
        assert_eq!(undone, ["undo reserve"], "{attempts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_succeeds_ends_the_doubt() {
    let (status, _, undone) = transfer(&["lost", "yes"]).await;
    assert_eq!((status, undone), (WorkflowStatus::Completed, words(&[])));
}

#[tokio::test(start_paused = true)]
async fn a_stage_in_doubt_is_undone_when_the_instance_is_cancelled_between_two_attempts() {
    for (attempt, undone) in [("lost", &BOTH[..]), ("no effect", &BOTH[1..])] {
        let world = World::default();
        let app = app(&world).await;
        let run = app.workflows().start(Transfer { attempts: words(&[attempt]) }).await.unwrap();
        app.advance(Duration::from_secs(10)).await;
        app.workflows().cancel(run.id).await.unwrap();
        let ended = app.workflows().wait(run.id, "10s").await.unwrap();
        assert_eq!(ended.status, WorkflowStatus::Cancelled);
        assert_eq!(world.seen()[2..], *undone, "{attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_does_not_know_is_undone() {
    for (attempts, undone) in [
        (&["lost", "no"][..], &["undo left"][..]),
        (&["no effect", "lost", "no effect"], &["undo left"]),
        (&["no effect", "no"], &[]),
    ] {
        let world = World::default();
        let app = app(&world).await;
        let run = app.workflows().start(Split { attempts: words(attempts) }).await.unwrap();
        app.workflows().wait(run.id, "1h").await.unwrap();
        assert_eq!(world.seen()[attempts.len()..], *undone, "{attempts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_what_was_cut_off_name_the_stage() {
    let (_, error, _) = transfer(&["too slow", "too slow", "too slow"]).await;
    assert_eq!(error, "stage `pay` did not end within 5s and was cancelled");
    let (_, error, _) = transfer(&["panic", "panic", "panic"]).await;
    assert_eq!(error, "stage `pay` panicked: as a test wants it");
}
