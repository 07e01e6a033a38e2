//! Files → batches of records, whose text is taken apart by others.

use super::record::{Recorded, Unusable};
use super::{har, modsecurity, native, raw};
use crate::cli::progress::Progress;
use crate::cli::records::{RECORD_BYTES, next_line, open};
use crate::explain::Foreign;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Records that stand together in a file.
pub(super) struct Batch {
    kind: Kind,
    /// Index of the file, and number of the first record in it.
    pub(super) place: (usize, u64),
    text: Vec<u8>,
    records: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// JSON, an object a line.
    Lines,
    Har,
    Raw,
}

impl Batch {
    fn new(kind: Kind, place: (usize, u64)) -> Self {
        Self { kind, place, text: Vec::new(), records: Vec::new() }
    }

    fn push(&mut self, record: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(record);
        self.records.push(start..self.text.len());
    }

    fn is_full(&self) -> bool {
        self.text.len() >= BATCH_BYTES || self.records.len() >= BATCH_RECORDS
    }

    /// The transactions.
    pub(super) fn transactions(&self) -> impl Iterator<Item = Result<Recorded, Unusable>> + '_ {
        self.records.iter().flat_map(|range| {
            let record = self.text.get(range.clone()).unwrap_or_default();
            match self.kind {
                Kind::Lines => vec![line(record)],
                Kind::Har => vec![har::read(record)],
                Kind::Raw => match raw::read(record) {
                    Ok(all) => all.into_iter().map(Ok).collect(),
                    Err(why) => vec![Err(why)],
                },
            }
        })
    }
}

const BATCH_BYTES: usize = 256 << 10;
const BATCH_RECORDS: usize = 256;
/// Bytes from which it is told what a file is.
const PEEK: u64 = 256 << 10;

/// Ours has a decision, which the others have not.
fn line(text: &[u8]) -> Result<Recorded, Unusable> {
    if Foreign::is_likely(text) {
        return modsecurity::read(text);
    }
    native::read(text).or_else(|why| match why {
        Unusable::Unreadable => modsecurity::read(text),
        Unusable::Refused => Err(why),
    })
}

/// The files that `paths` mean: directories stand for what is in them, in the order of names.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut out = Vec::new();
    for path in paths {
        walk(path, &mut out, 0)?;
    }
    Ok(out)
}

fn walk(path: &Path, out: &mut Vec<PathBuf>, depth: usize) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    if path == Path::new("-") || !std::fs::metadata(path).map_err(told)?.is_dir() {
        out.push(path.to_owned());
        return Ok(());
    }
    if depth >= DEPTH {
        return Err(format!("{}: nested too deeply", path.display()));
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(told)?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(told)?;
    entries.sort();
    entries.iter().try_for_each(|entry| walk(entry, out, depth + 1))
}

/// ModSecurity's directories of single records are three deep.
const DEPTH: usize = 16;

/// Reads a file to its end and hands batches to `take`, until that says `false`.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn read(
    path: &Path,
    index: usize,
    progress: &Progress,
    take: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut input = open(path, progress).map_err(|e| told(&e))?;
    let mut start = Vec::new();
    (&mut input).take(PEEK).read_to_end(&mut start).map_err(|e| told(&e))?;
    let kind = kind(&start);
    let mut input = BufReader::with_capacity(1 << 20, Cursor::new(start).chain(input));
    let mut batch = Batch::new(kind, (index, 0));
    match kind {
        Kind::Lines => lines(&mut input, batch, take).map_err(|e| told(&e)),
        Kind::Har => {
            let mut number = 0;
            let mut wanted = true;
            har::entries(input, &mut |entry| {
                number += 1;
                batch.push(entry);
                if batch.is_full() {
                    wanted = take(std::mem::replace(&mut batch, Batch::new(kind, (index, number))));
                }
                wanted
            })
            .or_else(|error| if wanted { Err(told(&error)) } else { Ok(()) })?;
            take(batch);
            Ok(())
        }
        Kind::Raw => {
            let mut text = Vec::new();
            input.take(RECORD_BYTES as u64).read_to_end(&mut text).map_err(|e| told(&e))?;
            batch.push(&text);
            take(batch);
            Ok(())
        }
    }
}

/// What a file is that begins so.
fn kind(start: &[u8]) -> Kind {
    #[derive(Deserialize)]
    struct Top {
        log: Option<IgnoredAny>,
    }
    let text = start.trim_ascii_start();
    if !text.starts_with(b"{") {
        return Kind::Raw;
    }
    let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
    match serde_json::from_slice::<Top>(first) {
        Ok(top) if top.log.is_some() => Kind::Har,
        Ok(_) => Kind::Lines,
        // A line that goes beyond what was looked at, or an object over several lines, as archives are.
        Err(_) if memchr::memmem::find(text.get(..256).unwrap_or(text), b"\"log\"").is_some() => Kind::Har,
        Err(_) => Kind::Lines,
    }
}

fn lines(input: &mut impl BufRead, mut batch: Batch, take: &mut dyn FnMut(Batch) -> bool) -> io::Result<()> {
    let (index, mut number) = batch.place;
    let mut line = Vec::new();
    while next_line(input, &mut line)? {
        number += 1;
        let record = line.trim_ascii();
        if !record.is_empty() {
            batch.push(record);
        }
        if batch.is_full() && !take(std::mem::replace(&mut batch, Batch::new(Kind::Lines, (index, number)))) {
            return Ok(());
        }
    }
    take(batch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_their_beginning() {
        let long = format!("{{\"id\": \"{}", "x".repeat(1 << 20));
        for (text, expected) in [
            ("{\"id\": 1}\n{\"id\": 2}\n", Kind::Lines),
            ("{\"id\": 1}", Kind::Lines),
            (long.as_str(), Kind::Lines),
            ("{\"log\": {\"entries\": []}}\n", Kind::Har),
            ("\n{\n  \"log\": {\n    \"version\": \"1.2\",\n", Kind::Har),
            ("GET / HTTP/1.1\r\n", Kind::Raw),
            ("", Kind::Raw),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text:.40}");
        }
    }

    #[test]
    fn lines_become_batches_and_none_is_lost() {
        let text: String = (0..1_000).map(|n| format!("{{\"id\": {n}}}\r\n\n")).collect();
        let mut batches = Vec::new();
        let batch = Batch::new(Kind::Lines, (3, 0));
        let mut take = |batch| {
            batches.push(batch);
            true
        };
        lines(&mut text.as_bytes(), batch, &mut take).expect("read");
        assert_eq!(batches.iter().map(|b: &Batch| b.records.len()).sum::<usize>(), 1_000);
        assert!(batches.len() > 3 && batches[1].place > batches[0].place);
        let first = &batches[0];
        assert_eq!(first.text.get(first.records[1].clone()), Some(&b"{\"id\": 1}"[..]));
    }
}
