//! What kind of attack a blocked request was, from its rules' tags.

/// Every category, the tags `attack-…` without their prefix, and `other`.
pub const ALL: [&str; 24] = [
    "sqli",
    "xss",
    "rce",
    "lfi",
    "rfi",
    "ssrf",
    "ssti",
    "injection-php",
    "injection-java",
    "injection-nodejs",
    "injection-generic",
    "ldap",
    "nosql",
    "xxe",
    "fixation",
    "protocol",
    "multipart-header",
    "deprecated-header",
    "disclosure",
    "reputation-scanner",
    "reputation-ip",
    "dos",
    "generic",
    OTHER,
];

/// The one of what has none.
pub(super) const OTHER: &str = "other";

/// The place in [`ALL`] of the category that occurs most often among `tags`; among equals the first of [`ALL`], whose order is from the
/// specific to the general. `other` when no tag is known, so that the sum over categories is the number of blocks.
pub(super) fn of<'a>(tags: impl Iterator<Item = &'a str>) -> usize {
    let mut counts = [0_usize; ALL.len()];
    for tag in tags {
        let name = tag.strip_prefix("attack-");
        let index = name.and_then(|name| ALL.iter().position(|c| *c == name && *c != OTHER));
        if let Some(count) = index.and_then(|i| counts.get_mut(i)) {
            *count += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let first = counts.iter().position(|c| *c == most && most > 0);
    first.unwrap_or(ALL.len() - 1)
}

/// The name of the category at a place in [`ALL`].
pub(super) fn name(index: usize) -> &'static str {
    ALL.get(index).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commonest_category_is_the_block() {
        let of = |tags: &[&'static str]| ALL[of(tags.iter().copied())];
        assert_eq!(of(&["attack-xss", "attack-rce", "attack-rce"]), "rce");
        assert_eq!(of(&["attack-generic", "attack-xss"]), "xss");
        assert_eq!(of(&["OWASP_CRS", "attack-<script>", "attack-other"]), "other");
        assert_eq!(of(&[]), "other");
    }
}
