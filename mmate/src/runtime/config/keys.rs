//! The keys that Mmate itself reads: name, default, meaning.

/// A key of the framework.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    /// Never shown.
    pub(super) secret: bool,
}

const fn key(name: &'static str, default: &'static str) -> Key {
    Key { name, default: Some(default), secret: false }
}

const fn unset(name: &'static str) -> Key {
    Key { name, default: None, secret: false }
}

/// All of them. Durations are texts like `30s`; sizes are bytes.
pub(super) const KEYS: &[Key] = &[
    // The broker, credentials included (or in the file of `MMATE_URL_FILE`): `memory://`, `amqp://..` or `amqps://..`.
    // Several `amqp://a,amqp://b` stand in for each other, such as the nodes of a cluster.
    key("url", "memory://"),
    unset("service.name"),
    unset("service.version"),
    // Unsettled deliveries per queue that the broker may hand over in advance.
    key("consume.prefetch", "100"),
    // Messages of one queue that are handled at a time.
    key("consume.concurrency", "10"),
    key("consume.timeout", "30s"),
    // Deliveries of one message that may end without a word before it is dead-lettered.
    key("consume.redeliveries_max", "20"),
    // Without a message for so long while the queue holds some, the broker has forgotten the consumer.
    key("consume.stall_after", "60s"),
    // So long after it came a message no longer waits in the process for a limit of its handler. Below the
    // time after which the broker takes away what is not acknowledged (RabbitMQ: 30 min).
    key("consume.hold_max", "25m"),
    key("consume.validate", "true"),
    key("publish.timeout", "30s"),
    key("publish.validate", "false"),
    // Messages of `publish_later` that the broker has not confirmed; beyond it who publishes waits.
    key("publish.later_max", "10000"),
    // How long a request waits for its reply, where the call does not say.
    key("bridge.timeout", "30s"),
    // Requests of this process that wait for their replies at a time.
    key("bridge.max_concurrent", "200"),
    // How many more may wait for one of these places; with 0 the next is refused at once.
    key("bridge.waiting_max", "1000"),
    // Whether a request may go to a handler of this process without the broker.
    key("bridge.local", "false"),
    // How much later than its deadline a request is still begun, since no two clocks agree.
    key("bridge.clock_skew", "1s"),
    // Where instances of workflows are kept: `auto` (in memory beside the broker in memory, else in their messages
    // alone), `none` (in their messages alone), `memory://`, `sqlite://..` or `postgres://..`.
    Key { name: "workflows.store", default: Some("auto"), secret: true },
    // How long a process counts as alive after it was heard of; its instances are free after that.
    key("workflows.lease", "15s"),
    // After which time without a change an instance is announced once more.
    key("workflows.lost_after", "1m"),
    // How often it is looked for such instances.
    key("workflows.check_every", "10s"),
    // Stages that a sibling runs, like `order-processing.ship`: their queues are neither declared nor consumed here.
    key("workflows.elsewhere", ""),
    // What becomes of a boot when instances live on a version that the program lacks: `refuse`, or `leave` them to
    // processes that have it, as during a rolling update.
    key("workflows.missing", "refuse"),
    // How long ended instances are kept, and mail that nobody has read.
    key("workflows.keep", "30d"),
    // How errors of a class are tried again, where the handler says nothing: calls in all, the growth of
    // the waits like `exponential(1s, 1m)`, and the part of a wait that is random, from 0 to 1.
    unset("retry.classes.transient.attempts"),
    unset("retry.classes.transient.backoff"),
    unset("retry.classes.transient.jitter"),
    unset("retry.classes.throttle.attempts"),
    unset("retry.classes.throttle.backoff"),
    unset("retry.classes.throttle.jitter"),
    unset("retry.classes.system.attempts"),
    unset("retry.classes.system.backoff"),
    unset("retry.classes.system.jitter"),
    unset("retry.classes.unknown.attempts"),
    unset("retry.classes.unknown.backoff"),
    unset("retry.classes.unknown.jitter"),
    // Tables that give a class to errors by their text: `{ handler, error, class, always }`.
    unset("retry.rules"),
    // `quorum` or `classic`.
    key("queues.type", "quorum"),
    key("wire.mirror_headers", "false"),
    // Headers that follow a flow, like `tenant,user`: copied to what a handler publishes.
    key("wire.flow_headers", ""),
    // The largest body that is sent or opened: half of what RabbitMQ 4 accepts, so that whatever comes
    // in can also be moved to a dead-letter queue.
    key("limits.message_bytes_max", "8388608"),
    // The folder of the fate ledger; in memory only if not set.
    unset("ledger.dir"),
    // A line for every fate, for audits and tests, instead of the sums every `ledger.every`.
    key("ledger.full", "false"),
    key("ledger.every", "5s"),
    key("boot.connect_timeout", "5s"),
    // Keep trying while the broker cannot be reached.
    key("boot.wait", "false"),
    key("shutdown.drain", "20s"),
    key("shutdown.force", "60s"),
    // Messages in a dead-letter queue from which on an alert is raised; 0 for never.
    key("dead_letters.alert_at", "100"),
    // How often the depth of dead-letter queues is looked at, beside after every dead letter.
    key("dead_letters.check_every", "30s"),
    unset("tls.ca_file"),
    unset("tls.identity_file"),
    Key { name: "tls.identity_password", default: None, secret: true },
];

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that an environment variable (without `MMATE_`, in lower case) means.
pub(super) fn from_variable(variable: &str) -> String {
    let known = KEYS.iter().find(|key| key.name.replace('.', "_") == variable);
    known.map_or_else(|| variable.replace("__", "."), |key| key.name.to_owned())
}

/// True if Mmate owns the section, so that an unknown key in it is a mistake.
pub(super) fn owns(name: &str) -> bool {
    let section = name.split('.').next().unwrap_or(name);
    KEYS.iter().any(|key| key.name.split('.').next() == Some(section))
}

/// The known key that looks most like a wrong one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let distance = |key: &Key| edit_distance(name, key.name);
    let best = KEYS.iter().min_by_key(|key| distance(key))?;
    (distance(best) <= name.len() / 2).then_some(best.name)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(left != *right);
            diagonal = *cell;
            previous = cost.min(previous + 1).min(*cell + 1);
            *cell = previous;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
