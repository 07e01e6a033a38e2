//! What a rate limit tells requests apart by.

use super::request::Subject;
use crate::config::{KeyPart, RateLimit};
use crate::http::{COOKIE_SEPARATOR, CookieFormat, Pairs, parse_cookies};
use crate::limits;
use ip_network::IpNetwork;
use std::net::IpAddr;

/// The key of a request under `limit`, which stands for the site `site`; none when the limit does not count it.
/// `variable` tells members of `TX`.
///
/// Two requests have the same key exactly when all parts are the same: each part says how long it is.
pub(super) fn of(
    limit: &RateLimit,
    site: &str,
    subject: &Subject<'_>,
    variable: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    add(&mut key, b's', site.as_bytes());
    add(&mut key, b'l', limit.name.as_bytes());
    for part in &limit.key {
        match part {
            KeyPart::Site => {}
            KeyPart::Address => add_address(&mut key, limit, subject.address),
            KeyPart::Host => {
                let host = subject.host.trim_end_matches('.').to_ascii_lowercase();
                add(&mut key, b'h', host.as_bytes());
            }
            KeyPart::Path => add(&mut key, b'p', subject.coarse_path().as_bytes()),
            KeyPart::Header(name) => {
                let mut values = subject.head.values(name).peekable();
                if values.peek().is_none() {
                    add_address(&mut key, limit, subject.address);
                }
                for value in values {
                    add(&mut key, b'v', value);
                }
            }
            KeyPart::Cookie(name) => match cookie(subject, name.as_bytes()) {
                Some(value) => add(&mut key, b'c', &value),
                None => add_address(&mut key, limit, subject.address),
            },
            KeyPart::Variable(name) => {
                let value = variable(name).filter(|value| !value.is_empty())?;
                add(&mut key, b't', &value);
            }
        }
    }
    Some(key)
}

fn add(key: &mut Vec<u8>, kind: u8, value: &[u8]) {
    key.push(kind);
    key.extend_from_slice(&(value.len() as u64).to_be_bytes());
    key.extend_from_slice(value);
}

fn add_address(key: &mut Vec<u8>, limit: &RateLimit, address: IpAddr) {
    match network(address, limit.ipv4_prefix, limit.ipv6_prefix).network_address() {
        IpAddr::V4(v4) => add(key, b'4', &v4.octets()),
        IpAddr::V6(v6) => add(key, b'6', &v6.octets()),
    }
}

/// The network of `address` that is treated as one client.
pub(super) fn network(address: IpAddr, ipv4_prefix: u8, ipv6_prefix: u8) -> IpNetwork {
    let prefix = if address.is_ipv4() { ipv4_prefix } else { ipv6_prefix };
    // A checked configuration has no longer prefix than the family allows.
    IpNetwork::new_truncate(address, prefix).unwrap_or_else(|_| IpNetwork::from(address))
}

fn cookie(subject: &Subject<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let mut pairs = Pairs::new();
    for header in subject.head.values("cookie") {
        parse_cookies(header, CookieFormat::Netscape, COOKIE_SEPARATOR, limits::COOKIES, &mut pairs);
    }
    pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;
    use crate::http::RequestHead;
    use std::num::NonZeroU32;
    use std::time::Duration;

    fn key(parts: &[KeyPart], headers: &[(&str, &str)], address: &str) -> Option<Vec<u8>> {
        let limit = RateLimit {
            name: "l".to_owned(),
            key: parts.to_vec(),
            requests: NonZeroU32::MIN,
            period: Duration::from_secs(1),
            burst: NonZeroU32::MIN,
            ipv4_prefix: 24,
            ipv6_prefix: 64,
            scope: Scope::default(),
            status: 429,
        };
        let headers = headers.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let head = RequestHead { headers, ..RequestHead::default() };
        let address = address.parse().expect("an address");
        let subject = Subject::new(&head, "a.test".to_owned(), "/x".to_owned(), address);
        of(&limit, "site", &subject, &|name| (name == "user").then(|| b"ann".to_vec()))
    }

    #[test]
    fn addresses_are_cut_to_their_prefix() {
        let of = |address: &str| key(&[KeyPart::Address], &[], address);
        assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let parts = [KeyPart::Header("a".into()), KeyPart::Header("b".into())];
        let of = |a: &str, b: &str| key(&parts, &[("A", a), ("b", b)], "192.0.2.1");
        assert_ne!(of("xy", "z"), of("x", "yz"));
        assert_eq!(of("xy", "z"), of("xy", "z"));
    }

    #[test]
    fn who_brings_nothing_is_told_apart_by_address() {
        for part in [KeyPart::Header("x-key".into()), KeyPart::Cookie("id".into())] {
            let of = |address: &str| key(std::slice::from_ref(&part), &[], address);
            assert_ne!(of("192.0.2.1"), of("198.51.100.1"));
            assert_eq!(of("192.0.2.1"), key(&[KeyPart::Address], &[], "192.0.2.1"));
        }
        let cookie = |text: &str| key(&[KeyPart::Cookie("id".into())], &[("Cookie", text)], "192.0.2.1");
        assert_eq!(cookie("a=1; id=7"), cookie("id=7; b=2"));
        assert_ne!(cookie("id=7"), cookie("id=8"));
        assert!(key(&[KeyPart::Variable("user".into())], &[], "192.0.2.1").is_some());
        assert!(key(&[KeyPart::Variable("other".into())], &[], "192.0.2.1").is_none());
    }
}
