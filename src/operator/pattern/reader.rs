//! From PCRE's syntax, in which rules are written, to that of the engines which run them.
//!
//! ModSecurity v3 compiles `@rx` with `PCRE2_DOTALL | PCRE2_MULTILINE` and without UTF: a pattern is bytes and so
//! is what it looks at, `.` matches newlines, `^` and `$` match at lines. One reading of the pattern serves three
//! [`Dialect`]s. It keeps track of flags, groups and what can be repeated by itself, so that every complaint
//! carries the offset of the bytes at fault and nothing reaches an engine that it would read differently.
//!
//! What differs from PCRE, all of it on purpose: `\R` is not atomic in the linear dialect; with `(?-m)` its `$`
//! does not match before a final newline (ModSecurity v2's behaviour), and its `^` inside a pattern matches behind a
//! final newline; assertions may be repeated, names must be defined before they are referred to; a letter escape that PCRE1 took for the
//! letter itself is refused, as PCRE2 does.
//!
//! This file must not know operators or what a match means.

use super::byte_set::{ByteSet, write_byte};
use std::ops::Range;

/// Whom the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator) enum Dialect {
    /// The `regex` crates on bytes, with `(?sm-u)` in front.
    Linear,
    /// `fancy-regex` on text in which each character below U+0100 stands for one byte. Uses no flags: what they
    /// mean is written out.
    Backtracking,
    /// For the linear engine: a pattern that finds a match wherever the original does, and in more places. Stands
    /// in for a pattern which that engine cannot express, to refuse most inputs in linear time.
    Outline,
}

/// Why a pattern has no text in a dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) enum Refusal {
    /// It is valid, but needs the backtracking engine.
    NeedsBacktracking,
    /// It is not a pattern, or not one that any engine here can run.
    Invalid {
        /// One sentence, no full stop.
        message: String,
        /// The bytes at fault.
        at: Range<usize>,
    },
}

/// Rewrites `pattern` for `dialect`. Linear in its length, but for patterns full of possessive quantifiers.
pub(in crate::operator) fn translate(pattern: &[u8], dialect: Dialect) -> Result<String, Refusal> {
    let mut reader = Reader {
        pattern,
        dialect,
        position: 0,
        out: String::with_capacity(pattern.len() + 16),
        flags: Flags { multi_line: true, dot_all: true, ..Flags::default() },
        open: Vec::new(),
        atom: None,
        quantified: false,
        groups: 0,
        names: Vec::new(),
        references: Vec::new(),
    };
    if dialect != Dialect::Backtracking {
        reader.out.push_str("(?sm-u)");
    }
    reader.read()?;
    Ok(reader.out)
}

/// The state of one reading.
pub(super) struct Reader<'p> {
    pub(super) pattern: &'p [u8],
    pub(super) dialect: Dialect,
    pub(super) position: usize,
    pub(super) out: String,
    pub(super) flags: Flags,
    pub(super) open: Vec<Group>,
    /// Where in `out` the item begins that a quantifier would repeat.
    pub(super) atom: Option<usize>,
    /// Whether that item is already repeated.
    pub(super) quantified: bool,
    pub(super) groups: usize,
    pub(super) names: Vec<String>,
    /// Numbers of groups that were referred to, and where.
    pub(super) references: Vec<(usize, Range<usize>)>,
}

/// Inline flags, those that change how a pattern reads.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    pub(super) extended: bool,
    pub(super) swap_greed: bool,
}

/// A group that has been opened.
pub(super) struct Group {
    pub(super) flags: Flags,
    /// Offset in `out` of its opening.
    pub(super) start: usize,
    /// Offset in the pattern of its opening.
    pub(super) at: usize,
    pub(super) close: Close,
}

/// What closing a group writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// `)`.
    Plain,
    /// Nothing remains of it ([`Dialect::Outline`] and look-around).
    Forget,
    /// `|)`: its absence is possible too (a condition in [`Dialect::Outline`]).
    Optional,
}

pub(super) type Step = Result<(), Refusal>;

impl<'p> Reader<'p> {
    fn read(&mut self) -> Step {
        while let Some(byte) = self.peek() {
            let at = self.position;
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b')' => self.close()?,
                b'|' => {
                    self.position += 1;
                    self.out.push('|');
                    self.atom = None;
                }
                b'*' | b'+' | b'?' => {
                    self.position += 1;
                    let text = char::from(byte).to_string();
                    self.quantifier(&text, at)?;
                }
                b'{' => match self.bounds()? {
                    Some(text) => self.quantifier(&text, at)?,
                    None => {
                        self.position += 1;
                        self.literal(b'{');
                    }
                },
                b'^' => {
                    self.position += 1;
                    let text = match (self.dialect, self.flags.multi_line) {
                        (Dialect::Backtracking, true) => r"(?:\A|(?<=\x0a)(?!\z))",
                        (Dialect::Backtracking, false) => r"\A",
                        _ => "^",
                    };
                    self.item(text);
                }
                b'$' => {
                    self.position += 1;
                    let text = match (self.dialect, self.flags.multi_line) {
                        (Dialect::Backtracking, true) => r"(?![^\x0a])",
                        (Dialect::Backtracking, false) => r"(?=\x0a?\z)",
                        // The linear engine's would match in fewer places.
                        (Dialect::Outline, false) => "(?:)",
                        _ => "$",
                    };
                    self.item(text);
                }
                b'.' => {
                    self.position += 1;
                    let text = match (self.dialect, self.flags.dot_all) {
                        (Dialect::Backtracking, true) => r"[\x00-\xff]",
                        (Dialect::Backtracking, false) => r"[^\x0a]",
                        _ => ".",
                    };
                    self.item(text);
                }
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c if self.flags.extended => self.position += 1,
                b'#' if self.flags.extended => {
                    let rest = self.pattern.get(at..).unwrap_or_default();
                    self.position += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |i| i + 1);
                }
                literal => {
                    self.position += 1;
                    self.literal(literal);
                }
            }
        }
        if let Some(group) = self.open.last() {
            return Err(invalid("this group is never closed", group.at..group.at + 1));
        }
        for (number, at) in &self.references {
            if *number > self.groups {
                return Err(invalid(format!("there is no group {number}"), at.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.pattern.get(self.position).copied()
    }

    pub(super) fn ahead(&self, text: &[u8]) -> bool {
        self.pattern.get(self.position..).is_some_and(|rest| rest.starts_with(text))
    }

    /// Writes something that can be repeated.
    pub(super) fn item(&mut self, text: &str) {
        self.atom = Some(self.out.len());
        self.quantified = false;
        self.out.push_str(text);
    }

    pub(super) fn literal(&mut self, byte: u8) {
        if self.dialect == Dialect::Backtracking && self.flags.ignore_case && byte.is_ascii_alphabetic() {
            let both = format!(
                "[{}{}]",
                char::from(byte.to_ascii_lowercase()),
                char::from(byte.to_ascii_uppercase())
            );
            return self.item(&both);
        }
        let mut text = String::new();
        write_byte(&mut text, byte, self.dialect);
        self.item(&text);
    }

    pub(super) fn set(&mut self, mut set: ByteSet, negated: bool) {
        if self.flags.ignore_case {
            set.fold();
        }
        if negated {
            set.negate();
        }
        let text = set.to_text();
        self.item(&text);
    }

    /// Only the backtracking engine knows this: `text` for it, `outline` where a superset will do.
    pub(super) fn beyond(&mut self, text: &str, outline: &str) -> Step {
        match self.dialect {
            Dialect::Linear => return Err(Refusal::NeedsBacktracking),
            Dialect::Backtracking => self.item(text),
            Dialect::Outline => self.item(outline),
        }
        Ok(())
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; anything else after a brace is text.
    pub(super) fn bounds(&mut self) -> Result<Option<String>, Refusal> {
        let start = self.position;
        let rest = self.pattern.get(start + 1..).unwrap_or_default();
        let Some(length) = rest.iter().position(|b| *b == b'}') else { return Ok(None) };
        let inner = rest.get(..length).unwrap_or_default();
        let (low, high) = match inner.iter().position(|b| *b == b',') {
            Some(comma) => (inner.get(..comma).unwrap_or_default(), inner.get(comma + 1..)),
            None => (inner, None),
        };
        let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if low.is_empty() || !digits(low) || !high.is_none_or(digits) {
            return Ok(None);
        }
        let at = start..start + length + 2;
        let number = |text: &[u8]| {
            let value = text.iter().try_fold(0u32, |n, d| {
                let n = n * 10 + u32::from(d - b'0');
                (n <= MAX_REPEAT).then_some(n)
            });
            value.ok_or_else(|| invalid(format!("a repeat count may be {MAX_REPEAT} at most"), at.clone()))
        };
        let low = number(low)?;
        let text = match high {
            None => format!("{{{low}}}"),
            Some([]) => format!("{{{low},}}"),
            Some(high) => {
                let high = number(high)?;
                if high < low {
                    return Err(invalid("the bounds of this repetition are in the wrong order", at));
                }
                format!("{{{low},{high}}}")
            }
        };
        self.position = at.end;
        Ok(Some(text))
    }

    pub(super) fn quantifier(&mut self, text: &str, at: usize) -> Step {
        let Some(start) = self.atom else {
            return Err(invalid("there is nothing to repeat here", at..self.position));
        };
        if self.quantified {
            self.out.insert_str(start, "(?:");
            self.out.push(')');
        }
        self.quantified = true;
        self.out.push_str(text);
        match self.peek() {
            Some(b'+') => {
                self.position += 1;
                match self.dialect {
                    Dialect::Linear => return Err(Refusal::NeedsBacktracking),
                    Dialect::Backtracking => {
                        self.out.insert_str(start, "(?>");
                        self.out.push(')');
                    }
                    Dialect::Outline => {}
                }
            }
            Some(b'?') => {
                self.position += 1;
                if !self.flags.swap_greed {
                    self.out.push('?');
                }
            }
            _ if self.flags.swap_greed => self.out.push('?'),
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn invalid(message: impl Into<String>, at: Range<usize>) -> Refusal {
    Refusal::Invalid { message: message.into(), at }
}

/// PCRE's own bound.
const MAX_REPEAT: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(pattern: &str) -> String {
        let text = translate(pattern.as_bytes(), Dialect::Linear).expect(pattern);
        text.strip_prefix("(?sm-u)").expect("the prefix").to_owned()
    }

    fn refused(pattern: &str) -> (String, Range<usize>) {
        match translate(pattern.as_bytes(), Dialect::Backtracking) {
            Err(Refusal::Invalid { message, at }) => (message, at),
            other => panic!("{pattern}: {other:?}"),
        }
    }

    #[test]
    fn text_that_only_looks_like_syntax_becomes_text() {
        assert_eq!(linear("a{b"), r"a\{b");
        assert_eq!(linear("a{,3}"), r"a\{,3\}");
        assert_eq!(linear("a{2,3}?"), "a{2,3}?");
        assert_eq!(linear("[[a]"), r"[\x5ba]");
        assert_eq!(linear("[]a]"), r"[\x5da]");
        assert_eq!(linear(r"[\w-.]"), r"[\x2d-\x2e0-9A-Z_a-z]");
        assert_eq!(linear(r"\Qa.b\E+"), r"a\.b+");
        assert_eq!(linear("é"), r"\xc3\xa9");
        assert_eq!(linear(r"\x{e9}\0\012\x9"), r"\xe9\x00\x0a\x09");
        assert_eq!(linear("(?x) a b # c\n d"), "abd");
        assert_eq!(linear("a(?#b)c"), "ac");
        assert_eq!(linear("(?<n>a)(?'m'b)(?P<o>c)"), "(?P<n>a)(?P<m>b)(?P<o>c)");
        assert_eq!(linear("(?U)a*b*?"), "a*?b*");
        assert_eq!(linear("(?i-s:a.)(?^)b"), "(?i-s:a.)(?-ims)b");
        assert_eq!(linear("[[:^alpha:]]"), r"[^A-Za-z]");
        assert_eq!(linear("a{2}{3}"), "(?:a{2}){3}");
    }

    #[test]
    fn what_the_linear_engine_lacks_has_an_outline() {
        for (pattern, backtracking, outline) in [
            ("a(?=b)c", r"a(?=b)c", r"a(?:)c"),
            ("a*+b", r"(?>a*)b", r"a*b"),
            ("(?>a|b)c", r"(?>a|b)c", r"(?:a|b)c"),
            (r"(a)\1", r"(a)(?:\1)", r"(?:a)(?s:.*)"),
            (r"(?i)(a)\g{-1}", r"([aA])(?i:\1)", r"(?i)(?:a)(?s:.*)"),
            (r"a\Z", r"a(?=\x0a?\z)", r"a(?:)"),
            ("(?-m)(?=a)$", r"(?=a)(?=\x0a?\z)", r"(?-m)(?:)(?:)"),
            (r"(a)?(?(1)b|c)", r"(a)?(?(1)b|c)", r"(?:a)?(?:b|c|)"),
        ] {
            let bytes = pattern.as_bytes();
            assert_eq!(translate(bytes, Dialect::Linear), Err(Refusal::NeedsBacktracking), "{pattern}");
            assert_eq!(translate(bytes, Dialect::Backtracking).expect(pattern), backtracking);
            let text = translate(bytes, Dialect::Outline).expect(pattern);
            assert_eq!(text, format!("(?sm-u){outline}"));
        }
    }

    #[test]
    fn complaints_say_where() {
        assert_eq!(refused("ab(c").1, 2..3);
        assert_eq!(refused("ab)c").1, 2..3);
        assert_eq!(refused("a|*b").1, 2..3);
        assert_eq!(refused("a[b").1, 1..2);
        assert_eq!(refused("a[z-a]").1, 2..5);
        assert_eq!(refused(r"a\y").1, 1..3);
        assert_eq!(refused(r"a\x{1f600}").1, 1..10);
        assert_eq!(refused(r"(a)\2").1, 3..5);
        assert_eq!(refused("a{3,2}").1, 1..6);
        assert_eq!(refused("a{99999}").1, 1..8);
        assert_eq!(refused(r"a\").1, 1..2);
        assert_eq!(refused("(?R)").1, 0..3);
        assert_eq!(refused("[[:nope:]]").1, 1..9);
    }
}
