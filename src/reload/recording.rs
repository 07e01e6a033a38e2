//! Remembers what a load read, so that a change of it can be noticed later.

use crate::syntax::seclang::Loader;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A hash of content; none when there was nothing to read.
pub(super) type Print = Option<[u8; 20]>;

/// Everything that a load depended on, with what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    files: BTreeMap<String, Print>,
    patterns: BTreeMap<String, Print>,
}

impl Footprint {
    /// Adds a file with the content that it has now.
    pub(super) fn add_file(&mut self, path: &Path) {
        self.files.insert(path.display().to_string(), read(path));
    }

    /// The same files and patterns, as they are now.
    ///
    /// Contents are compared, not dates: a mounted ConfigMap swaps a symbolic link and keeps its files' dates, and
    /// a file that was written anew with the same content is no change.
    pub(super) fn look_again(&self, loader: &dyn Loader) -> Self {
        let file = |path: &String| (path.clone(), read(Path::new(path)));
        let pattern = |pattern: &String| (pattern.clone(), expansion(loader, pattern));
        Self {
            files: self.files.keys().map(file).collect(),
            patterns: self.patterns.keys().map(pattern).collect(),
        }
    }

    /// A hash over names and contents, in lower-case hex. `salt` is what else decides about a load.
    pub(super) fn hash(&self, salt: &str) -> String {
        let mut hash = Sha1::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(salt.as_bytes());
        for (name, print) in self.files.iter().chain(&self.patterns) {
            add(name.as_bytes());
            add(print.as_ref().map_or(&[][..], |p| &p[..]));
        }
        hex(&hash.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn read(path: &Path) -> Print {
    // Bounded as the loader's own reading is: a device file that never ends must not hang the watch.
    use std::io::Read;
    let file = std::fs::File::open(path).ok()?;
    let mut hash = Sha1::new();
    let mut file = file.take(crate::limits::SOURCE_FILE_BYTES as u64 + 1);
    let mut buffer = [0; 16_384];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(hash.finalize().into()),
            Ok(n) => hash.update(buffer.get(..n)?),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn expansion(loader: &dyn Loader, pattern: &str) -> Print {
    loader.expand(pattern).ok().map(|names| print_of_names(&names))
}

fn print_of_names(names: &[String]) -> [u8; 20] {
    let mut hash = Sha1::new();
    for name in names {
        hash.update(name.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A loader that notes what it is asked for. Embedded files are left out: they change with the binary only.
pub(super) struct Recording<'a> {
    loader: &'a dyn Loader,
    seen: Mutex<Footprint>,
}

impl<'a> Recording<'a> {
    pub(super) fn new(loader: &'a dyn Loader, files: &[PathBuf]) -> Self {
        let mut seen = Footprint::default();
        for file in files {
            seen.add_file(file);
        }
        Self { loader, seen: Mutex::new(seen) }
    }

    pub(super) fn footprint(self) -> Footprint {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Footprint)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Loader for Recording<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let result = self.loader.read(path);
        if !path.starts_with('@') {
            // The hash of what was read, not of what is there a moment later.
            let print = result.as_ref().ok().map(|bytes| Sha1::digest(bytes).into());
            self.note(|seen| {
                seen.files.insert(path.to_owned(), print);
            });
        }
        result
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        let result = self.loader.expand(pattern);
        if !pattern.starts_with('@') {
            let print = result.as_ref().ok().map(|names| print_of_names(names));
            self.note(|seen| {
                seen.patterns.insert(pattern.to_owned(), print);
            });
        }
        result
    }

    fn identity(&self, path: &str) -> Option<String> {
        self.loader.identity(path)
    }
}
