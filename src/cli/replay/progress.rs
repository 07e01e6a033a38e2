//! How much has been read, on a terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts bytes, and draws a bar on standard error now and then, if that is a terminal.
pub(super) struct Progress {
    total: u64,
    read: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun` when it is drawn next; `u64::MAX` where nobody looks.
    due: AtomicU64,
}

/// How often it is drawn.
const INTERVAL: Duration = Duration::from_millis(200);
/// Characters of the bar.
const WIDTH: u64 = 40;

impl Progress {
    /// Over the bytes of `files`.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let lengths = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|m| m.len());
        let due = if io::stderr().is_terminal() { 0 } else { u64::MAX };
        Self {
            total: lengths.sum(),
            read: AtomicU64::new(0),
            begun: Instant::now(),
            due: AtomicU64::new(due),
        }
    }

    /// A reader whose bytes are counted.
    pub(super) fn of<R: Read>(&self, reader: R) -> Counted<'_, R> {
        Counted { reader, progress: self }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if self.due.swap(u64::MAX, Ordering::Relaxed) != u64::MAX {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }

    fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let read = self.read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let elapsed = self.begun.elapsed();
        let now = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if now < self.due.load(Ordering::Relaxed) {
            return;
        }
        self.due.store(now + INTERVAL.as_millis() as u64, Ordering::Relaxed);
        let _ = io::stderr().write_all(format!("\r{}\x1b[K", bar(read, self.total, elapsed)).as_bytes());
    }
}

/// The bar when `read` of `total` bytes have been read in `elapsed`.
fn bar(read: u64, total: u64, elapsed: Duration) -> String {
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let speed = read as f64 / elapsed.as_secs_f64().max(0.001);
    // What comes in by standard input has no length that is known.
    if total < read || total == 0 {
        return format!("{:.1} MB, {:.1} MB/s", mega(read), speed / 1e6);
    }
    let full = usize::try_from(u128::from(read) * u128::from(WIDTH) / u128::from(total)).unwrap_or(0);
    let left = (total - read) as f64 / speed.max(1.0);
    format!(
        "[{}{}] {:.1} of {:.1} MB, {:.1} MB/s, {left:.0} s left",
        "#".repeat(full),
        ".".repeat((WIDTH as usize).saturating_sub(full)),
        mega(read),
        mega(total),
        speed / 1e6
    )
}

/// See [`Progress::of`].
pub(super) struct Counted<'a, R> {
    reader: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress.add(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_tells_what_is_left() {
        let second = Duration::from_secs(1);
        let half = format!("[{}{}] 5.0 of 10.0 MB, 5.0 MB/s, 1 s left", "#".repeat(20), ".".repeat(20));
        assert_eq!(bar(5_000_000, 10_000_000, second), half);
        assert_eq!(bar(2_000_000, 0, second), "2.0 MB, 2.0 MB/s");
        assert!(bar(u64::MAX, u64::MAX, second).contains(&"#".repeat(40)));
        let progress = Progress::new(&[]);
        let mut text = String::new();
        progress.of(&b"abc"[..]).read_to_string(&mut text).expect("read");
        assert_eq!((text.as_str(), progress.read.load(Ordering::Relaxed)), ("abc", 3));
    }
}
