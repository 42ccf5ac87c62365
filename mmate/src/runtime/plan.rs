//! What a set of handlers needs: queues, bindings, limits. Pure; the boot, the listings and the tests
//! read the same plan.

use std::collections::BTreeMap;

use super::config::{Config, Settings};
use crate::contract::address::{
    self, binding_patterns, canonical_pattern, check_name, dead_letter_queue, default_queue,
    exchanges,
};
use crate::contract::{Kind, MessageInfo};
use crate::deadletter::DeadLetterQueue;
use crate::error::BootErrors;
use crate::handler::{HandlerEntry, HandlerOptions};
use crate::transport::{Capabilities, Capability, ExchangeKind, Queue, QueueKind, Topology};

/// A handler and the queue that it takes messages from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedHandler {
    /// The handler.
    pub entry: &'static HandlerEntry,
    /// Its queue.
    pub queue: String,
}

/// A queue with its consumer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueuePlan {
    /// The queue.
    pub queue: Queue,
    /// Where its failed messages go.
    pub dead_letter: Queue,
    /// Unsettled deliveries that the broker may hand over in advance.
    pub prefetch: u16,
    /// Messages that are handled at a time.
    pub concurrency: u16,
    /// The handlers.
    pub handlers: Vec<&'static HandlerEntry>,
    /// What must exist for this queue.
    pub topology: Topology,
}

/// Everything that a service needs on the broker.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The queues, by name.
    pub queues: Vec<QueuePlan>,
    /// What must exist in all.
    pub topology: Topology,
}

impl Plan {
    /// Plans for a set of handlers. `instance` tells the running instances of a service apart.
    ///
    /// # Errors
    /// Everything that is wrong with the handlers as a set, with file and line of each.
    pub fn make(
        handlers: &[&'static HandlerEntry],
        settings: &Settings,
        capabilities: Capabilities,
        instance: &str,
    ) -> Result<Self, BootErrors> {
        let mut errors = BootErrors::default();
        let mut by_queue: BTreeMap<String, Vec<&'static HandlerEntry>> = BTreeMap::new();
        for entry in handlers {
            by_queue.entry(queue_name(entry, settings, instance)).or_default().push(entry);
        }
        let mut plan = Self::default();
        declare_exchanges(&mut plan.topology);
        for (name, entries) in by_queue {
            check_handlers(&name, &entries, capabilities, &mut errors);
            plan.queues.push(QueuePlan::make(name, entries, settings, &mut errors));
        }
        finish_dead_letters(&mut plan.queues);
        for queue in &mut plan.queues {
            queue.topology = topology(&queue.queue, &queue.dead_letter, &queue.handlers, settings);
        }
        check_shared(handlers, &mut errors);
        for queue in &plan.queues {
            merge(&mut plan.topology, &queue.topology);
        }
        errors.or(plan)
    }

    /// Every handler with its queue.
    #[must_use]
    pub fn handlers(&self) -> Vec<PlannedHandler> {
        let of = |queue: &QueuePlan| {
            let name = queue.queue.name.clone();
            queue
                .handlers
                .iter()
                .map(move |entry| PlannedHandler { entry, queue: name.clone() })
                .collect::<Vec<_>>()
        };
        self.queues.iter().flat_map(of).collect()
    }

    /// Every dead-letter queue with the queues whose failed messages it takes, by name.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetterQueue> {
        let mut found: BTreeMap<&str, DeadLetterQueue> = BTreeMap::new();
        for plan in &self.queues {
            found
                .entry(&plan.dead_letter.name)
                .or_insert_with(|| DeadLetterQueue::new(plan.dead_letter.clone(), Vec::new()))
                .origins
                .push(plan.queue.name.clone());
        }
        found.into_values().collect()
    }
}

fn declare_exchanges(topology: &mut Topology) {
    for name in exchanges::TOPICS {
        topology.exchange(name, ExchangeKind::Topic);
    }
}

fn merge(all: &mut Topology, part: &Topology) {
    for queue in &part.queues {
        all.queue(queue.clone());
    }
    for binding in &part.bindings {
        all.bind(binding.exchange.clone(), binding.queue.clone(), binding.pattern.clone());
    }
}

fn queue_name(entry: &HandlerEntry, settings: &Settings, instance: &str) -> String {
    let name = match entry.options.queue {
        Some(queue) => queue.to_owned(),
        None => default_queue(entry.message, &settings.service, entry.options.group),
    };
    if entry.options.broadcast { format!("{name}.{instance}") } else { name }
}

impl QueuePlan {
    fn make(
        name: String,
        handlers: Vec<&'static HandlerEntry>,
        settings: &Settings,
        errors: &mut BootErrors,
    ) -> Self {
        let mut agree = Agreement { queue: &name, handlers: &handlers, errors };
        let concurrency = agree.on("concurrency", |o| o.concurrency);
        let prefetch = agree.on("prefetch", |o| o.prefetch);
        let kind = agree.on("queue_type", |o| o.queue_kind);
        let max_priority = agree.on("max_priority", |o| o.max_priority);
        let dead_letter = agree.on("dead_letter", |o| o.dead_letter);
        let broadcast = agree.on("broadcast", |o| o.broadcast.then_some(true)).is_some();

        let parked = dead_letter
            .map_or_else(|| dead_letter_queue(&shared_name(&name, broadcast)), str::to_owned);
        for name in [&name, &parked] {
            if let Err(why) = check_name(name) {
                errors.push(format!("queue `{name}` {why}\n{}", places(&handlers)));
            }
        }
        let concurrency = concurrency.unwrap_or(settings.concurrency);
        let kind = if broadcast {
            QueueKind::Exclusive
        } else {
            default_kind(kind, max_priority, settings)
        };
        let mut queue = Queue::new(name).kind(kind).dead_letter(parked.clone());
        queue.max_priority = max_priority;
        let dead_letter = Queue::new(parked).delivery_limit(LOOKS_MAX);
        let topology = Topology::default();
        let prefetch = prefetch.unwrap_or(settings.prefetch.max(concurrency));
        Self { queue, dead_letter, prefetch, concurrency, handlers, topology }
    }
}

/// How often a dead letter may be looked at and given back: as good as without limit. Otherwise
/// RabbitMQ 4 would give it up after 20 times.
const LOOKS_MAX: u32 = 1_000_000;

/// Gives every dead-letter queue the way back that its messages take when they are replayed.
///
/// Dead-letter queues are quorum queues, whatever `queues.type` says: what is parked waits for a
/// person, and the broker moves it back without a gap in which it could be lost or doubled. That
/// needs one queue to move it to, so one that several queues share has no way back; nor has one of
/// a broadcast, whose queue is gone with its instance.
fn finish_dead_letters(queues: &mut [QueuePlan]) {
    let specs: Vec<(Queue, String)> =
        queues.iter().map(|plan| (plan.queue.clone(), plan.dead_letter.name.clone())).collect();
    for plan in queues {
        let parked = &mut plan.dead_letter;
        if let Some((consumed, _)) = specs.iter().find(|(queue, _)| queue.name == parked.name) {
            // Somebody handles dead letters: it is declared as the queue of its handlers.
            *parked = consumed.clone();
        } else if specs.iter().filter(|(_, name)| *name == parked.name).count() == 1
            && plan.queue.kind != QueueKind::Exclusive
        {
            parked.dead_letter = Some(plan.queue.name.clone());
        }
    }
}

/// Broadcast queues carry the instance's name and are gone with it; what they park is not.
fn shared_name(name: &str, broadcast: bool) -> String {
    match name.rsplit_once('.') {
        Some((start, _)) if broadcast => start.to_owned(),
        _ => name.to_owned(),
    }
}

/// Priorities need a classic queue; otherwise the service's default holds.
fn default_kind(
    kind: Option<QueueKind>,
    max_priority: Option<u8>,
    settings: &Settings,
) -> QueueKind {
    kind.unwrap_or(if max_priority.is_some() { QueueKind::Classic } else { settings.queue_kind })
}

fn topology(
    queue: &Queue,
    dead_letter: &Queue,
    handlers: &[&'static HandlerEntry],
    settings: &Settings,
) -> Topology {
    let mut topology = Topology::default();
    declare_exchanges(&mut topology);
    // The dead-letter queue first: from the first delivery on there is a place for what fails.
    topology.queue(dead_letter.clone());
    topology.queue(queue.clone());
    for entry in handlers {
        for pattern in patterns(entry, &queue.name, settings) {
            topology.bind(address::exchange(entry.message.kind), &queue.name, pattern);
        }
    }
    topology
}

fn patterns(entry: &HandlerEntry, queue: &str, settings: &Settings) -> Vec<String> {
    if entry.options.unbound {
        return Vec::new();
    }
    if let Some(topic) = entry.options.topic {
        return vec![canonical_pattern(topic)];
    }
    let mut patterns = binding_patterns(entry.message, &settings.service);
    if matches!(entry.message.kind, Kind::Command | Kind::Query) {
        // Siblings that follow the family's documents send to the queue's own name.
        patterns.push(queue.to_owned());
    }
    patterns
}

/// Finds the one value that the handlers of a queue agree on.
struct Agreement<'a> {
    queue: &'a str,
    handlers: &'a [&'static HandlerEntry],
    errors: &'a mut BootErrors,
}

impl Agreement<'_> {
    fn on<T: PartialEq + Copy>(
        &mut self,
        key: &str,
        read: impl Fn(&HandlerOptions) -> Option<T>,
    ) -> Option<T> {
        let said: Vec<_> =
            self.handlers.iter().filter(|entry| read(&entry.options).is_some()).copied().collect();
        let first = said.first().and_then(|entry| read(&entry.options));
        if said.iter().any(|entry| read(&entry.options) != first) {
            let queue = self.queue;
            self.errors.push(format!(
                "handlers of queue `{queue}` say different things about `{key}`; a queue has one\n{}",
                places(&said)
            ));
        }
        first
    }
}

fn check_handlers(
    queue: &str,
    entries: &[&'static HandlerEntry],
    capabilities: Capabilities,
    errors: &mut BootErrors,
) {
    let mut by_type: BTreeMap<&str, Vec<&'static HandlerEntry>> = BTreeMap::new();
    for entry in entries {
        for name in entry.message.names() {
            by_type.entry(name).or_default().push(entry);
        }
    }
    for (name, entries) in by_type.into_iter().filter(|(_, entries)| entries.len() > 1) {
        errors.push(format!(
            "{} handlers take `{name}` from queue `{queue}`: give all but one a `group = \"..\"` or a `queue = \"..\"` \
             of its own\n{}",
            entries.len(),
            places(&entries)
        ));
    }
    for entry in entries {
        check_capabilities(entry, capabilities, errors);
        check_cache(entry, errors);
    }
}

/// `#[handler]` says the same while compiling; an entry may be made by hand.
fn check_cache(entry: &HandlerEntry, errors: &mut BootErrors) {
    let HandlerEntry { name, message, location, options, .. } = entry;
    let Some(policy) = options.cache.or(options.idempotent) else { return };
    if options.cache.is_some() && message.kind != Kind::Query {
        errors.push(format!(
            "handler `{name}` has a `cache`, and `{}` is a {}: only answers to queries are kept\n{location}",
            message.name,
            message.kind.as_str()
        ));
    }
    if policy.size == 0 || policy.ttl.is_zero() {
        let what = match options.cache {
            Some(_) => "has a `cache` that keeps nothing",
            None => "is `idempotent` and remembers nothing",
        };
        errors
            .push(format!("handler `{name}` {what}; `size` and `ttl` are at least 1\n{location}"));
    }
    if options.cache.is_some() && options.idempotent.is_some() {
        errors.push(format!(
            "handler `{name}` has a `cache` and is `idempotent`; a cached query is not handled again anyway\nhelp: remove `idempotent`\n{location}"
        ));
    }
}

/// What handlers share by name is one thing, so they must agree on it.
fn check_shared(handlers: &[&'static HandlerEntry], errors: &mut BootErrors) {
    let mut breakers = BTreeMap::new();
    let mut bulkheads = BTreeMap::new();
    for entry in handlers {
        let options = &entry.options;
        if let (Some(name), Some(policy)) = (options.breaker_name, options.breaker) {
            breakers.entry(name).or_insert_with(Vec::new).push((policy, *entry));
        }
        if let Some(bulkhead) = options.bulkhead {
            bulkheads.entry(bulkhead.name).or_insert_with(Vec::new).push((bulkhead, *entry));
            if bulkhead.places == 0 {
                errors.push(format!(
                    "bulkhead `{}` has no places, so nothing would ever be handled; it has at least 1\n{}",
                    bulkhead.name,
                    places(&[entry])
                ));
            }
        }
    }
    agree("circuit breaker", "figures", &breakers, errors);
    agree("bulkhead", "sizes", &bulkheads, errors);
}

fn agree<T: PartialEq>(
    what: &str,
    of: &str,
    by_name: &BTreeMap<&str, Vec<(T, &'static HandlerEntry)>>,
    errors: &mut BootErrors,
) {
    for (name, said) in by_name {
        if said.iter().any(|(value, _)| *value != said[0].0) {
            let entries: Vec<_> = said.iter().map(|(_, entry)| *entry).collect();
            errors.push(format!(
                "{what} `{name}` has different {of}; handlers that share it say the same, or give it another name\n{}",
                places(&entries)
            ));
        }
    }
}

fn check_capabilities(entry: &HandlerEntry, capabilities: Capabilities, errors: &mut BootErrors) {
    let options = &entry.options;
    let needs = [
        (Capability::Priority, options.max_priority.is_some(), "max_priority"),
        (Capability::Broadcast, options.broadcast, "broadcast"),
        (Capability::TopicPatterns, options.topic.is_some(), "topic"),
    ];
    for (capability, asked, key) in needs {
        if asked && !capabilities.has(capability) {
            errors.push(format!(
                "handler `{}` asks for `{key}`, and this transport has no {capability}\nhelp: {}\n{}",
                entry.name,
                capability.fallback(),
                entry.location
            ));
        }
    }
}

/// Two Rust types with one wire name would take each other's messages.
pub(super) fn check_messages(messages: &[&'static MessageInfo], errors: &mut BootErrors) {
    let mut by_name: BTreeMap<(&str, u32), &'static MessageInfo> = BTreeMap::new();
    for info in messages {
        for name in info.names() {
            let known = *by_name.entry((name, info.version)).or_insert(info);
            if (known.rust_name)() != (info.rust_name)() {
                errors.push(format!(
                    "two types travel as `{name}` version {}: `{}` and `{}`; give one of them another `name = \"..\"` \
                     or `version`\n{}\n{}",
                    info.version,
                    (known.rust_name)(),
                    (info.rust_name)(),
                    known.location,
                    info.location
                ));
            }
        }
    }
}

/// A rule for a handler that does not exist would never be applied, and nobody would notice.
pub(super) fn check_rules(
    handlers: &[&'static HandlerEntry],
    settings: &Settings,
    config: &Config,
    errors: &mut BootErrors,
) {
    for (index, rule) in settings.retry.rules.iter().enumerate() {
        let Some(wanted) = &rule.handler else { continue };
        if !handlers.iter().any(|entry| entry.name == wanted) {
            let names: Vec<&str> = handlers.iter().map(|entry| entry.name).collect();
            errors.push(format!(
                "configuration `retry.rules`: from {}: rule {}: there is no handler `{wanted}`; the handlers are `{}`",
                config.origin("retry.rules").unwrap_or("nowhere"),
                index + 1,
                names.join("`, `")
            ));
        }
    }
}

fn places(entries: &[&'static HandlerEntry]) -> String {
    let lines: Vec<String> =
        entries.iter().map(|entry| format!("`{}` at {}", entry.name, entry.location)).collect();
    lines.join("\n")
}
