//! Asking a running instance's admin listener.

use crate::config::{self, Overrides};
use clap::{Args, ValueHint};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// Which instance, and how to be let in.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Address of the instance's admin listener [default: that of the configuration, or 127.0.0.1:9180].
    #[arg(long, value_name = "ADDR", env = "PORTCULLIS_ADMIN", hide_env_values = true)]
    pub admin: Option<String>,
    /// File with the admin listener's token [default: PORTCULLIS_ADMIN_TOKEN, or what the configuration says].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// The instance's configuration, for the admin listener's address and token.
    #[arg(short, long, value_name = "FILE", env = "PORTCULLIS_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// An instance's admin listener.
pub(super) struct Remote {
    host: String,
    token: Option<String>,
}

impl Remote {
    /// The one that `args` and the environment name.
    ///
    /// # Errors
    ///
    /// When the configuration or the token's file cannot be read.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, String> {
        let mut host =
            args.admin.as_deref().map(|a| a.trim_start_matches("http://").trim_end_matches('/').to_owned());
        let mut token = std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        if let Some(path) = &args.token_file {
            let text =
                std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            token = Some(text.trim().to_owned());
        }
        if let Some(path) = args.config.as_deref().filter(|_| host.is_none() || token.is_none()) {
            let loaded = config::load(Some(path), &Overrides::default());
            let config = loaded
                .config
                .ok_or_else(|| format!("{} has faults; see `portcullis check -c`", path.display()))?;
            match config.admin {
                Some(admin) => {
                    host.get_or_insert_with(|| reachable(admin.address).to_string());
                    token = token.or_else(|| admin.token.map(|token| token.expose().to_owned()));
                }
                None if host.is_none() => {
                    return Err(format!("{} switches the admin listener off", path.display()));
                }
                None => {}
            }
        }
        Ok(Self { host: host.unwrap_or_else(|| config::DEFAULT_ADMIN.to_string()), token })
    }

    /// The one at `address` (`127.0.0.1:9180`, with or without `http://`); `token` where the environment has none.
    pub(super) fn at(address: &str, token: Option<String>) -> Self {
        let args = RemoteArgs { admin: Some(address.to_owned()), token_file: None, config: None };
        // Without files, nothing can fail.
        let found = Self::new(&args).unwrap_or_else(|_| Self { host: address.to_owned(), token: None });
        Self { token: found.token.or(token), ..found }
    }

    /// Asks for `path` by `method`. The status and what was said.
    ///
    /// # Errors
    ///
    /// When nobody answers, or what answers is no admin listener, or does not let us in.
    pub(super) fn ask(&self, method: &str, path: &str) -> Result<(u16, Value), String> {
        let (status, body) = self.exchange(method, path)?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| self.strange())?;
        match (status, body["error"].as_str()) {
            (401 | 403 | 404 | 405 | 421 | 429, Some(error)) => Err(self.refused(status, error)),
            _ => Ok((status, body)),
        }
    }

    /// Asks for `path`, which is answered by text.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`]; and when the answer is another than 200.
    pub(super) fn text(&self, path: &str) -> Result<String, String> {
        let (status, body) = self.exchange("GET", path)?;
        if status == 200 {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        let told: Option<Value> = serde_json::from_slice(&body).ok();
        let error = told.as_ref().and_then(|told| told["error"].as_str());
        Err(self.refused(status, error.unwrap_or(&format!("it answers {status}"))))
    }

    fn refused(&self, status: u16, error: &str) -> String {
        let help = match status {
            401 => "; give it by --config or PORTCULLIS_ADMIN_TOKEN",
            _ => "",
        };
        format!("{}: {error}{help}", self.host)
    }

    fn strange(&self) -> String {
        format!("{} does not answer as an admin listener", self.host)
    }

    fn exchange(&self, method: &str, path: &str) -> Result<(u16, Vec<u8>), String> {
        let host = &self.host;
        let told = |error: std::io::Error| format!("{host}: {error}");
        let peer =
            host.to_socket_addrs().map_err(told)?.next().ok_or_else(|| format!("{host} has no address"))?;
        let mut stream = TcpStream::connect_timeout(&peer, CONNECT).map_err(told)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{token}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(told)?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).map_err(told)?;
        let end = crate::http::find_head_end(&answer).ok_or_else(|| self.strange())?;
        let body = answer.split_off(end);
        let head = String::from_utf8_lossy(&answer);
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| self.strange())?;
        Ok((status, body))
    }
}

/// An address to connect to, for one that is bound.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: rules are compiled for some.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of an answer.
const MOST: u64 = 64 << 20;
