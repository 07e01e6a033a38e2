//! Tells the service manager how the process is: the protocol of sd_notify(3).

use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The process serves, and is the one that the manager should watch, whoever was before it.
pub(super) fn ready() {
    send(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// The process is about to end.
pub(super) fn stopping() {
    send("STOPPING=1\n");
}

/// Where there is no manager, or it does not listen, nobody misses anything.
fn send(message: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_encoded_bytes() {
        [b'@', name @ ..] => abstract_address(name),
        _ => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(message.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> std::io::Result<SocketAddr> {
    Err(std::io::ErrorKind::Unsupported.into())
}
