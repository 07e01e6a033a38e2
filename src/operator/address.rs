//! Network addresses: `@ipMatch` and its kin, `@rbl`.

use super::contract::{BuildError, Built, Found, Lookup, Operator, Outcome, Resources};
use ip_network::IpNetwork;
use ip_network_table::IpNetworkTable;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

/// `@ipMatch 10.0.0.0/8,::1`.
pub(super) fn ip_match(argument: Option<&str>, _: &dyn Resources) -> Built {
    let argument = argument.unwrap_or_default();
    let mut networks = Networks::default();
    let mut at = 0;
    for entry in argument.split(',') {
        networks.add(entry, at..at + entry.len())?;
        at += entry.len() + 1;
    }
    if networks.0.is_empty() {
        return Err(BuildError::new("there is no address to compare with")
            .help("write addresses or networks separated by commas, `@ipMatch 10.0.0.0/8,::1`"));
    }
    Ok(Arc::new(networks))
}

/// `@ipMatchFromFile networks.data`.
pub(super) fn ip_match_from_file(argument: Option<&str>, resources: &dyn Resources) -> Built {
    let mut networks = Networks::default();
    for content in files(argument, resources)? {
        for (number, line) in content.split(|b| *b == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = line.split('#').next().unwrap_or_default();
            for entry in line.split(',') {
                networks.add(entry, 0..0).map_err(|e| BuildError {
                    at: None,
                    message: format!("{} (line {} of the file)", e.message, number + 1),
                    ..e
                })?;
            }
        }
    }
    Ok(Arc::new(networks))
}

/// `@ipMatchFromDataset name`.
pub(super) fn ip_match_from_dataset(argument: Option<&str>, resources: &dyn Resources) -> Built {
    let mut networks = Networks::default();
    for entry in dataset(argument, resources)?.iter() {
        networks.add(entry, 0..0).map_err(|e| BuildError { at: None, ..e })?;
    }
    Ok(Arc::new(networks))
}

/// `@rbl zen.spamhaus.org`.
pub(super) fn rbl(argument: Option<&str>, resources: &dyn Resources) -> Built {
    let service = argument.unwrap_or_default().trim().trim_matches('.').to_ascii_lowercase();
    if service.is_empty() || !is_host(&service) {
        return Err(
            BuildError::new("this is not the name of a block list").help("write `@rbl zen.spamhaus.org`")
        );
    }
    let key = resources.http_bl_key().filter(|k| is_host(k));
    let prefix = match key {
        _ if service != HTTPBL => Some(String::new()),
        Some(key) => Some(format!("{key}.")),
        None => None,
    };
    Ok(Arc::new(BlockList { prefix, service }))
}

/// The contents of the files that `argument` names, separated by spaces.
pub(super) fn files(argument: Option<&str>, resources: &dyn Resources) -> Result<Vec<Arc<[u8]>>, BuildError> {
    let argument = argument.unwrap_or_default();
    let mut contents = Vec::new();
    for name in argument.split_ascii_whitespace() {
        if name.starts_with("https://") || name.starts_with("http://") {
            return Err(BuildError::new("rules do not fetch files over the network")
                .help("download the file when you deploy, and name the copy"));
        }
        contents.push(resources.file(name).map_err(BuildError::new)?);
    }
    if contents.is_empty() {
        return Err(BuildError::new("a file name is missing"));
    }
    Ok(contents)
}

/// The entries of the data set that `argument` names.
pub(super) fn dataset(
    argument: Option<&str>,
    resources: &dyn Resources,
) -> Result<Arc<[String]>, BuildError> {
    let name = argument.unwrap_or_default().trim();
    resources.dataset(name).ok_or_else(|| {
        BuildError::new(format!("there is no data set called `{name}`"))
            .help("define it with `SecDataset` before this rule")
    })
}

/// A set of networks; a trie for each family.
#[derive(Default)]
struct Networks(IpNetworkTable<()>);

impl Networks {
    /// Adds an address or `address/prefix`; nothing, when `entry` is blank. Bits behind the prefix are dropped.
    fn add(&mut self, entry: &str, at: Range<usize>) -> Result<(), BuildError> {
        let text = entry.trim();
        if text.is_empty() {
            return Ok(());
        }
        let refuse = |message: String| BuildError {
            message,
            help: Some(
                "write an address such as 10.1.2.3 or ::1, or a network such as 10.0.0.0/8".to_owned(),
            ),
            at: Some(at.clone()),
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| refuse(format!("`{text}` is no address or network")))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix =
            match prefix {
                None => longest,
                Some(prefix) => prefix.parse::<u8>().ok().filter(|p| *p <= longest).ok_or_else(|| {
                    refuse(format!("the prefix of `{text}` is not between 0 and {longest}"))
                })?,
            };
        let network = IpNetwork::new_truncate(address, prefix)
            .map_err(|_| refuse(format!("`{text}` is no address or network")))?;
        self.0.insert(network, ());
        Ok(())
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (v4, v6) = self.0.len();
        write!(f, "Networks({v4} of IPv4, {v6} of IPv6)")
    }
}

impl Operator for Networks {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let matches = address(input).is_some_and(|address| self.0.longest_match(address).is_some());
        if matches {
            found.matched = Some(0..input.len());
        }
        matches.into()
    }
}

/// A DNS block list (RFC 5782). As in ModSecurity v3, any answer means that it is listed, and what is not an
/// address is looked up as a name.
#[derive(Debug)]
struct BlockList {
    /// What stands before the address; `None` when the list wants a key and there is none.
    prefix: Option<String>,
    service: String,
}

impl Operator for BlockList {
    fn is_pure(&self) -> bool {
        false
    }

    fn evaluate(&self, input: &[u8], _: &[u8], lookup: &dyn Lookup, found: &mut Found) -> Outcome {
        let Some(prefix) = &self.prefix else { return Outcome::NoMatch };
        let host = match address(input) {
            Some(IpAddr::V4(v4)) => reversed(v4),
            Some(IpAddr::V6(v6)) => {
                let digits = v6.octets().into_iter().rev();
                let digits: Vec<String> = digits.map(|b| format!("{:x}.{:x}", b & 15, b >> 4)).collect();
                digits.join(".")
            }
            None => match std::str::from_utf8(input) {
                Ok(name) if is_host(name) => name.to_owned(),
                _ => return Outcome::NoMatch,
            },
        };
        let name = format!("{prefix}{host}.{}", self.service);
        if name.len() > MAX_HOST || lookup.resolve(&name).is_none_or(|answers| answers.is_empty()) {
            return Outcome::NoMatch;
        }
        found.whole(0..input.len());
        Outcome::Match
    }

    fn inert(&self) -> Option<&'static str> {
        self.prefix.is_none().then_some("the list wants a key, which SecHttpBlKey must give before this rule")
    }
}

/// An address as rules see it: text, nothing around it.
pub(super) fn address(input: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(input.get(..input.len().min(LONGEST_ADDRESS + 1))?).ok()?.parse().ok()
}

fn reversed(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}")
}

fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= MAX_HOST && name.split('.').all(label)
}

/// Project Honey Pot's list, whose queries begin with the user's key.
const HTTPBL: &str = "dnsbl.httpbl.org";
/// RFC 1035, section 2.3.4.
const MAX_HOST: usize = 253;
/// `INET6_ADDRSTRLEN` less its terminator.
const LONGEST_ADDRESS: usize = 45;
