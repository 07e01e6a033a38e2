//! Exclusions: what they take away, and the rule text for it.
//!
//! An exclusion is as narrow as the language permits: a target of one rule, for one method and one path. What stands in
//! its text came from a client; it is written in characters only that neither syntax gives a meaning to.

use super::quote::literal_pattern;
use crate::audit::{Masker, Piece};
use crate::syntax::yaml::stable_id;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What a rule is not to look at any more, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exclusion {
    /// The rule.
    pub rule: u64,
    /// The target, as rule text has it; none for the whole rule.
    pub target: Option<String>,
    /// For which requests.
    pub place: Place,
}

/// Which requests an exclusion is for: operators as rule text has them. Without either, all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// On `REQUEST_METHOD`.
    pub method: Option<String>,
    /// On `REQUEST_FILENAME`, which is the path, percent-decoded.
    pub path: Option<String>,
}

impl Place {
    /// Exactly this method and path, of which nothing is secret.
    pub fn of(method: &[u8], path: &[u8]) -> Self {
        Self { method: Some(equals(method)), path: Some(equals(path)) }
    }

    /// Exactly this method and path. Where something secret stands in the path, anything may; then the second is true.
    pub fn exact(method: &[u8], path: &[u8], masker: &Masker<'_>) -> (Self, bool) {
        let pieces = masker.pieces("REQUEST_FILENAME", path, None);
        let has_secret = pieces.iter().any(|piece| piece.redacted);
        let path = if has_secret { format!("@rx ^{}$", pattern(&pieces)) } else { equals(path) };
        (Self { method: Some(equals(method)), path: Some(path) }, has_secret)
    }

    /// For people: `POST /guestbook`.
    pub fn told(&self) -> String {
        let plain = |operator: &Option<String>| {
            operator.as_deref().map(|text| text.strip_prefix("@streq ").unwrap_or(text).to_owned())
        };
        match (plain(&self.method), plain(&self.path)) {
            (Some(method), Some(path)) => format!("{method} {path}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => "every request".to_owned(),
        }
    }
}

/// An operator for exactly `text`.
fn equals(text: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/_-~.=:@+".contains(b);
    match std::str::from_utf8(text) {
        Ok(text) if !text.is_empty() && text.bytes().all(|b| plain(&b)) => format!("@streq {text}"),
        _ => format!("@rx ^{}$", literal_pattern(text)),
    }
}

fn pattern(pieces: &[Piece]) -> String {
    let part = |piece: &Piece| match piece.redacted {
        true => ".+".to_owned(),
        false => literal_pattern(&crate::audit::restore(&piece.text)),
    };
    pieces.iter().map(part).collect()
}

/// The target of a variable and perhaps its member, as rule text has it.
pub(super) fn target(variable: &str, member: Option<&[u8]>, masker: &Masker<'_>) -> String {
    let Some(member) = member else { return variable.to_owned() };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-.[]@$".contains(b);
    let is_path = matches!(variable, "XML" | "REQUEST_XML");
    let plain_or_path = |b: &u8| plain(b) || is_path && b"/*:".contains(b);
    let pieces = masker.pieces("ARGS_NAMES", member, None);
    if !is_path && !pieces.iter().any(|piece| piece.redacted) {
        return plain_target(variable, member);
    }
    match std::str::from_utf8(member) {
        Ok(name)
            if !name.is_empty()
                && name.bytes().all(|b| plain_or_path(&b))
                && !pieces.iter().any(|piece| piece.redacted) =>
        {
            format!("{variable}:{name}")
        }
        // A slash would end the pattern.
        _ => format!("{variable}:/^{}$/", pattern(&pieces).replace('/', "\\x2f")),
    }
}

/// The target of a variable and its member, of which nothing is secret.
pub fn plain_target(variable: &str, member: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]@$".contains(&b);
    match std::str::from_utf8(member) {
        Ok(name) if !name.is_empty() && name.bytes().all(plain) => format!("{variable}:{name}"),
        // A slash would end the pattern.
        _ => format!("{variable}:/^{}$/", literal_pattern(member).replace('/', "\\x2f")),
    }
}

/// Rules that are changed in the same way in the same place.
struct Group<'a> {
    place: &'a Place,
    rules: Vec<u64>,
    targets: Vec<&'a str>,
}

impl Group<'_> {
    /// A name that no other group has, and that is the same whenever it is made.
    fn name(&self) -> String {
        let mut text = format!("{:?} {:?}", self.rules, self.place);
        self.targets.iter().for_each(|target| text.push_str(target));
        let first = self.rules.first().copied().unwrap_or_default();
        format!("exclude-{first}-{}", stable_id(&text))
    }
}

fn groups(exclusions: &[Exclusion]) -> Vec<Group<'_>> {
    let mut by_rule: BTreeMap<(&Place, u64), BTreeSet<Option<&str>>> = BTreeMap::new();
    for one in exclusions {
        by_rule.entry((&one.place, one.rule)).or_default().insert(one.target.as_deref());
    }
    let mut by_targets: BTreeMap<(&Place, Vec<&str>), Vec<u64>> = BTreeMap::new();
    for ((place, rule), targets) in by_rule {
        // The whole rule is more than any target of it.
        let targets =
            if targets.contains(&None) { Vec::new() } else { targets.into_iter().flatten().collect() };
        by_targets.entry((place, targets)).or_default().push(rule);
    }
    by_targets.into_iter().map(|((place, targets), rules)| Group { place, rules, targets }).collect()
}

/// The exclusions as SecLang, to stand before the rules that they are about. `reason` is made harmless.
pub fn seclang(exclusions: &[Exclusion], reason: &str) -> String {
    let mut out = String::new();
    for group in groups(exclusions) {
        let name = group.name();
        let conditions: Vec<(&str, &str)> =
            [("REQUEST_METHOD", &group.place.method), ("REQUEST_FILENAME", &group.place.path)]
                .into_iter()
                .filter_map(|(variable, operator)| Some((variable, operator.as_deref()?)))
                .collect();
        let mut controls: Vec<String> = Vec::new();
        for rule in &group.rules {
            if group.targets.is_empty() {
                controls.push(format!("ctl:ruleRemoveById={rule}"));
            }
            controls.extend(group.targets.iter().map(|t| format!("ctl:ruleRemoveTargetById={rule};{t}")));
        }
        let controls = controls.join(",\\\n        ");
        let first = format!("id:{},phase:1,pass,nolog", stable_id(&name));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# {}", harmless(reason));
        let _ = match conditions.as_slice() {
            [] => writeln!(out, "SecAction \\\n    \"{first},\\\n        {controls}\""),
            [(variable, operator)] => writeln!(
                out,
                "SecRule {variable} \"{operator}\" \\\n    \"{first},t:none,\\\n        {controls}\""
            ),
            [(one, is), (other, has), ..] => writeln!(
                out,
                "SecRule {one} \"{is}\" \\\n    \"{first},t:none,chain\"\n    SecRule {other} \"{has}\" \\\n        \"t:none,\\\n        {controls}\""
            ),
        };
    }
    out
}

/// The exclusions as a rule file in native YAML.
pub fn yaml(exclusions: &[Exclusion], reason: &str) -> String {
    let mut out = "exclusions:\n".to_owned();
    for group in groups(exclusions) {
        let list = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join(", ");
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let conditions = [("REQUEST_METHOD", &group.place.method), ("REQUEST_FILENAME", &group.place.path)];
        let mut conditions = conditions
            .into_iter()
            .filter_map(|(variable, operator)| Some((variable, operator.as_deref()?)))
            .peekable();
        let is_conditional = conditions.peek().is_some();
        let rules = list(&mut group.rules.iter().map(u64::to_string));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  - rules: [{rules}]");
        if !group.targets.is_empty() {
            let targets = list(&mut group.targets.iter().map(|target| quoted(target)));
            let _ = writeln!(out, "    targets: [{targets}]");
        }
        let _ = writeln!(out, "    reason: {}", quoted(&harmless(reason)));
        if is_conditional {
            let _ = writeln!(out, "    id: {}\n    phase: 1\n    all:", group.name());
        }
        for (variable, operator) in conditions {
            let _ = writeln!(out, "      - {{variables: [{variable}], operator: {}}}", quoted(operator));
        }
    }
    out
}

/// A text for a comment: one line of plain characters.
fn harmless(text: &str) -> String {
    let plain = |c: char| if (' '..='~').contains(&c) && c != '\\' { c } else { '?' };
    text.chars().map(plain).collect()
}
