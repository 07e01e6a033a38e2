//! What may be known of a transformation's result without carrying it out. The engine uses it to tell which rules
//! cannot match; claiming too little costs time, claiming too much loses matches, so tests hold every claim.

use super::byte_set::ByteSet;
use super::registry::{TransformId, Transformation, all};
use std::sync::LazyLock;

impl TransformId {
    /// Whether values which differ in the case of ASCII letters only have results which differ in that only.
    pub fn ignores_case(self) -> bool {
        const NAMES: &[&str] = &[
            "cmdLine",
            "compressWhitespace",
            "cssDecode",
            "decodeLayers",
            "htmlEntityDecode",
            "length",
            "lowercase",
            "normalizePath",
            "normalizePathWin",
            "removeComments",
            "removeCommentsChar",
            "removeNulls",
            "removeWhitespace",
            "replaceComments",
            "replaceNulls",
            "trim",
            "trimLeft",
            "trimRight",
            "uppercase",
            "urlDecode",
            "urlDecodeUni",
            "utf8toUnicode",
        ];
        NAMES.contains(&self.row().name)
    }

    /// Whether it changes nothing but the case of ASCII letters.
    pub fn changes_case_only(self) -> bool {
        matches!(self.row().name, "lowercase" | "uppercase")
    }

    /// Whether it does nothing to upper-case letters but make them lower case.
    pub fn only_lowers(self) -> bool {
        matches!(self.row().name, "cmdLine" | "lowercase")
    }

    /// The most bytes that its result has for a value of `length` bytes, where that is no more than the value has.
    pub fn longest(self, length: usize) -> Option<usize> {
        match GROWTH[usize::from(self.0)] {
            Growth::None => Some(length),
            Growth::Base64 { .. } => Some(length / 4 * 3 + 3),
            Growth::Any => None,
        }
    }

    /// The most bytes that its result has for `value`, where looking at it tells more than its length does.
    pub fn longest_for(self, value: &[u8]) -> Option<usize> {
        match GROWTH[usize::from(self.0)] {
            Growth::Base64 { stops: true } => match super::base64::read_by_decode(value) {
                0 => Some(0),
                read => self.longest(read),
            },
            _ => self.longest(value.len()),
        }
    }

    /// Bytes that no result contains which differs from the value.
    pub fn removes(self) -> ByteSet {
        const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
        match self.row().name {
            "lowercase" => UPPER,
            "cmdLine" => UPPER.union(ByteSet::of(b"\\\"'^,;\t\r\n")),
            "compressWhitespace" => ByteSet::of(b"\t\n\x0b\x0c\r"),
            "replaceNulls" => ByteSet::of(b"\0"),
            _ => self.omits().unwrap_or(ByteSet::EMPTY),
        }
    }

    /// The bytes that it leaves out of a value, where it does nothing else.
    pub fn omits(self) -> Option<ByteSet> {
        match self.row().name {
            "removeNulls" => Some(ByteSet::of(b"\0")),
            "removeWhitespace" => Some(super::whitespace::SPACE_AND_NBSP),
            _ => None,
        }
    }

    /// What tells of the bytes that decoding makes, where that is much less work than to decode; and the bytes that its
    /// result has only where this tells so.
    pub fn made(self) -> Option<(Made, ByteSet)> {
        match self.row().name {
            "htmlEntityDecode" => Some((super::html::made, ByteSet::of(b"&"))),
            "urlDecode" => Some((super::url::made, ByteSet::of(b"%+"))),
            "urlDecodeUni" => Some((super::url::made_uni, ByteSet::of(b"%+"))),
            _ => None,
        }
    }

    /// The bytes that a value must not have, so that each run of [`RUNS`] in the result stands in the value as well,
    /// letters without regard to case; `None` where nothing is known of that.
    pub fn breaks_runs(self) -> Option<ByteSet> {
        match self.row().name {
            "compressWhitespace" | "lowercase" | "trim" | "trimLeft" | "trimRight" | "uppercase" => {
                Some(ByteSet::EMPTY)
            }
            "cmdLine" => Some(ByteSet::of(b"\"'\\^")),
            "urlDecode" | "urlDecodeUni" => Some(ByteSet::of(b"%")),
            _ => None,
        }
    }

    /// Whether it is of no consequence for what is looked for, unless the value has one of these bytes: without them
    /// a value stays as it is or becomes empty.
    pub fn concerns(self) -> Option<ByteSet> {
        match self.row().name {
            "normalizePath" => Some(ByteSet::of(b"/")),
            "normalizePathWin" => Some(ByteSet::of(b"/\\")),
            _ => None,
        }
    }

    /// Whether it makes something of nothing, as hashes do.
    pub fn fills_empty(self) -> bool {
        let mut out = Vec::new();
        (self.row().apply)(b"", &mut out) && !out.is_empty()
    }

    /// The bytes that its result may contain beside those of the value (letters of either case count as one);
    /// `None` when it may contain any.
    pub fn adds(self) -> Option<ByteSet> {
        Some(match self.row().name {
            "lowercase" | "uppercase" | "removeNulls" | "removeWhitespace" | "removeCommentsChar"
            | "trim" | "trimLeft" | "trimRight" => ByteSet::EMPTY,
            "cmdLine" | "compressWhitespace" | "replaceComments" | "replaceNulls" => ByteSet::of(b" "),
            "removeComments" => ByteSet::of(b" \0"),
            "normalizePath" | "normalizePathWin" => ByteSet::of(b"/."),
            "utf8toUnicode" => ByteSet::of(b"%uabcdef0123456789"),
            _ => return None,
        })
    }
}

/// Calls back with each byte that decoding a value makes, and with what stands for an escape and is none. A result has
/// no others beside those of the value.
pub type Made = fn(&[u8], &mut dyn FnMut(u8));

/// Bytes that transformations which [keep runs](TransformId::breaks_runs) neither make nor take away.
pub const RUNS: ByteSet = ByteSet::range(b'0', b'9')
    .union(ByteSet::range(b'a', b'z'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::of(b"-_.$={}[]@~:|<>`!?*"));

/// How long a result may be.
#[derive(Clone, Copy)]
enum Growth {
    None,
    /// Three bytes for four; whether it ends at the first byte that is no symbol.
    Base64 {
        stops: bool,
    },
    Any,
}

/// For each row. Each value asks for this more than once, so that names are compared beforehand.
static GROWTH: LazyLock<Vec<Growth>> = LazyLock::new(|| {
    let growth = |row: &Transformation| match row.name {
        "base64Decode" => Growth::Base64 { stops: true },
        "base64DecodeExt" => Growth::Base64 { stops: false },
        "base64Encode" | "hexEncode" | "length" | "md5" | "sha1" | "urlEncode" | "utf8toUnicode" => {
            Growth::Any
        }
        _ => Growth::None,
    };
    all().iter().map(growth).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(id: TransformId, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if (id.row().apply)(value, &mut out) { out } else { value.to_vec() }
    }

    fn ids() -> impl Iterator<Item = TransformId> {
        (0..all().len()).map(|n| TransformId(u8::try_from(n).expect("few transformations")))
    }

    /// Values made of what transformations look for.
    fn values() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::sample::select(
                b"aAfFuUxXzZ09 \t\n%+&;#\\/.*-'\"^,()<>=\0\x80\xa0\xc3\xa9\xe2".to_vec()
            )
            .prop_map(|b| vec![b]),
            proptest::sample::select(vec![
                "&LT;", "&amp", "&#X4a;", "&#65", "%4A", "%u004a", "%UFF21", "\\4a ", "\\U", "/*", "*/",
                "<!--", "-->", "/../", "/./", "\u{e9}", "\u{212a}", "&NBSP;",
            ])
            .prop_map(|s| s.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..14).prop_map(|p| p.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_ignores_case_does(value in values()) {
            for id in ids().filter(|id| id.ignores_case()) {
                for other in [value.to_ascii_lowercase(), value.to_ascii_uppercase()] {
                    let (a, b) = (applied(id, &value), applied(id, &other));
                    prop_assert!(a.eq_ignore_ascii_case(&b), "{} of {value:?}: {a:?}, {b:?}", id.row().name);
                }
            }
        }

        #[test]
        fn results_are_no_longer_than_said(value in values()) {
            for id in ids() {
                let Some(longest) = id.longest(value.len()) else { continue };
                let result = applied(id, &value);
                prop_assert!(result.len() <= longest, "{} of {value:?}: {result:?}", id.row().name);
                let longest = id.longest_for(&value).expect("as above");
                prop_assert!(result.len() <= longest, "{} of {value:?}: {result:?}", id.row().name);
            }
        }

        #[test]
        fn what_only_lowers_does(value in values()) {
            for id in ids().filter(|id| id.only_lowers()) {
                let (result, of_lower) = (applied(id, &value), applied(id, &value.to_ascii_lowercase()));
                prop_assert_eq!(result, of_lower);
            }
        }

        #[test]
        fn what_is_removed_is_gone(value in values()) {
            for id in ids() {
                let mut result = Vec::new();
                if (id.row().apply)(&value, &mut result) {
                    let removes = id.removes();
                    prop_assert!(!result.iter().any(|b| removes.contains(*b)), "{} of {value:?}", id.row().name);
                }
            }
        }

        #[test]
        fn nothing_but_what_is_omitted_is_missing(value in values()) {
            for id in ids() {
                let Some(omits) = id.omits() else { continue };
                let rest: Vec<u8> = value.iter().copied().filter(|b| !omits.contains(*b)).collect();
                prop_assert_eq!(applied(id, &value), rest, "{}", id.row().name);
            }
        }

        #[test]
        fn what_is_made_is_told(value in values()) {
            for id in ids() {
                let Some((made, consumed)) = id.made() else { continue };
                let mut bytes: Vec<u8> = value.iter().copied().filter(|b| !consumed.contains(*b)).collect();
                made(&value, &mut |byte| bytes.push(byte));
                for byte in applied(id, &value) {
                    prop_assert!(bytes.contains(&byte), "{} of {value:?} has {byte:#x}", id.row().name);
                }
            }
        }

        #[test]
        fn runs_are_kept(value in values()) {
            for id in ids() {
                let Some(breaks) = id.breaks_runs() else { continue };
                let value: Vec<u8> = value.iter().copied().filter(|b| !breaks.contains(*b)).collect();
                let lower = value.to_ascii_lowercase();
                for run in applied(id, &value).split(|b| !RUNS.contains(*b)).filter(|run| !run.is_empty()) {
                    let run = run.to_ascii_lowercase();
                    let occurs = lower.windows(run.len()).any(|part| part == run);
                    prop_assert!(occurs, "{} of {value:?} has {run:?}", id.row().name);
                }
            }
        }

        #[test]
        fn what_does_not_concern_is_the_same_or_empty(value in values()) {
            for id in ids() {
                let Some(concerns) = id.concerns() else { continue };
                let value: Vec<u8> = value.iter().copied().filter(|b| !concerns.contains(*b)).collect();
                let result = applied(id, &value);
                prop_assert!(result == value || result.is_empty(), "{} of {value:?}: {result:?}", id.row().name);
            }
        }

        #[test]
        fn nothing_else_is_added(value in values()) {
            for id in ids() {
                let Some(adds) = id.adds() else { continue };
                let lower = value.to_ascii_lowercase();
                for byte in applied(id, &value).to_ascii_lowercase() {
                    prop_assert!(
                        lower.contains(&byte) || adds.contains(byte),
                        "{} of {value:?} has {byte:#x}",
                        id.row().name
                    );
                }
            }
        }
    }
}
