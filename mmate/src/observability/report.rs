//! Reads the files of a ledger and adds them up.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::fate::Fate;
use super::journal::{LINES, LedgerError, Line, SNAPSHOT, Snapshot};

/// One line of the sum: a queue and handler, or a type, with a fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportRow {
    /// The queue of deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The handler of deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// The type of publishes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// What became of them.
    pub fate: Fate,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often.
    pub count: u64,
    /// How many different messages that were, where every fate was written down. Fewer than `count`: some
    /// met the fate more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
}

/// Everything in the folder of a ledger, added up over all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerReport {
    /// The files that were read.
    pub files: usize,
    /// By queue and handler, then by type.
    pub rows: Vec<ReportRow>,
    /// Over all queues and types, by fate.
    pub totals: Vec<ReportRow>,
    /// Lines that could not be read. A process that is killed, or a full disk, may leave one half line.
    pub unreadable: u64,
}

type Key = (Option<String>, Option<String>, Option<String>, Fate, Option<String>);

/// A count, and which messages: a hash each, for a ledger may hold millions of them.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    lines: u64,
    messages: HashSet<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Tallies {
    rows: BTreeMap<Key, Tally>,
    totals: BTreeMap<Fate, Tally>,
    unreadable: u64,
}

impl LedgerReport {
    /// Reads all files of a folder.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn read(dir: &Path) -> Result<Self, LedgerError> {
        let unreadable = |error| LedgerError::io("cannot be read", dir, error);
        let mut paths = fs::read_dir(dir)
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>()
            })
            .map_err(unreadable)?;
        paths.sort();
        let mut tallies = Tallies::default();
        let mut files = 0;
        for path in &paths {
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(LINES) => tallies.add_lines(path)?,
                Some(SNAPSHOT) => tallies.add_snapshot(path)?,
                _ => continue,
            }
            files += 1;
        }
        Ok(tallies.report(files))
    }

    /// How often a fate was recorded, over all queues and types.
    #[must_use]
    pub fn count(&self, fate: Fate) -> u64 {
        self.totals.iter().filter(|row| row.fate == fate).map(|row| row.count).sum()
    }

    /// How many different messages met a fate, where every fate was written down.
    #[must_use]
    pub fn messages(&self, fate: Fate) -> Option<u64> {
        self.totals.iter().find(|row| row.fate == fate)?.messages
    }

    /// Deliveries that ended for good, each as often as it was recorded.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.totals.iter().filter(|row| row.fate.is_end()).map(|row| row.count).sum()
    }
}

impl Tallies {
    fn add_lines(&mut self, path: &PathBuf) -> Result<(), LedgerError> {
        let failed = |error| LedgerError::io("cannot be read", path, error);
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text).map_err(failed)? > 0 {
            match serde_json::from_slice::<Line<'_>>(&text) {
                Ok(line) => self.add_line(&line),
                Err(_) => self.unreadable += 1,
            }
            text.clear();
        }
        Ok(())
    }

    fn add_line(&mut self, line: &Line<'_>) {
        let own = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let key = (
            own(&line.queue),
            own(&line.handler),
            own(&line.message_type),
            line.fate,
            own(&line.reason),
        );
        let id = fingerprint(&line.message_id);
        for tally in [self.rows.entry(key).or_default(), self.totals.entry(line.fate).or_default()]
        {
            tally.count += 1;
            tally.lines += 1;
            tally.messages.insert(id);
        }
    }

    fn add_snapshot(&mut self, path: &PathBuf) -> Result<(), LedgerError> {
        let text =
            fs::read(path).map_err(|error| LedgerError::io("cannot be read", path, error))?;
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&text) else {
            self.unreadable += 1;
            return Ok(());
        };
        for sum in snapshot.sums {
            self.totals.entry(sum.fate).or_default().count += sum.count;
            let key = (sum.queue, sum.handler, sum.message_type, sum.fate, sum.reason);
            self.rows.entry(key).or_default().count += sum.count;
        }
        Ok(())
    }

    fn report(self, files: usize) -> LedgerReport {
        let row = |(queue, handler, message_type, fate, reason): Key, tally: Tally| ReportRow {
            queue,
            handler,
            message_type,
            fate,
            reason,
            count: tally.count,
            // Sums of another process name no messages: how many there are in all is then not known.
            messages: (tally.lines == tally.count).then_some(tally.messages.len() as u64),
        };
        // By queue first: `None` sorts before a name, and publishes have no queue.
        let (publishes, deliveries): (Vec<_>, Vec<_>) =
            self.rows.into_iter().partition(|((queue, ..), _)| queue.is_none());
        let rows = deliveries.into_iter().chain(publishes).map(|(key, tally)| row(key, tally));
        let rows = rows.collect();
        let total = |(fate, tally)| row((None, None, None, fate, None), tally);
        let totals = self.totals.into_iter().map(total).collect();
        LedgerReport { files, rows, totals, unreadable: self.unreadable }
    }
}

/// Two hashes of an id: that two of a billion ids share both is not to be expected.
fn fingerprint(id: &str) -> (u64, u64) {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, id).hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}

impl fmt::Display for LedgerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |row: &ReportRow| match (&row.queue, &row.handler, &row.message_type) {
            (Some(queue), Some(handler), _) => format!("{queue} {handler}"),
            (_, _, Some(name)) => format!("publish {name}"),
            _ => "all".to_owned(),
        };
        let rows: Vec<_> = self.rows.iter().chain(&self.totals).collect();
        let width = rows.iter().map(|row| place(row).len()).max().unwrap_or_default();
        for row in rows {
            write!(f, "{:width$}  {:13}  {:>9}", place(row), row.fate, row.count)?;
            if let Some(messages) = row.messages {
                write!(f, "  {messages:>9} messages")?;
            }
            match &row.reason {
                Some(reason) => writeln!(f, "  {reason}")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "{} files; {} deliveries ended", self.files, self.ends())?;
        if self.unreadable > 0 {
            writeln!(f, "{} lines could not be read", self.unreadable)?;
        }
        Ok(())
    }
}
