//! The real binary: what scripts rely on. Exit codes, what goes to which stream, and a served request.

#![cfg(feature = "server")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::binary::Binary;
use support::client::Response;

/// Runs `portcullis` with `args` in an environment without any `PORTCULLIS_…`.
fn portcullis(args: &[&str]) -> Output {
    command(args).output().expect("the binary runs")
}

fn command(args: &[&str]) -> Command {
    support::command::program(Path::new("."), args)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("the directory is writable");
    path.display().to_string()
}

const GOOD_RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\n\
    SecRule ARGS \"@contains attack\" \"id:1,phase:2,deny,status:403,log,msg:'Attack'\"\n";

#[test]
fn help_and_version_succeed_and_a_wrong_command_line_does_not() {
    for (args, code) in [
        (&["--help"][..], 0),
        (&["run", "--help"], 0),
        (&["check", "--help"], 0),
        (&["test", "--help"], 0),
        (&["version"], 0),
        (&["--version"], 0),
        (&[], 2),
        (&["nonsense"], 2),
        (&["run", "--listen", "nowhere"], 2),
        (&["run", "--demo", "--upstream", "http://127.0.0.1:1"], 2),
        (&["test"], 2),
    ] {
        let output = portcullis(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        assert_eq!(output.stdout.is_empty(), code != 0, "{args:?} uses the wrong stream");
    }
    let version = text(&portcullis(&["version"]).stdout);
    assert_eq!(version, format!("portcullis {}\n", env!("CARGO_PKG_VERSION")));
    let json: serde_json::Value =
        serde_json::from_slice(&portcullis(&["version", "--json"]).stdout).expect("JSON");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn help_teaches_examples_and_exit_codes() {
    for command in ["run", "check", "test"] {
        let help = text(&portcullis(&[command, "--help"]).stdout);
        assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    }
    let run = text(&portcullis(&["run", "--help"]).stdout);
    for flag in ["LISTEN", "ADMIN", "UPSTREAM", "RULES", "MODE", "AUDIT_LOG", "WORKERS", "CONFIG"] {
        assert!(run.contains(&format!("PORTCULLIS_{flag}")), "{flag} is not explained");
    }
}

/// `PORTCULLIS_BLESS=1` writes the page anew.
#[test]
fn the_documentation_is_what_help_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, portcullis::cli::reference()).expect("docs is writable");
    }
    let written = std::fs::read_to_string(&path).expect("docs/cli.md is readable");
    assert_eq!(
        written,
        portcullis::cli::reference(),
        "docs/cli.md is stale: PORTCULLIS_BLESS=1 cargo test --test cli"
    );
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = portcullis(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("portcullis"), "{shell}");
    }
}

#[test]
fn check_tells_faults_with_their_place_and_the_posture() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let good = write(dir.path(), "good.conf", GOOD_RULES);
    let output = portcullis(&["check", &good]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let posture = text(&output.stdout);
    assert!(posture.contains("mode        On") && posture.contains("1 active"), "{posture}");

    let bad = write(
        dir.path(),
        "bad.conf",
        "SecRuleEngine On\n\nSecRule ARGZ \"@rx x\" \"id:1,phase:2,deny\"\nSecRool x\n",
    );
    let output = portcullis(&["check", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("bad.conf:3:9") && told.contains("bad.conf:4:1"),
        "both faults, with their place: {told}"
    );
    assert!(told.contains("ARGS") && told.contains("SecRule"), "the nearest known names: {told}");

    let output = portcullis(&["check", &dir.path().join("none.conf").display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("none.conf"));
}

#[test]
fn check_shouts_when_a_ruleset_cannot_block() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let weak = write(
        dir.path(),
        "weak.conf",
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecAction \"id:1,phase:1,pass,nolog\"\n",
    );
    let output = portcullis(&["check", &weak]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).matches("ALARM").count(), 2, "{}", text(&output.stdout));
    assert_eq!(portcullis(&["check", "--strict", &weak]).status.code(), Some(1));
}

#[test]
fn check_speaks_json() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bad = write(dir.path(), "bad.conf", "SecRool x\n");
    let output = portcullis(&["check", "--json", &bad]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["ok"], &json["errors"]), (&false.into(), &1.into()));
    assert_eq!(
        (&json["diagnostics"][0]["line"], &json["diagnostics"][0]["severity"]),
        (&1.into(), &"error".into())
    );
    let output = portcullis(&["check", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["ok"], true, "the embedded ruleset is sound: {json}");
    assert!(json["rulesets"][0]["rules"].as_u64().is_some_and(|n| n > 10), "{json}");
}

#[test]
fn check_reads_a_configuration_with_its_rules() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), "r.conf", GOOD_RULES);
    let config = "sites:\n  - name: shop\n    upstreams: ['http://127.0.0.1:1']\n    rules: [r.conf]\n";
    let path = write(dir.path(), "portcullis.yaml", config);
    let output = portcullis(&["check", "-c", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("site        shop"), "{}", text(&output.stdout));
    write(dir.path(), "r.conf", "SecRool x\n");
    assert_eq!(portcullis(&["check", "-c", &path]).status.code(), Some(1));
}

/// Of these the third fails.
const TESTS: &str = "
rule_id: 1
tests:
  - {test_id: 1, stages: [{input: {uri: '/?a=attack', headers: {Host: h}}, output: {status: 403, log: {expect_ids: [1]}}}]}
  - {test_id: 2, stages: [{input: {uri: '/?a=peace', headers: {Host: h}}, output: {status: 200, log: {no_expect_ids: [1]}}}]}
  - {test_id: 3, stages: [{input: {uri: '/?a=peace', headers: {Host: h}}, output: {log: {expect_ids: [1]}}}]}
";

#[test]
fn test_runs_rule_tests_on_the_engine() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rules = write(dir.path(), "r.conf", GOOD_RULES);
    let tests = write(dir.path(), "1.yaml", TESTS);
    let junit = dir.path().join("junit.xml");
    let output = portcullis(&["test", "--rules", &rules, "--junit", &junit.display().to_string(), &tests]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("FAILED 1-3") && table.contains("2 of 3 tests passed"), "{table}");
    assert!(std::fs::read_to_string(&junit).expect("written").contains("failures=\"1\""));

    let output =
        portcullis(&["test", "--rules", &rules, "--filter", "^1-[12]$", "--bytewise", "--json", &tests]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["total"], &json["failed"]), (&2.into(), &0.into()));
    assert_eq!(portcullis(&["test", "--rules", &rules, "--filter", "none", &tests]).status.code(), Some(1));
}

/// `portcullis` with these arguments, which serves.
fn start(args: &[&str]) -> Binary {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    Binary::of(scratch, command(args).stdout(Stdio::null()))
}

/// A request such as browsers send.
fn get(running: &Binary, target: &str) -> Response {
    let head = "Host: localhost\r\nUser-Agent: t\r\nAccept: */*\r\nConnection: close";
    running.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n"))
}

#[test]
fn the_demonstration_passes_and_blocks_as_it_says() {
    let mut running = start(&["run", "--demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    running.says("user=admin");
    let said = running.log();
    assert!(said.contains("This passes:") && said.contains("These are blocked:"), "{said}");
    assert!(said.contains(&format!("http://{}/search?q=lighthouse", running.address())), "{said}");
    let good = get(&running, "/search?q=lighthouse");
    assert!(good.status == 200 && good.text().contains("Lighthouse"), "{good:?}");
    let bad = get(&running, "/search?q=%3Cscript%3Ealert(1)%3C/script%3E");
    assert!(bad.status == 403 && !bad.text().contains("<script>alert"), "{bad:?}");
    assert!(running.end().success());
}

#[test]
fn flags_win_over_the_environment_and_the_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rules = write(dir.path(), "r.conf", GOOD_RULES);
    let config = "sites:\n  - name: shop\n    upstreams: ['http://127.0.0.1:1']\n    mode: 'On'\nadmin:\n  address: 127.0.0.1:0\n";
    let config = write(dir.path(), "portcullis.yaml", config);
    let backend = portcullis::cli::ftw::Albedo::start(([127, 0, 0, 1], 0).into()).expect("a free port");
    let upstream = format!("http://{}", backend.address());
    let args = [
        "run",
        "-c",
        &config,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--rules",
        &rules,
    ];
    let running = start(&args);
    assert_eq!(get(&running, "/?a=attack").status, 403);
    assert_eq!(get(&running, "/?a=peace").status, 200);
    drop(running);

    let mut all = args.to_vec();
    all.extend(["--mode", "DetectionOnly"]);
    let running = start(&all);
    assert_eq!(get(&running, "/?a=attack").status, 200);
}

#[test]
fn test_runs_against_a_running_instance_and_reads_its_audit_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rules = write(dir.path(), "r.conf", &format!("{GOOD_RULES}SecAuditEngine On\n"));
    let tests = write(dir.path(), "1.yaml", TESTS);
    let log = dir.path().join("audit.log").display().to_string();
    let backend = portcullis::cli::ftw::Albedo::start(([127, 0, 0, 1], 0).into()).expect("a free port");
    let upstream = format!("http://{}", backend.address());
    let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let what = ["--upstream", &upstream, "--rules", &rules, "--audit-log", &log];
    let running = start(&[&["run"], &listen[..], &what[..]].concat());

    let url = format!("http://{}", running.address());
    let output = portcullis(&["test", "--url", &url, "--audit-log", &log, &tests]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}{}", text(&output.stderr));
    assert!(table.contains("FAILED 1-3") && table.contains("2 of 3 tests passed"), "{table}");
    assert!(table.contains("expected rule 1 in the log, which has no rule"), "{table}");
}

#[test]
fn what_cannot_start_says_why() {
    let output = portcullis(&["run", "-c", "/nonexistent/portcullis.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent/portcullis.yaml"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = portcullis(&[
        "run",
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        &address,
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}
