//! Which upstreams a request is tried at: between pingora's callbacks and the site's balancer.

use super::answer::Trouble;
use super::diagnosis::is_late;
use super::exchange::Exchange;
use crate::config::{BalanceKey, BalanceMethod, FailOn, RetryOn, Site};
use crate::http::{COOKIE_SEPARATOR, CookieFormat, Pairs, parse_cookies};
use crate::reload::{Backend, Lease, NoPick, SiteRuntime, Wish};
use pingora_core::{Error, ErrorSource, ErrorType};
use std::net::IpAddr;
use std::time::Instant;

/// The upstreams that one request has been tried at.
#[derive(Default)]
pub(super) struct Attempts {
    /// Those that failed, as indices into the site's.
    tried: Vec<usize>,
    present: Option<usize>,
    /// Holds a place at the present one.
    lease: Option<Lease>,
    /// Addresses of the present one's name that have failed, while another is worth a try.
    addresses: usize,
    is_same_again: bool,
    /// A `Set-Cookie` by which the client comes back.
    cookie: Option<String>,
    /// When the whole of it has to be over.
    deadline: Option<Instant>,
}

impl Attempts {
    /// The upstream to try next, and its index.
    pub(super) fn next<'a>(
        &mut self,
        exchange: &Exchange,
        runtime: &'a SiteRuntime,
    ) -> Result<(usize, &'a Backend), Trouble> {
        let site = &runtime.config;
        if self.deadline.is_none() {
            self.deadline = site.timeouts.total.map(|total| Instant::now() + total);
        }
        if std::mem::take(&mut self.is_same_again)
            && let Some(index) = self.present
            && let Some(backend) = runtime.upstreams.all().get(index)
        {
            return Ok((index, backend));
        }
        self.lease = None;
        self.present = None;
        self.addresses = 0;
        if self.tried.len() > site.balance.retries {
            return Err(Trouble::UpstreamRefused);
        }
        let sticky = site.balance.sticky.as_ref();
        let token = sticky.and_then(|sticky| cookie(exchange, &sticky.cookie));
        let key = key(exchange, site);
        let wish = Wish { tried: &self.tried, key: &key, token: token.as_deref() };
        let pick = runtime.upstreams.pick(wish).map_err(|reason| match reason {
            NoPick::Tried => Trouble::UpstreamRefused,
            NoPick::Full => Trouble::UpstreamFull,
        })?;
        self.cookie = sticky.filter(|_| !pick.is_kept).map(|sticky| {
            let lifetime = sticky.lifetime.map_or_else(String::new, |l| format!("; Max-Age={}", l.as_secs()));
            let secure = if exchange.arrival.secure { "; Secure" } else { "" };
            let (name, token) = (&sticky.cookie, &pick.backend.token);
            format!("{name}={token}; Path=/{lifetime}; HttpOnly; SameSite=Lax{secure}")
        });
        self.present = Some(pick.index);
        self.lease = Some(pick.lease);
        Ok((pick.index, pick.backend))
    }

    /// The upstream that was chosen last.
    pub(super) fn present(&self) -> Option<usize> {
        self.present
    }

    /// The present upstream could not be connected. `has_address`: its name has another address that is worth a try.
    /// Says whether to try again, there or elsewhere.
    pub(super) fn not_connected(&mut self, runtime: &SiteRuntime, has_address: bool) -> bool {
        let Some(index) = self.present else { return false };
        self.addresses += 1;
        if has_address && self.addresses < MAX_ADDRESSES {
            self.is_same_again = true;
            return true;
        }
        failed(runtime, index);
        self.give_up(index, runtime)
    }

    /// The present upstream has been connected.
    pub(super) fn connected(&self, runtime: &SiteRuntime) {
        if runtime.config.balance.fail_on == FailOn::Connect
            && let Some(index) = self.present
        {
            runtime.upstreams.succeeded(index);
        }
    }

    /// The head of its response is here.
    pub(super) fn answered(&self, runtime: &SiteRuntime) {
        if runtime.config.balance.fail_on == FailOn::Errors
            && let Some(index) = self.present
        {
            runtime.upstreams.succeeded(index);
        }
    }

    /// The present upstream failed before the head of its response came, and `is_safe` says whether the request may be
    /// sent again. Says whether to try another one.
    pub(super) fn broke_off(&mut self, runtime: &SiteRuntime, error: &Error, is_safe: bool) -> bool {
        let Some(index) = self.present else { return false };
        let is_late = is_late(error);
        if *error.esource() != ErrorSource::Upstream && !is_late {
            return false;
        }
        let balance = &runtime.config.balance;
        if balance.fail_on == FailOn::Errors {
            failed(runtime, index);
        }
        // One that answers late is as busy as the others may be, and what it began it may finish.
        let is_broken = matches!(
            error.etype(),
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::H2Error
        );
        is_safe && is_broken && balance.retry_on == RetryOn::Idempotent && self.give_up(index, runtime)
    }

    /// The cookie for the client, if it needs one.
    pub(super) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// When the whole of it has to be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn give_up(&mut self, index: usize, runtime: &SiteRuntime) -> bool {
        self.tried.push(index);
        self.lease = None;
        let is_left = self.tried.len() < runtime.upstreams.all().len();
        is_left && self.tried.len() <= runtime.config.balance.retries
    }
}

fn failed(runtime: &SiteRuntime, index: usize) {
    if runtime.upstreams.failed(index) {
        let upstream = runtime.upstreams.all().get(index).map_or("", |b| b.config.url.as_str());
        tracing::warn!(site = runtime.config.name, upstream, "the upstream failed and rests");
    }
}

/// What a site's method hashes; empty when it hashes nothing.
fn key(exchange: &Exchange, site: &Site) -> Vec<u8> {
    let BalanceMethod::Hash(key) = &site.balance.method else { return Vec::new() };
    let found = match key {
        BalanceKey::Client => None,
        BalanceKey::Header(name) => exchange.arrival.head.values(name).next().map(<[u8]>::to_vec),
        BalanceKey::Cookie(name) => cookie(exchange, name),
    };
    found.filter(|key| !key.is_empty()).unwrap_or_else(|| match exchange.client.address.ip().to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

/// The first cookie of that name.
fn cookie(exchange: &Exchange, name: &str) -> Option<Vec<u8>> {
    exchange.arrival.head.values("cookie").find_map(|value| {
        let mut pairs = Pairs::new();
        parse_cookies(value, CookieFormat::Netscape, COOKIE_SEPARATOR, MAX_COOKIES, &mut pairs);
        pairs.iter().find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value.to_vec())
    })
}

/// Cookies that are looked at.
const MAX_COOKIES: usize = 256;

/// Addresses of one name that are tried for a request.
const MAX_ADDRESSES: usize = 3;
