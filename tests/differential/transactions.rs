//! Whole transactions: sets of rules, each against a pool of requests.

use crate::deviations::Deviations;
use crate::engines::{Answer, Exchange, Ours, Outcome, Theirs};
use crate::functions::read;
use crate::text::{show, unescape};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requests: BTreeMap<String, Request>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    rules: String,
    /// Targets to show, by phase.
    #[serde(default)]
    dump: BTreeMap<u8, Vec<String>>,
    /// All of the pool, where it is empty.
    #[serde(default)]
    requests: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Pooled(String),
    Own(Request),
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    method: Option<String>,
    uri: Option<String>,
    headers: Vec<String>,
    body: Body,
    response: Option<Response>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    status: u16,
    headers: Vec<String>,
    body: Body,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Lines(Vec<String>),
}

impl Default for Body {
    fn default() -> Self {
        Body::Text(String::new())
    }
}

/// Compares all cases; tells what is wrong.
pub fn transactions(theirs: &mut Theirs, deviations: &Deviations) -> Vec<String> {
    let file: File = read("transactions.yaml");
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let mut compared = 0;
    let anchored = |what: &str| regex::Regex::new(&format!("^(?:{what})$")).expect("a regular expression");
    let known: Vec<_> = deviations.transactions.iter().map(|d| (d, anchored(&d.what))).collect();
    for case in &file.cases {
        let rules = rules(case);
        if let Err(e) = theirs.load(&rules) {
            faults.push(format!("{}: refused by them: {e}", case.name));
            continue;
        }
        let ours = Ours::load(&rules).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let requests = requests(case, &file.requests);
        let exchanges: Vec<Exchange> = requests.iter().map(|(_, r)| exchange(r)).collect();
        let answers = ours.run(&exchanges).into_iter().zip(theirs.run(&exchanges));
        for ((name, _), (ours, theirs)) in requests.iter().zip(answers) {
            compared += 1;
            for difference in differences(case, &ours, &theirs) {
                let mut listed = None;
                for (n, (deviation, what)) in known.iter().enumerate() {
                    let meant = deviation.cases.contains(&case.name)
                        && (deviation.requests.is_empty() || deviation.requests.contains(name))
                        && what.is_match(&difference.0);
                    if meant {
                        listed = Some(n);
                        break;
                    }
                }
                match listed {
                    Some(listed) => _ = used.insert(listed),
                    None => faults.push(format!("{}, {name}: {}\n{}", case.name, difference.0, difference.1)),
                }
            }
        }
    }
    for (n, deviation) in deviations.transactions.iter().enumerate() {
        if !used.contains(&n) {
            faults
                .push(format!("{:?} {:?}: the difference no longer occurs", deviation.cases, deviation.what));
        }
    }
    if compared < 500 {
        faults.push(format!("only {compared} transactions"));
    }
    faults
}

fn rules(case: &Case) -> String {
    let mut rules = String::from(PROLOGUE);
    rules += &case.rules;
    for (phase, targets) in &case.dump {
        for (n, target) in targets.iter().enumerate() {
            let id = dump_id(*phase, n);
            let _ = writeln!(
                rules,
                "\nSecRule {target} \"@unconditionalMatch\" \"id:{},phase:{phase},pass,nolog,t:none,\
                 setvar:'tx.d{id}=%{{tx.d{id}}}{MARK}%{{MATCHED_VAR_NAME}}: %{{MATCHED_VAR}}'\"\n\
                 SecRule REQUEST_METHOD \"@unconditionalMatch\" \"id:{id},phase:{phase},pass,log,t:none,logdata:'%{{tx.d{id}}}'\"",
                id + 50_000
            );
        }
    }
    rules
}

/// What every case begins with. The processors are chosen as ModSecurity's recommended configuration does.
const PROLOGUE: &str = r#"SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html text/plain
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecRule REQUEST_HEADERS:Content-Type "@rx ^text/xml" "id:99001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" "id:99002,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;
/// Between the variables of a dump.
const MARK: &str = "~~";

fn dump_id(phase: u8, n: usize) -> usize {
    10_000 + usize::from(phase) * 1_000 + n
}

fn requests<'a>(case: &'a Case, pool: &'a BTreeMap<String, Request>) -> Vec<(String, &'a Request)> {
    if case.requests.is_empty() {
        return pool.iter().map(|(name, request)| (name.clone(), request)).collect();
    }
    let named = case.requests.iter().enumerate().map(|(n, named)| match named {
        Named::Own(request) => (request.uri.clone().unwrap_or_else(|| format!("number {n}")), request),
        Named::Pooled(name) => {
            (name.clone(), pool.get(name).unwrap_or_else(|| panic!("there is no request {name}")))
        }
    });
    named.collect()
}

fn exchange(request: &Request) -> Exchange {
    let headers = |headers: &[String]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let split = |h: &String| {
            let (name, value) = h.split_once(':').expect("a header has a colon");
            (unescape(name), unescape(value.trim_start()))
        };
        headers.iter().map(split).collect()
    };
    let bytes = |body: &Body| match body {
        Body::Text(text) => unescape(text),
        Body::Lines(lines) => lines.iter().flat_map(|l| [unescape(l), b"\r\n".to_vec()].concat()).collect(),
    };
    let body = bytes(&request.body);
    let mut fields = headers(&request.headers);
    if !body.is_empty() {
        fields.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    }
    Exchange {
        method: request.method.clone().unwrap_or_else(|| "GET".into()).into_bytes(),
        uri: request.uri.clone().unwrap_or_else(|| "/".into()).into_bytes(),
        headers: fields,
        body,
        response: request.response.as_ref().map(|r| Answer {
            status: r.status,
            headers: headers(&r.headers),
            body: bytes(&r.body),
        }),
    }
}

/// What differs, and how.
fn differences(case: &Case, ours: &Outcome, theirs: &Outcome) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut check = |what: String, ours: String, theirs: String| {
        if ours != theirs {
            found.push((what, format!("    ours   {ours}\n    theirs {theirs}")));
        }
    };
    check("status".into(), ours.status.to_string(), theirs.status.to_string());
    let ids = |outcome: &Outcome| -> Vec<u64> { outcome.hits.iter().map(|(id, _)| *id).collect() };
    check("rules".into(), format!("{:?}", ids(ours)), format!("{:?}", ids(theirs)));
    let dumps: BTreeMap<u64, &String> = case
        .dump
        .iter()
        .flat_map(|(phase, targets)| {
            targets.iter().enumerate().map(|(n, target)| (dump_id(*phase, n) as u64, target))
        })
        .collect();
    for (id, ours) in &ours.hits {
        let Some((_, theirs)) = theirs.hits.iter().find(|(i, _)| i == id) else { continue };
        match dumps.get(id) {
            Some(target) => check((*target).clone(), sorted(ours), sorted(theirs)),
            None => check(format!("logdata of {id}"), whole(ours), whole(theirs)),
        }
    }
    found
}

/// The variables of a dump, in order of their text: collections have no order in ModSecurity.
fn sorted(dump: &[u8]) -> String {
    let text = whole(dump);
    let mut parts: Vec<&str> = text.split(MARK).skip(1).collect();
    parts.sort_unstable();
    parts.join("  ")
}

fn whole(bytes: &[u8]) -> String {
    bytes.chunks(80).map(show).collect()
}
