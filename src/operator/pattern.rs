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

use std::fmt::Write as _;
use std::ops::Range;

/// Whom the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
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
pub(super) enum Refusal {
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
pub(super) fn translate(pattern: &[u8], dialect: Dialect) -> Result<String, Refusal> {
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
struct Reader<'p> {
    pattern: &'p [u8],
    dialect: Dialect,
    position: usize,
    out: String,
    flags: Flags,
    open: Vec<Group>,
    /// Where in `out` the item begins that a quantifier would repeat.
    atom: Option<usize>,
    /// Whether that item is already repeated.
    quantified: bool,
    groups: usize,
    names: Vec<String>,
    /// Numbers of groups that were referred to, and where.
    references: Vec<(usize, Range<usize>)>,
}

/// Inline flags, those that change how a pattern reads.
#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    extended: bool,
    swap_greed: bool,
}

/// A group that has been opened.
struct Group {
    flags: Flags,
    /// Offset in `out` of its opening.
    start: usize,
    /// Offset in the pattern of its opening.
    at: usize,
    close: Close,
}

/// What closing a group writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    /// `)`.
    Plain,
    /// Nothing remains of it ([`Dialect::Outline`] and look-around).
    Forget,
    /// `|)`: its absence is possible too (a condition in [`Dialect::Outline`]).
    Optional,
}

type Step = Result<(), Refusal>;

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

    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.position).copied()
    }

    fn ahead(&self, text: &[u8]) -> bool {
        self.pattern.get(self.position..).is_some_and(|rest| rest.starts_with(text))
    }

    /// Writes something that can be repeated.
    fn item(&mut self, text: &str) {
        self.atom = Some(self.out.len());
        self.quantified = false;
        self.out.push_str(text);
    }

    fn literal(&mut self, byte: u8) {
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

    fn set(&mut self, mut set: ByteSet, negated: bool) {
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
    fn beyond(&mut self, text: &str, outline: &str) -> Step {
        match self.dialect {
            Dialect::Linear => return Err(Refusal::NeedsBacktracking),
            Dialect::Backtracking => self.item(text),
            Dialect::Outline => self.item(outline),
        }
        Ok(())
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; anything else after a brace is text.
    fn bounds(&mut self) -> Result<Option<String>, Refusal> {
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

    fn quantifier(&mut self, text: &str, at: usize) -> Step {
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

    fn close(&mut self) -> Step {
        let at = self.position;
        let Some(group) = self.open.pop() else {
            return Err(invalid("this closes a group that was never opened", at..at + 1));
        };
        self.position += 1;
        match group.close {
            Close::Plain => self.out.push(')'),
            Close::Optional => self.out.push_str("|)"),
            Close::Forget => {
                self.out.truncate(group.start);
                self.out.push_str("(?:)");
            }
        }
        self.flags = group.flags;
        self.atom = Some(group.start);
        self.quantified = false;
        Ok(())
    }

    fn push(&mut self, at: usize, text: &str, close: Close) {
        self.open.push(Group { flags: self.flags, start: self.out.len(), at, close });
        self.out.push_str(text);
        self.atom = None;
    }

    fn capturing(&mut self, at: usize, name: Option<&str>) {
        self.groups += 1;
        match (name, self.dialect) {
            (_, Dialect::Outline) => self.push(at, "(?:", Close::Plain),
            (Some(name), Dialect::Linear) => self.push(at, &format!("(?P<{name}>"), Close::Plain),
            (Some(_), Dialect::Backtracking) | (None, _) => self.push(at, "(", Close::Plain),
        }
        self.names.push(name.unwrap_or_default().to_owned());
    }

    fn group(&mut self) -> Step {
        let at = self.position;
        if self.ahead(b"(*") {
            return Err(invalid("verbs such as (*UTF) are not supported", at..at + 2));
        }
        if !self.ahead(b"(?") {
            self.position += 1;
            self.capturing(at, None);
            return Ok(());
        }
        const LOOKS: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];
        if let Some(look) = LOOKS.iter().find(|l| self.ahead(l.as_bytes())) {
            self.position += look.len();
            return match self.dialect {
                Dialect::Linear => Err(Refusal::NeedsBacktracking),
                Dialect::Backtracking => {
                    self.push(at, look, Close::Plain);
                    Ok(())
                }
                Dialect::Outline => {
                    self.push(at, "(?:", Close::Forget);
                    Ok(())
                }
            };
        }
        if self.ahead(b"(?>") {
            self.position += 3;
            return match self.dialect {
                Dialect::Linear => Err(Refusal::NeedsBacktracking),
                Dialect::Backtracking => {
                    self.push(at, "(?>", Close::Plain);
                    Ok(())
                }
                Dialect::Outline => {
                    self.push(at, "(?:", Close::Plain);
                    Ok(())
                }
            };
        }
        if self.ahead(b"(?#") {
            let rest = self.pattern.get(at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|b| *b == b')') else {
                return Err(invalid("this comment is never closed", at..at + 3));
            };
            self.position += end + 1;
            return Ok(());
        }
        if self.ahead(b"(?|") {
            return Err(invalid("groups that reset their numbers, (?|…), are not supported", at..at + 3));
        }
        if self.ahead(b"(?(") {
            return self.condition(at);
        }
        for (opening, closing) in [(&b"(?P<"[..], b'>'), (b"(?<", b'>'), (b"(?'", b'\'')] {
            if self.ahead(opening) {
                self.position += opening.len();
                let name = self.name(closing)?;
                if self.names.contains(&name) {
                    return Err(invalid(format!("there are two groups named {name}"), at..self.position));
                }
                self.capturing(at, Some(&name));
                return Ok(());
            }
        }
        if self.ahead(b"(?P=") {
            self.position += 4;
            let name = self.name(b')')?;
            return self.named_reference(&name, at);
        }
        if self.ahead(b"(?R") || self.ahead(b"(?&") || self.ahead(b"(?P>") || self.ahead(b"(?C") {
            return Err(invalid("recursion and call-outs are not supported", at..at + 3));
        }
        self.inline_flags(at)
    }

    fn condition(&mut self, at: usize) -> Step {
        self.position += 3;
        let start = self.position;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.position += 1;
        }
        let digits = self.pattern.get(start..self.position).unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().and_then(|d| d.parse::<usize>().ok());
        let (Some(number), true) = (number, self.peek() == Some(b')')) else {
            return Err(invalid("only a group's number is supported as a condition", at..self.position));
        };
        self.position += 1;
        self.references.push((number, at..self.position));
        match self.dialect {
            Dialect::Linear => return Err(Refusal::NeedsBacktracking),
            Dialect::Backtracking => self.push(at, &format!("(?({number})"), Close::Plain),
            Dialect::Outline => self.push(at, "(?:", Close::Optional),
        }
        Ok(())
    }

    /// `(?i)` or `(?i-s:`.
    fn inline_flags(&mut self, at: usize) -> Step {
        self.position = at + 2;
        let mut flags = self.flags;
        let (mut on, mut off, mut value) = (String::new(), String::new(), true);
        if self.peek() == Some(b'^') {
            self.position += 1;
            flags = Flags::default();
            off.push_str("ims");
        }
        loop {
            let Some(byte) = self.peek() else {
                return Err(invalid("this group is never closed", at..at + 1));
            };
            self.position += 1;
            match byte {
                b'i' => flags.ignore_case = value,
                b'm' => flags.multi_line = value,
                b's' => flags.dot_all = value,
                b'x' => flags.extended = value,
                b'U' => flags.swap_greed = value,
                b'-' if value => value = false,
                b')' | b':' => break,
                b'0'..=b'9' | b'+' | b'-' => {
                    return Err(invalid("recursion and call-outs are not supported", at..self.position));
                }
                other => {
                    let flag = char::from(other).escape_default();
                    return Err(invalid(format!("there is no group (?{flag}"), at..self.position));
                }
            }
            if matches!(byte, b'i' | b'm' | b's') {
                off.retain(|c| c != char::from(byte));
                if value { on.push(char::from(byte)) } else { off.push(char::from(byte)) }
            }
        }
        let scoped = self.pattern.get(self.position - 1) == Some(&b':');
        let mut text = String::new();
        if self.dialect != Dialect::Backtracking && !(on.is_empty() && off.is_empty()) {
            text.push_str(&on);
            if !off.is_empty() {
                text.push('-');
                text.push_str(&off);
            }
        }
        if scoped {
            self.push(at, &format!("(?{text}:"), Close::Plain);
        } else if !text.is_empty() {
            let _ = write!(self.out, "(?{text})");
            self.atom = None;
        } else {
            self.atom = None;
        }
        self.flags = flags;
        Ok(())
    }

    fn name(&mut self, closing: u8) -> Result<String, Refusal> {
        let start = self.position;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.position += 1;
        }
        let name = self.pattern.get(start..self.position).unwrap_or_default();
        if name.first().is_none_or(u8::is_ascii_digit) || self.peek() != Some(closing) {
            return Err(invalid("this is not a group's name", start..self.position.max(start + 1)));
        }
        self.position += 1;
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    fn named_reference(&mut self, name: &str, at: usize) -> Step {
        match self.names.iter().position(|n| n == name) {
            Some(index) => self.reference(index + 1, at),
            None => Err(invalid(format!("there is no group named {name} before this"), at..self.position)),
        }
    }

    fn reference(&mut self, number: usize, at: usize) -> Step {
        self.references.push((number, at..self.position));
        let text =
            if self.flags.ignore_case { format!("(?i:\\{number})") } else { format!("(?:\\{number})") };
        self.beyond(&text, "(?s:.*)")
    }

    fn escape(&mut self) -> Step {
        let at = self.position;
        let Some(&byte) = self.pattern.get(at + 1) else {
            return Err(invalid("the pattern ends in a backslash", at..at + 1));
        };
        self.position += 2;
        match byte {
            b'Q' => {
                let rest = self.pattern.get(self.position..).unwrap_or_default();
                let length = find(rest, b"\\E").unwrap_or(rest.len());
                for &literal in rest.get(..length).unwrap_or_default() {
                    self.literal(literal);
                }
                self.position = (self.position + length + 2).min(self.pattern.len());
            }
            b'E' => {}
            b'A' => self.item(r"\A"),
            b'z' => self.item(r"\z"),
            b'Z' => self.beyond(r"(?=\x0a?\z)", "(?:)")?,
            b'G' => self.beyond(r"\G", "(?:)")?,
            b'K' => self.beyond(r"\K", "(?:)")?,
            b'b' | b'B' => self.word_boundary(byte == b'b'),
            b'R' => match self.dialect {
                Dialect::Backtracking => self.item(r"(?>\x0d\x0a|[\x0a-\x0d\x85])"),
                _ => self.item(r"(?:\x0d\x0a|[\x0a-\x0d\x85])"),
            },
            b'C' => self.set(ByteSet::full(), false),
            b'N' => self.set(ByteSet::of(b"\n"), true),
            b'k' => {
                let closing = match self.peek() {
                    Some(b'<') => b'>',
                    Some(b'\'') => b'\'',
                    Some(b'{') => b'}',
                    _ => return Err(invalid(r"\k is followed by a group's name", at..self.position)),
                };
                self.position += 1;
                let name = self.name(closing)?;
                self.named_reference(&name, at)?;
            }
            b'g' => self.numbered(at)?,
            b'1'..=b'9' => {
                let digits = self.pattern.get(at + 1..).unwrap_or_default();
                let length = digits.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
                let number = digits
                    .get(..length)
                    .unwrap_or_default()
                    .iter()
                    .fold(0usize, |n, d| n * 10 + usize::from(d - b'0'));
                if number < 10 || number <= self.groups {
                    self.position = at + 1 + length;
                    self.reference(number, at)?;
                } else {
                    self.position = at + 1;
                    let byte = self.octal(at, 3)?;
                    self.literal(byte);
                }
            }
            _ => match self.shared_escape(byte, at)? {
                Item::Byte(b) => self.literal(b),
                Item::Set(set) => self.set(*set, false),
            },
        }
        Ok(())
    }

    fn word_boundary(&mut self, boundary: bool) {
        const WORD: &str = "[0-9A-Za-z_]";
        let text = match (self.dialect, boundary) {
            (Dialect::Backtracking, true) => {
                format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))")
            }
            (Dialect::Backtracking, false) => {
                format!("(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))")
            }
            (_, true) => r"\b".to_owned(),
            (_, false) => r"\B".to_owned(),
        };
        self.item(&text);
    }

    /// `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`.
    fn numbered(&mut self, at: usize) -> Step {
        let braced = self.peek() == Some(b'{');
        if braced {
            self.position += 1;
        }
        let relative = self.peek() == Some(b'-');
        if relative {
            self.position += 1;
        }
        let start = self.position;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) && self.position - start < 4 {
            self.position += 1;
        }
        let digits = self.pattern.get(start..self.position).unwrap_or_default();
        if digits.is_empty() {
            if braced && !relative {
                let name = self.name(b'}')?;
                return self.named_reference(&name, at);
            }
            return Err(invalid(r"\g is followed by a group's number or name", at..self.position));
        }
        let number = digits.iter().fold(0usize, |n, d| n * 10 + usize::from(d - b'0'));
        if braced {
            if self.peek() != Some(b'}') {
                return Err(invalid("this brace is never closed", at..self.position));
            }
            self.position += 1;
        }
        let number = if relative { (self.groups + 1).checked_sub(number) } else { Some(number) };
        match number {
            Some(number) if number > 0 && !(relative && number > self.groups) => self.reference(number, at),
            _ => Err(invalid("there is no such group", at..self.position)),
        }
    }

    /// Up to `most` octal digits at the current position.
    fn octal(&mut self, at: usize, most: usize) -> Result<u8, Refusal> {
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit @ b'0'..=b'7') = self.peek() else { break };
            value = value * 8 + u32::from(digit - b'0');
            self.position += 1;
        }
        if self.position <= at + 1 {
            return Err(invalid("there is no such group, and this is no octal number", at..at + 2));
        }
        u8::try_from(value)
            .map_err(|_| invalid("a pattern matches bytes; this is more than one", at..self.position))
    }

    /// Escapes that mean the same inside and outside of a class. The position is behind `byte`.
    fn shared_escape(&mut self, byte: u8, at: usize) -> Result<Item, Refusal> {
        Ok(match byte {
            b'a' => Item::Byte(0x07),
            b'e' => Item::Byte(0x1b),
            b'f' => Item::Byte(0x0c),
            b'n' => Item::Byte(b'\n'),
            b'r' => Item::Byte(b'\r'),
            b't' => Item::Byte(b'\t'),
            b'0' => Item::Byte(
                self.octal(at, 2).or_else(
                    |refusal| {
                        if self.position == at + 2 { Ok(0) } else { Err(refusal) }
                    },
                )?,
            ),
            b'c' => match self.peek() {
                Some(b @ 0x20..=0x7e) => {
                    self.position += 1;
                    Item::Byte(b.to_ascii_uppercase() ^ 0x40)
                }
                _ => return Err(invalid(r"\c is followed by a printable character", at..at + 2)),
            },
            b'x' => Item::Byte(self.hexadecimal(at)?),
            b'o' => {
                if self.peek() != Some(b'{') {
                    return Err(invalid(r"\o is followed by an octal number in braces", at..at + 2));
                }
                self.position += 1;
                let value = self.octal(at, 4)?;
                if self.peek() != Some(b'}') {
                    return Err(invalid(r"\o is followed by an octal number in braces", at..self.position));
                }
                self.position += 1;
                Item::Byte(value)
            }
            b'd' | b'D' | b'h' | b'H' | b's' | b'S' | b'v' | b'V' | b'w' | b'W' => {
                let mut set = ByteSet::default();
                match byte.to_ascii_lowercase() {
                    b'd' => set.add_range(b'0', b'9'),
                    b'h' => [b'\t', b' ', 0xa0].into_iter().for_each(|b| set.add(b)),
                    b's' => set.add_class("space"),
                    b'v' => {
                        set.add_range(b'\n', b'\r');
                        set.add(0x85);
                    }
                    _ => set.add_class("word"),
                }
                if byte.is_ascii_uppercase() {
                    set.negate();
                }
                Item::Set(Box::new(set))
            }
            b'p' | b'P' | b'X' => {
                return Err(invalid(
                    "Unicode properties are not supported, since patterns match bytes",
                    at..self.position,
                ));
            }
            other if other.is_ascii_alphanumeric() => {
                let letter = char::from(other);
                return Err(invalid(format!("there is no escape \\{letter}"), at..self.position));
            }
            other => Item::Byte(other),
        })
    }

    fn hexadecimal(&mut self, at: usize) -> Result<u8, Refusal> {
        let braced = self.peek() == Some(b'{');
        if braced {
            self.position += 1;
        }
        let most = if braced { 8 } else { 2 };
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else { break };
            value = (value << 4) | digit;
            self.position += 1;
        }
        if braced {
            if self.peek() != Some(b'}') {
                return Err(invalid("this hexadecimal number is never closed", at..self.position));
            }
            self.position += 1;
        }
        u8::try_from(value).map_err(|_| {
            invalid(
                "a pattern matches bytes, not code points; write the bytes of its UTF-8 form",
                at..self.position,
            )
        })
    }

    fn class(&mut self) -> Step {
        let at = self.position;
        self.position += 1;
        let negated = self.peek() == Some(b'^');
        if negated {
            self.position += 1;
        }
        let first = self.position;
        let mut set = ByteSet::default();
        let mut quoted = false;
        loop {
            let Some(byte) = self.peek() else {
                return Err(invalid("this class is never closed", at..at + 1));
            };
            if byte == b']' && !quoted && self.position != first {
                self.position += 1;
                break;
            }
            let item_at = self.position;
            let Some(item) = self.class_item(&mut quoted)? else { continue };
            let low = match item {
                Item::Set(other) => {
                    set.add_all(&other);
                    continue;
                }
                Item::Byte(low) => low,
            };
            let next = self.pattern.get(self.position + 1).copied();
            if quoted || self.peek() != Some(b'-') || next.is_none_or(|b| b == b']') {
                set.add(low);
                continue;
            }
            let hyphen = self.position;
            self.position += 1;
            let mut high = None;
            while high.is_none() && self.peek().is_some() {
                high = self.class_item(&mut quoted)?;
                if high.is_none() && self.peek() == Some(b']') {
                    break;
                }
            }
            match high {
                Some(Item::Byte(high)) if high < low => {
                    return Err(invalid(
                        "the ends of this range are in the wrong order",
                        item_at..self.position,
                    ));
                }
                Some(Item::Byte(high)) => set.add_range(low, high),
                Some(Item::Set(other)) => {
                    set.add(low);
                    set.add(b'-');
                    set.add_all(&other);
                }
                None => {
                    set.add(low);
                    set.add(b'-');
                    self.position = self.position.max(hyphen + 1);
                }
            }
        }
        self.set(set, negated);
        Ok(())
    }

    /// One member of a class; `None` for `\Q` and `\E`, which are none.
    fn class_item(&mut self, quoted: &mut bool) -> Result<Option<Item>, Refusal> {
        let at = self.position;
        let Some(byte) = self.peek() else { return Ok(None) };
        if self.ahead(b"\\E") {
            *quoted = false;
            self.position += 2;
            return Ok(None);
        }
        if *quoted {
            self.position += 1;
            return Ok(Some(Item::Byte(byte)));
        }
        if self.ahead(b"\\Q") {
            *quoted = true;
            self.position += 2;
            return Ok(None);
        }
        if let Some(item) = self.named_class(at)? {
            return Ok(Some(item));
        }
        self.position += 1;
        if byte != b'\\' {
            return Ok(Some(Item::Byte(byte)));
        }
        let Some(escaped) = self.peek() else {
            return Err(invalid("the pattern ends in a backslash", at..at + 1));
        };
        self.position += 1;
        Ok(Some(match escaped {
            b'b' => Item::Byte(0x08),
            b'1'..=b'7' => {
                self.position = at + 1;
                Item::Byte(self.octal(at, 3)?)
            }
            b'8' | b'9' => Item::Byte(escaped),
            b'B' | b'R' | b'N' => {
                return Err(invalid("this escape has no meaning inside a class", at..self.position));
            }
            _ => self.shared_escape(escaped, at)?,
        }))
    }

    /// `[:alpha:]` inside a class.
    fn named_class(&mut self, at: usize) -> Result<Option<Item>, Refusal> {
        if !self.ahead(b"[:") {
            return Ok(None);
        }
        let rest = self.pattern.get(at + 2..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'^').count();
        if !rest.get(length..).is_some_and(|r| r.starts_with(b":]")) {
            return Ok(None);
        }
        self.position = at + 2 + length + 2;
        let name = rest.get(..length).unwrap_or_default();
        let (name, negated) = match name.strip_prefix(b"^") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = std::str::from_utf8(name).unwrap_or_default();
        if !CLASSES.contains(&name) {
            return Err(invalid(format!("there is no class [:{name}:]"), at..self.position));
        }
        let mut set = ByteSet::default();
        set.add_class(name);
        if negated {
            set.negate();
        }
        Ok(Some(Item::Set(Box::new(set))))
    }
}

/// What a class or an escape stands for.
enum Item {
    Byte(u8),
    Set(Box<ByteSet>),
}

/// A set of bytes.
#[derive(Clone, Copy)]
struct ByteSet([bool; 256]);

impl Default for ByteSet {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl ByteSet {
    fn full() -> Self {
        Self([true; 256])
    }

    fn of(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        bytes.iter().for_each(|b| set.add(*b));
        set
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte)] = true;
    }

    fn add_range(&mut self, low: u8, high: u8) {
        (low..=high).for_each(|b| self.add(b));
    }

    fn add_all(&mut self, other: &ByteSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// A POSIX class by name, in the C locale.
    fn add_class(&mut self, name: &str) {
        let member: fn(u8) -> bool = match name {
            "alpha" => |b| b.is_ascii_alphabetic(),
            "alnum" => |b| b.is_ascii_alphanumeric(),
            "ascii" => |b| b.is_ascii(),
            "blank" => |b| b == b' ' || b == b'\t',
            "cntrl" => |b| b.is_ascii_control(),
            "digit" => |b| b.is_ascii_digit(),
            "graph" => |b| b.is_ascii_graphic(),
            "lower" => |b| b.is_ascii_lowercase(),
            "print" => |b| b.is_ascii_graphic() || b == b' ',
            "punct" => |b| b.is_ascii_punctuation(),
            "space" => |b| matches!(b, b'\t'..=b'\r' | b' '),
            "upper" => |b| b.is_ascii_uppercase(),
            "word" => |b| b.is_ascii_alphanumeric() || b == b'_',
            _ => |b| b.is_ascii_hexdigit(),
        };
        (0..=u8::MAX).filter(|b| member(*b)).for_each(|b| self.add(b));
    }

    /// Adds the other case of each letter.
    fn fold(&mut self) {
        for letter in b'a'..=b'z' {
            let upper = letter.to_ascii_uppercase();
            let either = self.0[usize::from(letter)] || self.0[usize::from(upper)];
            self.0[usize::from(letter)] = either;
            self.0[usize::from(upper)] = either;
        }
    }

    fn negate(&mut self) {
        self.0.iter_mut().for_each(|member| *member = !*member);
    }

    fn ranges(&self, member: bool) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in (0..=u8::MAX).filter(|b| self.0[usize::from(*b)] == member) {
            match ranges.last_mut() {
                Some((_, high)) if high.checked_add(1) == Some(byte) => *high = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }

    /// The set as a class that every engine here reads alike. The empty set is what lies outside of all bytes.
    fn to_text(self) -> String {
        let (inside, outside) = (self.ranges(true), self.ranges(false));
        let negated = inside.is_empty() || (!outside.is_empty() && outside.len() < inside.len());
        let ranges = if negated { outside } else { inside };
        let mut text = String::from(if negated { "[^" } else { "[" });
        for (low, high) in ranges {
            write_byte(&mut text, low, Dialect::Backtracking);
            if low != high {
                text.push('-');
                write_byte(&mut text, high, Dialect::Backtracking);
            }
        }
        text.push(']');
        text
    }
}

/// Writes a byte so that it stands for itself.
fn write_byte(text: &mut String, byte: u8, dialect: Dialect) {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => text.push(char::from(byte)),
        0x20..=0x7e if dialect != Dialect::Backtracking => {
            if regex_syntax::is_meta_character(char::from(byte)) {
                text.push('\\');
            }
            text.push(char::from(byte));
        }
        _ => {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn invalid(message: impl Into<String>, at: Range<usize>) -> Refusal {
    Refusal::Invalid { message: message.into(), at }
}

/// PCRE's own bound.
const MAX_REPEAT: u32 = 65_535;

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

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
