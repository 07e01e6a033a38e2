//! One expression that is open, and what its tokens say so far.

use super::delimiter::Kind;
use super::lookup::Flat;
use super::name::{self, Name};
use super::token::Token;
use smallvec::SmallVec;
use std::ops::Range;

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// What templates and texts have as well.
    Ordinary,
    /// An attack where the value is hardly more than the expression.
    Alone,
    /// An attack, but for pages that explain templates.
    Probe,
    /// An attack wherever it stands.
    Active,
}

/// An expression that is open.
#[derive(Debug)]
pub(super) struct Frame {
    pub kind: Kind,
    /// Where its opening delimiter stands.
    pub start: usize,
    /// Brackets in it that are open and would close it.
    pub nested: u16,
    /// Its text as Log4j reads it.
    pub flat: Flat,
    verdict: Verdict,
    tokens: u32,
    /// Its first name.
    first: Range<usize>,
    last: Last,
    before: Last,
    /// Whose parentheses are open.
    callee: Range<usize>,
    /// The last text, together with what was added to it.
    joined: SmallVec<[u8; 32]>,
    sum: Sum,
    path: Path,
    /// Names since an `@` that opened a reference to a class of OGNL, beginning at 1.
    class: u8,
}

/// Whether everything so far is constants and what computes with them.
#[derive(Debug)]
struct Sum {
    constant: bool,
    /// Operations that neither dates nor ranges have.
    operations: u8,
    /// `-` and `/`.
    ambiguous: u8,
    numbers: u8,
    /// Numbers of three digits or more.
    large: u8,
    /// Methods of constants.
    methods: u8,
}

impl Sum {
    fn new() -> Self {
        Self { constant: true, operations: 0, ambiguous: 0, numbers: 0, large: 0, methods: 0 }
    }
}

/// How far a name in packages of Java has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    None,
    /// `java`.
    Root,
    /// `java.lang`.
    Package,
}

/// A token that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    what: What,
    text: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Start,
    Name,
    Number,
    Text,
    Open(u8),
    Close(u8),
    Mark(u8),
    /// An expression inside of this one.
    Inner,
}

impl Frame {
    pub(super) fn new(kind: Kind, start: usize) -> Self {
        let nothing = || Last { what: What::Start, text: 0..0 };
        Self {
            kind,
            start,
            nested: 0,
            flat: Flat::default(),
            verdict: Verdict::Ordinary,
            tokens: 0,
            first: 0..0,
            last: nothing(),
            before: nothing(),
            callee: 0..0,
            joined: SmallVec::new(),
            sum: Sum::new(),
            path: Path::None,
            class: 0,
        }
    }

    /// Takes the token at `range`.
    pub(super) fn take(&mut self, value: &[u8], token: &Token, range: Range<usize>) {
        let what = match token {
            Token::Name => {
                self.name(value, &range);
                What::Name
            }
            Token::Number => {
                self.sum.numbers = self.sum.numbers.saturating_add(1);
                let digits = range.len() >= 3;
                self.sum.large = self.sum.large.saturating_add(u8::from(digits));
                What::Number
            }
            Token::Text(inner) => {
                self.text(value, inner);
                What::Text
            }
            Token::Open(byte) => {
                self.open(value, *byte);
                What::Open(*byte)
            }
            Token::Close(byte) => {
                if *byte == b')' {
                    self.callee = 0..0;
                }
                What::Close(*byte)
            }
            Token::Mark(byte) => {
                self.mark(value, *byte, range.end);
                What::Mark(*byte)
            }
        };
        if !matches!(token, Token::Name | Token::Mark(b'.')) {
            self.path = Path::None;
        }
        if !matches!(token, Token::Name | Token::Mark(b'.' | b'@')) {
            self.class = 0;
        }
        self.shift(what, range);
    }

    /// Takes an expression inside of this one, which was nothing by itself.
    pub(super) fn take_inner(&mut self, range: Range<usize>) {
        self.sum.constant = false;
        self.shift(What::Inner, range);
    }

    fn shift(&mut self, what: What, text: Range<usize>) {
        self.tokens = self.tokens.saturating_add(1);
        self.before = std::mem::replace(&mut self.last, Last { what, text });
    }

    fn raise(&mut self, verdict: Verdict) {
        self.verdict = self.verdict.max(verdict);
    }

    fn name(&mut self, value: &[u8], range: &Range<usize>) {
        let text = of(value, range);
        let is_member = self.last.what == What::Mark(b'.');
        let owner =
            if is_member && self.before.what == What::Name { of(value, &self.before.text) } else { b"" };
        // Of a constant: `'a'.concat('b')`.
        let of_constant = is_member && matches!(self.before.what, What::Text | What::Close(_));
        if of_constant {
            self.sum.methods = self.sum.methods.saturating_add(1);
        } else {
            self.sum.constant = false;
        }
        if self.first.is_empty() {
            self.first = range.clone();
            self.statement(text);
        }
        match name::lookup(text) {
            Name::Reaches => self.raise(Verdict::Active),
            Name::Root if !is_member => self.raise(Verdict::Alone),
            _ if self.last.what == What::Mark(b'|') && name::filters(text) => self.raise(Verdict::Active),
            _ => {}
        }
        self.by_language(value, text, owner, of_constant);
        self.java(value, text, is_member);
        self.class = if self.class > 0 { self.class.saturating_add(1) } else { 0 };
    }

    /// What stands first in a statement.
    fn statement(&mut self, text: &[u8]) {
        let alone = match self.kind {
            Kind::Statement => text == b"debug",
            Kind::Brace if text.eq_ignore_ascii_case(b"php") => {
                self.raise(Verdict::Probe);
                false
            }
            Kind::Brace => text.eq_ignore_ascii_case(b"smarty"),
            Kind::Directive => {
                [&b"assign"[..], b"list", b"include", b"import", b"global", b"local"].contains(&text)
            }
            _ => false,
        };
        if alone {
            self.raise(Verdict::Alone);
        }
    }

    /// Pairs of names that lead out of one language or another.
    fn by_language(&mut self, value: &[u8], text: &[u8], owner: &[u8], of_constant: bool) {
        let is = |names: &[&str]| names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(text));
        let active = match owner {
            b"constructor" => is(&["constructor", "prototype"]),
            b"class" => is(&[
                "forname",
                "mro",
                "base",
                "getclassloader",
                "classloader",
                "inspect",
                "type",
                "module",
                "methods",
                "protectiondomain",
                "getresource",
                "newinstance",
                "getname",
            ]),
            b"_self" => is(&["env", "getenvironment"]),
            b"request" | b"Request" => {
                if is(&["application", "environ", "getsession", "getservletcontext", "server"]) {
                    self.raise(Verdict::Alone);
                }
                false
            }
            b"app" => {
                if is(&["request", "user", "session"]) {
                    self.raise(Verdict::Alone);
                }
                false
            }
            b"System" => is(&["diagnostics", "reflection"]),
            b"File" | b"IO" | b"Dir" | b"Kernel" | b"Open3" | b"Process" => {
                matches!(self.kind, Kind::Angle | Kind::Hash)
                    && is(&[
                        "read",
                        "readlines",
                        "popen",
                        "entries",
                        "glob",
                        "system",
                        "exec",
                        "spawn",
                        "binread",
                    ])
            }
            _ => of_constant && is(&["class", "execute", "getbytes", "constructor"]),
        };
        // `{% import os %}`.
        let imports = self.last.what == What::Name
            && of(value, &self.last.text) == b"import"
            && is(&["os", "sys", "subprocess", "commands", "popen2", "importlib", "pty"]);
        // FreeMarker's built-ins.
        let builtin = self.last.what == What::Mark(b'?') && is(&["interpret", "eval"]);
        let ognl = self.last.what == What::Mark(b'#')
            && matches!(self.kind, Kind::Percent | Kind::Dollar)
            && is(&["context", "application", "request", "session", "attr", "parameters", "root"]);
        if active || imports || builtin || ognl && self.kind == Kind::Percent {
            self.raise(Verdict::Active);
        } else if ognl {
            self.raise(Verdict::Alone);
        }
    }

    /// `java.lang.Runtime`, `T(Runtime)`.
    fn java(&mut self, value: &[u8], text: &[u8], is_member: bool) {
        let upper = text.first().is_some_and(u8::is_ascii_uppercase);
        let root =
            [&b"java"[..], b"javax", b"sun", b"jdk", b"ognl", b"freemarker", b"groovy"].contains(&text);
        let is_class = self.path == Path::Package && is_member && upper;
        self.path = match self.path {
            Path::None if root && !is_member => Path::Root,
            Path::Root | Path::Package if is_member => Path::Package,
            _ => Path::None,
        };
        let is_type = self.last.what == What::Open(b'(')
            && of(value, &self.callee) == b"T"
            && self.kind != Kind::Mustache
            && (upper || root);
        if is_class || is_type {
            self.raise(Verdict::Active);
        }
    }

    fn text(&mut self, value: &[u8], inner: &Range<usize>) {
        let text = of(value, inner);
        let added = matches!(self.last.what, What::Mark(b'+' | b'~'));
        if !added {
            self.joined.clear();
        }
        let room = TEXT.saturating_sub(self.joined.len());
        unescape(text.get(..text.len().min(room)).unwrap_or_default(), &mut self.joined);
        let text = self.joined.as_slice();
        let callee = of(value, &self.callee);
        // `system 'id'`, without parentheses; `#with "s"`.
        let name = if self.last.what == What::Name { of(value, &self.last.text) } else { b"" };
        let runs = |by: &[u8]| {
            name::always(by)
                || name::lookup(by) == Name::Runs && (name::is_inside(text) || name::is_module(by, text))
        };
        let constructor = text == b"constructor"
            && (matches!(self.last.what, What::Open(b'[' | b'(')) || self.kind == Kind::Mustache);
        let includes = matches!(self.kind, Kind::Statement | Kind::Directive | Kind::Brace | Kind::Velocity)
            && name::includes(of(value, &self.first))
            && name::is_inside(text);
        let with = self.kind == Kind::Mustache && name == b"with" && self.before.what == What::Mark(b'#');
        let given = name::takes(callee) && name::runs(text);
        if runs(callee) || runs(name) || constructor || includes || with || given || name::text_reaches(text)
        {
            self.raise(Verdict::Active);
        }
        // A command in backticks.
        let command = matches!(self.kind, Kind::Angle | Kind::Hash)
            && value.get(inner.start.wrapping_sub(1)) == Some(&b'`')
            && matches!(self.last.what, What::Start | What::Mark(b'=' | b'-'))
            && memchr::memchr2(b'$', b'<', of(value, inner)).is_none();
        if command {
            self.raise(Verdict::Probe);
        }
    }

    fn open(&mut self, value: &[u8], byte: u8) {
        let name = if self.last.what == What::Name { of(value, &self.last.text) } else { b"" };
        if byte == b'(' {
            self.callee = if name.is_empty() { 0..0 } else { self.last.text.clone() };
        }
        let constructor = name == b"constructor" && self.before.what == What::Mark(b'.');
        let builtin = name == b"new" && self.before.what == What::Mark(b'?');
        if constructor || builtin {
            self.raise(Verdict::Active);
        }
        if self.kind == Kind::Brace && byte == b'(' && (name::always(name) || name == b"phpinfo") {
            self.raise(Verdict::Probe);
        }
    }

    fn mark(&mut self, value: &[u8], byte: u8, end: usize) {
        let operand = matches!(self.last.what, What::Number | What::Text | What::Close(_));
        match byte {
            b'*' | b'+' | b'%' | b'~' | b'^' if operand => {
                self.sum.operations = self.sum.operations.saturating_add(1);
            }
            b'-' | b'/' if operand => self.sum.ambiguous = self.sum.ambiguous.saturating_add(1),
            b'.' => {}
            b'=' | b'-' | b'+' | b'!' | b'#' | b'&' | b'~' if self.tokens == 0 => {}
            // `#set($x = 7*7)`.
            b'=' if self.kind == Kind::Velocity => self.sum = Sum::new(),
            // White space control at the end.
            b'-' | b'~' => {}
            _ => self.sum.constant = false,
        }
        let name = if self.last.what == What::Name { of(value, &self.last.text) } else { b"" };
        // `#a=…` of OGNL.
        let assigns = byte == b'='
            && !name.is_empty()
            && self.before.what == What::Mark(b'#')
            && matches!(self.kind, Kind::Percent | Kind::Dollar)
            && value.get(end) != Some(&b'=');
        let builtin = byte == b'.' && name == b"api" && self.before.what == What::Mark(b'?');
        // `@a.B@c`.
        let class = byte == b'@'
            && self.class >= 3
            && matches!(self.kind, Kind::Percent | Kind::Dollar | Kind::Hash | Kind::Spring);
        if assigns || builtin || class {
            self.raise(Verdict::Active);
        }
        if byte == b'@' {
            self.class = 1;
        }
    }

    /// What the expression comes to, now that it ends.
    pub(super) fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict;
        if self.kind == Kind::Dollar {
            if self.flat.is_jndi() {
                return Verdict::Active;
            }
            if self.flat.tells() {
                verdict = verdict.max(Verdict::Alone);
            }
        }
        let sum = &self.sum;
        let found = match (sum.constant, sum.operations, sum.ambiguous) {
            (true, 1.., _) if sum.numbers > 1 && sum.large > 1 => Verdict::Active,
            (true, 1.., _) if sum.numbers > 0 => Verdict::Probe,
            (true, 1.., _) => Verdict::Alone,
            // A date has two of them.
            (true, 0, 1) if sum.numbers > 1 => Verdict::Alone,
            (true, ..) if sum.methods > 0 => Verdict::Alone,
            _ => Verdict::Ordinary,
        };
        verdict.max(found)
    }
}

/// Bytes of a text, with what is added to it, that are looked at.
const TEXT: usize = 128;

/// Undoes escapes of letters and punctuation, which hide names from whoever reads the text only.
fn unescape(text: &[u8], out: &mut SmallVec<[u8; 32]>) {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digits = match (byte, text.get(at + 1)) {
            (b'\\', Some(b'x')) => text.get(at + 2..at + 4),
            (b'\\', Some(b'u')) => text.get(at + 2..at + 6),
            _ => None,
        };
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (code, digits) {
            (Some(code), Some(digits)) => {
                out.push(code);
                at += 2 + digits.len();
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
}

fn of<'a>(value: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    value.get(range.clone()).unwrap_or_default()
}
