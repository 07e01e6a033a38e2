//! Where a listener listens: an address of the network, or a Unix socket.

use super::Listener;
use super::reader::Section;
use crate::syntax::diagnostic::Diagnostics;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// Address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{SCHEME}{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// Reads what [`fmt::Display`] writes; a relative path begins in `directory`.
    ///
    /// # Errors
    ///
    /// What was expected instead.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, String> {
        let Some(path) = text.strip_prefix(SCHEME) else {
            return address(text).map(Self::Tcp);
        };
        let path = directory.join(path);
        let name = path.as_os_str();
        if path.file_name().is_none() || name.len() > LONGEST {
            return Err(format!("the path of a Unix socket has 1 to {LONGEST} bytes"));
        }
        if path.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
            return Err("the path of a Unix socket is printable text".to_owned());
        }
        Ok(Self::Unix(path))
    }
}

/// Who may connect to a Unix socket: the permissions of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Permissions, such as `0o660`.
    pub mode: u32,
    /// Its owner; whoever starts the process unless set.
    pub user: Option<String>,
    /// Its group; that of the process unless set.
    pub group: Option<String>,
}

impl Default for SocketFile {
    fn default() -> Self {
        Self { mode: 0o660, user: None, group: None }
    }
}

pub(super) fn file(section: &Section<'_>, out: &mut Diagnostics) -> SocketFile {
    let mode = section.value("mode", out, |text| {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or("permissions are octal digits, such as `0660`")
    });
    let default = SocketFile::default();
    let (user, group) = (section.text("user", out), section.text("group", out));
    SocketFile { mode: mode.unwrap_or(default.mode), user, group }
}

/// Whether `listener` says what has a meaning for Unix sockets only, and is none.
pub(super) fn is_misplaced(listener: &Listener) -> bool {
    matches!(listener.address, ListenAddress::Tcp(_)) && listener.file != SocketFile::default()
}

/// What the path of a Unix socket is written behind.
const SCHEME: &str = "unix:";
/// Bytes of a path that every system takes (`sun_path`), with room for the suffix of the name that it is bound under.
const LONGEST: usize = 96;

/// An address and port; a bare port or host name gets advice.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let colon = text.strip_prefix(':').unwrap_or(text);
        if colon.parse::<u16>().is_ok() {
            format!("expected address and port; write `0.0.0.0:{colon}` for all IPv4 addresses")
        } else {
            "expected an IP address and port such as `0.0.0.0:8080` or `[::]:8080`".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_read_and_written() {
        let directory = Path::new("/etc/portcullis");
        let shown = |text: &str| ListenAddress::parse(text, directory).map(|address| address.to_string());
        for text in ["127.0.0.1:8080", "[::1]:443", "unix:/run/portcullis/http.sock"] {
            assert_eq!(shown(text).as_deref(), Ok(text));
        }
        assert_eq!(shown("unix:http.sock").as_deref(), Ok("unix:/etc/portcullis/http.sock"));
        for bad in ["unix:/", "unix:/a\nb", "http.sock", &format!("unix:/{}", "x".repeat(200))] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
