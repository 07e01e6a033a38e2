//! The JSON Schema of rule files: printed, stored, and true of every rule file that there is.

use portcullis::syntax::yaml::schema;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn the_stored_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.schema.json");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, schema()).expect("docs can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, schema(), "PORTCULLIS_BLESS=1 cargo test --test rule_schema rewrites it");
}

#[test]
fn every_rule_file_is_what_the_schema_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("tests/suite/syntax/yaml/evaluated.yaml")];
    find(&root.join("rulesets"), &mut files);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("rule files are readable");
        let faults = faults(&text);
        assert!(faults.is_empty(), "{}: {faults:#?}", file.display());
    }
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    for (title, text) in cases(include_str!("suite/syntax/yaml/lowered.txt")) {
        let faults = faults(&text);
        assert!(faults.is_empty(), "{title}: {faults:#?}");
    }
    let pages = [include_str!("../docs/rules-yaml.md"), include_str!("../docs/virtual-patches.md")];
    let blocks = pages.iter().flat_map(|page| page.split("```yaml\n").skip(1));
    for block in blocks.filter_map(|rest| rest.split("```").next()).filter(|b| b.contains("\nrules:")) {
        let faults = faults(block);
        assert!(faults.is_empty(), "{block}: {faults:#?}");
    }
}

#[test]
fn what_the_reader_refuses_for_its_keys_the_schema_refuses() {
    for text in [
        "rule: []",
        "rules: {id: 1}",
        "rules: [{id: 1, sevirity: critical, when: {variables: ARGS, operator: '@rx x'}}]",
        "rules: [{id: 1, severity: bad, when: {variables: ARGS, operator: '@rx x'}}]",
        "rules: [{id: 1, phase: 6, when: {variables: ARGS, operator: '@rx x'}}]",
        "rules: [{id: 1, when: {variables: ARGS}}]",
        "rules: [{id: 1, when: {all: [{variables: ARGS}]}}]",
        "only: [{id: 1}]",
        "only: [{id: 1, path: /, parameters: {x: int}}]",
        "patch: {title: x}",
        "patch: {title: x, product: x, blocks: x, severity: critical, owner: x, created: now, review_by: 2027-01-01}",
        "rules: [{id: 1, matches: GET /}]",
        "rules: [{id: 1, matches: [{response: {status: 5}}]}]",
    ] {
        assert!(!faults(text).is_empty(), "{text}");
    }
}

/// What is wrong with the YAML `text`.
fn faults(text: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(&schema()).expect("the schema is JSON");
    let value: Value = serde_yaml::from_str(text).expect("the text is YAML");
    if value.is_null() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    check(&schema, &value, &schema, "", &mut faults);
    faults
}

/// A validator of what our schema uses of JSON Schema, and of nothing else.
fn check(schema: &Value, value: &Value, root: &Value, path: &str, faults: &mut Vec<String>) {
    let Value::Object(keywords) = schema else { panic!("{path}: {schema} is no schema") };
    for (keyword, given) in keywords {
        let fine = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = given.as_str().expect("a reference is a text").trim_start_matches("#/$defs/");
                check(&root["$defs"][name.replace("%20", " ")], value, root, path, faults);
                true
            }
            "type" => match given {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => given.as_array().expect("a list").contains(value),
            "minimum" => value.as_u64().is_none_or(|n| n >= given.as_u64().expect("a number")),
            "maximum" => value.as_u64().is_none_or(|n| n <= given.as_u64().expect("a number")),
            "pattern" => value.as_str().is_none_or(|text| {
                regex::Regex::new(given.as_str().expect("a text")).expect("a pattern").is_match(text)
            }),
            "required" => given.as_array().expect("a list").iter().all(|key| {
                value.as_object().is_none_or(|map| map.contains_key(key.as_str().expect("a text")))
            }),
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = given.get(key) {
                        check(schema, inner, root, &format!("{path}/{key}"), faults);
                    }
                }
                true
            }
            "additionalProperties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let known = keywords.get("properties").is_some_and(|known| known.get(key).is_some());
                    match given {
                        _ if known => {}
                        Value::Bool(false) => faults.push(format!("{path}: {key} is not known")),
                        schema => check(schema, inner, root, &format!("{path}/{key}"), faults),
                    }
                }
                true
            }
            "items" => {
                for (at, member) in value.as_array().into_iter().flatten().enumerate() {
                    check(given, member, root, &format!("{path}/{at}"), faults);
                }
                true
            }
            "anyOf" => {
                let kinds = given.as_array().expect("a list");
                kinds.iter().any(|kind| {
                    let mut inner = Vec::new();
                    check(kind, value, root, path, &mut inner);
                    inner.is_empty()
                })
            }
            other => panic!("{path}: this validator does not know {other}"),
        };
        if !fine {
            faults.push(format!("{path}: {value} is not {keyword} {given}"));
        }
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a text") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn cases(text: &str) -> Vec<(String, String)> {
    let parts = text.split("=== ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("rulesets are there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}
