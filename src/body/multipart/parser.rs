//! Lines and boundaries of a multipart body, in a stream, with all of ModSecurity's `MULTIPART_*` findings.

use super::boundary::{is_space, read_boundary};
use super::found::Found;
use super::part::Part;
use crate::body::{BodyLimits, LimitHit, ParsedBody};
use crate::limits;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

/// A streaming parser of one multipart body.
#[derive(Debug)]
pub(in crate::body) struct MultipartParser {
    /// `--` and the boundary; empty when there is none, and then nothing is read.
    delimiter: Vec<u8>,
    finder: Finder<'static>,
    /// Finds `--`, which every delimiter begins with.
    dashes: Finder<'static>,
    state: State,
    /// The beginning of the current line, up to [`limits::MULTIPART_LINE_BYTES`].
    line: Vec<u8>,
    /// The current line's beginning has been dealt with; only its rest is to come.
    mid_line: bool,
    /// The current line's last byte so far was a CR, which may belong to its end.
    held_cr: bool,
    /// The line end before the current line: data, unless a boundary follows.
    reserve: &'static [u8],
    part: Part,
    parts: usize,
    boundaries: usize,
    seen_data: bool,
    found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Headers,
    Data,
    Epilogue,
    /// A limit ended the reading.
    Ended,
}

impl MultipartParser {
    pub(in crate::body) fn new(limits: &BodyLimits, content_type: &[u8]) -> Self {
        let mut found = Found { limits: limits.clone(), body: ParsedBody::default() };
        let boundary = read_boundary(content_type, &mut found.body.flags);
        let delimiter = match boundary.value {
            Some(value) => [b"--", value.as_slice()].concat(),
            None => Vec::new(),
        };
        let finder = Finder::new(&delimiter).into_owned();
        let mut parser = Self {
            delimiter,
            finder,
            dashes: Finder::new(b"--"),
            state: State::Preamble,
            line: Vec::new(),
            mid_line: false,
            held_cr: false,
            reserve: b"",
            part: Part::default(),
            parts: 0,
            boundaries: 0,
            seen_data: false,
            found,
        };
        if let Some(error) = boundary.error {
            parser.found.fail(error);
        }
        parser
    }

    /// Bytes that it holds.
    pub(in crate::body) fn held(&self) -> usize {
        self.line.capacity() + self.part.held() + self.found.body.held()
    }

    /// Bytes so far, without the contents of files but for those that are kept.
    pub(in crate::body) fn text(&self) -> u64 {
        let files: usize = self.found.body.files.iter().map(|file| file.content.len()).sum();
        let kept = u64::try_from(files + self.part.file_content()).unwrap_or(u64::MAX);
        self.found.body.no_files_length.saturating_add(kept)
    }

    pub(in crate::body) fn feed(&mut self, chunk: &[u8]) {
        self.seen_data |= !chunk.is_empty();
        if self.delimiter.is_empty() {
            return;
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            match self.state {
                State::Epilogue => {
                    self.found.body.flags.data_after = true;
                    return;
                }
                State::Ended => return,
                _ if self.mid_line => rest = self.feed_rest_of_line(rest),
                State::Data if self.line.is_empty() => {
                    let (lines, after) = rest.split_at(self.plain_lines(rest));
                    if lines.is_empty() {
                        rest = self.feed_line(rest);
                    } else {
                        self.data_piece(lines, true);
                        rest = after;
                    }
                }
                _ => rest = self.feed_line(rest),
            }
        }
    }

    pub(in crate::body) fn finish(mut self) -> ParsedBody {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            let is_final = line.strip_prefix(self.delimiter.as_slice()) == Some(b"--") && self.boundaries > 0;
            if is_final {
                self.boundary(true);
            } else {
                self.line_begins(&line, false);
            }
        }
        if self.state == State::Data {
            let end = self.reserve;
            self.part.content(end, &mut self.found);
            if self.held_cr {
                self.part.content(b"\r", &mut self.found);
            }
        }
        if self.seen_data && self.state != State::Epilogue && !self.delimiter.is_empty() {
            self.found.fail(match self.boundaries {
                0 => "No boundaries found in payload.",
                _ => "Final boundary missing.",
            });
        }
        self.part.close(&mut self.found);
        self.found.body
    }

    /// How much of `chunk`, which begins at the beginning of a line, are whole lines without two dashes: no boundary, nor
    /// anything that hides one. These are data, all at once; most of a file is.
    fn plain_lines(&self, chunk: &[u8]) -> usize {
        let end = self.dashes.find(chunk).unwrap_or(chunk.len());
        memrchr(b'\n', chunk.get(..end).unwrap_or_default()).map_or(0, |at| at + 1)
    }

    /// Takes from `chunk`, which begins at or in the beginning of a line; gives what is left.
    fn feed_line<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let room = limits::MULTIPART_LINE_BYTES.saturating_sub(self.line.len()).max(1).min(chunk.len());
        let window = chunk.get(..room).unwrap_or(chunk);
        let (taken, complete) = match memchr(b'\n', window) {
            Some(at) => (at + 1, true),
            None => (room, false),
        };
        let (piece, rest) = chunk.split_at_checked(taken).unwrap_or((chunk, &[]));
        if complete && self.line.is_empty() {
            self.line_begins(piece, true);
            return rest;
        }
        self.line.extend_from_slice(piece);
        if complete || self.line.len() >= limits::MULTIPART_LINE_BYTES {
            let mut line = std::mem::take(&mut self.line);
            self.line_begins(&line, complete);
            line.clear();
            self.line = line;
            self.mid_line = !complete;
        }
        rest
    }

    /// Takes from `chunk`, which goes on in a line whose beginning has been dealt with; gives what is left.
    fn feed_rest_of_line<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let end = memchr(b'\n', chunk).map(|at| at + 1);
        let (piece, rest) = chunk.split_at_checked(end.unwrap_or(chunk.len())).unwrap_or((chunk, &[]));
        if self.state == State::Data {
            self.data_piece(piece, end.is_some());
        }
        self.mid_line = end.is_none();
        rest
    }

    /// Deals with a line, or with its beginning when it is longer than the buffer (`complete` is false).
    fn line_begins(&mut self, line: &[u8], complete: bool) {
        if self.looks_like_boundary(line) && self.try_boundary(line, complete) {
            return;
        }
        match self.state {
            State::Preamble => self.found.body.flags.data_before = true,
            State::Headers => {
                if self.part.header_line(line, complete, &mut self.found) {
                    self.state = State::Data;
                }
            }
            State::Data => self.data_piece(line, complete),
            State::Epilogue | State::Ended => {}
        }
    }

    /// Whether the line begins as a boundary does; notes one that hides within a line.
    fn looks_like_boundary(&mut self, line: &[u8]) -> bool {
        if line.len() > 3 && line.starts_with(b"--") {
            return true;
        }
        if self.finder.find(line).is_some() {
            self.found.body.flags.unmatched_boundary = 1;
        }
        false
    }

    /// Takes a line that begins with `--` for a boundary if it is one.
    fn try_boundary(&mut self, line: &[u8], complete: bool) -> bool {
        let Some(after) = line.strip_prefix(self.delimiter.as_slice()) else {
            self.unmatched_boundary(line);
            return false;
        };
        let (is_final, after) = match after.strip_prefix(b"--") {
            Some(after) => (true, after),
            None => (false, after),
        };
        let is_padding = after.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        match after {
            b"\r\n" => self.found.body.flags.crlf_line = true,
            b"\n" => self.found.body.flags.lf_line = true,
            // RFC 2046 allows padding, ModSecurity does not. It is a boundary for most recipients.
            _ if is_padding && complete => self.found.fail_quoting("Invalid boundary: ", line),
            _ => {
                self.found.fail_quoting("Invalid boundary: ", line);
                return false;
            }
        }
        if self.found.body.flags.unmatched_boundary == 1 && self.boundaries > 0 {
            self.found.body.flags.unmatched_boundary = 2;
        }
        self.boundary(is_final);
        true
    }

    /// Judges a line that begins with `--` and goes on differently.
    fn unmatched_boundary(&mut self, line: &[u8]) {
        let boundary = self.delimiter.get(2..).unwrap_or_default();
        let after = line.get(2..).unwrap_or_default();
        let unspaced =
            after.iter().position(|b| !is_space(*b)).and_then(|at| after.get(at..)).unwrap_or_default();
        if self.found.body.flags.boundary_quoted
            && after.strip_prefix(b"\"").is_some_and(|a| a.starts_with(boundary))
        {
            self.found.fail("Invalid boundary (quotes).");
        } else if unspaced.len() < after.len() && unspaced.starts_with(boundary) {
            self.found.fail("Invalid boundary (whitespace).");
        }
        self.found.body.flags.unmatched_boundary = 1;
    }

    fn boundary(&mut self, is_final: bool) {
        self.boundaries += 1;
        self.part.close(&mut self.found);
        self.reserve = b"";
        self.held_cr = false;
        if is_final {
            self.state = State::Epilogue;
        } else if self.parts >= self.found.limits.parts {
            self.found.hit(LimitHit::Parts);
            self.found.fail("Too many parts.");
            self.state = State::Ended;
        } else {
            self.parts += 1;
            self.part.open();
            self.state = State::Headers;
        }
    }

    /// Adds a piece of a line, or whole lines, to the part, and holds its end back, which may belong to a boundary.
    fn data_piece(&mut self, piece: &[u8], complete: bool) {
        if self.held_cr {
            self.held_cr = false;
            if piece == b"\n" {
                self.reserve = b"\r\n";
                return;
            }
            self.part.content(b"\r", &mut self.found);
        }
        let end = std::mem::take(&mut self.reserve);
        self.part.content(end, &mut self.found);
        let body = match piece {
            [body @ .., b'\r', b'\n'] if complete => {
                self.reserve = b"\r\n";
                body
            }
            [body @ .., b'\n'] if complete => {
                self.reserve = b"\n";
                body
            }
            [body @ .., b'\r'] => {
                self.held_cr = true;
                body
            }
            body => body,
        };
        self.part.content(body, &mut self.found);
    }
}
