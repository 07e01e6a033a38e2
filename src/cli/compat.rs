//! `portcullis check --compat`: what rules written for another engine use, what of it means something else here,
//! and whether they can be run.

use crate::compile::{Finding, Kind, Loaded, Survey, Use, concerning};
use crate::dialect::{Difference, Engine};
use crate::source::{SourceMap, Span};
use crate::syntax::diagnostic::{Diagnostic, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What there is to say about rules that come from elsewhere.
pub(super) struct Compat<'a> {
    loaded: &'a Loaded,
    survey: Survey,
    from: Option<Engine>,
    /// Complaints in the same words are one, with all their places.
    errors: Vec<Complaint<'a>>,
    warnings: Vec<Complaint<'a>>,
    /// Lines with an error, and errors that stand in no line.
    refused_lines: usize,
}

struct Complaint<'a> {
    diagnostic: &'a Diagnostic,
    places: Vec<Span>,
}

/// Whether the rules can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They mean the same here.
    AsIs,
    /// They can be run, and so many names mean something else or have no effect.
    Differences(usize),
    /// So many lines are refused.
    Refused(usize),
}

impl<'a> Compat<'a> {
    /// Surveys what was loaded. `from` is the engine that the rules come from; any of them when it is not known.
    pub(super) fn of(loaded: &'a Loaded, from: Option<Engine>) -> Self {
        let survey = Survey::of(&loaded.document, &loaded.sources);
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        let mut lines = BTreeSet::new();
        let mut nowhere = 0;
        for diagnostic in loaded.diagnostics.iter() {
            match diagnostic.severity {
                Severity::Error => {
                    match diagnostic.span {
                        Some(span) => drop(lines.insert((span.file, loaded.sources.position(span).line))),
                        None => nowhere += 1,
                    }
                    gather(&mut errors, diagnostic);
                }
                // What rows of the registries say of a name is told at the name.
                Severity::Warning if !TOLD_AT_NAMES.contains(&diagnostic.code) => {
                    gather(&mut warnings, diagnostic);
                }
                Severity::Warning | Severity::Note => {}
            }
        }
        // More than can be described are counted all the same.
        let described: usize = errors.iter().map(|e| e.places.len().max(1)).sum();
        let refused_lines = lines.len() + nowhere + loaded.diagnostics.errors().saturating_sub(described);
        Self { loaded, survey, from, errors, warnings, refused_lines }
    }

    /// Whether the rules can be run.
    pub(super) fn verdict(&self) -> Verdict {
        let differ = self.survey.uses.iter().filter(|u| self.is_different(u)).count();
        let defaults = self.absent().count();
        match (self.refused_lines, differ + defaults + self.warnings.len()) {
            (0, 0) => Verdict::AsIs,
            (0, n) => Verdict::Differences(n),
            (n, _) => Verdict::Refused(n),
        }
    }

    /// For a person.
    pub(super) fn describe(&self) -> String {
        let mut out = String::new();
        for kind in Kind::ALL {
            self.describe_kind(kind, &mut out);
        }
        self.describe_defaults(&mut out);
        self.describe_bounded(&mut out);
        describe_complaints("Warnings", &self.warnings, &self.loaded.sources, &mut out);
        describe_complaints("Refused", &self.errors, &self.loaded.sources, &mut out);
        let _ = writeln!(out, "VERDICT  {}", self.sentence());
        out
    }

    /// For a program.
    pub(super) fn to_json(&self) -> Value {
        let sources = &self.loaded.sources;
        let differences = |all: &'static [Difference]| -> Vec<Value> {
            let told = concerning(all, self.from);
            told.map(|d| json!({"from": d.from.iter().map(|e| e.key()).collect::<Vec<_>>(), "how": d.how}))
                .collect()
        };
        let names = self.survey.uses.iter().map(|u| {
            let differs = differences(u.differs);
            let mut object = json!({
                "kind": u.kind.name(), "name": u.name, "count": u.count,
                "file": sources.file(u.first.file).name(), "line": sources.position(u.first).line,
                "finding": match u.finding {
                    Finding::Supported if differs.is_empty() => "supported",
                    Finding::Supported => "differs",
                    Finding::NoEffect(_) => "no-effect",
                    Finding::Refused(_) => "refused",
                    Finding::Unknown(_) => "unknown",
                },
                "differs": differs,
            });
            match u.finding {
                Finding::Supported => {}
                Finding::NoEffect(why) => object["why"] = json!(why),
                Finding::Refused(refusal) => {
                    object["why"] = json!(refusal.why);
                    object["instead"] = json!(refusal.instead);
                }
                Finding::Unknown(near) => object["nearest"] = json!(near),
            }
            object
        });
        let names: Vec<Value> = names.collect();
        let defaults: Vec<Value> = self
            .absent()
            .map(|(name, all)| json!({"directive": name, "differs": differences(all)}))
            .collect();
        let (verdict, count) = match self.verdict() {
            Verdict::AsIs => ("as-is", 0),
            Verdict::Differences(n) => ("differences", n),
            Verdict::Refused(n) => ("refused", n),
        };
        json!({
            "verdict": verdict, "count": count, "sentence": self.sentence(),
            "from": self.from.map(Engine::key),
            "names": names, "defaults": defaults, "bounded_rules": self.bounded(),
        })
    }

    fn is_different(&self, used: &Use) -> bool {
        matches!(used.finding, Finding::NoEffect(_)) || concerning(used.differs, self.from).next().is_some()
    }

    fn absent(&self) -> impl Iterator<Item = (&'static str, &'static [Difference])> + '_ {
        let all = self.survey.absent.iter().copied();
        all.filter(|(_, differs)| concerning(differs, self.from).next().is_some())
    }

    /// Ids of rules whose patterns may backtrack.
    fn bounded(&self) -> BTreeSet<u64> {
        self.loaded.posture.backtracking.iter().copied().collect()
    }

    fn describe_kind(&self, kind: Kind, out: &mut String) {
        let uses: Vec<&Use> = self.survey.uses.iter().filter(|u| u.kind == kind).collect();
        if uses.is_empty() {
            return;
        }
        let _ = writeln!(out, "{}s", kind.name());
        let width = uses.iter().map(|u| kind.prefix().len() + u.name.len()).max().unwrap_or(0).min(MOST_NAME);
        for used in uses {
            let name = format!("{}{}", kind.prefix(), shown(&used.name));
            let mark = match used.finding {
                Finding::Supported if self.is_different(used) => "  differs",
                Finding::Supported => "",
                Finding::NoEffect(_) => "  no effect",
                Finding::Refused(_) => "  REFUSED",
                Finding::Unknown(_) => "  UNKNOWN",
            };
            let place = place(used.first, &self.loaded.sources);
            let _ = writeln!(out, "{:>7}  {name:width$}  {place}{mark}", used.count);
            match used.finding {
                Finding::Supported => {}
                Finding::NoEffect(why) => note(why, out),
                Finding::Refused(refusal) => {
                    note(&plain(&format!("{}; instead: {}", refusal.why, refusal.instead)), out);
                }
                Finding::Unknown(Some(near)) => note(&format!("did you mean {}{near}?", kind.prefix()), out),
                Finding::Unknown(None) => {}
            }
            self.notes(used.differs, out);
        }
        out.push('\n');
    }

    fn notes(&self, differs: &'static [Difference], out: &mut String) {
        for difference in concerning(differs, self.from) {
            let engines = self.from.map_or_else(|| difference.engines(), |engine| engine.name().to_owned());
            note(&format!("{engines}: {}", plain(difference.how)), out);
        }
    }

    fn describe_defaults(&self, out: &mut String) {
        let mut absent = self.absent().peekable();
        if absent.peek().is_none() {
            return;
        }
        out.push_str("Not set, with another default here\n");
        for (name, differs) in absent {
            let _ = writeln!(out, "{:9}{name}", "");
            self.notes(differs, out);
        }
        out.push('\n');
    }

    fn describe_bounded(&self, out: &mut String) {
        let rules = self.bounded();
        if rules.is_empty() {
            return;
        }
        let ids: Vec<String> = rules.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "Patterns that may backtrack, up to a bound: {}", counted(rules.len(), "rule"));
        note(&ids.join(", "), out);
        out.push('\n');
    }

    fn sentence(&self) -> String {
        let from = self.from.map_or("ModSecurity or Coraza", Engine::name);
        let refused =
            self.survey.uses.iter().any(|u| matches!(u.finding, Finding::Refused(_) | Finding::Unknown(_)));
        let differ = self.survey.uses.iter().filter(|u| self.is_different(u)).count() + self.absent().count();
        match self.verdict() {
            Verdict::AsIs => format!("Runs as is: all that these rules use means the same as in {from}."),
            Verdict::Differences(_) => {
                let without =
                    self.survey.uses.iter().filter(|u| matches!(u.finding, Finding::NoEffect(_))).count();
                let mut parts = Vec::new();
                if differ > without {
                    parts.push(format!(
                        "{} mean something else than in {from}",
                        counted(differ - without, "name")
                    ));
                }
                if without > 0 {
                    parts.push(format!("{} no effect", has(without)));
                }
                if !self.warnings.is_empty() {
                    parts.push(counted(self.warnings.len(), "warning"));
                }
                format!(
                    "Runs, with differences: {}. Read them above, run with --mode DetectionOnly and compare the logs, \
                     then block.",
                    parts.join(", ")
                )
            }
            Verdict::Refused(n) => {
                let what = if refused {
                    ", and the names marked REFUSED or UNKNOWN say what to write instead"
                } else {
                    ""
                };
                format!(
                    "Does not run: {} refused, listed above{what}. Rules are loaded all or none.",
                    if n == 1 { "1 line is".to_owned() } else { format!("{n} lines are") }
                )
            }
        }
    }
}

fn gather<'a>(into: &mut Vec<Complaint<'a>>, diagnostic: &'a Diagnostic) {
    let alike = |c: &&mut Complaint<'a>| {
        let known = c.diagnostic;
        known.code == diagnostic.code && known.message == diagnostic.message && known.help == diagnostic.help
    };
    match into.iter_mut().rev().take(ALIKE_WITHIN).find(alike) {
        Some(complaint) => complaint.places.extend(diagnostic.span),
        None => into.push(Complaint { diagnostic, places: diagnostic.span.into_iter().collect() }),
    }
}

fn describe_complaints(title: &str, all: &[Complaint<'_>], sources: &SourceMap, out: &mut String) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for Complaint { diagnostic, places } in all {
        let mut shown: Vec<String> = places.iter().take(PLACES).map(|s| place(*s, sources)).collect();
        if places.len() > PLACES {
            shown.push(format!("and {} other places", places.len() - PLACES));
        }
        let at = if shown.is_empty() { String::new() } else { format!("{}: ", shown.join(", ")) };
        let _ = writeln!(out, "         {at}{}", diagnostic.message);
        if let Some(help) = &diagnostic.help {
            note(help, out);
        }
    }
    out.push('\n');
}

/// A line that belongs to the one before.
fn note(text: &str, out: &mut String) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH - INDENT && !line.is_empty() {
            let _ = writeln!(out, "{:INDENT$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{:INDENT$}{line}", "");
}

fn place(span: Span, sources: &SourceMap) -> String {
    format!("{}:{}", sources.file(span.file).name(), sources.position(span).line)
}

/// A name as it may stand in a column: a word of the text, which may be anything.
fn shown(name: &str) -> String {
    crate::syntax::diagnostic::shorten(name)
}

/// Markdown without its marks of code.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn has(number: usize) -> String {
    if number == 1 { "1 has".to_owned() } else { format!("{number} have") }
}

/// Codes of warnings that say of a name what its row says.
const TOLD_AT_NAMES: &[&str] = &["no-effect", "ignored-action", "ignored-ctl", "proxy-is-deny"];
/// Places of one complaint that are told.
const PLACES: usize = 5;
/// Complaints in the same words are looked for among so many: comparing each with all would take quadratic time.
const ALIKE_WITHIN: usize = 200;
const MOST_NAME: usize = 34;
const INDENT: usize = 13;
const WIDTH: usize = 110;
