//! Sockets that were bound by somebody else: systemd (socket activation), or a predecessor that this process takes over
//! from. And the other way round: starting a successor.
//!
//! A predecessor starts its successor with the sockets as open files, as systemd would, and goes on serving. Only when
//! the successor has read its configuration and is about to serve, it tells the predecessor by SIGQUIT to finish what is
//! under way. The sockets are never closed, so no connection is refused; a successor that fails changes nothing.

use crate::config::ListenAddress;
use crate::proxy::Bound;
use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::Path;
use std::process::{Child, Command};

/// Sockets that this process was started with.
#[derive(Default)]
pub(super) struct Inherited {
    sockets: Vec<(ListenAddress, Bound)>,
    predecessor: Option<Pid>,
}

impl Inherited {
    /// Takes what the environment tells of.
    pub(super) fn take() -> Self {
        let mut files = ListenFd::from_env();
        let predecessor = std::env::var(PREDECESSOR).ok().and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
        // Of a process that is not our parent it speaks of somebody else.
        let predecessor = predecessor.filter(|pid| *pid == getppid());
        // As they were configured, since a port 0 has become another one.
        let names = std::env::var(LISTENERS).ok().filter(|_| predecessor.is_some()).unwrap_or_default();
        let mut names = names.split('\n').map(|name| ListenAddress::parse(name, Path::new("/")).ok());
        let mut sockets = Vec::new();
        for index in 0..files.len() {
            let name = names.next().flatten();
            let socket = match files.take_tcp_listener(index) {
                Ok(socket) => socket.map(Bound::Tcp),
                Err(_) => files.take_unix_listener(index).ok().flatten().map(Bound::Unix),
            };
            // A copy closes by itself in whatever this process may start.
            let Some(Ok(socket)) = socket.map(|socket| socket.try_clone()) else { continue };
            let Some(name) = name.or_else(|| socket.address()) else { continue };
            sockets.push((name, socket));
        }
        Self { sockets, predecessor }
    }

    /// The socket for `address`, if it is among them.
    pub(super) fn socket(&mut self, address: &ListenAddress) -> Option<Bound> {
        let index = self.sockets.iter().position(|(name, _)| name == address)?;
        Some(self.sockets.swap_remove(index).1)
    }

    /// Addresses of sockets that nobody has asked for.
    pub(super) fn left(&self) -> impl Iterator<Item = &ListenAddress> + '_ {
        self.sockets.iter().map(|(name, _)| name)
    }

    /// Tells the predecessor that this process serves from now on.
    pub(super) fn relieve(&self) {
        if let Some(pid) = self.predecessor
            && let Err(error) = kill(pid, Signal::SIGQUIT)
        {
            tracing::warn!(%error, %pid, "the predecessor cannot be told to end");
        }
    }
}

/// How a successor is started: as this process was, from whatever its program's file is by then.
pub(super) struct Successor {
    program: OsString,
    arguments: Vec<OsString>,
    sockets: Vec<(ListenAddress, Bound)>,
}

impl Successor {
    /// One that gets `sockets`, named by the addresses in the configuration.
    pub(super) fn new(sockets: Vec<(ListenAddress, Bound)>) -> Self {
        let mut arguments = std::env::args_os();
        let program = arguments.next().unwrap_or_else(|| "portcullis".into());
        Self { program, arguments: arguments.collect(), sockets }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub(super) fn start(&self) -> io::Result<Child> {
        let mut mappings = Vec::with_capacity(self.sockets.len());
        for (number, (_, socket)) in (FIRST_FD..).zip(&self.sockets) {
            mappings.push(FdMapping { parent_fd: socket.as_fd().try_clone_to_owned()?, child_fd: number });
        }
        let names: Vec<String> = self.sockets.iter().map(|(name, _)| name.to_string()).collect();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("LISTEN_FDS", names.len().to_string())
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .env(LISTENERS, names.join("\n"))
            .env(PREDECESSOR, std::process::id().to_string());
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        command.spawn()
    }
}

/// Environment variables between predecessor and successor.
const LISTENERS: &str = "PORTCULLIS_HANDOVER_LISTENERS";
const PREDECESSOR: &str = "PORTCULLIS_HANDOVER_FROM";

/// The first file of sd_listen_fds(3).
const FIRST_FD: RawFd = 3;
