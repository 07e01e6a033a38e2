//! The store that several instances share: what it is, and how it is read.

use super::HostPattern;
use super::place::Place;
use super::reader::Section;
use super::schema;
use super::secret::{self, Secret};
use super::site::name;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::path::PathBuf;
use std::time::Duration;

/// A Redis or Valkey server in which several instances know together what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub server: RedisServer,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The database's number.
    pub database: u32,
    /// Who we are; none for the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a request waits for an answer.
    pub timeout: Duration,
    /// Whether persistent collections live there as well.
    pub collections: bool,
}

/// Where a Redis server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServer {
    /// Over the network.
    Tcp {
        /// Host name or IP address (IPv6 without brackets).
        host: String,
        /// Port.
        port: u16,
        /// Whether over TLS, verified.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RedisServer::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            RedisServer::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            RedisServer::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The shared store; none unless there is a section for it.
pub(super) fn read(store: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Redis> {
    let node = store.get("redis")?;
    let section = Section::new(&schema::REDIS, node, out);
    let url = if section.required("url", out) { section.value("url", out, parse_url) } else { None };
    let ca = place.existing(&section, "ca", out);
    let password = secret::read(&section, "password", place, out);
    let timeout = section.duration("timeout", (0, 1), out).unwrap_or(Duration::from_millis(10));
    let prefix = section.value("prefix", out, name).unwrap_or_else(|| "portcullis".to_owned());
    let username = section.text("username", out);
    let collections = section.boolean("collections", out).unwrap_or(false);
    let (server, database) = url?;
    let is_tls = matches!(server, RedisServer::Tcp { tls: true, .. });
    if ca.is_some() && !is_tls {
        let what = "`ca` has a meaning for a `rediss` URL only";
        out.push(Diagnostic::error("config-conflict", section.span(), what));
    }
    if username.is_some() && password.is_none() {
        let what = "a `username` has a `password`";
        out.push(Diagnostic::error("config-missing", section.span(), what));
    }
    Some(Redis { server, ca, database, username, password, prefix, timeout, collections })
}

/// A URL's server and database. Complaints never quote it: people write passwords into such URLs.
fn parse_url(url: &str) -> Result<(RedisServer, u32), String> {
    let shape = "expected `redis://host[:port][/database]`, `rediss://…` or `unix:///path`";
    let (scheme, rest) = url.split_once("://").ok_or(shape)?;
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        "unix" if rest.starts_with('/') => return Ok((RedisServer::Unix(rest.into()), 0)),
        _ => return Err(shape.to_owned()),
    };
    if rest.contains('@') {
        return Err("give `username` and `password` by themselves: a URL is shown in logs".to_owned());
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match database {
        "" => 0,
        number => number.parse().map_err(|_| "the database is a number".to_owned())?,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse::<u16>().ok().filter(|p| *p != 0);
            (host, port.ok_or("the port is a number from 1 to 65535")?)
        }
        _ => (authority, 6379),
    };
    match host.parse::<HostPattern>() {
        Ok(HostPattern::Exact(host)) => Ok((RedisServer::Tcp { host, port, tls }, database)),
        _ => Err(shape.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_never_quoted() {
        let shown = |url: &str| parse_url(url).map(|(server, database)| format!("{server} {database}"));
        for (url, expected) in [
            ("redis://10.0.0.5", "10.0.0.5:6379 0"),
            ("rediss://cache.internal:7000/3", "cache.internal:7000 3"),
            ("redis://[::1]:6380/", "[::1]:6380 0"),
            ("unix:///run/redis/redis.sock", "/run/redis/redis.sock 0"),
        ] {
            assert_eq!(shown(url).as_deref(), Ok(expected));
        }
        for bad in [
            "redis://:hunter2@host",
            "host:6379",
            "http://host",
            "redis://",
            "redis://host:0",
            "redis://host/x",
            "unix://relative",
            "redis://hunter2 host",
        ] {
            assert!(shown(bad).is_err_and(|message| !message.contains("hunter2")), "{bad}");
        }
    }
}
