//! Where a configuration lies: its relative paths start there, and the files that it names are noted.

use super::reader::{Section, complain, scalar};
use super::{CountryDatabase, NetworkSet};
use crate::source::Span;
use crate::syntax::diagnostic::Diagnostics;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where relative paths start, and which files have been named.
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    pub(super) files: &'a mut Vec<PathBuf>,
    /// Lists of networks that have been read already.
    pub(super) lists: BTreeMap<PathBuf, Arc<NetworkSet>>,
    /// What tells countries.
    pub(super) countries: Option<Arc<CountryDatabase>>,
}

impl<'a> Place<'a> {
    /// Relative paths start at `directory`; what is named is added to `files`.
    pub(super) fn new(directory: &'a Path, files: &'a mut Vec<PathBuf>) -> Self {
        Self { directory, files, lists: BTreeMap::new(), countries: None }
    }

    /// The files of the list `key`, with their places in the text; all must exist.
    pub(super) fn all_existing(
        &mut self,
        section: &Section<'_>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Vec<(PathBuf, Span)> {
        let mut all = Vec::new();
        for node in section.items(key) {
            let Some(text) = scalar(node, key, out) else { continue };
            let path = self.directory.join(text);
            // Noted also when it is not there, so that its coming is noticed.
            self.files.push(path.clone());
            let found = std::fs::File::open(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()));
            all.extend(complain(found, node.span, key, out).map(|_| (path, node.span)));
        }
        all
    }

    /// The file that `key` names; it must exist, and is noted as one that the configuration depends on.
    pub(super) fn existing(
        &mut self,
        section: &Section<'_>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Option<PathBuf> {
        let path = section.value(key, out, |text| {
            let path = self.directory.join(text);
            match std::fs::File::open(&path) {
                Ok(_) => Ok(path),
                Err(error) => Err(format!("cannot read {}: {error}", path.display())),
            }
        })?;
        self.files.push(path.clone());
        Some(path)
    }

    /// The text of the file that `key` names.
    pub(super) fn text(&mut self, section: &Section<'_>, key: &str, out: &mut Diagnostics) -> Option<String> {
        let path = self.existing(section, key, out)?;
        let span = section.get(key).map_or(section.span(), |node| node.span);
        let read = read_bounded(&path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        complain(read, span, key, out)
    }

    /// `text` as the name of a rule file: built-in names stay, others are taken from the file's directory.
    pub(super) fn rule_file(&self, text: &str) -> String {
        if text.starts_with('@') { text.to_owned() } else { self.directory.join(text).display().to_string() }
    }
}

/// The text of a file.
pub(super) fn read_bounded(path: &Path) -> Result<String, String> {
    String::from_utf8(read_up_to(path, FILE_BYTES)?).map_err(|e| e.to_string())
}

/// The bytes of a file that holds at most `most`.
pub(super) fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if read as u64 > most { Err(format!("it is longer than {most} bytes")) } else { Ok(bytes) }
}

/// Bytes of a configuration file or a file that it names.
const FILE_BYTES: u64 = 8 << 20;
