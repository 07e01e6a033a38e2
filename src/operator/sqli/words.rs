//! The words and phrases of SQL and the fingerprints of attacks, as hash tables which are built once.

use super::token::{Kind, LONGEST};
use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use std::sync::LazyLock;

/// An entry of the word table, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word(u16);

impl Word {
    pub(super) const NONE: Self = Self(0);
}

/// The tables.
pub(super) struct Words {
    /// The first is [`Word::NONE`].
    entries: Vec<Entry>,
    /// Open addressing, by [`hash`]: 0, or the hash's upper half and a word in the lower.
    slots: Box<[u32; SLOTS]>,
    /// The lengths of all texts that begin alike, and that end alike, a bit for each length. Most of what is asked for
    /// is no word, and this is cheaper to ask than a hash.
    lengths_by_start: [u32; 256],
    lengths_by_end: [u32; 32],
    /// Two texts that make a phrase with a space between them: the pair as [`pair`] writes it, and the phrase.
    /// Sorted.
    phrases: Vec<(u32, Word)>,
    /// Open addressing: 0, or a fingerprint as [`pack`] writes it.
    fingerprints: Box<[u32; FINGERPRINTS]>,
}

struct Entry {
    /// In capitals.
    text: &'static [u8],
    /// [`Kind::None`]: no word of its own, only a part of phrases.
    kind: Kind,
    /// Whether a phrase begins with this, or ends with it.
    begins: bool,
    ends: bool,
}

/// The tables, which are built when first asked for.
pub(super) fn words() -> &'static Words {
    &WORDS
}

static WORDS: LazyLock<Words> = LazyLock::new(Words::new);

impl Words {
    /// The entry of a text in any case.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Word {
        let lengths = self.lengths_by_start[start(text)] & self.lengths_by_end[end(text)];
        if text.len() > LONGEST || lengths >> text.len() & 1 == 0 {
            return Word::NONE;
        }
        self.look_up(text)
    }

    fn look_up(&self, text: &[u8]) -> Word {
        let hash = hash(text);
        let mut at = hash as usize % SLOTS;
        // The table has free slots, so that this ends.
        loop {
            let slot = self.slots[at % SLOTS];
            if slot == 0 {
                return Word::NONE;
            }
            if (slot ^ hash) >> 16 == 0 {
                let word = Word((slot & 0xffff) as u16);
                if self.text(word).eq_ignore_ascii_case(text) {
                    return word;
                }
            }
            at += 1;
        }
    }

    /// The kind of an entry; [`Kind::None`] for none, and for what is only a part of phrases.
    pub(super) fn kind(&self, word: Word) -> Kind {
        self.entry(word).kind
    }

    /// The text of an entry, in capitals.
    pub(super) fn text(&self, word: Word) -> &'static [u8] {
        self.entry(word).text
    }

    /// Whether a phrase begins with this.
    #[inline]
    pub(super) fn begins_phrase(&self, word: Word) -> bool {
        self.entry(word).begins
    }

    /// The phrase of two texts with a space between them.
    pub(super) fn phrase(&self, first: Word, second: Word) -> Option<Word> {
        if !self.entry(first).begins || !self.entry(second).ends {
            return None;
        }
        let at = self.phrases.binary_search_by_key(&pair(first, second), |(pair, _)| *pair).ok()?;
        self.phrases.get(at).map(|(_, phrase)| *phrase)
    }

    /// Whether attacks have this fingerprint, given as [`pack`] writes it.
    pub(super) fn is_attack(&self, fingerprint: u32) -> bool {
        let mut at = spread(fingerprint);
        loop {
            match self.fingerprints[at % FINGERPRINTS] {
                0 => return false,
                known if known == fingerprint => return true,
                _ => at += 1,
            }
        }
    }

    fn new() -> Self {
        let nothing = Entry { text: b"", kind: Kind::None, begins: false, ends: false };
        let mut words = Self {
            entries: vec![nothing],
            slots: vec![0; SLOTS].try_into().expect("it has this many"),
            lengths_by_start: [0; 256],
            lengths_by_end: [0; 32],
            phrases: Vec::new(),
            fingerprints: vec![0; FINGERPRINTS].try_into().expect("it has this many"),
        };
        for keyword in SQL_KEYWORDS {
            let text = keyword.word.as_bytes();
            if let (b'F', [_, letters @ ..]) = (keyword.token_type, text) {
                words.add_fingerprint(letters);
            } else if let Some(kind) = Kind::of_letter(keyword.token_type) {
                let word = words.add(text);
                words.entries[usize::from(word.0)].kind = kind;
                words.add_phrases(text, word);
            }
        }
        words.phrases.sort_unstable();
        words
    }

    /// The entry of a text in capitals, made if there is none.
    fn add(&mut self, text: &'static [u8]) -> Word {
        let known = self.find(text);
        if known != Word::NONE {
            return known;
        }
        debug_assert!(text.len() <= LONGEST);
        let word = Word(u16::try_from(self.entries.len()).expect("a thousand words"));
        self.entries.push(Entry { text, kind: Kind::None, begins: false, ends: false });
        let hash = hash(text);
        let mut at = hash as usize % SLOTS;
        while self.slots[at % SLOTS] != 0 {
            at += 1;
        }
        self.slots[at % SLOTS] = hash & !0xffff | u32::from(word.0);
        self.lengths_by_start[start(text)] |= 1 << text.len();
        self.lengths_by_end[end(text)] |= 1 << text.len();
        word
    }

    /// Each way in which two texts can make this phrase: each may be a phrase itself, or come from backquotes.
    fn add_phrases(&mut self, text: &'static [u8], phrase: Word) {
        for space in memchr::memchr_iter(b' ', text) {
            let first = self.add(&text[..space]);
            let second = self.add(&text[space + 1..]);
            self.entries[usize::from(first.0)].begins = true;
            self.entries[usize::from(second.0)].ends = true;
            self.phrases.push((pair(first, second), phrase));
        }
    }

    fn add_fingerprint(&mut self, letters: &[u8]) {
        // The table has capitals only. A capital that no small letter goes with is meant as it is; `T` and `t` are one.
        let kind = |letter: &u8| Kind::of_letter(letter.to_ascii_lowercase()).or(Kind::of_letter(*letter));
        let Some(fingerprint) = letters.iter().map(kind).try_fold(0, |sum, k| Some(append(sum, k?))) else {
            return;
        };
        let mut at = spread(fingerprint);
        while self.fingerprints[at % FINGERPRINTS] != 0 {
            at += 1;
        }
        self.fingerprints[at % FINGERPRINTS] = fingerprint;
    }

    fn entry(&self, word: Word) -> &Entry {
        &self.entries[usize::from(word.0)]
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (Word, &'static [u8], Kind)> + '_ {
        (1..).map(Word).zip(&self.entries[1..]).map(|(word, entry)| (word, entry.text, entry.kind))
    }

    #[cfg(test)]
    pub(super) fn fingerprints(&self) -> usize {
        self.fingerprints.iter().filter(|slot| **slot != 0).count()
    }
}

/// A fingerprint of at most five kinds as a number, five bits a kind. `T` and `t` are one, as in the table.
pub(super) fn pack(kinds: impl Iterator<Item = Kind>) -> u32 {
    kinds.fold(0, append)
}

fn append(fingerprint: u32, kind: Kind) -> u32 {
    let kind = if kind == Kind::Tsql { Kind::SqlType } else { kind };
    fingerprint << 5 | kind as u32
}

fn spread(fingerprint: u32) -> usize {
    (fingerprint.wrapping_mul(0x9e37_79b1) >> 16) as usize
}

fn pair(first: Word, second: Word) -> u32 {
    u32::from(first.0) << 16 | u32::from(second.0)
}

/// A number of the first two bytes. The case of letters makes no difference, to the next either.
fn start(text: &[u8]) -> usize {
    let (first, second) = (text.first().copied().unwrap_or(0), text.get(1).copied().unwrap_or(0));
    usize::from(first & 31 | second << 5)
}

/// A number of the last byte.
fn end(text: &[u8]) -> usize {
    usize::from(text.last().copied().unwrap_or(0) & 31)
}

/// Of the length and at most sixteen bytes, from both ends. The case of letters makes no difference.
fn hash(text: &[u8]) -> u32 {
    const CAPITALS: u64 = 0xdfdf_dfdf_dfdf_dfdf;
    let (head, tail) = if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
    } else if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from(u16::from_le_bytes(*head)), u64::from(u16::from_le_bytes(*tail)))
    } else {
        (text.first().map_or(0, |byte| u64::from(*byte)), 0)
    };
    let head = (head & CAPITALS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let tail = (tail & CAPITALS).wrapping_add(text.len() as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (head ^ tail.rotate_left(29)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed >> 32) as u32
}

/// Four times as many as there are words.
const SLOTS: usize = 4096;
/// Twice as many as there are fingerprints.
const FINGERPRINTS: usize = 16384;
