//! Sets of networks: lists in the configuration and in files, for look-up by address.

use ip_network::{IpNetwork, IpNetworkError};
use ip_network_table::IpNetworkTable;
use std::fmt;
use std::net::IpAddr;

/// A set of networks: a prefix trie for each family, so that a look-up costs the same for ten entries and for a
/// hundred thousand.
#[derive(Default)]
pub struct NetworkSet(IpNetworkTable<()>);

impl NetworkSet {
    /// Adds a network.
    pub fn insert(&mut self, network: IpNetwork) {
        self.0.insert(network, ());
    }

    /// Whether `address` lies in one of them. IPv4 addresses in IPv6 clothing (`::ffff:10.0.0.1`) count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.longest_match(address.to_canonical()).is_some()
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        let (v4, v6) = self.0.len();
        v4 + v6
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a list: an address or a network on each line, `#` and `;` begin comments. Bits behind a prefix are
    /// dropped, as feeds write them carelessly.
    ///
    /// # Errors
    ///
    /// Every line that is neither, by its number from 1, at most `TOLD` of them.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut set = Self::default();
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split(['#', ';']).next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            match parts(entry).map(|(address, prefix)| IpNetwork::new_truncate(address, prefix)) {
                Some(Ok(network)) => set.insert(network),
                _ if faults.len() < TOLD => faults.push((index + 1, entry.chars().take(60).collect())),
                _ => break,
            }
        }
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }
}

/// A network of the configuration, in which bits behind the prefix are a mistake.
pub(super) fn network(text: &str) -> Result<IpNetwork, String> {
    let bad = || "expected an IP address or a CIDR block such as `10.0.0.0/8`".to_owned();
    let (address, prefix) = parts(text).ok_or_else(bad)?;
    IpNetwork::new(address, prefix).map_err(|error| match error {
        IpNetworkError::HostBitsSet => match IpNetwork::new_truncate(address, prefix) {
            Ok(network) => format!("bits beyond the prefix are set; write `{network}`"),
            Err(_) => bad(),
        },
        _ => bad(),
    })
}

/// An address, and the bits of it that count: all, unless a prefix follows.
fn parts(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    Some((address, prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 })))
}

/// Faulty lines that are told of one file.
pub const TOLD: usize = 10;

impl FromIterator<IpNetwork> for NetworkSet {
    fn from_iter<T: IntoIterator<Item = IpNetwork>>(networks: T) -> Self {
        let mut set = Self::default();
        networks.into_iter().for_each(|network| set.insert(network));
        set
    }
}

impl fmt::Debug for NetworkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkSet({} networks)", self.len())
    }
}

impl PartialEq for NetworkSet {
    fn eq(&self, other: &Self) -> bool {
        // A trie is walked in the order of its addresses, whatever the order of insertion was.
        self.0.len() == other.0.len() && self.0.iter().map(|(n, ())| n).eq(other.0.iter().map(|(n, ())| n))
    }
}

impl Eq for NetworkSet {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    /// The least time of several for asking 200,000 times, half of them for addresses that are in the set.
    fn time(set: &NetworkSet, inside: &[IpAddr]) -> Duration {
        let outside: Vec<IpAddr> = (0..100_u8).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let once = || {
            let began = Instant::now();
            for address in inside.iter().chain(&outside).cycle().take(200_000) {
                black_box(set.contains(black_box(*address)));
            }
            began.elapsed()
        };
        (0..7).map(|_| once()).min().unwrap_or_default()
    }

    /// A list that was searched from one end to the other would take ten thousand times as long.
    #[test]
    fn a_hundred_thousand_entries_cost_what_ten_cost() {
        let of = |count: u32| -> NetworkSet {
            (0..count).map(|n| IpNetwork::from(IpAddr::from((0x0a00_0000 + n * 16).to_be_bytes()))).collect()
        };
        let (few, many) = (of(10), of(100_000));
        assert_eq!((few.len(), many.len()), (10, 100_000));
        let inside = |count: u32| -> Vec<IpAddr> {
            (0..100).map(|n| IpAddr::from((0x0a00_0000 + (n * 997 % count) * 16).to_be_bytes())).collect()
        };
        assert!(
            inside(10).iter().all(|a| few.contains(*a)) && inside(100_000).iter().all(|a| many.contains(*a))
        );
        let (few, many) = (time(&few, &inside(10)), time(&many, &inside(100_000)));
        assert!(many < few * 20, "{many:?} against {few:?}");
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn lists_are_read_line_by_line_with_comments() {
        let text = "# office\n10.1.2.3/8 ; bits beyond are dropped\n\n192.0.2.7\r\n2001:db8::/32#x\n";
        let set = NetworkSet::parse(text).expect("sound");
        assert_eq!(set.len(), 3);
        for inside in ["10.255.0.1", "192.0.2.7", "2001:db8:1::1", "::ffff:10.0.0.1"] {
            assert!(set.contains(address(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::1"] {
            assert!(!set.contains(address(outside)), "{outside}");
        }
    }

    #[test]
    fn faulty_lines_are_told_by_number_and_bounded() {
        let faults = NetworkSet::parse("10.0.0.0/8\nexample.com\n10.0.0.0/33\n").expect_err("faulty");
        assert_eq!(faults, [(2, "example.com".to_owned()), (3, "10.0.0.0/33".to_owned())]);
        assert_eq!(NetworkSet::parse(&"x\n".repeat(1_000)).expect_err("faulty").len(), TOLD);
    }

    #[test]
    fn equal_sets_are_equal_whatever_their_order() {
        let one = NetworkSet::parse("10.0.0.0/8\n::1\n192.0.2.1").expect("sound");
        let two = NetworkSet::parse("192.0.2.1\n10.0.0.0/8\n::1\n::1").expect("sound");
        assert_eq!(one, two);
        assert_ne!(one, NetworkSet::parse("10.0.0.0/8\n::1\n192.0.2.2").expect("sound"));
    }
}
