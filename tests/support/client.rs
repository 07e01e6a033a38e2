//! An HTTP/1.1 client that sends the bytes it is given and takes responses apart strictly.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection.
pub struct Client {
    reader: BufReader<TcpStream>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub complete: bool,
}

impl Response {
    /// The value of a header that occurs once; panics when it occurs twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} occurs more than once");
        value
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Sends bytes; errors are left to the next read, since a server may answer and close before all is sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.reader.get_mut().write_all(bytes.as_ref());
        self
    }

    /// Sends no more.
    pub fn finish(&mut self) -> &mut Self {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
        self
    }

    /// Reads a response to a request that was not HEAD.
    pub fn read(&mut self) -> io::Result<Response> {
        self.read_response(false)
    }

    /// Reads a response to HEAD.
    pub fn read_head(&mut self) -> io::Result<Response> {
        self.read_response(true)
    }

    /// Reads at least one byte of whatever comes; empty at the end.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.reader.fill_buf()?.to_vec();
        self.reader.consume(bytes.len());
        Ok(bytes)
    }

    /// Reads until `until` has come.
    pub fn read_until(&mut self, until: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while !all.windows(until.len()).any(|w| w == until) {
            let more = self.read_some()?;
            if more.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            all.extend_from_slice(&more);
        }
        Ok(all)
    }

    /// Whether the server has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        match self.reader.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// How long a read may wait.
    pub fn patience(&mut self, time: Duration) -> &mut Self {
        self.reader.get_ref().set_read_timeout(Some(time)).unwrap();
        self
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let text: String = line.iter().map(|b| char::from(*b)).collect();
        match text.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("no line: {text:?}"))),
        }
    }

    fn read_response(&mut self, is_head: bool) -> io::Result<Response> {
        let status_line = self.line()?;
        let status: u16 = status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new(), complete: true };
        if !is_head && !(100..200).contains(&status) && status != 204 && status != 304 {
            response.complete = self.body(&mut response).is_ok();
        }
        Ok(response)
    }

    fn body(&mut self, response: &mut Response) -> io::Result<()> {
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk size");
                self.take(size, &mut response.body)?;
                assert_eq!(self.line()?, "");
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match response.header("content-length").map(|v| v.parse::<usize>().expect("a length")) {
            Some(length) => self.take(length, &mut response.body),
            None => self.reader.read_to_end(&mut response.body).map(|_| ()),
        }
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let before = body.len();
        (&mut self.reader).take(u64::try_from(length).unwrap()).read_to_end(body)?;
        if body.len() - before == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Sends a request on a connection of its own and reads the response.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    Client::connect(address).send(request).read().expect("a response")
}

/// A GET request for `path` at host `a.test`.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// A POST request with a `Content-Length`.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A chunked POST request, in chunks of `size`.
pub fn post_chunked(path: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut out =
        format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
