//! Who the running service is.

use std::sync::OnceLock;

/// Name and version of the service, by default those of its crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// How many threads run the handlers; as many as there are processors if not said.
    pub worker_threads: Option<usize>,
    /// What is logged where `MMATE_LOG` is not set, such as `warn`.
    pub log: &'static str,
    /// Flags of the program's own, each with its help text.
    pub flags: &'static [(&'static str, &'static str)],
}

static CURRENT: OnceLock<ServiceInfo> = OnceLock::new();

impl ServiceInfo {
    /// A service; the macros give the crate's name and version.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, worker_threads: None, log: "info", flags: &[] }
    }

    /// Sets how many threads run the handlers.
    #[must_use]
    pub const fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = Some(threads);
        self
    }

    /// Sets what is logged where `MMATE_LOG` is not set, such as `warn` or `off`.
    #[must_use]
    pub const fn log(mut self, log: &'static str) -> Self {
        self.log = log;
        self
    }

    /// Adds flags to the command line, each with its help text. A flag that is given sets the
    /// configuration key of its name: `--dry-run` sets `dry_run` to true.
    #[must_use]
    pub const fn flags(mut self, flags: &'static [(&'static str, &'static str)]) -> Self {
        self.flags = flags;
        self
    }

    /// Makes it the service of this process. Only the first call counts.
    pub(crate) fn make_current(self) {
        let _ = CURRENT.set(self);
    }

    /// The service of this process, as `#[mmate::main]` or `#[mmate::test]` said.
    pub(crate) fn current() -> Self {
        CURRENT.get().copied().unwrap_or(Self::new("service", "0.0.0"))
    }
}
