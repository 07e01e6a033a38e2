//! One word of a command line, read as a shell reads it.

use smallvec::SmallVec;

/// A word without its quotes.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// What is left when quotes, backslashes and empty expansions are gone.
    pub text: SmallVec<[u8; 32]>,
    /// Quotes, backslashes, carets and empty expansions inside of the word: of the kind that leaves the name as it is.
    pub tricks: usize,
    /// Where it ends in the value.
    pub end: usize,
    /// What ended it was a blank that only a shell sees, `$IFS` or a brace's comma.
    pub hidden_blank: bool,
    /// It stood in quotes as a whole.
    pub quoted: bool,
}

/// Bytes of a word that are read. Names of commands are shorter, and longer words say nothing.
const LONGEST: usize = 96;

/// Reads the word that begins at `start`. `None` where none begins, or it does not end.
pub(super) fn word(value: &[u8], start: usize) -> Option<Word> {
    let mut word = Word::default();
    let mut at = start;
    let limit = value.len().min(start + LONGEST);
    let brace = value.get(at) == Some(&b'{');
    if brace {
        at += 1;
    }
    while at < limit {
        let rest = value.get(at..limit)?;
        match rest {
            [
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')' | b'`' | 0,
                ..,
            ] => break,
            [b',', ..] if brace => {
                word.hidden_blank = true;
                word.tricks += 1;
                break;
            }
            [b'}', ..] if brace => break,
            [quote @ (b'\'' | b'"'), inner @ ..] => at += quoted(&mut word, *quote, inner, at == start)? + 1,
            [b'$', quote @ (b'\'' | b'"'), inner @ ..] => {
                at += quoted(&mut word, *quote, inner, false)? + 2;
            }
            [b'$', ..] => match blank(rest) {
                Some(_) => {
                    word.hidden_blank = true;
                    word.tricks += 1;
                    break;
                }
                None => {
                    let (text, used) = expansion(rest)?;
                    word.text.extend_from_slice(text);
                    word.tricks += 1;
                    at += used;
                }
            },
            [b'\\', b'\r' | b'\n', ..] => at += 2,
            [b'\\' | b'^', byte, ..]
                if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.') =>
            {
                word.text.push(*byte);
                // C:\Windows\system32 is a path.
                word.tricks += usize::from(!word.text.contains(&b':'));
                at += 2;
            }
            [b'\\', byte, ..] => {
                word.text.push(*byte);
                at += 2;
            }
            [byte, ..] => {
                word.text.push(*byte);
                at += 1;
            }
            [] => break,
        }
    }
    word.end = at;
    (at > start && (at < limit || limit == value.len())).then_some(word)
}

/// What stands in quotes, to their end: how many bytes, the closing quote included.
fn quoted(word: &mut Word, quote: u8, inner: &[u8], first: bool) -> Option<usize> {
    let end = inner.iter().position(|b| *b == quote)?;
    let text = inner.get(..end)?;
    if text.iter().any(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b'`')) {
        return None;
    }
    word.text.extend_from_slice(text);
    let next = inner.get(end + 1);
    let ends = next.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b')' | b'`'));
    if first && ends {
        word.quoted = true;
    } else {
        word.tricks += 1;
    }
    Some(end + 1)
}

/// `$IFS` in its spellings, which is a blank.
pub(super) fn blank(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"${IFS") {
        return text.iter().position(|b| *b == b'}').map(|at| at + 1);
    }
    let rest = text.strip_prefix(b"$IFS")?;
    match rest {
        [b'$', digit, ..] if digit.is_ascii_digit() => Some(6),
        [b, ..] if b.is_ascii_alphanumeric() || *b == b'_' => None,
        _ => Some(4),
    }
}

/// An expansion that gives nothing (`$@`, `$9`, `${x}`), or a slash out of a variable that holds a path. What it gives
/// and how long it is.
fn expansion(text: &[u8]) -> Option<(&'static [u8], usize)> {
    match text {
        [b'$', b'@' | b'*' | b'!' | b'-' | b'1'..=b'9', ..] => Some((b"", 2)),
        [b'$', b'{', inner @ ..] => {
            let end = inner.iter().take(24).position(|b| *b == b'}')?;
            let inner = inner.get(..end)?;
            let name = inner.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            let path = [&b"PATH"[..], b"HOME", b"PWD", b"SHELL"].contains(&inner.get(..name)?);
            let text: &[u8] = if path && name < inner.len() { b"/" } else { b"" };
            Some((text, end + 3))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, usize)> {
        let word = word(text.as_bytes(), 0)?;
        Some((String::from_utf8_lossy(&word.text).into_owned(), word.tricks))
    }

    #[test]
    fn quotes_and_expansions_are_undone() {
        for (written, plain, tricks) in [
            ("whoami", "whoami", 0),
            ("w'h'oami", "whoami", 1),
            ("w\"h\"o'am'i x", "whoami", 2),
            ("c\\at", "cat", 1),
            ("w^h^oami", "whoami", 2),
            ("who$@ami", "whoami", 1),
            ("who${x}ami", "whoami", 1),
            ("wh$9oami", "whoami", 1),
            ("${PATH:0:1}bin${HOME:0:1}cat", "/bin/cat", 2),
            ("cat$IFS/etc", "cat", 1),
            ("cat${IFS}x", "cat", 1),
            ("{cat,/etc/passwd}", "cat", 1),
            ("$'whoami'", "whoami", 1),
            ("'whoami'", "whoami", 0),
            ("C:\\Windows\\cmd", "C:Windowscmd", 0),
        ] {
            assert_eq!(read(written), Some((plain.to_owned(), tricks)), "{written}");
        }
        for none in ["", " x", "'whoami", "'who am i'", "${", "$((1))"] {
            assert!(read(none).is_none(), "{none}");
        }
        assert!(word(&[b'a'; 500], 0).is_none());
    }
}
