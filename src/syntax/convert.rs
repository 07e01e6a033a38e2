//! Rule files from one syntax into the other, comments kept.
//!
//! Nothing that is converted changes its meaning: each rule that was written in YAML is read again and compared with
//! the one that it came from. What native YAML cannot say stays SecLang, in a block of its own.

use super::ast::{Document, Rule, Statement};
use super::diagnostic::Diagnostics;
use super::load::parse_kept;
use super::normal::alike;
use super::print::print_statement;
use super::seclang::Loader;
use super::yaml;
use crate::source::{SourceMap, Span};
use std::fmt::Write;

/// A converted file.
#[derive(Debug)]
pub struct Converted {
    /// The text in the other syntax.
    pub text: String,
    /// Rules, markers and directives that were converted; a chain counts as one.
    pub converted: usize,
    /// How many of those stay SecLang within YAML.
    pub kept: usize,
}

/// Why a file cannot be converted: it has faults.
#[derive(Debug)]
pub struct Faulty {
    /// What is wrong.
    pub diagnostics: Diagnostics,
    /// Where.
    pub sources: SourceMap,
}

/// The SecLang `text` of the file `name` in YAML. Files that it includes are not looked at.
///
/// # Errors
///
/// When `text` has a fault.
pub fn to_yaml(name: &str, text: &str, loader: &dyn Loader) -> Result<Converted, Faulty> {
    let (document, sources) = read(name, text, loader)?;
    let defaults = document.statements.iter().any(|statement| match statement {
        Statement::DefaultAction(it) => it.actions.iter().any(|action| action.name.eq_ignore_ascii_case("t")),
        _ => false,
    });
    let mut out = Converted { text: String::new(), converted: 0, kept: 0 };
    let mut at = 0;
    let mut body = String::new();
    for group in groups(&document.statements) {
        let Some(span) = whole(group) else { continue };
        let range = span.range();
        let gap = text.get(at..range.start).unwrap_or("");
        // What stands before the first rule is about the file.
        match out.converted {
            0 => out.text.push_str(&comments(gap, "")),
            _ => body.push_str(&comments(gap, "  ")),
        }
        at = range.end;
        out.converted += 1;
        let written = if defaults { None } else { yaml::write(group) };
        match written.filter(|item| reads_as(item, group)) {
            Some(item) => body.push_str(&indented(&item)),
            None => {
                out.kept += 1;
                let mut block = String::from("- seclang: |\n");
                let written = match group {
                    // Its span is that of what it includes.
                    [Statement::Directive(it)] if it.name.node.starts_with("Include") => {
                        group.first().map(print_statement).unwrap_or_default()
                    }
                    _ => text.get(range).unwrap_or("").to_owned(),
                };
                for line in written.lines() {
                    let _ = writeln!(block, "    {line}");
                }
                body.push_str(&indented(&block));
            }
        }
    }
    let rest = comments(text.get(at..).unwrap_or(""), if out.converted == 0 { "" } else { "  " });
    out.text.push_str(if body.is_empty() { "rules: []\n" } else { "rules:\n" });
    out.text.push_str(&body);
    out.text.push_str(&rest);
    debug_assert_eq!(sources.files().len(), 1, "nothing is included");
    Ok(out)
}

/// The YAML `text` of the file `name` in SecLang. Its tests have no place there; descriptions become comments.
///
/// # Errors
///
/// When `text` has a fault.
pub fn to_seclang(name: &str, text: &str, loader: &dyn Loader) -> Result<Converted, Faulty> {
    let (document, sources) = read(name, text, loader)?;
    let mut out = Converted { text: String::new(), converted: 0, kept: 0 };
    let mut at = 0;
    for group in groups(&document.statements) {
        let Some(first) = group.first() else { continue };
        let start = sources.line_start(first.span());
        // Statements need not stand in the order of the text: exclusions do not.
        if let Some(gap) = text.get(at..start) {
            out.text.push_str(&comments(gap, ""));
            at = start;
        }
        for note in document.notes.iter().filter(|note| id_of(first) == Some(note.rule)) {
            for text in [&note.description, &note.tuning].into_iter().flatten() {
                for line in text.lines() {
                    let _ = writeln!(out.text, "# {}", line.trim());
                }
            }
        }
        for statement in group {
            out.text.push_str(&print_statement(statement));
        }
        out.converted += 1;
    }
    if let Some(rest) = text.get(at..) {
        out.text.push_str(&comments(rest, ""));
    }
    Ok(out)
}

fn read(name: &str, text: &str, loader: &dyn Loader) -> Result<(Document, SourceMap), Faulty> {
    let (mut sources, mut diagnostics, mut document) =
        (SourceMap::new(), Diagnostics::new(), Document::default());
    parse_kept(name, text, loader, &mut sources, &mut diagnostics, &mut document);
    if diagnostics.has_errors() { Err(Faulty { diagnostics, sources }) } else { Ok((document, sources)) }
}

/// Whether the YAML `item` reads as `group` does, without a word about it.
fn reads_as(item: &str, group: &[Statement]) -> bool {
    let text = format!("rules:\n{}", indented(item));
    let (mut sources, mut diagnostics, mut document) =
        (SourceMap::new(), Diagnostics::new(), Document::default());
    parse_kept(
        "item.yaml",
        &text,
        &super::seclang::FileLoader,
        &mut sources,
        &mut diagnostics,
        &mut document,
    );
    diagnostics.is_empty() && alike(&document.statements, group)
}

/// Statements that belong together: a chain is one group.
fn groups(statements: &[Statement]) -> impl Iterator<Item = &[Statement]> {
    statements.chunk_by(|statement, _| match statement {
        Statement::Rule(Rule { actions, .. }) => actions.iter().any(|a| a.name.eq_ignore_ascii_case("chain")),
        Statement::Action(it) => it.actions.iter().any(|a| a.name.eq_ignore_ascii_case("chain")),
        _ => false,
    })
}

fn whole(group: &[Statement]) -> Option<Span> {
    Some(group.first()?.span().to(group.last()?.span()))
}

fn id_of(statement: &Statement) -> Option<u64> {
    let Statement::Rule(rule) = statement else { return None };
    let id = rule.actions.iter().find(|action| action.name.node == "id")?;
    id.value.as_ref()?.parse().ok()
}

/// The comments and empty lines of what stands between two statements.
fn comments(gap: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut lines = gap.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with('#') {
            let _ = writeln!(out, "{indent}{line}");
        } else if line.is_empty() && lines.peek().is_some() && !out.ends_with("\n\n") && !out.is_empty() {
            out.push('\n');
        }
    }
    out
}

fn indented(item: &str) -> String {
    item.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
