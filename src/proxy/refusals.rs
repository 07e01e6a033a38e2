//! Heads that the `h2` crate refuses by itself.
//!
//! A head that unfolds to more than the crate was told to take is answered with 431 by it, and no one else hears of the
//! stream. So that such heads are counted like others, and their senders told by which number the record is found, the answer
//! is looked for in what is to be sent: a HEADERS frame that begins and ends the response of its stream and has one field,
//! `:status` (RFC 7541). All other responses have more fields, `Date` at least. Fields are added to that frame; a page is not,
//! as its bytes would be the crate's to account for.

use super::exchange::Ids;
use super::frames::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM};

/// Finds the crate's refusals in what is to be sent to a client, and adds to them.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Bytes of a payload that are yet to come.
    skip: usize,
    /// A frame that may be a refusal, as far as it has come, or the beginning of one whose header is not whole.
    held: Vec<u8>,
    /// Streams whose response has begun and not ended. Another HEADERS frame of theirs brings trailers, which may be as
    /// short. There are no more than streams that are open.
    begun: Vec<u32>,
    /// Streams of these that the client has reset last: what was written before may be sent after it.
    reset: [u32; 32],
    resets: usize,
    ids: Ids,
}

/// What is sent in the place of a frame that was held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) bytes: Vec<u8>,
    /// It is a refusal, and names this id.
    pub(super) refusal: Option<String>,
}

impl Refusals {
    /// How many of `bytes`, which are to be sent behind all that was shown before, can go as they are. None where they begin
    /// with something that is to be held.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if !self.held.is_empty() {
            return at;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let over = self.skip.min(rest.len());
            (at, self.skip) = (at + over, self.skip - over);
            let Some(header) = rest.get(over..).and_then(|rest| rest.first_chunk()) else { return at };
            let frame = Frame::parse(header);
            if self.may_be(&frame) {
                return at;
            }
            self.note(&frame);
            (at, self.skip) = (at + header.len(), frame.length);
        }
    }

    /// Takes the first of `bytes`, where none of them can go as they are: how many, and what is sent in the place of all that
    /// was taken, as soon as that is known.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> (usize, Option<Released>) {
        let mut taken = 0;
        let frame = loop {
            let frame = self.held.first_chunk().map(Frame::parse);
            let is_suspect = frame.as_ref().is_some_and(|frame| self.may_be(frame));
            let want = HEADER + frame.as_ref().filter(|_| is_suspect).map_or(0, |frame| frame.length);
            if let Some(frame) = frame
                && self.held.len() >= want
            {
                break frame;
            }
            let more = bytes.get(taken..).unwrap_or_default();
            let more = more.get(..want - self.held.len()).unwrap_or(more);
            if more.is_empty() {
                return (taken, None);
            }
            self.held.extend_from_slice(more);
            taken += more.len();
        };
        let bytes = std::mem::take(&mut self.held);
        let block = bytes.get(HEADER..).unwrap_or_default();
        if self.may_be(&frame) && is_bare_431(block) {
            let id = self.ids.next();
            return (taken, Some(Released { bytes: with_fields(&frame, block, &id), refusal: Some(id) }));
        }
        self.skip = frame.length.saturating_sub(block.len());
        self.note(&frame);
        (taken, Some(Released { bytes, refusal: None }))
    }

    /// Whether it may be a refusal, as its header tells.
    fn may_be(&self, frame: &Frame) -> bool {
        frame.kind == HEADERS
            && frame.flags == END_HEADERS | END_STREAM
            && frame.length <= LONGEST
            && !self.has_begun(frame.stream)
    }

    fn has_begun(&self, stream: u32) -> bool {
        self.begun.contains(&stream) || self.reset.contains(&stream)
    }

    fn note(&mut self, frame: &Frame) {
        let is_end = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS => match (self.has_begun(frame.stream), is_end) {
                (false, false) => self.begun.push(frame.stream),
                (true, true) => self.forget(frame.stream),
                _ => {}
            },
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

/// The frame of a refusal with fields behind its status. They go into no table (RFC 7541 §6.2.2).
pub(super) fn with_fields(frame: &Frame, block: &[u8], id: &str) -> Vec<u8> {
    let mut block = block.to_vec();
    for (name, value) in [("content-length", "0"), ("cache-control", "no-store"), ("x-request-id", id)] {
        block.push(0);
        for text in [name, value] {
            // Lengths of less than 127 are one byte.
            block.push(u8::try_from(text.len()).unwrap_or_default());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let [.., a, b, c] = u32::try_from(block.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = vec![a, b, c, HEADERS, frame.flags];
    bytes.extend_from_slice(&frame.stream.to_be_bytes());
    bytes.append(&mut block);
    bytes
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

/// Bytes of a frame's header.
const HEADER: usize = 9;

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

    /// What is sent, and the ids of refusals in it.
    fn send(refusals: &mut Refusals, bytes: &[u8], size: usize) -> (Vec<u8>, Vec<String>) {
        let (mut sent, mut ids) = (Vec::new(), Vec::new());
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() {
                let plain = refusals.plain(piece);
                sent.extend_from_slice(&piece[..plain]);
                piece = &piece[plain..];
                if plain == 0 {
                    let (taken, released) = refusals.hold(piece);
                    assert!(taken > 0, "it goes on");
                    piece = &piece[taken..];
                    if let Some(released) = released {
                        sent.extend(released.bytes);
                        ids.extend(released.refusal);
                    }
                }
            }
        }
        assert!(refusals.held.is_empty(), "{:?}", refusals.held);
        (sent, ids)
    }

    /// How many refusals there are, however the bytes are cut. Everything else goes as it came.
    fn found(bytes: &[u8]) -> usize {
        let counts = [1, 2, 9, 11, bytes.len()].map(|size| {
            let (sent, ids) = send(&mut Refusals::default(), bytes, size);
            assert!(!ids.is_empty() || sent == bytes);
            let added: usize =
                ids.iter().map(|id| with_fields(&Frame::parse(&[0; 9]), b"", id).len() - 9).sum();
            assert_eq!(sent.len(), bytes.len() + added);
            ids.len()
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
    fn a_refusal_names_an_id() {
        let before = frame(4, 0, 0, b"123456");
        let bytes = [before.clone(), frame(HEADERS, WHOLE, 5, &[0xbe]), before.clone()].concat();
        let (sent, ids) = send(&mut Refusals::default(), &bytes, 4);
        let mut block = vec![0xbe];
        for (name, value) in
            [("content-length", "0"), ("cache-control", "no-store"), ("x-request-id", &ids[0])]
        {
            block.extend(
                [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat(),
            );
        }
        assert_eq!(sent, [before.clone(), frame(HEADERS, WHOLE, 5, &block), before].concat());
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
            send(&mut refusals, &frame(HEADERS, END_HEADERS, 5, &[0x88]), 100);
            assert_eq!(refusals.begun, [5]);
            send(&mut refusals, &frame(kind, flags, 5, payload), 100);
            assert!(refusals.begun.is_empty());
        }
        send(&mut refusals, &frame(HEADERS, END_HEADERS, 7, &[0x88]), 100);
        refusals.reset(7);
        assert!(refusals.begun.is_empty());
        let trailers = frame(HEADERS, WHOLE, 7, &[0xbe]);
        assert_eq!(send(&mut refusals, &trailers, 100), (trailers, Vec::new()), "they were on their way");
    }
}
