//! How expressions begin and end.

/// The family that an expression's delimiters belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{{ … }}`: Jinja2, Twig, Django, Handlebars, Angular, Go.
    Mustache,
    /// `{% … %}`: statements of the same.
    Statement,
    /// `${ … }`: EL, SpEL, FreeMarker, Velocity, Mako, Log4j's lookups, template literals of JavaScript.
    Dollar,
    /// `#{ … }`: EL, Ruby, Pug, Slim.
    Hash,
    /// `%{ … }`: OGNL.
    Percent,
    /// `*{ … }`, `~{ … }`, `@{ … }`: Thymeleaf; the last is Razor's as well.
    Spring,
    /// `<% … %>`: ERB, EJS, JSP, ASP, Mako.
    Angle,
    /// `[% … %]`: Template Toolkit.
    Bracket,
    /// `<#… >` and `[#… ]`: directives of FreeMarker.
    Directive,
    /// `#set( … )` and its like: directives of Velocity.
    Velocity,
    /// `@( … )`: Razor.
    Razor,
    /// `{$…}`, `{name…}`, `{1…}`: Smarty, Latte.
    Brace,
}

/// What the value has at least one of where anything is found; compared without regard to case.
pub(super) const OPENERS: &[&str] = &[
    "{{",
    "{%",
    "${",
    "#{",
    "%{",
    "*{",
    "~{",
    "@{",
    "<%",
    "[%",
    "<#",
    "[#",
    "@(",
    "#set",
    "#evaluate",
    "#parse",
    "#include",
    "{$smarty",
    "{php",
    "{system",
    "{exec",
    "{passthru",
    "{shell_exec",
    "{phpinfo",
    "{popen",
    "{eval",
    "{fetch",
    "{include",
    "{math",
    "{if",
    "{self:",
    "{smarty_internal",
    "{=",
    "{0",
    "{1",
    "{2",
    "{3",
    "{4",
    "{5",
    "{6",
    "{7",
    "{8",
    "{9",
];

/// Whether an expression begins at `at`: its kind, and where its content begins.
pub(super) fn open(value: &[u8], at: usize) -> Option<(Kind, usize)> {
    let rest = value.get(at..)?;
    let before = at.checked_sub(1).and_then(|at| value.get(at)).copied().unwrap_or(b' ');
    let (kind, length) = match rest {
        // In TeX, `x^{{2*3}}` and `\frac{{1+1}}{2}`.
        [b'{', b'{', ..] if !matches!(before, b'^' | b'_') && !after_command(value, at) => {
            (Kind::Mustache, 2)
        }
        [b'{', b'%', ..] => (Kind::Statement, 2),
        [b'$', b'{', ..] => (Kind::Dollar, 2),
        [b'#', b'{', ..] => (Kind::Hash, 2),
        [b'%', b'{', ..] => (Kind::Percent, 2),
        [b'*' | b'~' | b'@', b'{', ..] => (Kind::Spring, 2),
        [b'<', b'%', ..] => (Kind::Angle, 2),
        [b'[', b'%', ..] => (Kind::Bracket, 2),
        [b'<' | b'[', b'#', b, ..] if b.is_ascii_alphabetic() => (Kind::Directive, 2),
        [b'@', b'(', ..] if !before.is_ascii_alphanumeric() => (Kind::Razor, 2),
        [b'#', word @ ..] => {
            let name = [&b"set"[..], b"evaluate", b"parse", b"include"].into_iter().find(|name| {
                word.get(..name.len()).is_some_and(|w| w.eq_ignore_ascii_case(name))
                    && word.get(name.len()..).is_some_and(|w| w.trim_ascii_start().first() == Some(&b'('))
            })?;
            let bracket = word.iter().take(24).position(|b| *b == b'(')?;
            debug_assert!(bracket >= name.len());
            (Kind::Velocity, bracket + 2)
        }
        [b'{', inner @ ..]
            if !matches!(before, b'^' | b'_' | b'$' | b'{') && !after_command(value, at) && brace(inner) =>
        {
            (Kind::Brace, 1)
        }
        _ => return None,
    };
    Some((kind, at + length))
}

/// Whether what stands behind a single brace is what Smarty or Latte begin with, and nothing that program text or JSON
/// has there.
fn brace(inner: &[u8]) -> bool {
    match inner.first() {
        Some(b'0'..=b'9' | b'=') => true,
        Some(b'$' | b'a'..=b'z' | b'A'..=b'Z') => {
            OPENERS.iter().filter_map(|o| o.strip_prefix('{')).any(|name| {
                name.len() > 1
                    && inner.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
            })
        }
        _ => false,
    }
}

/// Whether `at` stands behind a command of TeX (`\frac`) or behind the closing brace of one of its arguments.
fn after_command(value: &[u8], at: usize) -> bool {
    let before = value.get(at.saturating_sub(16)..at).unwrap_or_default();
    let letters = before.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
    letters > 0 && before.len() > letters && before.get(before.len() - letters - 1) == Some(&b'\\')
}

impl Kind {
    /// How many bytes at `at` close an expression of this kind.
    pub(super) fn close(self, value: &[u8], at: usize) -> Option<usize> {
        let rest = value.get(at..)?;
        match (self, rest) {
            (Self::Mustache, [b'}', b'}', ..])
            | (Self::Statement, [b'%', b'}', ..])
            | (Self::Angle, [b'%', b'>', ..])
            | (Self::Bracket, [b'%', b']', ..]) => Some(2),
            (Self::Dollar | Self::Hash | Self::Percent | Self::Spring | Self::Brace, [b'}', ..])
            | (Self::Directive, [b'>' | b']', ..])
            | (Self::Velocity | Self::Razor, [b')', ..]) => Some(1),
            _ => None,
        }
    }

    /// Whether brackets of this kind inside of an expression hide its end.
    pub(super) fn nests(self, byte: u8) -> bool {
        match self {
            Self::Velocity | Self::Razor => matches!(byte, b'(' | b')'),
            Self::Statement | Self::Angle | Self::Bracket | Self::Directive => false,
            _ => matches!(byte, b'{' | b'}'),
        }
    }
}
