//! Tags, read as the HTML standard's tokenizer does.

use std::ops::Range;

/// An opening tag.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// The element's name without a prefix (`svg:script`).
    pub name: &'a [u8],
    /// Where its attributes begin.
    pub attributes: usize,
}

/// An attribute.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub name: &'a [u8],
    /// Empty where there is none.
    pub value: &'a [u8],
    /// Whether the value stands in quotes.
    pub quoted: bool,
    /// Whether the value's end is that of the input.
    pub cut: bool,
    /// Whether there is a value, be it empty.
    pub assigned: bool,
}

/// Bytes of an element's name.
const NAME: usize = 40;
/// Bytes of a tag and attributes in it that are read.
const LONGEST: usize = 4096;
const ATTRIBUTES: usize = 64;

/// The opening tag at `at`, where there is a `<`.
pub(super) fn open(value: &[u8], at: usize) -> Option<Tag<'_>> {
    let rest = value.get(at + 1..)?;
    rest.first().filter(|b| b.is_ascii_alphabetic())?;
    let length = rest.iter().take(NAME).take_while(|b| !ends_name(b) && **b != b'<').count();
    let whole = rest.get(..length)?;
    let prefix = memchr::memrchr(b':', whole).map_or(0, |colon| colon + 1);
    Some(Tag { name: whole.get(prefix..)?, attributes: at + 1 + length })
}

fn ends_name(byte: &u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

pub(super) fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Reads attributes from `at` on.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    value: &'a [u8],
    at: usize,
    limit: usize,
    left: usize,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(value: &'a [u8], tag: &Tag<'_>) -> Self {
        let limit = value.len().min(tag.attributes + LONGEST);
        Self { value, at: tag.attributes, limit, left: ATTRIBUTES }
    }

    /// Where reading stopped: at the `>`, at a `<` that begins another tag, or at the end.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    fn run(&self, from: usize, belongs: impl Fn(&u8) -> bool) -> Range<usize> {
        let rest = self.value.get(from..self.limit).unwrap_or_default();
        from..from + rest.iter().take_while(|b| belongs(b)).count()
    }

    fn of_range(&self, range: &Range<usize>) -> &'a [u8] {
        self.value.get(range.clone()).unwrap_or_default()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        self.left = self.left.checked_sub(1)?;
        // Quotes that belong to nothing are skipped, as filters do that look for the attribute's name.
        self.at = self.run(self.at, |b| is_space(b) || matches!(b, b'/' | b'"' | b'\'' | b'`')).end;
        match self.value.get(self.at) {
            None | Some(b'>' | b'<') => return None,
            _ if self.at >= self.limit => return None,
            _ => {}
        }
        let first = self.at;
        let name = first..self.run(first + 1, |b| !ends_name(b) && !matches!(b, b'=' | b'<')).end;
        let mut after = self.run(name.end, is_space).end;
        if self.value.get(after) != Some(&b'=') || after >= self.limit {
            self.at = name.end;
            let cut = name.end >= self.value.len();
            return Some(Attribute {
                name: self.of_range(&name),
                value: b"",
                quoted: false,
                cut,
                assigned: false,
            });
        }
        after = self.run(after + 1, is_space).end;
        let quote = self.value.get(after).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'));
        let value = match quote {
            Some(quote) => self.run(after + 1, |b| *b != quote),
            None => self.run(after, |b| !is_space(b) && *b != b'>'),
        };
        self.at = value.end + usize::from(quote.is_some() && value.end < self.limit);
        Some(Attribute {
            name: self.of_range(&name),
            value: self.of_range(&value),
            quoted: quote.is_some(),
            cut: value.end >= self.value.len(),
            assigned: true,
        })
    }
}
