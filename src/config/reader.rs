//! Reads settings out of a tree: knows which keys a section has, and collects every complaint.

use super::document::{Data, Node};
use super::schema::Table;
use crate::source::Span;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest};
use std::fmt::Display;
use std::time::Duration;

/// One mapping of the file and the table of what it may hold.
pub(super) struct Section<'a> {
    table: &'static Table,
    span: Span,
    pairs: &'a [(String, Span, Node)],
}

impl<'a> Section<'a> {
    /// The section at `node`. Unknown keys are complained about; something else than a mapping too, and then
    /// the section reads as empty.
    pub(super) fn new(table: &'static Table, node: &'a Node, out: &mut Diagnostics) -> Self {
        let pairs: &[_] = match &node.data {
            Data::Mapping(pairs) => pairs,
            Data::Null => &[],
            other => {
                let what = format!("`{}` is a mapping of settings, not {}", table.name, other.kind());
                out.push(Diagnostic::error("config-type", node.span, what));
                &[]
            }
        };
        for (key, span, _) in pairs {
            if table.keys.iter().all(|k| k.name != key) {
                let what = format!("`{}` has no setting `{}`", table.name, shorten(key));
                let complaint = Diagnostic::error("config-unknown-key", *span, what);
                let names = table.keys.iter().map(|k| k.name);
                out.push(match nearest(key, names.clone()) {
                    Some(name) => complaint.help(format!("did you mean `{name}`?")),
                    None => complaint.help(format!("it has: {}", names.collect::<Vec<_>>().join(", "))),
                });
            }
        }
        Self { table, span: node.span, pairs }
    }

    /// Where the section stands.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The value of `key`; an explicit nothing counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(
            self.table.keys.iter().any(|k| k.name == key),
            "{key} is in no row of {}",
            self.table.name
        );
        let (_, _, node) = self.pairs.iter().find(|(name, _, _)| name == key)?;
        (!matches!(node.data, Data::Null)).then_some(node)
    }

    /// A scalar that `parse` understands.
    pub(super) fn value<T, E: Display>(
        &self,
        key: &str,
        out: &mut Diagnostics,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let node = self.get(key)?;
        scalar(node, key, out).and_then(|text| complain(parse(text), node.span, key, out))
    }

    /// A text.
    pub(super) fn text(&self, key: &str, out: &mut Diagnostics) -> Option<String> {
        self.value(key, out, |text| Ok::<_, String>(text.to_owned()))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str, out: &mut Diagnostics) -> Option<bool> {
        self.value(key, out, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("expected true or false"),
        })
    }

    /// `on` or `off`.
    pub(super) fn boolean_word(&self, key: &str, out: &mut Diagnostics) -> Option<bool> {
        self.word(key, &[("on", true), ("off", false), ("true", true), ("false", false)], out)
    }

    /// A duration within bounds, which are seconds.
    pub(super) fn duration(&self, key: &str, bounds: (u64, u64), out: &mut Diagnostics) -> Option<Duration> {
        self.value(key, out, |text| {
            let duration = duration(text)?;
            let (low, high) = (Duration::from_secs(bounds.0), Duration::from_secs(bounds.1));
            if duration < low || duration > high || duration.is_zero() {
                return Err(format!("expected between {} s and {} s", bounds.0, bounds.1));
            }
            Ok(duration)
        })
    }

    /// A number of bytes within bounds.
    pub(super) fn size(&self, key: &str, bounds: (u64, u64), out: &mut Diagnostics) -> Option<u64> {
        self.value(key, out, |text| {
            let size = size(text)?;
            if size < bounds.0 || size > bounds.1 {
                return Err(format!("expected between {} and {} bytes", bounds.0, bounds.1));
            }
            Ok(size)
        })
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, key: &str, bounds: (usize, usize), out: &mut Diagnostics) -> Option<usize> {
        self.value(key, out, |text| {
            let number = text.parse::<usize>().ok().filter(|n| (bounds.0..=bounds.1).contains(n));
            number.ok_or_else(|| format!("expected a whole number from {} to {}", bounds.0, bounds.1))
        })
    }

    /// Complains when `key` is absent; says whether it is there.
    pub(super) fn required(&self, key: &str, out: &mut Diagnostics) -> bool {
        let there = self.get(key).is_some();
        if !there {
            let what = format!("`{key}` is missing");
            out.push(Diagnostic::error("config-missing", self.span, what));
        }
        there
    }

    /// One of a few words, compared without case.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
        out: &mut Diagnostics,
    ) -> Option<T> {
        self.value(key, out, |text| word(text, words))
    }

    /// The items of a list; a lone scalar or mapping counts as a list of one.
    pub(super) fn items(&self, key: &str) -> Vec<&'a Node> {
        match self.get(key) {
            None => Vec::new(),
            Some(Node { data: Data::Sequence(items), .. }) => items.iter().collect(),
            Some(node) => vec![node],
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&self, key: &str, out: &mut Diagnostics) -> Vec<String> {
        self.list(key, out, |text| Ok::<_, String>(text.to_owned()))
    }

    /// A list of scalars that `parse` understands.
    pub(super) fn list<T, E: Display>(
        &self,
        key: &str,
        out: &mut Diagnostics,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for node in self.items(key) {
            let read = scalar(node, key, out).and_then(|text| complain(parse(text), node.span, key, out));
            all.extend(read);
        }
        all
    }
}

/// The text of a scalar node.
pub(super) fn scalar<'a>(node: &'a Node, key: &str, out: &mut Diagnostics) -> Option<&'a str> {
    match &node.data {
        Data::Scalar(text) => Some(text),
        other => {
            let what = format!("`{key}` takes a single value, not {}", other.kind());
            out.push(Diagnostic::error("config-type", node.span, what));
            None
        }
    }
}

/// The value of a result, or a complaint about it.
pub(super) fn complain<T, E: Display>(
    result: Result<T, E>,
    span: Span,
    key: &str,
    out: &mut Diagnostics,
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            out.push(Diagnostic::error("config-value", span, format!("`{key}`: {error}")));
            None
        }
    }
}

/// A scalar or a list item as words that mean something; used where one word stands for a whole section.
pub(super) fn lone_word<T: Copy>(
    node: &Node,
    key: &str,
    words: &[(&'static str, T)],
    out: &mut Diagnostics,
) -> Option<T> {
    scalar(node, key, out).and_then(|text| complain(word(text, words), node.span, key, out))
}

/// The meaning of one of a few words, compared without case.
pub(super) fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let all = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        format!("expected one of {all}, not `{}`", shorten(text))
    })
}

/// `500ms`, `10s`, `5m`, `2h`, `1d`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("expected a duration such as `500ms`, `10s`, `5m` or `2h`, not `{}`", shorten(text));
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let millis = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    millis.map(Duration::from_millis).ok_or_else(bad)
}

/// `512`, `64KiB`, `10MB`, `1GiB`.
fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("expected a size such as `4096`, `64KiB` or `10MiB`, not `{}`", shorten(text));
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// `n`, or as much as a `usize` holds.
pub(super) fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2 h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("10 MB"), Ok(10_000_000));
        for bad in ["", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999d", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "KiB", "1.5M", "1 mile", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
