//! Servers that people run, each told to be as lenient as it can be and to log every request that it makes of its
//! bytes: id, request line, status, header fields and body.

use crate::support::authority::has;
use crate::support::origin::nobody;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Apache,
    Node,
}

/// A running server. It ends when this is dropped.
pub struct Recorder {
    pub address: SocketAddr,
    kind: Kind,
    process: Child,
    directory: tempfile::TempDir,
}

/// A request, or what the server took for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `X-Request-Id`; none when it had no such header, or no readable head.
    pub id: Option<String>,
    /// The request line.
    pub line: String,
    /// What the server answered.
    pub status: u16,
    /// Header fields, as far as the server tells them: Node all, in order; the others those of [`FIELDS`] that were
    /// there, with several values in one. None when it has refused the request by itself.
    pub fields: Option<Vec<(String, String)>>,
    /// The body; none when the server does not tell it: it has refused the request by itself, or is Apache and the
    /// method neither POST nor PUT.
    pub body: Option<Vec<u8>>,
}

/// What nginx and Apache log of the header.
pub const FIELDS: [&str; 3] = ["host", "content-type", "cookie"];

impl Kind {
    /// What stands between several values of a field where the server makes one of them.
    pub fn joint(self, field: &str) -> &'static str {
        if self == Kind::Nginx && field == "cookie" { "; " } else { ", " }
    }
}

impl Recorder {
    /// Starts one; none when the program is not installed.
    pub fn start(kind: Kind) -> Option<Self> {
        let program = match kind {
            Kind::Nginx => "nginx",
            Kind::Apache => "apache2",
            Kind::Node => "node",
        };
        if !has(program) {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        readable_by_all(directory.path());
        let address = nobody();
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => {
                let file = write(directory.path(), "nginx.conf", &nginx(address, directory.path()));
                command.arg("-c").arg(file).args(["-e", "/dev/null"]);
            }
            Kind::Apache => {
                write(directory.path(), "recorder.lua", include_str!("recorder.lua"));
                let file = write(directory.path(), "apache.conf", &apache(address, directory.path()));
                command.arg("-f").arg(file).arg("-DFOREGROUND");
            }
            Kind::Node => {
                let file = write(directory.path(), "recorder.js", include_str!("recorder.js"));
                command.arg(file).arg(address.port().to_string()).arg(directory.path().join("access.log"));
            }
        }
        let process = command.stdin(Stdio::null()).spawn().expect("it runs");
        let recorder = Self { address, kind, process, directory };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "{program} does not listen: {}", recorder.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(recorder)
    }

    /// All that it has logged.
    pub fn entries(&self) -> Vec<Entry> {
        let log = std::fs::read(self.directory.path().join("access.log")).unwrap_or_default();
        let whole = log.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let lines = log[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty());
        lines.map(|line| self.entry(line)).collect()
    }

    fn entry(&self, line: &[u8]) -> Entry {
        let mut parts = line.split(|b| *b == b'\t');
        let mut next = || unescape(parts.next().expect("as many parts as were asked for"));
        let (id, line, status) = (next(), next(), next());
        let status: u16 = latin(&status).parse().expect("a status");
        let fields = match self.kind {
            Kind::Node => next().strip_prefix(b"=").map(|digits| {
                let text = latin(&from_hexadecimal(digits));
                let lines: Vec<&str> = text.split('\n').collect();
                lines.chunks_exact(2).map(|field| (field[0].to_owned(), field[1].to_owned())).collect()
            }),
            Kind::Nginx | Kind::Apache => {
                let told = FIELDS.map(|name| (name.to_owned(), latin(&next())));
                (status < 400).then(|| told.into_iter().filter(|(_, value)| value != "-").collect())
            }
        };
        let body = next();
        let body = match self.kind {
            // What has no body and what is not told look the same.
            Kind::Nginx if body == b"-" => (status < 400).then(Vec::new),
            Kind::Nginx => Some(body),
            Kind::Apache | Kind::Node => body.strip_prefix(b"=").map(from_hexadecimal),
        };
        let id = (id != b"-").then(|| latin(&id));
        Entry { id, line: latin(&line), status, fields, body }
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Apache takes its children along when it is asked, and not when it is killed.
        if let Ok(id) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.process.wait();
    }
}

fn nginx(address: SocketAddr, directory: &Path) -> String {
    let path = directory.display();
    // Only what has been handed on is in `$request_body`: hence the second server.
    format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log; user root;
         events {{ worker_connections 1024; }}
         http {{
             client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s; access_log off;
             client_header_buffer_size 128k; large_client_header_buffers 8 128k;
             client_body_buffer_size 2m; client_max_body_size 0;
             ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
             log_format plain '$http_x_request_id\t$request\t$status\t$http_host\t$http_content_type\t$http_cookie\t$request_body';
             server {{
                 listen {address}; access_log {path}/access.log plain;
                 location / {{ proxy_pass http://unix:{path}/inner; }}
             }}
             server {{ listen unix:{path}/inner; location / {{ return 200 fine; }} }}
         }}"
    )
}

fn apache(address: SocketAddr, directory: &Path) -> String {
    let path = directory.display();
    let modules = Path::new("/usr/lib/apache2/modules").display();
    format!(
        "ServerRoot {path}\nServerName a.test\nPidFile {path}/pid\nErrorLog {path}/error.log\nMutex pthread\n\
         Listen {address}\n\
         LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         LoadModule lua_module {modules}/mod_lua.so\n\
         User www-data\nGroup www-data\n\
         HttpProtocolOptions Unsafe\nAllowEncodedSlashes NoDecode\nTraceEnable Off\n\
         LimitRequestLine 131072\nLimitRequestFieldSize 131072\nLimitRequestFields 1000\nLimitRequestBody 0\n\
         LuaMapHandler \"^/\" {path}/recorder.lua\n\
         LogFormat \"%{{X-Request-Id}}i\\t%r\\t%>s\\t%{{Host}}i\\t%{{Content-Type}}i\\t%{{Cookie}}i\\t%{{body}}n\" plain\nCustomLog {path}/access.log plain\n"
    )
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

/// Apache's children run as another user.
fn readable_by_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).expect("our directory");
}

/// Undoes the escapes of access logs: `\xHH`, and in Apache's also those of C.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let (plain, left) = match (byte, after) {
            (b'\\', [b'x' | b'X', a, b, left @ ..]) => (from_hexadecimal(&[*a, *b])[0], left),
            (b'\\', [b'n', left @ ..]) => (b'\n', left),
            (b'\\', [b'r', left @ ..]) => (b'\r', left),
            (b'\\', [b't', left @ ..]) => (b'\t', left),
            (b'\\', [b'b', left @ ..]) => (8, left),
            (b'\\', [b'v', left @ ..]) => (11, left),
            (b'\\', [other, left @ ..]) => (*other, left),
            (other, left) => (*other, left),
        };
        out.push(plain);
        rest = left;
    }
    out
}

fn from_hexadecimal(digits: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(digits).expect("digits");
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("a hexadecimal digit"))
        .collect()
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}
