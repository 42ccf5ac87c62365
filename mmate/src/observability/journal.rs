//! The files of a ledger: a line for every fate, or the sums from time to time.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::account::Note;
use super::fate::Fate;
use super::ledger::{LedgerOptions, Sum};
use crate::contract::Source;
use crate::contract::envelope::format_timestamp;

/// The endings of the two kinds of files.
pub(super) const LINES: &str = "jsonl";
pub(super) const SNAPSHOT: &str = "json";

/// One fate as it stands in the file of a full ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line<'a> {
    /// When it was decided, RFC 3339 in UTC.
    pub time: Cow<'a, str>,
    /// The service.
    pub service: Cow<'a, str>,
    /// The process of the service.
    pub instance: Cow<'a, str>,
    /// The queue of a delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Cow<'a, str>>,
    /// The handler of a delivery; `-` where none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<Cow<'a, str>>,
    /// The type of a publish.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<Cow<'a, str>>,
    /// The message's id.
    pub message_id: Cow<'a, str>,
    /// What became of it.
    pub fate: Fate,
    /// Why, as a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

impl<'a> Line<'a> {
    pub(super) fn of(fate: Fate, note: Note<'a>) -> Self {
        Self {
            time: Cow::default(),
            service: Cow::default(),
            instance: Cow::default(),
            queue: None,
            handler: None,
            message_type: None,
            message_id: note.id.into(),
            fate,
            reason: note.reason.map(Cow::from),
            attempt: note.attempt,
        }
    }
}

/// Appends lines to the file of one process.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    service: String,
    instance: String,
    source: Source,
    unwritten: AtomicU64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Journal {
    pub(super) fn open(options: &LedgerOptions, source: Source) -> Result<Self, LedgerError> {
        let path = options.path(LINES).ok_or_else(LedgerError::no_dir)?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| LedgerError::io("cannot be written", &path, error))?;
        let (service, instance) = (options.service.clone(), options.instance.clone());
        Ok(Self { file, path, service, instance, source, unwritten: AtomicU64::new(0) })
    }

    /// Writes a line with one call of the system and no buffer: a process that is killed the next moment
    /// has written it. `O_APPEND` keeps lines of several threads whole.
    pub(super) fn append<'a>(&'a self, mut line: Line<'a>) {
        let time = format_timestamp(self.source.now());
        (line.time, line.service, line.instance) =
            (time.into(), self.service.as_str().into(), self.instance.as_str().into());
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            (&self.file).write_all(&text)
        });
        // A full disk must not stop the service; that lines are missing is said, once and at the end.
        if let Err(error) = written
            && self.unwritten.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::error!(path = %self.path.display(), %error, "the ledger cannot be written; its lines are missing from now on");
        }
    }

    /// How many lines could not be written.
    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

/// The sums of one process, as they stand in its file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) time: String,
    pub(super) service: String,
    pub(super) instance: String,
    pub(super) sums: Vec<Sum>,
}

impl Snapshot {
    /// Replaces the file in one step: who reads it sees the old sums or the new ones.
    pub(super) fn write(&self, path: &Path) -> Result<(), LedgerError> {
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let draft = path.with_extension("json.draft");
        let written =
            text.and_then(|text| fs::write(&draft, text)).and_then(|()| fs::rename(&draft, path));
        written.map_err(|error| LedgerError::io("cannot be written", path, error))
    }
}

/// A ledger's file or folder that cannot be used.
#[derive(Debug)]
pub struct LedgerError {
    text: String,
    source: Option<io::Error>,
}

impl LedgerError {
    pub(super) fn io(what: &str, path: &Path, source: io::Error) -> Self {
        Self { text: format!("the ledger `{}` {what}", path.display()), source: Some(source) }
    }

    pub(super) fn no_dir() -> Self {
        let text = "a full ledger needs a folder: set `ledger.dir`".to_owned();
        Self { text, source: None }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LedgerError {}
