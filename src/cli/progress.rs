//! How much of the records has been read, on a terminal.

use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};
use std::io::Read;
use std::path::PathBuf;

/// A bar on standard error that counts bytes; nothing is drawn where that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

/// With files alone; what comes by standard input has no length that is known.
const KNOWN: &str = "[{bar:40}] {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const UNKNOWN: &str = "{spinner} {bytes}, {bytes_per_sec}";

impl Progress {
    /// Over the bytes of `files`, `-` being standard input.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let length =
            |file: &PathBuf| std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        let total = files.iter().map(length).sum::<Option<u64>>();
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let style = ProgressStyle::with_template(if total.is_some() { KNOWN } else { UNKNOWN });
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("##."));
        }
        Self { bar }
    }

    /// A reader whose bytes are counted.
    pub(super) fn of<R: Read>(&self, reader: R) -> ProgressBarIter<R> {
        self.bar.wrap_read(reader)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_and_templates_sound() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
        let this = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let progress = Progress::new(std::slice::from_ref(&this));
        assert_eq!(progress.bar.length(), std::fs::metadata(&this).ok().map(|m| m.len()));
        let mut text = String::new();
        progress.of(&b"abc"[..]).read_to_string(&mut text).expect("read");
        assert_eq!((text.as_str(), progress.bar.position()), ("abc", 3));
        assert_eq!(Progress::new(&[this, PathBuf::from("-")]).bar.length(), None);
        progress.finish();
    }
}
