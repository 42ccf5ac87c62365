//! Workflows as the attribute writes them down: groups, conditions, repetition, dropped changes, compensations that several
//! stages share.

use mmate::prelude::*;
use mmate::store::WorkflowStatus;

#[payload]
#[derive(PartialEq, Eq, Default)]
struct Parcel {
    weight: u32,
    abroad: bool,
    /// Which stage is to fail.
    fails: String,
    failures: u32,
    pieces: u32,
    notes: Vec<String>,
    last: String,
}

#[payload]
struct Duty {
    cents: u32,
}

#[workflow]
impl Parcel {
    #[stage(parallel = checks, compensate = undo)]
    async fn weigh(&self) -> Result<u32> {
        Ok(self.weight)
    }

    #[stage(parallel = checks, when = is_abroad)]
    async fn customs(&self, key: StageKey) -> std::result::Result<Duty, std::io::Error> {
        assert!(key.as_str().ends_with(".customs"), "{key}");
        Ok(Duty { cents: 7 })
    }

    #[stage(parallel = checks, continue_on_failure, retry(attempts = 1))]
    async fn insure(&self) -> Result<String> {
        if self.fails == "insure" {
            return Err(Reject::new("NO", "not insured").into());
        }
        Ok("insured".to_owned())
    }

    #[stage(join = checks, compensate = undo)]
    async fn judge(
        &mut self,
        weight: u32,
        duty: Option<Duty>,
        insured: Option<String>,
        info: StageInfo,
    ) {
        let duty = duty.map(|duty| duty.cents);
        self.notes.push(format!("{}: {weight} {duty:?} {insured:?}", info.stage));
    }

    #[stage(repeat = has_more, retry(attempts = 2, backoff = fixed("1s")))]
    async fn pack(&mut self, info: StageInfo) -> Result {
        self.notes.push("packed".to_owned());
        self.pieces -= 1;
        if info.attempt == 1 {
            return Err(std::io::Error::other("a tear").into());
        }
        Ok(())
    }

    #[stage(when = is_abroad)]
    async fn send(&mut self) -> Result {
        if self.fails == "send" {
            return Err(Reject::new("NO", "no plane").into());
        }
        self.last = "sent".to_owned();
        Ok(())
    }

    async fn undo(&mut self, info: StageInfo) -> Result {
        self.notes.push(format!("-{}", info.stage));
        Ok(())
    }

    fn is_abroad(&self) -> bool {
        self.abroad
    }

    fn has_more(&self) -> bool {
        self.pieces > 0
    }
}

async fn end_of(parcel: Parcel) -> (WorkflowStatus, Parcel) {
    let app = TestApp::builder().workflow::<Parcel>().start().await.unwrap();
    let workflows = app.workflows();
    let run = workflows.start(parcel).await.unwrap();
    let ended = workflows.wait(run.id, "10m").await.unwrap();
    (ended.status, ended.state)
}

#[tokio::test(start_paused = true)]
async fn a_join_takes_the_values_of_its_branches_in_the_order_written() {
    let parcel = Parcel { weight: 5, abroad: true, pieces: 1, ..Parcel::default() };
    let (status, end) = end_of(parcel).await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(end.notes[0], r#"judge: 5 Some(7) Some("insured")"#);
    assert_eq!(end.last, "sent");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_left_out_or_has_failed_without_harm_gives_nothing() {
    let parcel = Parcel { weight: 5, pieces: 1, fails: "insure".to_owned(), ..Parcel::default() };
    let (status, end) = end_of(parcel).await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(end.notes[0], "judge: 5 None None");
    assert_eq!(end.last, "", "and so does a stage of its own");
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_repeated_and_what_its_failed_attempts_change_is_dropped() {
    let parcel = Parcel { pieces: 3, ..Parcel::default() };
    let (status, end) = end_of(parcel).await;
    assert_eq!((status, end.pieces), (WorkflowStatus::Completed, 0));
    assert_eq!(end.notes[1..], ["packed", "packed", "packed"]);
}

#[tokio::test(start_paused = true)]
async fn one_method_may_undo_several_stages() {
    let parcel = Parcel { abroad: true, pieces: 1, fails: "send".to_owned(), ..Parcel::default() };
    let (status, end) = end_of(parcel).await;
    assert_eq!(status, WorkflowStatus::Compensated);
    assert_eq!(end.notes[1..], ["packed", "-judge", "-weigh"]);
}
