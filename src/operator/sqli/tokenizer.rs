//! Cuts a value into tokens, as libinjection does: what begins with a byte says which function reads it.

use super::bytes::{
    BINARY, Begins, ENDS_VARIABLE, ENDS_WORD, HEX, MONEY, PLAIN, SPLITS_WORD, TAG, begins, class, is_white,
    span,
};
use super::token::{Kind, LONGEST, Token};
use super::words::{Word, Words, words};
use memchr::{memchr, memmem};

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The quote that is taken to stand before the value, 0 for none.
    pub quote: u8,
    /// MySQL: `#` begins a comment, `--` does so only before white space. Otherwise ANSI SQL.
    pub mysql: bool,
}

/// The tokens of a value, and what C counts on the way.
pub(super) struct Tokenizer<'i> {
    pub input: &'i [u8],
    pub words: &'static Words,
    /// How many tokens there were so far, comments included.
    pub count: usize,
    /// Whether there was anything which MySQL reads in another way than ANSI SQL.
    pub differs_in_mysql: bool,
    reading: Reading,
    at: usize,
}

impl<'i> Tokenizer<'i> {
    pub fn new(input: &'i [u8], reading: Reading) -> Self {
        Self { input, words: words(), count: 0, differs_in_mysql: false, reading, at: 0 }
    }

    /// The next token.
    pub fn next(&mut self) -> Option<Token> {
        if self.at == 0 && self.reading.quote != 0 && !self.input.is_empty() {
            self.count += 1;
            return Some(self.string(0, 0, self.reading.quote));
        }
        loop {
            let byte = *self.input.get(self.at)?;
            let token = match begins(byte) {
                Begins::White => {
                    self.at += 1;
                    continue;
                }
                Begins::Word => self.word(),
                Begins::Number => self.number(),
                Begins::Itself(kind) => self.take(kind, 1),
                Begins::Operator => self.operator(),
                Begins::String => self.string(self.at + 1, byte, byte),
                Begins::Dash => self.dash(),
                Begins::Slash => self.slash(),
                Begins::Hash => self.hash(),
                Begins::Variable => self.variable(),
                Begins::Money => self.money(),
                Begins::Backquote => self.backquoted(),
                Begins::Bracket => self.bracketed(),
                Begins::Backslash => self.backslash(),
                Begins::BinaryString => self.number_string(BINARY),
                Begins::HexString => self.number_string(HEX),
                Begins::EscapedString => self.escaped_string(),
                Begins::NationalString => self.national_string(),
                Begins::OracleString => self.oracle_string(0),
                Begins::UnicodeString => self.unicode_string(),
            };
            self.count += 1;
            return Some(token);
        }
    }

    /// Whether all of the input has been read.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    /// The rest of the input from an offset to the place that is being read.
    fn rest(&self, offset: usize) -> &'i [u8] {
        self.input.get(self.at + offset..).unwrap_or_default()
    }

    /// The byte at an offset to the place that is being read.
    fn byte(&self, offset: usize) -> Option<u8> {
        self.input.get(self.at + offset).copied()
    }

    /// A token of the next `length` bytes.
    fn take(&mut self, kind: Kind, length: usize) -> Token {
        let token = Token::new(kind, self.at, length);
        self.at += length;
        token
    }

    fn word(&mut self) -> Token {
        let rest = self.rest(0);
        let (length, keyword) = measure_word(rest, self.words);
        if let Some((kind, word)) = keyword {
            return Token { word, ..self.take(kind, length) };
        }
        let mut token = self.take(Kind::Bareword, length);
        if length <= LONGEST {
            token.word = self.words.find(rest.get(..length).unwrap_or_default());
            let kind = self.words.kind(token.word);
            if kind != Kind::None {
                token.kind = kind;
            }
        }
        token
    }

    fn number(&mut self) -> Token {
        let digits = match (self.byte(0), self.byte(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => HEX,
            (Some(b'0'), Some(b'b' | b'B')) => BINARY,
            _ => return self.decimal(),
        };
        match span(self.rest(2), digits) {
            0 => self.take(Kind::Bareword, 2),
            length => self.take(Kind::Number, 2 + length),
        }
    }

    fn decimal(&mut self) -> Token {
        let rest = self.rest(0);
        let byte = |at: usize| rest.get(at).copied();
        let digits = |from: usize| {
            rest.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let mut length = digits(0);
        if byte(length) == Some(b'.') {
            length += 1 + digits(length + 1);
            if length == 1 {
                return self.take(Kind::Dot, 1);
            }
        }
        let mut kind = Kind::Number;
        if let Some(b'e' | b'E') = byte(length) {
            length += 1;
            if let Some(b'+' | b'-') = byte(length) {
                length += 1;
            }
            let exponent = digits(length);
            length += exponent;
            if exponent == 0 {
                // `1.e` and `.E` are words.
                kind = Kind::Bareword;
            }
        }
        // Oracle's suffixes; `1fUNION` is `1f UNION`, but `123FROM` is `123 FROM`.
        if let Some(b'd' | b'D' | b'f' | b'F') = byte(length) {
            let next = byte(length + 1);
            if next.is_none_or(|next| is_white(next) || matches!(next, b';' | b'u' | b'U')) {
                length += 1;
            }
        }
        self.take(kind, length)
    }

    fn operator(&mut self) -> Token {
        let rest = self.rest(0);
        if rest.starts_with(b"<=>") {
            return self.take(Kind::Operator, 3);
        }
        if let Some(two) = rest.get(..2) {
            let word = self.words.find(two);
            let kind = self.words.kind(word);
            if kind != Kind::None {
                return Token { word, ..self.take(kind, 2) };
            }
            if two[0] == b':' {
                return self.take(Kind::Colon, 1);
            }
        }
        // A colon that ends the value is an operator, as in C.
        self.take(Kind::Operator, 1)
    }

    /// A string whose text begins at `from`, up to the next quote that is neither doubled nor after an odd
    /// number of backslashes. `open` says what is to be told of the quote before it.
    fn string(&mut self, from: usize, open: u8, quote: u8) -> Token {
        let text = self.input.get(from..).unwrap_or_default();
        let mut search = 0;
        while let Some(found) = text.get(search..).and_then(|rest| memchr(quote, rest)) {
            let at = search + found;
            let backslashes = text[..at].iter().rev().take_while(|b| **b == b'\\').count();
            if backslashes % 2 == 1 {
                search = at + 1;
            } else if text.get(at + 1) == Some(&quote) {
                search = at + 2;
            } else {
                self.at = from + at + 1;
                return Token { open, close: quote, ..Token::new(Kind::String, from, at) };
            }
        }
        self.at = self.input.len();
        Token { open, ..Token::new(Kind::String, from, text.len()) }
    }

    /// A string whose text begins at an offset and ends before the first `end`.
    fn string_until(&mut self, offset: usize, end: &[u8], mark: u8) -> Token {
        let (from, text) = (self.at + offset, self.rest(offset));
        if let Some(length) = memmem::find(text, end) {
            self.at = from + length + end.len();
            return Token { open: mark, close: mark, ..Token::new(Kind::String, from, length) };
        }
        self.at = self.input.len();
        Token { open: mark, ..Token::new(Kind::String, from, text.len()) }
    }

    /// `E'…'`.
    fn escaped_string(&mut self) -> Token {
        if self.byte(1) != Some(b'\'') || self.byte(2).is_none() {
            return self.word();
        }
        self.string(self.at + 2, b'\'', b'\'')
    }

    /// `N'…'`, and Oracle's `NQ'…'`.
    fn national_string(&mut self) -> Token {
        if self.byte(1) == Some(b'\'') && self.byte(2).is_some() {
            return self.escaped_string();
        }
        self.oracle_string(1)
    }

    /// `Q'(…)'`.
    fn oracle_string(&mut self, offset: usize) -> Token {
        let (Some(b'q' | b'Q'), Some(b'\''), Some(bracket)) =
            (self.byte(offset), self.byte(offset + 1), self.byte(offset + 2))
        else {
            return self.word();
        };
        // C compares signed bytes.
        if !(33..=127).contains(&bracket) {
            return self.word();
        }
        let end = match bracket {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        self.string_until(offset + 3, &[end, b'\''], b'q')
    }

    /// `U&'…'`.
    fn unicode_string(&mut self) -> Token {
        if self.byte(1) != Some(b'&') || self.byte(2) != Some(b'\'') {
            return self.word();
        }
        let token = self.string(self.at + 3, b'u', b'\'');
        Token { close: if token.close == 0 { 0 } else { b'u' }, ..token }
    }

    /// `X'0f'` and `B'01'`.
    fn number_string(&mut self, digits: u8) -> Token {
        if self.byte(1) != Some(b'\'') {
            return self.word();
        }
        let length = span(self.rest(2), digits);
        if self.byte(2 + length) != Some(b'\'') {
            return self.word();
        }
        self.take(Kind::Number, length + 3)
    }

    /// `[a name]` of SQL Server.
    fn bracketed(&mut self) -> Token {
        let rest = self.rest(0);
        let length = memchr(b']', rest).map_or(rest.len(), |end| end + 1);
        self.take(Kind::Bareword, length)
    }

    fn backquoted(&mut self) -> Token {
        let mut token = self.string(self.at + 1, b'`', b'`');
        token.word = self.words.find(token.text(self.input));
        let function = self.words.kind(token.word) == Kind::Function;
        token.kind = if function { Kind::Function } else { Kind::Bareword };
        token
    }

    /// `@name`, `@@name`, and the name may be quoted. The text is the name alone.
    fn variable(&mut self) -> Token {
        self.at += if self.byte(1) == Some(b'@') { 2 } else { 1 };
        let quoted = match self.byte(0) {
            Some(b'`') => self.backquoted(),
            Some(quote @ (b'\'' | b'"')) => self.string(self.at + 1, quote, quote),
            _ => {
                let length = self.rest(0).iter().take_while(|b| class(**b) & ENDS_VARIABLE == 0).count();
                return self.take(Kind::Variable, length);
            }
        };
        Token { kind: Kind::Variable, word: Word::NONE, ..quoted }
    }

    /// `$1,000.00`, `$$…$$`, `$tag$…$tag$`, or the sign alone.
    fn money(&mut self) -> Token {
        let Some(next) = self.byte(1) else { return self.take(Kind::Bareword, 1) };
        let digits = span(self.rest(1), MONEY);
        if digits == 1 && next == b'.' {
            return self.word();
        }
        if digits > 0 {
            return self.take(Kind::Number, 1 + digits);
        }
        if next == b'$' {
            return self.string_until(2, b"$$", b'$');
        }
        let tag = span(self.rest(1), TAG);
        if tag == 0 || self.byte(1 + tag) != Some(b'$') {
            return self.take(Kind::Bareword, 1);
        }
        let end = self.rest(0).get(..tag + 2).unwrap_or_default();
        self.string_until(tag + 2, end, b'$')
    }

    fn backslash(&mut self) -> Token {
        // `\N` is MySQL's NULL.
        if self.byte(1) == Some(b'N') { self.take(Kind::Number, 2) } else { self.take(Kind::Backslash, 1) }
    }

    fn hash(&mut self) -> Token {
        self.differs_in_mysql = true;
        if self.reading.mysql { self.line_comment() } else { self.take(Kind::Operator, 1) }
    }

    fn dash(&mut self) -> Token {
        if self.byte(1) != Some(b'-') {
            return self.take(Kind::Operator, 1);
        }
        if self.byte(2).is_none_or(is_white) {
            return self.line_comment();
        }
        self.differs_in_mysql = true;
        if self.reading.mysql { self.take(Kind::Operator, 1) } else { self.line_comment() }
    }

    fn line_comment(&mut self) -> Token {
        let rest = self.rest(0);
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let token = self.take(Kind::Comment, length);
        self.at = self.input.len().min(self.at + 1);
        token
    }

    fn slash(&mut self) -> Token {
        if self.byte(1) != Some(b'*') {
            return self.take(Kind::Operator, 1);
        }
        let text = self.rest(2);
        let end = memmem::find(text, b"*/");
        // PostgreSQL nests comments, MySQL runs those with `!`: no reading is right for all. C looks for `/*` up to
        // and with the star that ends the comment.
        let nested = end.is_some_and(|end| memmem::find(&text[..=end], b"/*").is_some());
        let kind = if nested || text.first() == Some(&b'!') { Kind::Evil } else { Kind::Comment };
        self.take(kind, 2 + end.map_or(text.len(), |end| end + 2))
    }
}

/// Whether the value has none of [`NEEDED`](super::NEEDED).
///
/// Such a value is never an attack: it is a row of numbers and of words like `0x` and `1e`, and at most one
/// other word at its end; of the fingerprints that begin like this, attacks have only `1U`, and that is let pass
/// when there are but these two tokens.
pub(super) fn is_plain(input: &[u8]) -> bool {
    input.iter().all(|byte| class(*byte) & PLAIN != 0)
}

/// Whether the value is one word, such as `user.address.city`, and so no attack: no fingerprint of attacks is that of a
/// word alone.
pub(super) fn is_one_word(input: &[u8]) -> bool {
    let first = input.first().map(|byte| begins(*byte));
    // What begins a string does so only with a quote, which would end the word.
    let word = matches!(
        first,
        Some(
            Begins::Word
                | Begins::BinaryString
                | Begins::HexString
                | Begins::EscapedString
                | Begins::NationalString
                | Begins::OracleString
                | Begins::UnicodeString
        )
    );
    word && measure_word(input, words()) == (input.len(), None)
}

/// The length of the word that the text begins with, and what it is if it ends before a dot or a backquote, as in
/// `SELECT.1` and `SELECT`column``.
fn measure_word(text: &[u8], words: &Words) -> (usize, Option<(Kind, Word)>) {
    for (length, byte) in text.iter().enumerate() {
        let class = class(*byte);
        if class & (ENDS_WORD | SPLITS_WORD) == 0 {
            continue;
        }
        if class & ENDS_WORD != 0 {
            return (length, None);
        }
        if (1..LONGEST).contains(&length) {
            let word = words.find(text.get(..length).unwrap_or_default());
            let kind = words.kind(word);
            if kind != Kind::None && kind != Kind::Bareword {
                return (length, Some((kind, word)));
            }
        }
    }
    (text.len(), None)
}
