//! What is under test: the real binary with its configuration, and what can be seen of it from outside.

use super::origin::{Faulty, Shop};
use super::says::{SPARE, Sample};
use super::tally::Tally;
use super::troubles::Sink;
use super::wire::Trust;
use super::{Plan, Rules};
use crate::support::client::{Client, get};
use crate::support::http2::Identity;
use crate::support::origin::nobody;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The process and its files.
pub struct Plant {
    pub plain: SocketAddr,
    pub secured: SocketAddr,
    pub trust: Trust,
    admin: SocketAddr,
    directory: tempfile::TempDir,
    process: Child,
    template: String,
    identities: Vec<Identity>,
    version: u64,
}

/// What the recommended settings say, and CRS counts on.
const JSON: &str = r#"
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

/// Enough for the attacks that are made here.
const FEW: &str = r#"
SecRule ARGS "@detectSQLi" "id:2,phase:2,deny,status:403,log,msg:'SQL'"
SecRule ARGS "@detectXSS" "id:3,phase:2,deny,status:403,log,msg:'script'"
SecRule ARGS "@pm /etc/passwd jndi: <?php" "id:4,phase:2,deny,status:403,log,msg:'words'"
"#;

/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(50);

impl Plant {
    pub fn start(
        plan: &Plan,
        shop: &Shop,
        pair: &[Arc<Shop>; 2],
        faulty: &Faulty,
        sink: &Sink,
        redis: u16,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let identities: Vec<Identity> = (0..3).map(|_| Identity::new(&["shop.test"])).collect();
        let (plain, secured, admin) = (nobody(), nobody(), nobody());
        let rules = match plan.rules {
            Rules::Few => "few.conf".to_owned(),
            Rules::Core => "'@portcullis-core'".to_owned(),
            Rules::Crs => {
                let crs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crs").display().to_string();
                format!("json.conf, '{crs}/crs-setup.conf.example', '{crs}/rules/*.conf'")
            }
        };
        for (name, text) in [("few.conf", format!("{JSON}{FEW}")), ("json.conf", JSON.to_owned())] {
            fs::write(directory.path().join(name), text).expect("written");
        }
        // All sites have the same rules, so that they share one ruleset.
        let site = |name: &str, settings: &str, upstreams: &str| {
            format!(
                "  - name: {name}\n    hosts: {name}.test\n    upstreams: [{upstreams}]\n    rules: [{rules}]\n    \
                 overload: {{wait: 30s}}\n    directives: |\n      SecRuleEngine On\n      SecRequestBodyAccess On\n      SecResponseBodyAccess On\n      \
                 SecResponseBodyMimeType text/html\n      SecAuditEngine RelevantOnly\n      \
                 SecAction \"id:901,phase:1,pass,nolog,msg:'VERSION',initcol:ip=%{{REMOTE_ADDR}},setvar:ip.seen=+1\"\n\
                 {settings}"
            )
        };
        let level = std::env::var("PORTCULLIS_SOAK_LEVEL").unwrap_or_else(|_| "info".to_owned());
        let (a, b) = (pair[0].address, pair[1].address);
        let template = format!(
            "listeners:\n  - '{plain}'\n  - {{address: '{secured}', tls: {{certificate: cert.pem, key: key.pem}}}}\n\
             admin: {{address: '{admin}', token: 0123456789abcdef}}\n\
             trusted_proxies: [127.0.0.1]\n\
             client: {{head_timeout: 4s, keep_alive: 30s}}\n\
             log: {{level: '{level}'}}\n\
             reload: {{watch: false}}\n\
             bans: {{threshold: 20, period: 10s, duration: 3s, longest: 10s}}\n\
             store: {{redis: {{url: 'redis://127.0.0.1:{redis}', timeout: 20ms}}}}\n\
             audit:\n  log: audit.log\n  rotate_size: 4MiB\n  rotate_keep: 2\n  sinks:\n    \
             - {{to: disk.log, name: disk, queue: 500, retry: 2s, rotate_size: 0}}\n    \
             - {{to: 'http://{}/', name: collector, queue: 500, timeout: 2s, retry: 5s}}\n\
             sites:\n{}{}{}{}",
            sink.address,
            site("shop", "", &format!("'http://{}'", shop.address)),
            site(
                "pair",
                "    balance: {retry_on: idempotent, fail_timeout: 1s}\n",
                &format!("'http://{a}', 'http://{b}'")
            ),
            site(
                "limited",
                "    rate_limits:\n      - {name: budget, requests: 20, period: 1s, key: 'header:X-Who'}\n",
                &format!("'http://{}'", shop.address)
            ),
            site(
                "faulty",
                "    balance: {max_fails: 0}\n    timeouts: {connect: 2s, first_byte: 800ms, read: 800ms}\n",
                &format!("'http://{}'", faulty.address)
            ),
        );
        let log = fs::File::create(directory.path().join("said")).expect("a file");
        let trust = Trust::new(&identities);
        let mut plant = Self {
            plain,
            secured,
            trust,
            admin,
            process: Command::new("true").spawn().expect("a process"),
            directory,
            template,
            identities,
            version: 0,
        };
        plant.fill_disk(false);
        plant.show_certificate(0);
        plant.write(true);
        let _ = plant.process.wait();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["run", "-c"]).arg(plant.path("portcullis.yaml")).stdout(Stdio::null()).stderr(log);
        plant.process = command.spawn().expect("the binary starts");
        plant.wait("it serves", |plant| TcpStream::connect(plant.plain).is_ok());
        plant.wait("Redis is there", |plant| plant.metric("portcullis_shared_store_up") > 0.5);
        plant
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Asks for a reload; with a configuration that is refused, if it is not `sound`.
    pub fn reload(&mut self, sound: bool) {
        self.write(sound);
        self.signal("HUP");
    }

    fn write(&mut self, sound: bool) {
        self.version += 1;
        let mut text = self.template.replace("VERSION", &format!("version {}", self.version));
        if !sound {
            text.push_str("nonsense: true\n");
        }
        replace(&self.path("portcullis.yaml"), text.as_bytes());
    }

    /// Puts another certificate into the listener's files; the next reload reads it.
    pub fn show_certificate(&self, number: usize) {
        let identity = &self.identities[number % self.identities.len()];
        for name in ["key.pem", "cert.pem"] {
            let bytes = fs::read(identity.files.path().join(name)).expect("readable");
            replace(&self.path(name), &bytes);
        }
    }

    /// Makes the disk of one audit log full, or gives it room again.
    pub fn fill_disk(&self, is_full: bool) {
        let (link, new) = (self.path("disk.log"), self.path("disk.new"));
        let target = if is_full { "/dev/full" } else { "/dev/null" };
        std::os::unix::fs::symlink(target, &new).and_then(|()| fs::rename(&new, &link)).expect("linked");
        if self.version > 0 {
            self.signal("USR1");
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(done.is_ok(), "kill runs");
    }

    /// Whether the process runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The process at this moment.
    pub fn sample(&self) -> Sample {
        let pid = self.process.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Sample { resident: resident.unwrap_or_default() << 10, files: files as u64 }
    }

    /// Reloads that were put to work.
    pub fn reloads(&self) -> u64 {
        let answer = self.ask("/api/generation");
        let told: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        told["generation"].as_u64().or_else(|| told["number"].as_u64()).unwrap_or(1).saturating_sub(1)
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.ask("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|v| v.parse().ok()).unwrap_or_default()
    }

    fn ask(&self, path: &str) -> String {
        let admin = self.admin;
        let mut answer = String::new();
        let asked = TcpStream::connect(admin).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let token = "Authorization: Bearer 0123456789abcdef";
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\n{token}\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        });
        asked
            .map(|_| answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
            .unwrap_or_default()
    }

    fn wait(&self, what: &str, is_due: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_due(self) {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: not after a minute; {}", self.said());
            std::thread::sleep(PAUSE);
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    /// Waits until what clients had open is closed, for as long as that may take.
    pub fn settle(&self, started: &Sample, to_origins: impl Fn() -> u64, tally: &Tally) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if self.sample().files <= started.files + to_origins() + SPARE {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let connections: f64 = [self.plain, self.secured]
            .iter()
            .map(|address| self.metric(&format!("portcullis_client_connections{{listener=\"{address}\"}}")))
            .sum();
        if connections > 0.0 {
            tally.wrong("a connection that nobody has", format!("{connections} are counted as open"));
        }
    }

    /// What it does when all is over: it still serves and still blocks, ends in good order, and has not panicked.
    pub fn end(&mut self, tally: &Tally) {
        if self.is_alive() {
            let ask = |target: &str| {
                let request = get(target).replace("a.test", "shop.test");
                let request =
                    request.replace("\r\n\r\n", "\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n");
                Client::connect(self.plain).send(request).read().map_or(0, |response| response.status)
            };
            let (ordinary, attack) =
                (ask("/last?q=lighthouse"), ask("/last?q=%3Cscript%3Ealert(1)%3C/script%3E"));
            if (ordinary, attack) != (200, 403) {
                tally.wrong("at the end", format!("an ordinary request got {ordinary}, an attack {attack}"));
            }
            self.signal("TERM");
            let began = Instant::now();
            let ended = loop {
                match self.process.try_wait() {
                    Ok(Some(status)) => break Some(status),
                    _ if began.elapsed() > Duration::from_secs(40) => break None,
                    _ => std::thread::sleep(PAUSE),
                }
            };
            if !ended.is_some_and(|status| status.success()) {
                tally.wrong("it does not end", format!("{ended:?}"));
            }
        }
        let said = self.said();
        if let Some(path) = std::env::var_os("PORTCULLIS_SOAK_LOG") {
            let _ = fs::write(path, &said);
        }
        for line in said.lines().filter(|line| line.contains("panicked")) {
            tally.wrong("a panic", line);
        }
        for wanted in
            ["the shared store is gone", "the shared store is there", "the new configuration is refused"]
        {
            if !said.contains(wanted) {
                tally.wrong("nothing was said", wanted);
            }
        }
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a file at once, so that nobody reads half of it.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).expect("written");
}
