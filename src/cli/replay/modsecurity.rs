//! Audit logs in JSON of ModSecurity 3, Coraza, and ModSecurity 2.

use super::record::{Answered, Flaw, Recorded, Unusable, Verdict, is_bookkeeping};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The transaction of a line.
pub(super) fn read(line: &[u8]) -> Result<Recorded, Unusable> {
    let value: Value = serde_json::from_slice(line).map_err(|_| Unusable::Unreadable)?;
    let transaction = &value["transaction"];
    if !transaction.is_object() {
        return Err(Unusable::Unreadable);
    }
    // ModSecurity 2 has them beside the transaction.
    let is_v2 = value["request"].is_object();
    let owner = if is_v2 { &value } else { transaction };
    let (request, response) = (&owner["request"], &owner["response"]);
    let mut recorded = Recorded::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    recorded.id = ["unique_id", "id", "transaction_id"].map(|key| text(&transaction[key])).concat();
    let address =
        ["client_ip", "remote_address"].iter().find_map(|key| transaction[*key].as_str()?.parse().ok());
    let port = ["client_port", "remote_port"].iter().find_map(|key| transaction[*key].as_u64());
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    recorded.client = address.map(|ip: IpAddr| SocketAddr::new(ip, port));
    if let Some(line) = request["request_line"].as_str() {
        let (method, rest) = line.split_once(' ').ok_or(Unusable::Unreadable)?;
        let (target, protocol) = rest.rsplit_once(' ').ok_or(Unusable::Unreadable)?;
        recorded.method = method.into();
        recorded.target = target.into();
        recorded.protocol = protocol.into();
    } else {
        recorded.method = text(&request["method"]).into_bytes();
        recorded.target = text(&request["uri"]).into_bytes();
        recorded.protocol = protocol(request);
    }
    if recorded.method.is_empty() || recorded.target.is_empty() {
        return Err(Unusable::Refused);
    }
    match headers(&request["headers"]) {
        Some(headers) => recorded.headers = headers,
        None => recorded.flaws.add(Flaw::HeadersMissing),
    }
    recorded.body = match &request["body"] {
        Value::String(body) => body.clone().into_bytes(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<String>().into_bytes(),
        _ => Vec::new(),
    };
    if recorded.body.is_empty() {
        recorded.miss_body();
    } else {
        recorded.decode_body();
    }
    let status = ["http_code", "status"].iter().find_map(|key| response[*key].as_u64());
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    let verdict = verdict(&value, transaction, status);
    // Its status may be that of the refusal, and then there was no response.
    if !verdict.is_stopped && status > 0 {
        recorded.response = Some(Answered {
            status,
            protocol: b"HTTP/1.1".to_vec(),
            headers: headers(&response["headers"]).unwrap_or_default(),
            body: None,
        });
    }
    recorded.verdict = Some(verdict);
    Ok(recorded)
}

fn protocol(request: &Value) -> Vec<u8> {
    let version = match (&request["http_version"], &request["protocol"]) {
        (Value::Number(version), _) => version.to_string(),
        (Value::String(version), _) | (_, Value::String(version)) => version.clone(),
        _ => "1.1".to_owned(),
    };
    if version.starts_with("HTTP/") { version.into() } else { format!("HTTP/{version}").into() }
}

/// Headers of an object, or of lists of names and values.
fn headers(value: &Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut out = Vec::new();
    for (name, value) in value.as_object()? {
        match value {
            Value::String(value) => out.push((name.clone().into(), value.clone().into())),
            Value::Array(values) => {
                let values = values.iter().filter_map(Value::as_str);
                out.extend(values.map(|value| (name.clone().into(), value.into())));
            }
            _ => {}
        }
    }
    Some(out)
}

fn verdict(value: &Value, transaction: &Value, status: u16) -> Verdict {
    let mut out = Verdict::default();
    let mut judged = false;
    let mut each = |id: Option<u64>, text: &str| {
        let Some(id) = id else { return };
        judged |= matches!(id, 949_110 | 949_111 | 959_100 | 959_101);
        let score = text.split_once("Total Score: ").map(|(_, rest)| rest);
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        out.score = out.score.or_else(|| digits(score?).parse().ok());
        if !is_bookkeeping(id) {
            out.rules.insert(id);
        }
    };
    let messages = [&transaction["messages"], &value["messages"]].into_iter().find_map(Value::as_array);
    for message in messages.into_iter().flatten() {
        let id =
            [&message["details"]["ruleId"], &message["data"]["id"]].into_iter().find_map(|id| match id {
                Value::String(id) => id.parse().ok(),
                id => id.as_u64(),
            });
        let text = [&message["message"], &message["data"]["msg"]].into_iter().filter_map(Value::as_str);
        each(id, &text.collect::<String>());
    }
    for message in value["audit_data"]["messages"].as_array().into_iter().flatten().filter_map(Value::as_str)
    {
        let id = message.split_once("[id \"").and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
        each(id, message);
    }
    let said = [&transaction["is_interrupted"], &value["audit_data"]["action"]["intercepted"]];
    out.is_stopped = match said.into_iter().find_map(Value::as_bool) {
        // A rule of CRS that judges has spoken, and the mode has let it pass.
        Some(stopped) => stopped || judged,
        None => judged || status == 403 && !out.rules.is_empty(),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
