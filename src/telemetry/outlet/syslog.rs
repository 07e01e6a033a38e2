//! Syslog: messages of RFC 5424, over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425), the latter two with octet
//! counting, since a record may hold whatever a delimiter would be.

use super::queue::{Batch, Line};
use super::tls;
use super::worker::{Failure, Output};
use crate::config::{SinkTarget, SyslogTransport};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;
use time::macros::format_description;

/// Few, since after a lost connection they are sent again.
const BATCH: Batch = Batch { lines: 64, bytes: 256 << 10, wait: Duration::ZERO };

pub(super) struct Syslog {
    target: SinkTarget,
    connection: Option<Connection>,
    host: String,
    process: u32,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Syslog {
    pub(super) fn new(target: SinkTarget) -> Self {
        Self { target, connection: None, host: host_name(), process: std::process::id() }
    }

    fn try_send(&mut self, lines: &[Line]) -> io::Result<()> {
        let SinkTarget::Syslog { transport, host, port, facility, timeout, .. } = &self.target else {
            return Ok(());
        };
        if self.connection.as_mut().is_some_and(|c| !c.is_alive()) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(Connection::open(transport, host, *port, *timeout)?),
        };
        let message = |line| message(line, *facility, &self.host, self.process);
        let mut framed = Vec::new();
        match connection {
            Connection::Udp(socket) => {
                for line in lines {
                    socket.send(&message(line))?;
                }
                return Ok(());
            }
            Connection::Tcp(_) | Connection::Tls(_) => {
                for line in lines {
                    let message = message(line);
                    framed.extend_from_slice(message.len().to_string().as_bytes());
                    framed.push(b' ');
                    framed.extend_from_slice(&message);
                }
            }
        }
        match connection {
            Connection::Tcp(stream) => stream.write_all(&framed),
            Connection::Tls(stream) => stream.write_all(&framed).and_then(|()| stream.flush()),
            Connection::Udp(_) => Ok(()),
        }
    }
}

impl Output for Syslog {
    fn batch(&self) -> Batch {
        BATCH
    }

    fn send(&mut self, lines: &[Line]) -> Result<(), Failure> {
        self.try_send(lines).map_err(|error| {
            self.connection = None;
            Failure::retry(error)
        })
    }
}

impl Connection {
    fn open(transport: &SyslogTransport, host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            if *transport == SyslogTransport::Udp {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                return Ok(Connection::Udp(socket));
            }
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Self::secure(stream, transport, host, timeout),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn secure(
        mut stream: TcpStream,
        transport: &SyslogTransport,
        host: &str,
        timeout: Duration,
    ) -> io::Result<Self> {
        stream.set_write_timeout(Some(timeout))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        let SyslogTransport::Tls(config) = transport else { return Ok(Connection::Tcp(stream)) };
        let mut session =
            ClientConnection::new(tls::client(config)?, tls::name(host)?).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// Whether the other side is still there, as far as can be known: the first write on a connection that it has
    /// closed succeeds, and what was written is lost.
    fn is_alive(&mut self) -> bool {
        let mut scrap = [0; 1_024];
        if self.socket().is_some_and(|socket| socket.set_nonblocking(true).is_err()) {
            return false;
        }
        // Receivers of syslog say nothing; tickets of TLS are read here.
        let read = match self {
            Connection::Udp(_) => return true,
            Connection::Tcp(stream) => stream.read(&mut scrap),
            Connection::Tls(stream) => stream.read(&mut scrap),
        };
        let there = match read {
            Ok(length) => length > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        there && self.socket().is_none_or(|socket| socket.set_nonblocking(false).is_ok())
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Connection::Udp(_) => None,
            Connection::Tcp(stream) => Some(stream),
            Connection::Tls(stream) => Some(&stream.sock),
        }
    }
}

/// `<PRI>1 TIME HOST portcullis PID audit - RECORD`. The record is UTF-8 without a byte order mark, as receivers
/// that parse JSON expect it.
fn message(line: &Line, facility: u8, host: &str, process: u32) -> Vec<u8> {
    const STAMP: &[time::format_description::BorrowedFormatItem<'static>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let time = line.time.to_offset(time::UtcOffset::UTC);
    let time = time.format(STAMP).unwrap_or_else(|_| "-".to_owned());
    let priority = u16::from(facility) * 8 + u16::from(line.severity.min(7));
    let mut message = format!("<{priority}>1 {time} {host} portcullis {process} audit - ").into_bytes();
    message.extend_from_slice(line.bytes.strip_suffix(b"\n").unwrap_or(&line.bytes));
    message
}

/// Bytes of a message before its record, at most.
pub(in crate::telemetry) const HEADER: usize = 384;

/// This machine's name as a message may hold it: printable ASCII, at most 255 bytes; `-` when there is none.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn messages_are_those_of_rfc_5424() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_346_794_123_456_000).expect("a time");
        let line = Line { bytes: b"{\"a\":1}\n".as_slice().into(), severity: 4, time };
        let text = String::from_utf8(message(&line, 16, "web-1", 4711)).expect("UTF-8");
        assert_eq!(text, "<132>1 2026-11-22T11:26:34.123456Z web-1 portcullis 4711 audit - {\"a\":1}");
        let longest = Line { bytes: b"".as_slice().into(), severity: 7, time };
        assert!(message(&longest, 23, &"h".repeat(255), u32::MAX).len() <= HEADER);
    }
}
