//! Random numbers, letters and prose from a seed.

/// A generator of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub fn of(&mut self, bytes: &[u8], length: usize) -> Vec<u8> {
        (0..length).map(|_| *self.pick(bytes)).collect()
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }

    /// Sentences, to which CRS does not object.
    pub fn prose(&mut self, length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length + 64);
        while out.len() < length {
            let start = out.len();
            for _ in 0..4 + self.below(9) {
                out.extend_from_slice(self.pick(WORDS).as_bytes());
                out.push(b' ');
            }
            out[start].make_ascii_uppercase();
            out.pop();
            out.extend_from_slice(self.pick(&[". ", ". ", ", ", "? ", "! "]).as_bytes());
        }
        out.truncate(length);
        out
    }

    /// Letters that stand in no other value.
    pub fn letters(&mut self, length: usize) -> Vec<u8> {
        self.of(b"abcdefghijklmnopqrstuvwxyz", length)
    }
}

/// Words of English prose that are not SQL's.
pub const WORDS: &[&str] = &[
    "a",
    "about",
    "after",
    "all",
    "art",
    "at",
    "back",
    "be",
    "because",
    "been",
    "book",
    "business",
    "can",
    "car",
    "change",
    "city",
    "community",
    "company",
    "day",
    "do",
    "down",
    "early",
    "end",
    "fact",
    "family",
    "father",
    "game",
    "good",
    "government",
    "great",
    "group",
    "head",
    "health",
    "her",
    "history",
    "hour",
    "how",
    "if",
    "information",
    "issue",
    "job",
    "kid",
    "law",
    "level",
    "life",
    "line",
    "long",
    "made",
    "member",
    "minute",
    "moment",
    "money",
    "mother",
    "name",
    "no",
    "number",
    "office",
    "on",
    "other",
    "others",
    "over",
    "part",
    "people",
    "point",
    "power",
    "president",
    "program",
    "public",
    "reason",
    "research",
    "result",
    "right",
    "room",
    "same",
    "say",
    "school",
    "service",
    "she",
    "some",
    "state",
    "story",
    "student",
    "study",
    "system",
    "teacher",
    "team",
    "than",
    "their",
    "they",
    "thing",
    "this",
    "through",
    "time",
    "two",
    "us",
    "war",
    "was",
    "water",
    "way",
    "we",
    "week",
    "were",
    "with",
    "woman",
    "word",
    "work",
    "world",
    "would",
    "year",
    "you",
    "young",
];
