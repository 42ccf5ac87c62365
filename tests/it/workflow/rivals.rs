//! Two processes of the operating system work on the same instances under load, while messages are doubled, connections are
//! cut, and the processes are killed in turn.

mod ledger;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmate::contract::address::Address;
use mmate::store::{InstanceFilter, WorkflowStatus, WorkflowStore};
use mmate::transport::{Intake, Outgoing, Settlement, SubscribeOptions, Transport};
use mmate::workflow::Shape;
use mmate_tests::postgres::with_empty_database;
use mmate_tests::{rabbitmq, unique};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use xtask::servers::Guard;

use self::ledger::Ledger;
use self::process::{Rival, Task};
use super::generated::{Act, Plan, model};
use super::place::Line;
use super::scene::{check_history, live};
use super::schedules::say;
use super::world::World;
use crate::stores::Folder;

/// How long a stage takes, so that another call of it would meet it.
const WORK: Duration = Duration::from_millis(3);
/// How often a connection is cut, one process's and the other's in turn.
const CUT_EVERY: Duration = Duration::from_millis(1_500);
/// How long whoever doubles messages rests between two of one queue.
const COPY_EVERY: Duration = Duration::from_millis(15);
/// How long all instances may take to end when no more are started.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &[(&str, &str)] = &[
    ("workflows.lease", "3s"),
    ("workflows.lost_after", "4s"),
    ("workflows.check_every", "500ms"),
    ("queues.type", "classic"),
];

/// The stages of all instances. What each does is in the instance's state.
fn shape() -> Vec<Plan> {
    let stage = |shape, goes_on| Plan {
        // With more than one attempt.
        act: Act::FailOnce,
        undo: true,
        undo_fails_once: false,
        goes_on,
        when: None,
        shape,
    };
    let (branch, join) = (Shape::Branch("both"), Shape::Join("both"));
    vec![
        stage(Shape::Single, false),
        stage(branch, false),
        stage(branch, true),
        stage(join, false),
        stage(Shape::Single, true),
        stage(Shape::Single, false),
    ]
}

/// What the stages of the instance with this number do: most succeed, and every third fails somewhere.
fn plan_of(number: u64) -> Vec<Plan> {
    let mut plan = shape();
    let count = plan.len() as u64;
    for (stage, at) in plan.iter_mut().zip(0..) {
        stage.act = if (number + at).is_multiple_of(5) { Act::FailOnce } else { Act::Do };
        if number.is_multiple_of(3)
            && number / 3 % count == at
            && stage.shape != Shape::Join("both")
        {
            stage.act = if number.is_multiple_of(2) { Act::Refuse } else { Act::Panic };
        }
    }
    plan
}

fn id_of(number: u64) -> Uuid {
    Uuid::from_u128(0x0001_0203_0405_4607_8809_0000_0000_0000 | u128::from(number))
}

/// Two processes and what they share.
struct Contest {
    tasks: [Task; 2],
    lines: [Line; 2],
    ledger: Ledger,
    guard: Arc<Guard>,
    folder: Folder,
    world: World,
    store: Arc<dyn WorkflowStore>,
    copies: Arc<AtomicU64>,
}

/// How long a contest takes, and how hard it is.
struct Terms {
    time: Duration,
    /// How often a process is killed, one and the other in turn.
    kill_every: Duration,
    in_flight: usize,
}

impl Contest {
    async fn new(url: &str) -> Self {
        let (name, world, lines) = (unique("rivals"), World::default(), [Line::new(), Line::new()]);
        let ledger = Ledger::open(&world).await;
        let task = |line: &Line| Task {
            name: name.clone(),
            store: url.to_owned(),
            amqp: line.url(),
            ledger: ledger.address,
        };
        let tasks = [task(&lines[0]), task(&lines[1])];
        Self {
            store: tasks[0].place().store().unwrap(),
            tasks,
            lines,
            ledger,
            guard: Guard::new(None).unwrap(),
            folder: Folder::new(),
            world,
            copies: Arc::default(),
        }
    }

    async fn process(&mut self, which: usize) -> Rival {
        let task = &self.tasks[which];
        Rival::start(&self.guard, self.folder.path(), task, &mut self.ledger).await
    }

    /// Runs instances for a while, so many at a time, and checks each when all have ended.
    async fn run(mut self, terms: Terms, on: &str) {
        let mut rivals = vec![self.process(0).await, self.process(1).await];
        let mut troubles = JoinSet::new();
        self.provoke(&mut troubles).await;
        let (started, kills) = self.compete(&terms, &mut rivals).await;
        let over = Instant::now() + PATIENCE;
        while let left @ 1.. = self.live().await {
            assert!(Instant::now() < over, "{left} of {started} instances have not ended on {on}");
            sleep(Duration::from_millis(50)).await;
        }
        troubles.shutdown().await;
        let copies = self.copies.load(Ordering::Relaxed);
        say(&format!(
            "{started} instances in {:?} on {on}, {copies} messages doubled, {kills} processes killed",
            terms.time
        ));
        self.judge(started).await;
        assert!(copies > 50, "{copies}");
        for rival in rivals {
            rival.ended();
        }
        self.store.close().await;
    }

    /// Doubles messages, and cuts connections.
    async fn provoke(&self, troubles: &mut JoinSet<()>) {
        let transport = rabbitmq().await;
        for step in 0..5 {
            let queue = format!("{}.generated.stage{step}", self.tasks[0].name);
            troubles.spawn(double(Arc::clone(&transport), queue, Arc::clone(&self.copies)));
        }
        let queue = format!("{}.compensation.generated", self.tasks[0].name);
        troubles.spawn(double(transport, queue, Arc::clone(&self.copies)));
        let lines = self.lines.clone();
        troubles.spawn(async move {
            for line in lines.iter().cycle() {
                sleep(CUT_EVERY).await;
                line.cut();
            }
        });
    }

    /// Starts instances, and kills the processes. Gives how many of both there were.
    async fn compete(&mut self, terms: &Terms, rivals: &mut Vec<Rival>) -> (u64, usize) {
        let until = Instant::now() + terms.time;
        let (mut number, mut kills) = (0, 0);
        let mut next_kill = Instant::now() + terms.kill_every;
        // Each process is killed, and more are started than run at a time, also on a machine on which everything takes long.
        while Instant::now() < until || kills < rivals.len() || number <= terms.in_flight as u64 {
            for _ in self.live().await..terms.in_flight {
                if Instant::now() >= next_kill {
                    break;
                }
                rivals[usize::try_from(number % 2).unwrap()].order(number).await;
                number += 1;
            }
            if Instant::now() >= next_kill {
                next_kill += terms.kill_every;
                self.kill(kills % 2, number, rivals).await;
                (number, kills) = (number + 1, kills + 1);
            }
            sleep(Duration::from_millis(100)).await;
        }
        (number, kills)
    }

    /// Kills one of the processes, which has just been told to start an instance. Nobody knows whether it has, so the other one
    /// is told the same.
    async fn kill(&mut self, which: usize, number: u64, rivals: &mut Vec<Rival>) {
        let mut killed = rivals.remove(which);
        killed.tell(number).await;
        killed.kill();
        rivals[0].order(number).await;
        rivals.insert(which, self.process(which).await);
    }

    async fn live(&self) -> usize {
        let mut filter = live();
        filter.limit = Some(InstanceFilter::LIMIT_MAX);
        self.store.list(&filter).await.unwrap().len()
    }

    async fn judge(&self, started: u64) {
        assert_eq!(self.world.wrong(), [""; 0]);
        for number in 0..started {
            let (id, plan) = (id_of(number), plan_of(number));
            let instance = self.store.get(id).await.unwrap().unwrap();
            let history = self.store.history(id).await.unwrap();
            let model = model(&plan);
            let told = || format!("{plan:#?}\n{:?}\n{history:#?}", instance.status);
            assert_eq!(self.world.kept(id), model.kept(), "{}", told());
            let completed = instance.status == WorkflowStatus::Completed;
            assert_eq!(completed, model.completed, "{}", told());
            assert_eq!(instance.owner, None, "{}", told());
            if let Err(why) = check_history(&history, 1) {
                panic!("{why}: {}", told());
            }
        }
    }
}

/// Takes messages of a queue now and then, and gives two for each.
async fn double(transport: Arc<dyn Transport>, queue: String, copies: Arc<AtomicU64>) {
    let mut subscription = transport.subscribe(SubscribeOptions::new(&queue, 1)).await.unwrap();
    while let Intake::Delivery(delivery) = subscription.next().await {
        for _ in 0..2 {
            let (properties, body) = (delivery.properties.clone(), delivery.body.clone());
            let copy = Outgoing::new(Address::queue(&queue), properties, body);
            transport.publish(copy).await.unwrap();
        }
        subscription.settle(delivery.tag, Settlement::Ack);
        subscription.flush().await.unwrap();
        copies.fetch_add(1, Ordering::Relaxed);
        sleep(COPY_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_postgres_never_do_one_thing_twice_at_a_time_and_lose_nothing() {
    with_empty_database(|url| async move {
        let (time, kill_every) = (Duration::from_secs(60), Duration::from_secs(10));
        let terms = Terms { time, kill_every, in_flight: 300 };
        Contest::new(&url).await.run(terms, "rabbitmq with postgres").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_sqlite_never_do_one_thing_twice_at_a_time_and_lose_nothing() {
    let folder = Folder::new();
    let (time, kill_every) = (Duration::from_secs(10), Duration::from_secs(3));
    let terms = Terms { time, kill_every, in_flight: 100 };
    Contest::new(&folder.url()).await.run(terms, "rabbitmq with sqlite").await;
}
