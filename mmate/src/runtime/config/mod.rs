//! Layered configuration: defaults < `mmate.toml` < environment < flags < code.
//!
//! Every value knows where it came from. An environment variable `MMATE_A_B` sets the known key
//! `a.b`; for keys of your own a double underscore stands for the dot: `MMATE_ORDERS__DATABASE` sets
//! `orders.database`. `.._FILE` reads the value from a file, for secrets.

mod keys;
mod load;
mod retries;
mod settings;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::handler::{Context, FromContext, FromResources, HandlerError, HandlerResult, Resources};

pub(crate) use load::Loader;
pub use settings::Settings;
use value::Value;
pub use value::{ConfigError, Setting};

/// The configuration of the running service. Handlers and providers may ask for it.
#[derive(Clone, Default)]
pub struct Config(Arc<BTreeMap<String, Value>>);

impl Config {
    /// The value of a key, such as `orders.database`.
    ///
    /// # Errors
    /// If the key is not set, or its value is not a `T`. The error names the key and where the value
    /// came from, and does not repeat the value.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        self.find(key)?.ok_or_else(|| ConfigError::missing(key))
    }

    /// The value of a key if it is set.
    ///
    /// # Errors
    /// If its value is not a `T`.
    pub fn find<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        self.0.get(key).map(|value| value.parse(key)).transpose()
    }

    /// Where the value of a key came from: a file, the environment, a flag, code.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(Value::origin)
    }

    /// Every key with its value, secrets masked, and where it came from.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        self.0.iter().map(|(key, value)| value.show(key)).collect()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.settings()).finish()
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for Config {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        Self::from_resources(&context.parts().resources)
    }
}

#[diagnostic::do_not_recommend]
impl FromResources for Config {
    fn from_resources(resources: &Resources) -> HandlerResult<Self> {
        let config = resources
            .get::<Self>()
            .ok_or_else(|| HandlerError::msg("the app has no configuration"))?;
        Ok((*config).clone())
    }
}
