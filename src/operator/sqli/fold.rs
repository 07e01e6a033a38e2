//! Folds runs of tokens that mean no more than one: `1 + 2` is a number, `a.b` a name, `UNION ALL` a word.
//!
//! At most six tokens are held at a time. The rules look at the two or three that begin at `left`; what is left
//! of it has been found good. Which rule comes first, and from where folding goes on after it, is C's.

use super::fold_rules::Step;
use super::token::{Kind, KindSet, Token};
use super::tokenizer::Tokenizer;

/// The first tokens of a value, folded.
pub(super) struct Folder<'i> {
    pub tokenizer: Tokenizer<'i>,
    /// The first [`Folder::count`] are valid. Of these eight, six are ever used; with eight, an index can be masked
    /// instead of being checked.
    pub tokens: [Token; 8],
    pub count: usize,
    pub left: usize,
    /// Whether there may be more tokens in the value.
    more: bool,
    /// The last token of all, when it is a comment. Other comments are dropped.
    comment: Option<Token>,
    /// Whether to stop when the first tokens tell that the fingerprint is none of an attack.
    stops: bool,
}

/// Fingerprints have no more.
pub(super) const MOST: usize = 5;

impl<'i> Folder<'i> {
    pub fn new(tokenizer: Tokenizer<'i>) -> Self {
        Self {
            tokenizer,
            tokens: [Token::NONE; 8],
            count: 0,
            left: 0,
            more: true,
            comment: None,
            stops: false,
        }
    }

    /// It stops when the first tokens tell that the fingerprint is none of an attack.
    pub fn stopping(tokenizer: Tokenizer<'i>) -> Self {
        Self { stops: true, ..Self::new(tokenizer) }
    }

    pub fn kind(&self, at: usize) -> Kind {
        self.tokens[at & 7].kind
    }

    /// The text of a token, at most [`super::token::LONGEST`] bytes. Of merged words in capitals.
    pub fn text(&self, at: usize) -> &[u8] {
        self.tokens[at & 7].text(self.tokenizer.input)
    }

    /// Reads and folds as many tokens as a fingerprint has. Returns how many of [`Folder::tokens`] are its.
    pub fn fold(&mut self) -> usize {
        const SKIPPED: KindSet = KindSet::of(&[Kind::Comment, Kind::LeftParenthesis, Kind::SqlType]);
        loop {
            let Some(token) = self.tokenizer.next() else { return 0 };
            self.tokens[0] = token;
            if !token.kind.is_in(SKIPPED) && !self.is_unary(0) {
                break;
            }
        }
        self.count = 1;
        if self.tokenizer.is_at_end() || self.stops && self.begins_no_attack() {
            return self.count;
        }
        loop {
            if self.count >= MOST && self.five_fold() {
                if self.count > MOST {
                    self.tokens[1] = self.tokens[MOST];
                    self.count = 2;
                } else {
                    self.count = 1;
                }
                self.left = 0;
            }
            if !self.more || self.left >= MOST {
                break;
            }
            if !self.fill(2) {
                continue;
            }
            if self.left == 0 && self.stops && self.are_two_names() {
                return self.count;
            }
            match self.two() {
                Step::Again => continue,
                Step::Evil => return self.left + 2,
                Step::Stay => {}
            }
            if !self.fill(3) {
                continue;
            }
            self.three();
        }
        if let (true, Some(comment)) = (self.count < MOST, self.comment) {
            self.tokens[self.count & 7] = comment;
            self.count += 1;
        }
        // There may be a sixth, which was read to judge the fifth.
        self.count.min(MOST)
    }

    /// Reads on until there are `wanted` tokens from `left`. If that cannot be, all are good.
    fn fill(&mut self, wanted: usize) -> bool {
        while self.more && self.count <= MOST && self.count - self.left < wanted {
            match self.tokenizer.next() {
                Some(token) if token.kind == Kind::Comment => self.comment = Some(token),
                Some(token) => {
                    self.comment = None;
                    self.tokens[self.count & 7] = token;
                    self.count += 1;
                }
                None => self.more = false,
            }
        }
        let filled = self.count - self.left >= wanted;
        if !filled {
            self.left = self.count;
        }
        filled
    }

    /// Whether the first two tokens are names and stay names, as in prose: no fingerprint of an attack begins with two.
    ///
    /// No rule makes another token of a name, but where it begins a phrase, or is called like a function; and
    /// elsewhere than in a comment or in braces, nothing is evil by itself.
    fn are_two_names(&self) -> bool {
        let is_name = |at: usize| {
            let Token { kind, word, .. } = self.tokens[at];
            kind == Kind::Bareword && !self.tokenizer.words.begins_phrase(word)
        };
        is_name(0) && is_name(1) && memchr::memchr3(b'(', b'{', b'/', self.tokenizer.input).is_none()
    }

    /// Whether the first token stays what it is and begins no fingerprint of an attack.
    ///
    /// No rule makes another of a symbol's token, none removes it, and no fingerprint begins with these; those that begin
    /// with a parenthesis or a semicolon have a word of SQL in them. Elsewhere than in a comment or in braces, nothing is
    /// evil by itself.
    fn begins_no_attack(&self) -> bool {
        use Kind::{Colon, Dot, Operator, RightBrace, RightParenthesis, Semicolon, Unknown};
        let input = self.tokenizer.input;
        let has_letter = |text: &[u8]| text.iter().any(u8::is_ascii_alphabetic);
        let is_none = match self.kind(0) {
            Colon | Dot | RightBrace | Unknown => true,
            Operator => !has_letter(self.text(0)),
            RightParenthesis | Semicolon => !has_letter(input),
            _ => false,
        };
        let is_slash_star = |slash: usize| input.get(slash + 1) == Some(&b'*');
        is_none
            && memchr::memchr(b'{', input).is_none()
            && !memchr::memchr_iter(b'/', input).any(is_slash_star)
    }

    /// Whether the first five tokens are one of four forms that are no more than their first token.
    fn five_fold(&self) -> bool {
        use Kind::{Bareword, Comma, LeftParenthesis, Number, Operator, RightParenthesis};
        matches!(
            [self.kind(0), self.kind(1), self.kind(2), self.kind(3), self.kind(4)],
            [Number, Operator | Comma, LeftParenthesis, Number, RightParenthesis]
                | [Bareword, Operator, LeftParenthesis, Bareword | Number, RightParenthesis]
                | [Number, RightParenthesis, Comma, LeftParenthesis, Number]
                | [Bareword, RightParenthesis, Operator, LeftParenthesis, Bareword]
        )
    }
}
