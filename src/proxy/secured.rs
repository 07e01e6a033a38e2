//! What is known of a TLS connection: for rules in `ENV`, by the names that Apache's mod_ssl uses, and for upstreams in
//! headers.

use super::tls;
use pingora_core::protocols::tls::TlsRef;
use rustls::pki_types::CertificateDer;
use std::fmt::Write;
use std::sync::Arc;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};

/// What is known of a TLS connection.
#[derive(Debug)]
pub(super) struct Secured {
    /// Names and values.
    pub(super) environment: Arc<[(&'static str, String)]>,
    /// The client, if it has shown a certificate that was verified.
    pub(super) client: Option<Verified>,
}

/// A client's verified certificate.
#[derive(Debug)]
pub(super) struct Verified {
    /// RFC 2253.
    pub(super) subject: String,
    /// SHA-256 in lower-case hex.
    pub(super) fingerprint: String,
    /// PEM, percent-encoded.
    pub(super) certificate: String,
}

impl Secured {
    /// What `tls` tells of a connection whose handshake is done.
    pub(super) fn of(tls: &TlsRef) -> Self {
        let mut environment = vec![
            ("HTTPS", "on".to_owned()),
            ("SSL_PROTOCOL", protocol(tls.version().unwrap_or_default())),
            ("SSL_CIPHER", tls.current_cipher_name().unwrap_or_default().replacen("TLS13_", "TLS_", 1)),
            ("SSL_TLS_SNI", tls.server_name().unwrap_or_default().to_owned()),
        ];
        let leaf = tls.peer_certificate_der();
        let client = leaf.map(|der| {
            let parsed = X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
            let subject = parsed.as_ref().map_or_else(String::new, |c| name(c.subject()));
            environment.push(("SSL_CLIENT_S_DN", subject.clone()));
            if let Some(certificate) = &parsed {
                describe(certificate, &mut environment);
            }
            Verified { subject, fingerprint: tls::fingerprint(der), certificate: escaped_pem(der) }
        });
        // rustls has ended the handshake with every other certificate.
        let verify = if client.is_some() { "SUCCESS" } else { "NONE" };
        environment.push(("SSL_CLIENT_VERIFY", verify.to_owned()));
        Self { environment: environment.into(), client }
    }
}

/// `TLSv1_3`, as rustls says it → `TLSv1.3`.
fn protocol(version: &str) -> String {
    version.replace('_', ".")
}

fn describe(certificate: &X509Certificate<'_>, out: &mut Vec<(&'static str, String)>) {
    out.push(("SSL_CLIENT_I_DN", name(certificate.issuer())));
    out.push(("SSL_CLIENT_M_SERIAL", certificate.raw_serial_as_string().replace(':', "").to_uppercase()));
    let time = |time: ASN1Time| time.to_string();
    out.push(("SSL_CLIENT_V_START", time(certificate.validity().not_before)));
    out.push(("SSL_CLIENT_V_END", time(certificate.validity().not_after)));
    let subject = certificate.subject();
    let first = |mut all: Box<dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>> + '_>| {
        all.next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
    };
    let parts = [
        ("SSL_CLIENT_S_DN_CN", first(Box::new(subject.iter_common_name()))),
        ("SSL_CLIENT_S_DN_O", first(Box::new(subject.iter_organization()))),
        ("SSL_CLIENT_S_DN_OU", first(Box::new(subject.iter_organizational_unit()))),
        ("SSL_CLIENT_S_DN_C", first(Box::new(subject.iter_country()))),
        ("SSL_CLIENT_S_DN_Email", first(Box::new(subject.iter_email()))),
    ];
    out.extend(parts.into_iter().filter_map(|(name, value)| Some((name, value?))));
}

/// A distinguished name as RFC 2253 §2 writes it: the most specific part first, special characters escaped.
fn name(name: &X509Name<'_>) -> String {
    let registry = oid_registry();
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let oid = attribute.attr_type();
                let kind = oid2abbrev(oid, registry).map_or_else(
                    |_| oid.to_id_string(),
                    |abbreviation| match abbreviation {
                        "Email" => "emailAddress".to_owned(),
                        other => other.to_owned(),
                    },
                );
                let value = attribute.as_str().map_or_else(
                    |_| {
                        attribute
                            .as_slice()
                            .iter()
                            .fold("#".to_owned(), |text, byte| text + &format!("{byte:02x}"))
                    },
                    escape,
                );
                format!("{kind}={value}")
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// RFC 2253 §2.4; control characters by their bytes, so that the text fits a header.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        let is_special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || at == 0 && matches!(c, '#' | ' ')
            || at == last && c == ' ';
        if is_special {
            out.push('\\');
            out.push(c);
        } else if c.is_control() || !c.is_ascii() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// PEM, percent-encoded so that it fits a header.
fn escaped_pem(der: &[u8]) -> String {
    let pem = tls::to_pem(&CertificateDer::from(der));
    let mut out = String::with_capacity(pem.len() + 128);
    for byte in pem.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn names_are_written_as_the_rfc_says() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Smith, Wesson + Co\r\nX: y");
        params.distinguished_name.push(DnType::CommonName, "#Ann Müller ");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (_, parsed) = X509Certificate::from_der(certificate.der()).expect("sound");
        let expected = "CN=\\#Ann M\\C3\\BCller\\ ,O=Smith\\, Wesson \\+ Co\\0D\\0AX: y,C=DE";
        assert_eq!(name(parsed.subject()), expected);
        let mut environment = Vec::new();
        describe(&parsed, &mut environment);
        let of = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!(of("SSL_CLIENT_S_DN_C"), Some("DE"));
        assert_eq!(of("SSL_CLIENT_I_DN"), Some(expected));
        assert!(
            of("SSL_CLIENT_M_SERIAL")
                .is_some_and(|s| s.len() > 8 && s.bytes().all(|b| b.is_ascii_hexdigit()))
        );
        let pem = escaped_pem(certificate.der());
        assert!(pem.starts_with("-----BEGIN%20CERTIFICATE-----%0A") && pem.is_ascii());
    }
}
