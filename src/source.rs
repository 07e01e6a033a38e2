//! Where a piece of rule text or configuration came from: file, line and column.
//!
//! Every stage that can complain keeps a [`Span`], four bytes of file and eight of offsets; line and column are
//! computed only when somebody reads the complaint.

use std::fmt;

/// A file in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes in one file. `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span of `start..end` in `file`. Offsets beyond 4 GiB saturate; no loader accepts such files.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: clamp(start), end: clamp(end) }
    }

    /// The smallest span that covers both. Both must lie in one file; otherwise `self` is returned.
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The span as a range of byte offsets.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the characters of a text begin, for a parser that gives places by their numbers, and not always in order.
#[derive(Clone, Debug)]
pub(crate) struct Characters {
    /// `None` where a character's number is its place, in ASCII.
    starts: Option<Vec<u32>>,
    length: usize,
}

impl Characters {
    /// The characters of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let start = |(at, _)| u32::try_from(at).unwrap_or(u32::MAX);
        let starts = (!text.is_ascii()).then(|| text.char_indices().map(start).collect());
        Self { starts, length: text.len() }
    }

    /// The offset in bytes of a character, counted from 0; the text's end for one beyond it.
    pub(crate) fn offset(&self, number: usize) -> usize {
        let offset = match &self.starts {
            None => number,
            Some(starts) => starts.get(number).map_or(self.length, |&at| at as usize),
        };
        offset.min(self.length)
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Ties `node` to `span`.
    pub fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.node
    }
}

/// A file's name and text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// The name as it was given or included, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of line `line`, counted from 1, without its newline; empty when there is no such line.
    pub fn line(&self, line: usize) -> &str {
        let Some(&start) = line.checked_sub(1).and_then(|i| self.line_starts.get(i)) else { return "" };
        let end = self.line_starts.get(line).map_or(self.text.len(), |&e| e as usize);
        self.text.get(start as usize..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
}

/// Line and column, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// All files that one load read.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. The same name may be added twice; each gets an id of its own.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let line_starts = std::iter::once(0)
            .chain(newlines.map(|(i, _)| u32::try_from(i + 1).unwrap_or(u32::MAX)))
            .collect();
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { name: name.into(), text, line_starts });
        id
    }

    /// The file of `id`, which must come from this map.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files in the order in which they were added.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Line and column of the first byte of `span`.
    pub fn position(&self, span: Span) -> Position {
        let file = self.file(span.file);
        let line = file.line_starts.partition_point(|&s| s <= span.start);
        let start = file.line_starts[line - 1] as usize;
        let before = file.text.as_bytes().get(start..span.start as usize).unwrap_or_default();
        Position { line, column: String::from_utf8_lossy(before).chars().count() + 1 }
    }

    /// Offset of the first byte of the line in which `span` begins.
    pub fn line_start(&self, span: Span) -> usize {
        let starts = &self.file(span.file).line_starts;
        let line = starts.partition_point(|&s| s <= span.start);
        starts.get(line.saturating_sub(1)).map_or(0, |&s| s as usize)
    }

    /// The bytes that `span` covers, or nothing when it does not lie on character boundaries.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(span.range()).unwrap_or("")
    }

    /// `file:line:column` of `span`.
    pub fn locate(&self, span: Span) -> Location<'_> {
        Location { name: self.file(span.file).name(), position: self.position(span) }
    }
}

/// Prints as `file:line:column`.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    /// The file's name.
    pub name: &'a str,
    /// Line and column.
    pub position: Position,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.position.line, self.position.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines_from_one() {
        let mut map = SourceMap::new();
        let id = map.add("a.conf", "one\ntwö x\n");
        let at = |s, e| map.position(Span::new(id, s, e));
        assert_eq!(at(0, 1), Position { line: 1, column: 1 });
        assert_eq!(at(4, 5), Position { line: 2, column: 1 });
        assert_eq!(at(9, 10), Position { line: 2, column: 5 });
        assert_eq!(map.file(id).line(2), "twö x");
        assert_eq!(map.locate(Span::new(id, 9, 10)).to_string(), "a.conf:2:5");
    }
}
