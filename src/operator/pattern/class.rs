//! Classes in brackets: `[a-z]`, `[[:alpha:]_]`, `[^\Q]\E]`.

use super::byte_set::{ByteSet, is_class_name};
use super::escape::Item;
use super::reader::{Reader, Refusal, Step, invalid};

impl Reader<'_> {
    pub(super) fn class(&mut self) -> Step {
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
    pub(super) fn class_item(&mut self, quoted: &mut bool) -> Result<Option<Item>, Refusal> {
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
    pub(super) fn named_class(&mut self, at: usize) -> Result<Option<Item>, Refusal> {
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
        if !is_class_name(name) {
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
