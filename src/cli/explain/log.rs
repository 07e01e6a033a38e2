//! Finding a record in an audit log of any size.

use crate::explain::Recorded;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The record with this id: the last one in the log at `path`, or else in `path.1`, `path.2` and so on.
///
/// # Errors
///
/// When the log cannot be read, or holds records of another schema only.
pub(in crate::cli) fn find(path: &Path, id: &str) -> Result<Option<Recorded>, String> {
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(|error| told(path, error))?;
    if let Some(record) = find_in(&mut file, id).map_err(|error| told(path, error))? {
        return Ok(Some(record));
    }
    if has_other_schema(&mut file) {
        return Err(format!(
            "{} is neither of the native schema (audit.format: native) nor ModSecurity's or Coraza's in JSON, which explanations \
             need",
            path.display()
        ));
    }
    for number in 1..=ROTATED {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let path = PathBuf::from(name);
        match File::open(&path) {
            Ok(mut file) => {
                if let Some(record) = find_in(&mut file, id).map_err(|error| told(&path, error))? {
                    return Ok(Some(record));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(told(&path, error)),
        }
    }
    Ok(None)
}

/// Rotated files that are looked into.
const ROTATED: usize = 1_000;
/// Bytes read at a time.
const BLOCK: u64 = 1 << 20;
/// Bytes of a line beyond which it is no record.
const LINE: usize = 16 << 20;

/// Searches from the end, where what somebody asks about stands as a rule.
fn find_in(file: &mut (impl Read + Seek), id: &str) -> io::Result<Option<Recorded>> {
    let quoted = serde_json::Value::from(id).to_string();
    let wanted = memchr::memmem::Finder::new(quoted.as_bytes());
    let mut end = file.seek(SeekFrom::End(0))?;
    // The beginning of what was read last, up to its first line's end.
    let mut rest: Vec<u8> = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        end = start;
        let lines = match memchr::memchr(b'\n', &block) {
            Some(at) if start > 0 => {
                let lines = block.split_off(at + 1);
                rest = block;
                lines
            }
            None if start > 0 => {
                // Longer than any record: what of it has been read is given up.
                rest = if block.len() > LINE { Vec::new() } else { block };
                continue;
            }
            _ => block,
        };
        for line in lines.rsplit(|b| *b == b'\n') {
            // The id may stand elsewhere too, in a header that a client made up.
            if wanted.find(line).is_some()
                && let Ok(record) = Recorded::read_any(line)
                && record.id == id
            {
                return Ok(Some(record));
            }
        }
    }
    Ok(None)
}

/// Whether the first line is JSON without being a record.
fn has_other_schema(file: &mut (impl Read + Seek)) -> bool {
    let mut start = vec![0; 64 << 10];
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read(&mut start)).unwrap_or(0);
    start.truncate(read);
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<serde_json::Value>(line)
        .is_ok_and(|value| value["id"].is_null() && value["transaction"].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn records_are_found_wherever_they_stand() {
        let line =
            |id: &str, length: usize| format!("{{\"id\":\"{id}\",\"site\":\"{}\"}}\n", "s".repeat(length));
        let mut text = String::new();
        for n in 0..40 {
            text.push_str(&line(&format!("id{n}"), 70_000 + n));
        }
        text.push_str("no record\n{\"id\":\"other\",\"site\":\"\",\"note\":\"id3\"}\n");
        for n in [0, 3, 14, 15, 39] {
            let found = find_in(&mut Cursor::new(text.as_bytes()), &format!("id{n}")).expect("read");
            assert_eq!(found.map(|record| record.site.len()), Some(70_000 + n), "{n}");
        }
        assert!(find_in(&mut Cursor::new(text.as_bytes()), "id").expect("read").is_none());
        assert!(find_in(&mut Cursor::new(b""), "id").expect("read").is_none());
    }
}
