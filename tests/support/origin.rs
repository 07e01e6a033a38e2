//! An HTTP/1.1 origin server on threads of its own. It remembers every request byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line without its line end.
    pub line: String,
    /// Header fields in order, names as they came.
    pub headers: Vec<(String, String)>,
    /// The body, its framing undone.
    pub body: Vec<u8>,
    /// Whether all of the body came.
    pub complete: bool,
}

impl Received {
    /// The value of a header that occurs once; panics when it occurs twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} occurs {} times", values.len());
        values.first().copied()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
}

type Handler = dyn Fn(&Received, &mut TcpStream) -> bool + Send + Sync;

/// A running origin; its threads end with their connections.
pub struct Origin {
    pub address: SocketAddr,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    first_connection: Mutex<Option<Instant>>,
    requests: Mutex<Vec<Received>>,
    heads: AtomicUsize,
}

impl Origin {
    /// Answers each request by `handler`, which writes a whole response and says whether the connection goes on.
    pub fn start(handler: impl Fn(&Received, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), handler)
    }

    /// The same on a socket that is bound already.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&Received, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let stop = Arc::new(AtomicBool::new(false));
        let handler: Arc<Handler> = Arc::new(handler);
        let (shared, stopped) = (Arc::clone(&log), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.first_connection.lock().unwrap().get_or_insert_with(Instant::now);
                shared.connections.fetch_add(1, Ordering::AcqRel);
                let (log, handler) = (Arc::clone(&shared), Arc::clone(&handler));
                thread::spawn(move || serve(stream, &log, &*handler));
            }
        });
        Self { address, log, stop }
    }

    /// Answers 200 and the length and digest of the body it got.
    pub fn echo() -> Self {
        Self::start(|request, stream| {
            let text = format!("{} {:016x}", request.body.len(), digest(&request.body));
            respond(stream, "200 OK", &[("Content-Type", "text/plain")], text.as_bytes())
        })
    }

    /// Answers every request with one response.
    pub fn fixed(
        status: &'static str,
        headers: &'static [(&'static str, &'static str)],
        body: Vec<u8>,
    ) -> Self {
        Self::start(move |_, stream| respond(stream, status, headers, &body))
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Received> {
        self.log.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::Acquire)
    }

    /// When the first connection came.
    pub fn first_connection(&self) -> Option<Instant> {
        *self.log.first_connection.lock().unwrap()
    }

    /// Request heads so far, whatever came of their bodies.
    pub fn heads(&self) -> usize {
        self.log.heads.load(Ordering::Acquire)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

/// Writes a response with a `Content-Length`. Always `true`: the connection goes on.
pub fn respond(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

/// An address on which nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}

/// FNV-1a, to compare large bodies by.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn serve(stream: TcpStream, log: &Log, handler: &Handler) {
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((line, headers)) = read_head(&mut reader) {
        log.heads.fetch_add(1, Ordering::AcqRel);
        let mut request = Received { line, headers, body: Vec::new(), complete: false };
        request.complete = read_body(&mut reader, &mut request).is_some();
        let is_complete = request.complete;
        log.requests.lock().unwrap().push(request.clone());
        if !is_complete || !handler(&request, &mut writer) {
            return;
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let line = read_line(reader)?;
    let mut headers = Vec::new();
    loop {
        let field = read_line(reader)?;
        if field.is_empty() {
            return Some((line, headers));
        }
        let (name, value) = field.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok().filter(|n| *n > 0)?;
    // Latin-1, so that every byte of a header is seen.
    let text: String = line.iter().map(|b| char::from(*b)).collect();
    Some(text.strip_suffix("\r\n").expect("lines end with CRLF").to_owned())
}

fn read_body(reader: &mut impl BufRead, request: &mut Received) -> Option<()> {
    let is_chunked = request.header("transfer-encoding").is_some_and(|v| v == "chunked");
    let length = request.header("content-length").map(|v| v.parse::<usize>().expect("a length"));
    assert!(!(is_chunked && length.is_some()), "two framings: {request:?}");
    if !is_chunked {
        return read_into(reader, length.unwrap_or(0), &mut request.body);
    }
    loop {
        let size = read_line(reader)?;
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        read_into(reader, size, &mut request.body)?;
        assert_eq!(read_line(reader)?, "");
        if size == 0 {
            return Some(());
        }
    }
}

fn read_into(reader: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> Option<()> {
    let before = body.len();
    reader.take(u64::try_from(length).unwrap()).read_to_end(body).ok()?;
    (body.len() - before == length).then_some(())
}
