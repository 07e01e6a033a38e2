//! Asking a running instance's admin listener.

use crate::http::find_head_end;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The body of `GET path` at the admin listener `address` (`127.0.0.1:9180`, with or without `http://`).
///
/// # Errors
///
/// What went wrong, or what the instance answered instead.
pub(super) fn get(address: &str, path: &str, token: Option<&str>) -> Result<String, String> {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let told = |error: std::io::Error| format!("{host}: {error}");
    let peer: SocketAddr =
        host.to_socket_addrs().map_err(told)?.next().ok_or_else(|| format!("{host} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&peer, PATIENCE).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).map_err(told)?;
    let head =
        find_head_end(&answer).ok_or_else(|| format!("{host} does not answer as an admin listener"))?;
    let (head, body) = answer.split_at(head);
    let body = String::from_utf8_lossy(body).into_owned();
    let head = String::from_utf8_lossy(head);
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        status => {
            let error = serde_json::from_str::<serde_json::Value>(&body).ok();
            let error = error.and_then(|value| value["error"].as_str().map(str::to_owned));
            Err(format!(
                "{host}: {}",
                error.unwrap_or_else(|| format!("status {}", status.unwrap_or("unknown")))
            ))
        }
    }
}

/// How long an answer may take: rules are compiled for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MOST: u64 = 64 << 20;
