//! Runs a case under every configuration that may not change the answer.

use crate::case::{Case, Expect, Request, Response, Step, escaped, unescaped};
use crate::world::TestWorld;
use portcullis::compile::{self, Input, Loaded};
use portcullis::engine::{
    AuditEngine, BodyStep, Decision, Disruption, Interruption, Options, Report, Transaction, World,
};
use portcullis::ruleset::{Mode, Ruleset};
use portcullis::syntax::diagnostic::{Severity, render};
use portcullis::syntax::print;
use portcullis::syntax::seclang::Loader;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// A way to run a case.
pub struct Configuration {
    pub name: &'static str,
    /// How many bytes of a body are given at once.
    chunk: usize,
    /// Empty chunks between the others, and more chunks after the engine wants none.
    clumsy: bool,
    /// The rules are printed from their syntax tree and read again.
    printed: bool,
    /// In `DetectionOnly`, for cases which disrupt nothing.
    detecting: bool,
    prefilters: bool,
    memo: bool,
}

const PLAIN: Configuration = Configuration {
    name: "whole",
    chunk: usize::MAX,
    clumsy: false,
    printed: false,
    detecting: false,
    prefilters: true,
    memo: true,
};

/// All configurations. A switch which must change no decision gets a row here.
pub const CONFIGURATIONS: &[Configuration] = &[
    PLAIN,
    Configuration { name: "bytes", chunk: 1, ..PLAIN },
    Configuration { name: "clumsy", chunk: 7, clumsy: true, ..PLAIN },
    Configuration { name: "printed", printed: true, ..PLAIN },
    Configuration { name: "detecting", detecting: true, ..PLAIN },
    Configuration { name: "unfiltered", prefilters: false, ..PLAIN },
    Configuration { name: "forgetful", memo: false, ..PLAIN },
];

/// What a case showed that is of interest beyond the case.
#[derive(Default)]
pub struct Coverage {
    /// Variables that were seen to match, `&` and members taken away.
    pub variables: std::collections::BTreeSet<String>,
    /// The rule text of all cases.
    pub text: String,
    pub cases: usize,
}

/// Runs `case`; what is wrong with it.
pub fn run(case: &Case, coverage: &mut Coverage) -> Vec<String> {
    let mut faults = Vec::new();
    coverage.cases += 1;
    coverage.text.push_str(&case.rules);
    let loaded = load(&case.rules, case);
    if let Some(part) = &case.refused {
        let told =
            loaded.diagnostics.iter().any(|d| d.severity == Severity::Error && d.message.contains(part));
        return match (told, loaded.ruleset) {
            (true, None) => Vec::new(),
            _ => vec![format!(
                "{}: not refused with {part}\n{}",
                case.name,
                render(&loaded.diagnostics, &loaded.sources, false)
            )],
        };
    }
    let Some(ruleset) = loaded.ruleset.clone() else {
        return vec![format!(
            "{}: the rules do not compile\n{}",
            case.name,
            render(&loaded.diagnostics, &loaded.sources, false)
        )];
    };
    let mut warnings: Vec<&str> =
        loaded.diagnostics.iter().filter(|d| d.severity == Severity::Warning).map(|d| d.code).collect();
    warnings.sort_unstable();
    if warnings != case.warnings {
        faults.push(format!("{}: warnings are {warnings:?}", case.name));
    }
    let steps: Vec<&Step> =
        if case.steps.is_empty() { case.step.iter().collect() } else { case.steps.iter().collect() };
    if steps.is_empty() {
        faults.push(format!("{}: nothing is sent", case.name));
    }
    let mut first: Option<Vec<Observed>> = None;
    let mut told = std::collections::BTreeSet::new();
    for configuration in CONFIGURATIONS {
        if case.except.contains_key(configuration.name) {
            continue;
        }
        if configuration.detecting && !detects_the_same(case, &steps) {
            continue;
        }
        let ruleset = if configuration.printed {
            let text = print::print(&loaded.document);
            match load(&text, case).ruleset {
                Some(ruleset) => ruleset,
                None => {
                    faults.push(format!("{}: the printed rules do not compile:\n{text}", case.name));
                    continue;
                }
            }
        } else {
            Arc::clone(&ruleset)
        };
        let observed = observe(case, &steps, ruleset, configuration);
        for (n, (step, seen)) in steps.iter().zip(&observed).enumerate() {
            for fault in seen.compare(&step.expect) {
                // A fault in all configurations is told once.
                if told.insert((n, fault.clone())) {
                    let place = format!("{} [{}] transaction {}", case.name, configuration.name, n + 1);
                    faults.push(format!("{place}: {fault}"));
                }
            }
            coverage.variables.extend(seen.variables());
        }
        match &first {
            None => first = Some(observed),
            Some(first) => {
                for line in differences(first, &observed, configuration) {
                    faults.push(format!("{} [{}]: at first {line}", case.name, configuration.name));
                }
            }
        }
    }
    faults
}

/// Whether nothing in the case depends on the mode.
fn detects_the_same(case: &Case, steps: &[&Step]) -> bool {
    let decides = |s: &&Step| s.expect.interrupted.is_some() || s.expect.suppressed.is_some();
    let rules = case.rules.to_ascii_lowercase();
    case.mode.is_none()
        && !steps.iter().any(decides)
        && !rules.contains("allow")
        && !rules.contains("ruleengine")
}

fn differences(first: &[Observed], second: &[Observed], configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    for (a, b) in first.iter().zip(second) {
        let mut b = b.clone();
        if configuration.detecting {
            b.mode.clone_from(&a.mode);
        }
        // How much was received when a coding proves broken, or inflates beyond its limit, depends on how much came at once.
        let is_cut =
            ["content_coding", "request_body_refused", "request_body_truncated", "response_body_truncated"];
        if a.events.iter().any(|(kind, _)| is_cut.contains(&kind.as_str())) {
            b.inspected.clone_from(&a.inspected);
        }
        let (a, b) = (format!("{a:#?}"), format!("{b:#?}"));
        if a != b {
            let unlike = a.lines().zip(b.lines()).find(|(a, b)| a != b);
            found.push(unlike.map_or("less than then".into(), |(a, b)| format!("{a}, then {b}")));
        }
    }
    found
}

/// Compiles SecLang with the case's files beside it.
fn load(rules: &str, case: &Case) -> Loaded {
    let input = Input::Text { name: "case.conf".into(), text: rules.to_owned() };
    compile::load(&[input], &Files(&case.files))
}

struct Files<'a>(&'a BTreeMap<String, String>);

impl Loader for Files<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|t| unescaped(t)).ok_or_else(|| "there is no such file".into())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(self.0.keys().filter(|name| *name == pattern).cloned().collect())
    }

    fn identity(&self, path: &str) -> Option<String> {
        self.0.contains_key(path).then(|| path.to_owned())
    }
}

fn observe(
    case: &Case,
    steps: &[&Step],
    ruleset: Arc<Ruleset>,
    configuration: &Configuration,
) -> Vec<Observed> {
    let world = Arc::new(TestWorld::new(&case.world));
    let mode = match &case.mode {
        Some(name) => Some(Mode::find(name).expect("a case names a mode")),
        None => configuration.detecting.then_some(Mode::DetectionOnly),
    };
    let mut observed = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        world.pass(step.after);
        let outside: Arc<dyn World> = Arc::clone(&world) as Arc<dyn World>;
        let options = Options { id: format!("transaction-{}", n + 1), mode, world: outside };
        let mut transaction = Transaction::new(Arc::clone(&ruleset), options);
        transaction.set_prefilters(configuration.prefilters);
        transaction.set_memo(configuration.memo);
        let mut decided = request(&mut transaction, &step.request, configuration).err();
        if decided.is_none()
            && let Some(answer) = &step.response
        {
            decided = response(&mut transaction, answer, configuration).err();
        }
        let status = match &decided {
            Some(interruption) => interruption.status,
            None => step.response.as_ref().map_or(0, |r| r.status),
        };
        let report = transaction.process_logging(status);
        observed.push(Observed::new(&report, decided.as_ref(), world.take_changes()));
    }
    observed
}

fn request(
    transaction: &mut Transaction,
    request: &Request,
    configuration: &Configuration,
) -> Result<(), Interruption> {
    let client = request.client.parse().expect("a case's client has an address and a port");
    transaction.process_connection(client, ([198, 51, 100, 1], 8080).into());
    let target = [unescaped(&request.uri), request.query.bytes()].concat();
    transaction.process_uri(&unescaped(&request.method), &target, request.protocol.as_bytes());
    if let Some(line) = &request.line {
        transaction.set_request_line(&unescaped(line));
    }
    for header in &request.headers {
        let (name, value) = field(header);
        transaction.add_request_header(&name, &value);
    }
    go_on(transaction.process_request_headers())?;
    if transaction.request_body_wanted() {
        let body = request.body.bytes();
        feed(&body, configuration, |chunk| transaction.append_request_body(chunk))?;
    }
    go_on(transaction.process_request_body())
}

fn response(
    transaction: &mut Transaction,
    response: &Response,
    configuration: &Configuration,
) -> Result<(), Interruption> {
    for header in &response.headers {
        let (name, value) = field(header);
        transaction.add_response_header(&name, &value);
    }
    go_on(transaction.process_response_headers(response.status, response.protocol.as_bytes()))?;
    if transaction.response_body_wanted() {
        let body = response.body.bytes();
        feed(&body, configuration, |chunk| transaction.append_response_body(chunk))?;
    }
    go_on(transaction.process_response_body())
}

fn field(header: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = header.split_once(':').expect("a header has a colon");
    (unescaped(name), unescaped(value.strip_prefix(' ').unwrap_or(value)))
}

fn feed(
    body: &[u8],
    configuration: &Configuration,
    mut append: impl FnMut(&[u8]) -> BodyStep,
) -> Result<(), Interruption> {
    let mut go = |chunk: &[u8]| match append(chunk) {
        BodyStep::Continue => Ok(true),
        BodyStep::LimitReached => Ok(configuration.clumsy),
        BodyStep::Interrupt(interruption) => Err(interruption),
    };
    if configuration.clumsy {
        go(b"")?;
    }
    for chunk in body.chunks(configuration.chunk.min(body.len().max(1))) {
        if !go(chunk)? {
            break;
        }
        if configuration.clumsy {
            go(b"")?;
        }
    }
    Ok(())
}

fn go_on(decision: Decision) -> Result<(), Interruption> {
    match decision {
        Decision::Pass => Ok(()),
        Decision::Interrupt(interruption) => Err(interruption),
    }
}

/// A transaction's end in comparable form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    interrupted: Option<String>,
    suppressed: Option<String>,
    hits: Vec<Hit>,
    events: Vec<(String, String)>,
    scores: [i64; 4],
    audited: bool,
    parts: String,
    sanitised: Vec<String>,
    mode: String,
    inspected: [String; 2],
    body: String,
    response_body: String,
    changes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    id: u64,
    phase: u8,
    message: String,
    data: String,
    severity: Option<u8>,
    tags: Vec<String>,
    matched: Vec<String>,
    found: Vec<String>,
    flags: String,
}

impl Observed {
    fn new(report: &Report, decided: Option<&Interruption>, changes: Vec<String>) -> Self {
        // What the caller was told and what the report tells are the same.
        assert_eq!(report.decision.interruption(), decided);
        let response = report.response.as_ref();
        let inspected = |bytes: u64, truncated: bool| format!("{bytes}{}", if truncated { "+" } else { "" });
        let hidden = &report.sanitised;
        let list = |kind: &str, names: &[Vec<u8>]| -> Vec<String> {
            names.iter().map(|n| format!("{kind} {}", escaped(n))).collect()
        };
        Self {
            interrupted: decided.map(shown),
            suppressed: report.suppressed.as_ref().map(shown),
            hits: report.rules.iter().map(Hit::new).collect(),
            events: report.events.iter().map(|e| (e.kind.name().into(), e.detail.clone())).collect(),
            scores: [
                report.scores.inbound,
                report.scores.outbound,
                report.scores.inbound_threshold,
                report.scores.outbound_threshold,
            ],
            audited: report.is_audited(),
            parts: ('A'..='Z').filter(|c| report.audit.parts.has(*c as u8)).collect(),
            sanitised: [
                list("arg", &hidden.arguments),
                list("header", &hidden.request_headers),
                list("response", &hidden.response_headers),
                list("value", &hidden.values),
            ]
            .concat(),
            mode: report.mode.name().into(),
            inspected: [
                inspected(report.request.body.inspected, report.request.body.truncated),
                response.map_or("none".into(), |r| inspected(r.body.inspected, r.body.truncated)),
            ],
            body: escaped(&report.request.body.bytes),
            response_body: response.map(|r| escaped(&r.body.bytes)).unwrap_or_default(),
            changes,
        }
        .with_engine(report.audit.engine)
    }

    /// `SecAuditEngine` shows in nothing but whether the transaction is audited.
    fn with_engine(self, engine: AuditEngine) -> Self {
        assert!(engine != AuditEngine::Off || !self.audited);
        assert!(engine != AuditEngine::On || self.audited);
        self
    }

    fn variables(&self) -> impl Iterator<Item = String> + '_ {
        self.hits.iter().flat_map(|h| &h.matched).map(|matched| {
            let name = matched.split(['=', ':']).next().unwrap_or_default();
            name.trim_start_matches('&').to_owned()
        })
    }

    fn compare(&self, expect: &Expect) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |what: &str, is: String, should: String| {
            if is != should {
                let mut fault = String::new();
                let _ = write!(fault, "{what}\n     is {is}\n should {should}");
                faults.push(fault);
            }
        };
        check("interrupted", option(&self.interrupted), option(&expect.interrupted));
        check("suppressed", option(&self.suppressed), option(&expect.suppressed));
        let ids: Vec<u64> = self.hits.iter().map(|h| h.id).collect();
        check("rules", format!("{ids:?}"), format!("{:?}", expect.rules));
        let kinds: Vec<&str> = self.events.iter().map(|(kind, _)| kind.as_str()).collect();
        check("events", format!("{:?}", self.events), {
            // Shown with their details, compared by their kinds.
            if kinds == expect.events { format!("{:?}", self.events) } else { format!("{:?}", expect.events) }
        });
        by_rule(&mut check, "data", &self.hits, &expect.data, |h| h.data.clone());
        by_rule(&mut check, "message", &self.hits, &expect.messages, |h| h.message.clone());
        by_rule(&mut check, "tags", &self.hits, &expect.tags, |h| h.tags.clone());
        by_rule(&mut check, "matched", &self.hits, &expect.matched, |h| h.matched.clone());
        by_rule(&mut check, "found", &self.hits, &expect.found, |h| h.found.clone());
        by_rule(&mut check, "flags", &self.hits, &expect.flags, |h| h.flags.clone());
        by_rule(&mut check, "phase", &self.hits, &expect.phases, |h| h.phase);
        by_rule(&mut check, "severity", &self.hits, &expect.severities, |h| h.severity.unwrap_or(99));
        if let Some(details) = &expect.details {
            let told = details.len() == self.events.len()
                && details.iter().zip(&self.events).all(|(part, (_, detail))| detail.contains(part.as_str()));
            check(
                "details of events",
                format!("{:?} {told}", self.events),
                format!("{:?} true", self.events),
            );
        }
        let mut given = |what: &str, is: String, should: Option<String>| {
            if let Some(should) = should {
                check(what, is, should);
            }
        };
        given("scores", format!("{:?}", self.scores), expect.scores.map(|s| format!("{s:?}")));
        given("audited", self.audited.to_string(), expect.audited.map(|a| a.to_string()));
        given("parts", self.parts.clone(), expect.parts.clone());
        given(
            "sanitised",
            format!("{:?}", self.sanitised),
            expect.sanitised.as_ref().map(|s| format!("{s:?}")),
        );
        given(
            "inspected",
            format!("{:?}", self.inspected),
            expect.inspected.as_ref().map(|i| format!("{i:?}")),
        );
        given("body", self.body.clone(), expect.body.clone());
        given("response body", self.response_body.clone(), expect.response_body.clone());
        given("changes", format!("{:?}", self.changes), expect.changes.as_ref().map(|c| format!("{c:?}")));
        given("mode", self.mode.clone(), expect.mode.clone());
        faults
    }
}

impl Hit {
    fn new(hit: &portcullis::engine::RuleHit) -> Self {
        let mut flags = Vec::new();
        for (name, set) in [("log", hit.log), ("auditlog", hit.auditlog), ("disruptive", hit.disruptive)] {
            if set {
                flags.push(name);
            }
        }
        Self {
            id: hit.id,
            phase: hit.phase,
            message: hit.message.clone(),
            data: escaped(&hit.data),
            severity: hit.severity,
            tags: hit.tags.to_vec(),
            matched: hit
                .matches
                .iter()
                .map(|m| format!("{}={}", escaped(m.variable.as_bytes()), escaped(&m.value)))
                .collect(),
            found: hit
                .matches
                .iter()
                .map(|m| match &m.range {
                    Some(range) => escaped(&m.value[range.clone()]),
                    None => "?".into(),
                })
                .collect(),
            flags: flags.join(" "),
        }
    }
}

fn by_rule<T: std::fmt::Debug + Clone>(
    check: &mut impl FnMut(&str, String, String),
    what: &str,
    hits: &[Hit],
    expect: &BTreeMap<u64, T>,
    of: impl Fn(&Hit) -> T,
) {
    for (id, should) in expect {
        let is: Vec<String> = hits.iter().filter(|h| h.id == *id).map(|h| format!("{:?}", of(h))).collect();
        check(&format!("{what} of {id}"), is.join(" and "), format!("{should:?}"));
    }
}

fn option(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "nothing".into())
}

fn shown(i: &Interruption) -> String {
    let mut text = format!("{} {} {} by {}", i.phase, i.disruption.name(), i.status, i.rule_id);
    if let Disruption::Redirect(location) = &i.disruption {
        text.push(' ');
        text.push_str(location);
    }
    text
}
