//! `portcullis check --compat` on whole trees of rules, through the real binary: CRS as released, Debian's CRS with
//! the engine's recommended settings, a configuration of Coraza, and a tree in which nearly everything is wrong.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/command.rs"]
mod command;

use command::program;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn crs_4_runs_with_differences() {
    let Some(crs) = crs() else { return };
    let at = |name: &str| crs.join(name).display().to_string();
    let output = compat(&[&at("crs-setup.conf.example"), &at("rules/*.conf")]);
    assert_eq!(output.code, 0);
    insta::assert_snapshot!(output.text.replace(&format!("{}/", crs.display()), ""));
}

/// What Debian installs for Apache, with nothing changed.
#[test]
fn debian_s_rules_run_with_differences() {
    let files =
        ["/etc/modsecurity/modsecurity.conf-recommended", "/usr/share/modsecurity-crs/owasp-crs.load"];
    if let Some(missing) = files.iter().find(|f| !Path::new(f).exists()) {
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: there is no {missing} ***\n");
        return;
    }
    let output = compat(&[&["--from", "modsecurity2"][..], &files[..]].concat());
    assert_eq!(output.code, 0, "{}", output.text);
    assert!(output.text.contains("VERDICT  Runs, with differences: "), "{}", output.text);
    for told in
        [" Include ", "SecTmpDir", "@rx ", "REQUEST_FILENAME ", "Patterns that may backtrack", "942130"]
    {
        assert!(output.text.contains(told), "{told} is not told of:\n{}", output.text);
    }
    assert!(!output.text.contains("Coraza") && !output.text.contains("UNKNOWN"), "{}", output.text);
    // Other releases of Debian have other rules.
    if output.text.contains("/usr/share/modsecurity-crs/rules/REQUEST-901-INITIALIZATION.conf:437") {
        insta::assert_snapshot!(output.text);
    }
}

#[test]
fn coraza_s_settings_run_with_differences() {
    let output = compat(&["--from", "coraza", "tests/suite/compat/coraza.conf"]);
    assert_eq!(output.code, 0);
    insta::assert_snapshot!(output.text);
    assert_eq!(compat(&["--strict", "--from", "coraza", "tests/suite/compat/coraza.conf"]).code, 1);
}

#[test]
fn a_nasty_tree_is_refused_with_all_its_faults() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("nasty.conf");
    let mut text = std::fs::read(root().join("tests/suite/compat/nasty.conf")).expect("part of the source");
    // What an editor would not keep: bytes that are no text, and a name without an end.
    text.extend_from_slice(
        b"SecRule ARGS \"@rx \xff\" \"id:14,phase:2,deny\"\n\0\x01\x02 nonsense \xe2\x80\xa8 here\n",
    );
    text.extend(std::iter::repeat_n(b'S', 300));
    std::fs::write(&file, text).expect("written");
    let output = compat(&[&file.display().to_string()]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(output.text.replace(&format!("{}/", directory.path().display()), ""));
}

#[test]
fn what_is_the_same_everywhere_runs_as_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a.conf").display().to_string();
    let text = "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditEngine Off\n\
                SecRule QUERY_STRING \"@contains x\" \"id:1,phase:1,deny,status:403,t:none\"\n";
    std::fs::write(&file, text).expect("written");
    let output = compat(&[&file]);
    assert_eq!(output.code, 0);
    assert!(output.text.ends_with(
        "VERDICT  Runs as is: all that these rules use means the same as in ModSecurity or Coraza.\n"
    ));
    let output = compat(&["--strict", &file]);
    assert_eq!(output.code, 0);
}

#[test]
fn programs_are_told_the_same() {
    let output = compat(&["--json", "tests/suite/compat/coraza.conf"]);
    let value: Value = serde_json::from_str(&output.text).expect("JSON");
    assert_eq!((output.code, &value["ok"]), (0, &Value::Bool(true)));
    let compat = &value["compat"];
    assert_eq!(compat["verdict"], "differences");
    let names = compat["names"].as_array().expect("a list");
    let find = |name: &str| names.iter().find(|n| n["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let debug = find("SecDebugLog");
    assert_eq!(
        (&debug["kind"], &debug["finding"], &debug["count"]),
        (&"directive".into(), &"no-effect".into(), &1.into())
    );
    assert!(debug["why"].is_string() && debug["file"].is_string());
    let uri = find("REQUEST_URI");
    assert_eq!(uri["finding"], "differs");
    assert_eq!(uri["differs"][0]["from"], serde_json::json!(["modsecurity2", "coraza"]));
    assert_eq!(find("MULTIPART_STRICT_ERROR")["finding"], "supported");

    let output = self::compat(&["--json", "tests/suite/compat/nasty.conf"]);
    let value: Value = serde_json::from_str(&output.text).expect("JSON");
    assert_eq!((output.code, &value["compat"]["verdict"]), (1, &"refused".into()));
    assert!(value["compat"]["count"].as_u64().is_some_and(|n| n > 20));
    let names = value["compat"]["names"].as_array().expect("a list");
    let unknown = names.iter().find(|n| n["name"] == "ARGZ").expect("it stands in the tree");
    assert_eq!((&unknown["finding"], &unknown["nearest"]), (&"unknown".into(), &"ARGS".into()));
    assert!(value["diagnostics"].as_array().is_some_and(|d| d.len() > 20));
}

struct Told {
    code: i32,
    text: String,
}

fn compat(args: &[&str]) -> Told {
    let output = program(root(), &["check", "--compat"]).args(args).output().expect("it runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the report is text");
    Told { code: output.status.code().expect("it ends by itself"), text }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crs() -> Option<PathBuf> {
    let named =
        std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(|| root().join("../shared/crs"), PathBuf::from);
    let found = named.canonicalize();
    if found.is_err() {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "no CRS at {}", named.display());
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: no CRS at {} ***\n", named.display());
    }
    found.ok()
}
