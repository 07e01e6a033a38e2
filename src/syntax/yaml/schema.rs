//! The JSON Schema of rule files, made of the tables by which the reader knows keys.

use super::table::{FILE, Key, Table, Takes};
use serde_json::{Map, Value, json};

/// The schema (JSON Schema, draft 2020-12) as text.
///
/// What it accepts, the reader may still refuse: a schema knows no names of variables and no regular expressions.
pub fn schema() -> String {
    let mut definitions = Map::new();
    let root = object(&FILE, &mut definitions);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Portcullis rules",
        "description": "Rules and virtual patches of Portcullis in YAML.",
    });
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, root) {
        schema.extend(root);
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    format!("{schema:#}\n")
}

fn object(table: &'static Table, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for Key { name, takes, about, .. } in table.keys {
        let mut value = of(takes, definitions);
        if let Value::Object(value) = &mut value {
            value.insert("description".to_owned(), json!(about));
        }
        properties.insert((*name).to_owned(), value);
    }
    let required: Vec<_> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn of(takes: &'static Takes, definitions: &mut Map<String, Value>) -> Value {
    match takes {
        Takes::Text => json!({"type": ["string", "number", "boolean"]}),
        Takes::Paragraph => json!({"type": ["string", "number", "boolean"]}),
        Takes::Texts => json!({
            "type": ["string", "number", "boolean", "array", "null"],
            "items": {"type": ["string", "number", "boolean"]},
        }),
        Takes::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Takes::Word(words) => json!({"enum": words}),
        Takes::Flag => json!({"type": "boolean"}),
        Takes::Date => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
        Takes::Of(table) => {
            if !definitions.contains_key(table.name) {
                // First, so that a table that leads back to itself is met as known.
                definitions.insert(table.name.to_owned(), Value::Null);
                let object = object(table, definitions);
                definitions.insert(table.name.to_owned(), object);
            }
            json!({"$ref": format!("#/$defs/{}", table.name)})
        }
        Takes::List(member) => {
            json!({"type": ["array", "null"], "items": listed(member, definitions)})
        }
        Takes::Map(value) => json!({"type": "object", "additionalProperties": of(value, definitions)}),
        Takes::Either(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| listed(kind, definitions)).collect();
            json!({"anyOf": kinds})
        }
    }
}

/// As [`of`], with what nests without end as a definition of its own.
fn listed(takes: &'static Takes, definitions: &mut Map<String, Value>) -> Value {
    let Takes::Either(kinds) = takes else { return of(takes, definitions) };
    let name = kinds.iter().filter_map(|kind| match kind {
        Takes::Of(table) => Some(table.name),
        _ => None,
    });
    let name = format!("any {}", name.collect::<Vec<_>>().join(" or "));
    if !definitions.contains_key(&name) {
        definitions.insert(name.clone(), Value::Null);
        let value = of(takes, definitions);
        definitions.insert(name.clone(), value);
    }
    json!({"$ref": format!("#/$defs/{}", name.replace(' ', "%20"))})
}
