//! The only decompressor of the crate.
//!
//! Bodies are inflated for inspection; what travels on stays as it was. Everything that two recipients could inflate
//! differently is an error: several codings on top of each other, unknown ones, truncated data, and data after the
//! end (a second gzip member too).

use super::zstd::ZstdDecoder;
use crate::limits;
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status, write::GzDecoder};
use std::fmt;
use std::io::Write;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `identity`, or no coding at all.
    Identity,
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: zlib or, as some send it, raw deflate.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The one coding that all `Content-Encoding` fields of a message name together.
    ///
    /// # Errors
    /// [`InflateError::StackedCodings`] when there are several besides `identity`, and
    /// [`InflateError::UnknownCoding`].
    pub fn from_headers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, InflateError> {
        let mut found = Coding::Identity;
        for name in values.into_iter().flat_map(|value| value.split(|b| *b == b',')) {
            let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                _ => return Err(InflateError::UnknownCoding),
            };
            if found != Coding::Identity {
                return Err(InflateError::StackedCodings);
            }
            found = coding;
        }
        Ok(found)
    }

    /// The name as in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

/// How much a body may expand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflateLimits {
    /// Bytes of output.
    pub output: u64,
    /// Output bytes for each input byte, judged once the output exceeds `limits::INFLATE_RATIO_GRACE_BYTES`.
    pub ratio: u64,
}

impl Default for InflateLimits {
    fn default() -> Self {
        Self { output: limits::INFLATE_OUTPUT_BYTES, ratio: limits::INFLATE_RATIO }
    }
}

/// Why a body could not be inflated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The coding's name is none that is known.
    UnknownCoding,
    /// Several codings on top of each other.
    StackedCodings,
    /// The data is not what the coding says.
    Corrupt(String),
    /// The data ends too early.
    Truncated,
    /// More follows the end of the compressed data.
    TrailingData,
    /// More output than [`InflateLimits::output`].
    OutputLimit,
    /// A higher ratio than [`InflateLimits::ratio`].
    RatioLimit,
}

impl InflateError {
    /// A stable name in snake_case.
    pub fn name(&self) -> &'static str {
        match self {
            InflateError::UnknownCoding => "unknown_coding",
            InflateError::StackedCodings => "stacked_codings",
            InflateError::Corrupt(_) => "corrupt",
            InflateError::Truncated => "truncated",
            InflateError::TrailingData => "trailing_data",
            InflateError::OutputLimit => "output_limit",
            InflateError::RatioLimit => "ratio_limit",
        }
    }
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::UnknownCoding => f.write_str("the content coding is unknown"),
            InflateError::StackedCodings => f.write_str("several content codings are stacked"),
            InflateError::Corrupt(reason) => write!(f, "the compressed data is corrupt: {reason}"),
            InflateError::Truncated => f.write_str("the compressed data ends too early"),
            InflateError::TrailingData => f.write_str("data follows the end of the compressed data"),
            InflateError::OutputLimit => f.write_str("the body expands beyond its limit"),
            InflateError::RatioLimit => f.write_str("the body expands too much for its size"),
        }
    }
}

impl std::error::Error for InflateError {}

/// A streaming decompressor of one body.
pub struct Inflater {
    decoder: Decoder,
    meter: Meter,
    failed: Option<InflateError>,
}

/// Where inflated bytes go.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

impl Inflater {
    /// A decompressor for `coding`.
    pub fn new(coding: Coding, limits: &InflateLimits) -> Self {
        let decoder = match coding {
            Coding::Identity => Decoder::Identity,
            Coding::Gzip => Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Coding::Deflate => Decoder::Sniff(Vec::new()),
            Coding::Brotli => Decoder::Brotli(Box::new(Brotli {
                state: BrotliState::new_strict(
                    StandardAlloc::default(),
                    StandardAlloc::default(),
                    Default::default(),
                ),
                is_done: false,
            })),
            Coding::Zstd => Decoder::Zstd(Box::default()),
        };
        Self { decoder, meter: Meter { limits: *limits, input: 0, output: 0 }, failed: None }
    }

    /// Takes the next compressed bytes and hands what they inflate to on to `sink`, in pieces.
    ///
    /// # Errors
    /// See [`InflateError`]. After one, each further call gives it again; what the sink got before stands.
    pub fn feed(&mut self, chunk: &[u8], sink: Sink<'_>) -> Result<(), InflateError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.meter.input += chunk.len() as u64;
        let result = self.decoder.feed(chunk, &mut self.meter, sink);
        self.failed = result.clone().err();
        result
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`InflateError::Truncated`] when the compressed data has not ended, and as [`Self::feed`]. A body without any
    /// byte is no error: it is empty in every coding for every recipient.
    pub fn finish(mut self, sink: Sink<'_>) -> Result<(), InflateError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None if self.meter.input == 0 => Ok(()),
            None => self.decoder.finish(&mut self.meter, sink),
        }
    }

    /// Bytes of output so far.
    pub fn output(&self) -> u64 {
        self.meter.output
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("meter", &self.meter)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Counts input and output, and says when it is enough.
#[derive(Debug)]
pub(super) struct Meter {
    limits: InflateLimits,
    input: u64,
    output: u64,
}

impl Meter {
    pub(super) fn pass(&mut self, bytes: &[u8], sink: Sink<'_>) -> Result<(), InflateError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let after = self.output.saturating_add(bytes.len() as u64);
        if after > limits::INFLATE_RATIO_GRACE_BYTES && after / self.input.max(1) > self.limits.ratio {
            return Err(InflateError::RatioLimit);
        }
        if after > self.limits.output {
            // What fits is handed on, so that a caller who may inspect a part has all of that part.
            let room = usize::try_from(self.limits.output - self.output).unwrap_or(usize::MAX);
            self.output = self.limits.output;
            sink(bytes.get(..room).unwrap_or(bytes));
            return Err(InflateError::OutputLimit);
        }
        self.output = after;
        sink(bytes);
        Ok(())
    }
}

enum Decoder {
    Identity,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    /// `deflate`, whose first two bytes tell zlib from raw deflate.
    Sniff(Vec<u8>),
    Deflate(Box<Decompress>, bool),
    Brotli(Box<Brotli>),
    Zstd(Box<ZstdDecoder>),
}

struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    is_done: bool,
}

const PIECE: usize = 16 << 10;

impl Decoder {
    fn feed(&mut self, chunk: &[u8], meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
        match self {
            Decoder::Identity => chunk.chunks(PIECE).try_for_each(|piece| meter.pass(piece, sink)),
            Decoder::Gzip(decoder) => {
                let mut rest = chunk;
                while !rest.is_empty() {
                    let taken = decoder.write(rest).map_err(|e| InflateError::Corrupt(e.to_string()))?;
                    drain(decoder.get_mut(), meter, sink)?;
                    if taken == 0 {
                        return Err(InflateError::TrailingData);
                    }
                    rest = rest.get(taken..).unwrap_or_default();
                }
                Ok(())
            }
            Decoder::Sniff(start) => {
                let room = 2_usize.saturating_sub(start.len()).min(chunk.len());
                let (first, rest) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
                start.extend_from_slice(first);
                let [method, flags] = start[..] else { return Ok(()) };
                // RFC 1950 §2.2. Raw deflate can look the same only with a stored or reserved block of odd size.
                let is_zlib = method & 15 == 8
                    && method >> 4 <= 7
                    && (u16::from(method) << 8 | u16::from(flags)) % 31 == 0;
                let start = std::mem::take(start);
                *self = Decoder::Deflate(Box::new(Decompress::new(is_zlib)), false);
                self.feed(&start, meter, sink)?;
                self.feed(rest, meter, sink)
            }
            Decoder::Deflate(decoder, is_done) => inflate(decoder, is_done, chunk, meter, sink),
            Decoder::Brotli(decoder) => decoder.feed(chunk, meter, sink),
            Decoder::Zstd(decoder) => decoder.feed(chunk, meter, sink),
        }
    }

    fn finish(self, meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
        let is_done = match self {
            Decoder::Identity => true,
            Decoder::Gzip(mut decoder) => {
                // The library calls a missing checksum a wrong one. Only a complete stream takes no more bytes.
                if !matches!(decoder.write(&[0]), Ok(0)) {
                    return Err(InflateError::Truncated);
                }
                decoder.try_finish().map_err(|e| InflateError::Corrupt(e.to_string()))?;
                drain(decoder.get_mut(), meter, sink)?;
                true
            }
            Decoder::Sniff(_) => false,
            Decoder::Deflate(_, is_done) => is_done,
            Decoder::Brotli(decoder) => decoder.is_done,
            Decoder::Zstd(decoder) => decoder.is_done(),
        };
        if is_done { Ok(()) } else { Err(InflateError::Truncated) }
    }
}

fn drain(buffer: &mut Vec<u8>, meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
    let result = meter.pass(buffer, sink);
    buffer.clear();
    result
}

fn inflate(
    decoder: &mut Decompress,
    is_done: &mut bool,
    chunk: &[u8],
    meter: &mut Meter,
    sink: Sink<'_>,
) -> Result<(), InflateError> {
    let mut rest = chunk;
    let mut buffer = vec![0; PIECE];
    loop {
        if *is_done {
            return if rest.is_empty() { Ok(()) } else { Err(InflateError::TrailingData) };
        }
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(rest, &mut buffer, FlushDecompress::None)
            .map_err(|e| InflateError::Corrupt(e.to_string()))?;
        let taken = usize::try_from(decoder.total_in() - before_in).unwrap_or(usize::MAX);
        let made = usize::try_from(decoder.total_out() - before_out).unwrap_or(usize::MAX);
        meter.pass(buffer.get(..made).unwrap_or_default(), sink)?;
        rest = rest.get(taken..).unwrap_or_default();
        match status {
            Status::StreamEnd => *is_done = true,
            // Neither input taken nor output made: it wants more input.
            _ if taken == 0 && made == 0 => return Ok(()),
            Status::Ok | Status::BufError => {}
        }
    }
}

impl Brotli {
    fn feed(&mut self, chunk: &[u8], meter: &mut Meter, sink: Sink<'_>) -> Result<(), InflateError> {
        if self.is_done {
            return if chunk.is_empty() { Ok(()) } else { Err(InflateError::TrailingData) };
        }
        let (mut available, mut offset, mut total) = (chunk.len(), 0, 0);
        let mut buffer = vec![0; PIECE];
        loop {
            let (mut room, mut made) = (buffer.len(), 0);
            let result = BrotliDecompressStream(
                &mut available,
                &mut offset,
                chunk,
                &mut room,
                &mut made,
                &mut buffer,
                &mut total,
                &mut self.state,
            );
            meter.pass(buffer.get(..made).unwrap_or_default(), sink)?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess if available > 0 => return Err(InflateError::TrailingData),
                BrotliResult::ResultSuccess => {
                    self.is_done = true;
                    return Ok(());
                }
                BrotliResult::ResultFailure => {
                    return Err(InflateError::Corrupt("brotli stream is invalid".to_owned()));
                }
            }
        }
    }
}
