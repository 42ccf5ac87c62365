//! From a checked app to running consumers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::app::Running;
use super::builder::Prepared;
use super::config::Settings;
use super::connect::connect;
use super::plan::{Plan, QueuePlan};
use crate::consume::{Consumer, ConsumerOptions, Counters, Settler};
use crate::dispatch::{Dispatcher, QueueRoutes, Route, Shared, SharedLimits};
use crate::error::{BootErrors, Result};
use crate::handler::Resources;
use crate::publish::{Encoder, Publisher, WireOptions};
use crate::transport::{SubscribeOptions, Transport};

/// Builds what the app needs: transport, topology, providers. No message is taken yet.
pub(super) async fn open(prepared: Prepared) -> Result<Opened> {
    let transport = match &prepared.transport {
        Some(transport) => Arc::clone(transport),
        None => connect(&prepared.settings).await?,
    };
    let plan = prepared.plan()?;
    transport.declare(&plan.topology).await?;
    let publisher = publisher(&prepared, &transport);
    let mut resources = prepared.resources.clone();
    resources.insert(publisher.clone());
    prepared.providers.build(&mut resources).await?;
    Ok(Opened { prepared, transport, plan, publisher, resources })
}

/// An app that is ready to consume.
#[derive(Debug)]
pub(super) struct Opened {
    prepared: Prepared,
    pub(super) transport: Arc<dyn Transport>,
    plan: Plan,
    publisher: Publisher,
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
        let Self { prepared, transport, publisher, resources, .. } = self;
        let mut running =
            Running::new(prepared.settings, transport, publisher, resources, stopping);
        consumers.into_iter().for_each(|consumer| running.add(consumer));
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
        let shared = Shared {
            resources: self.resources.clone(),
            stopping: stopping.subscribe(),
            body_bytes_max: settings.message_bytes_max,
        };
        let dispatcher = Dispatcher::new(routes(queue, settings, limits)?, shared);
        let counters = Arc::new(Counters::default());
        let settler = Settler::new(
            self.publisher.clone(),
            Arc::clone(&self.transport),
            Arc::clone(&counters),
            queue.dead_letter.clone(),
            stopping.subscribe(),
        );
        let name = format!("{}.{}", settings.service, self.prepared.instance);
        let subscribe = SubscribeOptions::new(&queue.queue.name, queue.prefetch).consumer(name);
        let mut options = ConsumerOptions::new(
            subscribe,
            queue.concurrency,
            settings.redeliveries_max,
            queue.topology.clone(),
        );
        options.drain_timeout = settings.drain_timeout;
        Ok(Consumer::new(options, Arc::clone(&self.transport), dispatcher, settler, counters))
    }
}

fn routes(
    queue: &QueuePlan,
    settings: &Settings,
    limits: &mut SharedLimits,
) -> Result<QueueRoutes, BootErrors> {
    let mut routes = QueueRoutes::new(&queue.queue.name);
    for entry in &queue.handlers {
        let timeout =
            entry.options.timeout_ms.map_or(settings.handler_timeout, Duration::from_millis);
        let mut route = Route::new(entry, timeout);
        route.limits = limits.of(entry);
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

fn publisher(prepared: &Prepared, transport: &Arc<dyn Transport>) -> Publisher {
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
    Publisher::new(encoder, Arc::clone(transport))
}
