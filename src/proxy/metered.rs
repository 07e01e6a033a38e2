//! A client's HTTP/2 connection, by whose bytes is known what passes over it.
//!
//! The `h2` crate reads and writes through it. What is read is counted against budgets: see [`super::frames`]. What is written
//! is looked through for heads that the crate refuses without telling anybody: see [`super::refusals`]. It presents again what
//! was not written.

use super::frames::{Cutter, DATA, HEADERS, Meter, Nuisance, RST_STREAM, Scanner};
use super::refusals::Refusals;
use super::unsent::Backlog;
use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's connection whose frames are counted.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Stream,
    meter: Arc<Meter>,
    scanner: Scanner,
    refusals: Refusals,
    backlog: Arc<Backlog>,
    written: Cutter,
    /// How many of the bytes that come next have been looked at and can be sent.
    plain: usize,
    /// What goes before them, and how much of it has gone.
    released: Vec<u8>,
    gone: usize,
}

impl Metered {
    pub(super) fn new(stream: Stream, meter: Arc<Meter>, backlog: Arc<Backlog>) -> Self {
        Self {
            stream,
            meter,
            scanner: Scanner::default(),
            refusals: Refusals::default(),
            backlog,
            written: Cutter::default(),
            plain: 0,
            released: Vec::new(),
            gone: 0,
        }
    }

    /// Holds the frame that `bytes` begin with, as far as it is there, until it is known what is sent for it.
    fn hold(&mut self, bytes: &[u8]) -> usize {
        let (taken, released) = self.refusals.hold(bytes);
        if let Some(released) = released {
            self.released.extend(released.bytes);
            if let Some(id) = released.refusal {
                self.meter.refuse(id);
            }
        }
        taken
    }

    /// Sends what goes before everything else.
    fn poll_released(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.released.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest) = self.released.get(self.gone..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        self.gone = 0;
        let released = std::mem::take(&mut self.released);
        self.sent(std::iter::once(&released[..]), released.len());
        Poll::Ready(Ok(()))
    }

    /// Of these pieces the first `bytes` can be sent, and were.
    fn sent_plain<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, bytes: usize) {
        self.plain = self.plain.saturating_sub(bytes);
        self.sent(pieces, bytes);
    }

    /// These pieces, the first `bytes` of them, were sent.
    fn sent<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, bytes: usize) {
        self.meter.earn(Nuisance::Windows, bytes);
        let mut left = bytes;
        let (mut data, mut ended) = (0, Vec::new());
        for piece in pieces {
            let piece = piece.get(..left).unwrap_or(piece);
            left -= piece.len();
            let mut rest = piece;
            while let Some(frame) = self.written.next(&mut rest) {
                data += if frame.kind == DATA { frame.length } else { 0 };
                if frame.ends_stream() {
                    ended.push(frame.stream);
                }
            }
            if left == 0 {
                break;
            }
        }
        if data > 0 || !ended.is_empty() {
            self.backlog.left(u64::try_from(data).unwrap_or(u64::MAX), &ended);
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            let this = &mut *self;
            let bytes = buf.filled().get(before..).unwrap_or_default();
            let (refusals, backlog) = (&mut this.refusals, &this.backlog);
            this.scanner.read(bytes, &this.meter, |frame| match frame.kind {
                HEADERS => backlog.opened(frame.stream),
                RST_STREAM => {
                    refusals.reset(frame.stream);
                    backlog.left(0, &[frame.stream]);
                }
                _ => {}
            });
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_released(cx))?;
        if this.plain == 0 {
            this.plain = this.refusals.plain(buf);
        }
        let Some(plain) = buf.get(..this.plain.min(buf.len())).filter(|plain| !plain.is_empty()) else {
            return Poll::Ready(Ok(this.hold(buf)));
        };
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, plain))?;
        this.sent_plain(std::iter::once(plain), written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_released(cx))?;
        if this.plain == 0 {
            for buf in bufs {
                let plain = this.refusals.plain(buf);
                this.plain += plain;
                if plain < buf.len() {
                    break;
                }
            }
        }
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        if this.plain < all {
            // Piece by piece, where something in them is to be held.
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        this.sent_plain(bufs.iter().map(|buf| &**buf), written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_released(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_released(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Metered {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Metered {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Metered {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl Peek for Metered {}

impl GetTimingDigest for Metered {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Metered {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Metered {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{END_HEADERS, END_STREAM, Frame};
    use super::super::refusals::with_fields;
    use super::super::unsent::Unsent;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn frame(length: usize, kind: u8, flags: u8, stream: u8) -> Vec<u8> {
        let [.., a, b, c] = u32::try_from(length).expect("a length").to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, stream];
        frame.resize(9 + length, 0);
        frame
    }

    /// Whatever room there is for it, what is sent arrives, and refusals with their fields.
    #[tokio::test]
    async fn what_is_sent_passes_through_a_narrow_pipe() {
        let settings = || frame(6, 4, 0, 0);
        let refusal = |stream| [&frame(1, HEADERS, END_HEADERS | END_STREAM, stream)[..9], &[0xbe]].concat();
        let response =
            |stream| [frame(60, HEADERS, END_HEADERS, stream), frame(300, DATA, END_STREAM, stream)].concat();
        let bytes: Vec<u8> =
            (0..20).flat_map(|n| [settings(), response(4 * n + 1), refusal(4 * n + 3)].concat()).collect();
        for (width, is_vectored) in
            [1, 5, 9, 100, 1_000, 100_000].into_iter().flat_map(|w| [(w, false), (w, true)])
        {
            let (near, mut far) = duplex(width);
            let meter = Arc::new(Meter::new());
            let backlog = Arc::new(Backlog::new(Arc::new(Unsent::default()).debt(None, u64::MAX)));
            let mut metered = Metered::new(Box::new(near), Arc::clone(&meter), backlog);
            let read = tokio::spawn(async move {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.map(|_| all)
            });
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let pieces: Vec<IoSlice<'_>> = rest.chunks(37).take(9).map(IoSlice::new).collect();
                let written = match is_vectored {
                    true => metered.write_vectored(&pieces).await,
                    false => metered.write(&rest[..rest.len().min(333)]).await,
                };
                rest = &rest[written.expect("written")..];
            }
            AsyncWriteExt::shutdown(&mut metered).await.expect("the end");
            drop(metered);
            let ids = meter.take_refused();
            assert_eq!(ids.len(), 20);
            let expected: Vec<u8> = (0..20)
                .zip(&ids)
                .flat_map(|(n, id)| {
                    let frame_of = Frame::parse(refusal(4 * n + 3).first_chunk().expect("a header"));
                    [settings(), response(4 * n + 1), with_fields(&frame_of, &[0xbe], id)].concat()
                })
                .collect();
            assert!(read.await.expect("read").expect("read") == expected, "{width}, {is_vectored}");
        }
    }
}
