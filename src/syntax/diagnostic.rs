//! Complaints about rule text and configuration: what is wrong, where, and what to write instead.

use std::collections::HashMap;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::limits;
use crate::source::{SourceMap, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Told for information.
    Note,
    /// Accepted, but probably not what the author meant, or without effect here.
    Warning,
    /// The text cannot be used.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for scripts, in kebab-case, e.g. `unknown-variable`.
    pub code: &'static str,
    /// One sentence, no full stop.
    pub message: String,
    /// Where; absent only for complaints about no text in particular.
    pub span: Option<Span>,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places which explain it ("first defined here").
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A complaint of `severity` at `span`.
    pub fn new(severity: Severity, code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), span: Some(span), help: None, related: Vec::new() }
    }

    /// An error at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message)
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message)
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }
}

/// All complaints of one load, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Beyond [`limits::DIAGNOSTICS_IN_ALL`] it is only counted, if it is an error.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        if self.all.len() < limits::DIAGNOSTICS_IN_ALL {
            self.all.push(diagnostic);
        }
    }

    /// Puts them in the order of the text: stages find them in their own order, people read from the top.
    pub fn sort(&mut self) {
        self.all.sort_by_key(|d| d.span);
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// `diagnostics` for a person: for each `file:line:column`, the source line, a mark under the fault, and advice;
/// at the end, how many there are. `color` writes ANSI escapes.
///
/// What was said already in the same words is said once, with the other places in a list.
pub fn render(diagnostics: &Diagnostics, sources: &SourceMap, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut alike: Vec<(&Diagnostic, Vec<Span>)> = Vec::new();
    let mut known: HashMap<(Severity, &str, &str), usize> = HashMap::new();
    for one in diagnostics.iter() {
        let at = *known.entry((one.severity, one.code, one.message.as_str())).or_insert(alike.len());
        match alike.get_mut(at) {
            Some((_, others)) => others.extend(one.span),
            None => alike.push((one, Vec::new())),
        }
    }
    let mut out = String::new();
    for (one, others) in alike {
        out.push_str(&renderer.render(&[group(one, &others, sources)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(diagnostics));
    out
}

/// `diagnostics` for a program: an array of objects with `severity`, `code`, `message`, and where there are such
/// `file`, `line`, `column`, `end_line`, `end_column` (from 1, the end exclusive), `help` and `related`.
pub fn to_json(diagnostics: &Diagnostics, sources: &SourceMap) -> serde_json::Value {
    let place = |span: Span| {
        let start = sources.position(span);
        let end = sources.position(Span { start: span.end, ..span });
        serde_json::json!({
            "file": sources.file(span.file).name(),
            "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
        })
    };
    let object = |one: &Diagnostic| {
        let mut object = one.span.map_or_else(|| serde_json::json!({}), place);
        object["severity"] = one.severity.name().into();
        object["code"] = one.code.into();
        object["message"] = one.message.as_str().into();
        if let Some(help) = &one.help {
            object["help"] = help.as_str().into();
        }
        if !one.related.is_empty() {
            let related = one.related.iter().map(|(span, label)| {
                let mut object = place(*span);
                object["message"] = label.as_str().into();
                object
            });
            object["related"] = related.collect();
        }
        object
    };
    diagnostics.iter().map(object).collect()
}

/// `3 errors, 1 warning`.
pub fn summary(diagnostics: &Diagnostics) -> String {
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let number = match severity {
            Severity::Error => diagnostics.errors(),
            _ => diagnostics.iter().filter(|d| d.severity == severity).count(),
        };
        let plural = if number == 1 { "" } else { "s" };
        (number, format!("{number} {}{plural}", severity.name()))
    });
    let told: Vec<_> = counts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    if told.is_empty() { "no faults\n".to_owned() } else { format!("{}\n", told.join(", ")) }
}

fn group<'a>(one: &'a Diagnostic, others: &[Span], sources: &'a SourceMap) -> Group<'a> {
    let level = match one.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(one.message.as_str()).id(one.code));
    if let Some(span) = one.span {
        let (mut snippet, line) = snippet(span, None, sources);
        // Places on the same line go into the same picture.
        for (place, label) in &one.related {
            if place.file == span.file && sources.position(*place).line == line {
                snippet = snippet.annotation(mark(*place, AnnotationKind::Context, sources).label(label));
            }
        }
        group = group.element(snippet);
        for (place, label) in &one.related {
            if place.file != span.file || sources.position(*place).line != line {
                group = group.element(self::snippet(*place, Some(label), sources).0);
            }
        }
    }
    if let Some(help) = &one.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if !others.is_empty() {
        let mut text = "the same at ".to_owned();
        for (i, span) in others.iter().take(PLACES).enumerate() {
            text.push_str(if i == 0 { "" } else { ", " });
            text.push_str(&sources.locate(*span).to_string());
        }
        if others.len() > PLACES {
            text.push_str(&format!(" and {} other places", others.len() - PLACES));
        }
        group = group.element(Level::NOTE.message(text));
    }
    group
}

/// The line where `span` begins, and its number.
fn snippet<'a>(
    span: Span,
    label: Option<&'a str>,
    sources: &'a SourceMap,
) -> (Snippet<'a, annotate_snippets::Annotation<'a>>, usize) {
    let file = sources.file(span.file);
    let line = sources.position(span).line;
    let snippet = Snippet::source(file.line(line)).path(file.name()).line_start(line);
    (snippet.annotation(mark(span, AnnotationKind::Primary, sources).label(label)), line)
}

/// A mark under the part of `span` that lies on its first line.
fn mark<'a>(span: Span, kind: AnnotationKind, sources: &SourceMap) -> annotate_snippets::Annotation<'a> {
    let file = sources.file(span.file);
    let text = file.line(sources.position(span).line);
    let begin = sources.line_start(span);
    let inside = |at: usize| {
        let mut at = at.saturating_sub(begin).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let range = span.range();
    kind.span(inside(range.start)..inside(range.end))
}

/// How many further places of the same complaint are told.
const PLACES: usize = 4;

/// The known name nearest to `wrong`, when one is near enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time by the product of both lengths, and no name is that long.
    if wrong.len() > 64 {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&wrong, &k.to_ascii_lowercase()), k))
        .filter(|(d, k)| *d <= 1 + k.len().min(wrong.len()) / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// `text` as a message may quote it: at most 60 characters, controls made visible.
pub fn shorten(text: &str) -> String {
    let mut characters = text.chars();
    let mut out: String = characters.by_ref().take(60).flat_map(visible).collect();
    if characters.next().is_some() {
        out.push('…');
    }
    out
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}
