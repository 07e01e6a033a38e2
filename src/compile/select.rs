//! Which rules a removal or an update means: ids, ranges, tags, messages.

use regex::Regex;

/// A selection of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleSelection {
    /// Ids, as inclusive ranges.
    Ids(Vec<(u64, u64)>),
    /// Rules with this tag.
    Tag(String),
    /// Rules with this message.
    Message(String),
}

impl RuleSelection {
    /// Reads ids and ranges, separated by white space or commas.
    ///
    /// # Errors
    /// A sentence for people.
    pub(super) fn ids(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text.split(|c: char| c.is_whitespace() || c == ',').filter(|p| !p.is_empty()) {
            let part = part.trim_matches(['"', '\'']);
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            match (low.trim().parse(), high.trim().parse()) {
                (Ok(low), Ok(high)) if low <= high => ranges.push((low, high)),
                _ => return Err(format!("{part} is neither an id nor a range of ids like 942000-942999")),
            }
        }
        if ranges.is_empty() {
            return Err("no id is given".into());
        }
        Ok(Self::Ids(ranges))
    }

    /// Whether a rule is selected. ModSecurity 3 compares tags and messages as they are, ModSecurity 2 as regular
    /// expressions; rules written for either find here what they mean.
    pub(super) fn selects(&self, id: u64, tags: &[&str], message: &str) -> bool {
        match self {
            Self::Ids(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&id)),
            Self::Tag(tag) => tags.contains(&tag.as_str()) || tags.iter().any(|t| matches(tag, t)),
            Self::Message(text) => message == text || matches(text, message),
        }
    }
}

/// Whether `pattern`, if it is meant as a regular expression, is found in `text`.
fn matches(pattern: &str, text: &str) -> bool {
    const META: &[char] = &['^', '$', '*', '+', '?', '(', ')', '[', ']', '|', '\\'];
    pattern.contains(META) && Regex::new(pattern).is_ok_and(|r| r.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ranges_tags_and_messages() {
        let ids = RuleSelection::ids("1 5-7, \"9-9\"").expect("valid");
        let chosen: Vec<u64> = (0..12).filter(|id| ids.selects(*id, &[], "")).collect();
        assert_eq!(chosen, [1, 5, 6, 7, 9]);
        assert!(
            RuleSelection::ids("7-5").is_err()
                && RuleSelection::ids("x").is_err()
                && RuleSelection::ids("").is_err()
        );
        let tag = RuleSelection::Tag("attack-.*".into());
        assert!(tag.selects(1, &["attack-sqli"], "") && !tag.selects(1, &["language-sql"], ""));
        // A tag without regular expression syntax is compared whole.
        assert!(!RuleSelection::Tag("attack".into()).selects(1, &["attack-sqli"], ""));
    }
}
