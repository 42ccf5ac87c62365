//! Programs that change while instances run: each ends on the version with which it began.

use mmate::runtime::AppBuilder;
use mmate::store::WorkflowStatus;
use mmate::workflow::{InstanceId, Shape, WorkflowEntry};
use mmate::{App, Error};
use uuid::Uuid;

use super::crashes::scene;
use super::generated::{Act, Generated, Plan, described, model, state};
use super::scene::{Life, Scene};
use super::story::Story as _;
use super::world::World;

fn plan(stages: usize) -> Vec<Plan> {
    let stage = Plan {
        act: Act::Do,
        undo: true,
        undo_fails_once: false,
        goes_on: false,
        when: None,
        shape: Shape::Single,
    };
    vec![stage; stages]
}

fn version(version: u32, stages: usize) -> &'static WorkflowEntry {
    Box::leak(Box::new(described(&plan(stages)).version(version)))
}

/// An instance of version 1, with three stages, whose process was killed.
async fn begun() -> Scene {
    let scene = scene(version(1, 3), &plan(3), false);
    assert_eq!(scene.live(0, Some(6)).await, Life::Killed);
    scene
}

async fn refused(scene: &Scene, entry: &'static WorkflowEntry) -> String {
    let process = scene.place.process().await.workflow_entry(entry);
    process.provide(scene.story.world.clone()).start().await.map(|_| ()).unwrap_err().to_string()
}

fn ensure(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_without_the_version_of_a_live_instance_refuses_to_boot() {
    let scene = begun().await;
    let text = refused(&scene, version(2, 2)).await;
    let id = scene.id.to_string();
    ensure(&text, &["`generated` has no version 1", &id, "until they have ended"]);
    // The one that has it ends the instance; after that nobody needs it.
    assert!(matches!(scene.live(1, None).await, Life::Ended(_)));
    scene.judge(&[6]).await;
    let process = scene.place.process().await.workflow_entry(version(2, 2));
    process.provide(scene.story.world.clone()).start().await.unwrap().stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_version_with_other_stages_refuses_to_boot() {
    let scene = begun().await;
    let text = refused(&scene, version(1, 4)).await;
    let id = scene.id.to_string();
    ensure(
        &text,
        &["`generated` version 1", &id, "put the stages of version 1 back", "version = 2"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_program_with_both_versions_ends_old_instances_on_the_old_and_new_ones_on_the_new() {
    let scene = begun().await;
    let process = scene.story.equip(scene.place.process().await);
    let running = process.workflow_entry(version(2, 2)).start().await.unwrap();
    let workflows = running.workflows().unwrap();
    let new = Uuid::from_u128(2);
    workflows.start(state(&plan(2))).id(new).await.unwrap();
    let wanted = [(scene.id, 1, plan(3)), (new, 2, plan(2))];
    for (id, version, plan) in &wanted {
        let ended = workflows.wait(InstanceId::<Generated>::from(*id), "60s").await.unwrap();
        assert_eq!(ended.status, WorkflowStatus::Completed);
        let view = workflows.get(*id).await.unwrap().unwrap();
        assert_eq!(view.instance.version, *version, "{id}");
        assert_eq!(scene.story.world.kept(*id), model(plan).kept(), "{id}");
    }
    assert_eq!(scene.story.world.wrong(), [""; 0]);
    running.stop().await;
}

fn app(entries: &[&'static WorkflowEntry]) -> AppBuilder {
    let app = App::builder().name("versions").provide(World::default());
    entries.iter().fold(app, |app, entry| app.workflow_entry(entry))
}

fn mistakes(app: AppBuilder) -> Vec<String> {
    match app.build() {
        Err(Error::Boot(errors)) => errors.iter().map(str::to_owned).collect(),
        other => panic!("expected a refusal with a list, got {other:?}"),
    }
}

/// The same workflow may come as two copies of one constant, and two workflows from one line of a macro of the user's.
#[test]
fn a_workflow_that_is_given_twice_is_one_and_two_with_one_name_are_refused() {
    assert!(app(&[version(1, 3), version(1, 3), version(2, 2)]).build().is_ok());
    let errors = mistakes(app(&[version(1, 3), version(1, 2), version(2, 2)]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    ensure(
        &errors[0],
        &["two workflows are called `generated` and have version 1", "generated.rs"],
    );
}

#[test]
fn what_is_wrong_with_the_store_is_told_with_everything_else() {
    let app = app(&[version(1, 3)]).config("workflows.elsewhere", "generated.nothing");
    let errors = mistakes(app.config("workflows.store", "mysql://me:hunter2@localhost/shop"));
    let text = errors.join("\n");
    assert_eq!(errors.len(), 2, "{text}");
    ensure(
        &text,
        &[
            "(`workflows.store`): failed to read the URL of the store",
            "no stage `generated.nothing`",
        ],
    );
    assert!(!text.contains("hunter2"), "{text}");
}
