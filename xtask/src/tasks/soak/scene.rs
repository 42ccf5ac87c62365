//! A broker, a proxy before it, the service and the foreign clients: what faults are done to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use xtask::servers::process::wait_until;
use xtask::servers::proxy::FaultProxy;
use xtask::servers::{ForeignClient, Guard, Installation, RabbitCluster, RabbitNode, StartOptions};

use super::ledger::Ledger;
use super::programs::{Collector, Program, Service, ServicePlan, WORK_QUEUES, lock, publisher};
use crate::interrupt;

/// After so long without readiness the operator restarts a broker that has no leader for its queues.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(30);
const QUORUM_TIMEOUT: Duration = Duration::from_secs(60);
const BOOT_TIMEOUT: Duration = Duration::from_secs(90);
const OPERATOR_RESTARTS_MAX: u32 = 3;
/// A ready service with waiting messages that begins nothing for so long is green and idle.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Older news of a queue's depth count for nothing.
const DEPTH_AGE_MAX: Duration = Duration::from_millis(2_500);

/// What scenes are made of.
#[derive(Debug, Clone)]
pub(super) struct Props {
    pub(super) service: PathBuf,
    pub(super) client: ForeignClient,
    pub(super) installation: Installation,
    /// Logs of the programs; what they wrote is here when something went wrong.
    pub(super) folder: PathBuf,
    pub(super) heartbeat_seconds: u16,
    /// How long the broker is frozen.
    pub(super) freeze: Duration,
    pub(super) seed: u64,
}

/// What a scene is played against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// One node, behind the proxy.
    Node,
    /// Three nodes, which the service knows by their own addresses.
    Cluster,
}

/// The broker of a scene.
#[derive(Debug)]
pub(super) enum Broker {
    Node(Box<RabbitNode>),
    Cluster(RabbitCluster),
}

impl Broker {
    fn start(stage: Stage, options: &StartOptions) -> io::Result<Self> {
        match stage {
            Stage::Node => RabbitNode::start(options).map(|node| Self::Node(Box::new(node))),
            Stage::Cluster => RabbitCluster::start(options).map(Self::Cluster),
        }
    }

    pub(super) fn nodes(&self) -> &[RabbitNode] {
        match self {
            Self::Node(node) => std::slice::from_ref(node),
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// The only node, or the first.
    pub(super) fn node(&self) -> &RabbitNode {
        match self {
            Self::Node(node) => node,
            Self::Cluster(cluster) => &cluster.nodes()[0],
        }
    }

    /// Where clients connect that know all nodes: URLs with commas between them.
    fn urls(&self) -> String {
        self.nodes().iter().map(RabbitNode::amqp_url).collect::<Vec<_>>().join(",")
    }
}

/// A stage on which faults happen.
#[derive(Debug)]
pub(super) struct Scene {
    // Programs are ended before the broker.
    pub(super) services: Vec<Service>,
    collector: Collector,
    idle_since: Mutex<Option<Instant>>,
    pub(super) proxy: FaultProxy,
    pub(super) broker: Broker,
    guard: Arc<Guard>,
    pub(super) props: Props,
    pub(super) plan: ServicePlan,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) operator_restarts: u32,
    random: u64,
}

impl Scene {
    /// Starts everything and waits until it works.
    pub(super) fn start(props: &Props, stage: Stage, queue_type: &'static str) -> io::Result<Self> {
        let options = StartOptions {
            installation: Some(props.installation.clone()),
            ..StartOptions::default()
        };
        let broker = Broker::start(stage, &options)?;
        let proxy = FaultProxy::start(broker.node().port())?;
        let guard = Guard::new(None)?;
        let ledger = Arc::new(Mutex::new(Ledger::new()));
        let plan = ServicePlan {
            program: props.service.clone(),
            url: match stage {
                Stage::Node => proxy.amqp_url(props.heartbeat_seconds),
                Stage::Cluster => broker.urls(),
            },
            queue_type,
            defect: None,
            own_every_ms: Some(100),
            log: props.folder.join(format!("service-{queue_type}.log")),
        };
        let collector = Collector::start(
            &guard,
            &props.client,
            &broker.urls(),
            queue_type,
            &props.folder.join(format!("collector-{queue_type}.log")),
            &ledger,
        )?;
        let service = Service::start(&guard, &plan, &ledger)?;
        let mut scene = Self {
            services: vec![service],
            collector,
            idle_since: Mutex::default(),
            proxy,
            broker,
            guard,
            props: props.clone(),
            plan,
            ledger,
            operator_restarts: 0,
            // The generator stands still at zero.
            random: props.seed.max(1),
        };
        if scene.wait_until_healthy(BOOT_TIMEOUT)? {
            return Ok(scene);
        }
        Err(io::Error::other(format!("failed to set the scene: {}", scene.complaint())))
    }

    /// Queues of the broker without a leader: nothing is confirmed to or taken from them.
    pub(super) fn leaderless_queues(&self) -> io::Result<String> {
        let ask = "[N || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue, \
             {resource, _, _, N} <- [amqqueue:get_name(Q)], \
             ra_leaderboard:lookup_leader(element(1, amqqueue:get_pid(Q))) =:= undefined].";
        let answer = self.broker.node().ctl(&["eval", ask])?;
        Ok(answer.trim().trim_matches(['[', ']']).to_owned())
    }

    /// The node that leads the busiest queue.
    pub(super) fn leader(&self) -> io::Result<usize> {
        match &self.broker {
            Broker::Node(_) => Ok(0),
            Broker::Cluster(cluster) => cluster.leader_of(WORK_QUEUES[0]),
        }
    }

    /// Waits until every queue of the cluster can do without any one node.
    pub(super) fn wait_until_quorum_holds(&self) -> io::Result<()> {
        let ask = "length(rabbit_quorum_queue:list_with_minimum_quorum()).";
        for node in self.broker.nodes() {
            let holds = wait_until(QUORUM_TIMEOUT, || {
                Ok((node.ctl(&["eval", ask])?.trim() == "0").then_some(()))
            })?;
            if holds.is_none() {
                lock(&self.ledger).incident("the queues do not get their quorum back");
            }
        }
        Ok(())
    }

    /// Replaces the service by one with a planted defect.
    pub(super) fn plant(&mut self, defect: &'static str) -> io::Result<()> {
        // It may not be able to end in order.
        self.services.clear();
        self.plan.defect = Some(defect);
        self.start_service()?;
        self.wait_until_healthy(BOOT_TIMEOUT).map(drop)
    }

    /// Starts another instance of the service.
    pub(super) fn start_service(&mut self) -> io::Result<()> {
        self.services.push(Service::start(&self.guard, &self.plan, &self.ledger)?);
        Ok(())
    }

    /// Starts the foreign publisher: `count` messages, or without end if it is 0.
    pub(super) fn publish(
        &self,
        prefix: &str,
        rate: u32,
        count: u32,
        mix: &str,
    ) -> io::Result<Program> {
        let arguments = [
            self.broker.urls(),
            prefix.to_owned(),
            rate.to_string(),
            count.to_string(),
            mix.to_owned(),
        ];
        let log = self.folder().join(format!("publisher-{}.log", self.plan.queue_type));
        publisher(&self.guard, &self.props.client, &arguments, &log, &self.ledger)
    }

    fn folder(&self) -> &Path {
        &self.props.folder
    }

    /// Waits until every instance is ready and the collector collects. An instance whose process has
    /// ended is started again, as an orchestrator would.
    pub(super) fn wait_until_healthy(&mut self, timeout: Duration) -> io::Result<bool> {
        let (begun, mut since) = (Instant::now(), Instant::now());
        while begun.elapsed() < timeout && !interrupt::is_requested() {
            self.collector.must_run()?;
            self.replace_the_dead()?;
            if self.is_healthy() {
                return Ok(true);
            }
            if since.elapsed() > OPERATOR_PATIENCE && self.operator_restarts < OPERATOR_RESTARTS_MAX
            {
                self.operator_restarts += 1;
                println!("    the operator restarts the broker: {}", self.complaint());
                self.broker.nodes().iter().try_for_each(RabbitNode::restart)?;
                since = Instant::now();
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(self.is_healthy())
    }

    /// Ends the longest running instance in order; anything but an orderly end is an incident.
    pub(super) fn end_first_service(&mut self) -> io::Result<()> {
        let (ended_well, health) = self.services.remove(0).terminate()?;
        let report = health.stopped.unwrap_or_default();
        if !ended_well || !report.contains("everything in flight has ended") {
            let what = format!("a service did not end in order when it was asked to: {report}");
            lock(&self.ledger).incident(what);
        }
        Ok(())
    }

    /// A number below `limit`; the same row of them for the same seed.
    pub(super) const fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    pub(super) fn replace_the_dead(&mut self) -> io::Result<()> {
        for index in 0..self.services.len() {
            if !self.services[index].is_running() {
                self.services[index] = Service::start(&self.guard, &self.plan, &self.ledger)?;
            }
        }
        Ok(())
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.is_ready() && lock(&self.collector.state).up
    }

    pub(super) fn is_ready(&self) -> bool {
        self.services.iter().all(|service| service.health().ready)
    }

    /// What stands in the way of health.
    pub(super) fn complaint(&self) -> String {
        let mut complaints: Vec<String> = self
            .services
            .iter()
            .map(Service::health)
            .filter(|health| !health.ready)
            .map(|health| format!("the service is not ready ({})", health.reason))
            .collect();
        if !lock(&self.collector.state).up {
            complaints.push("the collector does not collect".to_owned());
        }
        complaints.join(", ")
    }

    /// Waits for a condition while watching; gives whether it came true.
    pub(super) fn wait_for(&self, timeout: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let waited = wait_until(timeout, || {
            self.look_for_idleness();
            Ok((interrupt::is_requested() || holds(self)).then_some(()))
        });
        waited.is_ok_and(|waited| waited.is_some()) && !interrupt::is_requested()
    }

    /// Lets things go on for a while.
    pub(super) fn let_pass(&self, time: Duration) {
        self.wait_for(time, |_| false);
    }

    /// Looks for a service that says that it is ready and does nothing although there is work.
    fn look_for_idleness(&self) {
        let mut since = lock(&self.idle_since);
        let Some(queue) = self.waiting().filter(|_| self.is_healthy()) else {
            *since = None;
            return;
        };
        let begun = *since.get_or_insert_with(Instant::now);
        let mut ledger = lock(&self.ledger);
        if begun.elapsed() > IDLE_MAX && ledger.last_run().elapsed() > IDLE_MAX {
            ledger.incident(format!("green and idle: `{queue}` has messages and nothing runs"));
            *since = None;
        }
    }

    /// A queue with waiting messages, by fresh news.
    fn waiting(&self) -> Option<String> {
        let state = lock(&self.collector.state);
        WORK_QUEUES
            .iter()
            .find(|queue| {
                let depth = state.depths.get(**queue);
                depth.is_some_and(|(ready, when)| *ready > 0 && when.elapsed() < DEPTH_AGE_MAX)
            })
            .map(|queue| (*queue).to_owned())
    }
}
