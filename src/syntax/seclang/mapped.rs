//! Text that was joined from continuation lines or unquoted and still knows where each byte stood in its file,
//! so that a mark under a fault is right.

use std::ops::Range;

use crate::source::{FileId, SourceMap, Span, Spanned};

/// A piece of rule text with the way back to the file.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    text: String,
    file: FileId,
    runs: Vec<Run>,
    /// When set, the way back is lost and everything stands here.
    whole: Option<Span>,
}

/// `text[at..]` was copied from `source..` of the file, up to the next run.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: usize,
    source: usize,
}

impl Mapped {
    /// Nothing yet; an empty text stands at `source`.
    pub(crate) fn new(file: FileId, source: usize) -> Self {
        Self { text: String::new(), file, runs: vec![Run { at: 0, source }], whole: None }
    }

    /// The text of `spanned`: exact when the file says the same at that place, otherwise every part of it is
    /// said to stand at the whole span.
    pub(crate) fn of(spanned: &Spanned<String>, sources: &SourceMap) -> Self {
        let exact = sources.text(spanned.span) == spanned.node;
        let mut mapped = Self::new(spanned.span.file, spanned.span.range().start);
        mapped.push(&spanned.node, spanned.span.range().start);
        mapped.whole = (!exact).then_some(spanned.span);
        mapped
    }

    /// Appends `piece`, which stands at `source` of the file.
    pub(crate) fn push(&mut self, piece: &str, source: usize) {
        if piece.is_empty() {
            return;
        }
        let at = self.text.len();
        match self.runs.last_mut() {
            Some(run) if run.at == at => run.source = source,
            Some(run) if run.source + (at - run.at) == source => {}
            _ => self.runs.push(Run { at, source }),
        }
        self.text.push_str(piece);
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The byte at `at`, if there is one.
    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The part `range`; empty when that is not a range of whole characters.
    pub(crate) fn get(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or("")
    }

    /// Where `range` of the text stands in the file.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        if let Some(whole) = self.whole {
            return whole;
        }
        let start = self.source(range.start);
        let end = if range.end > range.start { self.source(range.end - 1) + 1 } else { start };
        Span::new(self.file, start, end.max(start))
    }

    /// Where the whole text stands.
    pub(crate) fn full_span(&self) -> Span {
        self.span(0..self.len())
    }

    /// The part `range` with its place.
    pub(crate) fn spanned(&self, range: Range<usize>) -> Spanned<String> {
        Spanned::new(self.get(range.clone()).to_owned(), self.span(range))
    }

    /// A copy of the part `range` in which a backslash before `quote` has been taken away. Other backslashes
    /// stay, and one that follows a backslash escapes nothing: libmodsecurity leaves both to the regular
    /// expression, where Apache would leave one.
    pub(crate) fn unescaped(&self, range: Range<usize>, quote: u8) -> Mapped {
        let mut out = Mapped::new(self.file, self.source(range.start));
        out.whole = self.whole;
        let bytes = self.text.as_bytes();
        let mut from = range.start;
        let mut at = range.start;
        while at < range.end {
            if bytes[at] == b'\\' && at + 1 < range.end {
                if bytes[at + 1] == quote {
                    out.append(self, from..at);
                    from = at + 1;
                }
                at += 2;
            } else {
                at += 1;
            }
        }
        out.append(self, from..range.end);
        out
    }

    /// A copy of the part `range`.
    pub(crate) fn slice(&self, range: Range<usize>) -> Mapped {
        let mut out = Mapped::new(self.file, self.source(range.start));
        out.whole = self.whole;
        out.append(self, range);
        out
    }

    /// `range` without blanks at its ends.
    pub(crate) fn trim(&self, range: Range<usize>) -> Range<usize> {
        let part = self.get(range.clone());
        let start = range.start + (part.len() - part.trim_start_matches(BLANKS).len());
        start..start + part.trim_matches(BLANKS).len()
    }

    fn append(&mut self, other: &Mapped, range: Range<usize>) {
        let mut run = other.runs.partition_point(|r| r.at <= range.start).saturating_sub(1);
        let mut at = range.start;
        while at < range.end {
            let end = other.runs.get(run + 1).map_or(range.end, |next| next.at.min(range.end));
            self.push(other.get(at..end), other.source(at));
            at = end.max(at + 1);
            run += 1;
        }
    }

    fn source(&self, at: usize) -> usize {
        let run = self.runs[self.runs.partition_point(|r| r.at <= at).saturating_sub(1)];
        run.source + (at - run.at)
    }
}

/// White space that separates. Other characters that Unicode calls white space are text.
pub(crate) const BLANKS: [char; 6] = [' ', '\t', '\r', '\n', '\u{b}', '\u{c}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_crosses_joined_lines_and_unescaped_quotes() {
        let mut sources = SourceMap::new();
        let file = sources.add("a.conf", "ab\\\ncd\\\"ef");
        let mut line = Mapped::new(file, 0);
        line.push("ab", 0);
        line.push("cd\\\"ef", 4);
        assert_eq!(line.as_str(), "abcd\\\"ef");
        let plain = line.unescaped(1..line.len(), b'"');
        assert_eq!(plain.as_str(), "bcd\"ef");
        assert_eq!(sources.text(plain.span(1..3)), "cd");
        assert_eq!(sources.text(plain.span(3..5)), "\"e");
        assert_eq!(plain.span(6..6).range(), 10..10);
    }

    #[test]
    fn a_doubled_backslash_escapes_nothing() {
        let mut sources = SourceMap::new();
        let text =
            Spanned::new(r#"a\\"b\"c\d"#.to_owned(), Span::new(sources.add("a", r#"a\\"b\"c\d"#), 0, 10));
        let mapped = Mapped::of(&text, &sources);
        assert_eq!(mapped.unescaped(0..10, b'"').as_str(), r#"a\\"b"c\d"#);
    }
}
