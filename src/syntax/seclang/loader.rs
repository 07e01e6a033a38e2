//! Where rule files come from: the file system, or tables inside the binary.

use std::path::Path;

use crate::limits;

/// Reads rule files and the data files that they name.
pub trait Loader {
    /// The bytes of the file `path`, at most [`limits::SOURCE_FILE_BYTES`] of them. The error says why there are
    /// none, without naming the file.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The files that `pattern` matches, sorted; empty when there is none. `pattern` is already joined with the
    /// directory of the file that includes it. A pattern without wildcards matches itself if it exists.
    fn expand(&self, pattern: &str) -> Result<Vec<String>, String>;

    /// A name which is the same for two paths exactly if they lead to the same file; `None` when there is no
    /// such file.
    fn identity(&self, path: &str) -> Option<String>;
}

/// Reads from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileLoader;

impl Loader for FileLoader {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        use std::io::Read;
        let file = std::fs::File::open(path).map_err(|e| reason(&e))?;
        let most = limits::SOURCE_FILE_BYTES;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file of exactly that size from a longer one, and a device file
        // that never ends from either.
        file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| reason(&e))?;
        if bytes.len() > most { Err(format!("it is longer than {most} bytes")) } else { Ok(bytes) }
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        if !has_wildcard(pattern) {
            return Ok(if Path::new(pattern).exists() { vec![pattern.to_owned()] } else { Vec::new() });
        }
        let paths =
            glob::glob_with(pattern, GLOB).map_err(|e| format!("the pattern is faulty: {}", e.msg))?;
        let mut found = Vec::new();
        for path in paths {
            let path = path.map_err(|e| format!("{}: {}", e.path().display(), reason(e.error())))?;
            if path.is_dir() {
                continue;
            }
            found.push(path.to_str().ok_or("the name of a file that matches is not UTF-8")?.to_owned());
            if found.len() > limits::INCLUDE_FILES {
                return Err(format!("it matches more than {} files", limits::INCLUDE_FILES));
            }
        }
        found.sort();
        Ok(found)
    }

    fn identity(&self, path: &str) -> Option<String> {
        std::fs::canonicalize(path).ok().map(|path| path.to_string_lossy().into_owned())
    }
}

/// Files inside the binary, whose names begin with `@` (`Include @portcullis-core/*.conf`); anything else is
/// left to another loader.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedLoader<L> {
    files: &'static [(&'static str, &'static [u8])],
    others: L,
}

impl<L: Loader> EmbeddedLoader<L> {
    /// `files` are names, each beginning with `@`, and contents; `others` loads what does not begin with `@`.
    pub fn new(files: &'static [(&'static str, &'static [u8])], others: L) -> Self {
        Self { files, others }
    }

    /// The names of all embedded files.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<L> {
        self.files.iter().map(|(name, _)| *name)
    }

    fn embedded(&self, path: &str) -> Option<(&'static str, &'static [u8])> {
        let path = plain(path);
        self.files.iter().find(|(name, _)| *name == path).copied()
    }
}

impl<L: Loader> Loader for EmbeddedLoader<L> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        if !path.starts_with('@') {
            return self.others.read(path);
        }
        self.embedded(path)
            .map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| "no file of this name is embedded".to_owned())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        if !pattern.starts_with('@') {
            return self.others.expand(pattern);
        }
        let matcher =
            glob::Pattern::new(&plain(pattern)).map_err(|e| format!("the pattern is faulty: {}", e.msg))?;
        let mut found: Vec<String> =
            self.names().filter(|name| matcher.matches_with(name, GLOB)).map(str::to_owned).collect();
        found.sort();
        Ok(found)
    }

    fn identity(&self, path: &str) -> Option<String> {
        if path.starts_with('@') {
            self.embedded(path).map(|(name, _)| name.to_owned())
        } else {
            self.others.identity(path)
        }
    }
}

/// `path`, as it is written in the file `from`, seen from where the program runs.
pub fn resolve(from: &str, path: &str) -> String {
    if path.starts_with('@') {
        return path.to_owned();
    }
    match Path::new(from).parent() {
        Some(directory) => directory.join(path).to_string_lossy().into_owned(),
        None => path.to_owned(),
    }
}

/// Whether `pattern` has characters that mean something to a glob.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

const GLOB: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    // As the shell does: a backup like `.rules.conf` is not a rule file unless the pattern says so.
    require_literal_leading_dot: true,
};

/// An embedded name without `.` and `..`. The `@` is the root: `..` never leads out of it.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.trim_start_matches('@').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("@{}", parts.join("/"))
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read (permission denied)".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_names_are_matched_like_paths() {
        let loader = EmbeddedLoader::new(&[("@core/b.conf", b"b"), ("@core/a.conf", b"a")], FileLoader);
        assert_eq!(loader.expand("@core/*.conf"), Ok(vec!["@core/a.conf".into(), "@core/b.conf".into()]));
        assert_eq!(loader.expand("@*.conf"), Ok(vec![]));
        assert_eq!(loader.read(&resolve("@core/a.conf", "../core/b.conf")), Ok(b"b".to_vec()));
        assert!(loader.read("@core/c.conf").is_err());
        assert_eq!(resolve("/etc/a.conf", "@core/a.conf"), "@core/a.conf");
        assert_eq!(resolve("/etc/x/a.conf", "b/*.conf"), "/etc/x/b/*.conf");
        assert_eq!(resolve("a.conf", "b.conf"), "b.conf");
    }
}
