//! Origins: a shop that says what it was asked, byte for byte, and one that breaks in every way.

use super::tally::Tally;
use super::wire::{field, read_chunk, read_head};
use crate::support::origin::digest;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// The application.
pub struct Shop {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    tally: Arc<Tally>,
    open: AtomicU64,
    is_closed: AtomicBool,
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shop {
    pub async fn start(tally: Arc<Tally>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State { tally, open: AtomicU64::new(0), is_closed: AtomicBool::new(false) });
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state }
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.state.open.load(Ordering::Acquire)
    }

    /// Refuses connections from now on, as an application does that is started anew; or is there again.
    pub fn close(&self, is_closed: bool, runtime: &Handle) {
        let was_closed = self.state.is_closed.swap(is_closed, Ordering::AcqRel);
        if was_closed && !is_closed {
            let (address, state) = (self.address, Arc::clone(&self.state));
            runtime.spawn(async move {
                while !state.is_closed.load(Ordering::Acquire) {
                    if let Ok(listener) = TcpListener::bind(address).await {
                        return accept(listener, state).await;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while !state.is_closed.load(Ordering::Acquire) {
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        let Ok(Ok((stream, _))) = accepted else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let _open = Open::new(&state.open);
            let _ = serve(stream, &state).await;
        });
    }
}

async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut io = BufReader::new(stream);
    while let Some(head) = read_head(&mut io).await? {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let marker = field(&head, "x-marker").unwrap_or("none").to_owned();
        if marker.starts_with("attack") {
            state.tally.wrong("an attack passed", format!("{marker}: {target}"));
        }
        if field(&head, "upgrade").is_some() {
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            io.get_mut().write_all(answer.as_bytes()).await?;
            let mut buffer = vec![0; 4096];
            loop {
                let read = io.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(());
                }
                io.get_mut().write_all(&buffer[..read]).await?;
            }
        }
        let mut body = Vec::new();
        if field(&head, "transfer-encoding").is_some() {
            while let Some(chunk) = read_chunk(&mut io).await? {
                body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = field(&head, "content-length").and_then(|v| v.parse().ok()) {
            body = vec![0; length];
            io.read_exact(&mut body).await?;
        }
        answer(io.get_mut(), &target, &marker, &body).await?;
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, target: &str, marker: &str, body: &[u8]) -> io::Result<()> {
    let path = target.split('?').next().unwrap_or_default();
    if path == "/events" {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        for number in 0..EVENTS {
            let event = event(marker, number);
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        return stream.write_all(b"0\r\n\r\n").await;
    }
    if path == "/slow" {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (kind, content) = match path {
        "/page" => ("text/html; charset=utf-8", page(marker).into_bytes()),
        "/big" => ("application/octet-stream", download(marker)),
        _ => ("text/plain", echo(marker, target, body).into_bytes()),
    };
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nX-Marker: {marker}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&content).await
}

/// What the shop says to an ordinary request.
pub fn echo(marker: &str, target: &str, body: &[u8]) -> String {
    format!("{marker} {target} {} {:016x}", body.len(), digest(body))
}

/// A page of HTML, which is inspected.
pub fn page(marker: &str) -> String {
    let line = "<p>The lighthouse on the northern cape was built of granite, and its lamp was lit each evening.</p>\n";
    format!("<!doctype html><title>{marker}</title>\n{}<p>{marker}</p>\n", line.repeat(80))
}

/// A file that nothing else looks like.
pub fn download(marker: &str) -> Vec<u8> {
    let mut state = digest(marker.as_bytes()) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(step).take(DOWNLOAD / 8).flatten().collect()
}

/// An event of a stream.
pub fn event(marker: &str, number: usize) -> String {
    format!("data: {marker} {number}\n\n")
}

pub const EVENTS: usize = 8;
const DOWNLOAD: usize = 400_000;

/// An application that is broken; its path says how.
pub struct Faulty {
    pub address: SocketAddr,
    open: Arc<AtomicU64>,
}

/// A way to be broken, and the status that clients get; 0 where the answer has begun and is cut.
pub const FAULTS: [(&str, u16); 9] = [
    ("/closes", 502),
    ("/resets", 502),
    ("/half-a-head", 502),
    ("/garbage", 502),
    ("/stalls", 504),
    ("/short", 0),
    ("/stalls-within", 0),
    ("/bad-chunk", 0),
    ("/more-than-said", 200),
];

impl Faulty {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let _open = Open::new(&count);
                    let mut io = BufReader::new(stream);
                    while let Ok(Some(head)) = read_head(&mut io).await {
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        let marker = field(&head, "x-marker").unwrap_or("none").to_owned();
                        if !matches!(fail(io.get_mut(), &path, &marker).await, Ok(true)) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, open }
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }
}

async fn fail(stream: &mut TcpStream, path: &str, marker: &str) -> io::Result<bool> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
    let long = || tokio::time::sleep(Duration::from_secs(3));
    match path {
        "/resets" => {
            // What has not been read is answered by a reset when the socket closes.
            stream.set_zero_linger()?;
        }
        "/half-a-head" => stream.write_all(head.as_bytes()).await?,
        "/garbage" => stream.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await?,
        "/stalls" => long().await,
        "/short" => {
            stream.write_all(format!("{head}Content-Length: 5000\r\n\r\n{marker}").as_bytes()).await?;
        }
        "/stalls-within" => {
            stream.write_all(format!("{head}Content-Length: 5000\r\n\r\n{marker}").as_bytes()).await?;
            long().await;
        }
        "/bad-chunk" => {
            let text =
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{marker}\r\nxyz\r\n", marker.len());
            stream.write_all(text.as_bytes()).await?;
        }
        "/more-than-said" => {
            // What follows looks like the answer to whoever asks next.
            let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            let text = format!("{head}Content-Length: {}\r\n\r\n{marker}{poison}", marker.len());
            stream.write_all(text.as_bytes()).await?;
            return Ok(true);
        }
        _ => {}
    }
    stream.flush().await?;
    Ok(false)
}
