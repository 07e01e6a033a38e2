//! The clock of the whole process jumps, a day or a year ahead and back, while the program serves: what is measured in
//! time goes on, what is dated ends as the documentation says, and nobody is refused or let pass because of it.
//!
//! libfaketime (Debian's package `faketime`) moves the clock that tells the date. The one that only runs forward is left
//! alone, as the kernel leaves it when somebody sets the date.

#![cfg(feature = "server")]

mod support;

use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::binary::{Binary, TOKEN};
use support::client::{Client, Response, get};
use support::origin::{Origin, respond};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

const RULES: &str = r#"
SecRuleEngine On
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REQUEST_HEADERS.X-Forwarded-For},setvar:ip.seen=+1,expirevar:ip.seen=3600"
SecRule ARGS:q "@contains attack" "id:2,phase:1,deny,status:406"
SecRule ARGS:seen "@ge 0" "id:3,phase:1,deny,status:409,chain"
    SecRule IP:seen "@gt %{ARGS.seen}"
"#;

/// The library, where it is installed.
fn library() -> Option<PathBuf> {
    let candidates = ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", "."];
    let paths = candidates.map(|place| PathBuf::from(format!("/usr/lib/{place}/faketime/libfaketime.so.1")));
    if let Some(found) = paths.into_iter().find(|path| path.exists()) {
        return Some(found);
    }
    assert!(std::env::var_os("PORTCULLIS_REQUIRE_CRS").is_none(), "libfaketime is not installed");
    let _ = writeln!(
        std::io::stderr(),
        "\n*** SKIPPED: there is no libfaketime (Debian's package `faketime`) ***\n"
    );
    None
}

/// Sets the process' clock `seconds` ahead of the true time.
fn set(file: &Path, seconds: i64) {
    // In one step, as it is read at any moment.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).expect("written");
    std::fs::rename(&new, file).expect("moved");
}

struct Bench {
    binary: Binary,
    offset: PathBuf,
    _scratch: tempfile::TempDir,
    _origin: Origin,
}

impl Bench {
    fn start() -> Option<Self> {
        let library = library()?;
        let origin = Origin::start(|request, stream| {
            if request.line.contains("/slow") {
                std::thread::sleep(Duration::from_millis(1_500));
            }
            respond(stream, "200 OK", &[], b"fine")
        });
        let scratch = tempfile::tempdir().expect("a directory");
        let offset = scratch.path().join("offset");
        set(&offset, 0);
        let text = format!(
            "listeners: ['127.0.0.1:0']\nadmin: {{address: '127.0.0.1:0', token: {TOKEN}}}\n\
             reload: {{watch: false}}\ntrusted_proxies: [127.0.0.1]\naudit: {{log: audit.log}}\n\
             bans: {{threshold: 3, period: 1m, duration: 1h, status: 410}}\n\
             sites:\n  - name: main\n    upstreams: ['{}']\n    rules: [rules.conf]\n    \
             timeouts: {{read: 10s, first_byte: 10s}}\n    \
             rate_limits: [{{name: few, key: 'header:x-key', requests: 3, period: 1h, paths: /few}}]\n",
            origin.url()
        );
        let binary = Binary::start_with(&[("rules.conf", RULES)], &text, |command| {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", &offset)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1")
        });
        Some(Self { binary, offset, _scratch: scratch, _origin: origin })
    }

    fn set(&self, seconds: i64) {
        set(&self.offset, seconds);
    }

    fn ask(&self, client: &str, path: &str, more: &str) -> Response {
        ask(self.binary.address(), client, path, more)
    }

    fn status(&self, client: &str, path: &str) -> u16 {
        self.ask(client, path, "").status
    }

    fn json(&self, path: &str) -> Value {
        let text = self.binary.ask(path);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    /// Blocks `client` often enough; its ban holds at once.
    fn ban(&self, client: &str) {
        for _ in 0..3 {
            assert_eq!(self.status(client, "/?q=attack"), 406);
        }
        self.binary.wait("a ban", |_| self.status(client, "/") == 410);
    }

    /// The record of a transaction.
    fn record(&self, id: &str) -> Value {
        let mut found = None;
        self.binary.wait("a record", |binary| {
            let text = std::fs::read_to_string(binary.path("audit.log")).unwrap_or_default();
            let line = text.lines().find(|line| line.contains(id)).map(str::to_owned);
            found = line.and_then(|line| serde_json::from_str(&line).ok());
            found.is_some()
        });
        found.expect("found")
    }
}

fn ask(server: SocketAddr, client: &str, path: &str, more: &str) -> Response {
    let began = Instant::now();
    let head = format!("X-Forwarded-For: {client}\r\n{more}");
    let request = get(path).replace("\r\n\r\n", &format!("\r\n{head}\r\n"));
    let response = Client::connect(server).send(request).read().expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(8), "{path}: {:?}", began.elapsed());
    response
}

/// Seconds from the true time, of a clock that tells this one now.
fn ahead(clock: OffsetDateTime) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    clock.unix_timestamp() - i64::try_from(now).expect("not yet")
}

#[test]
fn a_clock_that_jumps_changes_no_answer() {
    let Some(bench) = Bench::start() else { return };
    let mut kept = Client::connect(bench.binary.address());
    kept.send(get("/"));
    assert_eq!(kept.read().expect("an answer").status, 200);
    let jumps = [0, DAY, 0, -DAY, YEAR, 0, -YEAR, 20 * YEAR, 0];
    for (n, offset) in jumps.into_iter().enumerate() {
        // The clock is set while a request is under way.
        let server = bench.binary.address();
        let slow = std::thread::spawn(move || ask(server, "192.0.2.1", "/slow", "").status);
        std::thread::sleep(Duration::from_millis(300));
        bench.set(offset);
        assert_eq!(slow.join().expect("no panic"), 200, "{offset}");
        // A connection from before goes on.
        kept.send(get("/"));
        assert_eq!(kept.read().expect("an answer").status, 200, "{offset}");

        let blocks = "portcullis_blocks_total{category=\"other\",site=\"main\"}";
        let before = bench.binary.metric(blocks);
        let blocked = bench.ask("192.0.2.2", "/?q=attack", "");
        assert_eq!(blocked.status, 406, "{offset}");
        let id = blocked.header("x-request-id").expect("an id").to_owned();
        let record = bench.record(&id);
        let time = OffsetDateTime::parse(record["time"].as_str().expect("a time"), &Rfc3339).expect("a time");
        assert!((ahead(time) - offset).abs() < 30, "the clock does not tell {offset}: {time}");
        let date = blocked.header("date").expect("a date").replace("GMT", "+0000");
        let date = OffsetDateTime::parse(&date, &Rfc2822).expect("a date");
        assert!((ahead(date) - offset).abs() < 30, "{offset}: {date}");
        bench.binary.wait("the counter", |binary| binary.metric(blocks) > before);

        // A budget is used up as fast as ever, and is not given back by setting a clock.
        let key = format!("X-Key: {n}\r\n");
        let budget: Vec<u16> = (0..4).map(|_| bench.ask("192.0.2.3", "/few", &key).status).collect();
        assert_eq!(budget, [200, 200, 200, 429], "{offset}");
        let again = bench.ask("192.0.2.3", "/few", "X-Key: 0\r\n");
        assert_eq!(again.status, 429, "{offset}");
        let wait: u64 = again.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
        assert!(wait <= 1_200, "{offset}: {wait}");

        // Who earns a ban is banned, for as long as ever.
        let client = format!("198.51.100.{n}");
        bench.ban(&client);
        let refused = bench.ask(&client, "/", "");
        let wait: u64 = refused.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
        assert!((3_500..=3_600).contains(&wait), "{offset}: {wait}");

        // The admin listener goes on, and a reload too.
        for path in
            ["/api/overview", "/api/history", "/api/history?range=24h", "/api/bans", "/api/transactions"]
        {
            assert!(!bench.json(path).is_null(), "{path}");
        }
        let reloads = "portcullis_reloads_total{result=\"unchanged\"}";
        let number = bench.binary.metric(reloads);
        bench.binary.signal("-HUP");
        bench.binary.wait("a reload", |binary| binary.metric(reloads) > number);
        assert_eq!(bench.status("192.0.2.4", "/"), 200, "{offset}");
    }
    ends_well(bench);
}

#[test]
fn what_is_dated_ends_as_documented() {
    let Some(bench) = Bench::start() else { return };
    let is_banned = |client: &str| bench.status(client, "/") == 410;
    // Ahead: bans and what collections remember end early.
    bench.ban("192.0.2.1");
    assert_eq!((bench.status("192.0.2.9", "/?seen=1"), bench.status("192.0.2.9", "/?seen=1")), (200, 409));
    bench.set(DAY);
    assert!(!is_banned("192.0.2.1"));
    assert_eq!(bench.status("192.0.2.9", "/?seen=1"), 200);
    // Back by less than a day: both hold. They would until the clock has caught up.
    bench.ban("192.0.2.2");
    assert_eq!((bench.status("192.0.2.8", "/?seen=1"), bench.status("192.0.2.8", "/?seen=1")), (200, 409));
    bench.set(600);
    assert!(is_banned("192.0.2.2"));
    assert_eq!(bench.status("192.0.2.8", "/?seen=1"), 409);
    // Back by more than a day: nothing holds for a year because somebody has set the clock.
    bench.set(YEAR);
    bench.ban("192.0.2.3");
    assert_eq!((bench.status("192.0.2.7", "/?seen=1"), bench.status("192.0.2.7", "/?seen=1")), (200, 409));
    bench.set(0);
    assert!(!is_banned("192.0.2.3"));
    assert_eq!(bench.status("192.0.2.7", "/?seen=1"), 200);
    let listed = bench.binary.ask("/api/bans");
    assert!(listed.contains("192.0.2.1") && !listed.contains("192.0.2.3"), "{listed}");
    // And who goes on is banned anew.
    bench.ban("192.0.2.3");
    ends_well(bench);
}

/// Nothing has panicked, nothing was answered by a failure, and it ends in good order.
fn ends_well(mut bench: Bench) {
    let metrics = bench.binary.ask("/metrics");
    let failed = |line: &&str| {
        line.starts_with("portcullis_failures_total")
            || line.contains("reason=\"panic\"")
            || line.contains("\"5xx\"")
    };
    let failures: Vec<&str> = metrics.lines().filter(failed).filter(|line| !line.ends_with(" 0")).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(bench.binary.end().success());
    let log = bench.binary.log();
    assert!(!log.contains("panicked"), "{log}");
}
