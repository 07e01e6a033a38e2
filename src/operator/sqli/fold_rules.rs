//! The rules of folding for two and for three tokens. In C they are two chains of conditions; here, each is sorted
//! by the kind of the first token, in C's order.

use super::fold::Folder;
use super::token::{Kind, KindSet};

/// What to do after the rules for two tokens.
pub(super) enum Step {
    /// Begin again with what is there.
    Again,
    /// No rule applied, or one after which a third token is to be looked at.
    Stay,
    /// The two make the whole value an attack.
    Evil,
}

impl Folder<'_> {
    /// Applies the first rule that fits the two tokens at `left`.
    pub fn two(&mut self) -> Step {
        let left = self.left;
        let (first, second) = (self.kind(left), self.kind(left + 1));
        match first {
            Kind::Bareword | Kind::Keyword | Kind::Union | Kind::Function | Kind::Expression | Kind::Tsql => {
                if self.merge() {
                    return Step::Again;
                }
                if first == Kind::Bareword && second == Kind::LeftParenthesis && self.is_called_name() {
                    self.tokens[left & 7].kind = Kind::Function;
                    return Step::Again;
                }
                if first == Kind::Keyword && self.is(left, &[b"IN", b"NOT IN"]) {
                    let operator = second == Kind::LeftParenthesis;
                    self.tokens[left & 7].kind = if operator { Kind::Operator } else { Kind::Bareword };
                    return Step::Again;
                }
            }
            Kind::Operator => {
                if second == Kind::SqlType || self.is_unary(left + 1) {
                    return self.fold_away(1);
                }
                if self.merge() {
                    return Step::Again;
                }
                if self.is(left, &[b"LIKE", b"NOT LIKE"]) {
                    if second == Kind::LeftParenthesis {
                        self.tokens[left & 7].kind = Kind::Function;
                    }
                    return Step::Stay;
                }
            }
            Kind::LogicOperator if second == Kind::SqlType || self.is_unary(left + 1) => {
                return self.fold_away(1);
            }
            Kind::String if second == Kind::String => {
                self.count -= 1;
                return Step::Again;
            }
            Kind::Semicolon if second == Kind::Semicolon => {
                self.count -= 1;
                return Step::Again;
            }
            // In Transact-SQL, `IF` is a statement.
            Kind::Semicolon
                if second == Kind::Function
                    && self.text(left + 1).get(..2).is_some_and(|name| name.eq_ignore_ascii_case(b"IF")) =>
            {
                self.tokens[(left + 1) & 7].kind = Kind::Tsql;
                return Step::Again;
            }
            Kind::LeftParenthesis if self.is_unary(left + 1) => {
                self.count -= 1;
                self.left = left.saturating_sub(1);
                return Step::Again;
            }
            Kind::LeftParenthesis if second == Kind::LeftParenthesis => return self.fold_away(1),
            Kind::RightParenthesis if second == Kind::RightParenthesis => return self.fold_away(1),
            Kind::Variable if second == Kind::LeftParenthesis && self.is_called_name() => {
                self.tokens[left & 7].kind = Kind::Function;
                return Step::Again;
            }
            Kind::SqlType => {
                if self.merge() {
                    return Step::Again;
                }
                if second.is_in(TYPED) {
                    self.tokens[left & 7] = self.tokens[(left + 1) & 7];
                    return self.fold_away(1);
                }
            }
            // There are too many collations for a list; one with `_` is taken for one.
            Kind::Collate if second == Kind::Bareword => {
                let name = self.text(left + 1).split(|byte| *byte == 0).next().unwrap_or_default();
                if name.contains(&b'_') {
                    self.tokens[(left + 1) & 7].kind = Kind::SqlType;
                    self.left = 0;
                    // C looks for three tokens from the beginning, though it has looked at two from here.
                }
                return Step::Stay;
            }
            Kind::Backslash => {
                let arithmetic = second == Kind::Operator
                    && matches!(self.text(left + 1), [b'*' | b'/' | b'-' | b'+' | b'%']);
                if arithmetic {
                    // Transact-SQL reads `\%1` as `0 % 1`.
                    self.tokens[left & 7].kind = Kind::Number;
                    return self.fold_away(0);
                }
                self.tokens[left & 7] = self.tokens[(left + 1) & 7];
                return self.fold_away(1);
            }
            Kind::LeftBrace if second == Kind::Bareword => {
                // MySQL takes ``{``.``.id}``; that is as rare as it is strange.
                if self.tokens[(left + 1) & 7].length == 0 {
                    self.tokens[(left + 1) & 7].kind = Kind::Evil;
                    return Step::Evil;
                }
                // `{name expression}` of ODBC is the expression.
                return self.fold_away(2);
            }
            _ => {}
        }
        if second == Kind::RightBrace { self.fold_away(1) } else { Step::Stay }
    }

    /// Applies the first rule that fits the three tokens at `left`; without one, the first of them is good.
    pub fn three(&mut self) {
        use Kind::{
            Bareword, Comma, Dot, Expression, Function, LeftParenthesis, LogicOperator, Number, Operator,
        };
        use Kind::{RightParenthesis, SqlType, String, Variable};
        let left = self.left;
        let [first, second, third] = [self.kind(left), self.kind(left + 1), self.kind(left + 2)];
        match (first, second, third) {
            (Number | Bareword, Operator, Number | Bareword)
            | (Variable, Operator, Variable | Number | Bareword)
            | (LogicOperator, _, LogicOperator)
            | (Number | Bareword | String | Variable, Comma, Number | Bareword | String | Variable)
            | (Bareword, Dot, Bareword) => _ = self.fold_away(2),
            (Operator, second, Operator) if second != LeftParenthesis => _ = self.fold_away(2),
            // PostgreSQL's cast.
            (Number | Bareword | String | Variable, Operator, SqlType) if self.text(left + 1) == b"::" => {
                _ = self.fold_away(2);
            }
            (Expression | Kind::Group | Comma, Operator, LeftParenthesis)
            | (
                Expression | Kind::Group | Kind::Keyword,
                Operator,
                Number | Bareword | Variable | String | Function,
            )
            | (Comma, Operator, Function)
                if self.is_unary(left + 1) =>
            {
                self.tokens[(left + 1) & 7] = self.tokens[(left + 2) & 7];
                _ = self.fold_away(1);
            }
            // `1, -1` is `1`: C goes back before the comma.
            (Comma, Operator, Number | Bareword | Variable | String) if self.is_unary(left + 1) => {
                self.tokens[(left + 1) & 7] = self.tokens[(left + 2) & 7];
                _ = self.fold_away(3);
            }
            (Expression, Dot, Bareword) => {
                self.tokens[(left + 1) & 7] = self.tokens[(left + 2) & 7];
                _ = self.fold_away(1);
            }
            _ => {
                // `USER(x)` is no function, `USER()` is.
                if first == Function
                    && second == LeftParenthesis
                    && third != RightParenthesis
                    && self.is(left, &[b"USER"])
                {
                    self.tokens[left & 7].kind = Bareword;
                }
                self.left += 1;
            }
        }
    }

    /// Whether the token is a sign or a negation.
    pub fn is_unary(&self, at: usize) -> bool {
        if self.kind(at) != Kind::Operator {
            return false;
        }
        match self.text(at) {
            [b'+' | b'-' | b'!' | b'~'] | b"!!" => true,
            text => text.eq_ignore_ascii_case(b"NOT"),
        }
    }

    /// Drops the last `tokens` and begins again from the first.
    fn fold_away(&mut self, tokens: usize) -> Step {
        self.count = self.count.saturating_sub(tokens);
        self.left = 0;
        Step::Again
    }

    /// Merges the two tokens at `left` if they make a phrase.
    fn merge(&mut self) -> bool {
        let (first, second) = (self.tokens[self.left & 7], self.tokens[(self.left + 1) & 7]);
        if !second.kind.is_in(MERGED) {
            return false;
        }
        let Some(phrase) = self.tokenizer.words.phrase(first.word, second.word) else { return false };
        let length = self.tokenizer.words.text(phrase).len();
        let token = &mut self.tokens[self.left & 7];
        token.kind = self.tokenizer.words.kind(phrase);
        token.length = u8::try_from(length).unwrap_or_default();
        token.word = phrase;
        token.merged = true;
        self.count -= 1;
        self.left = self.left.saturating_sub(1);
        true
    }

    fn is(&self, at: usize, names: &[&[u8]]) -> bool {
        let text = self.text(at);
        names.iter().any(|name| name.eq_ignore_ascii_case(text))
    }

    /// Whether the token at `left`, which a parenthesis follows, is a function though it may also be a column.
    fn is_called_name(&self) -> bool {
        self.is(self.left, CALLED)
    }
}

/// Kinds that the second of two merged tokens has. The first has one of these without [`Kind::LogicOperator`].
const MERGED: KindSet = KindSet::of(&[
    Kind::Keyword,
    Kind::Bareword,
    Kind::Operator,
    Kind::Union,
    Kind::Function,
    Kind::Expression,
    Kind::Tsql,
    Kind::SqlType,
    Kind::LogicOperator,
]);

/// Before these, the name of a type says nothing.
const TYPED: KindSet = KindSet::of(&[
    Kind::Bareword,
    Kind::Number,
    Kind::SqlType,
    Kind::LeftParenthesis,
    Kind::Function,
    Kind::Variable,
    Kind::String,
]);

const CALLED: &[&[u8]] = &[
    b"USER_ID",
    b"USER_NAME",
    b"DATABASE",
    b"PASSWORD",
    b"USER",
    b"CURRENT_USER",
    b"CURRENT_DATE",
    b"CURRENT_TIME",
    b"CURRENT_TIMESTAMP",
    b"LOCALTIME",
    b"LOCALTIMESTAMP",
];
