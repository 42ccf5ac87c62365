//! Schemas at build time: one JSON Schema file per message and version, written by a build script.
//!
//! In: the messages that the build script includes. Out: files that are the same bytes on every
//! machine, to be committed and given to peers.
//!
//! ```no_run
//! // build.rs, with `mmate` as a build-dependency with `default-features = false, features = ["macros"]`:
//! // #[path = "src/contracts.rs"]
//! // mod contracts;
//! mmate::build::contracts().write_to("schemas").run();
//! ```
//!
//! A contracts crate works the same: make it a build-dependency and name it with `use contracts as _;`.

use std::path::PathBuf;

use crate::contract::export::write_schemas;
use crate::contract::registered_messages;

/// The messages that are linked into this build script.
pub fn contracts() -> Contracts {
    Contracts { folder: None }
}

/// What to do with the contracts.
#[derive(Clone, Debug)]
#[must_use = "nothing is written before `run`"]
pub struct Contracts {
    folder: Option<PathBuf>,
}

impl Contracts {
    /// Writes a schema file per message and version into this folder, relative to the package.
    pub fn write_to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Does it. A mistake fails the build with its reason.
    pub fn run(self) {
        let messages = registered_messages();
        if messages.is_empty() {
            println!(
                "cargo::error=no message is linked into this build script; include the module with \
                 `#[path = \"src/contracts.rs\"] mod contracts;`, or name the crate with `use contracts as _;`"
            );
        }
        for info in &messages {
            println!("cargo::rerun-if-changed={}", info.location.file);
        }
        if let Some(folder) = &self.folder
            && let Err(error) = write_schemas(folder, &messages)
        {
            println!(
                "cargo::error=the schemas were not written to `{}`: {error}",
                folder.display()
            );
        }
    }
}
