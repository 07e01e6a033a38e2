//! Who may ask the admin listener for what.

use crate::config::Admin;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The `Host` is none of the listener's own: a name that somebody pointed at this address, so that a visitor's
    /// browser would take its answers for that name's (DNS rebinding).
    Host,
    /// It was sent by a web page of another origin.
    Origin,
    /// It brings no token, or a wrong one.
    Token,
    /// There is no token, so only this machine may ask.
    Remote,
}

/// What a request says about itself.
pub(super) struct Visit<'a> {
    /// `Host`, or the authority of an absolute target; absent in HTTP/1.0.
    pub(super) host: Option<&'a str>,
    /// `Origin`.
    pub(super) origin: Option<&'a str>,
    /// `Authorization`.
    pub(super) authorization: Option<&'a [u8]>,
    /// The peer.
    pub(super) peer: IpAddr,
}

/// Whether anything at all may be asked.
pub(super) fn may_visit(visit: &Visit<'_>, admin: &Admin) -> Result<(), Refusal> {
    // A browser always sends a Host; what sends none (a bare probe) is no rebound page.
    if let Some(host) = visit.host
        && !is_own(host_name(host), admin)
    {
        return Err(Refusal::Host);
    }
    if let Some(origin) = visit.origin {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if authority.is_none() || authority != visit.host {
            return Err(Refusal::Origin);
        }
    }
    Ok(())
}

/// Whether the API may be used.
pub(super) fn may_use_api(visit: &Visit<'_>, admin: &Admin) -> Result<(), Refusal> {
    let Some(token) = &admin.token else {
        return if visit.peer.to_canonical().is_loopback() { Ok(()) } else { Err(Refusal::Remote) };
    };
    let brought = visit.authorization.and_then(bearer).unwrap_or_default();
    let same: bool = brought.ct_eq(token.expose().as_bytes()).into();
    if same { Ok(()) } else { Err(Refusal::Token) }
}

fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// A `Host` without its port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_own(name: &str, admin: &Admin) -> bool {
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || admin.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT_ADMIN, Secret};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn admin(token: Option<&str>) -> Admin {
        Admin {
            address: DEFAULT_ADMIN,
            token: token.map(Secret::new),
            hosts: vec!["waf.internal".to_owned()],
        }
    }

    fn visit<'a>(host: Option<&'a str>, origin: Option<&'a str>) -> Visit<'a> {
        Visit { host, origin, authorization: None, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    #[test]
    fn only_own_names_are_answered() {
        let admin = admin(None);
        for own in
            ["127.0.0.1:9180", "127.0.0.1", "[::1]:9180", "localhost", "LOCALHOST:1", "waf.internal:9180"]
        {
            assert_eq!(may_visit(&visit(Some(own), None), &admin), Ok(()), "{own}");
        }
        for foreign in ["evil.example:9180", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"] {
            let expected = if foreign == "[::1" { Ok(()) } else { Err(Refusal::Host) };
            assert_eq!(may_visit(&visit(Some(foreign), None), &admin), expected, "{foreign}");
        }
        assert_eq!(may_visit(&visit(None, None), &admin), Ok(()));
        let here = Some("127.0.0.1:9180");
        assert_eq!(may_visit(&visit(here, Some("http://127.0.0.1:9180")), &admin), Ok(()));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            assert_eq!(may_visit(&visit(here, Some(origin)), &admin), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn a_token_counts_from_anywhere_and_without_one_only_loopback() {
        let from = |peer: IpAddr, authorization: Option<&'static str>, token: Option<&str>| {
            let visit = Visit { authorization: authorization.map(str::as_bytes), peer, ..visit(None, None) };
            may_use_api(&visit, &admin(token))
        };
        let (near, far): (IpAddr, IpAddr) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(192, 0, 2, 1).into());
        assert_eq!(from(near, None, None), Ok(()));
        assert_eq!(from(Ipv6Addr::LOCALHOST.into(), None, None), Ok(()));
        assert_eq!(from(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), None, None), Ok(()));
        assert_eq!(from(far, None, None), Err(Refusal::Remote));
        assert_eq!(from(far, Some("bearer 0123456789abcdef"), Some("0123456789abcdef")), Ok(()));
        for wrong in [None, Some("Bearer"), Some("Bearer "), Some("Bearer 0123456789abcdeX"), Some("Basic x")]
        {
            assert_eq!(from(near, wrong, Some("0123456789abcdef")), Err(Refusal::Token), "{wrong:?}");
        }
    }
}
