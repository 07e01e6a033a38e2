//! A token: what kind it is and where its text stands. The text is never copied.

use super::words::{Word, words};

/// A piece of SQL. Its text is a part of the input, or, once words have been merged, an entry of the word table.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Where the text begins, in bytes from the value's beginning. For a merged token: where its first word does.
    pub at: usize,
    /// Bytes of text, at most [`LONGEST`]: C keeps no more, and decides by what it kept.
    pub length: u8,
    /// What it is.
    pub kind: Kind,
    /// The quote before the text (`u` for `U&'`, `q` for `q'`), 0 for none.
    pub open: u8,
    /// The quote after the text, 0 when the value ends before it.
    pub close: u8,
    /// Whether the text is that of `word` rather than a part of the input.
    pub(super) merged: bool,
    /// Its entry in the word table, when it is of a kind that may be merged with others.
    pub(super) word: Word,
}

impl Token {
    /// A token of `length` bytes at `at`, without quotes. The length is cut to [`LONGEST`].
    pub(super) fn new(kind: Kind, at: usize, length: usize) -> Self {
        let length = u8::try_from(length.min(LONGEST)).unwrap_or_default();
        Self { at, length, kind, open: 0, close: 0, merged: false, word: Word::NONE }
    }

    /// No token.
    pub(super) const NONE: Self =
        Self { at: 0, length: 0, kind: Kind::None, open: 0, close: 0, merged: false, word: Word::NONE };

    /// The text, at most [`LONGEST`] bytes, given the value that the token comes from. Merged words are in capitals.
    pub fn text<'i>(&self, input: &'i [u8]) -> &'i [u8] {
        if self.merged {
            return words().text(self.word);
        }
        input.get(self.at..self.at + usize::from(self.length)).unwrap_or_default()
    }
}

/// More bytes of a token than this are not kept.
pub const LONGEST: usize = 31;

/// What a token is. [`Kind::letter`] is its letter in fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// No token.
    None,
    /// `k`: a word of SQL that is none of the kinds below.
    Keyword,
    /// `U`: `UNION` and what else combines queries.
    Union,
    /// `B`: `GROUP BY`, `LIMIT`, `HAVING`.
    Group,
    /// `E`: what begins a statement or an expression.
    Expression,
    /// `t`: the name of a type.
    SqlType,
    /// `f`: the name of a function.
    Function,
    /// `n`: any other word.
    Bareword,
    /// `1`: a number.
    Number,
    /// `v`: a variable, or a word that acts as one.
    Variable,
    /// `s`: a string.
    String,
    /// `o`: an operator.
    Operator,
    /// `&`: an operator of logic.
    LogicOperator,
    /// `c`: a comment.
    Comment,
    /// `A`: `COLLATE`.
    Collate,
    /// `(`
    LeftParenthesis,
    /// `)`
    RightParenthesis,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `;`
    Semicolon,
    /// `T`: what begins a statement of Transact-SQL.
    Tsql,
    /// `?`: a byte that SQL does not know.
    Unknown,
    /// `X`: what databases read so differently that it is an attack whatever surrounds it.
    Evil,
    /// `\`
    Backslash,
}

impl Kind {
    /// The letter in fingerprints; NUL for [`Kind::None`].
    pub fn letter(self) -> u8 {
        LETTERS.get(self as usize).copied().unwrap_or_default()
    }

    /// The kind of a letter. Fingerprints proper, `F` in the word table, are not a kind.
    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        ALL.iter().copied().find(|kind| kind.letter() == letter)
    }

    /// Whether the kind is one of a set.
    pub(super) const fn is_in(self, set: KindSet) -> bool {
        set.0 >> (self as u32) & 1 != 0
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct KindSet(u32);

impl KindSet {
    pub(super) const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < kinds.len() {
            bits |= 1 << (kinds[i] as u32);
            i += 1;
        }
        Self(bits)
    }
}

/// In the order of [`Kind`].
const LETTERS: &[u8; 27] = b"\0kUBEtfn1vso&cA(){}.,:;T?X\\";

const ALL: [Kind; 27] = [
    Kind::None,
    Kind::Keyword,
    Kind::Union,
    Kind::Group,
    Kind::Expression,
    Kind::SqlType,
    Kind::Function,
    Kind::Bareword,
    Kind::Number,
    Kind::Variable,
    Kind::String,
    Kind::Operator,
    Kind::LogicOperator,
    Kind::Comment,
    Kind::Collate,
    Kind::LeftParenthesis,
    Kind::RightParenthesis,
    Kind::LeftBrace,
    Kind::RightBrace,
    Kind::Dot,
    Kind::Comma,
    Kind::Colon,
    Kind::Semicolon,
    Kind::Tsql,
    Kind::Unknown,
    Kind::Evil,
    Kind::Backslash,
];
