//! Node with amqplib.

use std::io;

use super::Language;
use crate::servers::process::guarded;
use crate::servers::programs::{Prefer, find_program};

pub(super) const NODE: Language = Language {
    name: "node",
    // Debian's own one may be newer than another one on the PATH.
    interpreters: &["node", "/usr/bin/node"],
    runs: &["-e", "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"],
    loads: &["-e", "if (parseInt(process.versions.node) < 18) process.exit(1); require('amqplib')"],
    options: &[],
    variable: "NODE_PATH",
    libraries: "node_modules",
    install: |_, folder| {
        let npm = find_npm().ok_or_else(|| io::Error::other("failed to find npm"))?;
        let mut command = guarded(npm);
        command.arg("install").arg("--prefix").arg(folder).arg("amqplib@^0.10");
        command.args(["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]);
        // Nothing that is downloaded runs before a test runs it.
        command.arg("--ignore-scripts");
        Ok(command)
    },
    // Where both are there it is something else, such as the network, and no package would help.
    packages: |node| {
        let missing = [("nodejs", !node.is_there()), ("npm", find_npm().is_none())];
        missing.into_iter().filter_map(|(name, missing)| missing.then_some(name)).collect()
    },
    what_to_do: "install Node 18 or later with npm (Debian's `nodejs` and `npm`), which gets amqplib by itself, \
        or amqplib where that Node finds it (NODE_PATH)",
};

fn find_npm() -> Option<std::path::PathBuf> {
    find_program("npm", &["/usr/bin"], Prefer::Path)
}
