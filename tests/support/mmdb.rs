//! Writes small databases in MaxMind's DB format (version 2.0 of its specification).

use std::net::IpAddr;

/// A country database in which each network, IPv4 or IPv6, is in a country.
pub fn countries(networks: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tree = vec![[Record::Nothing; 2]];
    for (network, code) in networks {
        let (address, prefix) = network.split_once('/').expect("a prefix");
        let (bits, prefix) = bits(address.parse().expect("an address"), prefix.parse().expect("a number"));
        let offset = data.len();
        map(&mut data, 1);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, code);
        insert(&mut tree, bits, prefix, offset);
    }
    let nodes = tree.len();
    let mut out = Vec::new();
    for record in tree.iter().flatten() {
        let value = match record {
            Record::Nothing => nodes,
            Record::Node(node) => *node,
            Record::Data(offset) => nodes + 16 + offset,
        };
        out.extend_from_slice(&u32::try_from(value).expect("small").to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(&mut out, 9);
    text(&mut out, "binary_format_major_version");
    number(&mut out, 5, 2);
    text(&mut out, "binary_format_minor_version");
    number(&mut out, 5, 0);
    text(&mut out, "build_epoch");
    number(&mut out, 9, 1_700_000_000);
    text(&mut out, "database_type");
    text(&mut out, "Test-Country");
    text(&mut out, "description");
    map(&mut out, 0);
    text(&mut out, "ip_version");
    number(&mut out, 5, 6);
    text(&mut out, "languages");
    // An array of nothing: an extended type.
    out.extend_from_slice(&[0, 4]);
    text(&mut out, "node_count");
    number(&mut out, 6, nodes as u64);
    text(&mut out, "record_size");
    number(&mut out, 5, 24);
    out
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// An address as the tree has it: IPv4 stands at `::/96`.
fn bits(address: IpAddr, prefix: u32) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), prefix + 96),
        IpAddr::V6(v6) => (u128::from(v6), prefix),
    }
}

fn insert(tree: &mut Vec<[Record; 2]>, bits: u128, prefix: u32, offset: usize) {
    let mut node = 0;
    for depth in 0..prefix {
        let side = usize::try_from(bits >> (127 - depth) & 1).expect("a bit");
        if depth + 1 == prefix {
            tree[node][side] = Record::Data(offset);
            return;
        }
        node = match tree[node][side] {
            Record::Node(next) => next,
            _ => {
                tree.push([Record::Nothing; 2]);
                let next = tree.len() - 1;
                tree[node][side] = Record::Node(next);
                next
            }
        };
    }
}

fn map(out: &mut Vec<u8>, pairs: u8) {
    out.push(7 << 5 | pairs);
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("short");
    assert!(length < 29);
    out.push(2 << 5 | length);
    out.extend_from_slice(text.as_bytes());
}

/// An unsigned number of a type: 5 and 6 are plain ones, 9 is an extended one.
fn number(out: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let used = &bytes[value.leading_zeros() as usize / 8..];
    let length = u8::try_from(used.len()).expect("at most 8");
    match kind {
        0..=7 => out.push(kind << 5 | length),
        _ => out.extend_from_slice(&[length, kind - 7]),
    }
    out.extend_from_slice(used);
}
