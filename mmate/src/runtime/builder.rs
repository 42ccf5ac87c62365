//! Chooses what an app consists of, and checks it before anything is connected.

use std::sync::Arc;

use super::app::{App, Running};
use super::config::{Loader, Settings};
use super::connect;
use super::plan::{Plan, check_messages, check_rules};
use super::providers::BuildOrder;
#[cfg(feature = "testing")]
use super::service::ServiceInfo;
use super::shutdown::Signals;
use super::workflows;
use crate::consume::{Alert, Alerts};
use crate::contract::{Source, registered_messages};
use crate::error::{BootErrors, Result};
use crate::handler::{
    Handler, HandlerEntry, ProviderEntry, Resources, registered_handlers, registered_providers,
};
use crate::store::WorkflowStore;
use crate::transport::Transport;
use crate::workflow::{Graph, Need, Workflow, WorkflowEntry, registered_workflows};

/// An app that is being put together. Nothing is registered unless it is asked for.
#[derive(Debug)]
#[must_use = "an app does nothing until it is built or run"]
pub struct AppBuilder {
    handlers: Vec<&'static HandlerEntry>,
    workflows: Vec<&'static WorkflowEntry>,
    workflow_store: Option<Arc<dyn WorkflowStore>>,
    providers: Vec<&'static ProviderEntry>,
    resources: Resources,
    loader: Loader,
    transport: Option<Arc<dyn Transport>>,
    source: Source,
    publish_only: bool,
    alerts: Alerts,
}

impl AppBuilder {
    pub(super) fn new(loader: Loader) -> Self {
        Self {
            handlers: Vec::new(),
            workflows: Vec::new(),
            workflow_store: None,
            providers: Vec::new(),
            resources: Resources::new(),
            loader,
            transport: None,
            source: Source::system(),
            publish_only: false,
            alerts: Alerts::default(),
        }
    }

    /// An app that reads no file and no environment, for tests.
    #[cfg(feature = "testing")]
    pub(crate) fn isolated(service: ServiceInfo) -> Self {
        Self::new(Loader::empty(service))
    }

    /// Takes all handlers and providers that are linked into the program.
    ///
    /// A crate that the program never names is not linked: write `use orders as _;`.
    pub fn registered(self) -> Self {
        self.registered_in("")
    }

    /// Takes the linked handlers and all providers whose module path begins with `module`.
    pub fn registered_in(mut self, module: &str) -> Self {
        let inside = |path: &str| {
            path.strip_prefix(module.trim_end_matches("::"))
                .is_some_and(|rest| module.is_empty() || rest.is_empty() || rest.starts_with("::"))
        };
        self.handlers.extend(
            registered_handlers().into_iter().filter(|entry| inside(entry.location.module)),
        );
        self.workflows.extend(
            registered_workflows().into_iter().filter(|entry| inside(entry.location.module)),
        );
        self.providers.extend(
            registered_providers().into_iter().filter(|entry| inside(entry.location.module)),
        );
        self
    }

    /// Takes one workflow, by the type of its state: `.workflow::<OrderFlow>()`.
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.workflows.push(W::ENTRY);
        self
    }

    /// Takes a workflow by its description, for one that no macro wrote.
    pub fn workflow_entry(mut self, entry: &'static WorkflowEntry) -> Self {
        self.workflows.push(entry);
        self
    }

    /// Keeps instances of workflows here, whatever `workflows.store` says.
    pub fn workflow_store(mut self, store: impl Into<Arc<dyn WorkflowStore>>) -> Self {
        self.workflow_store = Some(store.into());
        self
    }

    /// Takes one handler, by the name of its function: `.handler::<create_order>()`.
    pub fn handler<H: Handler>(mut self) -> Self {
        self.handlers.push(H::ENTRY);
        self
    }

    /// Gives a value that handlers ask for as `State<T>`.
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.resources.insert(value);
        self
    }

    /// Sets a configuration value; it wins over file and environment.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<toml::Value>) -> Self {
        self.loader.set(key, value);
        self
    }

    /// Names the service instead of taking the crate's name.
    pub fn name(self, name: &str) -> Self {
        self.config("service.name", name)
    }

    /// Uses this transport instead of connecting to `url`.
    pub fn transport(mut self, transport: impl Into<Arc<dyn Transport>>) -> Self {
        self.transport = Some(transport.into());
        self
    }

    /// Takes wall time, ids and randomness from here.
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Tells `hook` what needs a person: dead letters over the threshold of `dead_letters.alert_at`, and
    /// failed messages that cannot be dead-lettered. Without a hook both are logged as errors.
    ///
    /// The hook is called from the tasks that handle messages, so it must not block; send what it hears
    /// to a channel or spawn. If it panics, that is logged and nothing else happens.
    pub fn on_alert(mut self, hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.alerts = Alerts::new(hook);
        self
    }

    /// Accepts that there are no handlers.
    pub const fn publish_only(mut self) -> Self {
        self.publish_only = true;
        self
    }

    /// Checks configuration, handlers and providers.
    ///
    /// # Errors
    /// The complete list of what is wrong, with file and line of each.
    pub fn build(self) -> Result<App> {
        let mut errors = BootErrors::default();
        let config = self.loader.load().map_err(|wrong| list(&wrong))?;
        let settings = Settings::from_config(&config).map_err(|wrong| list(&wrong))?;
        if self.handlers.is_empty() && self.workflows.is_empty() && !self.publish_only {
            errors.push(NO_HANDLERS);
        }
        check_messages(&registered_messages(), &mut errors);
        let mut handlers = self.handlers;
        handlers.sort_by_key(|entry| (entry.location.module, entry.location.line, entry.name));
        // Not by the address: a constant may have several, and two may share one.
        handlers.dedup_by(|a, b| (a.name, a.location) == (b.name, b.location));
        let mut needs: Vec<Need> = handlers.iter().map(|entry| need_of(entry)).collect();
        let graphs = workflows::graphs(self.workflows, &mut errors);
        workflows::check_elsewhere(&graphs, &settings.workflows_elsewhere, &mut errors);
        if self.workflow_store.is_none() {
            workflows::check_store(&graphs, &settings, &self.source, &mut errors);
        }
        for graph in &graphs {
            let elsewhere = &settings.workflows_elsewhere;
            handlers.extend(graph.handlers(settings.handler_timeout, elsewhere));
            needs.extend(graph.needs());
        }
        check_rules(&handlers, &settings, &config, &mut errors);
        let mut resources = self.resources;
        resources.insert(config.clone());
        let providers = BuildOrder::find(&self.providers, &needs, &resources, &mut errors);
        let instance = self.source.id().simple().to_string()[..8].to_owned();
        let source = self.source;
        let transport = self.transport;
        let alerts = self.alerts;
        let store = self.workflow_store;
        let prepared = Prepared {
            graphs: Arc::new(graphs),
            store,
            handlers,
            providers,
            resources,
            settings,
            transport,
            source,
            instance,
            alerts,
        };
        let plan = prepared.plan().unwrap_or_else(|more| {
            more.iter().for_each(|mistake| errors.push(mistake));
            Plan::default()
        });
        Ok(errors.or(App::new(prepared, config, plan))?)
    }

    /// Builds and starts the app.
    ///
    /// # Errors
    /// Those of [`AppBuilder::build`] and [`App::start`].
    pub async fn start(self) -> Result<Running> {
        self.build()?.start().await
    }

    /// Does what the program's command line says, and gives the app if that is to run: for a program
    /// that has more to do than to handle messages. The app runs until it is stopped or dropped.
    ///
    /// # Errors
    /// Those of [`AppBuilder::start`], and of the command.
    pub async fn launch(self) -> Result<Option<Running>> {
        super::command::execute(self).await
    }

    /// Does what the program's command line says: by default runs until a signal asks to stop.
    ///
    /// # Errors
    /// Those of [`AppBuilder::start`], and of the command.
    pub async fn run(self) -> Result {
        // Before the app says that it is up: who reads that may ask it to stop at once.
        let mut signals = Signals::install();
        let launched = tokio::select! {
            launched = self.launch() => launched?,
            () = signals.next() => return Ok(()),
        };
        if let Some(running) = launched {
            let report = running.until(signals).await;
            tracing::info!("{report}");
        }
        Ok(())
    }
}

const NO_HANDLERS: &str = "there is no handler; a crate that the program never names is not linked, so its handlers \
                           vanish\nhelp: write `use my_handlers as _;`, or `#[mmate::main(crates(my_handlers))]`\n\
                           help: a program that only publishes says `App::builder().publish_only()`";

fn need_of(entry: &HandlerEntry) -> Need {
    let user = format!("handler `{}`\n{}", entry.name, entry.location);
    Need { user, requires: entry.requires }
}

fn list(wrong: &[super::config::ConfigError]) -> BootErrors {
    let mut errors = BootErrors::default();
    wrong.iter().for_each(|error| errors.push(error.to_string()));
    errors
}

/// A checked app that is not connected.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) graphs: Arc<Vec<Graph>>,
    pub(super) store: Option<Arc<dyn WorkflowStore>>,
    pub(super) handlers: Vec<&'static HandlerEntry>,
    pub(super) providers: BuildOrder,
    pub(super) resources: Resources,
    pub(super) settings: Settings,
    pub(super) transport: Option<Arc<dyn Transport>>,
    pub(super) source: Source,
    pub(super) instance: String,
    pub(super) alerts: Alerts,
}

impl Prepared {
    pub(super) fn plan(&self) -> Result<Plan, BootErrors> {
        let capabilities = match &self.transport {
            Some(transport) => transport.capabilities(),
            None => connect::capabilities(&self.settings).map_err(|error| {
                let mut errors = BootErrors::default();
                errors.push(error.to_string());
                errors
            })?,
        };
        Plan::make(&self.handlers, &self.settings, capabilities, &self.instance)
    }
}
