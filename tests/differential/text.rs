//! Bytes as text: `\xHH` is a byte, `\\` a backslash, everything else itself.

/// The bytes that `text` means.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match rest {
            [b'\\', b'\\', after @ ..] => {
                out.push(b'\\');
                after
            }
            [b'\\', b'x', a, b, after @ ..] => {
                let digits = [*a, *b];
                let byte = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                out.push(byte.unwrap_or_else(|| panic!("two digits follow \\x: {text}")));
                after
            }
            [b'\\', ..] => panic!("neither \\xHH nor \\\\: {text}"),
            _ => {
                out.push(*first);
                after
            }
        };
    }
    out
}

/// Text that means `bytes`; a long one is cut.
pub fn show(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes.iter().take(80) {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if bytes.len() > 80 {
        out.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    out
}
