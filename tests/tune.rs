//! Tuning: what counts as a false alarm, what is proposed for it, and what is refused.

#![cfg(feature = "server")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "support/command.rs"]
mod command;

use command::program;
use portcullis::audit::{Auditor, Facts, Format, Redaction};
use portcullis::config::RuleInput;
use portcullis::engine::{NoWorld, TraceOptions, World};
use portcullis::explain::{Exchange, evaluate};
use portcullis::reload::{Workbench, file_loader, load_rules};
use portcullis::tune::{Bounds, Candidate, Gathering, Suggestion, Tuning, tune};
use std::path::Path;
use std::sync::{Arc, LazyLock};

static CORE: LazyLock<Workbench> =
    LazyLock::new(|| bench(vec![RuleInput::File("@portcullis-core".to_owned())]));

fn bench(inputs: Vec<RuleInput>) -> Workbench {
    let loaded = load_rules(&inputs, &file_loader());
    let ruleset = loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Workbench::new(inputs, ruleset)
}

fn text(text: &str) -> Workbench {
    bench(vec![RuleInput::Text { name: "text".to_owned(), text: text.to_owned() }])
}

fn world() -> Arc<dyn World> {
    Arc::new(NoWorld)
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// A form that client number `client` sends.
fn post(client: u8, agent: &str, path: &str, body: &str) -> Exchange {
    let header = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    Exchange {
        client: ([192, 0, 2, client], 4711).into(),
        method: b"POST".to_vec(),
        target: path.as_bytes().to_vec(),
        headers: vec![
            header("Host", "shop.example"),
            header("User-Agent", agent),
            header("Accept", "text/html"),
            header("Accept-Language", "en"),
            header("Content-Type", "application/x-www-form-urlencoded"),
            header("Content-Length", &body.len().to_string()),
        ],
        body: body.as_bytes().to_vec(),
        ..Exchange::default()
    }
}

/// The line of an audit log that a server would have written.
fn line(rules: &Workbench, exchange: &Exchange) -> Vec<u8> {
    line_as(rules, exchange, Format::Native)
}

fn line_as(rules: &Workbench, exchange: &Exchange, format: Format) -> Vec<u8> {
    let done = evaluate(exchange, &rules.ruleset, None, "01TEST", &world(), &TraceOptions::default());
    let facts = Facts { site: "shop".to_owned(), status: 403, ..Facts::default() };
    Auditor::new(&Redaction::default(), format, "").line(&done.report, &facts)
}

/// What visitors of a shop about databases write.
const COMMENT: &str = "comment=is+it+1%27+or+%271%27%3D%271+or+not&page=";

fn log(rules: &Workbench) -> Vec<u8> {
    let mut log = Vec::new();
    for client in 1..=8 {
        log.extend(line(rules, &post(client, BROWSER, "/guestbook", &format!("{COMMENT}{client}"))));
        log.extend(line(rules, &post(client, BROWSER, "/guestbook", "comment=good&page=1")));
    }
    log
}

fn candidates(log: &[u8], bounds: Bounds) -> Vec<Candidate> {
    let mut gathering = Gathering::new(bounds);
    log.split_inclusive(|b| *b == b'\n').for_each(|line| gathering.add(line));
    gathering.candidates()
}

fn suggest(rules: &Workbench, candidate: &Candidate) -> Suggestion {
    let auditor = Auditor::new(&Redaction::default(), Format::Native, "");
    tune(candidate, &Tuning { rules, mode: None, auditor: &auditor, world: world() })
}

#[test]
fn false_alarms_become_exclusions() {
    let found = candidates(&log(&CORE), Bounds::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].place.told(), "POST /guestbook");
    let suggestion = suggest(&CORE, &found[0]);
    assert_eq!(suggestion.refused, None);
    assert_eq!((suggestion.unproven, suggestion.not_reproduced, suggestion.requests), (0, 0, 8));
    assert!(suggestion.proven >= 5);
    assert!(!suggestion.exclusions.is_empty());
    for evidence in &suggestion.exclusions {
        assert_eq!(evidence.exclusion.target.as_deref(), Some("ARGS:comment"));
        assert_eq!((evidence.clients, evidence.requests), (8, 8));
        assert!(!(9_180_000..9_190_000).contains(&evidence.exclusion.rule), "it decides by the score");
    }
    let of = |target: &'static str| suggestion.attacks.iter().filter(move |a| a.target == target && a.before);
    assert!(of("ARGS:comment").count() >= 6 && of("ARGS:comment").any(|attack| attack.after));
    assert!(of("ARGS:zz_other").count() >= 6 && of("ARGS:zz_other").all(|attack| attack.after));
}

/// Logs in the schemas of other engines, and lines that libmodsecurity 3.0.9 wrote under CRS.
#[test]
fn records_of_other_engines_will_do() {
    // Coraza's schema has no variable but what a rule's `logdata` names, as CRS's rules do.
    let saying = text(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditLogParts ABCIJDEFHZ\n\
         SecRule ARGS \"@detectSQLi\" \"id:7,phase:2,deny,log,auditlog,capture,msg:'SQL',\
           logdata:'Matched Data: %{TX.0} found within %{MATCHED_VAR_NAME}: %{MATCHED_VAR}'\"\n",
    );
    let attack = |rules, client, format| {
        line_as(rules, &post(client, BROWSER, "/guestbook", &format!("{COMMENT}1")), format)
    };
    let real = std::fs::read_to_string("tests/suite/records/modsecurity3.json").expect("there");
    let real = |client: u8| real.replace("\"192.0.2.1\"", &format!("\"192.0.2.{client}\"")).into_bytes();
    let logs: [(&str, Vec<u8>); 3] = [
        ("modsecurity", (1..=8).flat_map(|client| attack(&CORE, client, Format::ModSecurity)).collect()),
        ("coraza", (1..=8).flat_map(|client| attack(&saying, client, Format::Coraza)).collect()),
        ("libmodsecurity", (1..=8).flat_map(real).collect()),
    ];
    for (name, log) in logs {
        let found = candidates(&log, Bounds::default());
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!((found[0].place.told().as_str(), found[0].requests), ("POST /guestbook", 8), "{name}");
        assert!(found[0].found.keys().any(|(_, target)| target == "ARGS:comment"), "{name}: {found:?}");
        assert!(
            found[0].between.0.starts_with("20") || found[0].between.0.starts_with("1970"),
            "{name}: {found:?}"
        );
        // The others' rules are not those of the embedded ruleset.
        if name == "modsecurity" {
            let suggestion = suggest(&CORE, &found[0]);
            assert_eq!(suggestion.refused, None, "{name}");
            assert!(suggestion.proven >= 5, "{name}");
        }
    }
}

#[test]
fn attackers_are_no_evidence() {
    let few: Vec<u8> = (1..=4)
        .flat_map(|client| line(&CORE, &post(client, BROWSER, "/a", &format!("{COMMENT}1"))))
        .collect();
    assert!(candidates(&few, Bounds::default()).is_empty(), "four clients");

    let tools: Vec<u8> = (1..=9)
        .flat_map(|client| line(&CORE, &post(client, "curl/8.0", "/a", &format!("{COMMENT}1"))))
        .collect();
    assert!(candidates(&tools, Bounds::default()).is_empty(), "no browsers");

    let mut tried = Vec::new();
    for client in 1..=9 {
        for path in ["/a", "/b", "/c", "/d"] {
            tried.extend(line(&CORE, &post(client, BROWSER, path, &format!("{COMMENT}1"))));
        }
    }
    assert!(candidates(&tried, Bounds::default()).is_empty(), "each at four places");
}

#[test]
fn what_would_open_the_place_is_refused() {
    let rules = text(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditLogParts ABIJDEFHZ\n\
         SecRule ARGS \"@rx [<'.;$:]\" \"id:7,phase:2,deny,log,auditlog,msg:'odd'\"\n",
    );
    let log: Vec<u8> =
        (1..=6).flat_map(|client| line(&rules, &post(client, BROWSER, "/a", "name=o%27hara"))).collect();
    let found = candidates(&log, Bounds::default());
    let suggestion = suggest(&rules, &found[0]);
    assert_eq!(suggestion.proven, 6);
    let why = suggestion.refused.expect("nothing is left");
    assert!(why.contains("no attack in ARGS:name"), "{why}");
}

#[test]
fn what_cannot_be_proven_is_refused() {
    let found = candidates(&log(&CORE), Bounds::default());
    let other = text("SecRuleEngine On\n");
    let suggestion = suggest(&other, &found[0]);
    assert_eq!(suggestion.proven, 0);
    assert!(suggestion.refused.is_some() && suggestion.exclusions.is_empty());
}

#[test]
fn numbers_in_paths_and_names_are_one_place() {
    let mut log = Vec::new();
    for client in 1..=6 {
        let body = format!("items[{client}][note]=is+it+1%27+or+%271%27%3D%271+or+not");
        log.extend(line(&CORE, &post(client, BROWSER, &format!("/order/{client}77/edit"), &body)));
    }
    let found = candidates(&log, Bounds::default());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place.path.as_deref(), Some("@rx ^/order/[0-9]+/edit$"));
    let suggestion = suggest(&CORE, &found[0]);
    assert_eq!((suggestion.refused.as_deref(), suggestion.proven), (None, 6));
    assert!(suggestion.yaml.contains("[0-9]+"), "{}", suggestion.yaml);
}

/// However many places and clients a log names, what is kept of it is bounded, and what many clients met is found.
#[test]
fn memory_is_bounded() {
    let template = String::from_utf8(line(&CORE, &post(1, BROWSER, "/guestbook", &format!("{COMMENT}1"))))
        .expect("UTF-8");
    let bounds = Bounds { places: 200, all_clients: 3_000, ..Bounds::default() };
    let mut gathering = Gathering::new(bounds);
    for number in 0..5_000_u32 {
        let (a, b) = (number / 250, number % 250);
        let one = template.replace("192.0.2.1\"", &format!("10.1.{a}.{b}\""));
        let elsewhere = one.replace("/guestbook", &format!("/x{number}y"));
        gathering.add(elsewhere.as_bytes());
        if number % 20 == 0 {
            gathering.add(one.as_bytes());
        }
    }
    let counted = gathering.counted();
    assert_eq!(counted.lines, 5_250);
    assert!(counted.omitted > 1_900, "{counted:?}");
    let found = gathering.candidates();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].place.told(), "POST /guestbook");
    assert!(found[0].samples.len() <= 6);
}

#[test]
fn old_and_unreadable_records_are_counted() {
    let mut log = log(&CORE);
    log.extend_from_slice(b"no record\n\n{\"rules\": 1}\n");
    let mut gathering =
        Gathering::new(Bounds { since: "1980-01-01T00:00:00".to_owned(), ..Bounds::default() });
    log.split_inclusive(|b| *b == b'\n').for_each(|line| gathering.add(line));
    let counted = gathering.counted();
    // Half of the records met no rule, and are not looked into.
    assert_eq!((counted.lines, counted.unreadable, counted.old, counted.stopped), (18, 2, 8, 0));
}

/// What is written loads, and its tests pass with it and fail without it.
#[test]
fn what_is_written_is_tested() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("audit.log"), log(&CORE)).expect("written");
    let run = |args: &[&str]| {
        let out = program(directory.path(), args).output().expect("it runs");
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
        )
    };
    let text = |path: &Path| std::fs::read_to_string(path).expect("it was written");
    for file in ["tuned.yaml", "tuned.conf"] {
        let (code, told) = run(&["tune", "audit.log", "--write", file]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("POST /guestbook") && told.contains("Written to"), "{told}");
        assert!(text(&path(file)).contains("ARGS:comment"));
        let rules = ["--rules", "@portcullis-core", "tuned-tests.yaml"];
        let (code, told) = run(&[&["test", "--rules", file], &rules[..]].concat());
        assert_eq!(code, Some(0), "{told}");
        let (code, told) = run(&[&["test"], &rules[..]].concat());
        assert_eq!(code, Some(1), "{told}");
    }
    assert_eq!(run(&["tune", "no-such.log"]).0, Some(1));
    assert_eq!(run(&["tune"]).0, Some(2));
    assert_eq!(run(&["tune", "audit.log", "--since", "soon"]).0, Some(2));
}
