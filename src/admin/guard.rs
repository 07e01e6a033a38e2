//! Who may ask the admin listener for what.

use super::gate::Gate;
use crate::config::Admin;
use std::net::IpAddr;

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
    /// There is no token, so nobody may change anything.
    ReadOnly,
    /// Too many calls or wrong tokens; the seconds to wait.
    Rate(u32),
}

/// What a request says about itself.
pub(super) struct Visit<'a> {
    /// `Host`, or the authority of an absolute target; absent in HTTP/1.0.
    pub(super) host: Option<&'a str>,
    /// `Origin`.
    pub(super) origin: Option<&'a str>,
    /// `Sec-Fetch-Site`, which browsers send.
    pub(super) fetch_site: Option<&'a str>,
    /// `Authorization`.
    pub(super) authorization: Option<&'a [u8]>,
    /// The peer.
    pub(super) peer: IpAddr,
}

impl Visit<'_> {
    /// The bearer token that it brings; empty when it brings none.
    pub(super) fn bearer(&self) -> &[u8] {
        self.authorization.and_then(bearer).unwrap_or_default()
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Ask.
    Read,
    /// Ask, and change something.
    Change,
}

impl Access {
    pub(super) fn name(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Change => "change",
        }
    }
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

/// What the API may be used for. Whoever needs a token brings it in a header that no page of another origin can make
/// a browser send, so there is nothing to forge.
pub(super) fn may_use_api(visit: &Visit<'_>, admin: &Admin, gate: &Gate) -> Result<Access, Refusal> {
    if visit.fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Refusal::Origin);
    }
    gate.call(visit.peer)?;
    match &admin.token {
        Some(token) => gate.admit(token, visit.bearer(), visit.peer).map(|()| Access::Change),
        None if visit.peer.to_canonical().is_loopback() => Ok(Access::Read),
        None => Err(Refusal::Remote),
    }
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
        Visit { host, origin, fetch_site: None, authorization: None, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
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
    fn a_token_counts_from_anywhere_and_without_one_loopback_may_look() {
        let from = |peer: IpAddr, authorization: Option<&'static str>, token: Option<&str>| {
            let visit = Visit { authorization: authorization.map(str::as_bytes), peer, ..visit(None, None) };
            may_use_api(&visit, &admin(token), &Gate::default())
        };
        let (near, far): (IpAddr, IpAddr) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(192, 0, 2, 1).into());
        assert_eq!(from(near, None, None), Ok(Access::Read));
        assert_eq!(from(Ipv6Addr::LOCALHOST.into(), None, None), Ok(Access::Read));
        assert_eq!(from(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), None, None), Ok(Access::Read));
        assert_eq!(from(far, None, None), Err(Refusal::Remote));
        let token = Some("0123456789abcdef");
        assert_eq!(from(far, Some("bearer 0123456789abcdef"), token), Ok(Access::Change));
        for wrong in [None, Some("Bearer"), Some("Bearer "), Some("Bearer 0123456789abcdeX"), Some("Basic x")]
        {
            assert_eq!(from(near, wrong, token), Err(Refusal::Token), "{wrong:?}");
        }
    }

    #[test]
    fn pages_of_other_origins_get_no_data() {
        for (site, expected) in [
            ("same-origin", Ok(Access::Read)),
            ("none", Ok(Access::Read)),
            ("same-site", Err(Refusal::Origin)),
            ("cross-site", Err(Refusal::Origin)),
        ] {
            let visit = Visit { fetch_site: Some(site), ..visit(None, None) };
            assert_eq!(may_use_api(&visit, &admin(None), &Gate::default()), expected, "{site}");
        }
    }
}
