//! A report becomes a record: what of it is shown, redacted, and within which bounds.

use super::mask::Masker;
use super::record::{
    Body, Endpoint, File, Happening, Hit, Matched, Omitted, Record, Request, Response, Score, Shadow,
    Upstream, Verdict,
};
use super::text::{bounded, plain};
use super::{Facts, bounds};
use crate::engine::{Decision, Event, Interruption, MatchedValue, Report, RuleHit, Shadowed};
use crate::ruleset::Mode;
use std::borrow::Cow;
use std::net::SocketAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

fn score(report: &Report) -> Score {
    Score {
        inbound: report.scores.inbound,
        outbound: report.scores.outbound,
        threshold: report.scores.inbound_threshold,
        outbound_threshold: report.scores.outbound_threshold,
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
