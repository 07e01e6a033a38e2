//! Requests that nobody has sent before: of the same shape as those of a workload, with other words and numbers.
//! Everything follows from a seed.

use super::Request;

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

/// The request with other values in its arguments, cookies and body: hexadecimal digits, numbers and lower-case words
/// are exchanged for others of the same length. What has punctuation may be an attack and stays.
pub fn vary(request: &Request, random: &mut Random) -> Request {
    let mut head = request.head.clone();
    head.target = vary_pairs(&head.target, b'?', random);
    let mut content_type = Vec::new();
    for (name, value) in &mut head.headers {
        if name.eq_ignore_ascii_case(b"cookie") {
            *value = vary_pairs(value, b'=', random);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            content_type.clone_from(value);
        }
    }
    // Names of JSON's members and of parts stay: values behind a colon, an equals sign or a blank line are varied.
    let mut body = request.body.clone();
    if content_type.starts_with(b"application/x-www-form-urlencoded") {
        body = vary_pairs(&body, b'=', random);
    } else if content_type.starts_with(b"application/json") {
        body = vary_json(&body, random);
    } else if content_type.starts_with(b"multipart/") {
        // The file's contents: what is not text.
        let text = body.windows(4).rposition(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        for byte in &mut body[text..] {
            if !byte.is_ascii() {
                *byte = 128 | (random.next() & 127) as u8;
            }
        }
    }
    Request { head, body }
}

/// Varies what stands behind the first `after` as values of `name=value` pairs.
fn vary_pairs(text: &[u8], after: u8, random: &mut Random) -> Vec<u8> {
    let Some(start) = text.iter().position(|b| *b == after) else { return text.to_vec() };
    let mut out = text[..start].to_vec();
    let mut is_value = after == b'=';
    let mut token = Vec::new();
    for &byte in text[start..].iter().chain(b"&") {
        if byte.is_ascii_alphanumeric() || byte == b'%' {
            token.push(byte);
            continue;
        }
        if is_value {
            vary_token(&mut token, random);
        }
        out.append(&mut token);
        out.push(byte);
        is_value = match byte {
            b'=' => true,
            b'&' | b';' | b'?' => false,
            _ => is_value,
        };
    }
    out.pop();
    out
}

/// Varies strings and numbers behind colons.
fn vary_json(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut token = Vec::new();
    let mut is_value = false;
    for &byte in text.iter().chain(b" ") {
        if byte.is_ascii_alphanumeric() || byte == b'%' {
            token.push(byte);
            continue;
        }
        if is_value && !matches!(&token[..], b"true" | b"false" | b"null") {
            vary_token(&mut token, random);
        }
        out.append(&mut token);
        out.push(byte);
        is_value = match byte {
            b':' => true,
            b',' | b'{' | b'[' | b'}' => false,
            _ => is_value,
        };
    }
    out.pop();
    out
}

fn vary_token(token: &mut Vec<u8>, random: &mut Random) {
    let length = token.len();
    if token.contains(&b'%') {
        return;
    }
    if token.iter().all(u8::is_ascii_digit) {
        // A number does not begin to have a leading zero, which JSON does not know.
        for digit in token.iter_mut().skip(1) {
            *digit = *random.pick(b"0123456789");
        }
        if length > 1 || token.first() != Some(&b'0') {
            token.first_mut().into_iter().for_each(|first| *first = *random.pick(b"123456789"));
        }
    } else if length >= 16 && token.iter().all(u8::is_ascii_hexdigit) {
        *token = random.of(b"0123456789abcdef", length);
    } else if token.iter().all(u8::is_ascii_alphabetic) {
        let known: Vec<&&str> = WORDS.iter().filter(|word| word.len() == length).collect();
        if known.is_empty() {
            return;
        }
        let word = random.pick(&known).as_bytes();
        for (old, new) in token.iter_mut().zip(word) {
            *old = if old.is_ascii_uppercase() { new.to_ascii_uppercase() } else { *new };
        }
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
