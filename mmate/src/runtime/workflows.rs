//! Workflows of an app: their graphs checked, their store opened, their keepers run and stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::boot;
use super::builder::Prepared;
use super::config::Settings;
use crate::contract::Source;
use crate::error::{BootErrors, Error, Result};
use crate::observability::Ledger;
use crate::publish::Publisher;
use crate::store::{self, MemoryStore, WorkflowStore};
use crate::transport::Transport;
use crate::transport::memory::MemoryTransport;
use crate::workflow::{Engine, EngineOptions, Graph, WorkflowEntry, Workflows, hash};

/// The graphs of the chosen workflows.
pub(super) fn graphs(
    mut entries: Vec<&'static WorkflowEntry>,
    errors: &mut BootErrors,
) -> Vec<Graph> {
    entries.sort_by_key(|entry| (entry.id, entry.version, entry.location.line));
    let mut known: BTreeMap<(&str, u32), &'static WorkflowEntry> = BTreeMap::new();
    let mut graphs = Vec::new();
    for entry in entries {
        if let Some(other) = known.get(&(entry.id, entry.version)) {
            if !is_same(other, entry) {
                errors.push(rivals(other, entry));
            }
            continue;
        }
        known.insert((entry.id, entry.version), entry);
        match Graph::of(entry) {
            Ok(graph) => graphs.push(graph),
            Err(mistakes) => {
                for mistake in mistakes {
                    errors.push(format!("workflow `{}`: {mistake}\n{}", entry.id, entry.location));
                }
            }
        }
    }
    missing_children(&graphs, errors);
    graphs
}

/// Whether a workflow was only given twice. Not by the address: a constant may have several, and two may share one.
fn is_same(one: &WorkflowEntry, other: &WorkflowEntry) -> bool {
    one.location == other.location && one.name == other.name && hash(one) == hash(other)
}

fn rivals(one: &WorkflowEntry, other: &WorkflowEntry) -> String {
    format!(
        "two workflows are called `{}` and have version {}; give one another `id` or `version`\n`{}` at {}\n`{}` at {}",
        one.id, one.version, one.name, one.location, other.name, other.location
    )
}

/// A stage that does not exist would be run here all the same, and nobody would notice.
pub(super) fn check_elsewhere(graphs: &[Graph], elsewhere: &[String], errors: &mut BootErrors) {
    let known = |name: &str| {
        graphs.iter().any(|graph| {
            (0..graph.steps.len())
                .any(|step| format!("{}.{}", graph.entry.id, graph.name(step)) == name)
        })
    };
    for name in elsewhere.iter().filter(|name| !known(name)) {
        errors.push(format!(
            "configuration `workflows.elsewhere`: there is no stage `{name}`; a stage is named like `order-processing.ship`"
        ));
    }
}

/// What a stage starts must be there to be started.
fn missing_children(graphs: &[Graph], errors: &mut BootErrors) {
    for graph in graphs {
        for (stage, child) in graph.children() {
            if graphs.iter().all(|other| other.entry.id != child.id) {
                errors.push(format!(
                    "stage `{stage}` of workflow `{}` starts `{}`, which is no workflow of this app\nhelp: give it to the app, too: \
                     `.workflow::<{}>()`\n{}",
                    graph.entry.id, child.id, child.name, graph.entry.location
                ));
            }
        }
    }
}

/// What the boot has made of an app's workflows.
#[derive(Debug)]
pub(super) struct KeptWorkflows {
    pub(super) engine: Engine,
    check_every: Duration,
    /// The broker begins with no messages, whatever the store holds.
    forgetful: bool,
}

/// For an app without workflows: whoever asks for one is told that there is none.
pub(super) fn nothing(prepared: &Prepared, publisher: &Publisher) -> Engine {
    engine(prepared, None, publisher)
}

/// Opens the store and checks what it holds. Nothing if the app has no workflows.
pub(super) async fn open(
    prepared: &Prepared,
    transport: &dyn Transport,
    publisher: &Publisher,
) -> Result<Option<KeptWorkflows>> {
    if prepared.graphs.is_empty() {
        return Ok(None);
    }
    let settings = &prepared.settings;
    let forgetful = transport.name() == MemoryTransport::NAME;
    let store = open_store(prepared, forgetful).await?;
    if store.is_none() {
        let mut errors = BootErrors::default();
        refuse_waits(&prepared.graphs, &mut errors);
        errors.or(())?;
        tracing::warn!(
            "workflows are kept in their messages alone: stages run at least once, and nobody can look at instances; \
             `workflows.store` names a database"
        );
    }
    let engine = engine(prepared, store, publisher);
    engine.sign_on().await.map_err(|error| refused(&error.to_string()))?;
    let check_every = settings.workflows_check_every;
    Ok(Some(KeptWorkflows { engine, check_every, forgetful }))
}

/// Checks what is said of the store, as far as that can be told without asking it.
pub(super) fn check_store(
    graphs: &[Graph],
    settings: &Settings,
    source: &Source,
    errors: &mut BootErrors,
) {
    match settings.workflows_store.as_str() {
        _ if graphs.is_empty() => {}
        "none" => refuse_waits(graphs, errors),
        "auto" => {}
        url => {
            if let Err(error) = store::connect(url, source.clone()) {
                errors.push(unusable(&error.to_string()));
            }
        }
    }
}

/// What waits is in a store, or nowhere.
fn refuse_waits(graphs: &[Graph], errors: &mut BootErrors) {
    for graph in graphs.iter().filter(|graph| graph.waits()) {
        errors.push(format!(
            "workflow `{}` has stages that wait, and instances are kept in their messages alone\nhelp: name a database in \
             `workflows.store`, like `sqlite://workflows.db` or `postgres://..`\n{}",
            graph.entry.id, graph.entry.location
        ));
    }
}

fn engine(
    prepared: &Prepared,
    store: Option<Arc<dyn WorkflowStore>>,
    publisher: &Publisher,
) -> Engine {
    let settings = &prepared.settings;
    let options = EngineOptions {
        owner: format!("{}.{}", settings.service, prepared.instance),
        lease: settings.workflows_lease,
        lost_after: settings.workflows_lost_after,
        stage_timeout: settings.handler_timeout,
        interruptions_max: settings.redeliveries_max,
        keep: settings.workflows_keep,
        retry: Arc::new(settings.retry.clone()),
        alerts: prepared.alerts.clone(),
    };
    Engine::new(
        Arc::clone(&prepared.graphs),
        store,
        publisher.clone(),
        options,
        #[cfg(feature = "testing")]
        prepared.resources.get::<crate::workflow::Checkpoints>().map(|found| (*found).clone()),
    )
}

/// Workflows of an app that is not started: to look at instances, and to say what is to become of them.
pub(super) async fn tools(prepared: &Prepared, transport: Arc<dyn Transport>) -> Result<Workflows> {
    if prepared.graphs.is_empty() {
        return Err(Error::Command("this program has no workflow".to_owned()));
    }
    let forgetful = transport.name() == MemoryTransport::NAME;
    let store = connect(prepared, forgetful)?;
    if store.as_ref().is_none_or(|store| store.name() == MemoryStore::NAME) {
        return Err(Error::Command(
            "instances are in the memory of the running process, or in their messages alone, so there is nothing to look \
             at\nhelp: name a database in `workflows.store`, like `sqlite://workflows.db` or `postgres://..`"
                .to_owned(),
        ));
    }
    if let Some(store) = &store {
        store.prepare().await.map_err(|error| refused(&error.to_string()))?;
    }
    let publisher = boot::publisher(prepared, &transport, Ledger::default());
    Ok(Workflows::new(engine(prepared, store, &publisher)))
}

async fn open_store(
    prepared: &Prepared,
    forgetful: bool,
) -> Result<Option<Arc<dyn WorkflowStore>>> {
    let Some(store) = connect(prepared, forgetful)? else { return Ok(None) };
    store.prepare().await.map_err(|error| refused(&error.to_string()))?;
    let live = store.live_versions().await.map_err(|error| refused(&error.to_string()))?;
    let mut errors = BootErrors::default();
    for version in &live {
        match missing(&prepared.graphs, version) {
            Some(why) if prepared.settings.workflows_leave_missing => {
                tracing::warn!("left to processes that have it (`workflows.missing`): {why}");
            }
            Some(why) => errors.push(why),
            None => {}
        }
    }
    Ok(errors.or(Some(store))?)
}

fn connect(prepared: &Prepared, forgetful: bool) -> Result<Option<Arc<dyn WorkflowStore>>> {
    if let Some(store) = &prepared.store {
        return Ok(Some(Arc::clone(store)));
    }
    let Settings { workflows_store: url, .. } = &prepared.settings;
    let source = prepared.source.clone();
    match url.as_str() {
        "none" => Ok(None),
        "auto" if forgetful => Ok(Some(Arc::new(MemoryStore::new(source)))),
        "auto" => Ok(None),
        url => match store::connect(url, source) {
            Ok(store) => Ok(Some(store)),
            Err(error) => Err(refused(&error.to_string()).into()),
        },
    }
}

fn refused(why: &str) -> BootErrors {
    let mut errors = BootErrors::default();
    errors.push(unusable(why));
    errors
}

fn unusable(why: &str) -> String {
    format!("the workflow store cannot be used (`workflows.store`): {why}")
}

/// Why a version with live instances cannot be run here, if it cannot.
fn missing(graphs: &[Graph], live: &store::LiveVersion) -> Option<String> {
    let (workflow, version) = (&live.workflow, live.version);
    let mut own = graphs.iter().filter(|graph| graph.entry.id == workflow).peekable();
    // Another service's workflows may be in the same store.
    own.peek()?;
    let instances =
        format!("{} instances run on it, `{}` among them", live.instances, live.example);
    match own.find(|graph| graph.entry.version == version) {
        None => Some(format!(
            "workflow `{workflow}` has no version {version} in this program, and {instances}\nhelp: keep the `impl` block \
             of version {version} until they have ended, or leave them to processes that have it: `workflows.missing = \"leave\"`"
        )),
        Some(graph) if graph.hash != live.graph => Some(format!(
            "the stages of workflow `{workflow}` version {version} are not those with which its instances began, and \
             {instances}\nhelp: put the stages of version {version} back, and write the new ones as `version = {}`\n{}",
            version + 1,
            graph.entry.location
        )),
        Some(_) => None,
    }
}

/// Workflows of a running app.
#[derive(Debug)]
pub(super) struct RunningWorkflows {
    engine: Engine,
    /// They end with it.
    keepers: JoinSet<()>,
}

impl RunningWorkflows {
    pub(super) fn start(kept: KeptWorkflows) -> Self {
        let KeptWorkflows { engine, check_every, forgetful } = kept;
        let mut keepers = JoinSet::new();
        keepers.spawn(engine.keep_alive());
        keepers.spawn(engine.look_after(check_every, forgetful));
        Self { engine, keepers }
    }

    pub(super) fn handle(&self) -> Workflows {
        Workflows::new(self.engine.clone())
    }

    pub(super) async fn stop(mut self) {
        self.keepers.shutdown().await;
        self.engine.sign_off().await;
    }
}
