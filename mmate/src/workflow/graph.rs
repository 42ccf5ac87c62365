//! A workflow's stages as steps in a row, with the queue of each.

use uuid::Uuid;

use super::definition::{Shape, StageEntry, Wait, WorkflowEntry};
use crate::contract::MessageInfo;
use crate::contract::address::check_name;

/// What stands in one place of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One stage, or the join of the group before it.
    Single(usize),
    /// Stages that run beside each other.
    Group(Vec<usize>),
    /// The first half of a stage that waits: it asks, or starts another workflow.
    Ask(usize),
    /// The second half: it waits for what comes, and takes it. All there is to a stage that waits for an event.
    Hear(usize),
}

/// A workflow that can be run: its steps and its queues.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) entry: &'static WorkflowEntry,
    pub(crate) steps: Vec<Step>,
    /// The queue of each step.
    pub(crate) queues: Vec<String>,
    /// The queue of what undoes.
    pub(crate) undo_queue: String,
    /// The queue of replies to what stages ask.
    pub(crate) reply_queue: String,
    /// The queue of events that stages wait for.
    pub(crate) event_queue: String,
    /// Tells two graphs apart that have one id and version.
    pub(crate) hash: String,
}

impl Graph {
    /// The graph of a workflow. The macro has checked it; an entry may be made by hand.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn of(entry: &'static WorkflowEntry) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let steps = steps(entry, &mut mistakes);
        let prefix = entry.prefix.unwrap_or("stageflow.");
        let id = match entry.version {
            1 => entry.id.to_owned(),
            version => format!("{}.v{version}", entry.id),
        };
        let queues: Vec<String> =
            (0..steps.len()).map(|index| format!("{prefix}{id}.stage{index}")).collect();
        let undo_queue = format!("{prefix}compensation.{id}");
        let (reply_queue, event_queue) =
            (format!("{prefix}{id}.replies"), format!("{prefix}{id}.events"));
        if let Err(why) = check_name(&undo_queue) {
            mistakes.push(format!("queue `{undo_queue}` {why}"));
        }
        if entry.version == 0 {
            mistakes.push("its version is 0; versions count from 1".to_owned());
        }
        if steps.is_empty() && mistakes.is_empty() {
            mistakes.push("it has no stage".to_owned());
        }
        let hash = hash(entry);
        if mistakes.is_empty() {
            return Ok(Self { entry, steps, queues, undo_queue, reply_queue, event_queue, hash });
        }
        Err(mistakes)
    }

    /// The stage at an index.
    pub(crate) fn stage(&self, index: usize) -> &'static StageEntry {
        &self.entry.stages[index]
    }

    /// The stage of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static StageEntry> {
        self.entry.stages.iter().find(|stage| stage.name == name)
    }

    /// The name of a step: of its stage, or of its group.
    pub(crate) fn name(&self, step: usize) -> &'static str {
        match self.steps.get(step) {
            Some(Step::Single(index) | Step::Ask(index) | Step::Hear(index)) => {
                self.stage(*index).name
            }
            Some(Step::Group(branches)) => {
                branches.first().map_or("", |first| match self.stage(*first).shape {
                    Shape::Branch(group) => group,
                    Shape::Single | Shape::Join(_) => self.stage(*first).name,
                })
            }
            None => "",
        }
    }

    /// Stages of a step.
    pub(crate) fn stages_of(&self, step: usize) -> &[usize] {
        match self.steps.get(step) {
            Some(Step::Single(index) | Step::Ask(index) | Step::Hear(index)) => {
                std::slice::from_ref(index)
            }
            Some(Step::Group(branches)) => branches,
            None => &[],
        }
    }

    /// The stage that waits at a step.
    pub(crate) fn hearing(&self, step: usize) -> Option<&'static StageEntry> {
        match self.steps.get(step) {
            Some(Step::Hear(index)) => Some(self.stage(*index)),
            _ => None,
        }
    }

    /// The events that stages wait for, each once.
    pub(crate) fn events(&self) -> Vec<&'static MessageInfo> {
        let mut events: Vec<&'static MessageInfo> = Vec::new();
        for stage in self.entry.stages {
            if let Some(Wait::Event(event)) = stage.wait
                && events.iter().all(|known| known.name != event.info.name)
            {
                events.push(event.info);
            }
        }
        events
    }

    /// The workflows that stages start, each with the stage's name.
    pub(crate) fn children(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static WorkflowEntry)> + use<> {
        self.entry.stages.iter().filter_map(|stage| match stage.wait {
            Some(Wait::Child(child)) => Some((stage.name, (child.workflow)())),
            _ => None,
        })
    }

    /// Whether any stage asks others.
    pub(crate) fn asks(&self) -> bool {
        self.entry.stages.iter().any(|stage| matches!(stage.wait, Some(Wait::Reply(_))))
    }

    /// Whether any stage waits, which needs a store.
    pub(crate) fn waits(&self) -> bool {
        self.entry.stages.iter().any(|stage| stage.wait.is_some())
    }

    /// Whether any stage can be undone.
    pub(crate) fn can_undo(&self) -> bool {
        self.entry.stages.iter().any(|stage| stage.undo.is_some())
    }

    /// Stages whose effect on the outside would stay when a later one fails, and about which nothing is said.
    pub(crate) fn uncovered(&self) -> Vec<&'static StageEntry> {
        let stages = self.entry.stages;
        let fails_after = |index: usize| {
            let beside = |other: usize| match (stages[index].shape, stages[other].shape) {
                (Shape::Branch(a), Shape::Branch(b)) => a == b && index != other,
                _ => false,
            };
            (0..stages.len()).any(|other| {
                (other > index || beside(other))
                    && stages[other].can_fail
                    && !stages[other].continue_on_failure
            })
        };
        let is_uncovered = |(index, stage): &(usize, &StageEntry)| {
            stage.takes_services
                && stage.undo.is_none()
                && !stage.irreversible
                && fails_after(*index)
        };
        stages.iter().enumerate().filter(is_uncovered).map(|(_, stage)| stage).collect()
    }
}

fn steps(entry: &'static WorkflowEntry, mistakes: &mut Vec<String>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open: Option<(&str, Vec<usize>)> = None;
    for (index, stage) in entry.stages.iter().enumerate() {
        if stage.wait.is_some() && (stage.shape != Shape::Single || stage.repeat.is_some()) {
            mistakes.push(format!(
                "stage `{}` waits, so it is neither repeated nor part of a group",
                stage.name
            ));
            continue;
        }
        match (stage.shape, &mut open) {
            (Shape::Branch(group), Some((name, branches))) if *name == group => {
                branches.push(index)
            }
            (Shape::Branch(group), None) => open = Some((group, vec![index])),
            (Shape::Join(group), Some((name, branches))) if *name == group => {
                steps.push(Step::Group(std::mem::take(branches)));
                steps.push(Step::Single(index));
                open = None;
            }
            (Shape::Single, None) => match stage.wait {
                None => steps.push(Step::Single(index)),
                Some(Wait::Event(_)) => steps.push(Step::Hear(index)),
                Some(Wait::Reply(_) | Wait::Child(_)) => {
                    steps.extend([Step::Ask(index), Step::Hear(index)]);
                }
            },
            (Shape::Join(group), _) => mistakes.push(format!(
                "stage `{}` joins `{group}`, and its branches do not stand right before it",
                stage.name
            )),
            (Shape::Single | Shape::Branch(_), Some((name, _))) => mistakes.push(format!(
                "stage `{}` stands between the branches of `{name}` and their join",
                stage.name
            )),
        }
    }
    if let Some((name, _)) = open {
        mistakes.push(format!("the branches of `{name}` have no join"));
    }
    steps
}

/// Everything that decides which stage follows which, and how each is undone. What a stage does inside, its limits and
/// its docs may change under running instances; this may not.
pub(crate) fn hash(entry: &WorkflowEntry) -> String {
    let mut text = String::new();
    for stage in entry.stages {
        let shape = match stage.shape {
            Shape::Single => ("", ""),
            Shape::Branch(group) => ("branch", group),
            Shape::Join(group) => ("join", group),
        };
        let names = [
            stage.name,
            shape.0,
            shape.1,
            stage.undo.map_or("", |undo| undo.name),
            stage.when.map_or("", |test| test.name),
            stage.repeat.map_or("", |test| test.name),
            if stage.continue_on_failure { "continues" } else { "" },
            match stage.wait {
                Some(Wait::Event(event)) => event.info.name,
                Some(Wait::Reply(reply)) => reply.request.name,
                Some(Wait::Child(child)) => (child.workflow)().id,
                None => "",
            },
        ];
        text.push_str(&names.join("\0"));
        text.push('\n');
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string()
}
