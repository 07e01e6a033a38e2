//! Known ways past other firewalls: each is a case in `tests/suite/bypass`, and runs on the engine alone and through
//! the real proxy, both with a probe ruleset, which looks for the attack wherever input is, and with OWASP CRS.
//!
//! What is shown: rules see the attack, or the request is refused before the upstream is connected; and what the
//! upstream gets is what was inspected. `PORTCULLIS_CASES=path` runs the cases whose family or name has that word.
//! CRS is looked for in `PORTCULLIS_CRS_DIR`, then in `../shared/crs` beside this crate.

#![cfg(feature = "server")]
#![allow(clippy::print_stderr, reason = "says what was skipped")]

mod support;

#[path = "suite/bypass/alone.rs"]
mod alone;
#[path = "suite/bypass/case.rs"]
mod case;
#[path = "suite/bypass/encode.rs"]
mod encode;
#[path = "suite/bypass/wire.rs"]
mod wire;

use case::{Case, Expect};
use portcullis::ruleset::Ruleset;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::origin::{Origin, respond};
use support::server::{Portcullis, ruleset};
use wire::Stage;

#[test]
fn the_engine_alone_sees_or_refuses() {
    let probe = ruleset(PROBE);
    let mut faults = Vec::new();
    for (family, cases) in suite() {
        for case in cases.iter().filter(|c| c.not_probe.is_none()) {
            let whole = alone::run(&probe, case, usize::MAX);
            faults.extend(judge_alone(case, &whole).map(|f| format!("{family}: {}: {f}", case.name)));
            if case.request().len() < 64 << 10 {
                let split = alone::run(&probe, case, 1);
                if (&split.rules, split.refused, split.hidden) != (&whole.rules, whole.refused, whole.hidden)
                {
                    faults.push(format!("{family}: {}: byte by byte {split:?}, whole {whole:?}", case.name));
                }
            }
        }
    }
    tell(&faults);
}

#[test]
fn crs_on_the_engine_alone_catches() {
    let Some(crs) = crs() else { return };
    let mut faults = Vec::new();
    let mut rulesets: BTreeMap<u8, Arc<Ruleset>> = BTreeMap::new();
    for (family, cases) in suite() {
        for case in cases.iter().filter(|c| c.not_crs.is_none()) {
            let rules =
                rulesets.entry(case.paranoia).or_insert_with(|| ruleset(&crs_rules(&crs, case.paranoia)));
            let seen = alone::run(rules, case, usize::MAX);
            let is_caught = match case.expect {
                Expect::Benign => !seen.refused && !seen.hidden,
                Expect::Hidden => seen.hidden || seen.refused,
                Expect::Caught | Expect::Seen | Expect::Refused => seen.refused,
            };
            if !is_caught || !is_named(case, &seen.rules) {
                faults.push(format!("{family}: {}: {seen:?}", case.name));
            }
        }
    }
    tell(&faults);
}

#[test]
fn the_proxy_sees_or_refuses_and_forwards_what_was_seen() {
    let mut faults = Vec::new();
    for (family, cases) in suite() {
        let stage = Stage::new(PROBE);
        for case in cases.iter().filter(|c| c.not_probe.is_none()) {
            let seen = stage.run(case, answers(case));
            faults.extend(judge_wire(case, &seen).map(|f| format!("{family}: {}: {f}", case.name)));
        }
    }
    tell(&faults);
}

#[test]
fn crs_in_the_proxy_catches() {
    let Some(crs) = crs() else { return };
    let mut faults = Vec::new();
    let mut stages: BTreeMap<u8, Stage> = BTreeMap::new();
    for (family, cases) in suite() {
        for case in cases.iter().filter(|c| c.not_crs.is_none()) {
            let stage =
                stages.entry(case.paranoia).or_insert_with(|| Stage::new(&crs_rules(&crs, case.paranoia)));
            let seen = stage.run(case, answers(case));
            let is_hidden = seen.responses.iter().all(|r| !gives_away(&r.body));
            let is_caught = match case.expect {
                Expect::Benign => seen.received.len() == 1,
                Expect::Hidden => is_hidden,
                // Of several requests, those without the attack may pass.
                Expect::Caught | Expect::Seen | Expect::Refused => {
                    seen.received.is_empty()
                        || case.upstream.is_some() && seen.responses.iter().any(|r| r.status >= 400)
                }
            };
            if !is_caught || !seen.differences.is_empty() || !is_named(case, &seen.rules) {
                faults.push(format!("{family}: {}: {seen:?}", case.name));
            }
        }
    }
    tell(&faults);
}

/// An upstream that would switch to any protocol is asked for WebSocket only, so that what follows another `Upgrade` is
/// requests, and inspected.
#[test]
fn only_websocket_is_switched_to() {
    for (upgrade, is_switched) in
        [("websocket", true), ("h2c", false), ("websocket, h2c", false), ("x", false)]
    {
        let origin = Origin::start(|request, stream| match request.header("upgrade") {
            Some(_) => {
                let head =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                let _ = stream.write_all(head.as_bytes());
                false
            }
            None => respond(stream, "200 OK", &[], b"fine"),
        });
        let server = Portcullis::start(origin.address, PROBE);
        let mut client = server.client();
        client.send(format!(
            "GET /1 HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        ));
        let status = client.read().expect("an answer").status;
        assert_eq!(status, if is_switched { 101 } else { 200 }, "{upgrade}");
        if !is_switched {
            client.send("GET /2?q=%3Cscript%3Ealert(1) HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(client.read().expect("an answer").status, 200);
            let finished = server.seen.finished(2);
            assert!(finished[1].report.rules.iter().any(|r| MARKERS.contains(&r.id)), "{upgrade}");
        }
        assert_eq!(origin.requests()[0].header("http2-settings"), None, "{upgrade}");
    }
}

/// Every family of the suite is there, and every case says where it is known from.
#[test]
fn the_suite_is_whole() {
    let suite = suite();
    let families: BTreeSet<&str> = suite.iter().map(|(family, _)| family.as_str()).collect();
    assert_eq!(families, BTreeSet::from(FAMILIES));
    for (family, cases) in &suite {
        let names: BTreeSet<&str> = cases.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{family}: two cases of one name");
        for case in cases {
            assert!(!case.source.trim().is_empty(), "{family}: {}: no source", case.name);
        }
    }
}

const FAMILIES: [&str; 14] = [
    "charset",
    "content-encoding",
    "content-type",
    "cookie",
    "json",
    "multipart",
    "parameters",
    "path",
    "range",
    "reuse",
    "smuggling",
    "transfer",
    "upgrade",
    "xml",
];

/// The engine's settings with which the probe runs, and the probe: one rule that looks for the attacks wherever a
/// request has input, one for an area that rules guard by its path, and one for what responses give away. It refuses no
/// request by itself, so that what was inspected can be compared with what the upstream gets.
const PROBE: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 1048576
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyLimitAction Reject
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial
SecArgumentsLimit 1000
SecAuditEngine On
SecAuditLogParts ABCFHZ
SecAction "id:10,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\+|/)|text/)xml" \
    "id:11,phase:1,pass,t:none,t:lowercase,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+\+)?json" \
    "id:12,phase:1,pass,t:none,t:lowercase,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_FILENAME|REQUEST_BASENAME|REQUEST_URI|ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_COOKIES_NAMES|XML:/*|XML://@*|FILES|FILES_NAMES|MULTIPART_PART_HEADERS|REQUEST_HEADERS:Referer|REQUEST_HEADERS:User-Agent \
    "@rx (?i)<script>alert|/etc/passwd|union select|<\?php" \
    "id:1,phase:2,pass,log,multiMatch,t:none,t:urlDecodeUni,t:htmlEntityDecode,t:normalizePathWin"
SecRule REQUEST_FILENAME "@rx ^/admin(?:$|[/;?#.])" \
    "id:2,phase:1,pass,log,t:none,t:urlDecodeUni,t:removeNulls,t:lowercase,t:normalizePathWin"
SecRule REQUEST_FILENAME "@validateUtf8Encoding" "id:4,phase:1,pass,log,t:none"
SecRule REQUEST_BODY "@rx (?i)<script>alert|/etc/passwd|union select|<\?php" \
    "id:5,phase:2,pass,log,multiMatch,t:none,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode"
SecRule REQBODY_ERROR "!@eq 0" "id:20,phase:2,deny,status:400,log,msg:'%{reqbody_error_msg}'"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:21,phase:2,deny,status:400,log"
SecRule RESPONSE_BODY "@rx (?i)ORA-00942" "id:3,phase:4,deny,status:502,log"
"#;

/// Rules of the probe that say that it saw an attack in what had been parsed, and those that say that it would have
/// taken a closer look: a path that is not UTF-8, and an attack in a body's raw text.
const MARKERS: [u64; 2] = [1, 2];
const HINTS: [u64; 2] = [4, 5];

fn judge_alone(case: &Case, seen: &alone::Outcome) -> Option<String> {
    let is_seen = seen.rules.iter().any(|id| MARKERS.contains(id));
    let is_right = match case.expect {
        Expect::Caught => is_seen || is_hinted(&seen.rules) || seen.refused,
        Expect::Seen => is_seen,
        Expect::Refused => seen.refused,
        Expect::Hidden => seen.hidden || seen.refused,
        Expect::Benign => !is_seen && !seen.refused && !seen.hidden,
    };
    (!is_right).then(|| format!("{seen:?}"))
}

fn judge_wire(case: &Case, seen: &wire::Outcome) -> Option<String> {
    let is_seen = seen.rules.iter().any(|id| MARKERS.contains(id));
    let is_refused = seen.received.is_empty();
    let is_right = match case.expect {
        Expect::Caught => is_seen || is_hinted(&seen.rules) || is_refused,
        Expect::Seen => is_seen,
        Expect::Refused => is_refused || case.upstream.is_some(),
        Expect::Hidden => seen.responses.iter().all(|r| !gives_away(&r.body)),
        Expect::Benign => !is_seen && seen.responses.iter().all(|r| r.status < 400),
    };
    let lines: Vec<&str> =
        seen.received.iter().filter_map(|l| l.rsplit_once(' ')).map(|(line, _)| line).collect();
    let is_expected = case.upstream.as_ref().is_none_or(|expected| *expected == lines);
    let status = seen.responses.first().map(|r| r.status);
    let is_answered = case.status.is_none_or(|expected| status == Some(expected));
    let is_fine = is_right && is_expected && is_answered && seen.differences.is_empty();
    (!is_fine).then(|| format!("{seen:?}"))
}

fn is_hinted(rules: &[u64]) -> bool {
    rules.iter().any(|id| HINTS.contains(id))
}

fn gives_away(body: &[u8]) -> bool {
    let text: Vec<u8> = body.iter().copied().filter(|b| *b != 0).collect();
    [&b"ORA-00942"[..], b"ORA+AC0-00942", b"00942"].iter().any(|w| text.windows(w.len()).any(|t| t == *w))
        || text.starts_with(b"\x1F\x8B")
}

fn is_named(case: &Case, rules: &[u64]) -> bool {
    case.crs.is_empty() || case.crs.iter().any(|id| rules.contains(id))
}

/// How many answers the case's bytes get at least.
fn answers(case: &Case) -> usize {
    case.upstream.as_ref().map_or(1, Vec::len)
}

fn suite() -> Vec<(String, Vec<Case>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/bypass");
    let only = std::env::var("PORTCULLIS_CASES").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the suite is there")
        .map(|entry| entry.expect("the directory is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    let mut suite = Vec::new();
    for path in files {
        let family = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("case files are readable");
        let cases: Vec<Case> =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases: Vec<Case> = cases
            .iter()
            .flat_map(Case::expand)
            .filter(|c| family.contains(&only) || c.name.contains(&only))
            .collect();
        suite.push((family, cases));
    }
    suite
}

fn tell(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

fn crs() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs");
    let directory = std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(beside, PathBuf::from);
    if directory.join("rules").is_dir() {
        return Some(directory);
    }
    let required = std::env::var("PORTCULLIS_REQUIRE_CRS").is_ok_and(|v| v == "1");
    assert!(!required, "PORTCULLIS_REQUIRE_CRS=1, but there is no CRS in {}", directory.display());
    eprintln!("\n*** SKIPPED: no CRS in {}. Set PORTCULLIS_CRS_DIR. ***\n", directory.display());
    None
}

/// CRS as a deployment has it: the settings of `config/engine.conf`, and CRS's own defaults at `paranoia`.
fn crs_rules(crs: &Path, paranoia: u8) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    format!(
        "Include {}\nInclude {}\nSecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={paranoia}\"\n\
         SecAuditEngine On\nSecAuditLogParts ABCFHZ\nInclude {}\n",
        here.join("config/engine.conf").display(),
        crs.join("crs-setup.conf.example").display(),
        crs.join("rules/*.conf").display(),
    )
}
