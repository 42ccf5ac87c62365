//! Reads the layers and puts them on top of each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Config;
use super::keys::{self, KEYS};
use super::value::{ConfigError, Value};
use crate::runtime::ServiceInfo;

const PREFIX: &str = "MMATE_";
const FILE_SUFFIX: &str = "_FILE";

/// What to load. Tests give their own environment and no file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loader {
    service: Option<ServiceInfo>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: &'static [&'static str],
    code: Vec<(String, toml::Value)>,
}

impl Loader {
    /// The layers of a process: `mmate.toml` of the working folder (or `MMATE_CONFIG`), and its
    /// environment. `flags` were given on the command line.
    pub(crate) fn of_process(service: ServiceInfo, flags: &'static [&'static str]) -> Self {
        let file = std::env::var_os("MMATE_CONFIG").map(PathBuf::from);
        let file = file.or_else(|| Some(PathBuf::from("mmate.toml")).filter(|path| path.exists()));
        // A variable that is not UTF-8 cannot be one of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { service: Some(service), file, environment, flags, code: Vec::new() }
    }

    /// Only defaults and what code sets.
    #[cfg(feature = "testing")]
    pub(crate) fn empty(service: ServiceInfo) -> Self {
        Self { service: Some(service), ..Self::default() }
    }

    /// The layer on top.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<toml::Value>) {
        self.code.push((key.into(), value.into()));
    }

    /// All layers as one, and everything that is wrong with them.
    pub(crate) fn load(self) -> Result<Config, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut values = self.defaults();
        self.read_file(&mut values, &mut errors);
        self.read_environment(&mut values, &mut errors);
        for flag in self.flags {
            let value = Value::new(toml::Value::Boolean(true), format!("flag --{flag}"));
            values.insert(flag.replace('-', "_"), value);
        }
        for (key, value) in self.code {
            let value = Value::new(value, "code");
            values.insert(key, value);
        }
        errors.extend(values.keys().filter_map(|key| unknown(key)));
        if errors.is_empty() { Ok(Config(Arc::new(values))) } else { Err(errors) }
    }

    fn defaults(&self) -> BTreeMap<String, Value> {
        let mut values: BTreeMap<String, Value> = KEYS
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), Value::text(key.default?, "default"))))
            .collect();
        if let Some(service) = self.service {
            values.insert("service.name".to_owned(), Value::text(service.name, "crate name"));
            values.insert(
                "service.version".to_owned(),
                Value::text(service.version, "crate version"),
            );
        }
        values
    }

    fn read_file(&self, values: &mut BTreeMap<String, Value>, errors: &mut Vec<ConfigError>) {
        let Some(path) = &self.file else { return };
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return errors
                    .push(ConfigError::wrong(&name, format!("the file cannot be read: {error}")));
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => flatten("", table, &name, values),
            // The parser's own text quotes the line, which may hold a secret.
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                errors.push(ConfigError::wrong(
                    &name,
                    format!("line {line} is not TOML: {}", error.message()),
                ));
            }
        }
    }

    fn read_environment(
        &self,
        values: &mut BTreeMap<String, Value>,
        errors: &mut Vec<ConfigError>,
    ) {
        for (variable, text) in &self.environment {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            // These choose the file, or steer tests and macros.
            if name == "CONFIG"
                || name == "LOG"
                || name.starts_with("TEST_")
                || name.starts_with("MACROS_")
            {
                continue;
            }
            let (key, value) = match name.strip_suffix(FILE_SUFFIX) {
                Some(base) if keys::find(&keys::from_variable(&name.to_lowercase())).is_none() => {
                    let key = keys::from_variable(&base.to_lowercase());
                    match std::fs::read_to_string(text) {
                        Ok(secret) => (
                            key,
                            Value::text(secret.trim_end(), format!("file of {variable}")).secret(),
                        ),
                        Err(error) => {
                            errors.push(ConfigError::wrong(
                                &key,
                                format!("the file of {variable} cannot be read: {error}"),
                            ));
                            continue;
                        }
                    }
                }
                _ => (
                    keys::from_variable(&name.to_lowercase()),
                    Value::text(text, format!("environment {variable}")),
                ),
            };
            values.insert(key, value);
        }
    }
}

/// Tables become dotted keys; everything else is a value.
fn flatten(prefix: &str, table: toml::Table, origin: &str, values: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, origin, values),
            value => {
                values.insert(key, Value::new(value, origin));
            }
        }
    }
}

fn unknown(key: &str) -> Option<ConfigError> {
    if keys::find(key).is_some() || !keys::owns(key) {
        return None;
    }
    let hint =
        keys::nearest(key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(ConfigError::wrong(key, format!("there is no such key{hint}")))
}
