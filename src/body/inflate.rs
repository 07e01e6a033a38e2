//! The only decompressor of the crate.

use crate::limits;

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
