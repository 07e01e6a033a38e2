//! Rule text → logical lines → arguments. Knows quoting and continuation, no directive.

use super::mapped::{BLANKS, Mapped};
use crate::source::{FileId, Span};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};

/// Hands out the logical lines of one file: physical lines joined where they end in a backslash, without
/// comments and blank lines.
pub(crate) struct Lines<'a> {
    text: &'a str,
    file: FileId,
    at: usize,
    /// How many spaces at the start of a line mean nothing.
    indent: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `text`, which is the text of `file`.
    pub(crate) fn new(file: FileId, text: &'a str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, file, at, indent: 0 }
    }

    /// The lines from byte `at` of `text`, each indented by `indent` spaces.
    pub(crate) fn block(file: FileId, text: &'a str, at: usize, indent: usize) -> Self {
        Self { text, file, at, indent }
    }

    /// The next line that is neither blank nor a comment, without white space at its ends.
    ///
    /// White space at the start of a continuation is kept, as Apache and libmodsecurity keep it: where it
    /// separates arguments or actions it means nothing, inside quotes it is part of the text.
    pub(crate) fn next(&mut self, diagnostics: &mut Diagnostics) -> Option<Mapped> {
        loop {
            let first = self.physical()?;
            let content = self.text[first.start..first.end].trim_start_matches(BLANKS);
            if content.is_empty() {
                continue;
            }
            if content.starts_with('#') {
                self.comment(&first, content, diagnostics);
                continue;
            }
            let mut line = Mapped::new(self.file, first.end - content.len());
            let mut part = Physical { start: first.end - content.len(), ..first };
            loop {
                if part.blank_after_backslash {
                    let at = part.end;
                    diagnostics.push(
                        Diagnostic::warning(
                            "space-after-backslash",
                            Span::new(self.file, at, at + 1),
                            "there is white space after the backslash that continues this line",
                        )
                        .help("remove it: Apache does not take this for a continuation"),
                    );
                }
                line.push(&self.text[part.start..part.end], part.start);
                match part.continues.then(|| self.physical()).flatten() {
                    Some(next) => part = next,
                    None => break,
                }
            }
            let trimmed = line.trim(0..line.len());
            if !trimmed.is_empty() {
                return Some(line.slice(trimmed));
            }
        }
    }

    /// Appends what follows up to the next backtick, newlines included and without joining lines; `false` when
    /// there is none.
    pub(crate) fn read_to_backtick(&mut self, line: &mut Mapped) -> bool {
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('`') else { return false };
        // The newline that ended the line stands just before.
        let newline = self.at.saturating_sub(1);
        if self.text[newline..].starts_with('\n') {
            line.push("\n", newline);
        }
        line.push(&rest[..=end], self.at);
        self.at += end + 1;
        if let Some(after) = self.physical() {
            line.push(&self.text[after.start..after.end], after.start);
        }
        true
    }

    /// libmodsecurity lets a commented-out rule swallow its continuation lines, but no other comment; Apache
    /// lets every comment do so.
    fn comment(&mut self, first: &Physical, content: &str, diagnostics: &mut Diagnostics) {
        if !first.continues {
            return;
        }
        let words = content.trim_start_matches('#').trim_start_matches(BLANKS);
        let is_rule = ["SecRule", "SecAction"]
            .iter()
            .any(|name| words.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
        if is_rule {
            while self.physical().is_some_and(|line| line.continues) {}
            return;
        }
        let next = self.text[self.at..].split('\n').next().unwrap_or("").trim_matches(BLANKS);
        if !next.is_empty() && !next.starts_with('#') {
            diagnostics.push(
                Diagnostic::warning(
                    "comment-continued",
                    Span::new(self.file, first.end, first.end + 1),
                    "a backslash does not continue this comment, though Apache takes the next line for a part of it",
                )
                .help("remove the backslash, or begin the next line with #"),
            );
        }
    }

    fn physical(&mut self) -> Option<Physical> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let indent = rest.bytes().take(self.indent).take_while(|b| *b == b' ').count();
        let rest = &rest[indent..];
        let start = self.at + indent;
        let length = memchr::memchr(b'\n', rest.as_bytes());
        self.at = length.map_or(self.text.len(), |n| start + n + 1);
        let line = &rest[..length.unwrap_or(rest.len())];
        let line = line.strip_suffix('\r').unwrap_or(line);
        let trimmed = line.trim_end_matches([' ', '\t', '\r']);
        match trimmed.strip_suffix('\\') {
            Some(body) => Some(Physical {
                start,
                end: start + body.len(),
                continues: true,
                blank_after_backslash: trimmed.len() < line.len(),
            }),
            None => Some(Physical {
                start,
                end: start + line.len(),
                continues: false,
                blank_after_backslash: false,
            }),
        }
    }
}

/// A physical line without its end and without the backslash that continues it.
struct Physical {
    start: usize,
    end: usize,
    continues: bool,
    blank_after_backslash: bool,
}

/// One argument of a directive.
#[derive(Debug)]
pub(crate) struct Argument {
    /// Its text, unquoted.
    pub(crate) text: Mapped,
    /// Where it stands, quotes included.
    pub(crate) span: Span,
}

/// Splits `line` from byte `at` on into arguments. Pushes a diagnostic and returns `None` when a quote is
/// missing or stands where it cannot.
pub(crate) fn arguments(
    line: &Mapped,
    mut at: usize,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Argument>> {
    let mut found = Vec::new();
    loop {
        while line.byte(at).is_some_and(is_blank) {
            at += 1;
        }
        let Some(first) = line.byte(at) else { return Some(found) };
        let start = at;
        if matches!(first, b'"' | b'\'' | b'`') {
            let Some(end) = closing(line, at + 1, first) else {
                diagnostics.push(
                    Diagnostic::error("missing-quote", line.span(at..at + 1), "this quote is never closed")
                        .help(
                            "close it, and end each line of an argument that goes on with a backslash; \
                             inside, the quote itself is written with a backslash before it",
                        ),
                );
                return None;
            };
            at = end + 1;
            if line.byte(at).is_some_and(|b| !is_blank(b)) {
                let mut stop = at;
                while line.byte(stop).is_some_and(|b| !is_blank(b)) {
                    stop += 1;
                }
                diagnostics.push(
                    Diagnostic::error(
                        "text-after-quote",
                        line.span(at..stop),
                        "there must be white space after a quoted argument",
                    )
                    .related(line.span(end..end + 1), "the argument ends here")
                    .help(format!("a quote inside a quoted argument is written \\{}", char::from(first))),
                );
                return None;
            }
            found.push(Argument { text: line.unescaped(start + 1..end, first), span: line.span(start..at) });
        } else {
            while line.byte(at).is_some_and(|b| !is_blank(b)) {
                at += 1;
            }
            found.push(Argument { text: line.slice(start..at), span: line.span(start..at) });
        }
    }
}

/// Where `quote` closes what began before `at`; a backslash takes the next byte with it.
pub(crate) fn closing(text: &Mapped, mut at: usize, quote: u8) -> Option<usize> {
    let bytes = text.as_str().as_bytes();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            _ if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Whether `byte` is one of [`BLANKS`].
pub(crate) fn is_blank(byte: u8) -> bool {
    BLANKS.contains(&char::from(byte))
}
