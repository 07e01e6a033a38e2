//! Sockets that clients come to, and connections from them: TCP, or Unix.

use super::proxy_protocol;
use crate::config::{ListenAddress, Listener, SocketFile};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::{Group, User};
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A bound socket.
#[derive(Debug)]
pub enum Bound {
    /// Of the network.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

impl Bound {
    /// Binds where `listener` says. A Unix socket appears with its permissions, in the place of one that nobody listens
    /// on any more.
    ///
    /// # Errors
    ///
    /// The operating system's, with the address; also when somebody listens there already, or a name is unknown.
    pub(super) fn bind(listener: &Listener) -> io::Result<Self> {
        let bound = match &listener.address {
            // The standard library sets SO_REUSEADDR on Unix, so that a restart need not wait for old connections.
            ListenAddress::Tcp(address) => bind_address(*address).map(Self::Tcp),
            ListenAddress::Unix(path) => bind_file(path, &listener.file).map(Self::Unix),
        };
        bound.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", listener.address)))
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    /// What it is bound to, as far as the system tells.
    pub fn address(&self) -> Option<ListenAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(ListenAddress::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr().ok()?;
                address.as_pathname().map(|path| ListenAddress::Unix(path.to_owned()))
            }
        }
    }

    /// For the current runtime.
    pub(super) fn accepting(&self) -> io::Result<Accepting> {
        match self.try_clone()? {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Accepting::Tcp)
            }
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Accepting::Unix)
            }
        }
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Binds with as long a queue as the system allows. The standard library's holds 128 connections that nobody has accepted
/// yet; whoever comes when it is full begins again after a second.
fn bind_address(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listen(&listener, Backlog::MAXCONN)?;
    Ok(listener)
}

/// Binds under another name, gives that its permissions, and moves it into place: nobody sees it with others, and a file
/// that was left behind is no obstacle.
fn bind_file(path: &Path, file: &SocketFile) -> io::Result<std::os::unix::net::UnixListener> {
    let is_file = |path: &Path| std::fs::symlink_metadata(path).map(|found| found.file_type().is_socket());
    match is_file(path) {
        Ok(true) if StdUnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(true) | Err(_) => {}
        Ok(false) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let name = PathBuf::from(name);
    // Of a process that had our number and died between binding and moving.
    let _ = std::fs::remove_file(&name);
    let listener = std::os::unix::net::UnixListener::bind(&name)?;
    let placed = permit(&name, file).and_then(|()| std::fs::rename(&name, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&name);
    }
    placed.map(|()| listener)
}

fn permit(path: &Path, file: &SocketFile) -> io::Result<()> {
    let unknown = |what: &str, name: &str| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} `{name}`"))
    };
    let user = match &file.user {
        Some(name) => Some(User::from_name(name)?.ok_or_else(|| unknown("user", name))?.uid.as_raw()),
        None => None,
    };
    let group = match &file.group {
        Some(name) => Some(Group::from_name(name)?.ok_or_else(|| unknown("group", name))?.gid.as_raw()),
        None => None,
    };
    if user.is_some() || group.is_some() {
        chown(path, user, group)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(file.mode))
}

/// A socket of a runtime.
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as it came.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepting {
    /// The next connection, and whose it is.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, peer)| (Accepted::Tcp(stream), peer))
            }
            Self::Unix(listener) => {
                listener.accept().await.map(|(stream, _)| (Accepted::Unix(stream), NEARBY))
            }
        }
    }
}

/// Who connects to a Unix socket is on this machine.
const NEARBY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Accepted {
    /// Small answers go at once.
    pub(super) fn hurry(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
        }
    }

    /// The address that the client has connected to. That of a Unix socket has the port of what is spoken there.
    pub(super) fn server(&self, is_secure: bool) -> SocketAddr {
        let nearby = || SocketAddr::new(NEARBY.ip(), if is_secure { 443 } else { 80 });
        match self {
            Self::Tcp(stream) => stream.local_addr().unwrap_or_else(|_| nearby()),
            Self::Unix(_) => nearby(),
        }
    }

    /// See [`proxy_protocol::read`].
    pub(super) async fn proxied(&mut self) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
        match self {
            Self::Tcp(stream) => proxy_protocol::read(stream).await,
            Self::Unix(stream) => proxy_protocol::read(stream).await,
        }
    }
}

impl AsRawFd for Accepted {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl From<Accepted> for L4Stream {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Tcp(stream) => stream.into(),
            Accepted::Unix(stream) => stream.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_crowd_may_wait_to_be_accepted() {
        // As many as the system allows, on Linux.
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        let most = most.trim().parse().unwrap_or(128_usize).min(1_000);
        let listener = Listener::plain("127.0.0.1:0".parse().expect("an address"));
        let bound = Bound::bind(&listener).expect("bound");
        let Some(ListenAddress::Tcp(address)) = bound.address() else { panic!("it has an address") };
        let patience = Duration::from_millis(900);
        let waiting = (0..most).map(|_| std::net::TcpStream::connect_timeout(&address, patience));
        let waiting: Result<Vec<_>, _> = waiting.collect();
        assert_eq!(waiting.expect("all are connected").len(), most);
    }
}
