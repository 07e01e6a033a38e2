//! Reads where the shared store is.

use super::load::{read_bounded, required};
use super::reader::Section;
use super::schema;
use super::site::{Place, name};
use super::{HostPattern, Redis, RedisServer, Secret};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::time::Duration;

/// The shared store; none unless there is a section for it.
pub(super) fn read(store: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Redis> {
    let node = store.get("redis")?;
    let section = Section::new(&schema::REDIS, node, out);
    let url = if required(&section, "url", out) { section.value("url", out, parse_url) } else { None };
    let ca = place.existing(&section, "ca", out);
    let password = password(&section, place, out);
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

fn password(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Secret> {
    let inline = section.text("password", out);
    let file = place.existing(section, "password_file", out);
    match (inline, file) {
        (Some(_), Some(_)) => {
            let what = "`password` and `password_file` are two words for one thing; give one";
            out.push(Diagnostic::error("config-conflict", section.span(), what));
            None
        }
        (Some(password), None) => Some(Secret::new(password)),
        (None, Some(path)) => match read_bounded(&path) {
            Ok(text) => Some(Secret::new(text.trim())),
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                out.push(Diagnostic::error("config-unreadable", section.span(), what));
                None
            }
        },
        (None, None) => None,
    }
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
