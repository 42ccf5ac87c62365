//! The command `ledger`: the sum of what became of all messages.

use std::path::Path;

use clap::{Arg, ArgAction};

use super::config::Settings;
use crate::error::{Error, Result};
use crate::observability::LedgerReport;

/// What it accepts.
pub(super) fn command() -> clap::Command {
    let dir = Arg::new("dir")
        .long("dir")
        .value_name("DIR")
        .help("The folder of the ledger, instead of `ledger.dir`");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    clap::Command::new("ledger")
        .about("Add up what became of all messages, by queue, handler and fate")
        .arg(dir)
        .arg(json)
}

/// The sum over a folder.
///
/// # Errors
/// If it cannot be read.
pub(super) fn show(dir: &Path, json: bool) -> Result<String> {
    let report = LedgerReport::read(dir).map_err(|error| Error::Command(error.to_string()))?;
    if !json {
        return Ok(report.to_string());
    }
    let text = serde_json::to_string_pretty(&report).map_err(|error| {
        Error::Command(format!("the ledger cannot be written as JSON: {error}"))
    })?;
    Ok(text + "\n")
}

/// The sum over the folder of the configuration.
///
/// # Errors
/// If none is configured, or it cannot be read.
pub(super) fn show_configured(settings: &Settings, json: bool) -> Result<String> {
    let dir = settings.ledger_dir.as_deref().ok_or_else(|| {
        Error::Command(
            "no ledger is kept: set `ledger.dir`, or name a folder with `--dir`".to_owned(),
        )
    })?;
    show(dir, json)
}
