//! Bans over HTTP: which there are, and their end.

use crate::admission::{Admission, Ban};
use crate::config::Checked;
use ip_network::IpNetwork;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The bans that hold at `now`.
pub(super) fn list(admission: &Admission, now: SystemTime) -> Value {
    let bans: Vec<Value> = admission.bans().list(now).iter().map(one).collect();
    json!({ "bans": bans })
}

fn one(ban: &Ban) -> Value {
    json!({
        "client": client(&ban.client),
        "since": stamp(ban.since),
        "until": stamp(ban.until),
        "number": ban.number,
        "site": ban.site,
        "enforced": ban.enforced,
    })
}

/// Ends bans as a query says: `client=ADDRESS`, an address or a network as the list has it, or `all`. Gives the clients
/// that were banned and are not any more.
///
/// # Errors
///
/// When the query says neither.
pub(super) fn lift(
    admission: &Admission,
    config: &Checked,
    query: &str,
    now: SystemTime,
) -> Result<Vec<String>, String> {
    let wanted = match query.split_once('=') {
        None if query == "all" => None,
        Some(("client", text)) => {
            Some(network(&text.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/"))?)
        }
        _ => return Err("say `?client=ADDRESS` or `?all`".to_owned()),
    };
    let clients: Vec<IpNetwork> = match wanted {
        Some(client) => vec![client],
        None => admission.bans().list(now).into_iter().map(|ban| ban.client).collect(),
    };
    let lifted = clients.into_iter().filter_map(|c| admission.lift(config, c, now));
    Ok(lifted.map(|network| client(&network)).collect())
}

/// An address for one client, a network for several.
fn client(network: &IpNetwork) -> String {
    match network {
        IpNetwork::V4(v4) if v4.netmask() == 32 => v4.network_address().to_string(),
        IpNetwork::V6(v6) if v6.netmask() == 128 => v6.network_address().to_string(),
        other => other.to_string(),
    }
}

fn network(text: &str) -> Result<IpNetwork, String> {
    let bad = || "expected an address such as 192.0.2.1, or a network as the list has it".to_owned();
    match text.split_once('/') {
        None => text.parse::<IpAddr>().map(|a| IpNetwork::from(a.to_canonical())).map_err(|_| bad()),
        Some((address, prefix)) => {
            let address: IpAddr = address.parse().map_err(|_| bad())?;
            IpNetwork::new_truncate(address, prefix.parse().map_err(|_| bad())?).map_err(|_| bad())
        }
    }
}

fn stamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_they_are_read() {
        for text in ["192.0.2.1", "2001:db8::/64", "2001:db8::1", "10.0.0.0/8"] {
            assert_eq!(client(&network(text).expect("sound")), text);
        }
        for bad in ["", "example.com", "10.0.0.0/33", "1.2.3.4/x"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
