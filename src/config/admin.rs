//! The admin listener: what it is, and how it is read.

use super::document::{Data, Node};
use super::listen::address;
use super::place::Place;
use super::reader::{Section, complain};
use super::schema;
use super::secret::{self, Secret};
use super::{DEFAULT_ADMIN, HostPattern, Overrides};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::net::SocketAddr;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address and port; [`DEFAULT_ADMIN`] unless set.
    pub address: SocketAddr,
    /// Bearer token that calls of the API must bring. Without one they are taken from loopback only, and change
    /// nothing.
    pub token: Option<Secret>,
    /// Names besides IP addresses and `localhost` under which the listener may be addressed. Anything else in
    /// `Host` is refused, since it is how a browser is turned against a local port (DNS rebinding).
    pub hosts: Vec<String>,
}

/// The admin listener, unless it is off.
pub(super) fn read(
    top: &Section<'_>,
    place: &mut Place<'_>,
    overrides: &Overrides,
    out: &mut Diagnostics,
) -> Option<Admin> {
    let mut admin = Admin { address: DEFAULT_ADMIN, token: None, hosts: Vec::new() };
    let mut off = false;
    match top.get("admin") {
        None => {}
        Some(Node { data: Data::Scalar(text), span }) => match text.as_str() {
            "off" => off = true,
            text => {
                if let Some(read) = complain(address(text), *span, "admin", out) {
                    admin.address = read;
                }
            }
        },
        Some(node) => {
            let section = Section::new(&schema::ADMIN, node, out);
            if let Some(read) = section.value("address", out, address) {
                admin.address = read;
            }
            admin.hosts = section.list("hosts", out, |text| {
                let host: HostPattern = text.parse()?;
                match host {
                    HostPattern::Exact(name) => Ok(name),
                    _ => Err("expected a host name without wildcards".to_owned()),
                }
            });
            admin.token = token(&section, place, out);
        }
    }
    if let Some(address) = overrides.admin {
        admin.address = address;
        off = false;
    }
    (!off).then_some(admin)
}

fn token(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Secret> {
    let token = secret::read(section, "token", place, out)?;
    if token.expose().len() < 16 || !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
        let what = "the token has at least 16 characters, printable ASCII without spaces";
        out.push(Diagnostic::error("config-value", section.span(), what));
        return None;
    }
    Some(token)
}
