//! A stage, or what undoes one, with which its process dies each time.

use mmate::contract::Source;
use mmate::contract::address::dead_letter_queue;
use mmate::contract::headers::names;
use mmate::runtime::Running;
use mmate::store::{HistoryEvent, Instance, WorkflowStatus};
use mmate::workflow::Shape;
use mmate_tests::postgres::with_empty_database;
use mmate_tests::{eventually, rabbitmq, take, unique, wait_for_ready};

use super::generated::{Act, Plan, entry_with};
use super::place::{Carrying, Keeping, Line, Place, alone};
use super::scene::{Life, Scene};
use super::story::{Planned, Story as _};
use crate::stores::Folder;

/// How often a message is delivered again, as [`CONFIG`] says.
const REDELIVERIES_MAX: usize = 2;

/// Quorum queues count deliveries. What is lost is looked after by a process that looks often, of which there is none at
/// first.
const CONFIG: &[(&str, &str)] = &[
    ("consume.redeliveries_max", "2"),
    ("workflows.lease", "900ms"),
    ("workflows.lost_after", "2s"),
    ("workflows.check_every", "1h"),
    ("queues.type", "quorum"),
];
const LOOKING: &[(&str, &str)] = &[
    ("consume.redeliveries_max", "2"),
    ("workflows.lease", "900ms"),
    ("workflows.lost_after", "2s"),
    ("workflows.check_every", "100ms"),
    ("queues.type", "quorum"),
];

/// Checkpoints of a life: the stages before it pass five each, and a stage has run at its second one.
const RAN: usize = 1;
const EACH: usize = 5;

fn scene(keeping: Keeping, acts: &[Act]) -> Scene {
    let stage = |act: &Act| Plan {
        act: *act,
        undo: true,
        undo_fails_once: false,
        goes_on: false,
        when: None,
        shape: Shape::Single,
    };
    let plan: Vec<Plan> = acts.iter().map(stage).collect();
    let (name, carrying) = (unique("deadly"), Carrying::RabbitMq(Line::new()));
    let entry = entry_with(&plan, format!("{name}."));
    let place = Place { name, keeping, carrying, source: Source::system(), config: CONFIG };
    Scene { place, story: Planned::new(entry, &plan), id: Source::system().id() }
}

/// The queues of a scene.
const QUEUES: [&str; 4] =
    ["generated.stage0", "generated.stage1", "generated.stage2", "compensation.generated"];

/// The process dies at this checkpoint, and then each time as soon as the same has run again, until its message is given up.
fn die(scene: &Scene, first: usize, queue: &str) {
    for (life, kill) in std::iter::once(first).chain([RAN; REDELIVERIES_MAX]).enumerate() {
        assert_eq!(alone(scene.live(life, Some(kill))), Life::Killed, "in life {life}");
        if let Carrying::RabbitMq(line) = &scene.place.carrying {
            line.cut();
        }
        alone(leave_only(scene, queue));
        alone(scene.lapse());
    }
}

/// The broker has everything back, and the message of the stage before is gone: where its ack went with the process, it
/// would find the instance one step further and announce that step again, as a message of which nobody has died yet.
async fn leave_only(scene: &Scene, deadly: &str) {
    let broker = rabbitmq().await;
    for queue in QUEUES {
        let name = format!("{}.{queue}", scene.place.name);
        eventually(&format!("nobody consumes `{name}`"), || async {
            let stats = broker.queue_stats(&name).await.unwrap();
            stats.is_none_or(|stats| stats.consumers == 0)
        })
        .await;
        let others = broker.queue_stats(&name).await.unwrap().filter(|_| queue != deadly);
        for _ in 0..others.map_or(0, |stats| stats.ready) {
            take(&broker, &name).await;
        }
    }
    broker.close().await;
}

async fn start(scene: &Scene) -> Running {
    scene.story.equip(scene.place.process().await).start().await.unwrap()
}

async fn instance(scene: &Scene) -> Instance {
    let store = scene.place.store().unwrap();
    let instance = store.get(scene.id).await.unwrap().unwrap();
    store.close().await;
    instance
}

/// The message is with the dead letters of its queue, and the instance is where it was. Then somebody looks after it.
async fn found(scene: &mut Scene, queue: &str) -> Running {
    let (dead, broker) =
        (dead_letter_queue(&format!("{}.{queue}", scene.place.name)), rabbitmq().await);
    let running = start(scene).await;
    wait_for_ready(&broker, &dead, 1).await;
    assert!(!instance(scene).await.status.is_end());
    running.stop().await;
    let letter = take(&broker, &dead).await;
    let why = letter.properties.headers.get(names::DEATH_REASON).and_then(|why| why.as_str());
    assert_eq!(why, Some("redelivery_limit"));
    scene.place.config = LOOKING;
    start(scene).await
}

async fn becomes(scene: &Scene, status: WorkflowStatus) {
    eventually(status.as_str(), || async { instance(scene).await.status == status }).await;
}

/// What the history says of a stage.
async fn of_stage(scene: &Scene, stage: &str) -> Vec<HistoryEvent> {
    let store = scene.place.store().unwrap();
    let history = store.history(scene.id).await.unwrap();
    store.close().await;
    history.iter().filter(|line| line.stage == stage).map(|line| line.event).collect()
}

fn a_deadly_stage_is_undone(keeping: Keeping) {
    let mut scene = scene(keeping, &[Act::Do, Act::Do, Act::Do]);
    let queue = "generated.stage1";
    die(&scene, EACH + RAN, queue);
    alone(async {
        let running = found(&mut scene, queue).await;
        becomes(&scene, WorkflowStatus::Compensated).await;
        running.stop().await;
        assert_eq!(of_stage(&scene, "s1").await.last(), Some(&HistoryEvent::Undone));
        assert_eq!(scene.story.world.kept(scene.id), [].into());
        assert_eq!(scene.story.world.wrong(), [""; 0]);
    });
}

fn a_deadly_undoing_is_stuck(keeping: Keeping) {
    let mut scene = scene(keeping, &[Act::Do, Act::Do, Act::Refuse]);
    // What fails is claimed, has run, is saved and sent.
    let queue = "compensation.generated";
    die(&scene, 2 * EACH + 4 + RAN, queue);
    alone(async {
        let running = found(&mut scene, queue).await;
        becomes(&scene, WorkflowStatus::Stuck).await;
        let events = of_stage(&scene, "s1").await;
        assert_eq!(
            events,
            [HistoryEvent::Completed, HistoryEvent::Interrupted, HistoryEvent::Stuck],
        );
        let kept = scene.story.world.kept(scene.id);
        assert!(kept.contains("s0"), "nobody goes on beyond what cannot be undone: {kept:?}");
        // Somebody has mended it.
        running.workflows().unwrap().resume(scene.id).await.unwrap();
        becomes(&scene, WorkflowStatus::Compensated).await;
        running.stop().await;
        let events = of_stage(&scene, "s1").await;
        assert_eq!(events[3..], [HistoryEvent::Resumed, HistoryEvent::Undone]);
        assert_eq!(scene.story.world.kept(scene.id), [].into());
    });
}

#[test]
fn a_stage_that_kills_its_process_each_time_is_found_and_undone_on_sqlite() {
    let folder = Folder::new();
    a_deadly_stage_is_undone(Keeping::Url(folder.url()));
}

#[test]
fn what_kills_its_process_each_time_as_it_undoes_is_found_and_stuck_on_sqlite() {
    let folder = Folder::new();
    a_deadly_undoing_is_stuck(Keeping::Url(folder.url()));
}

#[test]
fn what_kills_its_process_each_time_is_not_lost_on_postgres() {
    for check in [a_deadly_stage_is_undone, a_deadly_undoing_is_stuck] {
        alone(with_empty_database(|url| async move {
            let checked = tokio::task::spawn_blocking(move || check(Keeping::Url(url)));
            checked.await.unwrap();
        }));
    }
}
