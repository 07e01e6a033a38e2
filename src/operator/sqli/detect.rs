//! The decision: which ways a value is read, and which of the known fingerprints are let pass after all.

use super::fold::{Folder, MOST};
use super::token::{Kind, Token};
use super::tokenizer::{Reading, Tokenizer, is_plain};
use super::words;
use std::fmt;

/// The kinds of the first tokens of an attack: one to five letters, as libinjection writes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    letters: [u8; MOST],
    length: u8,
}

impl Fingerprint {
    /// The letters.
    pub fn as_bytes(&self) -> &[u8] {
        self.letters.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The fingerprint of the first reading in which a value is an attack.
pub fn detect(input: &[u8]) -> Option<Fingerprint> {
    if is_plain(input) {
        return None;
    }
    for quote in [0, b'\''] {
        if quote != 0 && memchr::memchr(quote, input).is_none() {
            continue;
        }
        let ansi = Read::new(input, Reading { quote, mysql: false });
        if ansi.is_attack() {
            return Some(ansi.fingerprint);
        }
        if ansi.differs_in_mysql {
            let mysql = Read::new(input, Reading { quote, mysql: true });
            if mysql.is_attack() {
                return Some(mysql.fingerprint);
            }
        }
    }
    // Only MySQL has strings in double quotes.
    if memchr::memchr(b'"', input).is_some() {
        let mysql = Read::new(input, Reading { quote: b'"', mysql: true });
        if mysql.is_attack() {
            return Some(mysql.fingerprint);
        }
    }
    None
}

/// The tokens of a value as it stands, read as ANSI SQL, before folding. For tests and for people: [`detect`] stops
/// reading when the fingerprint is known.
pub fn tokens(input: &[u8]) -> Vec<Token> {
    let mut tokenizer = Tokenizer::new(input, Reading { quote: 0, mysql: false });
    std::iter::from_fn(|| tokenizer.next()).collect()
}

/// The tokens of the fingerprint of a value as it stands, read as ANSI SQL. For tests and for people.
pub fn folded(input: &[u8]) -> Vec<Token> {
    let mut tokenizer = Tokenizer::new(input, Reading { quote: 0, mysql: false });
    let (folder, count) = Folder::fold(&mut tokenizer);
    folder.tokens.into_iter().take(count).collect()
}

/// A value after one reading.
pub(super) struct Read<'i> {
    input: &'i [u8],
    /// The tokens of the fingerprint.
    tokens: [Token; 8],
    /// How many these are.
    count: usize,
    pub fingerprint: Fingerprint,
    /// How many tokens were read before folding.
    read: usize,
    differs_in_mysql: bool,
}

impl<'i> Read<'i> {
    pub fn new(input: &'i [u8], reading: Reading) -> Self {
        let mut tokenizer = Tokenizer::new(input, reading);
        let (folder, count) = Folder::fold(&mut tokenizer);
        let mut tokens = folder.tokens;
        // A backquote at the very end is PHP's way of a comment.
        if count > 2 {
            let last = &mut tokens[(count - 1) & 7];
            if last.kind == Kind::Bareword && (last.open, last.close, last.length) == (b'`', 0, 0) {
                last.kind = Kind::Comment;
            }
        }
        let evil = tokens.iter().take(count).any(|token| token.kind == Kind::Evil);
        let count = if evil {
            tokens[0].kind = Kind::Evil;
            1
        } else {
            count
        };
        let mut letters = [0; MOST];
        for (letter, token) in letters.iter_mut().zip(&tokens).take(count) {
            *letter = token.kind.letter();
        }
        let fingerprint = Fingerprint { letters, length: u8::try_from(count.min(MOST)).unwrap_or_default() };
        let (read, differs_in_mysql) = (tokenizer.count, tokenizer.differs_in_mysql);
        Self { input, tokens, count, fingerprint, read, differs_in_mysql }
    }

    /// Whether the fingerprint is one of an attack, and nothing speaks against it.
    pub fn is_attack(&self) -> bool {
        let kinds = self.tokens.iter().take(self.count).map(|token| token.kind);
        self.count > 0 && words::words().is_attack(words::pack(kinds)) && !self.is_let_pass()
    }

    /// Whether this is a fingerprint that innocent values have as well, and the value looks like one of those.
    fn is_let_pass(&self) -> bool {
        let last = self.tokens[self.count.saturating_sub(1) & 7];
        if self.count > 1 && last.kind == Kind::Comment {
            // SQL Server keeps what names this out of its audit log.
            if memchr::memmem::find(self.input, b"sp_password").is_some() {
                return false;
            }
        }
        match self.count {
            2 => self.two_are_let_pass(),
            3 => self.three_are_let_pass(),
            _ => false,
        }
    }

    fn two_are_let_pass(&self) -> bool {
        let [first, second, ..] = self.tokens;
        if second.kind == Kind::Union {
            // `1 union` may be anything; with folding or comments it is not.
            return self.read == 2;
        }
        let begins = if second.length > 0 { self.input.get(second.at).copied() } else { None };
        if begins == Some(b'#') {
            return true;
        }
        match (first.kind, second.kind) {
            (Kind::Bareword, Kind::Comment) if begins != Some(b'/') => true,
            (Kind::Number, Kind::Comment) => {
                if begins == Some(b'/') || self.read > 2 {
                    return false;
                }
                // `1234-ABCD--` is a kind of identifier. The number's end is wanted; C forgets where it begins.
                let end = usize::from(first.length);
                let rest = self.input.get(end..).unwrap_or_default();
                match rest {
                    // C compares signed bytes.
                    [] | [..=32 | 128.., ..] | [b'/', b'*', ..] | [b'-', b'-', ..] => false,
                    _ => true,
                }
            }
            // Text has `--` too; at its end it is taken for an attack.
            _ => second.length > 2 && begins == Some(b'-'),
        }
    }

    fn three_are_let_pass(&self) -> bool {
        let [first, second, third, ..] = self.tokens;
        match self.fingerprint.as_bytes() {
            // `…foo' + 'bar…`, without the outer quotes.
            b"sos" | b"s&s" => !(first.open == 0 && third.close == 0 && first.close == third.open),
            b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => self.read == 3,
            _ if second.kind == Kind::Keyword => {
                // `INTO OUTFILE` and `INTO DUMPFILE` of MySQL.
                let text = second.text(self.input);
                text.len() < 5 || !text.get(..4).is_some_and(|into| into.eq_ignore_ascii_case(b"INTO"))
            }
            _ => false,
        }
    }
}
