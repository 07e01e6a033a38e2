//! Refusals that no rule decided: by an access rule, a rate limit or a ban, for want of room, for the form of the request,
//! or because no application answered.
//!
//! Rules have not seen such a request, or had nothing against it. To evaluate it again would tell what might have been,
//! so the record alone is told, with what helps where an exclusion does not.

use super::explanation::{Basis, Decision, Explanation, Request, Score, Scores};
use super::recorded::{Recorded, RecordedEvent};
use super::subject::recorded_rule;

/// Explains a transaction that was refused, or not answered by the application, although no rule stopped it. None when a
/// rule did, or when it was answered.
pub fn refused(record: &Recorded) -> Option<Explanation> {
    let status = record.response.status;
    let is_own_answer = status != 0 && record.response.upstream_status.is_none();
    // Rules look at what can be read of a malformed request; whatever they say, it is refused.
    let is_malformed = record.events.iter().any(|event| event.kind == "malformed_request");
    if !is_own_answer || !record.decision.passes() && !is_malformed {
        return None;
    }
    let event = record.events.iter().rev().find_map(|event| Some((event, cause(&event.kind)?)));
    let (why, remedy) = match event {
        Some((event, cause)) => (reason(event, cause), cause.remedy),
        None => by_status(status),
    };
    let failed = status >= 500;
    let when = match (failed, record.rules.is_empty()) {
        (true, _) => ", and no rule objected",
        (false, true) => " before any rule saw it",
        (false, false) => ", not by a rule",
    };
    let verb = match status {
        300..400 => "sent elsewhere",
        500.. => "answered by Portcullis itself",
        _ => "refused",
    };
    let decision = Decision {
        action: if failed { "fail" } else { "refuse" }.to_owned(),
        status: Some(status),
        rule: None,
        phase: None,
        enforced: true,
        mode: record.mode.clone(),
        told: format!("It was {verb} with status {status}{when}: {why}."),
    };
    let score = |total, threshold| (threshold > 0).then_some(Score { total, threshold, uncounted: 0 });
    let request = &record.request;
    Some(Explanation {
        id: Some(record.id.clone()),
        time: Some(record.time.clone()),
        site: Some(record.site.clone()),
        client: record.client.as_ref().map(|client| client.ip.clone()),
        request: Request {
            method: request.method.clone(),
            uri: request.uri.clone(),
            protocol: request.protocol.clone(),
            headers: request.headers.clone().unwrap_or_default(),
            body: request.body.as_ref().map(|body| body.text.clone()).unwrap_or_default(),
        },
        basis: Basis { served_by: Some(record.generation.clone()), ..Basis::default() },
        decision,
        scores: Scores {
            inbound: score(record.score.inbound, record.score.threshold),
            outbound: score(record.score.outbound, record.score.outbound_threshold).filter(|s| s.total > 0),
        },
        rules: Vec::new(),
        others: record.rules.iter().map(|hit| recorded_rule(hit, record.score.threshold > 0)).collect(),
        bookkeeping: Vec::new(),
        events: record
            .events
            .iter()
            .filter(|other| event.is_none_or(|(told, _)| !std::ptr::eq(*other, told)))
            .map(|event| event.detail.clone())
            .collect(),
        remedy: Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty()),
        proposal: None,
        near: None,
    })
}

/// What helps against a decision that an engine's limit took; empty when an exclusion does, or nothing is known.
pub(super) fn remedy_of_limit(events: &[RecordedEvent]) -> &'static str {
    let known = events.iter().rev().find_map(|event| LIMITS.iter().find(|(kind, _)| *kind == event.kind));
    known.map_or("", |(_, remedy)| *remedy)
}

/// An event that ends a request.
struct Cause {
    kind: &'static str,
    /// What happened, where the event's own words say less.
    words: &'static str,
    /// What helps.
    remedy: &'static str,
}

fn cause(kind: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|cause| cause.kind == kind)
}

fn reason(event: &RecordedEvent, cause: &Cause) -> String {
    match event.detail.strip_prefix("not inspected: ") {
        Some(word) if !cause.words.is_empty() => format!("{} ({word})", cause.words),
        _ => event.detail.trim_end_matches('.').to_owned(),
    }
}

const CAUSES: [Cause; 6] = [
    Cause {
        kind: "access_denied",
        words: "",
        remedy: "The site's `access` in the configuration says who may send what. Whoever is to come through needs an \
                 `except` there, or a rule before it that allows him.",
    },
    Cause {
        kind: "rate_limited",
        words: "",
        remedy: "It passes again later, as Retry-After told. The site's `rate_limits` in the configuration say how much may \
                 come: `except` spares somebody, `requests` and `burst` hold for everybody.",
    },
    Cause {
        kind: "banned",
        words: "",
        remedy: "`portcullis bans list` tells until when, `portcullis bans lift ADDRESS` ends it. What earned the ban stands \
                 before this in the audit log, and can be explained; `bans.except` spares a client for good.",
    },
    Cause {
        kind: "overloaded",
        words: "there was more to inspect than could be, or to keep for clients",
        remedy: "Nothing is wrong with the request. `portcullis_overload_total` counts what was short. `client.held_bytes` \
                 says how much may be held, `client.unsent_bytes` how much may wait for clients that do not take it, \
                 `sites[].overload` how long inspections may wait, and `fail: {overload: open}` lets pass uninspected what \
                 finds no room for an inspection.",
    },
    Cause {
        kind: "malformed_request",
        words: "it is not HTTP as Portcullis accepts it",
        remedy: "No exclusion lets it pass: recipients read such a request differently, so that the application might get \
                 something else than was inspected. What sends it has to be mended.",
    },
    Cause {
        kind: "internal_error",
        words: "something failed inside",
        remedy: "The server's log has more. What failures do is up to the site's `fail`.",
    },
];

const LIMITS: [(&str, &str); 3] = [
    (
        "request_body_refused",
        "SecRequestBodyLimit says how long a body may be; with SecRequestBodyLimitAction ProcessPartial only its beginning is \
         inspected, and the rest passes uninspected.",
    ),
    (
        "content_coding",
        "A body that cannot be decompressed cannot be inspected. The client has to send it in gzip, deflate, br or zstd, or \
         as it is.",
    ),
    (
        "operator_limit",
        "A pattern gave up. `portcullis check` names those that can; `fail: {operator_limit: open}` goes on without them.",
    ),
];

/// What an answer of Portcullis's own means that no event tells of, and what helps.
fn by_status(status: u16) -> (String, &'static str) {
    let (why, remedy) = match status {
        300..400 => ("the site takes requests over HTTPS only", ""),
        403 => ("the site takes requests with a verified client certificate only", ""),
        404 => (
            "no site serves that host and path",
            "`sites[].hosts` and `sites[].paths` in the configuration say what each serves.",
        ),
        405 => ("a tunnel (CONNECT) is not forwarded", ""),
        408 => ("it did not arrive in time", "`client` in the configuration has the time limits."),
        502 | 504 => (
            "no upstream gave a proper answer in time",
            "The record names the upstream that was asked last; `portcullis_upstream_errors_total` has the causes, the \
             server's log the details.",
        ),
        503 => (
            "the site is closed for maintenance, or its upstreams have as many requests as they may",
            "`sites[].maintenance`, and `max_requests` of the upstreams, in the configuration.",
        ),
        500 => ("something failed inside", "The server's log has more."),
        _ => ("its body does not arrive as its head says, or it cannot be forwarded", ""),
    };
    (why.to_owned(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EventKind;
    use crate::explain::render;

    fn record(status: u16, events: &str) -> Recorded {
        let line = format!(
            r#"{{"id":"a","site":"shop","request":{{"method":"GET","uri":"/login","protocol":"HTTP/1.1"}},
                "response":{{"status":{status}}},"decision":{{"action":"pass"}},"events":[{events}]}}"#
        );
        Recorded::read(line.as_bytes()).expect("a record")
    }

    #[test]
    fn what_no_rule_refused_is_told_with_what_helps() {
        let event = r#"{"kind":"rate_limited","detail":"the rate limit `login` is exceeded"}"#;
        let told = render(&refused(&record(429, event)).expect("refused"), false);
        let sentence =
            "It was refused with status 429 before any rule saw it: the rate limit `login` is exceeded.";
        assert!(told.contains(sentence) && told.contains("Retry-After"), "{told}");
        let event = r#"{"kind":"overloaded","detail":"not inspected: overload"}"#;
        let told = refused(&record(503, event)).expect("refused").decision.told;
        assert!(
            told.contains("and no rule objected: there was more to inspect than could be, or to keep for clients (overload)."),
            "{told}"
        );
        let told = refused(&record(502, "")).expect("refused").decision.told;
        assert!(told.contains("no upstream gave a proper answer"), "{told}");
    }

    #[test]
    fn answers_of_the_application_and_blocks_are_none() {
        let mut answered = record(404, "");
        answered.response.upstream_status = Some(404);
        assert!(refused(&answered).is_none());
        let mut blocked = record(403, "");
        blocked.decision.action = "deny".to_owned();
        assert!(refused(&blocked).is_none());
        blocked.response.status = 400;
        blocked
            .events
            .push(RecordedEvent { kind: "malformed_request".to_owned(), detail: "bare_lf: x".to_owned() });
        let told = refused(&blocked).expect("no exclusion lets it pass").decision.told;
        assert!(told.starts_with("It was refused with status 400 before any rule saw it: bare_lf"), "{told}");
        assert!(refused(&record(0, "")).is_none(), "nothing is known of the answer");
    }

    #[test]
    fn kinds_are_those_of_events() {
        let names: Vec<&str> = CAUSES.iter().map(|c| c.kind).chain(LIMITS.map(|(kind, _)| kind)).collect();
        for name in names {
            assert!(EventKind::ALL.iter().any(|kind| kind.name() == name), "{name}");
        }
    }
}
