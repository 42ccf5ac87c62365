//! Checks payloads against their schema, with a validator compiled once per type.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::Value;

use super::decode_error::Reason;
use super::{DecodeError, MessageInfo};

/// How many violations one error lists.
const VIOLATIONS_MAX: usize = 8;

/// A compiled schema of one message type.
#[derive(Clone)]
pub struct Validator {
    name: &'static str,
    /// Nothing where the schema asks no more than decoding into the type checks anyway: a second
    /// parse of the payload would then find nothing and cost as much as the first.
    compiled: Option<Arc<jsonschema::Validator>>,
}

impl Validator {
    /// The validator of a type, compiled at the first call.
    ///
    /// # Errors
    /// If the type's schema is not a valid one, which a wrong `#[schemars(..)]` attribute can cause.
    pub fn of(info: &'static MessageInfo) -> Result<Self, String> {
        static CACHE: LazyLock<Mutex<HashMap<usize, Validator>>> = LazyLock::new(Mutex::default);
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let key = std::ptr::from_ref(info).addr();
        if let Some(found) = cache.get(&key) {
            return Ok(found.clone());
        }
        let made = Self::compile(info)?;
        cache.insert(key, made.clone());
        Ok(made)
    }

    fn compile(info: &'static MessageInfo) -> Result<Self, String> {
        let schema = (info.schema)().to_value();
        let compiled = if has_rules(&schema) {
            let validator = jsonschema::validator_for(&schema)
                .map_err(|error| format!("the schema of `{}` is not valid: {error}", info.name))?;
            Some(Arc::new(validator))
        } else {
            None
        };
        Ok(Self { name: info.name, compiled })
    }

    /// Checks the JSON text of a payload.
    ///
    /// # Errors
    /// Lists the violated rules with the place of each; values are not repeated.
    pub fn check(&self, payload: &str) -> Result<(), DecodeError> {
        let Some(compiled) = &self.compiled else {
            return Ok(());
        };
        let value: Value = serde_json::from_str(payload)
            .map_err(|error| DecodeError::from_json(Reason::BadPayload, "the payload", &error))?;
        if compiled.is_valid(&value) {
            return Ok(());
        }
        Err(self.explain(compiled, &value))
    }

    #[cold]
    fn explain(&self, compiled: &jsonschema::Validator, value: &Value) -> DecodeError {
        let violations: Vec<String> = compiled
            .iter_errors(value)
            .take(VIOLATIONS_MAX)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place =
                    if place.is_empty() { "the payload".to_owned() } else { format!("`{place}`") };
                format!("{place} {}", error.masked_with("the value"))
            })
            .collect();
        let message =
            format!("the payload of `{}` breaks its schema: {}", self.name, violations.join("; "));
        DecodeError::new(Reason::SchemaViolation, message)
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator")
            .field("name", &self.name)
            .field("rules", &self.compiled.is_some())
            .finish()
    }
}

/// True if the schema asks for something that decoding into the Rust type does not check.
fn has_rules(schema: &Value) -> bool {
    const RULES: [&str; 16] = [
        "minLength",
        "maxLength",
        "pattern",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "maximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "contains",
        "propertyNames",
        "not",
        "if",
    ];
    match schema {
        Value::Object(map) => {
            let bounded_by_type =
                map.get("format").and_then(Value::as_str).is_some_and(|f| f.contains("int"));
            map.iter().any(|(key, value)| match key.as_str() {
                // schemars writes the bounds of integer types next to their format.
                "minimum" | "maximum" if bounded_by_type && is_type_bound(value) => false,
                "minimum" => true,
                "examples" | "default" | "const" | "enum" | "description" | "title" => false,
                "properties" | "$defs" => {
                    value.as_object().is_some_and(|fields| fields.values().any(has_rules))
                }
                rule if RULES.contains(&rule) => true,
                _ => has_rules(value),
            })
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

/// True for the smallest and largest values of Rust's integer types.
fn is_type_bound(value: &Value) -> bool {
    const BOUNDS: [i64; 9] =
        [0, -128, 127, 255, -32_768, 32_767, 65_535, -2_147_483_648, 2_147_483_647];
    value.as_i64().is_some_and(|bound| BOUNDS.contains(&bound) || bound == i64::from(u32::MAX))
}
