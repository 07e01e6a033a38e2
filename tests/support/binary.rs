//! The real binary, with a configuration in a directory of its own.

use super::client::{Response, exchange};
use super::command::{json_of, program};
use super::wait::eventually;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What its admin listener wants to be told.
pub const TOKEN: &str = "a-token-of-many-letters";

/// `portcullis run`; it is killed when this is dropped.
pub struct Binary {
    pub directory: tempfile::TempDir,
    process: Child,
    said: Receiver<String>,
    /// Lines that were read while others were looked for.
    told: Vec<String>,
    /// What it listens on, in the order of the configuration.
    pub listening: Vec<String>,
    pub admin: SocketAddr,
}

impl Binary {
    /// Starts it with `configuration` beside `files`. There has to be an admin listener.
    pub fn start(files: &[(&str, &str)], configuration: &str) -> Self {
        Self::start_with(files, configuration, |command| command)
    }

    /// The same, with a `change` of the command, such as variables of its environment.
    pub fn start_with(
        files: &[(&str, &str)],
        configuration: &str,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        Self::start_behind(&[], files, configuration, change)
    }

    /// The same behind another command, which becomes this one.
    pub fn start_behind(
        before: &[&str],
        files: &[(&str, &str)],
        configuration: &str,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let path = directory.path().join("portcullis.yaml");
        fs::write(&path, configuration).unwrap();
        let line = [before, &[env!("CARGO_BIN_EXE_portcullis"), "run", "-c"]].concat();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).arg(&path).current_dir(directory.path());
        Self::of(directory, change(&mut command))
    }

    /// Starts it by a command that has been made otherwise.
    pub fn of(directory: tempfile::TempDir, command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (tell, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let any = "127.0.0.1:1".parse().unwrap();
        let mut binary =
            Self { directory, process, said, told: Vec::new(), listening: Vec::new(), admin: any };
        let admin = binary.says("admin on http://");
        binary.admin = admin.parse().unwrap();
        let listening = binary.told.iter().filter_map(|line| line.strip_prefix("listening on "));
        binary.listening = listening.map(str::to_owned).collect();
        binary
    }

    /// The first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.listening[0].parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits for a line with `what`; gives what follows it.
    pub fn says(&mut self, what: &str) -> String {
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(30));
            let line = line.unwrap_or_else(|_| panic!("{what}: {:#?}", self.told));
            self.told.push(line.clone());
            if let Some((_, rest)) = line.split_once(what) {
                return rest.to_owned();
            }
        }
    }

    /// Everything it has said so far.
    pub fn log(&mut self) -> String {
        self.told.extend(self.said.try_iter());
        self.told.join("\n")
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.id().to_string()]).status().unwrap().success());
    }

    /// Sends a request to the first listener, and reads the answer.
    pub fn send(&self, request: impl AsRef<[u8]>) -> Response {
        exchange(self.address(), request)
    }

    /// Asks the admin listener for `path` by `method`.
    pub fn call(&self, method: &str, path: &str) -> Response {
        let admin = self.admin;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {TOKEN}\r\n");
        exchange(admin, format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n"))
    }

    /// What the admin listener shows at `path`.
    pub fn ask(&self, path: &str) -> String {
        self.call("GET", path).text()
    }

    /// The value of a series, 0 when there is none.
    pub fn metric(&self, series: &str) -> f64 {
        self.series(series).unwrap_or(0.0)
    }

    /// The value of a series, if there is one.
    pub fn series(&self, series: &str) -> Option<f64> {
        let text = self.ask("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok())
    }

    /// Loads its configuration anew.
    pub fn reload(&self) {
        let answer = self.call("POST", "/api/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Runs `portcullis` with these arguments in its directory, with that token for the admin listener.
    pub fn run(&self, arguments: &[&str], token: &str) -> Output {
        let mut command = program(self.directory.path(), arguments);
        command.env("PORTCULLIS_ADMIN_TOKEN", token).output().unwrap()
    }

    /// The same with the admin listener's address, which it asks.
    pub fn tell(&self, arguments: &[&str], token: &str) -> Output {
        self.run(&[arguments, &["--admin", &self.admin.to_string()]].concat(), token)
    }

    /// What it tells as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        json_of(&self.tell(arguments, TOKEN))
    }

    /// Waits for something.
    pub fn wait(&self, what: &str, mut is_due: impl FnMut(&Self) -> bool) {
        eventually(what, || is_due(self));
    }

    /// Ends it in good order.
    pub fn end(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait_for_end()
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
