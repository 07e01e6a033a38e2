//! `portcullis score`, the real binary: what it counts, in process and against a server, and what it does not show.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/command.rs"]
mod command;

use command::program;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

fn score(args: &[&str]) -> Output {
    program(Path::new("."), &["score"]).args(args).output().expect("the binary runs")
}

fn json(args: &[&str]) -> serde_json::Value {
    let output = score(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Four attacks and four legitimate requests; rules that refuse two of the former with 403, one with 400, and one of
/// the latter.
fn set(dir: &Path) -> (String, String) {
    let case = |id: u32, label: &str, tier: &str, category: &str, path: &str, policy: &str| {
        format!(
            "{{\"id\":\"{id}\",\"source\":\"own\",\"category\":\"{category}\",\"label\":\"{label}\",\"method\":\"GET\",\
             \"path\":\"{path}\",\"headers\":[[\"Host\",\"shop.example\"]],\"body_b64\":\"\",\
             \"meta\":{{\"q\":\"{tier}\"{policy}}}}}\n"
        )
    };
    let post = "{\"id\":\"8\",\"source\":\"own\",\"category\":\"form\",\"label\":\"legit\",\"method\":\"POST\",\"path\":\"/\",\
        \"headers\":[[\"Host\",\"shop.example\"],[\"Content-Type\",\"application/x-www-form-urlencoded\"]],\
        \"body_b64\":\"cT1iYWQ=\",\"meta\":{\"q\":\"B\",\"pos\":\"form\"}}\n";
    let text = [
        case(1, "attack", "A", "sqli", "/?q=bad", ""),
        case(2, "attack", "A", "sqli:case", "/?q=BaD", ""),
        case(3, "attack", "B", "xss", "/?q=odd", ""),
        case(4, "attack", "C", "xss", "/?q=bad", ""),
        case(5, "legit", "A", "prose", "/?q=good", ""),
        case(6, "legit", "A", "prose", "/?q=bad", ",\"policy\":\"method\""),
        case(7, "legit", "C", "prose", "/?q=good", ""),
        post.to_owned(),
    ]
    .concat();
    let set = dir.join("set.jsonl");
    std::fs::write(&set, text).expect("the directory is writable");
    let rules = dir.join("rules.conf");
    let text = "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n\
        SecRule ARGS \"@streq bad\" \"id:1,phase:2,deny,status:403,log,msg:'Bad'\"\n\
        SecRule ARGS \"@streq odd\" \"id:2,phase:2,deny,status:400,log,msg:'Odd'\"\n";
    std::fs::write(&rules, text).expect("the directory is writable");
    (set.display().to_string(), rules.display().to_string())
}

#[test]
fn rates_are_those_of_the_set() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (set, rules) = set(dir.path());
    let result = json(&[&set, "--rules", &rules]);
    assert_eq!(result["cases"], 8);
    let all = &result["all"];
    assert_eq!((&all["attacks"], &all["blocked"], &all["tpr"]), (&4.into(), &2.into(), &0.5.into()));
    assert_eq!(all["tpr_lenient"], 0.75, "a 400 is no pass");
    assert_eq!((&all["legit"], &all["false_positives"]), (&4.into(), &2.into()));
    assert_eq!(result["tier_A"]["tpr"], 0.5);
    assert_eq!(result["tier_A"]["fpr"], 0.5);
    assert_eq!(result["tier_A_without_policy"]["fpr"], 0.0);
    assert_eq!(result["headline_AB"]["legit"], 3);
    assert_eq!(result["by_category"]["attack/xss"]["blocked"], 1);
    assert_eq!(result["by_source"]["legit/own"]["false_positives"], 2);
    assert_eq!(result["by_position"]["legit/form"]["false_positives"], 1, "bodies are sent");
    assert_eq!(result["by_evasion"]["sqli:case"]["blocked"], 0);
    // 400 counts where that is said; tiers and categories can be chosen.
    assert_eq!(json(&[&set, "--rules", &rules, "--block", "400,403"])["all"]["blocked"], 3);
    assert_eq!(json(&[&set, "--rules", &rules, "--tier", "A", "--category", "sqli"])["cases"], 2);
}

#[test]
fn errors_are_shown_with_their_rules_unless_they_are_to_stay_unseen() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (set, rules) = set(dir.path());
    let file = dir.path().join("errors.jsonl");
    let file = file.display().to_string();
    let output = score(&[&set, "--rules", &rules, "--misses", "--false-alarms", "--errors", &file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("misses\n") && text.contains("/?q=BaD") && text.contains("false alarms\n"),
        "{text}"
    );
    assert!(text.contains("1 ARGS:q: \"bad\""), "{text}");
    let lines = std::fs::read_to_string(&file).expect("it was written");
    let kinds: Vec<String> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["kind"].to_string())
        .collect();
    assert_eq!(kinds.iter().filter(|k| *k == "\"miss\"").count(), 2);
    assert_eq!(kinds.iter().filter(|k| *k == "\"false-positive\"").count(), 2);

    let both: u64 = ["dev", "check"]
        .iter()
        .map(|part| {
            let output = score(&[&set, "--rules", &rules, "--part", part, "--json"]);
            let value = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default();
            value["cases"].as_u64().unwrap_or(0)
        })
        .sum();
    assert_eq!(both, 8, "each case is in one half");
    let output = score(&[&set, "--part", "check", "--misses"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("are not shown"));
}

#[test]
fn rules_that_leave_bodies_alone_get_the_usual_settings() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let case = "{\"id\":\"1\",\"label\":\"attack\",\"method\":\"POST\",\"path\":\"/\",\"headers\":[[\"Host\",\"a.example\"],\
        [\"Content-Type\",\"application/json\"]],\"body_b64\":\"eyJhIjoiYmFkIn0=\"}\n";
    let set = dir.path().join("set.jsonl");
    std::fs::write(&set, case).expect("the directory is writable");
    let rules = dir.path().join("rules.conf");
    let rule = "SecRule ARGS:json.a \"@streq bad\" \"id:1,phase:2,deny,status:403,log\"\n";
    let (set, file) = (set.display().to_string(), rules.display().to_string());
    for (text, blocked) in [(rule.to_owned(), 1), (format!("SecRequestBodyAccess Off\n{rule}"), 0)] {
        std::fs::write(&rules, text).expect("the directory is writable");
        assert_eq!(json(&[&set, "--rules", &file])["all"]["blocked"], blocked);
    }
}

#[test]
fn a_server_is_asked_as_well() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (set, _) = set(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let bad = request[..length].windows(5).any(|w| w == b"q=bad");
            let status = if bad { "403 Forbidden" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let result = json(&[&set, "--target", &address, "--tier", "A"]);
    assert_eq!(result["all"]["blocked"], 1);
    assert_eq!(result["all"]["false_positives"], 1);
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (set, _) = set(dir.path());
    for args in [
        &["/nonexistent.jsonl"][..],
        &[&set, "--rules", "/nonexistent.conf"],
        &[&set, "--tier", "Z"],
        &[&set, "--target", "127.0.0.1:1"],
    ] {
        let output = score(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
    assert_eq!(score(&[&set, "--level", "5"]).status.code(), Some(2));
}
