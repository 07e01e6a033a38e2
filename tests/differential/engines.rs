//! The two engines behind one interface: rules and requests in, the rules that matched and what they logged out.

use portcullis::compile::{self, Input};
use portcullis::engine::{BodyStep, Decision, NoWorld, Options, Transaction};
use portcullis::ruleset::Ruleset;
use portcullis::syntax::diagnostic::Severity;
use portcullis::syntax::seclang::FileLoader;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// The version whose differences `deviations.yaml` lists.
pub const VERSION: &str = "3.0.9";

/// A request and its response, if there is one.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: Vec<u8>,
    pub uri: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub response: Option<Answer>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Default for Exchange {
    fn default() -> Self {
        let (method, uri) = (b"GET".to_vec(), b"/".to_vec());
        Self { method, uri, headers: Vec::new(), body: Vec::new(), response: None }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Id and `logdata` of each rule that logged, in order.
    pub hits: Vec<(u64, Vec<u8>)>,
    /// The interruption's status, or 0.
    pub status: u16,
}

/// libmodsecurity in a process of its own.
pub struct Theirs {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    // The program stands in it.
    _directory: tempfile::TempDir,
}

impl Theirs {
    /// Builds and starts it. An error says what is missing.
    pub fn start() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
        let program = directory.path().join("driver");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/driver.cc");
        let built = Command::new("c++")
            .args(["-std=c++17", "-O1", "-o"])
            .args([&program, &source])
            .arg("-lmodsecurity")
            .output()
            .map_err(|e| format!("no C++ compiler: {e}"))?;
        if !built.status.success() {
            return Err(format!("no libmodsecurity-dev: {}", String::from_utf8_lossy(&built.stderr)));
        }
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the driver does not start: {e}"))?;
        let to = BufWriter::new(child.stdin.take().expect("piped"));
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut theirs = Self { child, to, from, _directory: directory };
        theirs.to.write_all(b"V").expect("the driver reads");
        let version = String::from_utf8_lossy(&theirs.answer()).into_owned();
        if version != VERSION {
            return Err(format!("libmodsecurity is {version}; differences are listed for {VERSION}"));
        }
        Ok(theirs)
    }

    /// Takes these rules from now on, or says what is wrong with them.
    pub fn load(&mut self, rules: &str) -> Result<(), String> {
        self.to.write_all(b"R").expect("the driver reads");
        put(&mut self.to, rules.as_bytes());
        let error = String::from_utf8_lossy(&self.answer()).into_owned();
        if error.is_empty() { Ok(()) } else { Err(error) }
    }

    /// What comes of each.
    pub fn run(&mut self, exchanges: &[Exchange]) -> Vec<Outcome> {
        let (to, from) = (&mut self.to, &mut self.from);
        // Answers are read while requests are written, or both sides would wait once the pipes are full.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for exchange in exchanges {
                    send(to, exchange);
                }
                to.flush().expect("the driver reads");
            });
            exchanges.iter().map(|_| receive(from)).collect()
        })
    }

    fn answer(&mut self) -> Vec<u8> {
        self.to.flush().expect("the driver reads");
        string(&mut self.from)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(to: &mut impl Write, exchange: &Exchange) {
    to.write_all(b"T").expect("the driver reads");
    for text in [&exchange.method, &exchange.uri, &b"1.1".to_vec()] {
        put(to, text);
    }
    put_headers(to, &exchange.headers);
    put(to, &exchange.body);
    put_number(to, usize::from(exchange.response.is_some()));
    if let Some(response) = &exchange.response {
        put_number(to, usize::from(response.status));
        put_headers(to, &response.headers);
        put(to, &response.body);
    }
}

fn put_headers(to: &mut impl Write, headers: &[(Vec<u8>, Vec<u8>)]) {
    put_number(to, headers.len());
    for (name, value) in headers {
        put(to, name);
        put(to, value);
    }
}

fn put(to: &mut impl Write, text: &[u8]) {
    put_number(to, text.len());
    to.write_all(text).expect("the driver reads");
}

fn put_number(to: &mut impl Write, number: usize) {
    let number = u32::try_from(number).expect("small").to_le_bytes();
    to.write_all(&number).expect("the driver reads");
}

fn receive(from: &mut impl Read) -> Outcome {
    let count = number(from);
    let hits = (0..count).map(|_| (u64::from(number(from)), string(from))).collect();
    Outcome { hits, status: u16::try_from(number(from)).expect("a status") }
}

fn number(from: &mut impl Read) -> u32 {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes).expect("the driver answers");
    u32::from_le_bytes(bytes)
}

fn string(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(number(from)).expect("small")];
    from.read_exact(&mut bytes).expect("the driver answers");
    bytes
}

/// Portcullis.
pub struct Ours(Arc<Ruleset>);

impl Ours {
    /// These rules compiled, or what is wrong with them.
    pub fn load(rules: &str) -> Result<Self, String> {
        let input = Input::Text { name: "differential.conf".into(), text: rules.into() };
        let loaded = compile::load(&[input], &FileLoader);
        let errors: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .map(|d| d.message.clone())
            .collect();
        loaded.ruleset.map(Self).ok_or_else(|| errors.join("; "))
    }

    /// What comes of each.
    pub fn run(&self, exchanges: &[Exchange]) -> Vec<Outcome> {
        exchanges.iter().map(|e| self.run_one(e)).collect()
    }

    fn run_one(&self, exchange: &Exchange) -> Outcome {
        let options = Options { id: "1".into(), mode: None, world: Arc::new(NoWorld) };
        let mut tx = Transaction::new(Arc::clone(&self.0), options);
        let status = feed(&mut tx, exchange).err().unwrap_or(0);
        let ended = if status == 0 { exchange.response.as_ref().map_or(0, |r| r.status) } else { status };
        let report = tx.process_logging(ended);
        let hits = report.rules.iter().filter(|r| r.log).map(|r| (r.id, r.data.clone())).collect();
        Outcome { hits, status }
    }
}

/// The status of an interruption is the error.
fn feed(tx: &mut Transaction, exchange: &Exchange) -> Result<(), u16> {
    tx.process_connection(([192, 0, 2, 7], 40000).into(), ([198, 51, 100, 1], 8080).into());
    tx.process_uri(&exchange.method, &exchange.uri, b"HTTP/1.1");
    for (name, value) in &exchange.headers {
        tx.add_request_header(name, value);
    }
    go_on(tx.process_request_headers())?;
    if tx.request_body_wanted() {
        body(tx.append_request_body(&exchange.body))?;
    }
    go_on(tx.process_request_body())?;
    let Some(response) = &exchange.response else { return Ok(()) };
    for (name, value) in &response.headers {
        tx.add_response_header(name, value);
    }
    go_on(tx.process_response_headers(response.status, b"HTTP/1.1"))?;
    if tx.response_body_wanted() {
        body(tx.append_response_body(&response.body))?;
    }
    go_on(tx.process_response_body())
}

fn go_on(decision: Decision) -> Result<(), u16> {
    decision.interruption().map_or(Ok(()), |i| Err(i.status))
}

fn body(step: BodyStep) -> Result<(), u16> {
    match step {
        BodyStep::Interrupt(i) => Err(i.status),
        BodyStep::Continue | BodyStep::LimitReached => Ok(()),
    }
}
