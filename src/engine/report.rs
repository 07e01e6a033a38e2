//! What a transaction leaves behind: everything that an audit record, a metric or an explanation needs.

use super::{Costs, Decision, Interruption, Shadowed};
use crate::ruleset::Mode;
use crate::transform::Decoding;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// A finished transaction. Bytes are as they came from the network and nothing has been redacted yet: that is
/// the business of [`crate::audit`].
#[derive(Clone, Debug)]
pub struct Report {
    /// The transaction's id.
    pub id: String,
    /// When it began.
    pub started: SystemTime,
    /// The client, as rules saw it (`REMOTE_ADDR`).
    pub client: Option<SocketAddr>,
    /// The address on which it came in.
    pub server: Option<SocketAddr>,
    /// The request. When the transaction is not to be audited, nothing of it but how much of its body was inspected.
    pub request: RequestRecord,
    /// The response, when there was one (the upstream's, before any decision about it). When the transaction is not to be
    /// audited, its status and how much of its body was inspected.
    pub response: Option<ResponseRecord>,
    /// The mode in which the transaction ended.
    pub mode: Mode,
    /// What was decided. [`Decision::Pass`] in `DetectionOnly`, whatever matched.
    pub decision: Decision,
    /// The first disruptive action that the mode did not permit (`DetectionOnly`).
    pub suppressed: Option<Interruption>,
    /// Anomaly scores at the end.
    pub scores: Scores,
    /// Rules that matched, in the order in which they did; rules with `nolog` only when they have `auditlog`.
    pub rules: Vec<RuleHit>,
    /// What else happened.
    pub events: Vec<Event>,
    /// What the ruleset says of auditing.
    pub audit: AuditSettings,
    /// Names of members that must not be shown (`sanitiseArg`, …), in lower case, beside the audit's own.
    pub sanitised: Sanitised,
    /// What rules cost, when that was measured.
    pub costs: Option<Box<Costs>>,
    /// What a candidate ruleset made of the same transaction. The engine leaves it empty.
    pub shadow: Option<Box<Shadowed>>,
}

/// What `sanitise…` actions named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sanitised {
    /// `sanitiseArg`, and `sanitiseMatched` on `ARGS`.
    pub arguments: Vec<Vec<u8>>,
    /// `sanitiseRequestHeader`.
    pub request_headers: Vec<Vec<u8>>,
    /// `sanitiseResponseHeader`.
    pub response_headers: Vec<Vec<u8>>,
    /// Values to mask wherever they occur (`sanitiseMatchedBytes`).
    pub values: Vec<Vec<u8>>,
}

/// An uploaded file: field name, file name, size in bytes, content type.
pub type FileRecord = (Vec<u8>, Vec<u8>, u64, Vec<u8>);

/// The request as it came.
#[derive(Clone, Debug, Default)]
pub struct RequestRecord {
    /// The method.
    pub method: Vec<u8>,
    /// The request target as received.
    pub uri: Vec<u8>,
    /// `HTTP/1.1`, `HTTP/2.0`, …
    pub protocol: Vec<u8>,
    /// Headers in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The inspected part of the body.
    pub body: BodyRecord,
    /// Arguments as parsed: name and value.
    pub arguments: Vec<(Vec<u8>, Vec<u8>)>,
    /// Uploaded files.
    pub files: Vec<FileRecord>,
}

/// The response as the upstream gave it.
#[derive(Clone, Debug, Default)]
pub struct ResponseRecord {
    /// The status.
    pub status: u16,
    /// The protocol.
    pub protocol: Vec<u8>,
    /// Headers in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The inspected part of the body.
    pub body: BodyRecord,
}

/// A body, as far as it was read for inspection.
#[derive(Clone, Debug, Default)]
pub struct BodyRecord {
    /// The bytes kept (after decoding of the content coding); empty when the audit does not want them.
    pub bytes: Vec<u8>,
    /// How many bytes were inspected.
    pub inspected: u64,
    /// Whether more followed that was not inspected.
    pub truncated: bool,
}

/// CRS's anomaly scores, read from `TX` at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// `TX.blocking_inbound_anomaly_score`, or CRS 3's `anomaly_score`.
    pub inbound: i64,
    /// `TX.blocking_outbound_anomaly_score`, or CRS 3's `outbound_anomaly_score`.
    pub outbound: i64,
    /// `TX.inbound_anomaly_score_threshold`; 0 when there is none.
    pub inbound_threshold: i64,
    /// `TX.outbound_anomaly_score_threshold`; 0 when there is none.
    pub outbound_threshold: i64,
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct RuleHit {
    /// The rule's id; for a chain, its first rule's.
    pub id: u64,
    /// The phase in which it matched.
    pub phase: u8,
    /// `msg`, with macros expanded.
    pub message: String,
    /// `logdata`, with macros expanded. Bytes, since it usually quotes the client.
    pub data: Vec<u8>,
    /// `severity`, 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// `tag`s, macros expanded.
    pub tags: Arc<[String]>,
    /// How many of `tags`, the last ones, had macros and may quote the client. The others are the rule's own words.
    pub expanded_tags: usize,
    /// `ver`.
    pub version: String,
    /// `rev`.
    pub revision: String,
    /// `maturity`.
    pub maturity: Option<u8>,
    /// `accuracy`.
    pub accuracy: Option<u8>,
    /// What matched, in the rule and its chain; bounded (`limits::MATCHES_PER_HIT`).
    pub matches: Vec<MatchedValue>,
    /// The operator's name and argument, for messages (`@rx …`), the argument cut to a bound.
    pub operator: Arc<str>,
    /// The rule's file and line.
    pub file: Arc<str>,
    /// Line of the rule, from 1.
    pub line: u32,
    /// Whether it goes to the error log (`log`, not `nolog`).
    pub log: bool,
    /// Whether it goes to the audit log (`auditlog`, not `noauditlog`).
    pub auditlog: bool,
    /// Whether it carries a disruptive action that took effect, or would have but for the mode.
    pub disruptive: bool,
}

impl RuleHit {
    /// Whether it only compares the score that others have added up, as 949110 does, or tells it, as 980130. No id is
    /// known: it is told from what the rule looked at.
    pub fn keeps_books(&self) -> bool {
        self.matches.first().is_some_and(|m| is_score(&m.variable))
    }
}

/// Whether a variable, named with its member, is an anomaly score: `TX:…anomaly_score…`.
pub fn is_score(variable: &str) -> bool {
    let is_tx = |start: &[u8]| start.eq_ignore_ascii_case(b"TX:");
    variable.as_bytes().get(..3).is_some_and(is_tx) && variable.to_ascii_lowercase().contains("anomaly_score")
}

/// A value that a rule's operator matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedValue {
    /// The variable with its member, e.g. `ARGS:id`.
    pub variable: String,
    /// The value after all transformations, cut to a bound.
    pub value: Vec<u8>,
    /// Which bytes of the value matched, where the operator knows.
    pub range: Option<std::ops::Range<usize>>,
    /// The layers of encoding that were undone until the operator matched, the outermost first.
    pub decoded: Vec<Decoding>,
}

/// Something worth knowing that is no rule match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind.
    pub kind: EventKind,
    /// The phase, or 0 outside of phases.
    pub phase: u8,
    /// One sentence for people; may quote the client, so it is redacted like everything else.
    pub detail: String,
}

/// The kinds of events. Their names are label values of metrics: stable, bounded, never from client input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// The request was not HTTP as Portcullis accepts it; it was refused.
    MalformedRequest,
    /// The request could be read in several ways, and was made to have one before it was inspected and forwarded.
    NormalisedRequest,
    /// A request body could not be parsed as its type.
    RequestBodyError,
    /// A request body exceeded a limit and was inspected in part.
    RequestBodyTruncated,
    /// A request body was not inspected (access off, or no processor).
    RequestBodyUninspected,
    /// A request body exceeded a limit and was refused.
    RequestBodyRefused,
    /// A response body exceeded a limit and was inspected in part.
    ResponseBodyTruncated,
    /// A response body was not inspected though its type asks for it.
    ResponseBodyUninspected,
    /// A response is a part (206) of one whose type is inspected.
    ResponsePartial,
    /// A content coding is unknown, stacked, broken, or expands beyond its limit.
    ContentCoding,
    /// More arguments than `SecArgumentsLimit`.
    ArgumentsLimit,
    /// An operator gave up at its step limit.
    OperatorLimit,
    /// A rule could not be evaluated as written (e.g. a persistent collection was not initialised).
    RuleError,
    /// The engine failed inside.
    InternalError,
    /// An access rule refused it, or would have but for the mode.
    AccessDenied,
    /// A rate limit refused it, or would have but for the mode.
    RateLimited,
    /// Its client is banned.
    Banned,
    /// There was more to inspect than could be, so that it was refused or let pass without inspection; or more waited
    /// for clients than may be kept, so that the response was cut off or replaced.
    Overloaded,
    /// Somebody changed something through the admin listener, or tried to; it is no request of a site's.
    AdminChange,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 19] = [
        EventKind::MalformedRequest,
        EventKind::NormalisedRequest,
        EventKind::RequestBodyError,
        EventKind::RequestBodyTruncated,
        EventKind::RequestBodyUninspected,
        EventKind::RequestBodyRefused,
        EventKind::ResponseBodyTruncated,
        EventKind::ResponseBodyUninspected,
        EventKind::ResponsePartial,
        EventKind::ContentCoding,
        EventKind::ArgumentsLimit,
        EventKind::OperatorLimit,
        EventKind::RuleError,
        EventKind::InternalError,
        EventKind::AccessDenied,
        EventKind::RateLimited,
        EventKind::Banned,
        EventKind::Overloaded,
        EventKind::AdminChange,
    ];

    /// Whether it tells of a refusal that is no rule's, carried out or not: an operator looks for it in the audit log.
    pub fn is_refusal(self) -> bool {
        matches!(self, EventKind::AccessDenied | EventKind::RateLimited | EventKind::Banned)
    }

    /// A stable name in snake_case.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::MalformedRequest => "malformed_request",
            EventKind::NormalisedRequest => "normalised_request",
            EventKind::RequestBodyError => "request_body_error",
            EventKind::RequestBodyTruncated => "request_body_truncated",
            EventKind::RequestBodyUninspected => "request_body_uninspected",
            EventKind::RequestBodyRefused => "request_body_refused",
            EventKind::ResponseBodyTruncated => "response_body_truncated",
            EventKind::ResponseBodyUninspected => "response_body_uninspected",
            EventKind::ResponsePartial => "response_partial",
            EventKind::ContentCoding => "content_coding",
            EventKind::ArgumentsLimit => "arguments_limit",
            EventKind::OperatorLimit => "operator_limit",
            EventKind::RuleError => "rule_error",
            EventKind::InternalError => "internal_error",
            EventKind::AccessDenied => "access_denied",
            EventKind::RateLimited => "rate_limited",
            EventKind::Banned => "banned",
            EventKind::Overloaded => "overloaded",
            EventKind::AdminChange => "admin_change",
        }
    }
}

/// `SecAuditEngine`, after `ctl:auditEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuditEngine {
    /// Every transaction.
    On,
    /// None.
    Off,
    /// Those in which a rule with `auditlog` matched, or whose status `SecAuditLogRelevantStatus` names.
    #[default]
    RelevantOnly,
}

/// `SecAuditLogParts`: a set of the letters A to K and Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditParts(u32);

impl AuditParts {
    /// ModSecurity's recommended `ABIJDEFHZ`, without the request's body.
    pub const DEFAULT: AuditParts = AuditParts::of(b"ABHZ");

    /// The set of `letters`; others than `A` to `Z` are ignored.
    pub const fn of(letters: &[u8]) -> Self {
        let mut set = 0;
        let mut i = 0;
        while i < letters.len() {
            if letters[i].is_ascii_uppercase() {
                set |= 1 << (letters[i] - b'A');
            }
            i += 1;
        }
        Self(set)
    }

    /// Whether `letter` is in the set.
    pub fn has(self, letter: u8) -> bool {
        letter.is_ascii_uppercase() && self.0 & (1 << (letter - b'A')) != 0
    }

    /// The set with `other` added.
    #[must_use]
    pub fn with(self, other: AuditParts) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `other` taken away; `A` and `Z` always stay.
    #[must_use]
    pub fn without(self, other: AuditParts) -> Self {
        Self(self.0 & !other.0 | AuditParts::of(b"AZ").0)
    }
}

/// What the ruleset says of auditing this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// `SecAuditEngine`.
    pub engine: AuditEngine,
    /// `SecAuditLogParts`.
    pub parts: AuditParts,
    /// Whether the final status is one that `SecAuditLogRelevantStatus` names, or an access rule, a rate limit or a
    /// ban told of the request. The final status is the interruption's or the upstream's.
    pub relevant_status: bool,
}

impl Report {
    /// Whether the transaction is to be written to the audit log.
    pub fn is_audited(&self) -> bool {
        self.audit.wants(&self.rules)
    }
}

impl AuditSettings {
    /// Whether a transaction in which these rules matched is to be written to the audit log.
    pub fn wants(&self, rules: &[RuleHit]) -> bool {
        match self.engine {
            AuditEngine::On => true,
            AuditEngine::Off => false,
            AuditEngine::RelevantOnly => self.relevant_status || rules.iter().any(|r| r.auditlog),
        }
    }
}
