//! A value with its origin, and how it is shown.

use std::fmt;

use serde::de::DeserializeOwned;

use super::keys;

/// A value as it was given, and by whom.
#[derive(Clone)]
pub(crate) struct Value {
    raw: toml::Value,
    origin: String,
    secret: bool,
}

impl Value {
    pub(super) fn new(raw: toml::Value, origin: impl Into<String>) -> Self {
        Self { raw, origin: origin.into(), secret: false }
    }

    /// A value whose type is not known, as from the environment.
    pub(super) fn text(text: impl Into<String>, origin: impl Into<String>) -> Self {
        Self::new(toml::Value::String(text.into()), origin)
    }

    /// Never shows the value.
    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        let direct = self.raw.clone().try_into();
        let parsed = direct.or_else(|error| match &self.raw {
            // A text may be a number or a boolean that the environment could only give as text.
            toml::Value::String(text) => {
                literal(text).and_then(|value| value.try_into().ok()).ok_or(error)
            }
            _ => Err(error),
        });
        parsed.map_err(|_| ConfigError {
            key: key.to_owned(),
            text: format!(
                "the value from {} is not a {}",
                self.origin,
                short_name(std::any::type_name::<T>())
            ),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn show(&self, key: &str) -> Setting {
        let secret =
            self.secret || keys::find(key).is_some_and(|key| key.secret) || looks_secret(key);
        let text = match &self.raw {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value = if secret { "***".to_owned() } else { mask_password(&text) };
        Setting { key: key.to_owned(), value, origin: self.origin.clone() }
    }
}

/// `8` or `true` as a TOML value.
fn literal(text: &str) -> Option<toml::Value> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    table.get("value").cloned()
}

fn short_name(type_name: &str) -> &str {
    match type_name {
        "alloc::string::String" => "text",
        "bool" => "boolean (`true` or `false`)",
        name if name.starts_with(['u', 'i']) && name.len() <= 5 => "whole number in range",
        name => name,
    }
}

fn looks_secret(key: &str) -> bool {
    ["password", "secret", "token", "credential", "private"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
}

/// A URL with its password replaced; other text as it is.
pub(crate) fn mask_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    if let Some((first, others)) = split_list(text) {
        return format!("{},{}", mask_password(first), mask_password(others));
    }
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // The last `@` ends the credentials: a password may hold one that was not escaped.
    let Some(at) = rest[..authority_end].rfind('@').or_else(|| rest.rfind('@')) else {
        return text.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***{}", &rest[at..])
}

/// The first URL of a list, and the rest. A first part without credentials is not split off: what looks
/// like a second URL may then be the end of a password.
fn split_list(text: &str) -> Option<(&str, &str)> {
    let is_scheme =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let (first, others) =
        text.match_indices(',').map(|(at, _)| text.split_at(at)).find(|(first, others)| {
            let next = others[1..].split_once("://").map(|(scheme, _)| scheme.trim_start());
            first.contains('@') && next.is_some_and(is_scheme)
        })?;
    Some((first, &others[1..]))
}

/// A configured value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The key.
    pub key: String,
    /// The value, secrets masked.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// A value that is missing or is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    text: String,
}

impl ConfigError {
    pub(super) fn missing(key: &str) -> Self {
        let variable = key.replace('.', "__").to_uppercase();
        let text = format!(
            "it is not set; write it into mmate.toml, or set MMATE_{variable} or MMATE_{variable}_FILE"
        );
        Self { key: key.to_owned(), text }
    }

    pub(super) fn wrong(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.to_owned(), text: text.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration `{}`: {}", self.key, self.text)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("amqp://user:secret@host:5672/v", "amqp://user:***@host:5672/v"),
            ("amqp://user:se/cr@et@host", "amqp://user:***@host"),
            ("amqp://host/v", "amqp://host/v"),
            ("plain text", "plain text"),
            ("amqp://u:se,cret@a,amqp://v:s3cret@b/x", "amqp://u:***@a,amqp://v:***@b/x"),
            ("amqp://a,amqp://u:secret@b", "amqp://a,amqp:***@b"),
            ("amqp://u:se,x://cret@b", "amqp://u:***@b"),
        ] {
            assert_eq!(mask_password(url), shown);
        }
        let shown = Value::text("hunter2", "code").show("orders.api_token");
        assert_eq!(shown.value, "***");
    }

    #[test]
    fn text_from_the_environment_becomes_what_is_asked_for() {
        assert_eq!(Value::text("8", "env").parse::<u16>("k"), Ok(8));
        assert_eq!(Value::text("true", "env").parse::<bool>("k"), Ok(true));
        assert_eq!(Value::text("8", "env").parse::<String>("k"), Ok("8".to_owned()));
        let error = Value::text("hunter2", "env X").parse::<u16>("k").unwrap_err().to_string();
        assert_eq!(error, "configuration `k`: the value from env X is not a whole number in range");
    }
}
