//! Exclusions: lowered to the directives which an expert would have written by hand.

use super::RuleInput;
use super::document::Data;
use super::place::Place;
use super::reader::{Section, complain, scalar};
use super::schema;
use super::site::path;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::yaml::{is_name, stable_id};
use std::fmt::Write;

/// Rule text that says what the exclusions of a site say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lowered {
    /// Packs for applications, each with the text that keeps it to some paths. They stand before everything else.
    pub(super) packs: Vec<RuleInput>,
    /// Rules which must stand before all others: exclusions for some paths work at run time.
    pub(super) before: Option<String>,
    /// Directives which must stand after all rules.
    pub(super) after: Option<String>,
}

/// First id of the rules that exclusions by path become. Far from CRS (900,000 to 999,999) and from the range
/// that ModSecurity reserves for local rules (1 to 99,999).
pub const EXCLUSION_RULE_IDS: u64 = 99_000_000;

/// Where the packs of exclusions for applications are embedded.
pub const EXCLUSION_PACKS: &str = "@exclusions/";

/// Reads and lowers `exclusions` of a site.
pub(super) fn read(site: &Section<'_>, place: &Place<'_>, out: &mut Diagnostics) -> Lowered {
    let mut packs = Vec::new();
    let mut before = String::new();
    let mut after = String::new();
    let mut id = EXCLUSION_RULE_IDS;
    for node in site.items("exclusions") {
        if let Data::Scalar(_) = node.data {
            let named = scalar(node, "exclusions", out)
                .and_then(|name| complain(pack_file(name, place), node.span, "exclusions", out));
            packs.extend(named.map(RuleInput::File));
            continue;
        }
        let section = Section::new(&schema::EXCLUSION, node, out);
        if section.get("pack").is_some() {
            pack(&section, place, &mut id, &mut packs, out);
            continue;
        }
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
            let what = "an exclusion names `rules`, `tags` or a `pack`";
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
    Lowered { packs, before: some(before), after: some(after) }
}

/// The member of `exclusions` that names a pack, or several.
fn pack(
    section: &Section<'_>,
    place: &Place<'_>,
    id: &mut u64,
    packs: &mut Vec<RuleInput>,
    out: &mut Diagnostics,
) {
    for key in ["rules", "tags", "targets"] {
        if let Some(node) = section.get(key) {
            let what = format!("`{key}` has no meaning beside `pack`");
            let complaint = Diagnostic::error("config-conflict", node.span, what);
            out.push(complaint.help("make it an exclusion of its own"));
        }
    }
    section.text("reason", out);
    let files = section.list("pack", out, |name| pack_file(name, place));
    let paths = section.list("paths", out, path);
    if paths.is_empty() {
        packs.extend(files.into_iter().map(RuleInput::File));
        return;
    }
    // Elsewhere the pack is jumped over. Its conditions are on the head, or on arguments, so phases 1 and 2 will do.
    let marker = format!("END-EXCLUSION-PACK-{id}");
    let mut text = String::new();
    for phase in [1, 2] {
        let below = paths.iter().map(|path| below_pattern(path)).collect::<Vec<_>>().join("|");
        let _ = writeln!(
            text,
            "SecRule REQUEST_FILENAME \"!@rx {below}\" \"id:{id},phase:{phase},pass,t:none,t:urlDecodeUni,t:normalizePath,nolog,noauditlog,skipAfter:{marker}\""
        );
        *id += 1;
    }
    packs.push(RuleInput::Text { name: "exclusions: where packs hold".to_owned(), text });
    packs.extend(files.into_iter().map(RuleInput::File));
    packs.push(RuleInput::Text {
        name: "exclusions: where packs end".to_owned(),
        text: format!("SecMarker {marker}\n"),
    });
}

/// The file of the pack `name`: an embedded one, or one of the user's own.
fn pack_file(name: &str, place: &Place<'_>) -> Result<String, String> {
    if name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".conf") {
        return Ok(place.rule_file(name));
    }
    let name = name.strip_prefix('@').unwrap_or(name);
    if !is_name(name) {
        return Err("expected the name of a pack, such as `wordpress`, or a file".to_owned());
    }
    Ok(format!("{EXCLUSION_PACKS}{name}.yaml"))
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
    let pattern = below_pattern(path);
    let _ = writeln!(
        out,
        "SecRule REQUEST_FILENAME \"@rx {pattern}\" \"id:{id},phase:1,pass,t:none,t:urlDecodeUni,t:normalizePath,nolog,noauditlog,{}\"",
        controls.join(",")
    );
    *id += 1;
}

/// Below the prefix at a segment's border, as a site's `paths` are meant.
fn below_pattern(path: &str) -> String {
    let prefix = path.strip_suffix('/').unwrap_or(path);
    if path.ends_with('/') {
        format!("^{}/", regex::escape(prefix))
    } else {
        format!("^{}(?:/|$)", regex::escape(prefix))
    }
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
