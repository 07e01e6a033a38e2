//! The audit record: what a transaction left behind, redacted and bounded, in Portcullis' own schema
//! (`docs/audit-log.md`, `docs/audit-log.schema.json`).

use super::mask::Masker;
use super::text::{bounded, plain};
use super::{Facts, bounds};
use crate::engine::{AuditParts, Decision, Event, Interruption, MatchedValue, Report, RuleHit, Shadowed};
use crate::ruleset::Mode;
use serde::Serialize;
use std::borrow::Cow;
use std::net::SocketAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One transaction.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    /// The transaction's id.
    pub id: Cow<'a, str>,
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// The site's name.
    pub site: Cow<'a, str>,
    /// The hash of the generation by which it was served.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub generation: Cow<'a, str>,
    /// Milliseconds from its beginning to the end of the answer.
    pub duration_ms: f64,
    /// The client as rules saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Endpoint>,
    /// The address on which it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Endpoint>,
    /// The request.
    pub request: Request<'a>,
    /// What the client was answered.
    pub response: Response<'a>,
    /// The upstream that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream<'a>>,
    /// The mode in which it ended.
    pub mode: &'static str,
    /// What was decided.
    pub decision: Verdict<'a>,
    /// What would have been decided but for the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Verdict<'a>>,
    /// Anomaly scores.
    pub score: Score,
    /// Rules that matched and log.
    pub rules: Vec<Hit<'a>>,
    /// What else happened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Happening<'a>>,
    /// What a candidate ruleset made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow<'a>>,
    /// What was left out because of a bound.
    #[serde(skip_serializing_if = "Omitted::is_empty")]
    pub omitted: Omitted,
    /// Parts as the ruleset asked for them; the ModSecurity schema needs them too.
    #[serde(skip)]
    pub(super) parts: AuditParts,
    /// When it began.
    #[serde(skip)]
    pub(super) started: OffsetDateTime,
}

/// An address.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Endpoint {
    /// IP address.
    pub ip: String,
    /// Port.
    pub port: u16,
}

/// The request.
#[derive(Clone, Debug, Serialize)]
pub struct Request<'a> {
    /// The method.
    pub method: Cow<'a, str>,
    /// The request target as received.
    pub uri: Cow<'a, str>,
    /// `HTTP/1.1`, …
    pub protocol: Cow<'a, str>,
    /// Headers in order, name and value (part B).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    /// The body (part C, or I without uploaded files).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body<'a>>,
    /// Uploaded files (part J).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<File<'a>>>,
}

/// What the client was answered.
#[derive(Clone, Debug, Serialize)]
pub struct Response<'a> {
    /// The status; 0 when the client got no answer.
    pub status: u16,
    /// The upstream's status, when it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// The upstream's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Cow<'a, str>>,
    /// The upstream's headers in order (part F).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    /// The upstream's body (part E).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body<'a>>,
}

/// A body as far as it was inspected and kept.
#[derive(Clone, Debug, Serialize)]
pub struct Body<'a> {
    /// The content.
    pub text: Cow<'a, str>,
    /// Bytes that were inspected.
    pub inspected: u64,
    /// Whether more followed that was not inspected.
    pub truncated: bool,
}

/// An uploaded file.
#[derive(Clone, Debug, Serialize)]
pub struct File<'a> {
    /// The form field.
    pub field: Cow<'a, str>,
    /// The file's name as the client gave it.
    pub name: Cow<'a, str>,
    /// Bytes.
    pub size: u64,
    /// The part's content type.
    pub content_type: Cow<'a, str>,
}

/// The upstream that was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Upstream<'a> {
    /// Its address or URL.
    pub address: Cow<'a, str>,
}

/// A decision.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict<'a> {
    /// `pass`, `deny`, `drop` or `redirect`.
    pub action: &'static str,
    /// The status that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The rule that decided; 0 when a limit or the protocol did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<u64>,
    /// The phase in which it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<u8>,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Cow<'a, str>>,
}

/// What a candidate ruleset made of a transaction that it did not decide.
#[derive(Clone, Debug, Serialize)]
pub struct Shadow<'a> {
    /// `same`, `newly_blocked`, `newly_passed` or `undecided`.
    pub verdict: &'static str,
    /// What it would have decided.
    pub decision: Verdict<'a>,
    /// Its anomaly scores.
    pub score: Score,
    /// Rules that matched under it and not under the rules at work.
    pub rules_added: Vec<Hit<'a>>,
    /// Ids of rules that matched under the rules at work and not under it.
    pub rules_removed: Vec<u64>,
    /// Parts that it asked for and was not shown: `request_body`, `response_body`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<&'static str>,
}

impl<'a> Shadow<'a> {
    /// The section about `shadow` in the record of `report`, redacted as `masker` knows.
    pub(super) fn new(report: &Report, shadow: &'a Shadowed, masker: &Masker<'_>) -> Self {
        let missing =
            [(shadow.request_body_missing, "request_body"), (shadow.response_body_missing, "response_body")];
        Self {
            verdict: shadow.difference.name(),
            decision: verdict(shadow.report.stop(), masker),
            score: score(&shadow.report),
            rules_added: shadow
                .added(report)
                .take(bounds::SHADOW_RULES)
                .map(|one| hit(one, masker))
                .collect(),
            rules_removed: shadow.removed(report).into_iter().take(bounds::SHADOW_RULES).collect(),
            missing: missing.into_iter().filter(|(is, _)| *is).map(|(_, part)| part).collect(),
        }
    }
}

fn score(report: &Report) -> Score {
    Score {
        inbound: report.scores.inbound,
        outbound: report.scores.outbound,
        threshold: report.scores.inbound_threshold,
        outbound_threshold: report.scores.outbound_threshold,
    }
}

/// Anomaly scores and thresholds; a threshold of 0 means that there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Of the request.
    pub inbound: i64,
    /// Of the response.
    pub outbound: i64,
    /// Above which requests are blocked.
    pub threshold: i64,
    /// Above which responses are blocked.
    pub outbound_threshold: i64,
}

/// A rule that matched.
#[derive(Clone, Debug, Serialize)]
pub struct Hit<'a> {
    /// Whether it has `auditlog`: ModSecurity's schema leaves the others out.
    #[serde(skip)]
    pub auditlog: bool,
    /// Its id.
    pub id: u64,
    /// The phase.
    pub phase: u8,
    /// `msg`.
    pub message: Cow<'a, str>,
    /// `logdata`.
    pub data: Cow<'a, str>,
    /// `severity` by name (`CRITICAL`).
    pub severity: Option<&'static str>,
    /// `tag`s.
    pub tags: Vec<Cow<'a, str>>,
    /// The variable that matched first, with its member.
    pub variable: Option<Cow<'a, str>>,
    /// Its value after transformations.
    pub value: Option<Cow<'a, str>>,
    /// Bytes of the value that matched, first and one after the last, when they are known and nothing of the
    /// value was redacted or escaped.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub range: Option<(usize, usize)>,
    /// The layers of encoding that were undone until the operator matched, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decoded: Vec<String>,
    /// Further variables that matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Matched<'a>>,
    /// The operator and its argument.
    pub operator: Cow<'a, str>,
    /// The rule's file.
    pub file: Cow<'a, str>,
    /// The rule's line.
    pub line: u32,
    /// `ver`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: Cow<'a, str>,
    /// `rev`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub revision: Cow<'a, str>,
    /// `maturity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maturity: Option<u8>,
    /// `accuracy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<u8>,
    /// Whether it disrupted, or would have but for the mode.
    pub disruptive: bool,
    #[serde(skip)]
    pub(super) severity_number: Option<u8>,
}

/// A further match of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct Matched<'a> {
    /// The variable with its member.
    pub variable: Cow<'a, str>,
    /// Its value after transformations.
    pub value: Cow<'a, str>,
    /// As in [`Hit::range`].
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub range: Option<(usize, usize)>,
    /// As in [`Hit::decoded`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decoded: Vec<String>,
}

/// An event.
#[derive(Clone, Debug, Serialize)]
pub struct Happening<'a> {
    /// What kind, a stable name.
    pub kind: &'static str,
    /// The phase, or 0 outside of phases.
    pub phase: u8,
    /// One sentence.
    pub detail: Cow<'a, str>,
}

/// How many of each were left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Omitted {
    /// Request and response headers.
    #[serde(skip_serializing_if = "is_zero")]
    pub headers: usize,
    /// Rules.
    #[serde(skip_serializing_if = "is_zero")]
    pub rules: usize,
    /// Events.
    #[serde(skip_serializing_if = "is_zero")]
    pub events: usize,
    /// Files.
    #[serde(skip_serializing_if = "is_zero")]
    pub files: usize,
    /// Bodies, matches and parts of texts, for a transport with a limit: 1 when the record was shortened for it.
    #[serde(skip_serializing_if = "is_zero")]
    pub shortened: usize,
}

impl Omitted {
    fn is_empty(&self) -> bool {
        self.headers == 0 && self.rules == 0 && self.events == 0 && self.files == 0 && self.shortened == 0
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl<'a> Record<'a> {
    /// The record of `report`, everything redacted as `masker` knows.
    pub(super) fn new(report: &'a Report, facts: &'a Facts, masker: &Masker<'_>) -> Self {
        let parts = report.audit.parts;
        // To the microsecond: what lies below is noise, and makes times of different lengths.
        let started = OffsetDateTime::from(report.started);
        let started = started.replace_nanosecond(started.microsecond() * 1_000).unwrap_or(started);
        let mut omitted = Omitted::default();
        let endpoint = |a: SocketAddr| Endpoint { ip: a.ip().to_canonical().to_string(), port: a.port() };
        let logged: Vec<&RuleHit> = report.rules.iter().filter(|r| r.log || r.auditlog).collect();
        omitted.rules = logged.len().saturating_sub(bounds::RULES);
        omitted.events = report.events.len().saturating_sub(bounds::EVENTS);
        let request = request(report, masker, &mut omitted);
        let response = response(report, facts, masker, &mut omitted);
        Record {
            id: bounded(report.id.as_bytes(), bounds::NAME),
            time: started.format(&Rfc3339).unwrap_or_default(),
            site: bounded(facts.site.as_bytes(), bounds::NAME),
            generation: plain(&facts.generation, bounds::NAME),
            duration_ms: (facts.duration.as_secs_f64() * 1e6).round() / 1e3,
            client: report.client.map(endpoint),
            server: report.server.map(endpoint),
            request,
            response,
            upstream: facts
                .upstream
                .as_ref()
                .map(|u| Upstream { address: bounded(u.as_bytes(), bounds::NAME) }),
            mode: mode_name(report.mode),
            decision: verdict(report.decision.interruption(), masker),
            suppressed: report.suppressed.as_ref().map(|i| verdict(Some(i), masker)),
            score: score(report),
            rules: logged.iter().take(bounds::RULES).map(|one| hit(one, masker)).collect(),
            events: report.events.iter().take(bounds::EVENTS).map(|e| happening(e, masker)).collect(),
            shadow: None,
            omitted,
            parts,
            started,
        }
    }
}

fn request<'a>(report: &'a Report, masker: &Masker<'_>, omitted: &mut Omitted) -> Request<'a> {
    let parts = report.audit.parts;
    let request = &report.request;
    let show_headers = |list: &'a [(Vec<u8>, Vec<u8>)]| {
        let shown = list.iter().take(bounds::HEADERS);
        shown.map(|(n, v)| (bounded(n, bounds::NAME), masker.request_header(n, v))).collect::<Vec<_>>()
    };
    let headers = parts.has(b'B').then(|| {
        omitted.headers += request.headers.len().saturating_sub(bounds::HEADERS);
        show_headers(&request.headers)
    });
    let without_files = !parts.has(b'C') && parts.has(b'I') && !request.files.is_empty();
    let body = (parts.has(b'C') || parts.has(b'I')).then(|| Body {
        text: if without_files {
            masker.form(&request.arguments).into()
        } else {
            masker.body(&request.body.bytes)
        },
        inspected: request.body.inspected,
        truncated: request.body.truncated,
    });
    let files = (parts.has(b'J') && !request.files.is_empty()).then(|| {
        omitted.files = request.files.len().saturating_sub(bounds::FILES);
        let show = |t: &'a [u8]| masker.text(t, bounds::NAME);
        let file = |(field, name, size, kind): &'a (Vec<u8>, Vec<u8>, u64, Vec<u8>)| File {
            field: show(field),
            name: show(name),
            size: *size,
            content_type: show(kind),
        };
        request.files.iter().take(bounds::FILES).map(file).collect()
    });
    Request {
        method: masker.text(&request.method, bounds::NAME),
        uri: masker.text(&request.uri, bounds::VALUE),
        protocol: masker.text(&request.protocol, bounds::NAME),
        headers,
        body: body.filter(|b| !b.text.is_empty() || b.inspected > 0),
        files,
    }
}

fn response<'a>(
    report: &'a Report,
    facts: &Facts,
    masker: &Masker<'_>,
    omitted: &mut Omitted,
) -> Response<'a> {
    let parts = report.audit.parts;
    let upstream = report.response.as_ref();
    let headers = upstream.filter(|_| parts.has(b'F')).map(|r| {
        omitted.headers += r.headers.len().saturating_sub(bounds::HEADERS);
        let shown = r.headers.iter().take(bounds::HEADERS);
        shown.map(|(n, v)| (bounded(n, bounds::NAME), masker.response_header(n, v))).collect()
    });
    let body = upstream.filter(|r| parts.has(b'E') && !r.body.bytes.is_empty()).map(|r| Body {
        text: masker.body(&r.body.bytes),
        inspected: r.body.inspected,
        truncated: r.body.truncated,
    });
    Response {
        status: facts.status,
        upstream_status: upstream.map(|r| r.status),
        protocol: upstream.map(|r| bounded(&r.protocol, bounds::NAME)),
        headers,
        body,
    }
}

fn verdict<'a>(interruption: Option<&'a Interruption>, masker: &Masker<'_>) -> Verdict<'a> {
    let Some(interruption) = interruption else {
        return Verdict { action: "pass", status: None, rule_id: None, phase: None, location: None };
    };
    let location = match &interruption.disruption {
        crate::engine::Disruption::Redirect(to) => Some(masker.text(to.as_bytes(), bounds::VALUE)),
        _ => None,
    };
    Verdict {
        action: interruption.disruption.name(),
        status: Some(interruption.status),
        rule_id: Some(interruption.rule_id),
        phase: Some(interruption.phase),
        location,
    }
}

/// A rule's record.
pub(super) fn hit<'a>(hit: &'a RuleHit, masker: &Masker<'_>) -> Hit<'a> {
    let quotes_secret = hit.matches.iter().any(|m| masker.is_secret(&m.variable));
    let mut matches = hit.matches.iter().take(bounds::MATCHES).map(|m| matched(m, masker));
    let mut first = matches.next();
    Hit {
        auditlog: hit.auditlog,
        id: hit.id,
        phase: hit.phase,
        message: masker.quoting(hit.message.as_bytes(), bounds::MESSAGE, hit, quotes_secret),
        // A fragment of a secret is a secret too, and nobody can tell which part of the data is one.
        data: if quotes_secret && !hit.data.is_empty() {
            super::MASK.into()
        } else {
            masker.text(&hit.data, bounds::DATA)
        },
        severity: hit.severity.and_then(|s| SEVERITIES.get(usize::from(s)).copied()),
        tags: tags(hit, masker),
        range: first.as_ref().and_then(|m| m.range),
        variable: first.as_ref().map(|m| m.variable.clone()),
        decoded: first.as_mut().map(|m| std::mem::take(&mut m.decoded)).unwrap_or_default(),
        value: first.map(|m| m.value),
        further: matches.collect(),
        operator: plain(&hit.operator, bounds::MESSAGE),
        file: plain(&hit.file, bounds::MESSAGE),
        line: hit.line,
        version: plain(&hit.version, bounds::NAME),
        revision: plain(&hit.revision, bounds::NAME),
        maturity: hit.maturity,
        accuracy: hit.accuracy,
        disruptive: hit.disruptive,
        severity_number: hit.severity,
    }
}

fn tags<'a>(hit: &'a RuleHit, masker: &Masker<'_>) -> Vec<Cow<'a, str>> {
    let own = hit.tags.len().saturating_sub(hit.expanded_tags);
    let show = |(index, tag): (usize, &'a String)| match index < own {
        true => bounded(tag.as_bytes(), bounds::NAME),
        false => masker.text(tag.as_bytes(), bounds::NAME),
    };
    hit.tags.iter().take(bounds::TAGS).enumerate().map(show).collect()
}

/// `severity` 0 to 7 by name, as ModSecurity calls them.
const SEVERITIES: [&str; 8] =
    ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];

fn matched<'a>(m: &'a MatchedValue, masker: &Masker<'_>) -> Matched<'a> {
    let value = masker.value(&m.variable, &m.value);
    let untouched = value.as_bytes() == m.value.as_slice();
    let range = m.range.as_ref().filter(|_| untouched).map(|r| (r.start, r.end));
    let decoded = m.decoded.iter().map(ToString::to_string).collect();
    Matched { variable: masker.text(m.variable.as_bytes(), bounds::MESSAGE), value, range, decoded }
}

fn happening<'a>(event: &'a Event, masker: &Masker<'_>) -> Happening<'a> {
    Happening {
        kind: event.kind.name(),
        phase: event.phase,
        detail: masker.text(event.detail.as_bytes(), bounds::MESSAGE),
    }
}

/// The mode's SecLang name.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::On => "On",
        Mode::DetectionOnly => "DetectionOnly",
        Mode::Off => "Off",
    }
}

/// Whether the transaction was stopped.
pub fn is_interrupted(report: &Report) -> bool {
    matches!(report.decision, Decision::Interrupt(_))
}
