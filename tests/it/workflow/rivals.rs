//! Two processes work on the same instances under load, while messages are doubled and connections are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmate::contract::Source;
use mmate::contract::address::Address;
use mmate::runtime::Running;
use mmate::store::{InstanceFilter, WorkflowStatus, WorkflowStore};
use mmate::transport::{Intake, Outgoing, Settlement, SubscribeOptions, Transport};
use mmate::workflow::{Shape, WorkflowEntry};
use mmate_tests::postgres::with_empty_database;
use mmate_tests::{rabbitmq, unique};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::generated::{Act, Plan, entry_with, model, state};
use super::scene::{Carrying, Keeping, Line, Place, check_history};
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
    entry: &'static WorkflowEntry,
    world: World,
    places: [Place; 2],
    store: Arc<dyn WorkflowStore>,
    copies: Arc<AtomicU64>,
}

impl Contest {
    fn new(url: &str) -> Self {
        let name = unique("rivals");
        let place = || Place {
            name: name.clone(),
            keeping: Keeping::Url(url.to_owned()),
            carrying: Carrying::RabbitMq(Line::new()),
            source: Source::system(),
            config: CONFIG,
        };
        let places = [place(), place()];
        Self {
            entry: entry_with(&shape(), format!("{name}.")),
            world: World::slow(WORK),
            store: places[0].store().unwrap(),
            places,
            copies: Arc::default(),
        }
    }

    /// Runs instances for a while, so many at a time, and checks each when all have ended.
    async fn run(self, time: Duration, in_flight: usize, on: &str) {
        let until = Instant::now() + time;
        let mut processes = Vec::new();
        for place in &self.places {
            processes.push(place.process(self.entry, &self.world).await.start().await.unwrap());
        }
        let mut troubles = JoinSet::new();
        self.provoke(&mut troubles).await;
        let started = self.start_until(until, in_flight, &processes).await;
        let over = Instant::now() + PATIENCE;
        while let left @ 1.. = self.live().await {
            assert!(Instant::now() < over, "{left} of {started} instances have not ended on {on}");
            sleep(Duration::from_millis(50)).await;
        }
        troubles.shutdown().await;
        let copies = self.copies.load(Ordering::Relaxed);
        println!("{started} instances in {time:?} on {on}, {copies} messages doubled");
        self.judge(started).await;
        assert!(started > in_flight as u64 && copies > 50, "{started}, {copies}");
        for process in processes {
            process.stop().await;
        }
        self.store.close().await;
    }

    /// Doubles messages, and cuts connections.
    async fn provoke(&self, troubles: &mut JoinSet<()>) {
        let transport = rabbitmq().await;
        for step in 0..5 {
            let queue = format!("{}.generated.stage{step}", self.places[0].name);
            troubles.spawn(double(Arc::clone(&transport), queue, Arc::clone(&self.copies)));
        }
        let queue = format!("{}.compensation.generated", self.places[0].name);
        troubles.spawn(double(transport, queue, Arc::clone(&self.copies)));
        let places = self.places.clone();
        troubles.spawn(async move {
            for place in places.iter().cycle() {
                sleep(CUT_EVERY).await;
                if let Carrying::RabbitMq(line) = &place.carrying {
                    line.cut();
                }
            }
        });
    }

    async fn start_until(&self, until: Instant, in_flight: usize, processes: &[Running]) -> u64 {
        let mut number = 0;
        while Instant::now() < until {
            for _ in self.live().await..in_flight {
                let process = &processes[usize::try_from(number % 2).unwrap()];
                let workflows = process.workflows().unwrap();
                workflows.start(state(&plan_of(number))).id(id_of(number)).await.unwrap();
                number += 1;
            }
            sleep_until((Instant::now() + Duration::from_millis(100)).min(until)).await;
        }
        number
    }

    async fn live(&self) -> usize {
        let mut filter = InstanceFilter::default();
        filter.statuses =
            WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end()).collect();
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
            if let Err(why) = check_history(&history) {
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
        Contest::new(&url).run(Duration::from_secs(60), 300, "rabbitmq with postgres").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_sqlite_never_do_one_thing_twice_at_a_time_and_lose_nothing() {
    let folder = Folder::new();
    Contest::new(&folder.url()).run(Duration::from_secs(10), 100, "rabbitmq with sqlite").await;
}
