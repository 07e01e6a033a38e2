//! Whether a request looks as if a person's browser had sent it.

use crate::explain::Recorded;

/// Whether it does: the name of a browser, and the headers that browsers send with it.
pub(super) fn is_ordinary(record: &Recorded) -> bool {
    let Some(headers) = &record.request.headers else { return false };
    let has = |name: &str| {
        headers.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && !value.is_empty())
    };
    let agent = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    let agent = agent.map_or("", |(_, value)| value.as_str());
    let is_browser = agent.starts_with("Mozilla/5.0 (")
        && ["Gecko/", "AppleWebKit/"].iter().any(|engine| agent.contains(engine))
        && !["bot", "crawl", "spider", "scan", "headless", "python", "curl", "http://", "https://"]
            .iter()
            .any(|word| agent.to_ascii_lowercase().contains(word));
    is_browser && has("accept") && has("accept-language")
}

/// Whether a rule found a tool that looks for weaknesses.
pub(super) fn is_scanner(record: &Recorded) -> bool {
    record.rules.iter().flat_map(|rule| &rule.tags).any(|tag| tag.starts_with("attack-reputation"))
}
