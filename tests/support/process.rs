//! `portcullis run` as a process of its own.

use super::client::{Response, exchange};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The token of the admin listener in configurations of tests.
pub const TOKEN: &str = "a-token-of-many-letters";

/// A running server with a directory for its files; it is killed when this is dropped.
pub struct Running {
    directory: tempfile::TempDir,
    process: Child,
    /// Its listener.
    pub proxy: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    /// Writes these files, `portcullis.yaml` among them, and starts with that; it has one listener and the admin
    /// listener, both on port 0.
    pub fn start(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("written");
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "-c"])
            .arg(directory.path().join("portcullis.yaml"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let stderr = process.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut told = Vec::new();
        let mut address = |prefix: &str| -> SocketAddr {
            loop {
                let line = lines.next().unwrap_or_else(|| panic!("no {prefix}: {told:#?}"));
                if let Some(address) = line.strip_prefix(prefix) {
                    return address.parse().expect("an address");
                }
                told.push(line);
            }
        };
        let (proxy, admin) = (address("listening on "), address("admin on http://"));
        // A pipe that is full would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { directory, process, proxy, admin }
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sends a request, and reads the answer.
    pub fn send(&self, request: impl AsRef<[u8]>) -> Response {
        exchange(self.proxy, request)
    }

    /// Runs `portcullis` with these arguments in its directory, with that token for the admin listener.
    pub fn run(&self, arguments: &[&str], token: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(self.directory.path());
        command.env_remove("PORTCULLIS_CONFIG").env("PORTCULLIS_ADMIN_TOKEN", token).output().expect("run")
    }

    /// The same with the admin listener's address, which it asks.
    pub fn tell(&self, arguments: &[&str], token: &str) -> Output {
        self.run(&[arguments, &["--admin", &self.admin.to_string()]].concat(), token)
    }

    /// What it tells as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.tell(arguments, TOKEN);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Loads its configuration anew.
    pub fn reload(&self) {
        let request = format!(
            "POST /api/reload HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.admin
        );
        let answer = exchange(self.admin, request);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Waits until it holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
