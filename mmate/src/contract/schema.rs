//! JSON Schema (draft 2020-12) of message types, as a peer of any language reads it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::MessageInfo;

/// The schema of a payload type: what a sender must write, so optional fields are not required.
#[must_use]
pub fn root_schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

/// The schema of a message as it is published: with its wire name, kind and version.
#[must_use]
pub fn contract_schema(info: &MessageInfo) -> Value {
    let mut schema = (info.schema)();
    schema.insert("title".to_owned(), info.name.into());
    schema.insert("x-mmate-kind".to_owned(), info.kind.as_str().into());
    schema.insert("x-mmate-version".to_owned(), info.version.into());
    if let Some(reply) = info.reply {
        schema.insert("x-mmate-reply".to_owned(), reply().name.into());
    }
    schema.to_value()
}

/// The name of the file that holds a message's schema.
#[must_use]
pub fn file_name(info: &MessageInfo) -> String {
    format!("{}.v{}.json", info.name, info.version)
}

/// The schema as the text of its file: two spaces, keys in a fixed order, a newline at the end.
#[must_use]
pub fn file_text(info: &MessageInfo) -> String {
    let sorted = sort_keys(contract_schema(info));
    format!("{sorted:#}\n")
}

/// Orders the keys of every object, whatever order the map type of this build keeps.
fn sort_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sort_keys(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sort_keys).collect()),
        other => other,
    }
}
