//! From a checked app to running consumers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::app::{Parts, Running};
use super::builder::Prepared;
use super::config::Settings;
use super::connect::connect;
use super::plan::{Plan, QueuePlan};
use super::workflows::{self, KeptWorkflows};
use crate::bridge::{Bridge, BridgeOptions};
use crate::consume::{Consumer, ConsumerOptions, Counters, Settler};
use crate::deadletter::DepthWatch;
use crate::dispatch::{
    Deadlines, Dispatcher, QueueRoutes, ReplyCache, Route, Shared, SharedLimits,
};
use crate::error::{BootErrors, Result};
use crate::handler::Resources;
use crate::observability::{Ledger, LedgerOptions};
use crate::publish::{Encoder, Publisher, PublisherOptions, WireOptions};
use crate::transport::memory::MemoryTransport;
use crate::transport::{Capability, Loopback, QueueKind, SubscribeOptions, Transport};

/// Builds what the app needs: transport, topology, providers. No message is taken yet.
pub(super) async fn open(prepared: Prepared) -> Result<Opened> {
    let transport = match &prepared.transport {
        Some(transport) => Arc::clone(transport),
        None => connect(&prepared.settings).await?,
    };
    let transport = with_short_way(transport, &prepared.settings);
    let plan = prepared.plan()?;
    transport.declare(&plan.topology).await?;
    let ledger = ledger(&prepared)?;
    let publisher = publisher(&prepared, &transport, ledger.clone());
    let mut resources = prepared.resources.clone();
    resources.insert(publisher.clone());
    let bridge = bridge(&prepared, &transport, &publisher);
    resources.insert(bridge.clone());
    let workflows = workflows::open(&prepared, &*transport, &publisher).await?;
    resources.insert(match &workflows {
        Some(kept) => kept.engine.clone(),
        None => workflows::nothing(&prepared, &publisher),
    });
    prepared.providers.build(&mut resources).await?;
    Ok(Opened { prepared, transport, plan, publisher, bridge, workflows, ledger, resources })
}

/// An app that is ready to consume.
#[derive(Debug)]
pub(super) struct Opened {
    prepared: Prepared,
    pub(super) transport: Arc<dyn Transport>,
    plan: Plan,
    publisher: Publisher,
    bridge: Bridge,
    workflows: Option<KeptWorkflows>,
    ledger: Ledger,
    resources: Resources,
}

impl Opened {
    /// Starts the consumers; ready when the broker has confirmed each of them.
    pub(super) async fn start(self) -> Result<Running> {
        let stopping = watch::Sender::new(false);
        let mut limits = SharedLimits::default();
        let consumers: Vec<_> = self
            .plan
            .queues
            .iter()
            .map(|queue| self.consumer(queue, &stopping, &mut limits))
            .collect::<Result<_>>()?;
        let dead_letters = self.plan.dead_letters();
        let watch = DepthWatch::new(
            Arc::clone(&self.transport),
            dead_letters.clone(),
            self.prepared.settings.dead_letters_alert_at,
            self.prepared.settings.dead_letters_check_every,
            self.prepared.alerts.clone(),
        );
        let Self { prepared, transport, publisher, bridge, workflows, ledger, resources, plan } =
            self;
        let parts = Parts { transport, publisher, bridge, workflows, ledger, resources, stopping };
        let mut running = Running::new(prepared.settings, parts);
        for (consumer, queue) in consumers.into_iter().zip(plan.queues) {
            running.add(consumer, queue.dead_letter.name);
        }
        running.watch_dead_letters(dead_letters, watch);
        running.wait_until_consuming().await?;
        Ok(running)
    }

    fn consumer(
        &self,
        queue: &QueuePlan,
        stopping: &watch::Sender<bool>,
        limits: &mut SharedLimits,
    ) -> Result<Consumer> {
        let settings = &self.prepared.settings;
        let retry = Arc::new(settings.retry.clone());
        let shared = Shared {
            resources: self.resources.clone(),
            stopping: stopping.subscribe(),
            body_bytes_max: settings.message_bytes_max,
            retry: Arc::clone(&retry),
            deadlines: Deadlines {
                source: self.prepared.source.clone(),
                clock_skew: settings.bridge_clock_skew,
            },
        };
        let routes = routes(
            queue,
            settings,
            &self.ledger,
            limits,
            #[cfg(feature = "testing")]
            &self.resources,
        )?;
        let dispatcher = Dispatcher::new(routes, shared);
        let handlers = queue.handlers.iter().map(|entry| entry.name);
        let counters = Arc::new(Counters::new(&self.ledger, &queue.queue.name, handlers));
        let settler = Settler::new(
            self.publisher.clone(),
            Arc::clone(&self.transport),
            Arc::clone(&counters),
            queue.dead_letter.clone(),
            stopping.subscribe(),
        )
        .delays(can_delay(&*self.transport, queue))
        .alerts(self.prepared.alerts.clone())
        .retry(retry);
        let subscribe = SubscribeOptions::new(&queue.queue.name, queue.prefetch)
            .consumer(consumer_name(&self.prepared));
        let mut options = ConsumerOptions::new(
            subscribe,
            queue.concurrency,
            settings.redeliveries_max,
            queue.topology.clone(),
        );
        options.drain_timeout = settings.drain_timeout;
        options.stall_after = settings.stall_after;
        Ok(Consumer::new(options, Arc::clone(&self.transport), dispatcher, settler, counters))
    }
}

/// An exclusive queue is gone with its connection; a message that waits elsewhere would not find it.
fn can_delay(transport: &dyn Transport, queue: &QueuePlan) -> bool {
    transport.capabilities().has(Capability::Delay) && queue.queue.kind != QueueKind::Exclusive
}

fn routes(
    queue: &QueuePlan,
    settings: &Settings,
    ledger: &Ledger,
    limits: &mut SharedLimits,
    #[cfg(feature = "testing")] resources: &Resources,
) -> Result<QueueRoutes, BootErrors> {
    let mut routes = QueueRoutes::new(&queue.queue.name);
    #[cfg(feature = "testing")]
    let faults = resources.get::<crate::dispatch::HandlerFaults>();
    for entry in &queue.handlers {
        let timeout =
            entry.options.timeout_ms.map_or(settings.handler_timeout, Duration::from_millis);
        let mut route = Route::new(entry, timeout, ledger.route(&queue.queue.name, entry.name));
        route.limits = limits.of(entry, settings.hold_max);
        route.cache = ReplyCache::of(entry, &settings.flow_headers, settings.hold_max);
        #[cfg(feature = "testing")]
        let route = Route { faults: faults.clone(), ..route };
        #[cfg(feature = "validation")]
        let route = with_validator(route, settings)?;
        routes.add(route);
    }
    Ok(routes)
}

#[cfg(feature = "validation")]
fn with_validator(mut route: Route, settings: &Settings) -> Result<Route, BootErrors> {
    if settings.validate_consumed {
        let validator =
            crate::contract::validate::Validator::of(route.entry.message).map_err(|why| {
                let mut errors = BootErrors::default();
                errors.push(format!("{why}\n{}", route.entry.message.location));
                errors
            })?;
        route.validator = Some(validator);
    }
    Ok(route)
}

fn ledger(prepared: &Prepared) -> Result<Ledger, BootErrors> {
    let settings = &prepared.settings;
    let mut options = LedgerOptions::new(&settings.service, &prepared.instance);
    options.dir.clone_from(&settings.ledger_dir);
    Ledger::open(options.full(settings.ledger_full), prepared.source.clone()).map_err(|error| {
        let mut errors = BootErrors::default();
        errors.push(error.to_string());
        errors
    })
}

/// In memory every way is short.
fn with_short_way(transport: Arc<dyn Transport>, settings: &Settings) -> Arc<dyn Transport> {
    if settings.bridge_local && transport.name() != MemoryTransport::NAME {
        return Arc::new(Loopback::new(transport));
    }
    transport
}

/// The name under which the broker lists the consumers of this process.
fn consumer_name(prepared: &Prepared) -> String {
    format!("{}.{}", prepared.settings.service, prepared.instance)
}

fn bridge(prepared: &Prepared, transport: &Arc<dyn Transport>, publisher: &Publisher) -> Bridge {
    let settings = &prepared.settings;
    let options = BridgeOptions {
        timeout: settings.bridge_timeout,
        max_concurrent: settings.bridge_max_concurrent,
        waiting_max: settings.bridge_waiting_max,
        local: settings.bridge_local,
        consumer: consumer_name(prepared),
        stall_after: settings.stall_after,
    };
    Bridge::new(publisher.clone(), Arc::clone(transport), options)
}

pub(super) fn publisher(
    prepared: &Prepared,
    transport: &Arc<dyn Transport>,
    ledger: Ledger,
) -> Publisher {
    let settings = &prepared.settings;
    let encoder = Encoder {
        service: settings.service.as_str().into(),
        source: prepared.source.clone(),
        wire: WireOptions {
            mirror_headers: settings.mirror_headers,
            validate: settings.validate_published,
        },
        flow_headers: settings.flow_headers.as_slice().into(),
        body_bytes_max: settings.message_bytes_max,
    };
    let options = PublisherOptions { ledger, later_max: settings.publish_later_max };
    Publisher::with_options(encoder, Arc::clone(transport), options)
}
