//! Heads that the `h2` crate refuses by itself.
//!
//! A head that unfolds to more than the crate was told to take is answered with 431 by it, and no one else hears of the
//! stream. So that such heads are counted like others, the answer is looked for in what is sent: a HEADERS frame that begins
//! and ends the response of its stream and has one field, `:status` (RFC 7541). All other responses have more fields, `Date`
//! at least.

use super::frames::{Cutter, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM};

/// Finds the crate's refusals in what is sent to a client.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    cutter: Cutter,
    /// The block of a frame that may be a refusal, as far as it was sent.
    block: Option<Block>,
    /// Streams whose response has begun and not ended. Another HEADERS frame of theirs brings trailers, which may be as
    /// short. There are no more than streams that are open.
    begun: Vec<u32>,
    /// Streams of these that the client has reset last: what was written before may be sent after it.
    reset: [u32; 32],
    resets: usize,
}

#[derive(Debug)]
struct Block {
    length: usize,
    bytes: Vec<u8>,
}

impl Refusals {
    /// How many refusals end in `bytes`, which were sent behind all that was shown before.
    pub(super) fn find(&mut self, mut bytes: &[u8]) -> usize {
        let mut found = 0;
        loop {
            if let Some(mut block) = self.block.take() {
                let (part, rest) = bytes.split_at((block.length - block.bytes.len()).min(bytes.len()));
                block.bytes.extend_from_slice(part);
                bytes = rest;
                if block.bytes.len() < block.length {
                    self.block = Some(block);
                    return found;
                }
                found += usize::from(is_bare_431(&block.bytes));
            }
            let Some(frame) = self.cutter.next(&mut bytes) else { return found };
            self.note(&frame);
        }
    }

    fn note(&mut self, frame: &Frame) {
        let is_end = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS => {
                let has_begun = self.begun.contains(&frame.stream) || self.reset.contains(&frame.stream);
                let is_whole = frame.flags & END_HEADERS != 0;
                if !has_begun && is_end && is_whole && frame.length <= LONGEST {
                    self.cutter.skip = 0;
                    self.block =
                        Some(Block { length: frame.length, bytes: Vec::with_capacity(frame.length) });
                }
                match (has_begun, is_end) {
                    (false, false) => self.begun.push(frame.stream),
                    (true, true) => self.forget(frame.stream),
                    _ => {}
                }
            }
            DATA if is_end => self.forget(frame.stream),
            RST_STREAM => self.forget(frame.stream),
            _ => {}
        }
    }

    /// The client has reset a stream.
    pub(super) fn reset(&mut self, stream: u32) {
        if self.begun.contains(&stream) {
            self.forget(stream);
            let place = self.resets % self.reset.len();
            if let Some(place) = self.reset.get_mut(place) {
                *place = stream;
            }
            self.resets = self.resets.wrapping_add(1);
        }
    }

    fn forget(&mut self, stream: u32) {
        self.begun.retain(|begun| *begun != stream);
    }
}

/// Whether a header block has `:status: 431`, and nothing else.
fn is_bare_431(mut block: &[u8]) -> bool {
    // Changes of the table's size come first (RFC 7541 §6.3).
    while let Some(first) = block.first().filter(|first| **first & 0xe0 == 0x20) {
        block = integer(block, 5, *first).map_or(&[], |(_, rest)| rest);
    }
    match block {
        // In the table, where the crate has put it when it was needed first; statuses of the static table are others.
        [first, ..] if *first & 0x80 != 0 => {
            integer(block, 7, *first).is_some_and(|(index, rest)| index >= FIRST_DYNAMIC && rest.is_empty())
        }
        // `:status` by its name in the static table, with or without being put into the other one.
        [0x48 | 0x08 | 0x18, value @ ..] => value == HUFFMAN_431 || value == b"\x03431",
        _ => false,
    }
}

/// An integer whose first byte has `bits` of it, and what follows (RFC 7541 §5.1).
fn integer(bytes: &[u8], bits: u32, first: u8) -> Option<(usize, &[u8])> {
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(first) & most;
    let mut rest = bytes.get(1..)?;
    if value < most {
        return Some((value, rest));
    }
    for shift in (0..28).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        value += usize::from(*byte & 0x7f) << shift;
        rest = behind;
        if *byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// The first index behind the static table.
const FIRST_DYNAMIC: usize = 62;

/// `431` in Huffman's code, behind its length (RFC 7541 §5.2).
const HUFFMAN_431: &[u8] = &[0x83, 0x69, 0x90, 0xff];

/// A longer block has more than a status: two changes of the table's size take four bytes each at most.
const LONGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    const WHOLE: u8 = END_HEADERS | END_STREAM;

    /// However the bytes are cut.
    fn found(bytes: &[u8]) -> usize {
        let counts = [1, 2, 9, 11, bytes.len()].map(|size| {
            let mut refusals = Refusals::default();
            bytes.chunks(size).map(|piece| refusals.find(piece)).sum::<usize>()
        });
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        counts[0]
    }

    #[test]
    fn a_status_alone_is_a_refusal() {
        let literal = [&[0x48], HUFFMAN_431].concat();
        for block in [
            literal.clone(),
            [&[0x08], HUFFMAN_431].concat(),
            [&[0x20, 0x3f, 0xe1, 0x1f], &literal[..]].concat(),
            vec![0xbe],
            vec![0xff, 0x05],
        ] {
            let bytes =
                [frame(4, 0, 0, b"123456"), frame(HEADERS, WHOLE, 1, &block), frame(6, 1, 0, b"12345678")];
            assert_eq!(found(&bytes.concat()), 1, "{block:x?}");
        }
    }

    #[test]
    fn everything_else_is_none() {
        // A status of the static table, two indexed fields, another status, a status and a field.
        let blocks: [&[u8]; 6] = [
            &[0x88],
            &[0xbe, 0xbf],
            &[0x48, 0x82, 0x64, 0x02],
            &[0x48, 0x83, 0x69, 0x90, 0xff, 0xbe],
            &[],
            &[0xff],
        ];
        for block in blocks {
            assert_eq!(found(&frame(HEADERS, WHOLE, 1, block)), 0, "{block:x?}");
        }
        // Trailers, and what a payload looks like.
        let inner = frame(HEADERS, WHOLE, 1, &[0xbe]);
        let bytes = [
            frame(HEADERS, END_HEADERS, 1, &[0x88]),
            frame(DATA, 0, 1, &inner),
            frame(HEADERS, WHOLE, 1, &[0xbe]),
        ];
        assert_eq!(found(&bytes.concat()), 0);
        // A response goes on for another stream.
        assert_eq!(found(&[bytes.concat(), frame(HEADERS, WHOLE, 3, &[0xbe])].concat()), 1);
    }

    #[test]
    fn streams_that_have_ended_are_forgotten() {
        let mut refusals = Refusals::default();
        for (kind, flags, payload) in
            [(DATA, END_STREAM, &b"x"[..]), (RST_STREAM, 0, b"0000"), (HEADERS, WHOLE, &[0xbe])]
        {
            refusals.find(&frame(HEADERS, END_HEADERS, 5, &[0x88]));
            assert_eq!(refusals.begun, [5]);
            refusals.find(&frame(kind, flags, 5, payload));
            assert!(refusals.begun.is_empty());
        }
        refusals.find(&frame(HEADERS, END_HEADERS, 7, &[0x88]));
        refusals.reset(7);
        assert!(refusals.begun.is_empty());
        assert_eq!(refusals.find(&frame(HEADERS, WHOLE, 7, &[0xbe])), 0, "trailers that were on their way");
    }
}
