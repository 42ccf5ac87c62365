//! Writes the schemas of messages into a folder, one file per message and version.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::MessageInfo;
use super::schema::{file_name, file_text};

/// What writing a folder of schemas did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Files that are new or have changed.
    pub changed: Vec<String>,
    /// Files that were as they should be.
    pub unchanged: Vec<String>,
    /// Schema files of messages that are no longer there. They are left alone: a deployed peer may
    /// still need them.
    pub stale: Vec<String>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (changed, unchanged, stale) =
            (self.changed.len(), self.unchanged.len(), self.stale.len());
        write!(f, "{changed} written, {unchanged} unchanged")?;
        if stale > 0 {
            write!(f, ", {stale} of no known message: {}", self.stale.join(", "))?;
        }
        Ok(())
    }
}

/// Writes the schemas. Files that hold the right bytes are not touched, so builds stay fresh.
///
/// # Errors
/// If the folder cannot be written, or if two different messages would share a file.
pub fn write_schemas(folder: &Path, messages: &[&'static MessageInfo]) -> io::Result<Written> {
    let mut files: BTreeMap<String, (String, &'static MessageInfo)> = BTreeMap::new();
    for info in messages {
        let text = file_text(info);
        let (known, other) = files.entry(file_name(info)).or_insert_with(|| (text.clone(), info));
        if *known != text {
            let error = format!(
                "two messages travel as `{}` version {}: {} and {}",
                info.name, info.version, other.location, info.location
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
        }
    }
    std::fs::create_dir_all(folder)?;
    let mut written = Written { stale: stale(folder, &files)?, ..Written::default() };
    for (name, (text, _)) in files {
        let path = folder.join(&name);
        if std::fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
            written.unchanged.push(name);
        } else {
            std::fs::write(&path, text)?;
            written.changed.push(name);
        }
    }
    Ok(written)
}

fn stale<V>(folder: &Path, files: &BTreeMap<String, V>) -> io::Result<Vec<String>> {
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let is_schema = name.strip_suffix(".json").is_some_and(|stem| stem.contains(".v"));
        if is_schema && !files.contains_key(&name) {
            stale.push(name);
        }
    }
    stale.sort();
    Ok(stale)
}
