//! Macros: `%{VARIABLE}`, `%{VARIABLE.member}`.

use super::intern::Intern;
use crate::ruleset::{Piece, Selector, Target, Template};
use crate::variable::{self, Variable};

/// Splits `text` at its macros. Names that are no variables are left as text and told in `unknown`, as ranges of
/// `text`.
pub(super) fn parse(text: &str, intern: &mut Intern, unknown: &mut Vec<std::ops::Range<usize>>) -> Template {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("%{") {
        let start = at + found;
        let Some(end) = text[start..].find('}').map(|e| start + e) else { break };
        plain.push_str(&text[at..start]);
        match target(&text[start + 2..end], intern) {
            Some(piece) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into_bytes().into()));
                }
                pieces.push(piece);
                at = end + 1;
            }
            None => {
                unknown.push(start..end + 1);
                plain.push_str("%{");
                at = start + 2;
            }
        }
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into_bytes().into()));
    }
    Template::new(pieces)
}

/// Whether `text` has a macro that names a variable.
pub(super) fn has_macro(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find("%{") {
        rest = &rest[start + 2..];
        let name = rest.split(['}', '.', ':']).next().unwrap_or_default();
        if rest.contains('}') && variable::find(name).is_some() {
            return true;
        }
    }
    false
}

fn target(inside: &str, intern: &mut Intern) -> Option<Piece> {
    let (name, member) = match inside.find(['.', ':']) {
        Some(at) => (&inside[..at], Some(&inside[at + 1..])),
        None => (inside, None),
    };
    let variable = variable::find(name)?;
    let selector = match (variable, member) {
        (_, None) => Selector::All,
        (Variable::Tx, Some(member)) => return intern.slots.intern(member).map(Piece::Slot),
        (_, Some(member)) => Selector::Key(member.as_bytes().into()),
    };
    let written = inside.replacen('.', ":", 1).into();
    Some(Piece::Target(Box::new(Target { variable, count: false, selector, id: None, written })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_split_and_unknown_names_stay_text() {
        let mut intern = Intern::default();
        let mut unknown = Vec::new();
        let template = parse("a %{tx.x}b%{MATCHED_VAR_NAME}%{nope} %{", &mut intern, &mut unknown);
        assert_eq!((unknown.len(), &unknown[0]), (1, &(29..36)));
        let shapes: Vec<_> = template
            .pieces
            .iter()
            .map(|p| match p {
                Piece::Text(t) => String::from_utf8_lossy(t).into_owned(),
                Piece::Slot(s) => format!("slot {}", intern.slots.name(*s)),
                Piece::Target(t) => format!("target {}", t.written),
            })
            .collect();
        assert_eq!(shapes, ["a ", "slot x", "b", "target MATCHED_VAR_NAME", "%{nope} %{"]);
        assert!(has_macro("x%{REMOTE_ADDR}") && !has_macro("%{1,2}") && !has_macro("%{REMOTE_ADDR"));
    }
}
