//! Reading audit records of the native schema.

use super::foreign::Foreign;
use serde::Deserialize;

/// A record, as far as explanations and tuning need it. Members that are not known are passed over, since later
/// versions may add some.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Recorded {
    /// The transaction's id.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// The site's name.
    pub site: String,
    /// The hash of the generation that served it; empty in records of older versions.
    pub generation: String,
    /// The client.
    pub client: Option<End>,
    /// The address on which it came in.
    pub server: Option<End>,
    /// The request.
    pub request: RecordedRequest,
    /// The answer.
    pub response: RecordedResponse,
    /// The mode in which it ended.
    pub mode: String,
    /// What was decided.
    pub decision: RecordedVerdict,
    /// What would have been decided but for the mode.
    pub suppressed: Option<RecordedVerdict>,
    /// Scores.
    pub score: RecordedScore,
    /// Rules that matched.
    pub rules: Vec<RecordedHit>,
    /// What else happened.
    pub events: Vec<RecordedEvent>,
    /// What was left out.
    pub omitted: RecordedOmitted,
}

/// An address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct End {
    /// IP address.
    pub ip: String,
    /// Port.
    pub port: u16,
}

/// The request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The request target.
    pub uri: String,
    /// `HTTP/1.1`, …
    pub protocol: String,
    /// Headers in order.
    pub headers: Option<Vec<(String, String)>>,
    /// The body.
    pub body: Option<RecordedBody>,
    /// Uploaded files.
    pub files: Option<Vec<RecordedFile>>,
}

/// An uploaded file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedFile {
    /// The field's name.
    pub field: String,
    /// The file's name.
    pub name: String,
    /// Its type as declared.
    pub content_type: String,
}

/// The answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedResponse {
    /// What the client got.
    pub status: u16,
    /// What the upstream gave.
    pub upstream_status: Option<u16>,
    /// The upstream's headers.
    pub headers: Option<Vec<(String, String)>>,
    /// The upstream's body.
    pub body: Option<RecordedBody>,
}

/// A body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedBody {
    /// The content.
    pub text: String,
    /// Bytes that were inspected.
    pub inspected: u64,
    /// Whether more followed.
    pub truncated: bool,
}

/// A decision.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedVerdict {
    /// `pass`, `deny`, `drop` or `redirect`.
    pub action: String,
    /// The status that it asks for.
    pub status: Option<u16>,
    /// The rule; 0 for a limit or the protocol.
    pub rule_id: Option<u64>,
    /// The phase.
    pub phase: Option<u8>,
}

impl RecordedVerdict {
    /// Whether it lets the request through.
    pub fn passes(&self) -> bool {
        matches!(self.action.as_str(), "" | "pass")
    }
}

/// Scores.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedScore {
    /// Of the request.
    pub inbound: i64,
    /// Of the response.
    pub outbound: i64,
    /// From which on requests are blocked.
    pub threshold: i64,
    /// From which on responses are blocked.
    pub outbound_threshold: i64,
}

/// A rule that matched.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedHit {
    /// Its id.
    pub id: u64,
    /// The phase.
    pub phase: u8,
    /// `msg`.
    pub message: String,
    /// `severity` by name.
    pub severity: Option<String>,
    /// `tag`s.
    pub tags: Vec<String>,
    /// The variable that matched first.
    pub variable: Option<String>,
    /// Its value after transformations.
    pub value: Option<String>,
    /// Which bytes of it matched.
    #[serde(rename = "match")]
    pub range: Option<(usize, usize)>,
    /// The layers of encoding that were undone until it matched.
    pub decoded: Vec<String>,
    /// Further matches.
    pub further: Vec<RecordedMatch>,
    /// The operator.
    pub operator: String,
    /// The rule's file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Whether it disrupted.
    pub disruptive: bool,
}

impl RecordedHit {
    /// Variables with their values.
    pub fn matches(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = self.variable.as_deref().map(|v| (v, self.value.as_deref().unwrap_or_default()));
        first.into_iter().chain(self.further.iter().map(|m| (m.variable.as_str(), m.value.as_str())))
    }
}

/// A further match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedMatch {
    /// The variable.
    pub variable: String,
    /// Its value after transformations.
    pub value: String,
    /// Which bytes of it matched.
    #[serde(rename = "match")]
    pub range: Option<(usize, usize)>,
    /// The layers of encoding that were undone until it matched.
    pub decoded: Vec<String>,
}

/// An event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedEvent {
    /// What kind.
    pub kind: String,
    /// One sentence.
    pub detail: String,
}

/// How many of each were left out.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecordedOmitted {
    /// Headers.
    pub headers: usize,
    /// Rules.
    pub rules: usize,
}

impl Recorded {
    /// Reads a line of an audit log.
    ///
    /// # Errors
    ///
    /// Why it is no record.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if record.id.is_empty() {
            return Err("it has no id".to_owned());
        }
        Ok(record)
    }

    /// Reads a line of an audit log of our own schema, or of one that [`Foreign`] knows.
    ///
    /// # Errors
    ///
    /// Why it is no record.
    pub fn read_any(line: &[u8]) -> Result<Self, String> {
        let foreign = || Foreign::read(line).map(|foreign| foreign.record);
        if Foreign::is_likely(line) {
            return foreign();
        }
        Self::read(line).or_else(|error| foreign().map_err(|_| error))
    }

    /// What stopped the request, or would have but for the mode.
    pub fn stopped_by(&self) -> Option<&RecordedVerdict> {
        let carried_out = Some(&self.decision).filter(|verdict| !verdict.passes());
        carried_out.or(self.suppressed.as_ref().filter(|verdict| !verdict.passes()))
    }
}
