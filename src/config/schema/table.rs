//! What a section of the file is described by.

/// A section of the file.
#[derive(Debug)]
pub struct Table {
    /// Its name in messages and headings.
    pub name: &'static str,
    /// Where it stands, e.g. `sites[].timeouts`; empty for the top level.
    pub path: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

/// A setting.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What holds without it; empty for what must be given, `none` for nothing at all. A test writes every
    /// other default out and expects the same configuration.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// A setting.
pub(super) const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, takes, default, about }
}
