//! A recorded transaction, whatever it was recorded in.

use crate::engine::is_score;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A request, what is known of its response, and what became of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    pub(super) id: String,
    pub(super) time: Option<SystemTime>,
    pub(super) site: Option<String>,
    pub(super) client: Option<SocketAddr>,
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    /// `HTTP/1.1`, …
    pub(super) protocol: Vec<u8>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) response: Option<Answered>,
    /// What was decided; none when the record does not say.
    pub(super) verdict: Option<Verdict>,
    /// Why it cannot be replayed exactly.
    pub(super) flaws: Flaws,
}

/// The upstream's response.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) protocol: Vec<u8>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// None when it was not recorded.
    pub(super) body: Option<Vec<u8>>,
}

/// What rules made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// They stopped it, or would have but for the mode.
    pub(super) is_stopped: bool,
    /// Inbound and outbound anomaly scores together; none where the record does not tell.
    pub(super) score: Option<i64>,
    /// Rules that matched and log, but those which only add up scores.
    pub(super) rules: BTreeSet<u64>,
}

impl Verdict {
    /// What these rules made of it, each with the variable in which it matched first.
    pub(super) fn new<'h>(
        is_stopped: bool,
        score: Option<i64>,
        hits: impl Iterator<Item = (u64, Option<&'h str>)>,
    ) -> Self {
        let judged = hits.filter(|(id, variable)| !is_bookkeeping(*id, *variable));
        Self { is_stopped, score, rules: judged.map(|(id, _)| id).collect() }
    }
}

/// A time as records have it, RFC 3339.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

/// Whether a rule only judges by scores or reports them: CRS's have ids of their own, others are known by the variable in
/// which they matched first.
pub(super) fn is_bookkeeping(id: u64, variable: Option<&str>) -> bool {
    matches!(id, 949_000..950_000 | 959_000..960_000 | 980_000..981_000) || variable.is_some_and(is_score)
}

/// Why a line is no transaction that could be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It cannot be read.
    Unreadable,
    /// It was refused before any rule could decide: it was not HTTP, or an access rule, a rate limit, a ban or want of room
    /// turned it away.
    Refused,
}

/// Why a transaction cannot be replayed exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    TargetRedacted,
    TargetCut,
    HeadersMissing,
    HeadersRedacted,
    HeadersCut,
    BodyMissing,
    BodyRedacted,
    BodyCut,
    FilesMissing,
    BodyDecoded,
    ResponseMissing,
}

impl Flaw {
    /// All, with a name and what it means.
    pub(super) const ALL: [(Flaw, &'static str, &'static str); 11] = [
        (Flaw::TargetRedacted, "target_redacted", "a secret in the target was redacted"),
        (Flaw::TargetCut, "target_cut", "the target was cut"),
        (Flaw::HeadersMissing, "headers_missing", "headers were not recorded, or not all"),
        (
            Flaw::HeadersRedacted,
            "headers_redacted",
            "secrets in headers (cookies, authorization) were redacted",
        ),
        (Flaw::HeadersCut, "headers_cut", "a header was cut"),
        (Flaw::BodyMissing, "body_missing", "the body was not recorded"),
        (Flaw::BodyRedacted, "body_redacted", "secrets in the body were redacted"),
        (Flaw::BodyCut, "body_cut", "the body was cut, or inspected in part"),
        (Flaw::FilesMissing, "files_missing", "uploaded files were left out"),
        (Flaw::BodyDecoded, "body_decoded", "the body was recorded without its content coding"),
        (Flaw::ResponseMissing, "response_missing", "it was decided on a response that was not recorded"),
    ];
}

/// A set of [`Flaw`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flaws(u16);

impl Flaws {
    pub(super) fn add(&mut self, flaw: Flaw) {
        self.0 |= 1 << flaw as u16;
    }

    pub(super) fn has(self, flaw: Flaw) -> bool {
        self.0 & 1 << flaw as u16 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Recorded {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// The path without the query.
    pub(super) fn path(&self) -> Cow<'_, str> {
        let target = match self.target.split(|b| matches!(b, b'?' | b'#')).next() {
            Some(path) if !path.is_empty() => path,
            _ => b"/",
        };
        String::from_utf8_lossy(target)
    }

    /// Notes a body that the headers announce and the record does not hold.
    pub(super) fn miss_body(&mut self) {
        let is_announced = self.header("content-length").is_some_and(|n| n != b"0")
            || self.header("transfer-encoding").is_some();
        if self.body.is_empty() && is_announced {
            self.flaws.add(Flaw::BodyMissing);
        }
    }

    /// Takes the announcement of a content coding away from a body that was recorded without it.
    pub(super) fn decode_body(&mut self) {
        let before = self.headers.len();
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"));
        if self.headers.len() < before {
            self.flaws.add(Flaw::BodyDecoded);
        }
    }
}
