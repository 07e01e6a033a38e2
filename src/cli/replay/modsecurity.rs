//! Audit logs in JSON of ModSecurity 3, Coraza, and ModSecurity 2.

use super::record::{Answered, Flaw, Recorded, Unusable, Verdict, time};
use crate::audit::restore;
use crate::explain::Foreign;
use std::net::SocketAddr;

/// The transaction of a line.
pub(super) fn read(line: &[u8]) -> Result<Recorded, Unusable> {
    let Foreign { record, score } = Foreign::read(line).map_err(|_| Unusable::Unreadable)?;
    let hits = record.rules.iter().map(|hit| (hit.id, hit.variable.as_deref()));
    let verdict = Verdict::new(record.stopped_by().is_some(), score, hits);
    let pairs = |list: Vec<(String, String)>| list.iter().map(|(n, v)| (restore(n), restore(v))).collect();
    let client = record.client.as_ref();
    let mut recorded = Recorded {
        id: record.id,
        time: time(&record.time),
        client: client.and_then(|end| Some(SocketAddr::new(end.ip.parse().ok()?, end.port))),
        method: restore(&record.request.method),
        target: restore(&record.request.uri),
        protocol: restore(&record.request.protocol),
        body: record.request.body.map(|body| restore(&body.text)).unwrap_or_default(),
        response: record.response.upstream_status.map(|status| Answered {
            status,
            protocol: b"HTTP/1.1".to_vec(),
            headers: record.response.headers.map(pairs).unwrap_or_default(),
            body: None,
        }),
        verdict: Some(verdict),
        ..Recorded::default()
    };
    if recorded.method.is_empty() || recorded.target.is_empty() {
        return Err(Unusable::Refused);
    }
    match record.request.headers {
        Some(headers) => recorded.headers = pairs(headers),
        None => recorded.flaws.add(Flaw::HeadersMissing),
    }
    if recorded.body.is_empty() {
        recorded.miss_body();
    } else {
        recorded.decode_body();
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(value: &Value) -> Recorded {
        read(value.to_string().as_bytes()).expect("it is read")
    }

    #[test]
    fn the_three_schemas_are_read() {
        let v3 = found(&json!({"transaction": {"client_ip": "192.0.2.1", "client_port": 7, "unique_id": "u",
            "request": {"method": "POST", "http_version": 1.1, "uri": "/a?b", "body": "c=d",
                        "headers": {"Host": "h", "Content-Length": "3"}},
            "response": {"http_code": 403, "headers": {}},
            "messages": [{"message": "SQLi", "details": {"ruleId": "942100"}},
                         {"message": "Inbound Anomaly Score Exceeded (Total Score: 8)", "details": {"ruleId": "949110"}}]}}));
        assert_eq!(
            (v3.method.as_slice(), v3.target.as_slice(), v3.protocol.as_slice()),
            (&b"POST"[..], &b"/a?b"[..], &b"HTTP/1.1"[..])
        );
        let verdict = Verdict { is_stopped: true, score: Some(8), rules: [942_100].into() };
        assert_eq!((v3.verdict, v3.flaws.is_empty(), v3.response.is_none()), (Some(verdict), true, true));

        let coraza = found(&json!({"transaction": {"id": "c", "client_ip": "::1", "is_interrupted": false,
            "request": {"method": "GET", "protocol": "HTTP/2.0", "uri": "/", "headers": {"host": ["h"], "x": ["1", "2"]}},
            "response": {"status": 200, "headers": {"a": ["b"]}}},
            "messages": [{"message": "m", "data": {"id": 920350, "msg": "m"}}]}));
        assert_eq!((coraza.headers.len(), coraza.protocol.as_slice()), (3, &b"HTTP/2.0"[..]));
        assert_eq!(coraza.verdict.map(|v| (v.is_stopped, v.rules)), Some((false, [920_350].into())));
        assert_eq!(coraza.response.map(|r| (r.status, r.headers.len())), Some((200, 1)));

        let v2 = found(
            &json!({"transaction": {"transaction_id": "t", "remote_address": "192.0.2.1", "remote_port": 1},
            "request": {"request_line": "POST /x HTTP/1.0", "headers": {"Content-Length": "9"}, "body": ["a=", "b"]},
            "response": {"status": 200}, "audit_data": {"messages": ["Warning. [id \"941100\"] [msg \"XSS\"]"],
            "action": {"intercepted": true}}}),
        );
        assert_eq!((v2.body.as_slice(), v2.id.as_str()), (&b"a=b"[..], "t"));
        assert_eq!(v2.verdict.map(|v| (v.is_stopped, v.rules)), Some((true, [941_100].into())));
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        for (bad, why) in [
            (json!({}), Unusable::Unreadable),
            (json!({"transaction": {"request": {"request_line": "x"}}}), Unusable::Unreadable),
            (json!({"transaction": {"request": {}}}), Unusable::Refused),
        ] {
            assert_eq!(read(bad.to_string().as_bytes()).err(), Some(why), "{bad}");
        }
    }
}
