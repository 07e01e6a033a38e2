//! Secrets that are known by their shape, whatever they are called: payment card numbers and JSON web tokens.

use memchr::{memchr, memmem};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::LazyLock;

/// Where such secrets stand in `text`. Linear in it.
pub(super) fn shaped(text: &[u8], ranges: &mut Vec<Range<usize>>) {
    // Few texts have as many digits as a card. Counting them takes vector instructions; the search does not.
    let digits = |piece: &[u8]| usize::from(piece.iter().map(|b| u8::from(b.is_ascii_digit())).sum::<u8>());
    if text.chunks(128).map(digits).sum::<usize>() >= *DIGITS.start() {
        cards(text, ranges);
    }
    tokens(text, ranges);
}

/// Digits of a card number (ISO/IEC 7812).
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Groups of 13 to 19 digits together that begin as cards do and whose check digit is right. Blanks, hyphens and what
/// URLs make of them may stand between groups.
fn cards(text: &[u8], ranges: &mut Vec<Range<usize>>) {
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let (mut at, mut in_word) = (0, false);
    while let Some(byte) = text.get(at) {
        // An escape of a URL: its digits belong to no word.
        if *byte == b'%' && text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        {
            (at, in_word) = (at + 3, false);
            continue;
        }
        if !digit(at) || in_word {
            (at, in_word) = (at + 1, byte.is_ascii_alphanumeric());
            continue;
        }
        in_word = true;
        match card(text, at) {
            Some(end) => {
                ranges.push(at..end);
                at = end;
            }
            // The next group may begin one.
            None => {
                at += text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
            }
        }
    }
}

/// The end of the card number that begins at `start`: of several the longest.
fn card(text: &[u8], start: usize) -> Option<usize> {
    let (mut digits, mut at, mut found) = (SmallVec::<[u8; 20]>::new(), start, None);
    while digits.len() <= *DIGITS.end() {
        match text.get(at) {
            Some(digit) if digit.is_ascii_digit() => {
                digits.push(digit - b'0');
                at += 1;
                continue;
            }
            next => {
                let ends = !next.is_some_and(u8::is_ascii_alphabetic);
                if ends && DIGITS.contains(&digits.len()) && begins_as_card(&digits) && checks(&digits) {
                    found = Some(at);
                }
            }
        }
        let gap = match text.get(at) {
            Some(b' ' | b'-' | b'+') => 1,
            _ if text.get(at..at + 3).is_some_and(is_escape) => 3,
            _ => break,
        };
        if !text.get(at + gap).is_some_and(u8::is_ascii_digit) {
            break;
        }
        at += gap;
    }
    found
}

/// A blank or a hyphen in a URL.
fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, b"%20" | b"%2d" | b"%2D")
}

/// The first digits that payment networks have: 2221 to 2720, 3, 4, 5, 6.
fn begins_as_card(digits: &[u8]) -> bool {
    match digits {
        [3..=6, ..] => true,
        [2, a, b, c, ..] => (221..=720).contains(&(u16::from(*a) * 100 + u16::from(*b) * 10 + u16::from(*c))),
        _ => false,
    }
}

/// Luhn's check digit.
fn checks(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let weighed =
        |(place, digit): (usize, &u8)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit });
    digits.iter().rev().enumerate().map(weighed).sum::<u32>() % 10 == 0
}

/// `eyJ….….…`: what a JSON web token looks like. Its first part is kept to the mask as well.
fn tokens(text: &[u8], ranges: &mut Vec<Range<usize>>) {
    let part = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count()
    };
    // Nothing to do in most texts, and a dot is rarer than the letters.
    if memchr(b'.', text).is_none() {
        return;
    }
    static START: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("eyJ"));
    let mut past = 0;
    for start in START.find_iter(text) {
        if start < past {
            continue;
        }
        let mut end = start + part(start);
        past = end;
        let mut parts = 1;
        while parts < 3 && text.get(end) == Some(&b'.') {
            let length = part(end + 1);
            end += 1 + length;
            parts += 1;
            past = end;
            if length < LEAST {
                break;
            }
        }
        if parts >= 2 && end - start >= 3 * LEAST {
            ranges.push(start..end);
        }
    }
}

/// Bytes of a token's part at least.
const LEAST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut ranges = Vec::new();
        shaped(text.as_bytes(), &mut ranges);
        let mut out = text.to_owned();
        ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
        ranges.into_iter().for_each(|range| out.replace_range(range, "*"));
        out
    }

    #[test]
    fn card_numbers_are_found_and_other_numbers_are_not() {
        for (text, expected) in [
            ("n=4111111111111111&x", "n=*&x"),
            ("n=4111+1111+1111+1111&x=5500%200000%200000%200004", "n=*&x=*"),
            ("pay 3782-822463-10005 12/27", "pay * 12/27"),
            ("{\"a\":6011000990139424}", "{\"a\":*}"),
            ("%204111111111111111", "%20*"),
            ("2223003122003222", "*"),
            ("4111111111111112", "4111111111111112"),
            (
                "1700000000000 20260101120000 id41111111111111119x",
                "1700000000000 20260101120000 id41111111111111119x",
            ),
            ("4111 1111 1111 1111 99", "* 99"),
            ("tel 030 123 456", "tel 030 123 456"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn web_tokens_are_found() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
        assert_eq!(masked(&format!("x={token}&y")), "x=*&y");
        assert_eq!(masked("eyJhbGciOiJIUzI1NiJ9 eyJ.a"), "eyJhbGciOiJIUzI1NiJ9 eyJ.a");
        assert_eq!(masked(&"eyJ".repeat(50_000)).len(), 150_000);
    }
}
