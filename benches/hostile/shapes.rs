//! What values are made of: ordinary text, and what is meant to cost the most.

use crate::support::fresh::Random;
use crate::units;
use std::rc::Rc;

/// A way to make values.
pub struct Shape {
    pub name: String,
    pub kind: Kind,
    pub make: Make,
}

/// Makes a value of a length.
pub type Make = Box<dyn Fn(usize, &mut Random) -> Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What others are compared with.
    Benign,
    /// What is aimed at the engine: literals, transformations, caches.
    Aimed,
    /// Runs and anything.
    Anything,
    /// Runs of a short text; of interest when one of them is far from all others.
    Unit,
}

/// The benign ones first: the first of them is measured by itself, the second in turns with the hostile ones.
pub fn all(literals: Vec<Vec<u8>>) -> Vec<Shape> {
    let literals = Rc::new(literals);
    let mut shapes: Vec<Shape> = ["prose by itself", "prose among hostile values"]
        .map(|name| shape(name, Kind::Benign, |length, random| random.prose(length)))
        .into();
    for (name, kind) in [("glued", b"".as_slice()), ("spaced", b" ")] {
        let glue = |what: &str, make: fn(&[u8], &mut Random) -> Vec<u8>| {
            let all = Rc::clone(&literals);
            shape(&format!("{what}, {name}"), Kind::Aimed, move |length, random| {
                filled(length, random, |out, random| {
                    let literal: &Vec<u8> = random.pick(&all);
                    out.extend(make(literal, random));
                    out.extend_from_slice(kind);
                })
            })
        };
        shapes.push(glue("literals", |literal, _| literal.to_vec()));
        shapes.push(glue("literals but a byte", |literal, random| {
            let mut near = literal.to_vec();
            let at = random.below(near.len());
            near[at] = match near[at] {
                b'z' | b'9' => b'q',
                byte @ (b'a'..=b'y' | b'0'..=b'8') => byte + 1,
                _ => b'_',
            };
            near
        }));
        shapes.push(glue("literals but the last byte", |literal, _| literal[..literal.len() - 1].to_vec()));
    }
    // Each literal once, in another order each time: every prefilter passes, if there is room for all of them.
    shapes.push(shape("every literal once", Kind::Aimed, move |length, random| {
        let mut order: Vec<usize> = (0..literals.len()).collect();
        random.shuffle(&mut order);
        let mut out = Vec::new();
        for at in order {
            out.extend_from_slice(&literals[at]);
            out.push(b' ');
        }
        let filler = random.prose(length.saturating_sub(out.len()));
        out.extend(filler);
        out.truncate(length);
        out
    }));
    shapes.push(pieces("all transformations", Kind::Aimed, EVASIONS));
    shapes.push(pieces("all transformations, encoded twice", Kind::Aimed, TWICE));
    for (name, some) in [
        ("percent signs", &EVASIONS[..5]),
        ("entities", &EVASIONS[5..9]),
        ("backslashes", &EVASIONS[9..15]),
        ("comments", &EVASIONS[15..19]),
        ("paths", &EVASIONS[19..24]),
        ("base64 and hex", &EVASIONS[24..28]),
        ("shell", &EVASIONS[28..]),
    ] {
        shapes.push(pieces(name, Kind::Aimed, some));
    }
    // Every value has another mixture of bytes, for which nothing has been planned.
    shapes.push(shape("mixtures of punctuation", Kind::Aimed, |length, random| {
        let marks = random.next();
        let some: Vec<u8> =
            PUNCTUATION.iter().enumerate().filter(|(n, _)| marks >> n & 1 == 1).map(|(_, b)| *b).collect();
        filled(length, random, |out, random| {
            out.extend(random.letters(3));
            out.extend(some.get(random.below(some.len().max(1))));
        })
    }));
    shapes.push(shape("new words", Kind::Aimed, |length, random| random.letters(length)));
    shapes.push(shape("random bytes", Kind::Anything, |length, random| {
        (0..length).map(|_| random.next() as u8).collect()
    }));
    shapes.push(shape("random ASCII", Kind::Anything, |length, random| {
        (0..length).map(|_| 32 + random.below(95) as u8).collect()
    }));
    shapes.push(shape("random punctuation", Kind::Anything, |length, random| random.of(PUNCTUATION, length)));
    shapes.push(shape("hexadecimal digits", Kind::Anything, |length, random| {
        random.of(b"0123456789abcdef", length)
    }));
    shapes.push(shape("base64", Kind::Anything, |length, random| {
        random.of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", length)
    }));
    shapes.push(pieces(
        "UTF-8",
        Kind::Anything,
        &["ä", "ö", "e", "n", " ", "ß", "Ж", "д", "漢", "字", "😀", "’", "—", "é"],
    ));
    shapes.push(pieces("HTML", Kind::Anything, HTML));
    shapes.push(pieces("SQL", Kind::Anything, SQL));
    shapes.push(pieces("a program", Kind::Anything, PROGRAM));
    shapes.push(pieces("quotes", Kind::Anything, &["'", "\"", "`"]));
    shapes.push(pieces("brackets", Kind::Anything, &["(", ")", "[", "]", "{", "}", "<", ">"]));
    for unit in RUNS {
        shapes.push(run(unit, Kind::Anything));
    }
    for unit in units::UNITS.iter().filter(|unit| !RUNS.contains(unit)) {
        shapes.push(run(unit, Kind::Unit));
    }
    shapes
}

fn shape(name: &str, kind: Kind, make: impl Fn(usize, &mut Random) -> Vec<u8> + 'static) -> Shape {
    Shape { name: name.to_owned(), kind, make: Box::new(make) }
}

/// The same text again and again, behind letters that make it a new value.
fn run(unit: &'static str, kind: Kind) -> Shape {
    let name = format!("\"{}\"…", unit.escape_debug());
    shape(&name, kind, move |length, random| {
        let mut out = random.letters(8);
        while out.len() < length {
            out.extend_from_slice(unit.as_bytes());
        }
        out.truncate(length.max(8));
        out
    })
}

/// Any of these and words, in any order.
fn pieces(name: &str, kind: Kind, pieces: &'static [&'static str]) -> Shape {
    shape(name, kind, move |length, random| {
        filled(length, random, |out, random| {
            out.extend_from_slice(random.pick(pieces).as_bytes());
            if random.below(3) == 0 {
                out.extend(random.letters(3));
            }
        })
    })
}

fn filled(length: usize, random: &mut Random, mut more: impl FnMut(&mut Vec<u8>, &mut Random)) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 64);
    while out.len() < length {
        more(&mut out, random);
    }
    out.truncate(length);
    out
}

const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// What transformations undo.
const EVASIONS: &[&str] = &[
    "%41", "%u0041", "%2f", "%", "+", "&#65;", "&#x41;", "&lt;", "&amp", "\\u0041", "\\x41", "\\101", "\\",
    "\\6a ", "\\n", "/*x*/", "/*", "-- ", "#\n", "../", "/./", "//", "..\\", "a/b/", "YWJjZGVm", "QUJD+/==",
    "616263", "0x4142", "\t  ", "\r\n", "^", "\"", "'", "$(", ";", ",", "\0", "\u{a0}", "é", "A",
];
const TWICE: &[&str] = &[
    "%2541",
    "%25%75%30%30%34%31",
    "%26%2365%3b",
    "&#37;41",
    "&#92;u0041",
    "\\u0025\\u0034\\u0031",
    "%5cu0041",
    "%2f*x*%2f",
    "%2e%2e%2f",
    "%09+%20",
    "&#x2f;&#x2a;",
    "%00",
    "%c0%af",
    "%ef%bc%9c",
];
const HTML: &[&str] = &[
    "<p>",
    "</p>\n",
    "<a href=\"/page\">",
    "</a>",
    "<b>",
    "</b>",
    "<br/>",
    "<img src=\"x.png\" alt='a'>",
    "&nbsp;",
    " ",
];
const SQL: &[&str] = &[
    "select ",
    "from ",
    "where ",
    "1=1 ",
    "' or '",
    "union ",
    "-- ",
    "; ",
    "insert into ",
    "(",
    ") ",
    "null, ",
    "* ",
    "and ",
    "sleep",
    "char(",
    "'",
];
const PROGRAM: &[&str] = &[
    "if (",
    ") {\n    ",
    "}\n",
    "return ",
    ";\n",
    "function ",
    "var ",
    " = ",
    "\"",
    "'",
    "[0]",
    ".length",
    "() => ",
    "// ",
    "/* ",
    " */",
    "&&",
    "$x",
    "->",
    "::",
    "echo ",
    "import ",
    "#include <",
];
const RUNS: &[&str] = &[
    "a", "A", "0", " ", ".", "/", "%", "&", "#", "'", "\"", "(", "<", "\\", ";", "-", "=", "\0", "ab", "a ",
    "' ", "\"'", "()", "http://", "select ", "../", "\n", "<a ", "é", "a=b&", "{\"a\":",
];
