//! What stands in `config/` for those who watch: what it asks for exists, and nothing in it lets a client make series or
//! streams.

#![cfg(feature = "server")]

#[path = "support/alloy.rs"]
mod alloy;
#[path = "support/dashboards.rs"]
mod dashboards;

use alloy::{Item, Value as Alloy};
use dashboards::ALL;
use portcullis::telemetry::{Kind, ROWS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The names of metrics in a query or a rule file, each as its row calls it.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    // With a colon it is a recorded series.
    let own = words.filter(|word| word.starts_with("portcullis_") && !word.contains(':'));
    own.map(|word| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        let histogram =
            base.filter(|base| ROWS.iter().any(|r| r.name == *base && matches!(r.kind, Kind::Histogram(_))));
        histogram.unwrap_or(word).to_owned()
    })
    .collect()
}

#[test]
fn rules_of_prometheus_name_metrics_that_exist() {
    let mut seen = BTreeSet::new();
    let mut recorded = BTreeSet::new();
    let mut used = BTreeSet::new();
    for file in ["config/prometheus/recording.yaml", "config/prometheus/alerts.yaml"] {
        let text = read(file);
        for name in metrics_in(&text) {
            assert!(ROWS.iter().any(|row| row.name == name), "{file}: there is no {name}");
            seen.insert(name);
        }
        for line in text.lines() {
            match line.trim().strip_prefix("- record: ") {
                Some(name) => assert!(recorded.insert(name.to_owned()), "{name} is recorded twice"),
                None => {
                    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
                    used.extend(words.filter(|w| w.contains(":portcullis_")).map(str::to_owned));
                }
            }
        }
    }
    assert!(seen.len() > 10 && recorded.len() > 5, "{seen:?} {recorded:?}");
    let unknown: Vec<_> = used.difference(&recorded).collect();
    assert!(unknown.is_empty(), "{unknown:?} are recorded nowhere");
}

#[test]
fn examples_of_queries_name_metrics_that_exist() {
    for row in ROWS {
        let query = row.query();
        let names = metrics_in(&query);
        assert!(names.contains(row.name), "{}: {query}", row.name);
        assert!(names.iter().all(|name| ROWS.iter().any(|row| row.name == name)), "{query}");
    }
}

/// A member of a record of the published schema, such as `decision.action`.
fn is_member(path: &str) -> bool {
    let schema: Value = serde_json::from_str(&read("docs/audit-log.schema.json")).expect("JSON");
    let mut at = &schema;
    for name in path.split('.') {
        if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            at = schema.pointer(reference.trim_start_matches('#')).expect("a definition");
        }
        match at["properties"].get(name) {
            Some(member) => at = member,
            None => return false,
        }
    }
    true
}

#[test]
fn shippers_read_members_that_exist_and_keep_labels_bounded() {
    assert!(is_member("decision.action") && is_member("client.ip") && !is_member("client.name"));
    let vector: serde_yaml::Value =
        serde_yaml::from_str(&read("config/log-shipping/vector.yaml")).expect("YAML");
    let sinks = vector["sinks"].as_mapping().expect("sinks");
    let named: BTreeSet<&str> = ["sources", "transforms"]
        .iter()
        .flat_map(|part| vector[*part].as_mapping().expect("a mapping").keys())
        .map(|name| name.as_str().expect("a name"))
        .collect();
    let inputs = |node: &serde_yaml::Value| -> Vec<String> {
        let list = node["inputs"].as_sequence().expect("inputs");
        list.iter().map(|i| i.as_str().expect("a name").to_owned()).collect()
    };
    for node in sinks.values().chain(vector["transforms"].as_mapping().expect("transforms").values()) {
        assert!(inputs(node).iter().all(|input| named.contains(input.as_str())), "{node:?}");
    }
    let labels = vector["sinks"]["loki"]["labels"].as_mapping().expect("labels");
    let labels: Vec<&str> = labels.keys().map(|name| name.as_str().expect("a name")).collect();
    assert_eq!(labels, ["job", "site", "outcome"]);

    let fluent: serde_yaml::Value =
        serde_yaml::from_str(&read("config/log-shipping/fluent-bit.yaml")).expect("YAML");
    let output = &fluent["pipeline"]["outputs"][0];
    let accessors = |key: &str| -> Vec<(String, String)> {
        let text = output[key].as_str().expect("a text");
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').expect("a pair");
            (name.trim().to_owned(), value.trim().to_owned())
        };
        text.split(',').map(pair).collect()
    };
    let labels = accessors("labels");
    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["job", "site", "action"]);
    for (_, value) in labels.iter().chain(&accessors("structured_metadata")) {
        let Some(accessor) = value.strip_prefix('$') else { continue };
        let member = accessor.replace("['", ".").replace("']", "");
        assert!(is_member(&member), "fluent-bit: {value}");
    }
    let parser = &fluent["parsers"][0];
    assert_eq!(parser["name"], fluent["pipeline"]["inputs"][0]["parser"]);
}

/// Components refer to what is there, stages use what an earlier one has taken out of the record, and labels are few.
#[test]
fn alloy_s_example_is_sound() {
    let items = alloy::read(&read("config/log-shipping/alloy.alloy"));
    let mut components = Vec::new();
    for item in &items {
        let Item::Block { name, label: Some(label), body } = item else { panic!("{item:?}") };
        let known = ["local.file_match", "loki.source.file", "loki.process", "loki.write"];
        assert!(known.contains(&name.as_str()), "{name}");
        components.push((format!("{name}.{label}"), body));
    }
    let exports = |component: &str| match component.rsplit_once('.').expect("a label").0 {
        "local.file_match" => "targets",
        _ => "receiver",
    };
    let referred = |value: &Alloy| -> Vec<String> {
        match value {
            Alloy::Reference(name) => vec![name.clone()],
            Alloy::List(list) => list
                .iter()
                .filter_map(|v| if let Alloy::Reference(name) = v { Some(name.clone()) } else { None })
                .collect(),
            _ => Vec::new(),
        }
    };
    for (component, body) in &components {
        for item in *body {
            let Item::Attribute { value, .. } = item else { continue };
            for name in referred(value) {
                let is_there = components.iter().any(|(c, _)| name == format!("{c}.{}", exports(c)));
                assert!(is_there, "{component}: {name}");
            }
        }
    }
    let (_, process) = components.iter().find(|(name, _)| name.starts_with("loki.process")).expect("there");
    let object = |body: &[Item], wanted: &str| -> Vec<(String, String)> {
        let member = |(key, value): &(String, Alloy)| match value {
            Alloy::Text(text) => (key.clone(), text.clone()),
            other => panic!("{key}: {other:?}"),
        };
        let of = |item: &Item| match item {
            Item::Attribute { name, value: Alloy::Object(members) } if name == wanted => {
                Some(members.iter().map(member).collect::<Vec<_>>())
            }
            _ => None,
        };
        body.iter().find_map(of).unwrap_or_default()
    };
    let text = |body: &[Item], wanted: &str| {
        body.iter()
            .find_map(|item| match item {
                Item::Attribute { name, value: Alloy::Text(text) } if name == wanted => Some(text.clone()),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no {wanted}"))
    };
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut labels = Vec::new();
    for item in *process {
        let Item::Block { name, label: None, body } = item else { continue };
        match name.as_str() {
            "stage.json" => {
                for (key, member) in object(body, "expressions") {
                    assert!(is_member(&member), "{member}");
                    known.insert(key);
                }
            }
            "stage.timestamp" => assert!(known.contains(&text(body, "source"))),
            "stage.template" => {
                let template = text(body, "template");
                for word in template.split(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
                    let used = word.strip_prefix('.').is_none_or(|name| known.contains(name));
                    assert!(used, "{template}: {word}");
                }
                known.insert(text(body, "source"));
            }
            "stage.labels" => labels = object(body, "values"),
            "stage.structured_metadata" => {
                assert!(object(body, "values").iter().all(|(name, _)| known.contains(name)), "{body:?}");
            }
            other => panic!("no stage {other} is known"),
        }
    }
    assert!(known.len() > 6 && labels.iter().all(|(name, _)| known.contains(name)));
    let labels: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(labels, ["site", "outcome"], "what a client can choose makes no streams");
}

#[test]
#[should_panic(expected = "no comma")]
fn a_fault_in_alloy_s_syntax_is_noticed() {
    alloy::read("a \"b\" {\n  list = [1 2]\n}\n");
}

#[test]
fn dashboards_are_written_from_their_rows() {
    for dashboard in ALL {
        let path = root().join("config/grafana/dashboards").join(dashboard.file);
        let text = serde_json::to_string_pretty(&dashboard.json()).expect("JSON") + "\n";
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            fs::create_dir_all(path.with_file_name("")).expect("made");
            fs::write(&path, &text).expect("written");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == text,
            "{} is stale: PORTCULLIS_BLESS=1 scripts/test --test observability",
            path.display()
        );
    }
}

#[test]
fn dashboards_are_well_formed() {
    let mut uids = BTreeSet::new();
    for dashboard in ALL {
        let json: Value =
            serde_json::from_str(&read(&format!("config/grafana/dashboards/{}", dashboard.file)))
                .expect("JSON");
        assert!(uids.insert(json["uid"].as_str().expect("a uid").to_owned()));
        assert!(json["uid"].as_str().is_some_and(|uid| uid.len() <= 40), "Grafana's limit");
        let variables: Vec<&str> = json["templating"]["list"]
            .as_array()
            .expect("variables")
            .iter()
            .filter_map(|v| v["name"].as_str())
            .collect();
        assert_eq!(variables, ["datasource", "site"]);
        let panels = json["panels"].as_array().expect("panels");
        let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in panels {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: id");
            assert!(titles.insert(title.to_owned()), "{title} twice");
            let place = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
            assert!(place("w") > 0 && place("x") + place("w") <= 24, "{title} stands beyond the edge");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{title} lies on another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(
                ["timeseries", "stat", "bargauge", "heatmap"]
                    .contains(&panel["type"].as_str().expect("a type"))
            );
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().expect("a unit");
            assert!(
                ["short", "reqps", "percentunit", "s", "bytes", "Bps"].contains(&unit),
                "{title}: {unit}"
            );
            let targets = panel["targets"].as_array().expect("targets");
            let refs: BTreeSet<&str> = targets.iter().filter_map(|t| t["refId"].as_str()).collect();
            assert!(!targets.is_empty() && refs.len() == targets.len(), "{title}");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
                let expression = target["expr"].as_str().expect("an expression");
                for name in metrics_in(expression) {
                    assert!(ROWS.iter().any(|row| row.name == name), "{title}: there is no {name}");
                }
                assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{title}");
                for variable in expression.split('$').skip(1) {
                    let known = ["site", "__rate_interval", "__range"];
                    assert!(known.iter().any(|name| variable.starts_with(name)), "{title}: ${variable}");
                }
            }
        }
    }
}

/// The ten dearest rules are rules: what stands beside them in the metric is not one of them.
#[test]
fn the_dearest_rules_are_rules() {
    let mut seen = 0;
    for (panel, _) in ALL.iter().flat_map(|dashboard| dashboard.places()) {
        for (expression, _) in panel.queries {
            if expression.contains("topk") && expression.contains("portcullis_rule_cost_seconds_total") {
                let chosen = "portcullis_rule_cost_seconds_total{rule_id!~\"sieve|other\"}";
                assert!(expression.contains(chosen), "{}: {expression}", panel.title);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "there is a panel of them");
}

/// Each metric with a label `site` can be narrowed to a site.
#[test]
fn panels_heed_the_chosen_site() {
    for dashboard in ALL {
        for (panel, _) in dashboard.places() {
            for (expression, _) in panel.queries {
                for name in metrics_in(expression) {
                    let row = ROWS.iter().find(|row| row.name == name).expect("a row");
                    if row.labels.iter().any(|(label, _)| *label == "site") {
                        assert!(expression.contains("site=~\"$site\""), "{}: {expression}", panel.title);
                    }
                }
            }
        }
    }
}

#[test]
fn provisioning_names_what_is_there() {
    let sources: serde_yaml::Value =
        serde_yaml::from_str(&read("config/grafana/provisioning/datasources/prometheus.yaml")).expect("YAML");
    assert_eq!(sources["datasources"][0]["type"], "prometheus");
    let providers: serde_yaml::Value =
        serde_yaml::from_str(&read("config/grafana/provisioning/dashboards/portcullis.yaml")).expect("YAML");
    let provider = &providers["providers"][0];
    assert_eq!((provider["type"].as_str(), providers["apiVersion"].as_u64()), (Some("file"), Some(1)));
    assert_eq!(provider["options"]["path"], "/etc/grafana/dashboards/portcullis");
}
