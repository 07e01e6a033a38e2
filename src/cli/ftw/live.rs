//! Running tests over TCP against a running instance, whose log is read from its audit log or from memory.

use super::log::{Seen, client_port};
use super::wire::{Progress, read_answer};
use super::{Answer, Stage, StageResult, Target};
use crate::engine::Report;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A running instance.
pub struct Live {
    address: SocketAddr,
    log: LogSource,
    parallel: usize,
}

/// Where the instance's log is found.
pub enum LogSource {
    /// In memory: the instance runs in this process and hands its reports over.
    Records(Arc<Records>),
    /// In its audit log.
    File(AuditFile),
}

impl Live {
    /// Talks to the instance at `address` on up to `parallel` connections at once. With an audit file, one
    /// connection at a time is used whatever `parallel` says: between its markers the log holds one request.
    pub fn new(address: SocketAddr, log: LogSource, parallel: usize) -> Self {
        Self { address, log, parallel }
    }

    fn exchange(&self, request: &[u8]) -> (Option<u16>, Result<Answer, String>) {
        let mut stream = match TcpStream::connect_timeout(&self.address, CONNECT) {
            Ok(stream) => stream,
            Err(e) => return (None, Err(format!("connecting to {}: {e}", self.address))),
        };
        let port = stream.local_addr().ok().map(|a| a.port());
        if let (LogSource::Records(records), Some(port)) = (&self.log, port) {
            records.forget(port);
        }
        (port, converse(&mut stream, request))
    }
}

impl Target for Live {
    fn stage(&self, stage: &Stage<'_>) -> StageResult {
        let before = match &self.log {
            LogSource::File(file) => file.end(),
            LogSource::Records(_) => Ok(0),
        };
        let (port, answer) = self.exchange(stage.request);
        let log = match (&self.log, port) {
            _ if !stage.needs_log => Ok(Vec::new()),
            (_, None) => Err("there was no connection".to_owned()),
            (LogSource::Records(records), Some(port)) => records.wait(port),
            (LogSource::File(file), Some(port)) => before.and_then(|from| {
                let send = |request: &[u8]| self.exchange(request).1.map(drop);
                file.between(from, port, stage.marker_host, &send)
            }),
        };
        StageResult { answer, log }
    }

    fn parallel(&self) -> usize {
        match self.log {
            LogSource::Records(_) => self.parallel,
            LogSource::File(_) => 1,
        }
    }
}

/// Reports of an instance in this process, found by the client's port.
#[derive(Default)]
pub struct Records {
    by_port: Mutex<HashMap<u16, Vec<Seen>>>,
    arrived: Condvar,
}

impl Records {
    /// Takes a finished transaction in; called by the instance's sink.
    pub fn push(&self, report: &Report) {
        if let Some(client) = report.client {
            self.add(client.port(), Seen::in_report(report));
        }
    }

    /// Takes in what was seen of the client at `port`.
    pub fn add(&self, port: u16, seen: Vec<Seen>) {
        let mut map = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(port).or_default().extend(seen);
        self.arrived.notify_all();
    }

    /// Forgets an earlier client that had the same port.
    pub fn forget(&self, port: u16) {
        self.by_port.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }

    /// What was seen of the client at `port`; waits until there is a report.
    ///
    /// # Errors
    ///
    /// When none comes within five seconds.
    pub fn wait(&self, port: u16) -> Result<Vec<Seen>, String> {
        self.wait_for(port, PATIENCE)
    }

    fn wait_for(&self, port: u16, patience: Duration) -> Result<Vec<Seen>, String> {
        let map = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.arrived.wait_timeout_while(map, patience, |map| !map.contains_key(&port));
        let (mut map, _) = waited.unwrap_or_else(PoisonError::into_inner);
        map.remove(&port).ok_or_else(|| format!("no report within {patience:?}"))
    }
}

/// An instance's audit log, one JSON object a line.
///
/// After each request a marker request follows, which carries a number that nobody else uses in the header
/// `X-CRS-Test`; once it is in the log, so is the request. The instance must log it: either all transactions are
/// audited (`SecAuditEngine On`), or a rule logs that header.
pub struct AuditFile {
    path: PathBuf,
    run: String,
    counter: AtomicU64,
}

impl AuditFile {
    /// The audit log at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}-{:x}", since_1970.as_nanos(), std::process::id());
        Self { path: path.into(), run, counter: AtomicU64::new(0) }
    }

    fn end(&self) -> Result<u64, String> {
        match std::fs::metadata(&self.path) {
            Ok(meta) => Ok(meta.len()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
            Err(e) => Err(format!("{}: {e}", self.path.display())),
        }
    }

    /// What the log says between offset `from` and a marker sent now.
    fn between(
        &self,
        from: u64,
        port: u16,
        host: &str,
        send: &dyn Fn(&[u8]) -> Result<(), String>,
    ) -> Result<Vec<Seen>, String> {
        let marker = format!("{}-{}", self.run, self.counter.fetch_add(1, Ordering::Relaxed));
        let request = format!(
            "GET /status/200 HTTP/1.1\r\nAccept: */*\r\nUser-Agent: go-ftw test agent\r\nHost: {host}\r\n\
             X-CRS-Test: {marker}\r\nConnection: close\r\n\r\n"
        );
        for _ in 0..MARKER_TRIES {
            send(request.as_bytes())?;
            let deadline = Instant::now() + MARKER_PATIENCE;
            loop {
                let records = self.records(from)?;
                let is_marker = |line: &&(String, Value)| line.0.contains(&marker);
                if let Some(at) = records.iter().position(|line| is_marker(&line)) {
                    return self.settle(from, port, at, records);
                }
                if Instant::now() >= deadline {
                    break;
                }
                std::thread::sleep(POLL);
            }
        }
        Err(format!("no marker `X-CRS-Test: {marker}` in {}; does the instance log it?", self.path.display()))
    }

    /// The lines that belong to the client at `port`; where records do not tell ports, all before the marker. The
    /// marker may overtake the request it follows, so a known port is waited for a little.
    fn settle(
        &self,
        from: u64,
        port: u16,
        marker: usize,
        mut records: Vec<(String, Value)>,
    ) -> Result<Vec<Seen>, String> {
        let deadline = Instant::now() + OVERTAKING;
        loop {
            let of_client = |r: &&(String, Value)| client_port(&r.1) == Some(port);
            let ours: Vec<Seen> =
                records.iter().filter(of_client).flat_map(|r| Seen::in_record(&r.1)).collect();
            let found = records.iter().any(|r| of_client(&r));
            if found {
                return Ok(ours);
            }
            if records.get(marker).is_some_and(|r| client_port(&r.1).is_none()) {
                return Ok(records.iter().take(marker).flat_map(|r| Seen::in_record(&r.1)).collect());
            }
            if Instant::now() >= deadline {
                // Nothing was logged: no rule matched.
                return Ok(Vec::new());
            }
            std::thread::sleep(POLL);
            records = self.records(from)?;
        }
    }

    /// The whole lines after offset `from`. A file that became shorter was rotated and is read from its start.
    fn records(&self, from: u64) -> Result<Vec<(String, Value)>, String> {
        let fail = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        let length = file.metadata().map_err(fail)?.len();
        file.seek(SeekFrom::Start(if length < from { 0 } else { from })).map_err(fail)?;
        let mut bytes = Vec::new();
        file.take(MAX_LOG).read_to_end(&mut bytes).map_err(fail)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
        let parse = |line: &str| (line.to_owned(), serde_json::from_str(line).unwrap_or_default());
        Ok(whole.lines().map(parse).collect())
    }
}

const CONNECT: Duration = Duration::from_secs(3);
/// For a whole answer.
const ANSWER: Duration = Duration::from_secs(10);
/// For a report to arrive from the same process.
const PATIENCE: Duration = Duration::from_secs(5);
const MARKER_TRIES: usize = 5;
const MARKER_PATIENCE: Duration = Duration::from_millis(500);
const OVERTAKING: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_millis(2);
/// Bytes of an answer, and of log between two markers.
const MAX_ANSWER: usize = 64 << 20;
const MAX_LOG: u64 = 256 << 20;

/// Sends a request and reads the answer.
fn converse(stream: &mut TcpStream, request: &[u8]) -> Result<Answer, String> {
    let deadline = Instant::now() + ANSWER;
    let _ = stream.set_nodelay(true);
    stream.set_write_timeout(Some(ANSWER)).map_err(|e| e.to_string())?;
    // A server that refuses early stops reading; its answer counts all the same.
    let sent = stream.write_all(request);
    let bodiless = request.starts_with(b"HEAD ");
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > MAX_ANSWER {
            return Err(format!("no complete answer within {ANSWER:?} and {MAX_ANSWER} bytes"));
        }
        stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        let ended = match stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(n) => {
                bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
                false
            }
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(_) => true,
        };
        match read_answer(&bytes, bodiless) {
            Progress::Complete(answer) => return Ok(answer),
            Progress::Partial { head: Some(answer) } if ended => return Ok(answer),
            Progress::NotHttp(why) => return Err(why),
            Progress::Partial { .. } if ended => {
                let why = sent.err().map(|e| format!(" ({e} while sending)")).unwrap_or_default();
                return Err(format!("the connection ended after {} bytes of answer{why}", bytes.len()));
            }
            Progress::Partial { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ftw::Albedo;
    use std::net::TcpListener;

    fn stage(request: &[u8]) -> Stage<'_> {
        Stage { request, marker_host: "localhost", needs_log: true }
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    #[test]
    fn answers_come_and_reports_are_waited_for() {
        let albedo = Albedo::start(([127, 0, 0, 1], 0).into()).unwrap();
        let records = Arc::new(Records::default());
        let live = Live::new(albedo.address(), LogSource::Records(Arc::clone(&records)), 4);
        let mut silent = stage(GET);
        silent.needs_log = false;
        assert_eq!(live.stage(&silent).answer.unwrap().status, 200);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                records.add(7, vec![Seen { id: 1, line: String::new() }]);
            });
            assert_eq!(records.wait(7).unwrap().len(), 1);
        });
        assert!(records.wait_for(7, Duration::from_millis(1)).is_err());
        records.add(8, Vec::new());
        records.forget(8);
        assert!(records.wait_for(8, Duration::from_millis(1)).is_err());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for answer in [&b""[..], b"HTTP/1.1 200", b"<html>old</html>\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                stream.write_all(answer).unwrap();
            }
        });
        let live = Live::new(address, LogSource::Records(Arc::default()), 1);
        for _ in 0..3 {
            assert!(live.exchange(GET).1.is_err());
        }
        server.join().unwrap();
        assert!(live.exchange(GET).1.unwrap_err().contains("connecting"));
    }

    /// A server that writes an audit record for each request, the second before the first when told so.
    fn logging_server(path: PathBuf, requests: usize, with_ports: bool, swap: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut held: Option<String> = None;
            for _ in 0..requests {
                let (mut stream, peer) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let n = stream.read(&mut buffer).unwrap();
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                let id = if text.contains("X-CRS-Test") { 999 } else { 42 };
                let client = if with_ports { serde_json::json!(peer.to_string()) } else { Value::Null };
                let record = serde_json::json!({"client": client, "head": text, "rules": [{"id": id}]});
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                let mut line = format!("{record}\n");
                if swap {
                    match held.take() {
                        None => {
                            held = Some(line);
                            continue;
                        }
                        Some(first) => line.push_str(&first),
                    }
                }
                File::options()
                    .create(true)
                    .append(true)
                    .open(&path)
                    .unwrap()
                    .write_all(line.as_bytes())
                    .unwrap();
            }
        });
        address
    }

    #[test]
    fn the_audit_log_is_read_up_to_the_marker() {
        for (with_ports, swap) in [(true, false), (false, false), (true, true)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("audit.log");
            std::fs::write(&path, "{\"rules\":[{\"id\":1}]}\n").unwrap();
            let address = logging_server(path.clone(), 2, with_ports, swap);
            let live = Live::new(address, LogSource::File(AuditFile::new(&path)), 8);
            assert_eq!(live.parallel(), 1);
            let result = live.stage(&stage(GET));
            let ids: Vec<u64> = result.log.unwrap().iter().map(|s| s.id).collect();
            assert_eq!(ids, [42], "ports {with_ports}, swapped {swap}");
        }
    }
}
