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

    /// Defaults and a file.
    #[cfg(test)]
    pub(crate) fn of_file(service: ServiceInfo, file: PathBuf) -> Self {
        Self { service: Some(service), file: Some(file), ..Self::default() }
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
    let never = ["invalid", "permanent"]
        .into_iter()
        .find(|class| key.starts_with(&format!("retry.classes.{class}.")));
    if let Some(class) = never {
        let text =
            format!("errors of class `{class}` are never retried, so there is nothing to set");
        return Some(ConfigError::wrong(key, text));
    }
    let hint =
        keys::nearest(key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(ConfigError::wrong(key, format!("there is no such key{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Settings;

    fn loader(file: Option<&str>, environment: &[(&str, &str)]) -> Loader {
        let service = ServiceInfo::new("orders", "1.2.3");
        let file = file.map(|text| {
            let name = format!(
                "mmate-config-{}-{:?}.toml",
                std::process::id(),
                std::thread::current().id()
            );
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Loader { service: Some(service), file, environment, ..Loader::default() }
    }

    fn shown(config: &Config, key: &str) -> (String, String) {
        let setting = config.settings().into_iter().find(|setting| setting.key == key).unwrap();
        (setting.value, setting.origin)
    }

    #[test]
    fn a_higher_layer_wins_and_each_value_knows_its_origin() {
        let file = "[consume]\nprefetch = 5\nconcurrency = 6\ntimeout = \"7s\"\n[orders]\nregion = \"eu\"\n";
        let environment = [
            ("MMATE_CONSUME_CONCURRENCY", "8"),
            ("MMATE_CONSUME_TIMEOUT", "9s"),
            ("MMATE_ORDERS__REGION", "us"),
            ("HOME", "ignored"),
        ];
        let mut loader = loader(Some(file), &environment);
        loader.set("consume.timeout", "10s");
        let path = loader.file.clone().unwrap();
        let config = loader.load().unwrap();
        std::fs::remove_file(&path).unwrap();
        let settings = Settings::from_config(&config).unwrap();
        assert_eq!((settings.prefetch, settings.concurrency), (5, 8));
        assert_eq!(settings.handler_timeout.as_secs(), 10);
        assert_eq!(config.get::<String>("orders.region").unwrap(), "us");
        assert_eq!(shown(&config, "consume.prefetch").1, path.display().to_string());
        assert_eq!(
            shown(&config, "consume.concurrency").1,
            "environment MMATE_CONSUME_CONCURRENCY"
        );
        assert_eq!(shown(&config, "consume.timeout"), ("10s".to_owned(), "code".to_owned()));
        assert_eq!(shown(&config, "publish.timeout").1, "default");
        assert_eq!(shown(&config, "service.name"), ("orders".to_owned(), "crate name".to_owned()));
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_never_shown() {
        let secret = std::env::temp_dir().join(format!("mmate-secret-{}", std::process::id()));
        std::fs::write(&secret, "amqp://u:hunter2@broker\n").unwrap();
        let path = secret.display().to_string();
        let config = loader(None, &[("MMATE_URL_FILE", &path)]).load().unwrap();
        std::fs::remove_file(&secret).unwrap();
        assert_eq!(config.get::<String>("url").unwrap(), "amqp://u:hunter2@broker");
        assert_eq!(shown(&config, "url"), ("***".to_owned(), "file of MMATE_URL_FILE".to_owned()));
        assert!(!format!("{config:?}").contains("hunter2"));
        let missing =
            loader(None, &[("MMATE_ORDERS__KEY_FILE", "/no/such/file")]).load().unwrap_err();
        assert!(
            missing[0]
                .to_string()
                .contains("`orders.key`: the file of MMATE_ORDERS__KEY_FILE cannot be read")
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_with_its_line_and_not_quoted() {
        let loader = loader(Some("[consume]\nprefetch = hunter2 4\n"), &[]);
        let path = loader.file.clone().unwrap();
        let errors = loader.load().unwrap_err();
        std::fs::remove_file(path).unwrap();
        let text = errors[0].to_string();
        assert!(text.contains("line 2 is not TOML") && !text.contains("hunter2"), "{text}");
    }
}
