//! Every transformation against its case file in `tests/suite/transform/NAME.yaml`, against the published cases of
//! ModSecurity and Coraza, and against what the table promises of all rows.
//!
//! A case file is a list of `name`, `input`, `output` and, optionally, `repeat`, which repeats both that many
//! times, and `repeat_output`, which says another number for the output. Without `output` the value must stay as it
//! is. In `input` and `output`, `\xHH` is a byte and `\\` a backslash. Which kinds of values every file must have is
//! said by [`Edge`].

use portcullis::transform::{self, ByteSet, Transformation, Trigger};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    input: String,
    output: Option<String>,
    #[serde(default = "once")]
    repeat: usize,
    repeat_output: Option<usize>,
}

impl Case {
    fn input(&self) -> Vec<u8> {
        unescape(&self.input).repeat(self.repeat)
    }

    /// `None` when the value must stay as it is.
    fn expected(&self) -> Option<Vec<u8>> {
        let output = self.output.as_ref();
        assert!(output.is_some() || self.repeat_output.is_none(), "{}: repeats no output", self.name);
        output.map(|o| unescape(o).repeat(self.repeat_output.unwrap_or(self.repeat)))
    }
}

fn once() -> usize {
    1
}

fn cases_of(row: &Transformation) -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/transform");
    let file = directory.join(format!("{}.yaml", row.name));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn case_files() {
    let mut failures = Vec::new();
    for row in transform::all() {
        let cases = cases_of(row);
        let mut names = BTreeSet::new();
        for case in &cases {
            assert!(names.insert(&case.name), "{}: two cases are called {}", row.name, case.name);
            let (input, expected) = (case.input(), case.expected());
            let got = apply(row, &input);
            if got != expected {
                let [input, expected, got] =
                    [Some(input), expected, got].map(|v| v.map_or("unchanged".to_owned(), |v| show(&v)));
                failures.push(format!("{}: {}\n  {input}\n  {got}\n  {expected}", row.name, case.name));
            }
        }
    }
    assert!(failures.is_empty(), "input, result and expectation:\n{}", failures.join("\n"));
}

/// The kinds of values that every case file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Empty,
    OneByte,
    Nul,
    NotUtf8,
    /// Of at least [`LARGE`] bytes.
    Large,
    /// Not empty, and stays as it is.
    Unchanged,
    /// Not empty, and becomes something else.
    Changed,
    /// Ends within an escape; each of the ends in [`CUT_SHORT`].
    CutShort,
}

const EDGES: [Edge; 8] = [
    Edge::Empty,
    Edge::OneByte,
    Edge::Nul,
    Edge::NotUtf8,
    Edge::Large,
    Edge::Unchanged,
    Edge::Changed,
    Edge::CutShort,
];

/// In bytes.
const LARGE: usize = 100_000;

/// The edges that a transformation cannot have, and why.
const WITHOUT_EDGE: &[(&str, Edge, &str)] = &[
    ("base64Decode", Edge::Unchanged, "three bytes of four at most are left"),
    ("base64DecodeExt", Edge::Unchanged, "three bytes of four at most are left"),
    ("base64Encode", Edge::Unchanged, "four bytes of each three, or part of them"),
    ("hexDecode", Edge::Unchanged, "half of the bytes are left"),
    ("hexEncode", Edge::Unchanged, "twice as many bytes"),
    ("md5", Edge::Unchanged, "nobody knows a value that is its own digest"),
    ("sha1", Edge::Unchanged, "nobody knows a value that is its own digest"),
];

/// For each transformation that reads more than a byte at a time, how its sequences may be cut short at the end of a
/// value. All decoders are here; of the others, there is nothing to cut short.
const CUT_SHORT: &[(&str, &[&[u8]])] = &[
    ("base64Decode", &[b"Y", b"YWJjY", b"YWJjYW"]),
    ("base64DecodeExt", &[b"Y", b"Y=", b"YWJjY"]),
    ("cssDecode", &[b"\\", b"\\6", b"\\ff1"]),
    ("decodeLayers", &[b"%", b"%4", b"%u", b"%u004", b"\\", b"\\x2", b"\\u002", b"\xc0"]),
    ("escapeSeqDecode", &[b"\\", b"\\x", b"\\x6", b"\\6"]),
    ("hexDecode", &[b"4", b"41424"]),
    ("htmlEntityDecode", &[b"&", b"&#", b"&#x", b"&#6", b"&#x3", b"&quo"]),
    ("jsDecode", &[b"\\", b"\\x", b"\\x6", b"\\u", b"\\u006", b"\\1"]),
    ("phpArgsNames", &[b"a[", b"a[b][c"]),
    ("removeComments", &[b"/", b"/*", b"-", b"<!-", b"<!--"]),
    ("removeCommentsChar", &[b"/", b"-", b"<!-"]),
    ("replaceComments", &[b"/", b"/*"]),
    ("sqlHexDecode", &[b"0x", b"0x4", b"0x414"]),
    ("urlDecode", &[b"%", b"%4", b"%41%4"]),
    ("urlDecodeUni", &[b"%", b"%4", b"%u", b"%u004", b"%u0041%u004"]),
    ("utf8toUnicode", &[b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"]),
];

impl Edge {
    /// Whether one of `cases`, inputs and outputs of `row`, shows it.
    fn is_covered(self, row: &Transformation, cases: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let any = |is: &dyn Fn(&[u8], &[u8]) -> bool| cases.iter().any(|(input, output)| is(input, output));
        match self {
            Self::Empty => any(&|input, _| input.is_empty()),
            Self::OneByte => any(&|input, _| input.len() == 1),
            Self::Nul => any(&|input, _| input.contains(&0)),
            Self::NotUtf8 => any(&|input, _| std::str::from_utf8(input).is_err()),
            Self::Large => any(&|input, _| input.len() >= LARGE),
            Self::Unchanged => any(&|input, output| !input.is_empty() && output == input),
            Self::Changed => any(&|input, output| !input.is_empty() && output != input),
            Self::CutShort => {
                let ends = CUT_SHORT.iter().find(|(name, _)| *name == row.name).map(|(_, ends)| *ends);
                // A backslash behind a backslash begins no escape.
                let cut = |input: &[u8], end: &[u8]| {
                    input.strip_suffix(end).is_some_and(|before| !before.ends_with(b"\\"))
                };
                match ends {
                    Some(ends) => ends.iter().all(|end| any(&|input, _| cut(input, end))),
                    None => !row.name.contains("Decode"),
                }
            }
        }
    }
}

#[test]
fn every_transformation_has_its_edges() {
    let mut failures = Vec::new();
    for row in transform::all() {
        let cases: Vec<_> = cases_of(row)
            .iter()
            .map(|case| {
                let input = case.input();
                let output = case.expected().unwrap_or_else(|| input.clone());
                (input, output)
            })
            .collect();
        for edge in EDGES {
            let exempt = WITHOUT_EDGE.iter().find(|(name, e, _)| *name == row.name && *e == edge);
            match (edge.is_covered(row, &cases), exempt) {
                (false, None) => failures.push(format!("{}: no case for {edge:?}", row.name)),
                (true, Some((_, _, reason))) => {
                    failures.push(format!("{}: {edge:?} has a case, though {reason}", row.name));
                }
                _ => {}
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for name in CUT_SHORT.iter().map(|(name, _)| name).chain(WITHOUT_EDGE.iter().map(|(name, ..)| name)) {
        assert!(transform::all().iter().any(|t| t.name == *name), "{name} has no row");
    }
}

#[test]
fn every_case_file_belongs_to_a_row() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/transform");
    for entry in fs::read_dir(directory).expect("the suite is there") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        assert!(transform::all().iter().any(|t| t.name == name), "{} belongs to no row", path.display());
    }
}

/// Published cases whose expectation is not met, on purpose.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    // Transformation, start of the input as published, reason.
    (
        "cssDecode",
        r"test\a\b\f\n\r\t\v\?\'",
        "the two projects disagree about code points over 255, and ModSecurity's runner compares only what is before \
         the first NUL, after which its expectation lacks a space",
    ),
    (
        "hexDecode",
        "54657374004",
        "Coraza gives up on an odd number of digits; ModSecurity drops the last, and so the rest stays in sight",
    ),
    (
        "urlDecodeUni",
        "%u0041%u00e9%u00e8",
        "Coraza has a code page built in; ModSecurity, without SecUnicodeMapFile, takes the low byte",
    ),
];

#[test]
fn published_cases() {
    let shared = std::env::var_os("PORTCULLIS_CRS_DIR").map(PathBuf::from).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        |crs| crs.parent().map(Path::to_path_buf).unwrap_or_default(),
    );
    let file = shared.join("engine-cases/unit_dev.jsonl.gz");
    let Ok(packed) = fs::read(&file) else {
        // Past the test runner, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: the published transformation cases are not at {} ***\n",
            file.display()
        );
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip of UTF-8");
    let (mut passed, mut failures, mut unused) = (0, Vec::new(), BTreeSet::from_iter(0..DEVIATIONS.len()));
    for line in text.lines() {
        let case: Published = serde_json::from_str(line).expect("a case a line");
        if case.kind != "tfn" {
            continue;
        }
        // Some of Coraza's cases bear names of their own.
        let name = match case.name.split('-').next().unwrap_or_default() {
            "cmd_line" => "cmdLine",
            "invalidLen" => "hexDecode",
            name => name,
        };
        let id = transform::find(name).unwrap_or_else(|| panic!("{} has no row", case.name));
        let input = published_bytes(&case.input);
        let got = apply(id.row(), &input).unwrap_or_else(|| input.clone());
        // More than one result means that the two projects differ; either will do.
        let wanted: Vec<Vec<u8>> = case.results.iter().map(|r| published_bytes(&r.output)).collect();
        if wanted.contains(&got) {
            passed += 1;
            continue;
        }
        let deviation =
            DEVIATIONS.iter().position(|(n, start, _)| *n == name && case.input.starts_with(start));
        match deviation {
            Some(index) => _ = unused.remove(&index),
            None => failures.push(format!(
                "{name}: {}\n  {}\n  {}",
                show(&input),
                show(&got),
                wanted.iter().map(|w| show(w)).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
    assert!(failures.is_empty(), "input, result and expectation:\n{}", failures.join("\n"));
    assert!(passed > 0, "no case is of a transformation");
    let unused: Vec<_> = unused.into_iter().map(|index| DEVIATIONS[index]).collect();
    assert!(unused.is_empty(), "no case needs these deviations any more: {unused:?}");
}

#[derive(Deserialize)]
struct Published {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    input: String,
    results: Vec<PublishedResult>,
}

#[derive(Deserialize)]
struct PublishedResult {
    #[serde(default, deserialize_with = "null_is_empty")]
    output: String,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What ModSecurity's test runner makes of a string: first each `\x` and two letters or digits, then each `\u` and
/// four, become one byte, of as many hexadecimal digits as there are; of none, the byte before it.
fn published_bytes(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (mark, digits) in [(b'x', 2), (b'u', 4)] {
        let mut number = 0;
        let mut from = 0;
        while let Some(at) = bytes[from..]
            .windows(2 + digits)
            .position(|w| w[0] == b'\\' && w[1] == mark && w[2..].iter().all(u8::is_ascii_alphanumeric))
        {
            let at = from + at;
            let text = &bytes[at + 2..at + 2 + digits];
            let hex = text.iter().map_while(|b| (*b as char).to_digit(16)).collect::<Vec<_>>();
            if !hex.is_empty() {
                number = hex.iter().fold(0, |n, d| n * 16 + d);
            }
            bytes.splice(at..at + 2 + digits, [(number & 0xff) as u8]);
            from = at + 1;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_without_trigger_bytes_never_changes(value in values()) {
        for row in transform::all() {
            let Some(bytes) = row.trigger.bytes() else { continue };
            let without: Vec<u8> = value.iter().copied().filter(|b| !bytes.contains(*b)).collect();
            prop_assert!(!row.trigger.may_change(&ByteSet::present_in(&without)));
            prop_assert_eq!(apply(row, &without), None, "{} of {}", row.name, show(&without));
        }
    }

    #[test]
    fn change_is_reported_exactly_and_bounded(value in values()) {
        for row in transform::all() {
            let mut out = Vec::new();
            if (row.apply)(&value, &mut out) {
                prop_assert_ne!(&out, &value, "{}", row.name);
                prop_assert!(out.len() <= 4 * value.len() + 20, "{} of {}", row.name, show(&value));
            }
        }
    }

    #[test]
    fn encoders_are_undone_by_their_decoders(value in proptest::collection::vec(any::<u8>(), 1..2_000)) {
        for (encode, decode) in [
            ("base64Encode", "base64Decode"),
            ("base64Encode", "base64DecodeExt"),
            ("hexEncode", "hexDecode"),
            ("urlEncode", "urlDecode"),
            ("urlEncode", "urlDecodeUni"),
        ] {
            let encoded = applied(encode, &value);
            prop_assert_eq!(&applied(decode, &encoded), &value, "{} of {}", decode, show(&encoded));
        }
    }

    #[test]
    fn normal_forms_stay_as_they_are(value in values()) {
        for name in ["cmdLine", "compressWhitespace", "lowercase", "normalizePath", "normalizePathWin",
            "parityZero7bit", "removeNulls", "removeWhitespace", "replaceComments", "replaceNulls",
            "trim", "trimLeft", "trimRight", "uppercase"] {
            let once = applied(name, &value);
            prop_assert_eq!(&applied(name, &once), &once, "{} of {}", name, show(&value));
        }
    }
}

#[test]
fn every_trigger_byte_that_is_listed_one_by_one_is_needed() {
    // A byte too many costs time on every value that contains it. Each listed byte must occur in a change that the
    // others do not announce.
    let changes: &[(&str, &[&[u8]])] = &[
        ("cssDecode", &[b"\\"]),
        ("escapeSeqDecode", &[b"\\a"]),
        ("htmlEntityDecode", &[b"&lt"]),
        ("jsDecode", &[b"\\a"]),
        ("normalizePath", &[b"a//b", b"."]),
        ("normalizePathWin", &[b"a//b", b".", b"a\\b"]),
        ("phpArgsNames", &[b"a b", b"a.b", b"a[b", b"=a"]),
        ("removeComments", &[b"a/*b", b"a--", b"a#"]),
        ("removeCommentsChar", &[b"/*", b"--", b"#"]),
        ("removeNulls", &[b"\0"]),
        ("replaceComments", &[b"/*"]),
        ("replaceNulls", &[b"\0"]),
        ("sqlHexDecode", &[b"0x41", b"0X41"]),
        ("urlDecode", &[b"%41", b"+"]),
        ("urlDecodeUni", &[b"%41", b"+"]),
    ];
    for row in transform::all() {
        let Trigger::AnyOf(listed) = row.trigger else { continue };
        let values = changes.iter().find(|(name, _)| *name == row.name).map_or(&[][..], |(_, values)| values);
        for byte in listed {
            assert!(
                values.iter().any(|v| {
                    let others = listed.iter().any(|l| l != byte && v.contains(l));
                    v.contains(byte) && !others && apply(row, v).is_some()
                }),
                "{}: no value shows that byte {byte:#04x} is needed",
                row.name
            );
        }
    }
}

#[test]
fn hostile_values_keep_to_the_bounds() {
    const SIZE: usize = 8 * 1024;
    let hostile: &[&[u8]] = &[
        b"/*",
        b"*/",
        b"/*-->",
        b"/**/",
        b"<!--",
        b"-",
        b"--",
        b"#",
        b"&",
        b"&#",
        b"&#x",
        b"&#0",
        b"&a",
        b"\\",
        b"\\u",
        b"\\x4",
        b"\\00",
        b"%",
        b"%u",
        b"%u00",
        b"+",
        b"../",
        b"a/../",
        b"a/",
        b"/..",
        b"./",
        b"..\\",
        b"[",
        b"[a]",
        b"a[",
        b"[ ]",
        b" ",
        b" \t",
        b"a ",
        b" /",
        b"\"",
        b"0x",
        b"0x4",
        b"0x41",
        b"=",
        b"A=",
        b"\xf0",
        b"\xc3\xa4",
        b"\xed\xa0\x80",
        b"\0",
        b"a",
        b"Aa",
    ];
    for row in transform::all() {
        for part in hostile {
            let value = part.repeat(SIZE / part.len());
            let changed = apply(row, &value);
            let bounded = changed.is_none_or(|out| out.len() <= 4 * value.len() + 20);
            assert!(bounded, "{} of {} × n", row.name, show(part));
        }
    }
}

/// Bytes of all kinds, and text made of what transformations look for.
fn values() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "%", "u", "4", "1", "f", "%u", "%41", "+", "\\", "\\x", "\\u", "00", "&", "#", "&#", "x", "lt", ";",
        "/*", "*/", "<!--", "-->", "--", ".", "..", "/", "../", " ", "\t", "\n", ",", "(", "[", "]", "=",
        "\"", "'", "^", "\0", "a", "Z", "0x", "0x41", "QUJD", "é", "日", "😀",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces.map(|p| p.as_bytes().to_vec()).to_vec()),
        1 => any::<u8>().prop_map(|b| vec![b]),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        proptest::collection::vec(piece, 0..30).prop_map(|p| p.concat()),
    ]
}

/// The changed value, or `None` when it stays as it is; then nothing may have been allocated.
fn apply(row: &Transformation, input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if (row.apply)(input, &mut out) {
        return Some(out);
    }
    assert_eq!(out.capacity(), 0, "{} allocates although it changes nothing: {}", row.name, show(input));
    None
}

fn applied(name: &str, input: &[u8]) -> Vec<u8> {
    let row = transform::find(name).expect("a row").row();
    apply(row, input).unwrap_or_else(|| input.to_vec())
}

fn show(value: &[u8]) -> String {
    let shown: String = value.iter().take(300).map(|b| b.escape_ascii().to_string()).collect();
    if value.len() > 300 { format!("{shown}… ({} bytes)", value.len()) } else { shown }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return out,
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', b'x', a, b, rest @ ..] => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).expect("two digits follow \\x");
                out.push(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("\\x{digits} in {text}")));
                rest
            }
            [b'\\', ..] => panic!("neither \\xHH nor \\\\: {text}"),
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}
