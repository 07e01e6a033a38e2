//! What long lists of addresses cost: a look-up in a list of ten and of a hundred thousand networks, of addresses that are
//! on it and that are not, and the memory and the time that reading the list takes.
//!
//! `cargo bench --bench access`. CPU time of this thread, and resident memory of the process.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
#[path = "support/told.rs"]
mod told;

use portcullis::config::NetworkSet;
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use told::{micros, result, time};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most that a look-up may take, whatever the list is.
const LOOKUP_NS: f64 = 200.0;
/// The most that a list of a hundred thousand networks may take of memory.
const MEGABYTES: f64 = 32.0;
/// The most that reading it may take, on each reload.
const READ_MS: f64 = 200.0;
const LOOKUPS: usize = 2_000_000;

fn main() {
    for (name, entries) in [("ten", 10), ("hundred_thousand", 100_000)] {
        let (text, listed) = list(entries);
        let before = resident();
        let mut set = NetworkSet::default();
        let reading = time(|| set = NetworkSet::parse(&text).expect("a sound list"));
        let megabytes = resident() - before;
        println!("{name}: {} networks, {megabytes:.1} MB", set.len());
        for (what, addresses) in [("listed", listed), ("others", others())] {
            let found = addresses.iter().filter(|address| set.contains(**address)).count();
            let took = time(|| {
                for index in 0..LOOKUPS {
                    black_box(set.contains(black_box(addresses[index % addresses.len()])));
                }
            });
            let nanos = micros(took) * 1_000.0 / LOOKUPS as f64;
            println!("  {what}: {found} of {} found", addresses.len());
            result(&format!("access.{name}.{what}"), nanos, "ns", LOOKUP_NS, "for one look-up");
        }
        if entries > 10 {
            result("access.memory", megabytes, "MB", MEGABYTES, "of memory for the list");
            result("access.read", micros(reading) / 1_000.0, "ms", READ_MS, "for reading the list");
        }
    }
}

/// A list as feeds have them, mostly of single addresses, and addresses that are on it.
fn list(entries: usize) -> (String, Vec<IpAddr>) {
    let mut random = Random(17);
    let (mut text, mut listed) = (String::from("# a feed\n"), Vec::new());
    for index in 0..entries {
        let number = random.next();
        // Writing to a String cannot fail.
        let _ = match index % 10 {
            0 => {
                let address = Ipv6Addr::from((0x2001_0db8 << 96) | (u128::from(number) << 32));
                listed.push(IpAddr::V6(Ipv6Addr::from(u128::from(address) + 1)));
                writeln!(text, "{address}/64 ; {index}")
            }
            1 | 2 => {
                let address = Ipv4Addr::from((number as u32) & 0xffff_ff00);
                listed.push(IpAddr::V4(Ipv4Addr::from(u32::from(address) + 7)));
                writeln!(text, "{address}/24")
            }
            _ => {
                let address = Ipv4Addr::from(number as u32);
                listed.push(IpAddr::V4(address));
                writeln!(text, "{address}")
            }
        };
    }
    listed.truncate(50_000);
    (text, listed)
}

/// Addresses of which hardly any is on the list.
fn others() -> Vec<IpAddr> {
    let mut random = Random(18);
    (0..50_000).map(|_| IpAddr::V4(Ipv4Addr::from(random.next() as u32))).collect()
}

/// Megabytes of this process.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_024.0
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
