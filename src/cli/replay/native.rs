//! Portcullis' own audit log.

use super::record::{Answered, Flaw, Flaws, Recorded, Unusable, Verdict, time};
use crate::audit::{MASK, restore};
use serde::Deserialize;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    site: Cow<'a, str>,
    client: Option<Endpoint>,
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(borrow)]
    response: Response<'a>,
    #[serde(borrow)]
    decision: Decision<'a>,
    #[serde(borrow)]
    suppressed: Option<Decision<'a>>,
    score: Score,
    #[serde(borrow)]
    rules: Vec<Hit<'a>>,
    #[serde(default, borrow)]
    events: Vec<Event<'a>>,
    #[serde(default)]
    omitted: Omitted,
}

#[derive(Deserialize)]
struct Endpoint {
    ip: IpAddr,
    port: u16,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow)]
    protocol: Cow<'a, str>,
    headers: Option<Vec<(String, String)>>,
    #[serde(borrow)]
    body: Option<Body<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    upstream_status: Option<u16>,
    protocol: Option<String>,
    headers: Option<Vec<(String, String)>>,
    #[serde(borrow)]
    body: Option<Body<'a>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    inspected: u64,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Decision<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    phase: Option<u8>,
}

#[derive(Deserialize)]
struct Score {
    inbound: i64,
    outbound: i64,
}

#[derive(Deserialize)]
struct Hit<'a> {
    id: u64,
    #[serde(borrow)]
    variable: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct Omitted {
    #[serde(default)]
    headers: u64,
}

/// Events of requests that were refused without any rule, unless they went to the upstream all the same.
const REFUSALS: [&str; 5] = ["malformed_request", "access_denied", "rate_limited", "banned", "overloaded"];

/// The transaction of a line.
pub(super) fn read(line: &[u8]) -> Result<Recorded, Unusable> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| Unusable::Unreadable)?;
    let stop = Some(&line.decision).filter(|d| d.action != "pass").or(line.suppressed.as_ref());
    let is_turned_away = line.events.iter().any(|event| REFUSALS.contains(&&*event.kind));
    if stop.is_none() && line.response.upstream_status.is_none() && is_turned_away {
        return Err(Unusable::Refused);
    }
    let mut flaws = Flaws::default();
    let request = &line.request;
    let target = text(&request.uri, &mut flaws, Flaw::TargetCut, Flaw::TargetRedacted);
    let headers = match &request.headers {
        Some(list) => headers(list, &mut flaws),
        None => {
            flaws.add(Flaw::HeadersMissing);
            Vec::new()
        }
    };
    if line.omitted.headers > 0 {
        flaws.add(Flaw::HeadersMissing);
    }
    let mut recorded = Recorded {
        id: line.id.into_owned(),
        time: time(&line.time),
        site: Some(line.site.into_owned()).filter(|site| !site.is_empty()),
        client: line.client.map(|c| SocketAddr::new(c.ip, c.port)),
        method: restore(&request.method),
        target,
        protocol: restore(&request.protocol),
        headers,
        flaws,
        ..Recorded::default()
    };
    match &request.body {
        Some(body) => take_body(&mut recorded, body),
        None => recorded.miss_body(),
    }
    recorded.response = line.response.upstream_status.map(|status| answered(status, &line.response));
    let is_about_response = stop.is_some_and(|stop| matches!(stop.phase, Some(3 | 4)));
    if is_about_response && line.response.body.is_none() {
        recorded.flaws.add(Flaw::ResponseMissing);
    }
    let score = line.score.inbound.saturating_add(line.score.outbound);
    let hits = line.rules.iter().map(|hit| (hit.id, hit.variable.as_deref()));
    recorded.verdict = Some(Verdict::new(stop.is_some(), Some(score), hits));
    Ok(recorded)
}

fn take_body(recorded: &mut Recorded, body: &Body<'_>) {
    recorded.body = text(&body.text, &mut recorded.flaws, Flaw::BodyCut, Flaw::BodyRedacted);
    if body.truncated {
        recorded.flaws.add(Flaw::BodyCut);
    }
    if recorded.body.is_empty() {
        if body.inspected > 0 {
            recorded.flaws.add(Flaw::BodyMissing);
        }
        return;
    }
    recorded.decode_body();
    let is_multipart =
        |value: &[u8]| value.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"));
    // Part I: the fields as a form, the files left out.
    if recorded.header("content-type").is_some_and(is_multipart) && !recorded.body.starts_with(b"--") {
        recorded.flaws.add(Flaw::FilesMissing);
        for (name, value) in &mut recorded.headers {
            if name.eq_ignore_ascii_case(b"content-type") {
                *value = b"application/x-www-form-urlencoded".to_vec();
            }
        }
    }
}

fn answered(status: u16, response: &Response<'_>) -> Answered {
    // What is wrong with a response is no flaw: rules seldom look at what is redacted in it.
    let mut unheeded = Flaws::default();
    let body = response.body.as_ref().filter(|body| !body.truncated);
    let mut headers = headers(response.headers.as_deref().unwrap_or_default(), &mut unheeded);
    if body.is_some() {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"));
    }
    Answered {
        status,
        protocol: response.protocol.as_deref().map_or_else(|| b"HTTP/1.1".to_vec(), restore),
        headers,
        body: body.map(|body| text(&body.text, &mut unheeded, Flaw::BodyCut, Flaw::BodyRedacted)),
    }
}

fn headers(list: &[(String, String)], flaws: &mut Flaws) -> Vec<(Vec<u8>, Vec<u8>)> {
    list.iter()
        .map(|(name, value)| (restore(name), text(value, flaws, Flaw::HeadersCut, Flaw::HeadersRedacted)))
        .collect()
}

/// The bytes of a text, a plain word in the place of what was redacted.
fn text(text: &str, flaws: &mut Flaws, cut: Flaw, redacted: Flaw) -> Vec<u8> {
    let mut text = Cow::Borrowed(text);
    if text.ends_with(" more bytes]")
        && let Some(at) = text.rfind("…[")
    {
        flaws.add(cut);
        text = text.get(..at).unwrap_or_default().to_owned().into();
    }
    if text.contains(MASK) {
        flaws.add(redacted);
        // Brackets would count for rules that look for special characters.
        text = text.replace(MASK, MASK.trim_matches(['[', ']'])).into();
    }
    restore(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(change: impl FnOnce(&mut serde_json::Value)) -> Recorded {
        let mut line = json!({
            "id": "1", "time": "2026-01-02T03:04:05.000006Z", "site": "shop", "duration_ms": 1.0,
            "client": {"ip": "192.0.2.1", "port": 7},
            "request": {"method": "POST", "uri": "/a?b=\\xff", "protocol": "HTTP/1.1",
                        "headers": [["Host", "shop"], ["Content-Length", "3"]],
                        "body": {"text": "c=d", "inspected": 3, "truncated": false}},
            "response": {"status": 200, "upstream_status": 200, "headers": [["Content-Type", "text/plain"]]},
            "mode": "On", "decision": {"action": "pass"},
            "score": {"inbound": 3, "outbound": 0, "threshold": 5, "outbound_threshold": 4},
            "rules": [{"id": 942100, "further": []}, {"id": 980170},
                      {"id": 9180040, "variable": "TX:BLOCKING_INBOUND_ANOMALY_SCORE"}],
        });
        change(&mut line);
        read(line.to_string().as_bytes()).expect("it is read")
    }

    #[test]
    fn a_whole_record_is_replayed_exactly() {
        let found = line(|_| {});
        assert!(found.flaws.is_empty());
        assert_eq!((found.target.as_slice(), found.body.as_slice()), (&b"/a?b=\xff"[..], &b"c=d"[..]));
        assert_eq!(found.client.map(|c| c.port()), Some(7));
        let verdict = Verdict { is_stopped: false, score: Some(3), rules: [942_100].into() };
        assert_eq!(found.verdict, Some(verdict));
        assert_eq!(found.response.map(|r| (r.status, r.headers.len(), r.body)), Some((200, 1, None)));
        assert!(found.time.is_some());
    }

    #[test]
    fn what_is_missing_is_told() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Flaw, Change); 11] = [
            (Flaw::TargetRedacted, |l| l["request"]["uri"] = json!("/?password=[redacted]")),
            (Flaw::TargetCut, |l| l["request"]["uri"] = json!("/aaaa…[7 more bytes]")),
            (Flaw::HeadersMissing, |l| {
                l["request"].as_object_mut().map(|r| r.remove("headers"));
            }),
            (Flaw::HeadersMissing, |l| l["omitted"] = json!({"headers": 2})),
            (Flaw::HeadersRedacted, |l| l["request"]["headers"][0][1] = json!("sid=[redacted]")),
            (Flaw::HeadersCut, |l| l["request"]["headers"][0][1] = json!("a…[1 more bytes]")),
            (Flaw::BodyMissing, |l| {
                l["request"].as_object_mut().map(|r| r.remove("body"));
            }),
            (Flaw::BodyRedacted, |l| l["request"]["body"]["text"] = json!("card=[redacted]")),
            (Flaw::BodyCut, |l| l["request"]["body"]["truncated"] = json!(true)),
            (Flaw::FilesMissing, |l| {
                l["request"]["headers"][0] = json!(["Content-Type", "Multipart/form-data; boundary=x"]);
            }),
            (Flaw::ResponseMissing, |l| l["decision"] = json!({"action": "deny", "phase": 4})),
        ];
        for (flaw, change) in cases {
            let found = line(change);
            assert!(found.flaws.has(flaw), "{flaw:?}");
            assert!(!found.target.contains(&b'[') && !found.body.contains(&b'['));
        }
        assert!(
            line(|l| l["decision"] = json!({"action": "deny", "phase": 4}))
                .verdict
                .is_some_and(|v| v.is_stopped)
        );
        let coded = line(|l| l["request"]["headers"][0] = json!(["Content-Encoding", "gzip"]));
        assert!(coded.flaws.has(Flaw::BodyDecoded) && coded.header("content-encoding").is_none());
    }

    #[test]
    fn what_was_never_inspected_is_not_replayed() {
        let refused = json!({"id": "1", "request": {"method": "", "uri": "", "protocol": ""}, "response": {"status": 400},
            "decision": {"action": "pass"}, "score": {"inbound": 0, "outbound": 0}, "rules": [],
            "events": [{"kind": "malformed_request", "phase": 0, "detail": ""}]});
        assert_eq!(read(refused.to_string().as_bytes()).err(), Some(Unusable::Refused));
        let limited = refused.to_string().replace("malformed_request", "rate_limited");
        assert_eq!(read(limited.as_bytes()).err(), Some(Unusable::Refused));
        let told_only = limited.replace("{\"status\":400}", "{\"status\":200,\"upstream_status\":200}");
        assert!(read(told_only.as_bytes()).is_ok(), "{told_only}");
        assert_eq!(read(b"{}").err(), Some(Unusable::Unreadable));
    }
}
