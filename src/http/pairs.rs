//! Names and values in one arena: what arguments, cookies and part headers are kept in.

/// An ordered list of (name, value) in which nothing is ever merged: names may repeat, and differ in case only.
///
/// One buffer holds all bytes, so that a pair costs no allocation of its own. Offsets are 32 bits: a list holds
/// at most 4 GiB, far above every body limit; what does not fit is not stored and [`Pairs::push`] says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

impl Pairs {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a pair. `false` when the list's 4 GiB are used up; the pair is then not stored.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.seal(name_end)
    }

    /// Bytes that it occupies.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    /// Makes room for that many more pairs and bytes.
    pub(crate) fn reserve(&mut self, pairs: usize, bytes: usize) {
        self.ends.reserve(pairs);
        self.bytes.reserve(bytes);
    }

    /// Appends a pair whose name and value are written straight into the arena.
    ///
    /// `write_name` and `write_value` may only append; what they cut off is at their own peril, though never
    /// unsound: offsets are checked when they are read.
    pub(crate) fn push_with(
        &mut self,
        write_name: impl FnOnce(&mut Vec<u8>),
        write_value: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        write_name(&mut self.bytes);
        let name_end = self.bytes.len();
        write_value(&mut self.bytes);
        self.seal(name_end)
    }

    /// Lengthens the last pair's value by what `write` appends. `false`, and unchanged, when there is no pair or the
    /// list's 4 GiB are used up.
    pub(crate) fn extend_last(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let length = self.bytes.len();
        write(&mut self.bytes);
        match (self.ends.last_mut(), u32::try_from(self.bytes.len())) {
            (Some(last), Ok(end)) => {
                last.1 = end;
                true
            }
            _ => {
                self.bytes.truncate(length);
                false
            }
        }
    }

    /// The pair at `index`, in order of insertion.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let &(name_end, end) = self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before)?.1,
            None => 0,
        };
        let name = self.bytes.get(start as usize..name_end as usize)?;
        let value = self.bytes.get(name_end as usize..end as usize)?;
        Some((name, value))
    }

    /// All pairs in order of insertion.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator + '_ {
        (0..self.ends.len()).map(|i| self.get(i).unwrap_or_default())
    }

    /// The values of all pairs whose name is exactly `name`.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v)
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names and values together (`ARGS_COMBINED_SIZE` counts so).
    pub fn combined_size(&self) -> usize {
        self.bytes.len()
    }

    fn seal(&mut self, name_end: usize) -> bool {
        match (u32::try_from(name_end), u32::try_from(self.bytes.len())) {
            (Ok(name_end), Ok(end)) => {
                self.ends.push((name_end, end));
                true
            }
            _ => {
                self.bytes.truncate(self.ends.last().map_or(0, |e| e.1 as usize));
                false
            }
        }
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Pairs {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        let mut list = Pairs::new();
        for (name, value) in pairs {
            list.push(name, value);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_order_duplicates_and_case() {
        let mut p = Pairs::new();
        assert!(p.push(b"a", b"1") && p.push(b"A", b"") && p.push(b"a", b"2") && p.push(b"", b"x"));
        let all: Vec<_> = p.iter().collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"A", b""), (b"a", b"2"), (b"", b"x")];
        assert_eq!(all, expected);
        assert_eq!(p.values(b"a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((p.len(), p.combined_size()), (4, 6));
        assert_eq!(p.get(4), None);
    }
}
