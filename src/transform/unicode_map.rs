//! The code page of `SecUnicodeMapFile`: which byte `urlDecodeUni` makes of a code point.

use std::fmt;

/// A code page: from code points of 16 bits to bytes. The default is empty, as without `SecUnicodeMapFile`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnicodeMap {
    /// Sorted by code point, each once. A code page has a few hundred entries and few requests ask for one, so
    /// a search is better than a table of all code points.
    entries: Vec<(u16, u8)>,
}

impl UnicodeMap {
    /// Reads the code page numbered `code_page` from a file in the format of ModSecurity's `unicode.mapping`:
    /// after the number of a code page and its name in parentheses, which may contain spaces, follow entries
    /// `HHHH:HH`, a code point and a byte in hexadecimal, separated by white space, up to the next number.
    ///
    /// As in ModSecurity, the full stops of IDNA (RFC 3490, section 3.1) become `.` unless the file says otherwise.
    ///
    /// # Errors
    /// When the file has no such code page, or the code page has an entry that is not of this form.
    pub fn parse(file: &[u8], code_page: u32) -> Result<Self, UnicodeMapError> {
        let mut words = file.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
        words
            .find(|w| std::str::from_utf8(w).is_ok_and(|w| w.parse() == Ok(code_page)))
            .ok_or(UnicodeMapError::NoSuchCodePage(code_page))?;
        let mut entries: Vec<(u16, u8)> = words
            .skip_while(|w| !w.contains(&b':') && !w.iter().all(u8::is_ascii_digit))
            .take_while(|w| w.contains(&b':'))
            .map(|w| {
                entry(w).ok_or_else(|| UnicodeMapError::BadEntry(String::from_utf8_lossy(w).into_owned()))
            })
            .collect::<Result<_, _>>()?;
        entries.extend(FULL_STOPS.map(|code| (code, b'.')));
        // The sort is stable: of several entries for a code point the first in the list stays. ModSecurity keeps
        // the last in the file; no published file has two.
        entries.sort_by_key(|(code, _)| *code);
        entries.dedup_by_key(|(code, _)| *code);
        Ok(Self { entries })
    }

    /// The byte for `code`, if the code page has one.
    pub fn get(&self, code: u16) -> Option<u8> {
        let at = self.entries.binary_search_by_key(&code, |(code, _)| *code).ok()?;
        self.entries.get(at).map(|(_, byte)| *byte)
    }

    /// Whether there is no code page.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Why a code page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnicodeMapError {
    /// The file has no code page of this number.
    NoSuchCodePage(u32),
    /// This entry of the code page is not `HHHH:HH`.
    BadEntry(String),
}

impl fmt::Display for UnicodeMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCodePage(number) => write!(f, "the file has no code page {number}"),
            Self::BadEntry(entry) => {
                write!(f, "`{entry}` is not a code point and a byte in hexadecimal, such as `00e9:65`")
            }
        }
    }
}

impl std::error::Error for UnicodeMapError {}

fn entry(word: &[u8]) -> Option<(u16, u8)> {
    let (code, byte) = std::str::from_utf8(word).ok()?.split_once(':')?;
    Some((u16::from_str_radix(code, 16).ok()?, u8::from_str_radix(byte, 16).ok()?))
}

/// U+3002, U+FF0E, U+FF61 and U+002E itself.
const FULL_STOPS: [u16; 4] = [0x002e, 0x3002, 0xff0e, 0xff61];

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"1250  (ANSI - Central Europe)\n00a1:21 00a2:63\n\n20127 (US-ASCII)\n\
        00a9:43 00e9:65 3002:2c\n\n20261 (T.61)\n00a6:7c\n65000\n";

    #[test]
    fn one_code_page_of_several_is_read() {
        let map = UnicodeMap::parse(FILE, 20127).expect("in the file");
        assert_eq!(map.get(0x00e9), Some(b'e'));
        assert_eq!(map.get(0x00a1), None, "of the code page before");
        assert_eq!(map.get(0x00a6), None, "of the code page after");
        assert_eq!(map.get(0xff0e), Some(b'.'));
        assert_eq!(map.get(0x3002), Some(b','), "the file goes before the default");
        assert_eq!(UnicodeMap::parse(FILE, 1250).expect("in the file").get(0x00a2), Some(b'c'));
        assert_eq!(UnicodeMap::parse(FILE, 65000).expect("in the file").get(0x00a6), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(UnicodeMap::parse(FILE, 437), Err(UnicodeMapError::NoSuchCodePage(437)));
        assert_eq!(UnicodeMap::parse(b"", 437), Err(UnicodeMapError::NoSuchCodePage(437)));
        for bad in ["00zz:41", "10000:41", "0041:100", ":", "0041:"] {
            let file = format!("437 (OEM)\n0041:41 {bad}\n");
            let error = UnicodeMap::parse(file.as_bytes(), 437).expect_err(bad);
            assert_eq!(error, UnicodeMapError::BadEntry(bad.to_owned()));
            assert!(error.to_string().contains(bad));
        }
        assert!(UnicodeMap::default().is_empty());
    }
}
