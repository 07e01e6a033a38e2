//! The packs of exclusions: what each application sends passes with its pack, at level 2 of the embedded ruleset and of
//! CRS, and is refused by one of them without; attacks on it are refused at level 1 all the same.

#![cfg(feature = "server")]

use portcullis::cli::ftw::{InProcess, transact_native};
use portcullis::compile::EMBEDDED;
use portcullis::config::{EXCLUSION_PACKS, Overrides, RuleInput};
use portcullis::engine::{Decision, NoWorld, Report};
use portcullis::reload::{Origin, file_loader, load, load_rules};
use portcullis::source::{SourceMap, Span};
use portcullis::syntax::ast::{RuleTest, TestRequest};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    passes: Vec<Request>,
    refused: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default = "get")]
    method: String,
    uri: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// CRS would need a setting of its own for it.
    #[serde(default)]
    core_only: bool,
}

fn get() -> String {
    "GET".to_owned()
}

#[test]
fn packs_let_applications_work_and_attacks_fail() {
    let mut faults = Vec::new();
    let none = Engines::new(&[]);
    // CRS takes long to load, so there all packs are on at once. With the embedded ruleset each has to do alone.
    let all = Engines::new(&packs());
    for pack in packs() {
        let path = format!("{}/tests/suite/exclusions/{pack}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let suite: Suite = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(!suite.passes.is_empty() && suite.refused.len() >= 2, "{path} has too few requests");
        let alone = core_with(std::slice::from_ref(&pack), 2);
        let crs = |request: &Request, level: usize| {
            let crs = all.crs.as_ref().filter(|_| !request.core_only);
            crs.map(|crs| ("CRS", &crs[level - 1]))
        };
        for request in &suite.passes {
            for (name, engine) in std::iter::once(("core", &alone)).chain(crs(request, 2)) {
                let report = send(engine, request);
                if report.decision != Decision::Pass {
                    faults.push(format!("{pack}, {name}: refused: {}", told(request, &report)));
                }
            }
            if none.all().all(|engine| send(engine, request).decision == Decision::Pass) {
                faults.push(format!("{pack}: passes without the pack: {} {}", request.uri, request.body));
            }
        }
        for request in &suite.refused {
            for (name, engine) in std::iter::once(("core", &all.core[0])).chain(crs(request, 1)) {
                let report = send(engine, request);
                if report.decision == Decision::Pass {
                    faults.push(format!("{pack}, {name}: passes: {}", told(request, &report)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_configuration_enables_packs_by_name_by_path_and_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let own = "exclusions:\n  - {id: own/notes, when: {variables: REQUEST_FILENAME, operator: '@streq /notes'}, rules: 9150000-9169999, targets: ARGS:text}\n";
    std::fs::write(at("own.yaml"), own).expect("it is writable");
    let config = "sites:\n  - name: a\n    upstreams: ['http://127.0.0.1:9']\n    exclusions:\n      - '@dokuwiki'\n      - ./own.yaml\n      - {pack: [wordpress, phpbb], paths: [/blog, /forum/]}\n";
    std::fs::write(at("c.yaml"), config).expect("it is writable");
    let loaded =
        load(&Origin { path: Some(at("c.yaml")), overrides: Overrides::default() }, 1, &file_loader());
    assert!(loaded.complaints.iter().all(|c| c.diagnostics.is_empty()), "{}", loaded.render(false));
    let generation = loaded.generation.expect("it loads");
    let engine = InProcess::new(generation.sites[0].ruleset.clone(), Arc::new(NoWorld));
    let post = |uri: &str, body: &str| Request {
        method: "POST".to_owned(),
        uri: uri.to_owned(),
        headers: BTreeMap::new(),
        body: body.to_owned(),
        core_only: false,
    };
    let attack = "<script>alert(document.cookie)</script>";
    for (uri, argument, passes) in [
        ("/doku.php", "wikitext", true),
        ("/notes", "text", true),
        ("/notes", "other", false),
        ("/blog/wp-admin/post.php", "content", true),
        ("/wp-admin/post.php", "content", false),
        ("/blogger/wp-admin/post.php", "content", false),
        ("/forum/posting.php", "message", true),
        ("/posting.php", "message", false),
        // The jump over packs ends where they end.
        ("/anything", "q", false),
    ] {
        let report = send(&engine, &post(uri, &format!("{argument}={attack}")));
        assert_eq!(report.decision == Decision::Pass, passes, "{uri} {argument}: {:?}", report.rules);
    }
}

#[test]
fn faulty_packs_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    for (exclusions, said) in [
        ("[wordpres]", "there is no pack of exclusions wordpres; there are cpanel, dokuwiki"),
        ("[{pack: wordpress, rules: 1}]", "`rules` has no meaning beside `pack`"),
        ("['no such pack']", "expected the name of a pack"),
        ("[./missing.yaml]", "missing.yaml"),
    ] {
        let path = directory.path().join("c.yaml");
        let config =
            format!("sites: [{{name: a, upstreams: ['http://127.0.0.1:9'], exclusions: {exclusions}}}]");
        std::fs::write(&path, config).expect("it is writable");
        let loaded = load(&Origin { path: Some(path), overrides: Overrides::default() }, 1, &file_loader());
        assert!(loaded.generation.is_none(), "{exclusions} loads");
        assert!(loaded.render(false).contains(said), "{exclusions}: {}", loaded.render(false));
    }
}

/// Every pack has a row in the guide, and every row a pack.
#[test]
fn the_guide_names_all_packs() {
    let guide = include_str!("../docs/guide/exclusion-packs.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), packs());
}

fn packs() -> Vec<String> {
    let names =
        EMBEDDED.iter().filter_map(|(name, _)| name.strip_prefix(EXCLUSION_PACKS)?.strip_suffix(".yaml"));
    names.map(str::to_owned).collect()
}

/// Rulesets behind packs, each at levels 1 and 2.
struct Engines {
    core: [InProcess; 2],
    crs: Option<[InProcess; 2]>,
}

impl Engines {
    fn new(packs: &[String]) -> Self {
        Self { core: [1, 2].map(|level| core_with(packs, level)), crs: crs_with(packs) }
    }

    fn all(&self) -> impl Iterator<Item = &InProcess> {
        self.core.iter().chain(self.crs.iter().flatten())
    }
}

fn core_with(packs: &[String], level: u64) -> InProcess {
    let core = RuleInput::File("@portcullis-core".to_owned());
    engine(&files(packs).chain([level_of(level), core]).collect::<Vec<_>>())
}

fn crs_with(packs: &[String]) -> Option<[InProcess; 2]> {
    let crs = crs()?;
    let of = |path: &str| RuleInput::File(crs.join(path).display().to_string());
    Some([1, 2].map(|level| {
        let settings = RuleInput::File("@engine.conf".to_owned());
        let rules = [level_of(level), of("crs-setup.conf.example"), of("rules/*.conf")];
        engine(&std::iter::once(settings).chain(files(packs)).chain(rules).collect::<Vec<_>>())
    }))
}

fn files(packs: &[String]) -> impl Iterator<Item = RuleInput> {
    packs.iter().map(|pack| RuleInput::File(format!("{EXCLUSION_PACKS}{pack}.yaml")))
}

fn level_of(level: u64) -> RuleInput {
    let text =
        format!("SecAction \"id:1,phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level={level}\"");
    RuleInput::Text { name: "level".to_owned(), text }
}

fn engine(rules: &[RuleInput]) -> InProcess {
    let loaded = load_rules(rules, &file_loader());
    let ruleset = loaded.ruleset.clone();
    InProcess::new(ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)), Arc::new(NoWorld))
}

fn crs() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs");
    let crs = std::env::var_os("PORTCULLIS_CRS_DIR").map_or(beside, PathBuf::from);
    if crs.join("rules").is_dir() {
        return Some(crs);
    }
    assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "no CRS at {}", crs.display());
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: no CRS at {} ***\n", crs.display());
    None
}

fn send(engine: &InProcess, request: &Request) -> Report {
    let mut headers = vec![
        ("Host".to_owned(), "www.example.com".to_owned()),
        (
            "User-Agent".to_owned(),
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        ),
        ("Accept".to_owned(), "text/html,*/*;q=0.8".to_owned()),
    ];
    headers.retain(|(name, _)| !request.headers.contains_key(name));
    headers.extend(request.headers.clone());
    let body = match request.headers.get("Content-Type") {
        Some(_) => request.body.clone().into_bytes(),
        None if request.body.is_empty() => Vec::new(),
        None => {
            headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
            form(&request.body).into_bytes()
        }
    };
    if !body.is_empty() || request.method == "POST" {
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    let uri = request.uri.bytes().map(escaped).collect();
    let request =
        TestRequest { method: request.method.clone(), uri, headers, body, ..TestRequest::default() };
    let span = Span::new(SourceMap::new().add("", ""), 0, 0);
    transact_native(
        engine,
        &RuleTest { rule: 0, also: Vec::new(), request, response: None, matches: true, span },
    )
}

/// Percent-encodes what a browser would in an address that is written for people.
fn escaped(byte: u8) -> String {
    if byte.is_ascii_graphic() && !b"\"<>`'".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// A form as a browser encodes it; what is percent-encoded already stays. `&` before a name ends a value.
fn form(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"&=%-_.*[]".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn told(request: &Request, report: &Report) -> String {
    let hits: Vec<_> = report
        .rules
        .iter()
        .map(|h| {
            (
                h.id,
                h.matches
                    .first()
                    .map(|m| String::from_utf8_lossy(&m.value).chars().take(60).collect::<String>()),
            )
        })
        .collect();
    format!("{} {} {}: {hits:?}", request.method, request.uri, request.body)
}
