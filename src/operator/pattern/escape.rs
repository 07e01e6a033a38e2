//! What begins with a backslash, outside of classes and inside.

use super::byte_set::ByteSet;
use super::reader::{Dialect, Reader, Refusal, Step, invalid};

/// What a class or an escape stands for.
pub(super) enum Item {
    Byte(u8),
    Set(Box<ByteSet>),
}

impl Reader<'_> {
    pub(super) fn escape(&mut self) -> Step {
        let at = self.position;
        let Some(&byte) = self.pattern.get(at + 1) else {
            return Err(invalid("the pattern ends in a backslash", at..at + 1));
        };
        self.position += 2;
        match byte {
            b'Q' => {
                let rest = self.pattern.get(self.position..).unwrap_or_default();
                let length = memchr::memmem::find(rest, b"\\E").unwrap_or(rest.len());
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

    pub(super) fn word_boundary(&mut self, boundary: bool) {
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
    pub(super) fn numbered(&mut self, at: usize) -> Step {
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
    pub(super) fn octal(&mut self, at: usize, most: usize) -> Result<u8, Refusal> {
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
    pub(super) fn shared_escape(&mut self, byte: u8, at: usize) -> Result<Item, Refusal> {
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

    pub(super) fn hexadecimal(&mut self, at: usize) -> Result<u8, Refusal> {
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
}
