//! Standard output, and a file that rotates.

use super::queue::{Batch, Line};
use super::worker::{Failure, Output};
use crate::telemetry::file::RotatingFile;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is written before it is handed to the system at the latest.
const BATCH: Batch = Batch { lines: 256, bytes: 1 << 20, wait: Duration::ZERO };

pub(super) struct Printed;

impl Output for Printed {
    fn batch(&self) -> Batch {
        BATCH
    }

    fn send(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = lines.iter().try_for_each(|line| out.write_all(&line.bytes)).and_then(|()| out.flush());
        written.map_err(Failure::retry)
    }
}

pub(super) struct Appended {
    path: PathBuf,
    rotate_bytes: u64,
    rotate_keep: usize,
    file: Option<RotatingFile>,
    /// The wish is older than what was written since.
    reopen: bool,
}

impl Appended {
    pub(super) fn open(path: &Path, rotate_bytes: u64, rotate_keep: usize) -> io::Result<Self> {
        let file = Some(RotatingFile::open(path, rotate_bytes, rotate_keep)?);
        Ok(Self { path: path.to_owned(), rotate_bytes, rotate_keep, file, reopen: false })
    }

    fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        if std::mem::take(&mut self.reopen) {
            self.file = None;
        }
        if self.file.is_none() {
            self.file = Some(RotatingFile::open(&self.path, self.rotate_bytes, self.rotate_keep)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        lines.iter().try_for_each(|line| file.write_line(&line.bytes))?;
        file.flush()
    }
}

impl Output for Appended {
    fn batch(&self) -> Batch {
        BATCH
    }

    fn send(&mut self, lines: &[Line]) -> Result<(), Failure> {
        self.append(lines).map_err(|error| {
            // The lines come again as a whole; half of them must not stand there already.
            if let Some(file) = self.file.take() {
                file.roll_back();
            }
            Failure::retry(error)
        })
    }

    fn reopen(&mut self) {
        self.reopen = true;
        // At once, so that the file is there without traffic too; what fails here fails again with a record.
        let _ = self.append(&[]);
    }
}
