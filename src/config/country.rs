//! Which country an address belongs to, as a database in MaxMind's format says.

use maxminddb::{Reader, geoip2};
use std::fmt;
use std::net::IpAddr;

/// A country or city database (`.mmdb`), held in memory.
pub struct CountryDatabase(Reader<Vec<u8>>);

impl CountryDatabase {
    /// Reads a database.
    ///
    /// # Errors
    ///
    /// What the format's reader says.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(bytes).map(Self).map_err(|e| e.to_string())
    }

    /// The country in which `address` is, else the one where its network is registered; none when the database
    /// does not know it.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let address = address.to_canonical();
        // The reader would take the address's first 32 bits for one of IPv4.
        if address.is_ipv6() && self.0.metadata.ip_version == 4 {
            return None;
        }
        let record: geoip2::Country<'_> = self.0.lookup(address).ok().flatten()?;
        let countries = [record.country, record.registered_country];
        let code = countries.into_iter().flatten().find_map(|country| country.iso_code)?;
        code.parse().ok()
    }
}

impl fmt::Debug for CountryDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountryDatabase({}, {})", self.0.metadata.database_type, self.0.metadata.build_epoch)
    }
}

impl PartialEq for CountryDatabase {
    /// By what the files say of themselves: a change of content is noticed by whoever watches files.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&self.0.metadata, &other.0.metadata);
        (one.build_epoch, one.node_count, &one.database_type)
            == (two.build_epoch, two.node_count, &two.database_type)
    }
}

impl Eq for CountryDatabase {}

/// A country's code, ISO 3166-1 alpha-2 in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl std::str::FromStr for Country {
    type Err = String;

    /// Reads a code.
    ///
    /// # Errors
    ///
    /// When it is not two letters.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err("expected a country's two letters (ISO 3166-1), or `unknown`".to_owned()),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}
