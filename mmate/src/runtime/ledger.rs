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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Source;
    use crate::observability::{Fate, Ledger, LedgerOptions, Note};

    #[test]
    fn a_folder_is_added_up_for_people_and_for_programs() {
        let dir = std::env::temp_dir().join(format!("mmate-ledger-{}", Source::system().id()));
        let options = LedgerOptions::new("shop", "a").dir(&dir).full(true);
        let ledger = Ledger::open(options, Source::system()).unwrap();
        let account = ledger.route("cmd.shop.Pay", "pay");
        account.record(Fate::Handled, Note::new("1", 1));
        account.record(Fate::Handled, Note::new("1", 2));
        account.record(Fate::DeadLettered, Note::new("2", 1).because("panic"));
        let (text, json) = (show(&dir, false).unwrap(), show(&dir, true).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(text.contains("cmd.shop.Pay pay  handled"), "{text}");
        assert!(text.ends_with("1 files; 3 deliveries ended\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let handled = &json["totals"][0];
        assert_eq!((&handled["fate"], &handled["count"]), (&"handled".into(), &2.into()));
        assert_eq!(handled["messages"], 1, "one of the two lines is a repetition");
        assert_eq!(json["rows"][1]["reason"], "panic");
        let gone = show(&dir, false).unwrap_err().to_string();
        assert!(gone.contains("cannot be read"), "{gone}");
    }

    #[test]
    fn the_command_takes_a_folder_and_json() {
        let matches = command().try_get_matches_from(["ledger", "--dir", "x", "--json"]).unwrap();
        assert!(matches.get_flag("json"));
        assert_eq!(matches.get_one::<String>("dir").map(String::as_str), Some("x"));
    }
}
