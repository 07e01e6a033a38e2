//! `portcullis bans`: asks the admin listener of a running instance.

use super::console::{complain, say};
use super::{AdminArgs, BansCommand};
use crate::config::{self, DEFAULT_ADMIN, Overrides};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Lists or lifts bans. False when the instance did not do as it was told.
pub(super) fn bans(command: &BansCommand) -> bool {
    let result = match command {
        BansCommand::List { admin, json } => list(admin, *json),
        BansCommand::Lift { admin, client, all } => lift(admin, client, *all),
    };
    match result {
        Ok(good) => good,
        Err(message) => {
            complain(&format!("error: {message}\n"));
            false
        }
    }
}

fn list(admin: &AdminArgs, json: bool) -> Result<bool, String> {
    let answer = ask(admin, "GET", "/api/bans")?;
    if json {
        say(&format!("{answer}\n"));
        return Ok(true);
    }
    let bans = answer.get("bans").and_then(Value::as_array).cloned().unwrap_or_default();
    if bans.is_empty() {
        say("nobody is banned\n");
        return Ok(true);
    }
    let mut out = String::new();
    let _ = writeln!(out, "{:<43} {:<20} {:>6}  {:<20} mode", "client", "until", "number", "site");
    for ban in &bans {
        let text = |key: &str| ban.get(key).and_then(Value::as_str).unwrap_or("?");
        let number = ban.get("number").and_then(Value::as_u64).unwrap_or(0);
        let is_on = ban.get("enforced").and_then(Value::as_bool).unwrap_or(false);
        let mode = if is_on { "On" } else { "DetectionOnly" };
        let (client, until, site) = (text("client"), text("until"), text("site"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{client:<43} {until:<20} {number:>6}  {site:<20} {mode}");
    }
    say(&out);
    Ok(true)
}

fn lift(admin: &AdminArgs, clients: &[String], all: bool) -> Result<bool, String> {
    if all {
        let answer = ask(admin, "POST", "/api/bans/lift?all")?;
        say(&format!("{} lifted\n", lifted(&answer).len()));
        return Ok(true);
    }
    let mut good = true;
    for client in clients {
        if !client.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'/')) {
            return Err(format!("`{client}` is no address"));
        }
        let answer = ask(admin, "POST", &format!("/api/bans/lift?client={client}"))?;
        match lifted(&answer).first() {
            Some(client) => say(&format!("lifted {client}\n")),
            None => {
                complain(&format!("{client} is not banned\n"));
                good = false;
            }
        }
    }
    Ok(good)
}

fn lifted(answer: &Value) -> Vec<String> {
    let all = answer.get("lifted").and_then(Value::as_array).cloned().unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The admin listener's answer to a request, if it is a good one.
fn ask(admin: &AdminArgs, method: &str, target: &str) -> Result<Value, String> {
    let (address, token) = destination(admin)?;
    let about = |error: std::io::Error| format!("the admin listener at {address}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(about)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(about)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(about)?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\n{token}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(about)?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).map_err(about)?;
    let text = String::from_utf8_lossy(&bytes);
    let no_http = || format!("what answers at {address} is no admin listener of Portcullis");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(no_http)?;
    let answer: Value = serde_json::from_str(body).map_err(|_| no_http())?;
    if status == 200 {
        return Ok(answer);
    }
    let why = answer.get("error").and_then(Value::as_str).unwrap_or("it gives no reason");
    let help = match status {
        401 => "; give it by --config or PORTCULLIS_ADMIN_TOKEN",
        _ => "",
    };
    Err(format!("the admin listener at {address} answers {status}: {why}{help}"))
}

/// Where the instance listens, and its token: as flags and environment say, else as the configuration does.
fn destination(admin: &AdminArgs) -> Result<(SocketAddr, Option<String>), String> {
    let (mut address, mut token) = (DEFAULT_ADMIN, None);
    if let Some(path) = &admin.config {
        let loaded = config::load(Some(path), &Overrides::default());
        let config = loaded
            .config
            .ok_or_else(|| format!("{} is not usable; `portcullis check -c` says why", path.display()))?;
        let own = config.admin.ok_or("the configuration switches the admin listener off")?;
        address = own.address;
        token = own.token.map(|token| token.expose().to_owned());
    }
    address = admin.admin.unwrap_or(address);
    // A listener on all addresses is asked on this machine's own.
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok((address, std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().or(token)))
}

/// How long the listener may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer: the longest list of bans has some 12 MB.
const MOST: u64 = 64 << 20;
