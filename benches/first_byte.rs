//! How much later the first byte of an event stream and of a large download reaches the client than through a plain
//! pass-through: over loopback, on kept connections, with CRS at paranoia level 1, as HTTP/1.1 in the clear and as
//! HTTP/2 over TLS. Medians, 90th and 99th percentiles of requests that take turns.
//!
//! In the clear, the pass-through copies bytes; over TLS it ends TLS, as Portcullis does, and copies what was in it to an
//! origin that speaks HTTP/2 itself. Portcullis speaks HTTP/1.1 to its origin both times. What `rules off` takes is what
//! it takes to be a proxy; the rest is inspection.
//!
//! `cargo bench --bench first_byte`, on a machine that does nothing else: times of others' work would be measured too.
//! With `-- --quick` few requests, to see that all works.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod proxy;
mod support;

use bytes::Bytes;
use h2::client::SendRequest;
use proxy::http2::{Identity, connect_tls, server_config};
use proxy::origin::Origin;
use proxy::server::{Portcullis, Setup, listener, with_tls};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::told::result;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the first byte may come later, in microseconds: the median of requests.
const LATER_US: f64 = 1_000.0;
const REQUESTS: usize = 2_000;
const DOWNLOAD: usize = 2_000_000;
const HOST: &str = "shop.example";

fn main() {
    if !support::is_there() {
        return;
    }
    let requests = if std::env::args().any(|a| a == "--quick") { REQUESTS / 20 } else { REQUESTS };
    let stream = Answer {
        name: "event stream",
        media_type: "text/event-stream",
        body: Bytes::from("data: 1\n\n"),
        has_length: false,
    };
    let zip = Bytes::from(vec![b'x'; DOWNLOAD]);
    let download = Answer { name: "download", media_type: "application/zip", body: zip, has_length: true };
    measure(&stream, requests);
    // Downloads are long, and their beginning is all that counts.
    measure(&download, requests / 10);
}

fn measure(answer: &Answer, requests: usize) {
    let identity = Identity::new(&[HOST]);
    let origin = answer.origin();
    let start = |rules: &str| -> Portcullis {
        let listeners = vec![listener(), with_tls(identity.listener())];
        Setup::new(origin.address, rules).config(|c| c.listeners = listeners).start()
    };
    let crs = support::crs();
    let inspecting = start(&format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
         Include {0}/crs-setup.conf.example\nInclude {0}/rules/*.conf",
        crs.display()
    ));
    let idle = start("SecRuleEngine Off");
    let served = runtime(2);
    let plain = served.block_on(pass_through(origin.address));
    let ended = served.block_on(terminator(&identity, served.block_on(answer.http2_origin())));

    // In the measuring thread, so that no answer waits for another thread to be woken.
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clear = |name, address| Way::new(name, Connection::http1(address));
    let ways = [
        clear("pass-through", plain),
        clear("Portcullis, rules off", idle.addresses[0]),
        clear("Portcullis, CRS", inspecting.addresses[0]),
    ];
    take_turns(answer, requests, "HTTP/1.1 in the clear", "", ways, &client);
    // Connected only now: a connection that has to wait for the others would be closed as idle.
    let secure =
        |name, address| Way::new(name, Connection::Http2(client.block_on(connect(address, &identity))));
    let ways = [
        secure("TLS terminator", ended),
        secure("Portcullis, rules off", idle.addresses[1]),
        secure("Portcullis, CRS", inspecting.addresses[1]),
    ];
    take_turns(answer, requests, "HTTP/2 over TLS", "_http2", ways, &client);
}

/// Measures `ways`, and tells how much later the first byte comes by the last than by the first.
fn take_turns(
    answer: &Answer,
    requests: usize,
    protocol: &str,
    suffix: &str,
    mut ways: [Way; 3],
    client: &Runtime,
) {
    for way in &mut ways {
        // The first request opens the connection to the origin, which is kept.
        way.ask(client, answer);
        way.times.clear();
    }
    for _ in 0..requests {
        for way in &mut ways {
            way.ask(client, answer);
        }
    }
    println!("{}, {protocol}, {requests} requests", answer.name);
    for way in &mut ways {
        way.times.sort_unstable();
        let [median, p90, p99] = [50, 90, 99].map(|percent| way.at(percent));
        println!("  {:<21} median {median:>7.1} µs, p90 {p90:>8.1} µs, p99 {p99:>8.1} µs", way.name);
    }
    let [plain, .., inspecting] = &ways;
    let key = format!("first_byte.{}{suffix}", answer.name.replace(' ', "_"));
    let words = format!("later than through a {}, {protocol}", plain.name);
    result(&key, inspecting.at(50) - plain.at(50), "us", LATER_US, &words);
}

/// What origins answer to everything.
struct Answer {
    name: &'static str,
    media_type: &'static str,
    body: Bytes,
    /// Whether the length is told in advance; else HTTP/1.1 sends a chunk.
    has_length: bool,
}

impl Answer {
    /// An origin that speaks HTTP/1.1.
    fn origin(&self) -> Origin {
        let framing = match self.has_length {
            true => format!("Content-Length: {}", self.body.len()),
            false => "Transfer-Encoding: chunked".to_owned(),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n{framing}\r\n\r\n", self.media_type);
        let body = match self.has_length {
            true => self.body.to_vec(),
            false => {
                [format!("{:x}\r\n", self.body.len()).as_bytes(), &self.body, b"\r\n", LAST_CHUNK].concat()
            }
        };
        Origin::start(move |_, stream| {
            stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&body).is_ok()
        })
    }

    /// An origin that speaks HTTP/2 in the clear, as known beforehand. It runs in the runtime around.
    async fn http2_origin(&self) -> SocketAddr {
        let mut head = http::Response::builder().header("content-type", self.media_type);
        if self.has_length {
            head = head.header("content-length", self.body.len());
        }
        let (head, body) = (head.body(()).expect("a head"), self.body.clone());
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("set");
                let (head, body) = (head.clone(), body.clone());
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        // What the client has no room for yet waits in the connection.
                        let mut stream = respond.send_response(head.clone(), false).expect("answered");
                        stream.send_data(body.clone(), true).expect("answered");
                    }
                });
            }
        });
        address
    }
}

/// A way to the origin, with a kept connection.
struct Way {
    name: &'static str,
    connection: Connection,
    times: Vec<Duration>,
}

enum Connection {
    Http1(TcpStream),
    Http2(SendRequest<Bytes>),
}

impl Way {
    fn new(name: &'static str, connection: Connection) -> Self {
        Self { name, connection, times: Vec::new() }
    }

    /// One request: notes when the first byte of the body was here, and reads to the end.
    fn ask(&mut self, client: &Runtime, answer: &Answer) {
        self.times.push(match &mut self.connection {
            Connection::Http1(stream) => ask_http1(stream, answer),
            Connection::Http2(sender) => client.block_on(ask_http2(sender, answer)),
        });
    }

    /// Microseconds within which that percentage of requests had their first byte.
    fn at(&self, percent: usize) -> f64 {
        let index = (self.times.len() * percent / 100).min(self.times.len() - 1);
        self.times[index].as_secs_f64() * 1e6
    }
}

impl Connection {
    fn http1(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("set");
        Self::Http1(stream)
    }
}

/// An HTTP/2 connection with windows of 64 KiB: as many bytes as [`ask_http1`] reads at once. What drives the connection
/// reads all that is there before it gives any of it away, so that larger ones would measure more than the first byte.
async fn connect(address: SocketAddr, identity: &Identity) -> SendRequest<Bytes> {
    let stream = connect_tls(address, identity, HOST, &["h2"]).await.expect("connected");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn ask_http1(stream: &mut TcpStream, answer: &Answer) -> Duration {
    let request = format!(
        "GET {TARGET} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
         Cookie: session=0123456789abcdef\r\n\r\n"
    );
    let mut buffer = vec![0; 64 * 1024];
    let (mut all, mut body) = (Vec::new(), None);
    let began = Instant::now();
    stream.write_all(request.as_bytes()).expect("sent");
    loop {
        let read = stream.read(&mut buffer).expect("an answer");
        assert!(read > 0, "the answer is cut");
        all.extend_from_slice(&buffer[..read]);
        if body.is_none()
            && let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n")
            && all.len() > at + 4
        {
            body = Some((at + 4, began.elapsed()));
        }
        let Some((at, first)) = body else { continue };
        let is_whole = match answer.has_length {
            true => all.len() >= at + answer.body.len(),
            false => all.ends_with(LAST_CHUNK),
        };
        if is_whole {
            assert!(all.starts_with(b"HTTP/1.1 200 "), "refused");
            return first;
        }
    }
}

async fn ask_http2(sender: &SendRequest<Bytes>, answer: &Answer) -> Duration {
    let request = http::Request::get(format!("https://{HOST}{TARGET}"))
        .header("user-agent", "Mozilla/5.0")
        .header("accept", "*/*")
        .header("cookie", "session=0123456789abcdef")
        .body(())
        .expect("a request");
    let mut sender = sender.clone().ready().await.expect("room for a stream");
    let began = Instant::now();
    let (response, _) = sender.send_request(request, true).expect("sent");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), 200);
    let (mut body, mut length, mut first) = (response.into_body(), 0, None);
    while let Some(piece) = body.data().await {
        let piece = piece.expect("the answer is cut");
        if !piece.is_empty() {
            first.get_or_insert_with(|| began.elapsed());
        }
        length += piece.len();
        body.flow_control().release_capacity(piece.len()).expect("it was taken");
    }
    assert_eq!(length, answer.body.len());
    first.expect("a body")
}

/// Copies bytes to and from `origin`, and does nothing else.
async fn pass_through(origin: SocketAddr) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.set_nodelay(true).expect("set");
            tokio::spawn(async move {
                let mut server = reach(origin).await;
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

/// Ends TLS, copies what was in it to and from `origin`, and does nothing else.
async fn terminator(identity: &Identity, origin: SocketAddr) -> SocketAddr {
    let acceptor = TlsAcceptor::from(server_config(identity, &["h2"]));
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            client.set_nodelay(true).expect("set");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.expect("TLS");
                let mut server = reach(origin).await;
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

async fn reach(origin: SocketAddr) -> tokio::net::TcpStream {
    let server = tokio::net::TcpStream::connect(origin).await.expect("connected");
    server.set_nodelay(true).expect("set");
    server
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("a runtime")
}

const TARGET: &str = "/files/report?id=17";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
