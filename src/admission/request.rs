//! A request as access rules and rate limits see it, and whether a condition holds for it.
//!
//! A path may be read in more than one way: origins exist that cut `;` and what follows from each segment, or that
//! do not care about case. So a condition that closes something holds when any reading fits, and one that opens
//! something only when every reading does.

use crate::config::{Condition, Country, CountryDatabase, Scope};
use crate::http::RequestHead;
use std::cell::OnceCell;
use std::net::IpAddr;

/// A request.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its head.
    pub head: &'a RequestHead,
    /// The host asked for, without port.
    pub host: String,
    /// The path asked for, decoded and resolved, without query.
    pub path: String,
    /// The client, as far as trusted proxies tell.
    pub address: IpAddr,
    plain: OnceCell<Option<String>>,
    country: OnceCell<Option<Country>>,
}

/// Which readings must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// One will do: what closes.
    Any,
    /// All of them: what opens.
    Every,
}

impl Reading {
    /// What holds for exceptions.
    fn other(self) -> Self {
        match self {
            Reading::Any => Reading::Every,
            Reading::Every => Reading::Any,
        }
    }
}

impl<'a> Subject<'a> {
    /// A request of `address` for `host` and `path`.
    pub fn new(head: &'a RequestHead, host: String, path: String, address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { head, host, path, address, plain: OnceCell::new(), country: OnceCell::new() }
    }

    /// Whether it is within `scope`.
    pub(super) fn is_within(&self, scope: &Scope, reading: Reading) -> bool {
        self.fits(&scope.when, reading) && !self.is_excepted(&scope.except, reading.other())
    }

    /// Whether one of `exceptions` holds.
    pub(super) fn is_excepted(&self, exceptions: &[Condition], reading: Reading) -> bool {
        exceptions.iter().any(|condition| self.fits(condition, reading))
    }

    fn fits(&self, condition: &Condition, reading: Reading) -> bool {
        (condition.methods.is_empty() || self.has_method(&condition.methods, reading))
            && (condition.addresses.is_empty()
                || condition.addresses.iter().any(|set| set.contains(self.address)))
            && (condition.hosts.is_empty() || condition.hosts.iter().any(|host| host.matches(&self.host)))
            && (condition.paths.is_empty() || self.is_below(&condition.paths, reading))
            && (condition.countries.is_empty()
                || condition.countries.contains(&self.country(condition.database.as_deref())))
    }

    fn has_method(&self, methods: &[String], reading: Reading) -> bool {
        let given = &self.head.method[..];
        methods.iter().any(|method| match reading {
            Reading::Any => given.eq_ignore_ascii_case(method.as_bytes()),
            Reading::Every => given == method.as_bytes(),
        })
    }

    fn is_below(&self, prefixes: &[String], reading: Reading) -> bool {
        let plain = self.plain.get_or_init(|| without_parameters(&self.path));
        let mut readings = std::iter::once(&self.path).chain(plain);
        let fits = |path: &String| prefixes.iter().any(|prefix| is_below(path, prefix, reading));
        match reading {
            Reading::Any => readings.any(fits),
            Reading::Every => readings.all(fits),
        }
    }

    /// The path as origins read it that tell the fewest apart: without parameters, empty segments and case.
    pub(super) fn coarse_path(&self) -> String {
        let plain = self.plain.get_or_init(|| without_parameters(&self.path));
        let path = plain.as_ref().unwrap_or(&self.path);
        let mut coarse = String::with_capacity(path.len());
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            coarse.push('/');
            coarse.push_str(segment);
        }
        coarse.make_ascii_lowercase();
        coarse
    }

    fn country(&self, database: Option<&CountryDatabase>) -> Option<Country> {
        // A configuration has one database, whichever condition asks.
        *self.country.get_or_init(|| database.and_then(|d| d.country(self.address)))
    }
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str, reading: Reading) -> bool {
    let (path, prefix) = (path.as_bytes(), prefix.as_bytes());
    let Some((start, rest)) = path.split_at_checked(prefix.len()) else { return false };
    let same = match reading {
        Reading::Any => start.eq_ignore_ascii_case(prefix),
        Reading::Every => start == prefix,
    };
    same && (prefix.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/"))
}

/// The path as servlet containers read it: without `;…` in each segment, dot segments that show then resolved. None
/// when that makes no difference.
fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment.split(';').next().unwrap_or_default() {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut plain = String::with_capacity(path.len());
    for segment in segments {
        plain.push('/');
        plain.push_str(segment);
    }
    Some(if plain.is_empty() { "/".to_owned() } else { plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(path: &str, prefix: &str) -> (bool, bool) {
        let head = RequestHead::default();
        let subject = Subject::new(&head, String::new(), path.to_owned(), IpAddr::from([192, 0, 2, 1]));
        let prefixes = [prefix.to_owned()];
        (subject.is_below(&prefixes, Reading::Any), subject.is_below(&prefixes, Reading::Every))
    }

    #[test]
    fn paths_that_an_origin_may_take_for_the_same_are_one_when_coarse() {
        let head = RequestHead::default();
        let of = |path: &str| {
            Subject::new(&head, String::new(), path.to_owned(), IpAddr::from([192, 0, 2, 1])).coarse_path()
        };
        for path in ["/login", "/LOGIN", "/login;x", "/login/", "/login//", "/x/..;/login", "/;a=1/login;b"] {
            assert_eq!(of(path), "/login", "{path}");
        }
        assert_eq!([of("/"), of(""), of("/;")], ["", "", ""]);
        assert_ne!(of("/login/x"), of("/login"));
    }

    #[test]
    fn what_closes_holds_for_any_reading_and_what_opens_for_all() {
        for (path, prefix, any, every) in [
            ("/admin", "/admin", true, true),
            ("/admin/x", "/admin", true, true),
            ("/administrator", "/admin", false, false),
            ("/Admin/x", "/admin", true, false),
            ("/admin;v=1/x", "/admin", true, false),
            ("/open/..;/admin", "/admin", true, false),
            ("/open/..;/admin", "/open", true, false),
            ("/open/x;y", "/open", true, true),
            ("/x", "/", true, true),
            (";", "/", true, false),
        ] {
            assert_eq!(below(path, prefix), (any, every), "{path} below {prefix}");
        }
    }
}
