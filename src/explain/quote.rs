//! Hostile text on a terminal, and literals as patterns that no syntax reads otherwise.

use std::fmt::Write;

/// `text` with everything escaped that a terminal would act on or that cannot be seen: control characters, and those
/// that change the direction of text or take no room.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match c {
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c)),
            c if c.is_control() || is_unseen(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out
}

fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A regular expression for exactly these bytes, made of characters that neither SecLang, nor YAML in single quotes,
/// nor an action's value gives a meaning to.
pub fn literal_pattern(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'~' | b'=' | b':' | b'@') {
            out.push(char::from(byte));
        } else if matches!(byte, b'.' | b'+') {
            out.push('\\');
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_shown_nothing_that_they_act_on() {
        assert_eq!(escaped("a\u{1b}[31m\r\n\u{202e}b\u{9b}é"), "a\\x1b[31m\\r\\n\\u{202e}b\\u{9b}é");
    }

    #[test]
    fn literals_are_patterns_of_harmless_characters() {
        assert_eq!(literal_pattern(b"/a b.\"'%{x},;"), r"/a\x20b\.\x22\x27\x25\x7bx\x7d\x2c\x3b");
    }
}
