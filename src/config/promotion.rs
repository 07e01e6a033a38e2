//! Rewrites a site's section so that its candidate ruleset is the one that decides.
//!
//! Only the lines concerned are touched: comments, order and style of the rest stay. What was written is read again,
//! and must mean what was asked for.

use super::document::{self, Data, Node};
use super::load::check;
use super::rules::SHADOWED;
use super::{Checked, Overrides, RuleInput, Site};
use crate::source::{SourceMap, Span};
use crate::syntax::diagnostic::Diagnostics;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A rewritten configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The whole text.
    pub text: String,
    /// The lines that differ, with `-` before those that go and `+` before those that come.
    pub change: String,
}

/// Makes the `shadow` of `site` in `text` its rules. `directory` and `overrides` are those of the configuration.
///
/// # Errors
///
/// Why it cannot be done: no such site, no candidate, or a way of writing YAML in which no line can be changed for
/// certain.
pub fn promote(text: &str, directory: &Path, overrides: &Overrides, site: &str) -> Result<Edit, String> {
    let before = read(text, directory, overrides)?;
    let mut sources = SourceMap::new();
    let file = sources.add("", text);
    let root = document::parse(&sources, file, &mut Diagnostics::new()).ok_or("it is no YAML")?;
    let edited = apply(text, edits(text, &root, site)?);
    let after = read(&edited, directory, overrides)
        .map_err(|_| "the section is written in a way that is not for rewriting; change it by hand")?;
    if after != expected(before, site) {
        return Err("the section is written in a way that is not for rewriting; change it by hand".to_owned());
    }
    Ok(Edit { change: change(text, &edited), text: edited })
}

fn read(text: &str, directory: &Path, overrides: &Overrides) -> Result<Checked, String> {
    check("", text, directory, overrides)
        .config
        .ok_or_else(|| "it has faults; see `portcullis check`".to_owned())
}

/// What the configuration has to be when the candidate of `site` has been promoted.
fn expected(mut config: Checked, site: &str) -> Checked {
    for known in config.sites.iter_mut().filter(|known| known.name == site) {
        let mut new = Site::clone(known);
        if let Some(shadow) = new.shadow.take() {
            new.rules = shadow.rules;
        }
        for rule in &mut new.rules {
            if let RuleInput::Text { name, .. } = rule {
                *name = name.replacen(": shadow: ", ": ", 1);
            }
        }
        *known = Arc::new(new);
    }
    config
}

/// Texts for ranges of bytes, none of which overlap.
fn edits(text: &str, root: &Node, site: &str) -> Result<Vec<(Range<usize>, String)>, String> {
    let Data::Mapping(top) = &root.data else { return Err("it is empty".to_owned()) };
    let sites = top.iter().find(|(key, _, _)| key == "sites").map(|(_, _, node)| node);
    let sites: Vec<&Node> = match sites.map(|node| (&node.data, node)) {
        Some((Data::Sequence(items), _)) => items.iter().collect(),
        Some((Data::Mapping(_), node)) => vec![node],
        _ => Vec::new(),
    };
    let named =
        |node: &&&Node| child(node, "name").is_some_and(|n| matches!(&n.data, Data::Scalar(s) if s == site));
    let node = sites.iter().find(named).ok_or_else(|| format!("there is no site `{site}` in it"))?;
    let shadow = child(node, "shadow").ok_or_else(|| format!("the site `{site}` has no `shadow` in it"))?;
    let outer = Entries::of(text, node)?;
    let inner = Entries::of(text, shadow)?;
    let gone = outer.get("shadow").ok_or("the section cannot be found in the text")?;
    let mut edits = Vec::new();
    let mut new = Vec::new();
    for key in SHADOWED {
        let absent = child(shadow, key).is_none_or(|node| matches!(node.data, Data::Null));
        let Some(entry) = inner.get(key).filter(|_| !absent) else { continue };
        let moved = moved(text.get(entry).unwrap_or_default(), &inner, &outer)?;
        match outer.get(key) {
            Some(old) => edits.push((old, moved)),
            None => new.push(moved),
        }
    }
    edits.push(match outer.style {
        Style::Block { column } => {
            let start = line_start(text, gone.start);
            if !text.get(start..gone.start).is_some_and(|before| before.bytes().all(|b| b == b' ')) {
                return Err("`shadow` stands first in its list item; change it by hand".to_owned());
            }
            // With its line's end.
            let end = text
                .get(gone.end..)
                .and_then(|rest| rest.find('\n'))
                .map_or(text.len(), |at| gone.end + at + 1);
            let indent = " ".repeat(column);
            (start..end, new.iter().map(|entry| format!("{indent}{entry}\n")).collect())
        }
        Style::Flow if !new.is_empty() => (gone, new.join(", ")),
        Style::Flow => {
            let before = text.get(..gone.start).unwrap_or_default().trim_end();
            if before.ends_with(',') {
                (before.len() - 1..gone.end, String::new())
            } else {
                let rest = text.get(gone.end..).unwrap_or_default();
                let comma = rest.find(',').map_or(gone.end, |at| gone.end + at + 1);
                (gone.start..comma, String::new())
            }
        }
    });
    Ok(edits)
}

fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Data::Mapping(pairs) = &node.data else { return None };
    pairs.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node)
}

/// How a mapping is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// A key a line, at this column.
    Block { column: usize },
    /// Between braces.
    Flow,
}

/// Where each key of a mapping begins and its value ends.
struct Entries {
    style: Style,
    ranges: Vec<(String, Range<usize>)>,
}

impl Entries {
    fn of(text: &str, node: &Node) -> Result<Self, String> {
        let Data::Mapping(pairs) = &node.data else { return Err("a section is no mapping".to_owned()) };
        let start = |span: &Span| span.start as usize;
        let keys: Vec<(&str, usize)> =
            pairs.iter().map(|(key, span, _)| (key.as_str(), start(span))).collect();
        let first = keys.iter().map(|(_, at)| *at).min().ok_or("a section is empty")?;
        let open = text.get(..first).unwrap_or_default().trim_end();
        if open.ends_with('{') {
            let parts = flow(text, open.len() - 1).ok_or("a brace has no counterpart")?;
            let part = |at: usize| parts.iter().find(|part| part.contains(&at)).cloned();
            let ranges = keys.iter().filter_map(|(key, at)| Some(((*key).to_owned(), part(*at)?))).collect();
            return Ok(Self { style: Style::Flow, ranges });
        }
        let column = first - line_start(text, first);
        let mut ranges = Vec::new();
        for (key, at) in &keys {
            let next = keys.iter().map(|(_, other)| *other).filter(|other| other > at).min();
            let end = block_end(text, *at, column, next.map(|next| line_start(text, next)));
            ranges.push(((*key).to_owned(), *at..end));
        }
        Ok(Self { style: Style::Block { column }, ranges })
    }

    fn get(&self, key: &str) -> Option<Range<usize>> {
        self.ranges.iter().find(|(name, _)| name == key).map(|(_, range)| range.clone())
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

/// Where the entry of a block mapping that begins at `start` ends, its last line's end left out; before `limit`.
fn block_end(text: &str, start: usize, column: usize, limit: Option<usize>) -> usize {
    let rest = text.get(start..limit.unwrap_or(text.len())).unwrap_or_default();
    let (mut at, mut end) = (0, 0);
    for (number, line) in rest.split_inclusive('\n').enumerate() {
        let content = line.trim();
        let indent = line.len() - line.trim_start_matches(' ').len();
        let is_item = indent == column && (content == "-" || content.starts_with("- "));
        // A comment that stands as far out as the keys is about what follows.
        let is_between = content.is_empty() || content.starts_with('#') && indent <= column;
        if number > 0 && !is_between && indent <= column && !is_item {
            break;
        }
        at += line.len();
        if number == 0 || !is_between {
            end = at - (line.len() - line.trim_end().len());
        }
    }
    start + end
}

/// The parts between the commas of a flow mapping whose brace stands at `open`.
fn flow(text: &str, open: usize) -> Option<Vec<Range<usize>>> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, open + 1);
    let mut at = open;
    let mut push = |from: usize, to: usize| {
        let part = text.get(from..to).unwrap_or_default();
        let lead = part.len() - part.trim_start().len();
        parts.push(from + lead..from + part.trim_end().len().max(lead));
    };
    while let Some(&byte) = bytes.get(at) {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
        let begins = before.is_ascii_whitespace() || b"[{,:".contains(&before);
        match byte {
            b'\'' if begins => {
                at += 1;
                while bytes.get(at) != Some(&b'\'') || bytes.get(at + 1) == Some(&b'\'') {
                    at += if bytes.get(at)? == &b'\'' { 2 } else { 1 };
                }
            }
            b'"' if begins => {
                at += 1;
                while bytes.get(at)? != &b'"' {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
            }
            b'#' if before.is_ascii_whitespace() => {
                at += bytes.get(at..)?.iter().position(|b| *b == b'\n')?;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    push(from, at);
                    return Some(parts);
                }
            }
            b',' if depth == 1 => {
                push(from, at);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// An entry of the candidate as one of the site.
fn moved(entry: &str, inner: &Entries, outer: &Entries) -> Result<String, String> {
    let (Style::Block { column: deep }, Style::Block { column }) = (inner.style, outer.style) else {
        return Ok(entry.to_owned());
    };
    let further = deep.checked_sub(column).ok_or("`shadow` is indented less than its site")?;
    let indent = " ".repeat(further);
    let mut lines = Vec::new();
    for (number, line) in entry.split('\n').enumerate() {
        lines.push(match line.strip_prefix(&indent) {
            _ if number == 0 => line,
            Some(rest) => rest,
            None if line.trim().is_empty() => "",
            None => return Err("a line of `shadow` is indented less than its key".to_owned()),
        });
    }
    Ok(lines.join("\n"))
}

fn apply(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, new) in edits {
        if text.get(range.clone()).is_some() {
            text.replace_range(range, &new);
        }
    }
    text
}

/// The lines between those that both texts begin and end with.
fn change(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let most = old.len().min(new.len());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count().min(most - head);
    let lines = |sign: char, lines: &[&str]| -> String {
        let middle = lines.get(head..lines.len() - tail).unwrap_or_default();
        middle.iter().map(|line| format!("{sign}{line}\n")).collect()
    };
    lines('-', &old) + &lines('+', &new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promoted(text: &str) -> Result<String, String> {
        promote(text, Path::new("/etc/portcullis"), &Overrides::default(), "shop").map(|edit| edit.text)
    }

    #[test]
    fn lines_that_are_not_concerned_stay() {
        let text = "# ours
sites:
  - name: shop # the shop
    upstreams: http://127.0.0.1:1
    rules:
    - a.conf   # old
    # about the mode
    mode: On
    # being tried
    shadow:
      sample: 25%
      directives: |
        # kept
        SecAction \"id:1,phase:1,pass\"

        # to the end
      rules: [b.conf,
              c.conf]
      exclusions:
        - {rules: 1, reason: x}   # why not

  # the other
  - name: other
    paths: /other
    upstreams: http://127.0.0.1:2
";
        let expected = "# ours
sites:
  - name: shop # the shop
    upstreams: http://127.0.0.1:1
    rules: [b.conf,
            c.conf]
    # about the mode
    mode: On
    # being tried
    directives: |
      # kept
      SecAction \"id:1,phase:1,pass\"

      # to the end
    exclusions:
      - {rules: 1, reason: x}   # why not

  # the other
  - name: other
    paths: /other
    upstreams: http://127.0.0.1:2
";
        assert_eq!(promoted(text).as_deref(), Ok(expected));
    }

    #[test]
    fn every_style_is_rewritten() {
        for (text, expected) in [
            (
                "sites: [{name: shop, rules: a.conf, shadow: {rules: [b.conf, 'it''s, c.conf'], sample: 1}, upstreams: 'http://x'}]\n",
                "sites: [{name: shop, rules: [b.conf, 'it''s, c.conf'], upstreams: 'http://x'}]\n",
            ),
            (
                "sites: {shadow: {directives: SecRuleEngine On}, name: shop, upstreams: 'http://x'}\n",
                "sites: {directives: SecRuleEngine On, name: shop, upstreams: 'http://x'}\n",
            ),
            (
                "sites: {shadow: {rules: b.conf}, rules: a.conf, name: shop, upstreams: 'http://x'}\n",
                "sites: { rules: b.conf, name: shop, upstreams: 'http://x'}\n",
            ),
            (
                "sites:\n- rules: a.conf\n  name: shop\n  shadow: {rules: b.conf, sample: 50%}\n  upstreams: http://x",
                "sites:\n- rules: b.conf\n  name: shop\n  upstreams: http://x",
            ),
            (
                "sites:\n- name: shop\n  upstreams: http://x\n  exclusions: [{rules: 1, reason: x}]\n  shadow:\n    exclusions: []",
                "sites:\n- name: shop\n  upstreams: http://x\n  exclusions: []\n",
            ),
            (
                "sites:\n- name: shop\n  upstreams: http://x\n  shadow:\n    rules:\n    - b.conf\n    - text: |\n        SecAction \"id:1,phase:1,pass\"\naudit: {log: x}\n",
                "sites:\n- name: shop\n  upstreams: http://x\n  rules:\n  - b.conf\n  - text: |\n      SecAction \"id:1,phase:1,pass\"\naudit: {log: x}\n",
            ),
        ] {
            assert_eq!(promoted(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_rewritten_for_certain_is_left_alone() {
        for (text, why) in [
            ("sites: {name: other, upstreams: 'http://x'}", "no site"),
            ("sites: {name: shop, upstreams: 'http://x'}", "no `shadow`"),
            ("sites: {name: shop, upstreams: [}", "faults"),
            ("sites:\n- shadow: {rules: b.conf}\n  name: shop\n  upstreams: http://x\n", "by hand"),
            (
                "sites:\n- name: shop\n  upstreams: http://x\n  shadow: &s\n    rules: b.conf\n- name: b\n  paths: /b\n  upstreams: http://y\n  shadow: *s\n",
                "by hand",
            ),
        ] {
            let told = promoted(text).expect_err(text);
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn the_change_is_what_differs() {
        let text =
            "sites:\n- name: shop\n  upstreams: http://x\n  rules: a.conf\n  shadow: {rules: b.conf}\n";
        let edit = promote(text, Path::new(""), &Overrides::default(), "shop").expect("rewritten");
        assert_eq!(edit.change, "-  rules: a.conf\n-  shadow: {rules: b.conf}\n+  rules: b.conf\n");
    }
}
