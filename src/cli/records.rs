//! Files of records: opened, inflated, a line at a time.

use super::progress::Progress;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Bytes of one record; an audit record has a fifth of it at most.
pub(super) const RECORD_BYTES: usize = 64 << 20;

/// Bytes read at a time: by smaller pieces the rate would be guessed badly at first.
const BLOCK: usize = 64 << 10;

/// What is in a file, or comes by standard input when that is `-`; gzip and zstd are undone.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn open<'p>(path: &Path, progress: &'p Progress) -> Result<Box<dyn Read + 'p>, String> {
    let mut file: Box<dyn Read + 'p> = match path == Path::new("-") {
        true => Box::new(BufReader::with_capacity(BLOCK, progress.of(io::stdin()))),
        false => {
            let file = File::open(path).map_err(|e| e.to_string())?;
            Box::new(BufReader::with_capacity(BLOCK, progress.of(file)))
        }
    };
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic).map_err(|e| e.to_string())?;
    let whole = Cursor::new(magic.clone()).chain(file);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            Box::new(ruzstd::decoding::StreamingDecoder::new(whole).map_err(|e| e.to_string())?)
        }
        _ => Box::new(whole),
    })
}

/// Reads a line into `line`, which is emptied before; whether there was one. One longer than [`RECORD_BYTES`] is passed
/// over, and `?` stands for it.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.by_ref().take(RECORD_BYTES as u64).read_until(b'\n', line)?;
    if read == RECORD_BYTES && line.last() != Some(&b'\n') {
        skip_line(input)?;
        line.clear();
        line.push(b'?');
    }
    Ok(read > 0)
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match memchr::memchr(b'\n', buffer) {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}
