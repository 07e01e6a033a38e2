//! Zstandard (RFC 8878), one frame, fed block by block.
//!
//! The library decodes all blocks that it is given at once, and a block of four bytes may stand for 128 KiB.
//! So that limits hold between blocks, the few bytes that tell a block's size are read here.

use super::inflate::{InflateError, Meter, Sink};
use ruzstd::decoding::FrameDecoder;
use std::io::Read;

/// A decoder of one frame.
pub(super) struct ZstdDecoder {
    decoder: FrameDecoder,
    /// Bytes that do not make up the next unit yet; at most one block.
    pending: Vec<u8>,
    expect: Expect,
    buffer: Vec<u8>,
}

enum Expect {
    FrameHeader,
    Block { has_checksum: bool },
    Checksum,
    End,
}

impl Default for ZstdDecoder {
    fn default() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            pending: Vec::new(),
            expect: Expect::FrameHeader,
            buffer: vec![0; 16 << 10],
        }
    }
}

/// RFC 9659: a decoder for the content coding needs no larger window, and an encoder must not use one.
const WINDOW_MAX: u64 = 8 << 20;
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const BLOCK_MAX: usize = 128 << 10;

impl ZstdDecoder {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.expect, Expect::End)
    }

    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        meter: &mut Meter,
        sink: Sink<'_>,
    ) -> Result<(), InflateError> {
        let mut rest = chunk;
        loop {
            if self.is_done() {
                return if rest.is_empty() { Ok(()) } else { Err(InflateError::TrailingData) };
            }
            let wanted = self.wanted()?;
            let missing = wanted.saturating_sub(self.pending.len());
            let (taken, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.pending.extend_from_slice(taken);
            rest = after;
            if self.pending.len() < wanted {
                return Ok(());
            }
            // The size of the unit may show only now that its header is complete.
            if self.wanted()? == wanted {
                self.unit(meter, sink)?;
            }
        }
    }

    /// How many bytes the next unit has, as far as its first bytes tell.
    fn wanted(&self) -> Result<usize, InflateError> {
        match self.expect {
            Expect::FrameHeader => {
                let Some(&descriptor) = self.pending.get(4) else { return Ok(5) };
                if self.pending.get(..4) != Some(&MAGIC[..]) {
                    return Err(corrupt("no zstd frame"));
                }
                Ok(header_length(descriptor))
            }
            Expect::Block { .. } => {
                let Some(&[a, b, c]) = self.pending.first_chunk::<3>() else { return Ok(3) };
                let header = u32::from_le_bytes([a, b, c, 0]);
                let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
                if size > BLOCK_MAX {
                    return Err(corrupt("a zstd block is too large"));
                }
                // A run-length block has one byte, whatever its size.
                Ok(if header >> 1 & 3 == 1 { 4 } else { 3 + size })
            }
            Expect::Checksum => Ok(4),
            Expect::End => Ok(0),
        }
    }

    /// Decodes the unit in `pending`, which is complete.
    fn unit(&mut self, meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
        match self.expect {
            Expect::FrameHeader => {
                check_window(&self.pending)?;
                let has_checksum = self.pending.get(4).is_some_and(|d| d & 4 != 0);
                self.decoder.init(self.pending.as_slice()).map_err(|e| corrupt(&e.to_string()))?;
                self.expect = Expect::Block { has_checksum };
            }
            Expect::Block { has_checksum } => {
                let is_last = self.pending.first().is_some_and(|b| b & 1 != 0);
                self.decoder.decode_from_to(&self.pending, &mut []).map_err(|e| corrupt(&e.to_string()))?;
                self.drain(meter, sink)?;
                if is_last {
                    self.expect = if has_checksum { Expect::Checksum } else { Expect::End };
                }
            }
            Expect::Checksum => {
                self.decoder.decode_from_to(&self.pending, &mut []).map_err(|e| corrupt(&e.to_string()))?;
                self.drain(meter, sink)?;
                if self.decoder.get_checksum_from_data() != self.decoder.get_calculated_checksum() {
                    return Err(corrupt("the zstd checksum is wrong"));
                }
                self.expect = Expect::End;
            }
            Expect::End => {}
        }
        self.pending.clear();
        Ok(())
    }

    fn drain(&mut self, meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
        loop {
            let made = self.decoder.read(&mut self.buffer).map_err(|e| corrupt(&e.to_string()))?;
            if made == 0 {
                return Ok(());
            }
            meter.pass(self.buffer.get(..made).unwrap_or_default(), sink)?;
        }
    }
}

fn corrupt(reason: &str) -> InflateError {
    InflateError::Corrupt(reason.to_owned())
}

/// Bytes of the frame header with the magic number (RFC 8878 §3.1.1.1).
fn header_length(descriptor: u8) -> usize {
    let is_single = descriptor & 0x20 != 0;
    let window = usize::from(!is_single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(is_single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    5 + window + dictionary + content
}

/// Refuses a window that a decoder of the content coding needs not support.
fn check_window(header: &[u8]) -> Result<(), InflateError> {
    let descriptor = header.get(4).copied().unwrap_or_default();
    let window = if descriptor & 0x20 == 0 {
        let byte = header.get(5).copied().unwrap_or_default();
        let base = 1_u64 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    } else {
        // A single segment: the window is the content.
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let field = header.get(5 + dictionary..).unwrap_or_default();
        let size = field.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        if descriptor >> 6 == 1 { size + 256 } else { size }
    };
    if window > WINDOW_MAX { Err(corrupt("the zstd window is too large")) } else { Ok(()) }
}
