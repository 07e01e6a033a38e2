//! The rule text of a site and of its candidate ruleset, in order: reads `rules`, `patches`, `directives`, `exclusions`
//! and `shadow`.

use super::document::Data;
use super::exclusion;
use super::place::Place;
use super::reader::{Section, scalar};
use super::schema;
use super::{EMBEDDED_RULESET, Overrides};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};

/// One piece of rule text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuleInput {
    /// A file, a glob, or a built-in ruleset such as `@portcullis-core`.
    File(String),
    /// Virtual patches: a file or a glob, embedded (`@virtual-patches/…`) or not.
    Patch {
        /// The file or glob.
        file: String,
        /// Whether its rules only tell what they would have blocked.
        detection_only: bool,
    },
    /// Text from the configuration itself.
    Text {
        /// A name for diagnostics.
        name: String,
        /// SecLang.
        text: String,
    },
}

/// A candidate ruleset, tried on a share of a site's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Rule text in order, as [`Site::rules`](super::Site::rules).
    pub rules: Vec<RuleInput>,
    /// Of a million requests, how many are tried; at least 1, at most [`Shadow::ALL`].
    pub sample: u32,
}

impl Shadow {
    /// [`Shadow::sample`] when every request is tried.
    pub const ALL: u32 = 1_000_000;
}

/// Rule text of a site, or of its candidate ruleset: what `shadow` does not name is the site's.
pub(super) fn read(
    site: &Section<'_>,
    shadow: Option<&Section<'_>>,
    label: &str,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Vec<RuleInput> {
    // What the candidate takes from the site has been complained about there.
    let mut told = Diagnostics::new();
    let own = |key: &str| shadow.filter(|shadow| shadow.get(key).is_some());
    let text = |what: &str, key: &str, text: String| {
        let whose = if own(key).is_some() { "shadow: " } else { "" };
        RuleInput::Text { name: format!("site {label}: {whose}{what}"), text }
    };
    // With a candidate, only what it says itself is news.
    macro_rules! from {
        ($key:expr) => {
            match (own($key), shadow) {
                (Some(section), _) => (section, &mut *out),
                (None, None) => (site, &mut *out),
                (None, Some(_)) => (site, &mut told),
            }
        };
    }
    let (section, complaints) = from!("exclusions");
    let exclusions = exclusion::read(section, place, complaints);
    let mut all = exclusions.packs;
    all.extend(exclusions.before.map(|t| text("exclusions by path", "exclusions", t)));
    let (section, complaints) = from!("patches");
    all.extend(patches(section, place, complaints));
    let (section, complaints) = from!("rules");
    let nodes = section.items("rules");
    let mut from_file = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        match &node.data {
            Data::Mapping(_) => {
                let inner = Section::new(&schema::RULE_TEXT, node, complaints);
                if inner.required("text", complaints) {
                    let read = inner.text("text", complaints);
                    from_file.extend(read.map(|t| text(&format!("rules[{index}]"), "rules", t)));
                }
            }
            _ => from_file
                .extend(scalar(node, "rules", complaints).map(|t| RuleInput::File(place.rule_file(t)))),
        }
    }
    if nodes.is_empty() {
        from_file.push(RuleInput::File(EMBEDDED_RULESET.to_owned()));
    }
    if overrides.rules.is_empty() || own("rules").is_some() {
        all.extend(from_file);
    } else {
        all.extend(overrides.rules.iter().map(|file| RuleInput::File(file.clone())));
    }
    let (section, complaints) = from!("directives");
    all.extend(section.text("directives", complaints).map(|t| text("directives", "directives", t)));
    all.extend(exclusions.after.map(|t| text("exclusions", "exclusions", t)));
    all
}

/// The virtual patches of a site, in the order of the file. They stand before its rules, so that what those let
/// pass by `allow` or `skipAfter` is looked at all the same.
fn patches(section: &Section<'_>, place: &Place<'_>, out: &mut Diagnostics) -> Vec<RuleInput> {
    let mut all = Vec::new();
    for node in section.items("patches") {
        let (names, detection_only) = match &node.data {
            Data::Mapping(_) => {
                let inner = Section::new(&schema::PATCH, node, out);
                let words = [("On", false), ("DetectionOnly", true)];
                let detection_only = inner.word("mode", &words, out).unwrap_or(false);
                inner.required("patch", out);
                (inner.list("patch", out, |text| Ok::<_, String>(text.to_owned())), detection_only)
            }
            _ => (scalar(node, "patches", out).into_iter().map(str::to_owned).collect(), false),
        };
        for name in names {
            let is_file = name.contains(['/', '@']) || name.ends_with(".yaml") || name.ends_with(".yml");
            let file = if is_file { place.rule_file(&name) } else { in_catalogue(&name) };
            all.push(RuleInput::Patch { file, detection_only });
        }
    }
    all
}

/// The files of the catalogue that `name` means: a name, the start of one that is a whole CVE number, or a glob.
fn in_catalogue(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let number = name.strip_prefix("cve-").and_then(|rest| rest.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match number {
        Some((year, number)) if digits(year) && digits(number) => format!("{PATCHES}{name}[-.]*"),
        _ => format!("{PATCHES}{name}.yaml"),
    }
}

/// The candidate ruleset of a site.
pub(super) fn shadow(
    site: &Section<'_>,
    label: &str,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Shadow> {
    let section = Section::new(&schema::SHADOW, site.get("shadow")?, out);
    if SHADOWED.iter().all(|key| section.get(key).is_none()) {
        let what = "`shadow` names nothing that differs from the site";
        let complaint = Diagnostic::error("config-missing", section.span(), what);
        out.push(complaint.help("give at least one of `rules`, `patches`, `directives` and `exclusions`"));
    }
    let sample = section.value("sample", out, share).unwrap_or(SHADOW_SAMPLE);
    Some(Shadow { rules: read(site, Some(&section), label, place, overrides, out), sample })
}

/// A share as parts of a million.
fn share(text: &str) -> Result<u32, String> {
    let bad = || "expected a share above 0 and up to all, such as `10%`, `0.5%` or `0.1`".to_owned();
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    let parts = (number / whole * f64::from(Shadow::ALL)).round();
    if !(1.0..=f64::from(Shadow::ALL)).contains(&parts) {
        return Err(bad());
    }
    // It lies between 1 and a million.
    Ok(parts as u32)
}

/// Settings of a site that its candidate may have otherwise.
pub(super) const SHADOWED: [&str; 4] = ["rules", "patches", "directives", "exclusions"];

/// A tenth.
const SHADOW_SAMPLE: u32 = Shadow::ALL / 10;

/// Where the catalogue of virtual patches is embedded.
const PATCHES: &str = "@virtual-patches/";
