//! What stands in parentheses: groups, look-around, conditions, inline flags, comments.

use super::reader::{Close, Dialect, Flags, Group, Reader, Refusal, Step, invalid};
use std::fmt::Write as _;

impl Reader<'_> {
    pub(super) fn close(&mut self) -> Step {
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

    pub(super) fn push(&mut self, at: usize, text: &str, close: Close) {
        self.open.push(Group { flags: self.flags, start: self.out.len(), at, close });
        self.out.push_str(text);
        self.atom = None;
    }

    pub(super) fn capturing(&mut self, at: usize, name: Option<&str>) {
        self.groups += 1;
        match (name, self.dialect) {
            (_, Dialect::Outline) => self.push(at, "(?:", Close::Plain),
            (Some(name), Dialect::Linear) => self.push(at, &format!("(?P<{name}>"), Close::Plain),
            (Some(_), Dialect::Backtracking) | (None, _) => self.push(at, "(", Close::Plain),
        }
        self.names.push(name.unwrap_or_default().to_owned());
    }

    pub(super) fn group(&mut self) -> Step {
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

    pub(super) fn condition(&mut self, at: usize) -> Step {
        self.position += 3;
        let start = self.position;
        let number = match self.peek() {
            Some(quote @ (b'<' | b'\'')) => {
                self.position += 1;
                let name = self.name(if quote == b'<' { b'>' } else { quote })?;
                let index = self.names.iter().position(|n| *n == name);
                let missing =
                    || invalid(format!("there is no group named {name} before this"), at..self.position);
                Some(index.ok_or_else(missing)? + 1)
            }
            _ => {
                while self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    self.position += 1;
                }
                let digits = self.pattern.get(start..self.position).unwrap_or_default();
                std::str::from_utf8(digits).ok().and_then(|d| d.parse::<usize>().ok())
            }
        };
        let (Some(number), true) = (number, self.peek() == Some(b')')) else {
            return Err(invalid(
                "only a group's number or name is supported as a condition",
                at..self.position,
            ));
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
    pub(super) fn inline_flags(&mut self, at: usize) -> Step {
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

    pub(super) fn name(&mut self, closing: u8) -> Result<String, Refusal> {
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

    pub(super) fn named_reference(&mut self, name: &str, at: usize) -> Step {
        match self.names.iter().position(|n| n == name) {
            Some(index) => self.reference(index + 1, at),
            None => Err(invalid(format!("there is no group named {name} before this"), at..self.position)),
        }
    }

    pub(super) fn reference(&mut self, number: usize, at: usize) -> Step {
        self.references.push((number, at..self.position));
        let text =
            if self.flags.ignore_case { format!("(?i:\\{number})") } else { format!("(?:\\{number})") };
        self.beyond(&text, "(?s:.*)")
    }
}
