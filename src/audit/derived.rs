//! What the schemas of others ask for and a record holds in another shape: parts of the target, the lead among the
//! rules, what became of the request.

use super::record::{Hit, Record};
use serde_json::{Map, Value, json};

/// What became of a request, for filters and for schemas that have a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was stopped.
    Blocked,
    /// It would have been stopped but for the mode.
    Detected,
    /// Neither: it passed, was refused before any rule, or failed elsewhere.
    Rest,
}

impl Outcome {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Outcome); 3] =
        [("blocked", Outcome::Blocked), ("detected", Outcome::Detected), ("rest", Outcome::Rest)];

    /// Of a report.
    pub fn of(report: &crate::engine::Report) -> Self {
        match (super::is_interrupted(report), report.suppressed.is_some()) {
            (true, _) => Outcome::Blocked,
            (false, true) => Outcome::Detected,
            (false, false) => Outcome::Rest,
        }
    }
}

impl<'a> Record<'a> {
    pub(super) fn outcome(&self) -> Outcome {
        match (self.decision.action, &self.suppressed) {
            ("pass", None) => Outcome::Rest,
            ("pass", Some(_)) => Outcome::Detected,
            _ => Outcome::Blocked,
        }
    }

    /// The rule to name when only one can be: of the gravest the first. In CRS that is the first piece of evidence,
    /// since the rule which adds up stands behind.
    pub(super) fn lead(&self) -> Option<&Hit<'a>> {
        // `min_by_key` gives the first of several.
        self.rules.iter().min_by_key(|hit| hit.severity_number.unwrap_or(u8::MAX))
    }

    /// The value of a request header, when headers are shown.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.request.headers.as_deref().unwrap_or_default();
        headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// `Host` without its port.
    pub(super) fn host(&self) -> Option<&str> {
        let host = self.header("host")?;
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Some(name),
            _ => Some(host),
        }
    }

    /// The target's path and query, as they came.
    pub(super) fn path_and_query(&self) -> (&str, Option<&str>) {
        match self.request.uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.request.uri, None),
        }
    }

    /// `1.1` of `HTTP/1.1`; what is no version comes back whole.
    pub(super) fn http_version(&self) -> &str {
        self.request.protocol.strip_prefix("HTTP/").unwrap_or(&self.request.protocol)
    }

    /// The kinds of attack that rules name in tags `attack-…`, each once.
    pub(super) fn attacks(&self) -> Vec<&str> {
        each_once(self.rules.iter().flat_map(|hit| &hit.tags).filter_map(|tag| tag.strip_prefix("attack-")))
    }

    /// The target under the names that a schema has for the whole, its path, its query and the host.
    pub(super) fn url(&self, [whole, path, query, host]: [&str; 4]) -> Map<String, Value> {
        let (of_path, of_query) = self.path_and_query();
        let mut url = Map::new();
        url.insert(whole.into(), self.request.uri.clone().into());
        url.insert(path.into(), of_path.into());
        if let Some(of_query) = of_query {
            url.insert(query.into(), of_query.into());
        }
        if let Some(of_host) = self.host() {
            url.insert(host.into(), of_host.into());
        }
        url
    }

    /// What no other schema has a field for, in the shape of the native one.
    pub(super) fn own(&self) -> Value {
        json!({
            "mode": self.mode,
            "decision": self.decision,
            "suppressed": self.suppressed,
            "score": self.score,
            "upstream": self.upstream,
            "upstream_status": self.response.upstream_status,
            "request_files": self.request.files,
            "rules": self.rules,
            "events": self.events,
            "shadow": self.shadow,
            "omitted": self.omitted,
        })
    }

    /// Versions of the rulesets that matched: what `ver` says.
    pub(super) fn rulesets(&self) -> Vec<&str> {
        each_once(self.rules.iter().map(|hit| &*hit.version).filter(|version| !version.is_empty()))
    }
}

/// Without repetitions, in order.
pub(super) fn each_once<'t>(all: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut once: Vec<&str> = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}
