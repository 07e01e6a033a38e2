//! How much later the first byte of an event stream and of a large download reaches the client than through a plain
//! pass-through that copies bytes: over loopback, on kept connections, with CRS at paranoia level 1. Medians and 99th
//! percentiles of requests that take turns.
//!
//! `cargo bench --bench first_byte`, on a machine that does nothing else: times of others' work would be measured too.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod proxy;
mod support;

use proxy::origin::Origin;
use proxy::server::Portcullis;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::told::result;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the first byte may come later, in microseconds: the median of requests.
const LATER_US: f64 = 1_000.0;
const REQUESTS: usize = 2_000;
const DOWNLOAD: usize = 2_000_000;

fn main() {
    if !support::is_there() {
        return;
    }
    let crs = support::crs();
    let rules = format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
         Include {0}/crs-setup.conf.example\nInclude {0}/rules/*.conf",
        crs.display()
    );
    let streams = Origin::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).is_ok()
            && stream.write_all(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n").is_ok()
    });
    let downloads = Origin::start(|_, stream| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: {DOWNLOAD}\r\n\r\n");
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&vec![b'x'; DOWNLOAD]).is_ok()
    });
    for (what, origin, end) in
        [("event stream", &streams, &b"0\r\n\r\n"[..]), ("download", &downloads, &[b'x'; 64][..])]
    {
        let plain = pass_through(origin.address);
        let server = Portcullis::start(origin.address, &rules);
        let mut ways = [Way::new("pass-through", plain), Way::new("Portcullis", server.address())];
        // Downloads are long, and their beginning is all that counts.
        let requests = if what == "download" { REQUESTS / 10 } else { REQUESTS };
        for _ in 0..requests {
            for way in &mut ways {
                way.ask(end, what == "download");
            }
        }
        println!("{what}");
        for way in &mut ways {
            way.times.sort_unstable();
            println!("  {:<13} median {:>7.1} µs, p99 {:>8.1} µs", way.name, way.at(50), way.at(99));
        }
        let later = ways[1].at(50) - ways[0].at(50);
        let key = format!("first_byte.{}", what.replace(' ', "_"));
        result(&key, later, "us", LATER_US, "later than through a pass-through");
    }
}

/// A way to the origin, with a kept connection.
struct Way {
    name: &'static str,
    stream: TcpStream,
    times: Vec<Duration>,
}

impl Way {
    fn new(name: &'static str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("set");
        Self { name, stream, times: Vec::new() }
    }

    /// One request: notes when the first byte of the body was here, and reads to the end.
    fn ask(&mut self, end: &[u8], is_counted: bool) {
        let request = "GET /files/report?id=17 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\n\
                       Accept: */*\r\nCookie: session=0123456789abcdef\r\n\r\n";
        let mut buffer = vec![0; 64 * 1024];
        let (mut all, mut body) = (Vec::new(), None);
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).expect("sent");
        loop {
            let read = self.stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "the answer is cut");
            all.extend_from_slice(&buffer[..read]);
            if body.is_none()
                && let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n")
                && all.len() > at + 4
            {
                self.times.push(began.elapsed());
                body = Some(at + 4);
            }
            let is_whole = !is_counted || body.is_some_and(|at| all.len() >= at + DOWNLOAD);
            if body.is_some() && is_whole && all.ends_with(end) {
                return;
            }
        }
    }

    /// Microseconds within which that percentage of requests had their first byte.
    fn at(&self, percent: usize) -> f64 {
        let index = (self.times.len() * percent / 100).min(self.times.len() - 1);
        self.times[index].as_secs_f64() * 1e6
    }
}

/// Copies bytes to and from `origin`, and does nothing else.
fn pass_through(origin: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            listener.set_nonblocking(true).expect("set");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut server = tokio::net::TcpStream::connect(origin).await.expect("connected");
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    address
}
