//! A file of lines that rotates by size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Appends lines to a file; `name` becomes `name.1`, `name.1` becomes `name.2`, … when it would grow too long.
pub(super) struct RotatingFile {
    path: PathBuf,
    out: BufWriter<File>,
    length: u64,
    /// Bytes up to the end of what is known to be there.
    flushed: u64,
    most: u64,
    keep: usize,
}

impl RotatingFile {
    /// Opens `path` for appending. `most` bytes make it rotate, 0 never; `keep` old files stay.
    pub(super) fn open(path: &Path, most: u64, keep: usize) -> io::Result<Self> {
        let file = append(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), length, flushed: length, most, keep })
    }

    /// Appends a line, newline included.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let more = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.most > 0 && self.length > 0 && self.length.saturating_add(more) > self.most {
            self.rotate()?;
        }
        self.out.write_all(line)?;
        self.length = self.length.saturating_add(more);
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.flushed = self.length;
        Ok(())
    }

    /// Takes back what was written since the last flush, as far as that can be done; for a disk that is full.
    pub(super) fn roll_back(self) {
        let flushed = self.flushed;
        // Not by dropping the writer, which would write what it holds.
        let (file, _) = self.out.into_parts();
        let _ = file.set_len(flushed);
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.out.flush()?;
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (0..self.keep).rev() {
            let from = if number == 0 { self.path.clone() } else { numbered(&self.path, number) };
            match fs::rename(&from, numbered(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.out = BufWriter::new(append(&self.path)?);
        (self.length, self.flushed) = (0, 0);
        Ok(())
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Created for owner and group only: redacted or not, these are other people's requests.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_rotate_before_they_grow_too_long() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.log");
        let mut file = RotatingFile::open(&path, 10, 2).expect("opened");
        for line in ["one\n", "two\n", "three\n", "four and more than ten\n", "five\n"] {
            file.write_line(line.as_bytes()).expect("written");
        }
        file.flush().expect("flushed");
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
        assert_eq!(read("a.log"), "five\n");
        assert_eq!(read("a.log.1"), "four and more than ten\n");
        assert_eq!(read("a.log.2"), "three\n");
        assert!(!directory.path().join("a.log.3").exists());
        let mut again = RotatingFile::open(&path, 10, 0).expect("opened");
        again.write_line(b"longer\n").expect("written");
        again.flush().expect("flushed");
        assert_eq!(read("a.log"), "longer\n");
        assert_eq!(read("a.log.1"), "four and more than ten\n");
    }
}
