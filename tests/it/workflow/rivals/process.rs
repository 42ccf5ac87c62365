//! A process of a contest: this test program once more, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use mmate::contract::Source;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use xtask::servers::Guard;
use xtask::servers::process::guarded;

use super::super::generated::{entry_with, state};
use super::super::place::{Carrying, Keeping, Line, Place};
use super::super::world::World;
use super::ledger::{Ledger, Orders, Way, next_line};
use super::{CONFIG, PATIENCE, WORK, id_of, plan_of, shape};
use crate::program::Program;
use crate::stores::Folder;

/// What makes this program such a process.
const RIVAL: &str = "MMATE_TEST_RIVAL";

/// How often a process is started until it boots.
const BOOTS_MAX: usize = 5;

/// What it is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) store: String,
    pub(super) amqp: String,
    pub(super) ledger: SocketAddr,
}

impl Task {
    /// Where a process of this contest runs.
    pub(super) fn place(&self) -> Place {
        Place {
            name: self.name.clone(),
            keeping: Keeping::Url(self.store.clone()),
            carrying: Carrying::Url(self.amqp.clone()),
            source: Source::system(),
            config: CONFIG,
        }
    }

    /// Works, and starts the instances that it is told to, until nobody gives orders any more.
    async fn work(self) {
        let stream = tokio::net::TcpStream::connect(self.ledger).await.unwrap();
        let mut orders = Orders::new(stream);
        answer(&mut orders, "orders").await;
        let way = Way::to(self.ledger);
        let world = World::far(Arc::new(way), WORK);
        let process = self.place().process().await;
        let entry = entry_with(&shape(), format!("{}.", self.name));
        let running = process.workflow_entry(entry).provide(world).start().await.unwrap();
        let workflows = running.workflows().unwrap();
        answer(&mut orders, "ready").await;
        while let Some(line) = next_line(&mut orders).await {
            let number: u64 = line.parse().unwrap();
            workflows.start(state(&plan_of(number))).id(id_of(number)).await.unwrap();
            answer(&mut orders, &line).await;
        }
        running.stop().await;
    }
}

/// Says something, to somebody who may be gone.
async fn answer(orders: &mut Orders, line: &str) {
    let told = async {
        orders.write_all(format!("{line}\n").as_bytes()).await?;
        orders.flush().await
    };
    let _ = told.await;
}

/// A process of the contest as seen by the one that judges.
pub(super) struct Rival {
    program: Program,
    orders: Orders,
}

impl Rival {
    /// Starts one, and waits until it works. Whose connection is cut while it boots ends, and is started again.
    pub(super) async fn start(
        guard: &Arc<Guard>,
        folder: &Path,
        task: &Task,
        ledger: &mut Ledger,
    ) -> Self {
        let mut logs = Vec::new();
        for _ in 0..BOOTS_MAX {
            let mut command = guarded(std::env::current_exe().unwrap());
            command.args(["--exact", NAME, "--nocapture"]);
            command.env(RIVAL, serde_json::to_string(task).unwrap());
            let program = Program::start(guard, &mut command, folder);
            let orders = timeout(PATIENCE, ledger.orders.recv()).await;
            let mut orders = orders.unwrap_or_else(|_| panic!("{}", program.log())).unwrap();
            let first = timeout(PATIENCE, next_line(&mut orders)).await;
            match first.unwrap_or_else(|_| panic!("it does not boot: {}", program.log())) {
                Some(ready) => {
                    assert_eq!(ready, "ready");
                    return Self { program, orders };
                }
                None => logs.push(program.ended().1),
            }
        }
        panic!("it does not boot: {}", logs.join("\n"))
    }

    async fn hear(&mut self, line: &str) {
        let heard = timeout(PATIENCE, next_line(&mut self.orders)).await;
        let heard = heard.unwrap_or_else(|_| panic!("no `{line}`: {}", self.program.log()));
        assert_eq!(heard.as_deref(), Some(line), "{}", self.program.log());
    }

    /// Tells it to start an instance, and does not wait until it has.
    pub(super) async fn tell(&mut self, number: u64) {
        answer(&mut self.orders, &number.to_string()).await;
    }

    /// Has it start an instance.
    pub(super) async fn order(&mut self, number: u64) {
        self.tell(number).await;
        self.hear(&number.to_string()).await;
    }

    /// Kills it, in the middle of whatever it does.
    pub(super) fn kill(mut self) {
        self.program.child.kill().unwrap();
    }

    /// Waits until it has ended by itself, since nobody gives orders any more.
    pub(super) fn ended(self) {
        drop(self.orders);
        let (is_good, log) = self.program.ended();
        assert!(is_good, "{log}");
    }
}

const NAME: &str =
    "workflow::rivals::process::a_process_of_a_contest_ends_with_the_one_that_judges";

/// This is also what each of the processes is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_a_contest_ends_with_the_one_that_judges() {
    if let Ok(task) = std::env::var(RIVAL) {
        let task: Task = serde_json::from_str(&task).unwrap();
        return task.work().await;
    }
    let (folder, line, world) = (Folder::new(), Line::new(), World::default());
    let guard = Guard::new(None).unwrap();
    let mut ledger = Ledger::open(&world).await;
    let name = mmate_tests::unique("rivals");
    let task = Task { name, store: folder.url(), amqp: line.url(), ledger: ledger.address };
    let mut rival = Rival::start(&guard, &std::env::temp_dir(), &task, &mut ledger).await;
    rival.order(1).await;
    drop(ledger);
    rival.ended();
}
