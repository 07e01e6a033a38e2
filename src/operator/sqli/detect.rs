//! The decision: which ways a value is read, and which of the known fingerprints are let pass after all.

use super::fold::{Folder, MOST};
use super::token::{Kind, Token};
use super::tokenizer::{Reading, Tokenizer, is_one_word, is_plain};
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
    if is_plain(input) || is_one_word(input) {
        return None;
    }
    let attack = judge_in_either(input, 0);
    // Most values have no quotes, and one search tells.
    if attack.is_some() || memchr::memchr2(b'\'', b'"', input).is_none() {
        return attack;
    }
    if memchr::memchr(b'\'', input).is_some() {
        let attack = judge_in_either(input, b'\'');
        if attack.is_some() {
            return attack;
        }
    }
    // Only MySQL has strings in double quotes.
    memchr::memchr(b'"', input)?;
    judge(input, Reading { quote: b'"', mysql: true }).attack
}

/// Judges a value read as ANSI SQL and, where that reads it in another way, as MySQL.
fn judge_in_either(input: &[u8], quote: u8) -> Option<Fingerprint> {
    let ansi = judge(input, Reading { quote, mysql: false });
    if ansi.attack.is_some() || !ansi.differs_in_mysql {
        return ansi.attack;
    }
    judge(input, Reading { quote, mysql: true }).attack
}

/// The tokens of a value as it stands, read as ANSI SQL, before folding. For tests and for people: [`detect`] stops
/// reading when the fingerprint is known.
pub fn tokens(input: &[u8]) -> Vec<Token> {
    let mut tokenizer = Tokenizer::new(input, Reading { quote: 0, mysql: false });
    std::iter::from_fn(|| tokenizer.next()).collect()
}

/// The tokens of the fingerprint of a value as it stands, read as ANSI SQL. For tests and for people.
pub fn folded(input: &[u8]) -> Vec<Token> {
    let mut folder = Folder::new(Tokenizer::new(input, Reading { quote: 0, mysql: false }));
    let count = folder.fold();
    folder.tokens.into_iter().take(count).collect()
}

/// What one reading of a value says.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The fingerprint, if it is one of an attack and nothing speaks against it.
    pub attack: Option<Fingerprint>,
    /// Whether there was anything which MySQL reads in another way than ANSI SQL.
    pub(super) differs_in_mysql: bool,
}

pub(super) fn judge(input: &[u8], reading: Reading) -> Verdict {
    judge_folded(input, Folder::stopping(Tokenizer::new(input, reading)))
}

/// The same without stopping early, which tests compare with it.
#[cfg(test)]
pub(super) fn judge_whole(input: &[u8], reading: Reading) -> Verdict {
    judge_folded(input, Folder::new(Tokenizer::new(input, reading)))
}

#[inline(always)]
fn judge_folded(input: &[u8], mut folder: Folder<'_>) -> Verdict {
    // The tokens are made, folded and judged where they are: to move them would cost as much as most values do.
    let count = folder.fold();
    // A backquote at the very end is PHP's way of a comment.
    if count > 2 {
        let last = &mut folder.tokens[(count - 1) & 7];
        if last.kind == Kind::Bareword && (last.open, last.close, last.length) == (b'`', 0, 0) {
            last.kind = Kind::Comment;
        }
    }
    let evil = folder.tokens.iter().take(count).any(|token| token.kind == Kind::Evil);
    let count = if evil {
        folder.tokens[0].kind = Kind::Evil;
        1
    } else {
        count
    };
    let (read, differs_in_mysql) = (folder.tokenizer.count, folder.tokenizer.differs_in_mysql);
    let read = Read { input, tokens: &folder.tokens, count, read };
    Verdict { attack: read.is_attack().then(|| read.fingerprint()), differs_in_mysql }
}

/// A value after one reading.
struct Read<'r> {
    input: &'r [u8],
    /// The tokens of the fingerprint.
    tokens: &'r [Token; 8],
    /// How many these are.
    count: usize,
    /// How many tokens were read before folding.
    read: usize,
}

impl Read<'_> {
    fn fingerprint(&self) -> Fingerprint {
        let mut letters = [0; MOST];
        for (letter, token) in letters.iter_mut().zip(self.tokens).take(self.count) {
            *letter = token.kind.letter();
        }
        Fingerprint { letters, length: u8::try_from(self.count.min(MOST)).unwrap_or_default() }
    }

    /// Whether the fingerprint is one of an attack, and nothing speaks against it.
    fn is_attack(&self) -> bool {
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
        let [first, second, ..] = *self.tokens;
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
        let [first, second, third, ..] = *self.tokens;
        match self.fingerprint().as_bytes() {
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
