//! Which site a request belongs to.
//!
//! A request's host decides first: an exact name beats a wildcard, a longer wildcard a shorter one, and both
//! beat "any". Among sites of one host the longest path prefix wins. A host that is named by some site never
//! falls back to a less exact host because its paths do not fit; a request without a site is refused, since
//! an unforeseen route is an uninspected one.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// A host name, a wildcard, or any host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: any host, and none.
    Any,
    /// `www.example.com`, in lower case.
    Exact(String),
    /// `*.example.com`: any name below `example.com`, at any depth, and not `example.com` itself. Kept in
    /// lower case with its leading dot.
    Wildcard(String),
}

impl HostPattern {
    /// Whether `host` (no port) is meant. A trailing dot is ignored, as it names the same host.
    pub fn matches(&self, host: &str) -> bool {
        let host = normalise(host);
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(name) => *name == host,
            HostPattern::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// Says what is wrong: a port, a `*` elsewhere than in front, characters that no host name has.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let lower = normalise(text);
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        if !wildcard && bare.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(HostPattern::Exact(bare.to_owned()));
        }
        if name.is_empty() || name.len() > 253 {
            return Err("a host name has 1 to 253 characters".to_owned());
        }
        if name.contains('*') {
            return Err("`*` may only stand alone or in front, as in `*.example.com`".to_owned());
        }
        if let Some((_, port)) = name.split_once(':') {
            return Err(format!("a host has no port here; leave out `:{port}`"));
        }
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !name.split('.').all(label) {
            return Err("not a host name (names beyond ASCII are written in their `xn--` form)".to_owned());
        }
        Ok(if wildcard { HostPattern::Wildcard(format!(".{name}")) } else { HostPattern::Exact(lower) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// Hosts and path prefixes of all sites, arranged for look-up: one hash probe a label of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Router {
    exact: HashMap<String, Vec<Prefix>>,
    wildcard: HashMap<String, Vec<Prefix>>,
    any: Vec<Prefix>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    path: String,
    site: usize,
}

impl Router {
    /// Adds a route. Returns the site that has this very route already, if one does; the first one keeps it.
    pub fn add(&mut self, host: &HostPattern, path: &str, site: usize) -> Option<usize> {
        let prefixes = match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Wildcard(suffix) => self.wildcard.entry(suffix.clone()).or_default(),
        };
        if let Some(taken) = prefixes.iter().find(|p| p.path == path) {
            return Some(taken.site);
        }
        prefixes.push(Prefix { path: path.to_owned(), site });
        prefixes.sort_by_key(|p| std::cmp::Reverse(p.path.len()));
        None
    }

    /// The site of `host` (without port) and `path` (normalised, without query).
    pub fn route(&self, host: &str, path: &str) -> Option<usize> {
        let host = normalise(host);
        let mut prefixes = self.exact.get(&host);
        if prefixes.is_none() && !self.wildcard.is_empty() && host.len() <= 253 {
            let dots = host.bytes().enumerate().filter(|(i, b)| *i > 0 && *b == b'.').map(|(i, _)| i);
            prefixes = dots.filter_map(|i| host.get(i..)).find_map(|suffix| self.wildcard.get(suffix));
        }
        prefixes.unwrap_or(&self.any).iter().find(|p| under(path, &p.path)).map(|p| p.site)
    }
}

/// Whether `path` is `prefix` or lies below it: `/app` covers `/app`, `/app/x` and not `/apple`.
fn under(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn normalise(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().expect(text)
    }

    #[test]
    fn hosts_match_exactly_or_below_a_wildcard() {
        assert!(pattern("Example.com").matches("example.COM."));
        assert!(!pattern("example.com").matches("www.example.com"));
        assert!(pattern("*.example.com").matches("a.b.example.com"));
        assert!(!pattern("*.example.com").matches("example.com"));
        assert!(!pattern("*.example.com").matches("badexample.com"));
        assert!(pattern("*").matches(""));
        assert!(pattern("[::1]").matches("::1"));
    }

    #[test]
    fn patterns_which_can_match_nothing_are_refused() {
        for bad in ["", "*.", "a*.example.com", "example.com:80", "exa mple.com", "a..b", "münchen.example"]
        {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_most_exact_host_wins_and_then_the_longest_prefix() {
        let mut router = Router::default();
        for (host, path, site) in [
            ("*", "/", 0),
            ("*.example.com", "/", 1),
            ("*.b.example.com", "/", 2),
            ("a.example.com", "/", 3),
            ("a.example.com", "/app", 4),
            ("a.example.com", "/app/deep/", 5),
            ("only.example.com", "/x", 6),
        ] {
            assert_eq!(router.add(&pattern(host), path, site), None);
        }
        for (host, path, site) in [
            ("nowhere.test", "/", Some(0)),
            ("", "/", Some(0)),
            ("c.example.com", "/", Some(1)),
            ("x.b.example.com", "/", Some(2)),
            ("A.example.com", "/apple", Some(3)),
            ("a.example.com", "/app", Some(4)),
            ("a.example.com", "/app/deep", Some(4)),
            ("a.example.com", "/app/deep/er", Some(5)),
            ("only.example.com", "/y", None),
        ] {
            assert_eq!(router.route(host, path), site, "{host}{path}");
        }
        assert_eq!(router.add(&pattern("a.example.com"), "/app", 9), Some(4));
    }
}
