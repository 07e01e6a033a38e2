//! The compiler as rule writers meet it: what it says about faulty rules, what it takes of real rulesets, what it
//! knows of a ruleset as a whole, and that no text makes it fall over.

use portcullis::compile::{self, ACTIONS, CTL_OPTIONS, Input, Loaded, Value};
use portcullis::ruleset::Mode;
use portcullis::syntax::diagnostic::{Severity, render};
use portcullis::syntax::seclang::{FileLoader, Loader};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn faults() {
    insta::with_settings!({ snapshot_path => "suite/compile/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("faults", told(include_str!("suite/compile/faults.txt")));
    });
}

/// The cases of a file and what is said about each. A case begins with a line `=== what is wrong`.
fn told(text: &str) -> String {
    let mut out = String::new();
    for case in text.split("=== ").skip(1) {
        let (title, rules) = case.split_once('\n').expect("a title ends with a newline");
        let loaded = load(rules);
        assert!(!loaded.diagnostics.is_empty(), "nothing is said about: {title}");
        assert_eq!(loaded.ruleset.is_some(), !loaded.diagnostics.has_errors(), "{title}");
        out.push_str(&format!("=== {title}\n{}\n", render(&loaded.diagnostics, &loaded.sources, false)));
    }
    out
}

#[test]
fn every_action_compiles_in_each_form_it_takes() {
    for row in ACTIONS {
        for name in std::iter::once(&row.name).chain(row.aliases) {
            let sample = SAMPLES.iter().find(|(action, _)| *action == row.name).map(|(_, value)| *value);
            match row.value {
                Value::Required => assert!(sample.is_some(), "{name} needs a sample of its value"),
                Value::None => assert!(sample.is_none(), "{name} takes no value"),
                Value::Optional => {}
            }
            if row.value != Value::Required {
                compiles(name, row.name);
            }
            if let Some(value) = sample {
                compiles(&format!("{name}:'{value}'"), row.name);
            }
            compiles_as(&name.to_uppercase(), sample, row.name, row.value);
        }
    }
}

fn compiles_as(name: &str, sample: Option<&str>, row: &str, value: Value) {
    match (value, sample) {
        (Value::Required, Some(sample)) => compiles(&format!("{name}:{sample}"), row),
        _ => compiles(name, row),
    }
}

/// Whether a rule with `action` compiles; `exec` alone must not.
fn compiles(action: &str, row: &str) {
    let id = if row == "id" { "" } else { "id:1," };
    let phase = if row == "phase" { "" } else { ",phase:1" };
    let text = format!("SecRule ARGS \"@rx a\" \"{id}{action}{phase}\"\nSecRule ARGS \"@rx b\" \"t:none\"\n");
    let text = if row == "chain" { text } else { text.lines().next().unwrap_or_default().to_owned() };
    let loaded = load(&text);
    let said = render(&loaded.diagnostics, &loaded.sources, false);
    if row == "exec" {
        assert!(said.contains("refused-action"), "{said}");
    } else {
        assert!(!loaded.diagnostics.has_errors(), "{action}\n{said}");
    }
}

/// A value for each action that takes one.
const SAMPLES: &[(&str, &str)] = &[
    ("accuracy", "9"),
    ("allow", "phase"),
    ("append", "x"),
    ("ctl", "ruleEngine=Off"),
    ("deprecatevar", "ip.a=1/60"),
    ("exec", "/bin/true"),
    ("expirevar", "ip.a=60"),
    ("id", "7"),
    ("initcol", "ip=%{REMOTE_ADDR}"),
    ("logdata", "%{MATCHED_VAR}"),
    ("maturity", "1"),
    ("msg", "a message"),
    ("pause", "100"),
    ("phase", "request"),
    ("prepend", "x"),
    ("proxy", "http://other.example/"),
    ("redirect", "https://other.example/%{REQUEST_URI}"),
    ("rev", "2"),
    ("sanitiseArg", "password"),
    ("sanitiseMatchedBytes", "1/4"),
    ("sanitiseRequestHeader", "Authorization"),
    ("sanitiseResponseHeader", "Set-Cookie"),
    ("setenv", "name=value"),
    ("setrsc", "key"),
    ("setsid", "%{REQUEST_COOKIES.sid}"),
    ("setuid", "%{REMOTE_USER}"),
    ("setvar", "tx.a=+%{tx.b}"),
    ("severity", "CRITICAL"),
    ("skip", "1"),
    ("skipAfter", "END"),
    ("status", "404"),
    ("t", "lowercase"),
    ("tag", "attack/%{tx.a}"),
    ("ver", "X/1.0"),
    ("xmlns", "s=urn:s"),
];

#[test]
fn every_option_of_ctl_compiles_and_refuses_nonsense() {
    for row in CTL_OPTIONS {
        let values = CTL_VALUES.iter().find(|(name, _)| *name == row.name).map(|(_, values)| *values);
        let values = values.unwrap_or_else(|| panic!("ctl:{} needs samples", row.name));
        for value in values {
            let loaded = load(&format!("SecAction \"id:1,phase:1,pass,ctl:{}={value}\"", row.name));
            let said = render(&loaded.diagnostics, &loaded.sources, false);
            assert!(loaded.ruleset.is_some(), "ctl:{}={value}\n{said}", row.name);
        }
        let free = ["Msg", "Tag"].iter().any(|end| row.name == format!("ruleRemoveBy{end}"));
        if !free && !row.doc.starts_with("Accepted") {
            let loaded = load(&format!("SecAction \"id:1,phase:1,pass,ctl:{}=?\"", row.name));
            assert!(loaded.ruleset.is_none(), "ctl:{} takes nonsense", row.name);
        }
    }
}

const CTL_VALUES: &[(&str, &[&str])] = &[
    ("auditEngine", &["On", "off", "RelevantOnly"]),
    ("auditLogParts", &["+E", "-C", "ABZ"]),
    ("debugLogLevel", &["3"]),
    ("forceRequestBodyVariable", &["On", "Off"]),
    ("forceResponseBodyVariable", &["On", "Off"]),
    ("hashEnforcement", &["On"]),
    ("hashEngine", &["Off"]),
    ("parseXmlIntoArgs", &["On", "Off", "OnlyArgs"]),
    ("requestBodyAccess", &["On", "off", "true"]),
    ("requestBodyLimit", &["0", "1048576"]),
    ("requestBodyProcessor", &["URLENCODED", "multipart", "JSON", "XML", "RAW"]),
    ("responseBodyAccess", &["On", "Off"]),
    ("responseBodyLimit", &["524288"]),
    ("responseBodyProcessor", &["JSON"]),
    ("ruleEngine", &["On", "Off", "DetectionOnly"]),
    ("ruleRemoveById", &["1", "1-9"]),
    ("ruleRemoveByMsg", &["a message"]),
    ("ruleRemoveByTag", &["attack-sqli", "attack-.*"]),
    ("ruleRemoveTargetById", &["1;ARGS", "1-9;ARGS:a", "1;ARGS:/^a/", "1;!ARGS:a"]),
    ("ruleRemoveTargetByMsg", &["a message;TX:a"]),
    ("ruleRemoveTargetByTag", &["attack-sqli;REQUEST_COOKIES:/^_ga/"]),
];

#[test]
fn the_posture_of_a_small_ruleset() {
    let loaded = load(
        r#"
        SecRuleEngine DetectionOnly
        SecRequestBodyAccess Off
        SecResponseBodyAccess On
        SecComponentSignature "Small/1.0"
        SecAction "id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5,setvar:tx.blocking_paranoia_level=2"
        SecRule &TX:outbound_anomaly_score_threshold "@eq 0" "id:2,phase:1,pass,nolog,setvar:tx.outbound_anomaly_score_threshold=4"
        SecRule &TX:inbound_anomaly_score_threshold "@eq 0" "id:3,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=9"
        SecRule ARGS "@rx a" "id:4,phase:2,block,tag:paranoia-level/1,setvar:tx.inbound_anomaly_score_pl1=+5,chain"
          SecRule ARGS "@rx b"
        SecRule ARGS "@rx (?!x)a" "id:5,phase:2,block,tag:paranoia-level/2"
        SecRule ARGS "@rx a" "id:6,phase:3,pass,tag:paranoia-level/2"
        SecRule ARGS "@rx a" "id:7,phase:5,drop"
        SecRule TX:BLOCKING_INBOUND_ANOMALY_SCORE "@ge %{tx.inbound_anomaly_score_threshold}" "id:949110,phase:2,deny"
        SecRule TX:BLOCKING_OUTBOUND_ANOMALY_SCORE "@ge 4" "id:959100,phase:4,deny"
        SecRuleRemoveById 6
        SecRuleUpdateTargetById 5 "!ARGS:c"
        "#,
    );
    assert!(loaded.ruleset.is_some(), "{}", render(&loaded.diagnostics, &loaded.sources, false));
    let posture = &loaded.posture;
    assert_eq!((posture.rules, posture.by_phase), (8, [3, 3, 0, 1, 1]));
    assert_eq!(posture.by_paranoia, BTreeMap::from([(1, 1), (2, 1)]));
    assert_eq!(posture.disruptive, 3);
    assert_eq!((&posture.removed, &posture.updated), (&vec![6], &vec![5]));
    assert_eq!(posture.backtracking, [5]);
    assert_eq!(posture.mode, Some(Mode::DetectionOnly));
    assert_eq!((posture.request_body, posture.response_body, posture.scores), (false, true, true));
    assert_eq!((posture.inbound_blocking, posture.outbound_blocking), (Some(949_110), Some(959_100)));
    assert_eq!((posture.inbound_threshold, posture.outbound_threshold), (Some(5), Some(4)));
    assert_eq!((posture.blocking_paranoia, posture.detection_paranoia), (Some(2), None));
    assert_eq!(posture.components, ["Small/1.0"]);
}

#[test]
fn nothing_is_a_ruleset_too() {
    let loaded = load("");
    assert!(loaded.ruleset.is_some() && loaded.diagnostics.is_empty());
    assert_eq!((loaded.posture.rules, loaded.posture.inbound_blocking), (0, None));
}

#[test]
fn crs_compiles_without_a_word() {
    let Some(crs) = crs() else { return };
    let loaded = load_tree(&crs.join("crs-setup.conf.example"), &crs.join("rules"));
    let said = render(&loaded.diagnostics, &loaded.sources, false);
    assert!(loaded.ruleset.is_some() && loaded.diagnostics.is_empty(), "{said}");
    let posture = &loaded.posture;
    assert!(posture.rules > 600 && posture.backtracking.is_empty(), "{posture:?}");
    assert_eq!((posture.inbound_blocking, posture.outbound_blocking), (Some(949_110), Some(959_100)));
    assert!((1..=4).all(|level| posture.by_paranoia.get(&level).is_some_and(|n| *n > 5)), "{posture:?}");
    // CRS itself takes analytics cookies away from its rules.
    assert!(posture.scores && posture.removed.is_empty() && !posture.updated.is_empty());
}

#[test]
fn debians_crs_3_3_compiles_with_known_warnings() {
    let rules = Path::new("/usr/share/modsecurity-crs/rules");
    if !rules.is_dir() {
        return;
    }
    let setup = Path::new("/etc/modsecurity/crs/crs-setup.conf");
    let loaded = load_tree(setup, rules);
    let said = render(&loaded.diagnostics, &loaded.sources, false);
    assert!(loaded.ruleset.is_some(), "{said}");
    let unexplained: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Warning)
        .filter(|d| !DEBIAN_WARNINGS.iter().any(|(code, _)| *code == d.code))
        .map(|d| format!("{}: {}", d.code, d.message))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert_eq!(loaded.posture.inbound_blocking, Some(949_110));
    assert!(loaded.posture.rules > 500, "{:?}", loaded.posture);
}

/// Codes of warnings about CRS 3.3 as Debian ships it, with what explains them.
const DEBIAN_WARNINGS: &[(&str, &str)] = &[(
    "inert-operator",
    "@geoLookup and @rbl of the IP reputation rules want a database and a key, which their owner has to get",
)];

#[test]
fn any_piece_of_crs_can_be_missing_or_doubled() {
    let Some(crs) = crs() else { return };
    let files = conf_files(&crs.join("rules"));
    let text = files
        .iter()
        .map(|f| std::fs::read_to_string(f).expect("rule files are readable"))
        .max_by_key(String::len)
        .expect("there are rule files");
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with('#')).collect();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (0..lines.len(), 1..60_usize, proptest::collection::vec(mutation(), 0..6));
    proptest!(config, |((start, len, mutations) in strategy)| {
        let mut piece = lines[start..(start + len).min(lines.len())].join("\n");
        for mutation in mutations {
            mutation.apply(&mut piece);
        }
        let loaded = load(&piece);
        prop_assert_eq!(loaded.ruleset.is_some(), !loaded.diagnostics.has_errors());
        render(&loaded.diagnostics, &loaded.sources, false);
    });
}

/// What happens to a text, at a place in 0 to 1.
#[derive(Clone, Debug)]
enum Mutation {
    Cut(f64, f64),
    Insert(f64, String),
    Double(f64, f64),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let tokens = prop_oneof![
        Just("\""),
        Just("'"),
        Just(","),
        Just("|"),
        Just("!"),
        Just("&"),
        Just(":"),
        Just("%{"),
        Just("}"),
        Just("\\"),
        Just("\n"),
        Just("chain,"),
        Just("id:1,"),
        Just("t:none,"),
        Just("("),
        Just("[^"),
        Just("@rx "),
        Just("ctl:ruleRemoveTargetById=1;ARGS,"),
        Just("setvar:tx.%{tx.a}=+%{ARGS},"),
        Just("phase:9,"),
        Just("skipAfter:X,"),
        Just("\0"),
        Just("é"),
        Just("{9999}"),
    ];
    prop_oneof![
        (0.0..1.0, 0.0..0.1).prop_map(|(at, len)| Mutation::Cut(at, len)),
        (0.0..1.0, tokens).prop_map(|(at, token)| Mutation::Insert(at, token.to_owned())),
        (0.0..1.0, 0.0..0.2).prop_map(|(at, len)| Mutation::Double(at, len)),
    ]
}

impl Mutation {
    fn apply(&self, text: &mut String) {
        match self {
            Mutation::Cut(at, len) => text.replace_range(range(text, *at, *len), ""),
            Mutation::Insert(at, token) => text.insert_str(range(text, *at, 0.0).start, token),
            Mutation::Double(at, len) => {
                let range = range(text, *at, *len);
                let piece = text[range.clone()].to_owned();
                text.insert_str(range.end, &piece);
            }
        }
    }
}

fn range(text: &str, at: f64, len: f64) -> std::ops::Range<usize> {
    let place = |share: f64| {
        let wanted = (text.len() as f64 * share.min(1.0)) as usize;
        (0..=wanted.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
    };
    place(at)..place(at + len)
}

fn load(text: &str) -> Loaded {
    compile::load(&[Input::Text { name: "case.conf".into(), text: text.to_owned() }], &NoFiles)
}

struct NoFiles;

impl Loader for NoFiles {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("there is no such file".into())
    }
    fn expand(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn identity(&self, _: &str) -> Option<String> {
        None
    }
}

fn load_tree(setup: &Path, rules: &Path) -> Loaded {
    let mut inputs: Vec<Input> = Vec::new();
    let mut file = |path: &Path| inputs.push(Input::File(path.to_string_lossy().into_owned()));
    if setup.is_file() {
        file(setup);
    }
    for path in conf_files(rules) {
        file(&path);
    }
    compile::load(&inputs, &FileLoader)
}

fn conf_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the directory is readable")
        .map(|entry| entry.expect("the entry is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
        .collect();
    files.sort();
    files
}

/// CRS, from `PORTCULLIS_CRS_DIR` or beside the checkout. Without it its tests pass, unless
/// `PORTCULLIS_REQUIRE_CRS` asks for it.
fn crs() -> Option<PathBuf> {
    let named = std::env::var_os("PORTCULLIS_CRS_DIR").map(PathBuf::from);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = manifest.ancestors().map(|up| up.join("shared/crs"));
    let found = named.into_iter().chain(beside).find(|path| path.join("rules").is_dir());
    assert!(found.is_some() || std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "CRS is not there");
    found
}
