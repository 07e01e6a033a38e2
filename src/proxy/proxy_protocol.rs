//! The PROXY protocol (versions 1 and 2), by which a load balancer in front tells who its client is.
//!
//! pingora reads none on its listeners. It comes before everything else, TLS included, so it is taken from the
//! bare socket right after the connection was accepted.

use ppp::{HeaderResult, v1, v2};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads the header and returns the addresses that it names: the client's and the one it connected to. `None`
/// when it names none (`UNKNOWN`, `LOCAL`: the balancer's own health checks), so that the socket's count.
///
/// # Errors
///
/// When the connection ends, or does not begin with such a header: a listener that expects one accepts nothing
/// else, since anything else could be a client that speaks for itself.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let mut header = vec![0; 8];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        header.resize(V2_FIXED, 0);
        stream.read_exact(header.get_mut(8..).unwrap_or_default()).await?;
        let length = match header.get(14..16) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        if length > V2_MAX {
            return Err(invalid("longer than any address and its attributes"));
        }
        header.resize(V2_FIXED + length, 0);
        stream.read_exact(header.get_mut(V2_FIXED..).unwrap_or_default()).await?;
    } else if header.starts_with(b"PROXY ") {
        // No way to know the length before the line's end, and nothing after it may be taken from the socket.
        while !header.ends_with(b"\r\n") {
            if header.len() >= V1_MAX {
                return Err(invalid("longer than 107 bytes"));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(invalid("missing"));
    }
    parse(&header)
}

fn parse(header: &[u8]) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(a) => Some((
                SocketAddr::from((a.source_address, a.source_port)),
                SocketAddr::from((a.destination_address, a.destination_port)),
            )),
            v1::Addresses::Tcp6(a) => Some((
                SocketAddr::from((a.source_address, a.source_port)),
                SocketAddr::from((a.destination_address, a.destination_port)),
            )),
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Local, _) => None,
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
            (v2::Command::Proxy, v2::Addresses::IPv4(a)) => Some((
                SocketAddr::from((a.source_address, a.source_port)),
                SocketAddr::from((a.destination_address, a.destination_port)),
            )),
            (v2::Command::Proxy, v2::Addresses::IPv6(a)) => Some((
                SocketAddr::from((a.source_address, a.source_port)),
                SocketAddr::from((a.destination_address, a.destination_port)),
            )),
        }),
        HeaderResult::V1(Err(error)) => Err(invalid(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(invalid(&error.to_string())),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("PROXY protocol header: {what}"))
}

/// The first eight of version 2's twelve signature bytes; version 1 cannot begin so.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQ";

/// Signature, version, family and length of version 2.
const V2_FIXED: usize = 16;

/// What may follow: two Unix addresses (216 bytes) and attributes such as a TLS client certificate's.
const V2_MAX: usize = 4_096;

/// A version 1 header's longest form, line end included (specification, section 2.1).
const V1_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncWriteExt, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};

    /// Bytes that come in pieces of these sizes.
    struct Pieces<'a> {
        rest: &'a [u8],
        sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let size = self.sizes.next().copied().unwrap_or(1);
            let (piece, rest) = self.rest.split_at(size.min(buf.remaining()).min(self.rest.len()));
            buf.put_slice(piece);
            self.rest = rest;
            Poll::Ready(Ok(()))
        }
    }

    /// What is made of it, and what is left for whoever reads on.
    fn made(bytes: &[u8], sizes: &[usize]) -> Option<(Option<(SocketAddr, SocketAddr)>, usize)> {
        let mut pieces = Pieces { rest: bytes, sizes: sizes.iter().cycle() };
        let result = futures::executor::block_on(read(&mut pieces));
        result.ok().map(|found| (found, pieces.rest.len()))
    }

    /// Headers of both versions, sound but for a byte.
    fn headers() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![(0_u32..300).prop_map(|n| n.to_string()), "[0-9a-f:. ]{0,8}"];
        let address = prop_oneof!["[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}", "[0-9a-f:]{2,20}"];
        let v1 = ("TCP[46]|UNKNOWN|TCP", address.clone(), address, number.clone(), number)
            .prop_map(|(kind, a, b, c, d)| format!("PROXY {kind} {a} {b} {c} {d}\r\n").into_bytes());
        let v2 = (any::<u8>(), any::<u8>(), 0_u16..300, prop::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(command, family, length, payload)| {
                let command = if command < 200 { 0x20 | command & 1 } else { command };
                let family =
                    if family < 200 { [0x11, 0x12, 0x21, 0x31][usize::from(family & 3)] } else { family };
                [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length.to_be_bytes(), &payload].concat()
            },
        );
        (prop_oneof![v1, v2], any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
            |(mut bytes, at, byte, is_changed)| {
                if is_changed {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                [bytes, b"rest".to_vec()].concat()
            },
        )
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_header(
            bytes in prop_oneof![headers(), prop::collection::vec(any::<u8>(), 0..300)],
            sizes in prop::collection::vec(1_usize..40, 1..6),
        ) {
            let whole = made(&bytes, &[usize::MAX]);
            prop_assert_eq!(whole, made(&bytes, &sizes));
            prop_assert_eq!(whole, made(&bytes, &[1]));
        }
    }

    async fn given(bytes: &[u8]) -> (io::Result<Option<(SocketAddr, SocketAddr)>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let mut client = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        client.write_all(bytes).await.expect("write");
        client.shutdown().await.expect("shutdown");
        let (mut server, _) = listener.accept().await.expect("accept");
        let result = read(&mut server).await;
        let mut rest = Vec::new();
        let _ = server.read_to_end(&mut rest).await;
        (result, rest)
    }

    #[tokio::test]
    async fn version_1_is_read_and_nothing_after_it() {
        let (result, rest) = given(b"PROXY TCP4 203.0.113.7 192.0.2.1 5555 443\r\nGET / HTTP/1.1\r\n").await;
        let (client, server) = result.expect("header").expect("addresses");
        assert_eq!(client, "203.0.113.7:5555".parse().expect("address"));
        assert_eq!(server, "192.0.2.1:443".parse().expect("address"));
        assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        assert_eq!(given(b"PROXY UNKNOWN\r\nx").await.0.expect("header"), None);
    }

    #[tokio::test]
    async fn version_2_is_read_and_nothing_after_it() {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        bytes.extend_from_slice(&[203, 0, 113, 7, 192, 0, 2, 1, 0x15, 0xb3, 0x01, 0xbb]);
        bytes.extend_from_slice(b"rest");
        let (result, rest) = given(&bytes).await;
        let (client, _) = result.expect("header").expect("addresses");
        assert_eq!(client, "203.0.113.7:5555".parse().expect("address"));
        assert_eq!(rest, b"rest");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY ",
            b"PROXY TCP4 300.1.1.1 1.1.1.1 1 1\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"",
        ] {
            assert!(given(bytes).await.0.is_err(), "{bytes:?}");
        }
        let endless = [&b"PROXY "[..], &[b'A'; 200]].concat();
        assert!(given(&endless).await.0.is_err());
    }
}
