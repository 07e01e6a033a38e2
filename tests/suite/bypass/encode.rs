//! What the cases do to bodies: character sets, content codings, transfer codings.

use base64::Engine as _;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::fmt::Write as _;
use std::io::Write as _;

/// `body` as `name` has it.
pub fn encode(name: &str, body: &[u8]) -> Vec<u8> {
    match name {
        "utf-16le" => units(body, |c, out| utf16(c).for_each(|u| out.extend(u.to_le_bytes()))),
        "utf-16be" => units(body, |c, out| utf16(c).for_each(|u| out.extend(u.to_be_bytes()))),
        "utf-32le" => units(body, |c, out| out.extend(u32::from(c).to_le_bytes())),
        "utf-32be" => units(body, |c, out| out.extend(u32::from(c).to_be_bytes())),
        "utf-16le-bom" => [b"\xFF\xFE", &encode("utf-16le", body)[..]].concat(),
        "utf-16be-bom" => [b"\xFE\xFF", &encode("utf-16be", body)[..]].concat(),
        "utf-32le-bom" => [b"\xFF\xFE\0\0", &encode("utf-32le", body)[..]].concat(),
        "utf-32be-bom" => [b"\0\0\xFE\xFF", &encode("utf-32be", body)[..]].concat(),
        "utf-8-bom" => [b"\xEF\xBB\xBF", body].concat(),
        "utf-7" => utf7(body),
        "iso-2022-jp" => body.iter().flat_map(|b| [b"\x1B(B".to_vec(), vec![*b]].concat()).collect(),
        "percent" => body
            .iter()
            .fold(String::new(), |mut out, b| {
                write!(out, "%{b:02X}").expect("a string takes all");
                out
            })
            .into_bytes(),
        "form-value" => [b"q=", &encode("percent", body)[..]].concat(),
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).expect("memory takes all");
            encoder.finish().expect("memory takes all")
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).expect("memory takes all");
            encoder.finish().expect("memory takes all")
        }
        "raw-deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).expect("memory takes all");
            encoder.finish().expect("memory takes all")
        }
        "br" => brotli(body),
        "zstd" => ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest),
        "base64" => base64::engine::general_purpose::STANDARD.encode(body).into_bytes(),
        "truncated" => body[..body.len() / 2].to_vec(),
        "trailing" => [body, b"trailing"].concat(),
        "twice" => [body, body].concat(),
        "chunked" => {
            let mut out = Vec::new();
            for chunk in body.chunks(7) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
            out
        }
        other => panic!("no such encoding: {other}"),
    }
}

fn units(body: &[u8], push: impl Fn(char, &mut Vec<u8>)) -> Vec<u8> {
    let text = std::str::from_utf8(body).expect("what is transcoded is UTF-8");
    let mut out = Vec::new();
    text.chars().for_each(|c| push(c, &mut out));
    out
}

fn utf16(c: char) -> impl Iterator<Item = u16> {
    c.encode_utf16(&mut [0; 2]).to_vec().into_iter()
}

/// Everything but letters, digits and a form's own characters is encoded, each character by itself.
fn utf7(body: &[u8]) -> Vec<u8> {
    units(body, |c, out| {
        if c.is_ascii_alphanumeric() || " =&/:-_\r\n.,;\"{}[]".contains(c) {
            out.push(u8::try_from(c).expect("ASCII"));
            return;
        }
        let bytes: Vec<u8> = utf16(c).flat_map(u16::to_be_bytes).collect();
        out.push(b'+');
        out.extend(base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes).into_bytes());
        out.push(b'-');
    })
}

/// Brotli's uncompressed blocks (RFC 7932 §9.2): a window of 64 KiB, one block of at most that, and the end.
fn brotli(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() - 1).expect("a short body");
    assert!(length < 1 << 16, "one block holds 64 KiB");
    // From the lowest bit: WBITS 0, ISLAST 0, MNIBBLES 00, MLEN - 1 in 16 bits, ISUNCOMPRESSED 1.
    let header = length << 4 | 1 << 20;
    let mut out = header.to_le_bytes()[..3].to_vec();
    out.extend_from_slice(body);
    out.push(0b11);
    out
}
