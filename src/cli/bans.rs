//! `portcullis bans`: asks the admin listener of a running instance.

use super::console::{complain, say};
use super::remote::{Remote, RemoteArgs};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write as _;

/// `portcullis bans`.
#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// List the bans that hold now; those that end first come first.
    List {
        /// Whom to ask.
        #[command(flatten)]
        admin: RemoteArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lift bans, and forget the clients' earlier ones. Fails when one of them is not banned.
    Lift {
        /// Whom to tell.
        #[command(flatten)]
        admin: RemoteArgs,
        /// Addresses, or networks as the list has them.
        #[arg(value_name = "CLIENT", required_unless_present = "all")]
        client: Vec<String>,
        /// Lift all of them.
        #[arg(long, conflicts_with = "client")]
        all: bool,
    },
}

/// Below its `--help`.
pub(in crate::cli) const HELP: &str = "\
The admin listener's token is that of the configuration, or PORTCULLIS_ADMIN_TOKEN of the environment.

Examples:
  portcullis bans list
  portcullis bans lift 192.0.2.7 2001:db8::/64
  portcullis bans lift --all -c /etc/portcullis/portcullis.yaml";

/// Lists or lifts bans. False when the instance did not do as it was told.
pub(super) fn bans(command: &BansCommand) -> bool {
    let result = match command {
        BansCommand::List { admin, json } => Remote::new(admin).and_then(|remote| list(&remote, *json)),
        BansCommand::Lift { admin, client, all } => {
            Remote::new(admin).and_then(|remote| lift(&remote, client, *all))
        }
    };
    match result {
        Ok(good) => good,
        Err(message) => {
            complain(&format!("error: {message}\n"));
            false
        }
    }
}

fn list(remote: &Remote, json: bool) -> Result<bool, String> {
    let answer = ask(remote, "GET", "/api/bans")?;
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

fn lift(remote: &Remote, clients: &[String], all: bool) -> Result<bool, String> {
    if all {
        let answer = ask(remote, "POST", "/api/bans/lift?all")?;
        say(&format!("{} lifted\n", lifted(&answer).len()));
        return Ok(true);
    }
    let mut good = true;
    for client in clients {
        if !client.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'/')) {
            return Err(format!("`{client}` is no address"));
        }
        let answer = ask(remote, "POST", &format!("/api/bans/lift?client={client}"))?;
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
fn ask(remote: &Remote, method: &str, target: &str) -> Result<Value, String> {
    let (status, answer) = remote.ask(method, target)?;
    match status {
        200 => Ok(answer),
        _ => Err(answer["error"].as_str().map_or_else(|| format!("it answers {status}"), str::to_owned)),
    }
}
