//! `application/x-www-form-urlencoded` in a stream.

use super::{BodyLimits, LimitHit, ParsedBody};
use crate::http::{QueryOutcome, parse_piece};
use memchr::memchr;

/// A streaming parser of one urlencoded body. It holds back at most the piece that the last chunk cut.
#[derive(Debug)]
pub(super) struct UrlencodedParser {
    separator: u8,
    arguments: usize,
    piece: Vec<u8>,
    outcome: QueryOutcome,
    out: ParsedBody,
}

impl UrlencodedParser {
    pub(super) fn new(limits: &BodyLimits) -> Self {
        Self {
            separator: limits.argument_separator,
            arguments: limits.arguments,
            piece: Vec::new(),
            outcome: QueryOutcome::default(),
            out: ParsedBody::default(),
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.piece.capacity() + self.out.held()
    }

    pub(super) fn text(&self) -> u64 {
        self.out.no_files_length
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.out.no_files_length += chunk.len() as u64;
        let mut rest = chunk;
        while let Some(at) = memchr(self.separator, rest) {
            let piece = rest.get(..at).unwrap_or_default();
            if self.piece.is_empty() {
                parse_piece(piece, self.arguments, &mut self.out.args, &mut self.outcome);
            } else {
                self.piece.extend_from_slice(piece);
                parse_piece(&self.piece, self.arguments, &mut self.out.args, &mut self.outcome);
                self.piece.clear();
            }
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        self.piece.extend_from_slice(rest);
    }

    pub(super) fn finish(mut self) -> ParsedBody {
        if !self.piece.is_empty() {
            parse_piece(&self.piece, self.arguments, &mut self.out.args, &mut self.outcome);
        }
        self.out.urlencoded_error = self.outcome.invalid_encoding;
        if self.outcome.limit_hit {
            self.out.hit(LimitHit::Arguments);
        }
        self.out
    }
}
