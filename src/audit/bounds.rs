//! How much of each thing a record shows. A record is for people and search engines; what is cut says so.

/// Bytes of names: methods, header names, tags, ids.
pub(super) const NAME: usize = 256;
/// Bytes of messages, variables with their member, operators.
pub(super) const MESSAGE: usize = 1_024;
/// Bytes of `logdata` and of a matched value.
pub(super) const DATA: usize = 4_096;
/// Bytes of the request target and of a header's value.
pub(super) const VALUE: usize = 8_192;
/// Bytes of a body.
pub(super) const BODY: usize = 65_536;
/// Headers of a message.
pub(super) const HEADERS: usize = 256;
/// Rules of a transaction. CRS at its highest level and worst request stays below 200.
pub(super) const RULES: usize = 512;
/// Matches of a rule.
pub(super) const MATCHES: usize = 16;
/// Tags of a rule.
pub(super) const TAGS: usize = 64;
/// Events of a transaction: all that the engine keeps.
pub(super) const EVENTS: usize = crate::limits::EVENTS_PER_TRANSACTION;
/// Uploaded files.
pub(super) const FILES: usize = 64;
/// Rules that a candidate ruleset adds or leaves out.
pub(super) const SHADOW_RULES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference names each bound; what it says is what holds.
    #[test]
    fn they_are_documented() {
        let kib = |bytes: usize| format!("{} KiB", bytes / 1_024);
        let bounds = format!(
            "Names {NAME} bytes; messages, operators and variables {}; `data` and `value` {}; the URI and header values {}; \
             bodies {}; {HEADERS} headers, {RULES} rules with {MATCHES} matches each, {EVENTS} events, {FILES} files.",
            kib(MESSAGE),
            kib(DATA),
            kib(VALUE),
            kib(BODY),
        );
        let page = include_str!("../../docs/audit-log.md");
        let words: Vec<&str> = page.split_whitespace().collect();
        assert!(words.join(" ").contains(&bounds), "docs/audit-log.md does not say: {bounds}");
    }
}
