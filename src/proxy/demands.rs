//! What a site demands of a request before its rules see a body: that it is open, HTTPS, a client's certificate. And
//! what it adds to responses, and tells upstreams of clients' certificates.

use super::answer::{Answer, Trouble};
use super::exchange::Exchange;
use crate::config::{ForwardedPolicy, Site};
use crate::http::{Target, TargetForm};
use ::http::header;
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

impl Exchange {
    /// `Err` with the answer when the site does not take this request.
    pub(super) fn admit(&self) -> Result<(), Answer> {
        let Some(site) = self.site() else { return Ok(()) };
        if let Some(port) = site.edge.redirect
            && !self.is_secure()
            && !self.arrival.head.target.starts_with(ACME)
        {
            return Err(self.answer(&self.redirect(port)));
        }
        if site.edge.client_certificate.required && !self.has_certificate() {
            return Err(self.answer(&Trouble::NoCertificate));
        }
        match &site.maintenance {
            Some(maintenance) if maintenance.applies_to(self.client.address.ip()) => {
                let retry_after = maintenance.retry_after.as_secs().max(1);
                Err(self.answer(&Trouble::Maintenance { retry_after }))
            }
            _ => Ok(()),
        }
    }

    /// Whether the client's connection is HTTPS, by our own knowledge or a trusted proxy's word.
    pub(super) fn is_secure(&self) -> bool {
        let believes =
            || self.site().is_none_or(|site| site.forwarded.x_forwarded != ForwardedPolicy::Remove);
        let told = || self.arrival.head.values("x-forwarded-proto").last().map(<[u8]>::trim_ascii);
        self.arrival.secure
            || self.client.peer_is_trusted
                && believes()
                && told().is_some_and(|p| p.eq_ignore_ascii_case(b"https"))
    }

    fn has_certificate(&self) -> bool {
        self.arrival.tls.as_ref().is_some_and(|tls| tls.client.is_some())
    }

    /// The same request over HTTPS.
    fn redirect(&self, port: u16) -> Trouble {
        let head = &self.arrival.head;
        let normalised = head.normalised_target();
        let target = Target::parse(&head.method, &normalised);
        let authority = head.values("host").next().or(target.authority).unwrap_or_default();
        let authority = String::from_utf8_lossy(authority);
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &authority,
        };
        if host.is_empty() || !matches!(target.form, TargetForm::Origin | TargetForm::Absolute) {
            // Nothing that a redirect could name.
            return Trouble::Unforwardable;
        }
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        let path = if target.path.is_empty() { b"/" } else { target.path };
        let mut location = format!("https://{host}{port}{}", String::from_utf8_lossy(path));
        if let Some(query) = target.query {
            location.push('?');
            location.push_str(&String::from_utf8_lossy(query));
        }
        Trouble::Insecure { location }
    }

    /// Adds to a response what the site's responses have, and takes away what they have not.
    pub(super) fn dress(&self, response: &mut ResponseHeader) -> Result<()> {
        let Some(edge) = self.site().map(|site| &site.edge) else { return Ok(()) };
        for name in &edge.remove_response_headers {
            response.remove_header(name.as_str());
        }
        for (name, value) in &edge.response_headers {
            if !response.headers.contains_key(name.as_str()) {
                response.insert_header(name.clone(), value.as_str())?;
            }
        }
        if let Some(hsts) = edge.hsts.as_ref().filter(|_| self.is_secure()) {
            response.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts.as_str())?;
        }
        Ok(())
    }
}

/// Tells the upstream of the client's certificate, and lets nobody else speak of it.
pub(super) fn introduce(request: &mut RequestHeader, exchange: &Exchange, site: &Site) -> Result<()> {
    let wanted = &site.edge.client_certificate;
    // Gateways such as CGI's make the same name of `X-A` and `X_A`.
    let is_same = |a: &str, b: &str| {
        let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| plain(a) == plain(b))
    };
    for name in wanted.headers() {
        let found = request.headers.keys().filter(|key| is_same(key.as_str(), name));
        let found: Vec<_> = found.cloned().collect();
        for forged in found {
            request.remove_header(&forged);
        }
    }
    let client = exchange.arrival.tls.as_ref().and_then(|tls| tls.client.as_ref());
    if let Some(name) = wanted.verify_header.clone() {
        request.insert_header(name, if client.is_some() { "SUCCESS" } else { "NONE" })?;
    }
    let Some(client) = client else { return Ok(()) };
    let told = [
        (&wanted.subject_header, &client.subject),
        (&wanted.fingerprint_header, &client.fingerprint),
        (&wanted.certificate_header, &client.certificate),
    ];
    for (name, value) in told {
        if let Some(name) = name.clone() {
            request.insert_header(name, value.as_str())?;
        }
    }
    Ok(())
}

/// Where authorities ask whether a host is ours; they ask by HTTP (RFC 8555 §8.3).
const ACME: &[u8] = b"/.well-known/acme-challenge/";
