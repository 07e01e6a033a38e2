//! Exclusions: lowered to the directives which an expert would have written by hand.

use super::reader::Section;
use super::schema;
use super::site::path;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::yaml::{is_name, stable_id};
use std::fmt::Write;

/// SecLang text that says what the exclusions of a site say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lowered {
    /// Rules which must stand before all others: exclusions for some paths work at run time.
    pub(super) before: Option<String>,
    /// Directives which must stand after all rules.
    pub(super) after: Option<String>,
}

/// First id of the rules that exclusions by path become. Far from CRS (900,000 to 999,999) and from the range
/// that ModSecurity reserves for local rules (1 to 99,999).
pub const EXCLUSION_RULE_IDS: u64 = 99_000_000;

/// Reads and lowers `exclusions` of a site.
pub(super) fn read(site: &Section<'_>, out: &mut Diagnostics) -> Lowered {
    let mut before = String::new();
    let mut after = String::new();
    let mut id = EXCLUSION_RULE_IDS;
    for node in site.items("exclusions") {
        let section = Section::new(&schema::EXCLUSION, node, out);
        let rules = section.list("rules", out, id_or_range);
        let tags = section.list("tags", out, tag);
        let targets = section.list("targets", out, target);
        let paths = section.list("paths", out, path);
        let reason = section.text("reason", out);
        if reason.is_none() {
            let complaint =
                Diagnostic::warning("config-no-reason", node.span, "an exclusion without a `reason`");
            out.push(complaint.help("say why, so that somebody can tell later whether it still holds"));
        }
        if rules.is_empty() && tags.is_empty() {
            let what = "an exclusion names `rules` or `tags`";
            out.push(Diagnostic::error("config-missing", node.span, what));
        }
        if paths.is_empty() {
            everywhere(&mut after, &rules, &tags, &targets);
        } else {
            for path in &paths {
                below(&mut before, &mut id, path, &rules, &tags, &targets);
            }
        }
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    Lowered { before: some(before), after: some(after) }
}

fn everywhere(out: &mut String, rules: &[String], tags: &[String], targets: &[String]) {
    let excluded = targets.iter().map(|t| format!("!{t}")).collect::<Vec<_>>().join(",");
    // Writing to a String cannot fail.
    for rule in rules {
        let _ = match targets.is_empty() {
            true => writeln!(out, "SecRuleRemoveById {rule}"),
            false => writeln!(out, "SecRuleUpdateTargetById {rule} \"{excluded}\""),
        };
    }
    for tag in tags {
        let _ = match targets.is_empty() {
            true => writeln!(out, "SecRuleRemoveByTag \"{tag}\""),
            false => writeln!(out, "SecRuleUpdateTargetByTag \"{tag}\" \"{excluded}\""),
        };
    }
}

fn below(out: &mut String, id: &mut u64, path: &str, rules: &[String], tags: &[String], targets: &[String]) {
    let mut controls = Vec::new();
    for (what, names) in [("ById", rules), ("ByTag", tags)] {
        for name in names {
            if targets.is_empty() {
                controls.push(format!("ctl:ruleRemove{what}={name}"));
            }
            for target in targets {
                controls.push(format!("ctl:ruleRemoveTarget{what}={name};{target}"));
            }
        }
    }
    if controls.is_empty() {
        return;
    }
    // Below the prefix at a segment's border, as a site's `paths` are meant.
    let prefix = path.strip_suffix('/').unwrap_or(path);
    let pattern = if path.ends_with('/') {
        format!("^{}/", regex::escape(prefix))
    } else {
        format!("^{}(?:/|$)", regex::escape(prefix))
    };
    let _ = writeln!(
        out,
        "SecRule REQUEST_FILENAME \"@rx {pattern}\" \"id:{id},phase:1,pass,t:none,t:urlDecodeUni,t:normalizePath,nolog,noauditlog,{}\"",
        controls.join(",")
    );
    *id += 1;
}

fn id_or_range(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(stable_id(text).to_string());
    }
    let id = |t: &str| {
        t.trim()
            .parse::<u64>()
            .map_err(|_| "expected an id, a range `first-last` or the id of a rule in YAML".to_owned())
    };
    match text.split_once('-') {
        None => id(text).map(|n| n.to_string()),
        Some((first, last)) => {
            let (first, last) = (id(first)?, id(last)?);
            if first > last {
                return Err("the range ends before it begins".to_owned());
            }
            Ok(format!("{first}-{last}"))
        }
    }
}

fn tag(text: &str) -> Result<String, String> {
    let good = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | '\\' | ',' | ';');
    if text.is_empty() || !text.chars().all(good) {
        return Err("a tag has no quotes, commas, semicolons or backslashes".to_owned());
    }
    Ok(text.to_owned())
}

fn target(text: &str) -> Result<String, String> {
    let good = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | ',' | ';' | '|' | ' ' | '!' | '&');
    if text.is_empty() || !text.chars().all(good) {
        return Err(
            "expected a variable with an optional member, such as `ARGS:comment`, without `!` or `&`"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}
