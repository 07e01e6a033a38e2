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
    files: BTreeMap<String, Content>,
    patterns: BTreeMap<String, Print>,
}

/// A file's content, and by what it is known to be the same without reading it again. Only the content counts.
#[derive(Clone, Debug)]
struct Content {
    print: Print,
    stamp: Option<Stamp>,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Content {}

impl Content {
    fn of(path: &Path) -> Self {
        // The stamp comes first: a change after it shows as another stamp.
        let stamp = Stamp::of(path);
        Self { print: read(path), stamp }
    }

    fn look_again(&self, path: &Path) -> Self {
        if self.stamp.is_some() && self.stamp == Stamp::of(path) { self.clone() } else { Self::of(path) }
    }
}

/// What the file system says of a file that has not been touched for a while.
///
/// A GeoIP database of 60 MB need not be hashed every other second. Device, inode, length, and the times of the last
/// change of content and of the inode: the latter moves with every write and cannot be set, so a file that is
/// swapped or written in place shows, whatever dates it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    /// None for what cannot be told, or was changed so recently that another change could have the same time.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let m = std::fs::metadata(path).ok()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        if i64::try_from(now).ok()?.checked_sub(m.ctime())? < STAMP_SECONDS {
            return None;
        }
        let whole = |n: u64| i64::from_ne_bytes(n.to_ne_bytes());
        let times = [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        let [a, b, c, d] = times;
        Some(Self([whole(m.dev()), whole(m.ino()), whole(m.size()), a, b, c, d]))
    }

    #[cfg(not(unix))]
    fn of(_: &Path) -> Option<Self> {
        None
    }
}

/// For how long a file must have been left alone before its stamp is believed. File systems keep times as coarsely
/// as 2 seconds.
const STAMP_SECONDS: i64 = 3;

impl Footprint {
    /// Adds a file with the content that it has now.
    pub(super) fn add_file(&mut self, path: &Path) {
        self.files.insert(path.display().to_string(), Content::of(path));
    }

    /// The same files and patterns, as they are now.
    ///
    /// Contents are compared, not dates: a mounted ConfigMap swaps a symbolic link and keeps its files' dates, and
    /// a file that was written anew with the same content is no change.
    pub(super) fn look_again(&self, loader: &dyn Loader) -> Self {
        let file = |(path, content): (&String, &Content)| (path.clone(), content.look_again(Path::new(path)));
        let pattern = |pattern: &String| (pattern.clone(), expansion(loader, pattern));
        Self {
            files: self.files.iter().map(file).collect(),
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
        let files = self.files.iter().map(|(path, content)| (path, &content.print));
        for (name, print) in files.chain(&self.patterns) {
            add(name.as_bytes());
            add(print.as_ref().map_or(&[][..], |p| &p[..]));
        }
        hex(&hash.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The print of a file's content; none for what the loaders would not read either.
fn read(path: &Path) -> Print {
    // Bounded as theirs is: a device file that never ends must not hang the watch.
    use std::io::Read;
    let most = crate::limits::SOURCE_FILE_BYTES as u64;
    let mut file = std::fs::File::open(path).ok()?.take(most + 1);
    let mut hash = Sha1::new();
    let mut buffer = [0; 16_384];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(buffer.get(..n)?);
                length += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    (length <= most).then(|| hash.finalize().into())
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
        if path.starts_with('@') {
            return self.loader.read(path);
        }
        let stamp = Stamp::of(Path::new(path));
        let result = self.loader.read(path);
        // The hash of what was read, not of what is there a moment later.
        let print = result.as_ref().ok().map(|bytes| Sha1::digest(bytes).into());
        self.note(|seen| {
            seen.files.insert(path.to_owned(), Content { print, stamp });
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::seclang::FileLoader;
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_stamp_spares_the_reading_and_hides_no_change() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        fs::write(&path, "one").expect("written");
        assert!(Stamp::of(&path).is_none(), "too young to be believed");
        let mut footprint = Footprint::default();
        footprint.add_file(&path);
        // In place, of the same length, with a date of long ago.
        fs::write(&path, "two").expect("written");
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(UNIX_EPOCH)).expect("dated");
        assert!(footprint.look_again(&FileLoader) != footprint);

        std::thread::sleep(Duration::from_secs(4));
        let old = footprint.look_again(&FileLoader);
        let content = old.files.values().next().expect("a file");
        assert!(content.stamp.is_some());
        let again = content.look_again(&path);
        assert_eq!((&again, &again.stamp), (content, &content.stamp));
        fs::write(&path, "six").expect("written");
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(UNIX_EPOCH)).expect("dated");
        assert!(old.look_again(&FileLoader) != old);
        fs::remove_file(&path).expect("removed");
        assert!(old.look_again(&FileLoader) != old);
    }

    /// What a loader refuses must not look changed for ever after.
    #[test]
    fn prints_are_those_of_what_the_loader_gives() {
        let directory = tempfile::tempdir().expect("a directory");
        let long = directory.path().join("long");
        let file = fs::File::create(&long).expect("created");
        file.set_len(crate::limits::SOURCE_FILE_BYTES as u64 + 1).expect("stretched");
        let short = directory.path().join("short");
        fs::write(&short, "x").expect("written");
        let recording = Recording::new(&FileLoader, &[]);
        let gone = directory.path().join("gone");
        for path in [&long, &short, &gone, &directory.path().to_owned()] {
            let _ = recording.read(&path.display().to_string());
        }
        let _ = recording.expand(&directory.path().join("*").display().to_string());
        let footprint = recording.footprint();
        assert_eq!((footprint.files.len(), footprint.patterns.len()), (4, 1));
        assert!(footprint.look_again(&FileLoader) == footprint);
    }
}
