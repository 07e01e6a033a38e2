//! The audit record: what a transaction left behind, redacted and bounded, in Portcullis' own schema
//! (`docs/audit-log.md`, `docs/audit-log.schema.json`).

use crate::engine::AuditParts;
use serde::Serialize;
use std::borrow::Cow;
use time::OffsetDateTime;

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
