//! Arguments for every operator of the registry.

use portcullis::operator::Resources;
use std::sync::Arc;

/// What operators read when they are built.
pub struct Lists;

impl Resources for Lists {
    fn file(&self, name: &str) -> Result<Arc<[u8]>, String> {
        let nets = b"10.0.0.0/8\n2001:db8::/32\n".as_slice();
        Ok(if name == "nets" { nets } else { b"aaaaaaaab\nselect from\n" }.into())
    }

    fn dataset(&self, name: &str) -> Option<Arc<[String]>> {
        let words: &[&str] = if name == "nets" { &["10.0.0.0/8", "::1"] } else { &["aaaaaaaab", "../../x"] };
        Some(words.iter().map(|w| (*w).to_owned()).collect())
    }
}

/// Arguments for every operator; patterns are of the kind that goes wrong elsewhere.
pub const ARGUMENTS: &[(&str, &str)] = &[
    ("beginsWith", "aaaaaaaab"),
    ("contains", "aaaaaaaaaaaaaaaab"),
    ("contains", "/../../../../b"),
    ("containsWord", "aaaaaaaa"),
    ("containsWord", "a"),
    ("detectSQLi", ""),
    ("detectHtml", ""),
    ("detectShell", ""),
    ("detectTemplate", ""),
    ("detectXSS", ""),
    ("endsWith", "aaaaaaaab"),
    ("eq", "1"),
    ("ge", "1"),
    ("geoLookup", ""),
    ("gt", "1"),
    ("ipMatch", "10.0.0.0/8,2001:db8::/32"),
    ("ipMatchFromDataset", "nets"),
    ("ipMatchFromFile", "nets"),
    ("le", "1"),
    ("lt", "1"),
    ("noMatch", ""),
    ("pm", "aaaaaaaab aab ab /../x select"),
    ("pmFromDataset", "words"),
    ("pmFromFile", "words"),
    ("rbl", "list.example"),
    ("restpath", "/a/{id}/b/{name}"),
    ("rx", "(a+)+b"),
    ("rx", "(?:a|aa|a.)*b"),
    ("rx", r"(?i)(?:\w+\s*)*=\s*x$"),
    // These backtrack, within bounds.
    ("rx", r"(a+)+\1b"),
    ("rx", r"(?=a)(?:a|aa)*+b"),
    ("rx", r"(?<!b)(\w+\s?)*x"),
    ("rxGlobal", "a.*b"),
    ("rxGlobal", "(a)(b)?"),
    ("streq", "aaaaaaaab"),
    ("strmatch", "aaaaaaaab"),
    ("unconditionalMatch", ""),
    ("validateByteRange", "0-255"),
    ("validateNid", r"cl \d+-?[\dk]"),
    ("validateNid", r"us \d+"),
    ("validateUrlEncoding", ""),
    ("validateUtf8Encoding", ""),
    ("verifyCC", r"\d{13,16}"),
    ("verifyCC", r"(?:\d[ -]*)+"),
    ("verifyCC", r"\d+.*x"),
    ("verifyCPF", r"[\d.-]+"),
    ("verifySSN", r"\d+[ -]?\d*"),
    ("verifySVNR", r"\d+[ -]?\d*"),
    ("within", "aaaaaaaab"),
];
