//! Explanations: of requests and of records, with the embedded rules and with CRS; what is proposed, and what is hidden.

#![cfg(feature = "server")]

use portcullis::audit::{Auditor, Facts, Format, MASK, Redaction};
use portcullis::config::RuleInput;
use portcullis::engine::{NoWorld, TraceOptions, World};
use portcullis::explain::{
    Exchange, Exclusion, Explanation, Place, Recorded, Reply, Rules, Settings, evaluate, explain, render,
    seclang, yaml,
};
use portcullis::reload::{Workbench, file_loader, load_rules};
use portcullis::ruleset::Mode;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

fn bench(inputs: Vec<RuleInput>) -> Workbench {
    let loaded = load_rules(&inputs, &file_loader());
    let ruleset = loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Workbench::new(inputs, ruleset)
}

fn text(text: &str) -> RuleInput {
    RuleInput::Text { name: "text".to_owned(), text: text.to_owned() }
}

fn core() -> Workbench {
    static CORE: LazyLock<Workbench> =
        LazyLock::new(|| bench(vec![RuleInput::File("@portcullis-core".to_owned())]));
    CORE.clone()
}

/// CRS in `PORTCULLIS_CRS_DIR`, or beside this crate.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn crs_directory() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs");
    let directory = std::env::var_os("PORTCULLIS_CRS_DIR").map_or_else(beside, PathBuf::from);
    if directory.join("rules").is_dir() {
        return Some(directory);
    }
    assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "no CRS in {}", directory.display());
    eprintln!("\n*** SKIPPED: no CRS in {}. Set PORTCULLIS_CRS_DIR. ***\n", directory.display());
    None
}

fn crs(more: &str) -> Option<Workbench> {
    static PLAIN: LazyLock<Option<Workbench>> = LazyLock::new(|| compile_crs(""));
    if more.is_empty() { PLAIN.clone() } else { compile_crs(more) }
}

fn compile_crs(more: &str) -> Option<Workbench> {
    let directory = crs_directory()?;
    let file = |path: &str| RuleInput::File(directory.join(path).display().to_string());
    Some(bench(vec![
        text("SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditLogParts ABIJDEFHZ\n"),
        file("crs-setup.conf.example"),
        text(more),
        file("rules/*.conf"),
    ]))
}

fn world() -> Arc<dyn World> {
    Arc::new(NoWorld)
}

fn auditor() -> Auditor {
    Auditor::new(&Redaction::default(), Format::Native, "")
}

fn ask(rules: &Workbench, exchange: &Exchange, record: Option<&Recorded>) -> Explanation {
    ask_near(rules, exchange, record, false)
}

fn ask_near(rules: &Workbench, exchange: &Exchange, record: Option<&Recorded>, near: bool) -> Explanation {
    let auditor = auditor();
    let settings = Settings {
        rules,
        mode: None,
        auditor: &auditor,
        world: world(),
        generation: String::new(),
        near,
        propose: true,
    };
    explain(exchange, record, &settings)
}

fn request(method: &str, target: &str, kind: &str, body: &str) -> Exchange {
    let header = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut headers = vec![
        header("Host", "shop.example"),
        header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        header("Accept", "text/html"),
    ];
    if !body.is_empty() {
        headers.push(header("Content-Type", kind));
        headers.push(header("Content-Length", &body.len().to_string()));
    }
    Exchange {
        method: method.as_bytes().to_vec(),
        target: target.as_bytes().to_vec(),
        headers,
        body: body.as_bytes().to_vec(),
        ..Exchange::default()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn guestbook() -> Exchange {
    request("POST", "/guestbook", FORM, "name=joe&comment=1%27+OR+%271%27%3D%271&page=2")
}

/// The audit record that a server would have written.
fn record(rules: &Workbench, exchange: &Exchange, mode: Option<Mode>) -> Recorded {
    let done = evaluate(exchange, &rules.ruleset, mode, "01TEST", &world(), &TraceOptions::default());
    let facts =
        Facts { site: "shop".to_owned(), status: 403, generation: "aaaa".to_owned(), ..Facts::default() };
    Recorded::read(&auditor().line(&done.report, &facts)).expect("a record")
}

fn blocked_with(rules: &Workbench, exclusion: &str, exchange: &Exchange) -> bool {
    let ruleset = rules.with(exclusion).expect("it loads");
    let done = evaluate(exchange, &ruleset, None, "x", &world(), &TraceOptions::default());
    done.stopped_by().is_some()
}

/// Rules move about in their files.
fn without_lines(text: &str) -> String {
    let line = regex::Regex::new(r"\.(conf|yaml):[0-9]+").expect("a pattern");
    line.replace_all(text, ".$1:N").into_owned()
}

#[test]
fn the_core_rules_are_explained() {
    insta::assert_snapshot!(without_lines(&render(&ask(&core(), &guestbook(), None), false)));
}

#[test]
fn crs_is_explained() {
    let Some(rules) = crs("") else { return };
    let directory = crs_directory().expect("it was there");
    let text = render(&ask(&rules, &guestbook(), None), false);
    insta::assert_snapshot!(without_lines(&text.replace(&directory.display().to_string(), "CRS")));
}

#[test]
fn proposals_are_narrow_and_hold() {
    let all = [Some(core()), crs("")];
    for rules in all.into_iter().flatten() {
        let explanation = ask(&rules, &guestbook(), None);
        let proposal = explanation.proposal.expect("it is blocked");
        assert!(proposal.proof.proven, "{:?}", proposal.proof);
        assert_eq!(proposal.warnings, Vec::<String>::new());
        assert!(proposal.exclusions.iter().all(|one| one.target.as_deref() == Some("ARGS:comment")));
        assert!(blocked_with(&rules, "", &guestbook()));
        assert!(!blocked_with(&rules, &proposal.seclang, &guestbook()));
        // Another parameter, another path, another method: as before.
        let attack = "1%27+OR+%271%27%3D%271";
        for other in [
            request("POST", "/guestbook", FORM, &format!("name={attack}")),
            request("POST", "/guestbook/x", FORM, &format!("comment={attack}")),
            request("GET", &format!("/guestbook?comment={attack}"), "", ""),
        ] {
            assert!(blocked_with(&rules, &proposal.seclang, &other), "{other:?}");
        }
    }
}

/// What both syntaxes say compiles to the same.
#[test]
fn both_syntaxes_say_the_same() {
    let rules = core();
    let proposal = ask(&rules, &guestbook(), None).proposal.expect("it is blocked");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("exclusion.yaml");
    std::fs::write(&path, &proposal.yaml).expect("written");
    let mut inputs = vec![RuleInput::File(path.display().to_string())];
    inputs.extend(rules.inputs.iter().cloned());
    let by_yaml = bench(inputs);
    let by_seclang = rules.with(&proposal.seclang).expect("it loads");
    let ids = |ruleset: &portcullis::ruleset::Ruleset| ruleset.rules.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(&by_yaml.ruleset), ids(&by_seclang));
    let passes = |exchange: &Exchange| {
        let done = evaluate(exchange, &by_yaml.ruleset, None, "x", &world(), &TraceOptions::default());
        done.stopped_by().is_none()
    };
    assert!(passes(&guestbook()));
    assert!(!passes(&request("POST", "/elsewhere", FORM, "comment=%27+OR+%271%27%3D%271")));
}

/// Of several rules only as many are excluded as have to be.
#[test]
fn no_more_is_excluded_than_needed() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRequestBodyAccess On\n\
         SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5,setvar:tx.blocking_inbound_anomaly_score=0\"\n\
         SecRule ARGS:a \"@contains x\" \"id:2,phase:2,pass,log,msg:'a',severity:NOTICE,setvar:tx.blocking_inbound_anomaly_score=+2\"\n\
         SecRule ARGS:b \"@contains x\" \"id:3,phase:2,pass,log,msg:'b',severity:WARNING,setvar:tx.blocking_inbound_anomaly_score=+3\"\n\
         SecRule REQUEST_URI \"@contains x\" \"id:4,phase:2,pass,log,msg:'c',severity:CRITICAL,setvar:tx.blocking_inbound_anomaly_score=+1\"\n\
         SecRule TX:blocking_inbound_anomaly_score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:5,phase:2,deny,log,msg:'sum'\"\n",
    )]);
    let explanation = ask(&rules, &request("GET", "/?a=x&b=x", "", ""), None);
    let proposal = explanation.proposal.expect("it is blocked");
    let excluded: Vec<_> = proposal.exclusions.iter().map(|one| (one.rule, one.target.clone())).collect();
    assert_eq!(excluded, [(3, Some("ARGS:b".to_owned()))]);
    assert_eq!((proposal.proof.proven, proposal.proof.score), (true, Some(3)));
    assert_eq!(explanation.bookkeeping, [5]);
    let scores: Vec<_> = explanation.rules.iter().map(|rule| (rule.id, rule.score)).collect();
    assert_eq!(scores, [(3, 3), (2, 2), (4, 1)]);
}

/// A rule that blocks by itself hides what comes after it.
#[test]
fn what_a_decision_hid_is_excluded_too() {
    let rules = bench(vec![text(
        "SecRuleEngine On\n\
         SecRule REQUEST_HEADERS:X-Tool \"@rx .\" \"id:2,phase:1,deny,log,msg:'a'\"\n\
         SecRule REQUEST_HEADERS:X-Tool \"@contains o\" \"id:3,phase:1,chain,deny,log,msg:'b'\"\n\
           SecRule MATCHED_VAR \"@contains n\" \"t:none\"\n\
         SecRule REQUEST_METHOD \"@streq GET\" \"id:4,phase:1,deny,log,msg:'c'\"\n\
         SecRule TX:nothing|REQUEST_URI \"@rx .\" \"id:5,phase:2,deny,log,msg:'d'\"\n",
    )]);
    let mut exchange = request("GET", "/a", "", "");
    exchange.headers.push((b"X-Tool".to_vec(), b"one".to_vec()));
    let explanation = ask(&rules, &exchange, None);
    assert_eq!(explanation.decision.rule, Some(2));
    let proposal = explanation.proposal.expect("it is blocked");
    let excluded: Vec<_> = proposal.exclusions.iter().map(|one| (one.rule, one.target.as_deref())).collect();
    assert_eq!(
        excluded,
        [
            (2, Some("REQUEST_HEADERS:X-Tool")),
            (3, Some("REQUEST_HEADERS:X-Tool")),
            (4, Some("REQUEST_METHOD")),
            (5, Some("REQUEST_URI"))
        ]
    );
    assert!(proposal.proof.proven);
    assert_eq!(proposal.warnings.len(), 2, "{:?}", proposal.warnings);
}

#[test]
fn what_cannot_be_excluded_is_switched_off_and_told() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRule REQUEST_URI \"@rx .\" \"id:2,phase:1,pass,nolog,setvar:tx.odd=1\"\n\
         SecRule TX:odd \"@eq 1\" \"id:3,phase:1,deny,log,msg:'odd'\"\n",
    )]);
    let proposal = ask(&rules, &request("GET", "/a", "", ""), None).proposal.expect("it is blocked");
    assert_eq!(
        proposal.exclusions.iter().map(|one| (one.rule, &one.target)).collect::<Vec<_>>(),
        [(3, &None)]
    );
    assert!(proposal.proof.proven && proposal.warnings[0].contains("switched off"));
}

/// What a later link judges: only the name that it objects to is excluded, and each link's operator is told.
#[test]
fn of_what_a_chain_looks_at_only_what_its_last_link_objects_to_is_excluded() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRule REQUEST_HEADERS_NAMES \"@rx ^.*$\" \"id:2,phase:1,deny,log,msg:'restricted',\\\n\
         t:lowercase,setvar:tx.seen_%{MATCHED_VAR}=/%{MATCHED_VAR}/,chain\"\n\
         SecRule TX:/^seen_/ \"@within /x-one/ /x-two/\" \"t:none\"\n",
    )]);
    let mut exchange = request("GET", "/a", "", "");
    for name in ["X-Fine", "X-One", "X-Other", "X-Two"] {
        exchange.headers.push((name.as_bytes().to_vec(), b"1".to_vec()));
    }
    let explanation = ask(&rules, &exchange, None);
    let told = render(&explanation, false);
    assert!(told.contains("and @within /x-one/ /x-two/"), "{told}");
    let proposal = explanation.proposal.expect("it is blocked");
    let targets: Vec<_> = proposal.exclusions.iter().filter_map(|one| one.target.as_deref()).collect();
    assert_eq!(targets, ["REQUEST_HEADERS_NAMES:X-One", "REQUEST_HEADERS_NAMES:X-Two"]);
    assert!(proposal.proof.proven);
}

/// A response's score is one of its own, also where the rules add both up to tell of it.
#[test]
fn leaks_are_excluded_too() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
         SecAction \"id:1,phase:1,pass,nolog,setvar:tx.outbound_anomaly_score_threshold=4,\\\n\
         setvar:tx.inbound_anomaly_score_threshold=5\"\n\
         SecRule RESPONSE_BODY \"@contains secret\" \"id:2,phase:4,pass,log,msg:'leak',severity:CRITICAL,\\\n\
         setvar:tx.blocking_outbound_anomaly_score=+5\"\n\
         SecRule TX:blocking_outbound_anomaly_score \"@ge %{tx.outbound_anomaly_score_threshold}\" \"id:3,phase:4,deny,log\"\n\
         SecAction \"id:4,phase:5,pass,nolog,setvar:tx.anomaly_score=%{tx.blocking_inbound_anomaly_score},\\\n\
         setvar:tx.anomaly_score=+%{tx.blocking_outbound_anomaly_score}\"\n",
    )]);
    let mut exchange = request("GET", "/a", "", "");
    exchange.reply = Some(Reply {
        status: 200,
        headers: vec![(b"Content-Type".to_vec(), b"text/html".to_vec())],
        body: b"a secret".to_vec(),
    });
    let explanation = ask(&rules, &exchange, None);
    assert!(explanation.rules[0].outbound && explanation.rules[0].counted, "{explanation:?}");
    let proposal = explanation.proposal.expect("it is blocked");
    assert_eq!(proposal.exclusions.len(), 1);
    assert_eq!(
        (proposal.exclusions[0].rule, proposal.exclusions[0].target.as_deref()),
        (2, Some("RESPONSE_BODY"))
    );
    assert!(proposal.proof.proven && proposal.warnings.len() == 1, "{proposal:?}");
}

/// What matched a secret is not in the record: its exclusion is proposed, and not called proven.
#[test]
fn what_the_record_does_not_hold_is_not_proven() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditLogParts ABCFHZ\n\
         SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
         SecRule ARGS|REQUEST_COOKIES \"@contains evil\" \"id:2,phase:1,pass,log,auditlog,severity:CRITICAL,\\\n\
         setvar:tx.blocking_inbound_anomaly_score=+5\"\n\
         SecRule REQUEST_COOKIES \"@contains worse\" \"id:3,phase:1,pass,log,auditlog,severity:CRITICAL,\\\n\
         setvar:tx.blocking_inbound_anomaly_score=+5\"\n\
         SecRule TX:blocking_inbound_anomaly_score \"@ge 5\" \"id:4,phase:1,deny,log,auditlog\"\n",
    )]);
    let mut exchange = request("GET", "/a?q=evil", "", "");
    exchange.headers.push((b"Cookie".to_vec(), b"sid=worse".to_vec()));
    let record = record(&rules, &exchange, None);
    let proposal = ask(&rules, &Exchange::of_record(&record), Some(&record)).proposal.expect("blocked");
    assert!(!proposal.proof.proven && proposal.proof.told.contains("what 3 matched"), "{:?}", proposal.proof);
    let excluded: Vec<_> = proposal.exclusions.iter().map(|one| (one.rule, one.target.as_deref())).collect();
    assert_eq!(excluded, [(2, Some("ARGS:q")), (3, Some("REQUEST_COOKIES:sid"))]);
}

#[test]
fn records_are_evaluated_again_and_compared() {
    let rules = core();
    let record = record(&rules, &guestbook(), None);
    let exchange = Exchange::of_record(&record);
    let explanation = ask(&rules, &exchange, Some(&record));
    assert!(explanation.basis.is_faithful(), "{:?}", explanation.basis);
    assert_eq!(explanation.basis.gaps, Vec::<String>::new());
    assert!(explanation.proposal.expect("blocked").proof.proven);
    assert!(explanation.decision.told.starts_with("It was refused with status 403, since its score of"));

    // Other rules than those that it was recorded with.
    let other = bench(vec![text("SecRuleEngine On\n")]);
    let explanation = ask(&other, &exchange, Some(&record));
    assert!(!explanation.basis.missing.is_empty());
    assert!(explanation.rules.iter().all(|rule| rule.from_record));
    let proposal = explanation.proposal.expect("the record says so");
    assert!(!proposal.proof.proven && proposal.proof.told.contains("not tried"));
    assert!(!proposal.exclusions.is_empty());
    assert!(proposal.exclusions.iter().all(|one| one.target.as_deref() == Some("ARGS:comment")));
}

#[test]
fn a_body_that_was_not_recorded_is_made_up() {
    let mut rules = core();
    rules.inputs.push(text("SecAuditLogParts ABHZ"));
    let rules = bench(rules.inputs);
    let record = record(&rules, &guestbook(), None);
    assert!(record.request.body.is_none());
    let exchange = Exchange::of_record(&record);
    let explanation = ask(&rules, &exchange, Some(&record));
    assert!(explanation.basis.gaps[0].contains("a form was made"), "{:?}", explanation.basis.gaps);
    assert!(explanation.proposal.expect("blocked").proof.proven);
}

#[test]
fn detection_only_tells_what_would_have_been() {
    let rules = core();
    let record = record(&rules, &guestbook(), Some(Mode::DetectionOnly));
    let auditor = auditor();
    let settings = Settings {
        rules: &rules,
        mode: Some(Mode::DetectionOnly),
        auditor: &auditor,
        world: world(),
        generation: "bbbb".to_owned(),
        near: false,
        propose: true,
    };
    let explanation = explain(&Exchange::of_record(&record), Some(&record), &settings);
    assert!(explanation.decision.told.contains("would have been refused"), "{}", explanation.decision.told);
    assert!(explanation.decision.told.contains("it went through"));
    assert!(explanation.proposal.as_ref().expect("it would be blocked").proof.proven);
    let text = render(&explanation, false);
    assert!(text.contains("configuration and rules aaaa and is explained with bbbb"), "{text}");
}

/// No secret of a request is in any form of its explanation.
#[test]
fn secrets_are_not_shown() {
    let secrets =
        ["hunter2-' or '1'='1", "c0ffee-session' or 2=2 --", "am9lOmh1bnRlcjI=", "s3cr3t-t0ken-value"];
    let body =
        "password=hunter2-%27+or+%271%27%3D%271&comment=hunter2-%27+or+%271%27%3D%271&x=%27+or+1%3D1+--+";
    let mut exchange = request("POST", "/login?token=s3cr3t-t0ken-value&a=b", FORM, body);
    for (name, value) in [
        ("Cookie", "sid=c0ffee-session' or 2=2 --; theme=dark"),
        ("Authorization", "Basic am9lOmh1bnRlcjI="),
        ("Referer", "http://h/?token=s3cr3t-t0ken-value"),
    ] {
        exchange.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    let all = [
        Some(core()),
        crs("SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4\"\n"),
    ];
    for rules in all.into_iter().flatten() {
        let explanation = ask_near(&rules, &exchange, None, true);
        assert!(explanation.rules.len() > 1);
        let forms = [
            render(&explanation, false),
            render(&explanation, true),
            serde_json::to_string(&explanation).expect("JSON"),
        ];
        for form in &forms {
            assert!(form.contains(MASK));
            for secret in secrets {
                for part in
                    [secret, &secret.to_uppercase(), secret.split(['-', '\'']).next().expect("a part")]
                {
                    assert!(!form.contains(part), "{part} in {form}");
                }
            }
        }
    }
}

#[test]
fn hostile_bytes_reach_no_terminal() {
    let target = "/a%1b%5b31mb/?q%0a%22=%27+or+1%3d1+--+%1b%5d0%3bx%07%e2%80%aeabc%ff";
    let rules = core();
    let explanation = ask_near(&rules, &request("GET", target, "", ""), None, true);
    assert!(explanation.decision.action == "deny");
    for text in [render(&explanation, false), explanation.proposal.as_ref().expect("blocked").yaml.clone()] {
        let plain = |c: char| !c.is_control() || c == '\n';
        assert!(text.chars().all(|c| plain(c) && c != '\u{202e}'), "{text:?}");
    }
    // With colours there are escapes, all of them our own.
    let coloured = render(&explanation, true);
    for sequence in coloured.split('\u{1b}').skip(1) {
        let code = sequence.split('m').next().expect("a code");
        assert!(["[0", "[1", "[2", "[1;31", "[1;32", "[33", "[1;30;43"].contains(&code), "{code:?}");
    }
    let proposal = explanation.proposal.expect("blocked");
    assert!(proposal.proof.proven, "{proposal:?}");
}

#[test]
fn hostile_names_are_excluded_by_patterns() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRule ARGS|ARGS_NAMES \"@contains evil\" \"id:7,phase:2,deny,log,msg:'evil'\"\n",
    )]);
    for name in [
        "a%22b",
        "a,b",
        "a;b",
        "a%27b",
        "a|b",
        "a b",
        "%ff",
        "a\\",
        "%25{tx.x}",
        "a/b",
        "user[x]",
        "$.a",
        "%23a",
        "ä",
        "a%0ab",
    ] {
        let target = format!("/p%22,%27;%5c%25{{x}}?{name}=evil");
        let explanation = ask(&rules, &request("GET", &target, "", ""), None);
        let proposal = explanation.proposal.expect("blocked");
        assert!(proposal.proof.proven, "{name}: {proposal:?}");
        let other = request("GET", &format!("/?{name}=evil"), "", "");
        assert!(blocked_with(&rules, &proposal.seclang, &other), "{name}");
        let other = request("GET", &format!("/p%22,%27;%5c%25{{x}}?x{name}=evil"), "", "");
        assert!(blocked_with(&rules, &proposal.seclang, &other), "{name}");
    }
}

#[test]
fn what_nearly_matched_is_told() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecAction \"id:1,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=1\"\n\
         SecRule ARGS:a \"@contains x\" \"id:2,phase:2,chain,deny,log,msg:'both'\"\n\
           SecRule ARGS:b \"@contains y\"\n\
         SecRule TX:detection_paranoia_level \"@lt 3\" \"id:3,phase:2,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS:a \"@contains x\" \"id:4,phase:2,deny,log,msg:'strict',tag:'paranoia-level/3'\"\n\
         SecMarker END\n",
    )]);
    let exchange = request("GET", "/?a=x&b=z", "", "");
    let explanation = ask_near(&rules, &exchange, None, true);
    assert_eq!(explanation.decision.action, "pass");
    let near = explanation.near.expect("asked for");
    assert_eq!(near.levels.iter().map(|r| (r.id, r.paranoia_level)).collect::<Vec<_>>(), [(4, Some(3))]);
    assert_eq!(
        near.almost.iter().map(|r| (r.id, r.lacking.clone())).collect::<Vec<_>>(),
        [(2, vec!["ARGS:b".to_owned()])]
    );
    assert!(ask(&rules, &exchange, None).near.is_none());

    let core = core();
    let near = ask_near(&core, &request("GET", "/?q=1", "", ""), None, true);
    assert!(near.rules.is_empty());
    if let Some(crs) = crs("") {
        let near = ask_near(&crs, &request("GET", "/?q=a%27b", "", ""), None, true).near.expect("asked for");
        assert!(near.levels.iter().any(|rule| rule.paranoia_level > Some(1)), "{near:?}");
    }
}

#[test]
fn each_transformation_is_shown() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecRule ARGS:a \"@rx b.d\" \"id:2,phase:2,deny,log,msg:'x',t:none,t:urlDecodeUni,t:lowercase,t:removeWhitespace,t:trim\"\n\
         SecRule ARGS:a \"@streq AB%43D E\" \"id:3,phase:2,deny,log,msg:'y',t:none,t:urlDecodeUni,t:lowercase,multiMatch\"\n",
    )]);
    let explanation = ask(&rules, &request("GET", "/?a=AB%2543D%20E", "", ""), None);
    let matched = &explanation.rules[0].matches[0];
    let texts = |pieces: &[portcullis::audit::Piece]| {
        pieces.iter().map(|p| (p.text.clone(), p.matched)).collect::<Vec<_>>()
    };
    let steps: Vec<_> = matched
        .steps
        .iter()
        .map(|s| (s.transformation.as_str(), s.value.as_ref().map(|v| v[0].text.as_str())))
        .collect();
    assert_eq!(
        steps,
        [
            ("urlDecodeUni", Some("ABCD E")),
            ("lowercase", Some("abcd e")),
            ("removeWhitespace", Some("abcde")),
            ("trim", None)
        ]
    );
    assert_eq!(texts(matched.received.as_deref().expect("known")), [("AB%43D E".to_owned(), false)]);
    assert_eq!(
        texts(&matched.value),
        [("a".to_owned(), false), ("bcd".to_owned(), true), ("e".to_owned(), false)]
    );
}

#[test]
fn exclusions_are_put_together() {
    let place = Place { method: None, path: Some("@streq /a".to_owned()) };
    let one = |rule, target: Option<&str>| Exclusion {
        rule,
        target: target.map(str::to_owned),
        place: place.clone(),
    };
    let all = [one(2, Some("ARGS:x")), one(1, Some("ARGS:x")), one(3, None), one(3, Some("ARGS:y"))];
    insta::assert_snapshot!(format!("{}\n{}", seclang(&all, "why\nnot \\"), yaml(&all, "it's")));
}

#[test]
fn the_layers_that_showed_an_attack_are_told() {
    let rules = bench(vec![text(
        "SecRuleEngine On\nSecAuditEngine On\n\
         SecRule ARGS:b \"@rx ^[A-Za-z0-9+/=]+$\" \"id:1,phase:2,log,pass,chain\"\n\
         SecRule MATCHED_VARS \"@contains <b x='\" \"t:none,t:base64Decode,t:decodeLayers,t:lowercase\"\n\
         SecRule ARGS:u \"@contains <b\" \"id:2,phase:2,log,pass,t:decodeLayers,t:htmlEntityDecode,t:jsDecode\"\n\
         SecRule ARGS:m \"@streq a'b\" \"id:3,phase:2,log,pass,t:urlDecodeUni,t:htmlEntityDecode,multiMatch\"\n\
         SecRule ARGS:u \"!@streq x\" \"id:4,phase:2,log,pass,t:decodeLayers\"\n",
    )]);
    let told = |target: &str, id: u64| {
        let exchange = request("GET", target, "", "");
        let record = record(&rules, &exchange, None);
        let recorded: Vec<Vec<String>> = record
            .rules
            .iter()
            .filter(|hit| hit.id == id)
            .flat_map(|hit| {
                std::iter::once(hit.decoded.clone()).chain(hit.further.iter().map(|m| m.decoded.clone()))
            })
            .collect();
        let explanation = ask(&rules, &exchange, None);
        let explained: Vec<Vec<String>> = explanation
            .rules
            .iter()
            .chain(&explanation.others)
            .filter(|rule| rule.id == id)
            .flat_map(|rule| rule.matches.iter().map(|m| m.decoded.clone()))
            .collect();
        assert_eq!(recorded, explained, "{target}");
        (recorded, render(&explanation, false))
    };
    // Base64, around two layers of percent signs, around an escape of JavaScript.
    let (layers, page) = told("/?b=JTI1M0NCJTIweD1cdTAwMjc=", 1);
    assert_eq!(layers, [vec![], vec!["base64".to_owned(), "url+js".to_owned(), "url".to_owned()]]);
    assert!(page.contains("base64 → url+js → url"), "{page}");
    // As it came, though there is more to decode.
    assert_eq!(told("/?u=<b%20%2541", 2).0, [Vec::<String>::new()]);
    // Only as far as it had to be.
    assert_eq!(told("/?u=%253Cb%2525", 2).0, [vec!["url".to_owned()]]);
    assert_eq!(told("/?u=%2526lt;b", 2).0, [vec!["url".to_owned(), "html".to_owned()]]);
    assert_eq!(told("/?u=%ef%bc%9cb", 2).0, [vec!["full-width".to_owned()]]);
    assert_eq!(told("/?u=%25u003cb", 2).0, [vec!["url-unicode".to_owned()]]);
    // multiMatch stops where it matched.
    assert_eq!(told("/?m=a%2527b", 3).0, [vec!["url".to_owned()]]);
    // Long values are not taken apart.
    assert_eq!(told(&format!("/?u={}%253Cb", "a".repeat(5_000)), 2).0, [Vec::<String>::new()]);
    // Of a negated operator nobody can say: all that was undone.
    assert_eq!(told("/?u=%2541", 4).0, [vec!["url".to_owned()]]);
}
