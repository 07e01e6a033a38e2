//! Requests that nobody has sent before: of the same shape as those of a workload, with other words and numbers.
//! Everything follows from a seed.

mod random;

use super::Request;
pub use random::Random;
use random::WORDS;

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
