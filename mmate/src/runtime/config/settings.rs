//! The framework's own settings, parsed and checked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Config, ConfigError};
use crate::contract::address::check_name;
use crate::publish::IntoDuration;
use crate::reliability::RetrySettings;
use crate::transport::QueueKind;

/// Every limit and default of a running app, with its unit in its type or name.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The broker's URL. Holds the password, so `Debug` does not show it.
    pub(crate) url: String,
    /// The service's name: in queue names, `app_id` and logs.
    pub service: String,
    /// The service's version.
    pub version: String,
    /// Unsettled deliveries per queue that the broker may hand over in advance.
    pub prefetch: u16,
    /// Messages of one queue that are handled at a time.
    pub concurrency: u16,
    /// How long one call of a handler may take.
    pub handler_timeout: Duration,
    /// Deliveries of one message that may end without a word before it is dead-lettered.
    pub redeliveries_max: u32,
    /// Without a message for so long while the queue holds some, a consumer subscribes anew.
    pub stall_after: Duration,
    /// How long after it came a message goes back to the broker that still waits for a limit of its handler.
    pub hold_max: Duration,
    /// Whether payloads are checked against their schema before the handler.
    pub validate_consumed: bool,
    /// Whether payloads are checked against their schema before they leave.
    pub validate_published: bool,
    /// How long a publish may wait for the broker's confirm, outages included.
    pub publish_timeout: Duration,
    /// How many messages may be accepted to be published later and not be confirmed yet.
    pub publish_later_max: usize,
    /// How long a request waits for its reply where the call does not say.
    pub bridge_timeout: Duration,
    /// How many requests wait for their replies at a time.
    pub bridge_max_concurrent: usize,
    /// How many more may wait for one of these places.
    pub bridge_waiting_max: usize,
    /// Whether a request may go to a handler of this process without the broker.
    pub bridge_local: bool,
    /// How much later than its deadline a request is still begun.
    pub bridge_clock_skew: Duration,
    /// Where instances of workflows are kept. May hold a password, so `Debug` does not show it.
    pub(crate) workflows_store: String,
    /// How long a process counts as alive after it was heard of.
    pub workflows_lease: Duration,
    /// After which time without a change an instance is announced once more.
    pub workflows_lost_after: Duration,
    /// How often it is looked for such instances.
    pub workflows_check_every: Duration,
    /// Whether instances whose version the program lacks are left to other processes.
    pub workflows_leave_missing: bool,
    /// Stages that a sibling runs.
    pub workflows_elsewhere: Vec<String>,
    /// How long ended instances are kept.
    pub workflows_keep: Duration,
    /// What failures mean where neither the handler nor the error says it.
    pub retry: RetrySettings,
    /// The kind of queue for handlers that say nothing.
    pub queue_kind: QueueKind,
    /// Headers that go from the message being handled to what is published meanwhile.
    pub flow_headers: Vec<String>,
    /// Whether the ids are written as headers too.
    pub mirror_headers: bool,
    /// The largest body, in bytes.
    pub message_bytes_max: usize,
    /// The folder of the fate ledger; in memory only if not set.
    pub ledger_dir: Option<PathBuf>,
    /// Whether the ledger gets a line for every fate, instead of the sums from time to time.
    pub ledger_full: bool,
    /// How often the sums of the ledger are written.
    pub ledger_every: Duration,
    /// How long the boot tries to reach the broker.
    pub connect_timeout: Duration,
    /// Whether the boot goes on trying after that.
    pub wait: bool,
    /// How long handlers may go on after a stop was asked for.
    pub drain_timeout: Duration,
    /// After which everything ends, however it stands.
    pub force_timeout: Duration,
    /// Messages in a dead-letter queue from which on an alert is raised; 0 for never.
    pub dead_letters_alert_at: u64,
    /// How often the depth of dead-letter queues is looked at, beside after every dead letter.
    pub dead_letters_check_every: Duration,
    #[cfg(feature = "amqp")]
    /// Certificates of authorities to trust beside the system's, a PEM file.
    pub tls_ca_file: Option<PathBuf>,
    #[cfg(feature = "amqp")]
    /// The client's certificate and key, a PKCS#12 file.
    pub tls_identity_file: Option<PathBuf>,
    #[cfg(feature = "amqp")]
    /// The password of that file.
    pub(crate) tls_identity_password: Option<String>,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_config(config: &Config) -> Result<Self, Vec<ConfigError>> {
        let mut read = Reader { config, errors: Vec::new() };
        let settings = Self {
            url: read.get("url"),
            service: read.get("service.name"),
            version: read.get("service.version"),
            prefetch: read.positive("consume.prefetch"),
            concurrency: read.positive("consume.concurrency"),
            handler_timeout: read.duration("consume.timeout"),
            redeliveries_max: read.get("consume.redeliveries_max"),
            stall_after: read.duration("consume.stall_after"),
            hold_max: read.duration("consume.hold_max"),
            validate_consumed: read.get("consume.validate"),
            validate_published: read.get("publish.validate"),
            publish_timeout: read.duration("publish.timeout"),
            publish_later_max: usize::try_from(read.positive::<u32>("publish.later_max"))
                .unwrap_or(usize::MAX),
            bridge_timeout: read.duration("bridge.timeout"),
            bridge_max_concurrent: usize::from(read.positive::<u16>("bridge.max_concurrent")),
            bridge_waiting_max: read.get("bridge.waiting_max"),
            bridge_local: read.get("bridge.local"),
            bridge_clock_skew: read.duration("bridge.clock_skew"),
            workflows_store: read.get("workflows.store"),
            workflows_lease: read.duration("workflows.lease"),
            workflows_lost_after: read.duration("workflows.lost_after"),
            workflows_check_every: read.duration("workflows.check_every"),
            workflows_leave_missing: read.leave_missing("workflows.missing"),
            workflows_elsewhere: read.names("workflows.elsewhere"),
            workflows_keep: read.duration("workflows.keep"),
            retry: super::retries::read(config, &mut read.errors),
            queue_kind: read.queue_kind("queues.type"),
            flow_headers: read.names("wire.flow_headers"),
            mirror_headers: read.get("wire.mirror_headers"),
            message_bytes_max: read.get("limits.message_bytes_max"),
            ledger_dir: read.find("ledger.dir"),
            ledger_full: read.get("ledger.full"),
            ledger_every: read.duration("ledger.every"),
            connect_timeout: read.duration("boot.connect_timeout"),
            wait: read.get("boot.wait"),
            drain_timeout: read.duration("shutdown.drain"),
            force_timeout: read.duration("shutdown.force"),
            dead_letters_alert_at: read.get("dead_letters.alert_at"),
            dead_letters_check_every: read.duration("dead_letters.check_every"),
            #[cfg(feature = "amqp")]
            tls_ca_file: read.find("tls.ca_file"),
            #[cfg(feature = "amqp")]
            tls_identity_file: read.find("tls.identity_file"),
            #[cfg(feature = "amqp")]
            tls_identity_password: read.find("tls.identity_password"),
        };
        read.check_service(&settings.service);
        if read.errors.is_empty() { Ok(settings) } else { Err(read.errors) }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Reads values and keeps the mistakes, so that all are reported at once.
struct Reader<'a> {
    config: &'a Config,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn get<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        let value = self.config.get(key);
        self.keep(value)
    }

    fn find<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.config.find(key);
        self.keep(value)
    }

    fn keep<T: Default>(&mut self, value: Result<T, ConfigError>) -> T {
        value.unwrap_or_else(|error| {
            self.errors.push(error);
            T::default()
        })
    }

    fn positive<T: DeserializeOwned + Default + PartialEq>(&mut self, key: &str) -> T {
        let number: T = self.get(key);
        if number == T::default() && self.errors.is_empty() {
            self.errors.push(ConfigError::wrong(key, "it is 0; at least 1 is needed"));
        }
        number
    }

    fn leave_missing(&mut self, key: &str) -> bool {
        let word: String = self.get(key);
        if !matches!(word.as_str(), "refuse" | "leave") {
            let text = format!("it is `{word}`; write `refuse` or `leave`");
            self.errors.push(ConfigError::wrong(key, &text));
        }
        word == "leave"
    }

    fn duration(&mut self, key: &str) -> Duration {
        let text: String = self.get(key);
        let parsed = text.as_str().into_duration().and_then(|duration| {
            if duration.is_zero() {
                Err("a duration of zero would end everything at once".to_owned())
            } else {
                Ok(duration)
            }
        });
        self.keep(parsed.map_err(|text| ConfigError::wrong(key, text)))
    }

    /// Names with commas between them.
    fn names(&mut self, key: &str) -> Vec<String> {
        let text: String = self.get(key);
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn queue_kind(&mut self, key: &str) -> QueueKind {
        match self.get::<String>(key).as_str() {
            "quorum" => QueueKind::Quorum,
            "classic" => QueueKind::Classic,
            _ => {
                self.errors.push(ConfigError::wrong(key, "write `quorum` or `classic`"));
                QueueKind::Quorum
            }
        }
    }

    fn check_service(&mut self, name: &str) {
        if let Err(why) = check_name(name) {
            self.errors.push(ConfigError::wrong("service.name", format!("the name {why}")));
        }
    }
}
