//! Bans that several instances know together.
//!
//! The shared store has a table with a record for each client that is banned, or was, and a number that grows with each
//! change of it. Every instance has all of it in memory, and looks once a second whether the number has changed. Of two
//! records of a client the younger one counts; a lifted ban is a record that ended when it began. What the store lacks,
//! since it was gone or has lost its memory, it is told again. So no request waits for it, a new ban holds at once where
//! it was earned, and elsewhere a second later.

use super::bans::{Ban, BanList};
use crate::store::SharedStore;
use ip_network::IpNetwork;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often the table's number is looked at.
pub(super) const PULSE: Duration = Duration::from_secs(1);

/// What of the table has been read: of which connection, and which number.
pub(super) type Seen = Option<(u64, u64)>;

/// Takes over what others know, and tells them what they do not.
pub(super) async fn exchange(store: &SharedStore, bans: &BanList, seen: &mut Seen, now: SystemTime) {
    let epoch = store.epoch();
    if epoch == 0 {
        return;
    }
    let mut get = redis::cmd("GET");
    get.arg(store.key("bans", "version"));
    let Some(version) = store.command::<Option<u64>>(get).await else { return };
    let version = version.unwrap_or(0);
    if *seen == Some((epoch, version)) {
        return;
    }
    let mut all = redis::cmd("HGETALL");
    all.arg(store.key("bans", "table"));
    let Some(table) = store.command::<HashMap<String, String>>(all).await else { return };
    let mut records = Vec::new();
    for (client, text) in table {
        match decode(&client, &text) {
            Some(ban) if ban.forgotten > now => records.push(ban),
            // Past, or written by something else.
            _ => {
                let mut remove = redis::cmd("HDEL");
                remove.arg(store.key("bans", "table")).arg(client);
                let _: Option<u64> = store.command(remove).await;
            }
        }
    }
    for ban in bans.merge(records, now) {
        publish(store, &ban).await;
    }
    *seen = Some((epoch, version));
}

/// Tells others of a record. What fails is told with the next exchange.
pub(super) async fn publish(store: &SharedStore, ban: &Ban) {
    let mut set = redis::cmd("HSET");
    set.arg(store.key("bans", "table")).arg(ban.client.to_string()).arg(encode(ban));
    if store.command::<u64>(set).await.is_some() {
        let mut grow = redis::cmd("INCR");
        grow.arg(store.key("bans", "version"));
        let _: Option<u64> = store.command(grow).await;
    }
}

fn encode(ban: &Ban) -> String {
    let millis = |time: SystemTime| super::bans::millis(time.duration_since(UNIX_EPOCH).unwrap_or_default());
    let (since, until, forgotten) = (millis(ban.since), millis(ban.until), millis(ban.forgotten));
    format!("{since} {until} {forgotten} {} {} {}", ban.number, u8::from(ban.enforced), ban.site)
}

fn decode(client: &str, text: &str) -> Option<Ban> {
    let mut words = text.splitn(6, ' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (since, until, forgotten) = (number()?, number()?, number()?);
    let (count, enforced) = (u32::try_from(number()?).ok()?, number()? == 1);
    let time = |millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    Some(Ban {
        client: client.parse::<IpNetwork>().ok()?,
        since: time(since)?,
        until: time(until)?,
        forgotten: time(forgotten)?,
        number: count,
        site: words.next()?.to_owned(),
        enforced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let ban = Ban {
            client: "2001:db8::/64".parse().expect("a network"),
            since: UNIX_EPOCH + Duration::from_millis(1),
            until: UNIX_EPOCH + Duration::from_millis(2),
            forgotten: UNIX_EPOCH + Duration::from_millis(3),
            number: 4,
            site: "shop".to_owned(),
            enforced: true,
        };
        assert_eq!(decode(&ban.client.to_string(), &encode(&ban)), Some(ban));
        for bad in ["", "1 2 3", "x 2 3 4 1 s", "99999999999999999999 2 3 4 1 s"] {
            assert_eq!(decode("192.0.2.1/32", bad), None, "{bad}");
        }
    }
}
