//! The three little languages inside `SecRule`: target lists, operators and action lists. Names stand in the
//! tree as they were written.

use std::ops::Range;

use super::lexer::{closing, is_blank};
use super::mapped::Mapped;
use crate::limits;
use crate::source::{SourceMap, Spanned};
use crate::syntax::ast::{Action, Operator, Selector, Target};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, shorten};

/// Reads a target list that stands by itself: an argument of `SecRuleUpdateTargetById`, the value of
/// `ctl:ruleRemoveTargetById`, an entry of a YAML rule. Faults go to `diagnostics`; what is sound is returned.
pub fn parse_targets(
    text: &Spanned<String>,
    sources: &SourceMap,
    diagnostics: &mut Diagnostics,
) -> Vec<Target> {
    targets(&Mapped::of(text, sources), diagnostics)
}

/// Reads an operator that stands by itself.
pub fn parse_operator(text: &Spanned<String>, sources: &SourceMap) -> Operator {
    operator(&Mapped::of(text, sources))
}

/// Reads an action list that stands by itself: an argument of `SecRuleUpdateActionById`, an entry of a YAML
/// rule. Faults go to `diagnostics`; what is sound is returned.
pub fn parse_actions(
    text: &Spanned<String>,
    sources: &SourceMap,
    diagnostics: &mut Diagnostics,
) -> Vec<Action> {
    actions(&Mapped::of(text, sources), diagnostics)
}

/// `[!][&]NAME[:selector]`, separated by `|` or `,`.
pub(crate) fn targets(text: &Mapped, diagnostics: &mut Diagnostics) -> Vec<Target> {
    let mut found = Vec::new();
    let mut at = 0;
    let before = diagnostics.len();
    if text.trim(0..text.len()).is_empty() {
        diagnostics.push(
            Diagnostic::error("no-target", text.full_span(), "there is no variable to look at")
                .help("name at least one, for example ARGS|REQUEST_HEADERS"),
        );
        return found;
    }
    loop {
        match target(text, &mut at) {
            Ok(one) => found.push(one),
            Err(fault) => {
                diagnostics.push(fault);
                while text.byte(at).is_some_and(|b| !is_separator(b)) {
                    at += 1;
                }
            }
        }
        at = skip_blanks(text, at);
        match text.byte(at) {
            None => return found,
            _ if diagnostics.len() - before > limits::DIAGNOSTICS => return found,
            Some(b) if is_separator(b) => at += 1,
            // White space alone separates too, as in ModSecurity v2.
            Some(_) => {}
        }
    }
}

/// `[!]@name argument`, or a regular expression without a name.
pub(crate) fn operator(text: &Mapped) -> Operator {
    let mut at = skip_blanks(text, 0);
    let start = at;
    let negated = text.byte(at) == Some(b'!');
    if negated {
        at = skip_blanks(text, at + 1);
    }
    let implicit = text.byte(at) != Some(b'@');
    let name = if implicit {
        Spanned::new("rx".to_owned(), text.span(at..text.len()))
    } else {
        let from = at + 1;
        at = from;
        while text.byte(at).is_some_and(|b| !is_blank(b)) {
            at += 1;
        }
        let name = text.spanned(from..at);
        at = skip_blanks(text, at);
        name
    };
    let argument = text.spanned(at..text.len());
    Operator { negated, name, implicit, argument, span: text.span(start..text.len()) }
}

/// `name[:value]`, separated by commas.
pub(crate) fn actions(text: &Mapped, diagnostics: &mut Diagnostics) -> Vec<Action> {
    let mut found = Vec::new();
    let mut at = 0;
    let before = diagnostics.len();
    loop {
        at = skip_blanks(text, at);
        if at >= text.len() || diagnostics.len() - before > limits::DIAGNOSTICS {
            return found;
        }
        if text.byte(at) == Some(b',') {
            diagnostics.push(
                Diagnostic::warning(
                    "empty-action",
                    text.span(at..at + 1),
                    "there is no action before this comma",
                )
                .help("remove the comma"),
            );
            at += 1;
            continue;
        }
        match action(text, &mut at, diagnostics) {
            Ok(one) => found.push(one),
            Err(fault) => {
                diagnostics.push(fault);
                while text.byte(at).is_some_and(|b| b != b',') {
                    at += 1;
                }
            }
        }
        // `action` stops at a comma or at the end.
        at += 1;
    }
}

fn target(text: &Mapped, at: &mut usize) -> Result<Target, Diagnostic> {
    *at = skip_blanks(text, *at);
    let start = *at;
    let mut flag = |byte| {
        let present = text.byte(*at) == Some(byte);
        if present {
            *at = skip_blanks(text, *at + 1);
        }
        present
    };
    let excluded = flag(b'!');
    let count = flag(b'&');
    let name = name_from(text, *at, |b| b == b'.');
    *at = name.end;
    if name.is_empty() {
        let stop = (start + 1..=text.len())
            .find(|&i| text.as_str().is_char_boundary(i) && text.byte(i).is_none_or(is_separator))
            .unwrap_or(text.len());
        let found = text.get(start..stop);
        let fault = if found.is_empty() || found.starts_with(['|', ',']) {
            Diagnostic::error("empty-target", text.span(start..start), "a variable's name is missing here")
                .help("remove the separator, or name a variable")
        } else {
            Diagnostic::error(
                "bad-target",
                text.span(start..stop),
                format!("`{}` is not a variable", shorten(found)),
            )
            .help("a target is written [!|&]NAME[:selector], for example !ARGS:comment")
        };
        return Err(fault);
    }
    let mut selector = None;
    if text.byte(*at) == Some(b':') {
        *at += 1;
        selector = Some(selector_at(text, at, text.get(name.clone()))?);
    }
    match text.byte(*at) {
        None => {}
        Some(b) if is_separator(b) || is_blank(b) => {}
        Some(_) => {
            let stop = next_char(text, *at);
            return Err(Diagnostic::error(
                "bad-target",
                text.span(*at..stop),
                format!("`{}` cannot stand in a variable's name", text.get(*at..stop)),
            )
            .help("separate variables with |; a member of a collection follows a colon, as in ARGS:name"));
        }
    }
    Ok(Target { excluded, count, name: text.spanned(name), selector, span: text.span(start..*at) })
}

/// What follows the colon. `/…/` is a regular expression when the second slash ends the target, so that a path
/// and an XPath expression stay what they are; pipes and commas inside it need no quotes (as in Coraza).
fn selector_at(text: &Mapped, at: &mut usize, variable: &str) -> Result<Spanned<Selector>, Diagnostic> {
    let start = *at;
    let is_path = variable.eq_ignore_ascii_case("XML");
    match text.byte(start) {
        Some(b'\'') => {
            let Some(end) = closing(text, start + 1, b'\'') else {
                *at = text.len();
                return Err(Diagnostic::error(
                    "missing-quote",
                    text.span(start..start + 1),
                    "this quote is never closed",
                )
                .help("close it after the selector, as in ARGS:'/a|b/'"));
            };
            *at = end + 1;
            let inner = text.unescaped(start + 1..end, b'\'');
            let selector = match inner.as_str().strip_prefix('/').and_then(|s| s.strip_suffix('/')) {
                Some(regex) if !is_path => Selector::Regex(unescape_slashes(regex)),
                _ => Selector::Key(inner.as_str().to_owned()),
            };
            Ok(Spanned::new(selector, text.span(start..*at)))
        }
        Some(b'/') if !is_path && regex_end(text, start + 1).is_some() => {
            let end = regex_end(text, start + 1).unwrap_or(text.len());
            *at = end + 1;
            let regex = unescape_slashes(text.get(start + 1..end));
            Ok(Spanned::new(Selector::Regex(regex), text.span(start..*at)))
        }
        _ => {
            // An XPath expression may hold what would otherwise separate, within its brackets.
            let mut depth = 0usize;
            while let Some(byte) = text.byte(*at) {
                match byte {
                    b'[' | b'(' if is_path => depth += 1,
                    b']' | b')' if is_path => depth = depth.saturating_sub(1),
                    _ if depth == 0 && (is_separator(byte) || is_blank(byte)) => break,
                    _ => {}
                }
                *at += 1;
            }
            if *at == start {
                return Err(Diagnostic::error(
                    "empty-selector",
                    text.span(start - 1..start),
                    "nothing follows the colon",
                )
                .help("remove the colon to mean the whole collection, or name a member of it"));
            }
            Ok(Spanned::new(Selector::Key(text.get(start..*at).to_owned()), text.span(start..*at)))
        }
    }
}

/// The slash that ends a regular expression begun before `at`: the first which no backslash escapes, if the
/// target ends with it.
fn regex_end(text: &Mapped, at: usize) -> Option<usize> {
    let end = closing(text, at, b'/')?;
    text.byte(end + 1).is_none_or(|b| is_separator(b) || is_blank(b)).then_some(end)
}

fn unescape_slashes(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut rest = regex;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let mut pair = after.chars();
        pair.next();
        match pair.next() {
            Some('/') => out.push('/'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
        rest = pair.as_str();
    }
    out.push_str(rest);
    out
}

fn action(text: &Mapped, at: &mut usize, diagnostics: &mut Diagnostics) -> Result<Action, Diagnostic> {
    let start = *at;
    let name = name_from(text, start, |_| false);
    if name.is_empty() {
        let stop = end_of_action(text, start);
        return Err(Diagnostic::error(
            "bad-action",
            text.span(text.trim(start..stop)),
            format!("`{}` is not an action", shorten(text.get(start..stop).trim())),
        )
        .help(
            "an action is written name or name:value; put single quotes round a value with a comma in it",
        ));
    }
    *at = skip_blanks(text, name.end);
    let mut value = None;
    let mut end = name.end;
    match text.byte(*at) {
        None | Some(b',') => {}
        Some(b':') => {
            *at += 1;
            let from = skip_blanks(text, *at);
            let (one, stop) = action_value(text, from, at, diagnostics)?;
            end = stop;
            value = Some(one);
        }
        Some(_) => {
            let stop = text.trim(*at..end_of_action(text, *at));
            return Err(Diagnostic::error(
                "missing-comma",
                text.span(stop),
                format!("a comma or a colon is missing after `{}`", shorten(text.get(name))),
            )
            .help("actions are separated by commas; put single quotes round a value with a comma in it"));
        }
    }
    Ok(Action { name: text.spanned(name), value, span: text.span(start..end) })
}

/// The value that begins at `from`; leaves `at` at the comma or at the end and returns where the action ends.
///
/// A quote that is never closed is forgiven where it cannot have swallowed another action: files that Coraza is
/// shipped with have one.
fn action_value(
    text: &Mapped,
    from: usize,
    at: &mut usize,
    diagnostics: &mut Diagnostics,
) -> Result<(Spanned<String>, usize), Diagnostic> {
    if text.byte(from) != Some(b'\'') {
        *at = end_of_action(text, from);
        let value = text.trim(from..*at);
        let end = value.end;
        return Ok((text.spanned(value), end));
    }
    let Some(close) = closing(text, from + 1, b'\'') else {
        *at = text.len();
        let (quote, value) = (text.span(from..from + 1), text.trim(from + 1..text.len()));
        let help = "close it; inside the value a single quote is written \\'";
        if value.is_empty() || text.get(value.clone()).contains(',') {
            return Err(Diagnostic::error("missing-quote", quote, "this quote is never closed").help(help));
        }
        let message = "this quote is never closed; the value ends with the list of actions";
        diagnostics.push(Diagnostic::warning("missing-quote", quote, message).help(help));
        let (span, end) = (text.span(value.clone()), value.end);
        let value = text.unescaped(value, b'\'');
        return Ok((Spanned::new(value.as_str().to_owned(), span), end));
    };
    *at = skip_blanks(text, close + 1);
    if text.byte(*at).is_some_and(|b| b != b',') {
        let rest = text.trim(*at..end_of_action(text, *at));
        return Err(Diagnostic::error(
            "text-after-quote",
            text.span(rest),
            "a comma must follow a quoted value",
        )
        .related(text.span(close..close + 1), "the value ends here")
        .help("a single quote inside a quoted value is written \\'"));
    }
    let value = text.unescaped(from + 1..close, b'\'');
    let span = text.span(from + 1..close);
    Ok((Spanned::new(value.as_str().to_owned(), span), close + 1))
}

/// The comma that ends an action whose value began without a quote. Commas between quotes further in, as in
/// `ctl:ruleRemoveTargetById=1;ARGS:'/a,b/'` or `setvar:tx.a='b,c'`, do not end it.
fn end_of_action(text: &Mapped, from: usize) -> usize {
    let bytes = text.as_str().as_bytes();
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b',' => return at,
            b'\'' if at > from && matches!(bytes[at - 1], b'=' | b':' | b';') => {
                // Without a closing quote it is a plain character, as are all that follow.
                match closing(text, at + 1, b'\'') {
                    Some(end) => at = end + 1,
                    None => return memchr::memchr(b',', &bytes[at..]).map_or(bytes.len(), |n| at + n),
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn name_from(text: &Mapped, start: usize, also: impl Fn(u8) -> bool) -> Range<usize> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || also(b);
    let length =
        text.as_str().as_bytes()[start.min(text.len())..].iter().take_while(|b| is_name(**b)).count();
    start..start + length
}

fn skip_blanks(text: &Mapped, mut at: usize) -> usize {
    while text.byte(at).is_some_and(is_blank) {
        at += 1;
    }
    at
}

fn next_char(text: &Mapped, at: usize) -> usize {
    (at + 1..text.len()).find(|&i| text.as_str().is_char_boundary(i)).unwrap_or(text.len())
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'|' | b',')
}
