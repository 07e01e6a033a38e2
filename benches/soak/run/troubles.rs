//! What is done to it meanwhile.

use super::Plan;
use super::origin::Shop;
use super::plant::Plant;
use crate::support::redis::Redis;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Everything that is broken and mended in turn.
pub struct Troubles {
    period: Duration,
    reload: Duration,
    rotate: Duration,
    redis: Redis,
    sink: Sink,
    upstream: Arc<Shop>,
    runtime: Handle,
    /// Which of the troubles that come and go are there.
    present: [bool; 4],
    done: Done,
}

/// How often each trouble began.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub asked: u64,
    pub refused: u64,
    pub certificates: u64,
    pub redis: u64,
    pub disk: u64,
    pub sink: u64,
    pub upstream: u64,
    /// Records that the collector has got.
    pub collected: u64,
}

/// Between two reloads.
const RELOAD: Duration = Duration::from_secs(1);
/// Reloads of which one is to be refused.
const REFUSED: u64 = 10;

impl Troubles {
    pub fn new(plan: &Plan, redis: Redis, sink: Sink, upstream: &Arc<Shop>, runtime: Handle) -> Self {
        Self {
            period: plan.period,
            reload: RELOAD,
            rotate: plan.period / 4,
            redis,
            sink,
            upstream: Arc::clone(upstream),
            runtime,
            present: [false; 4],
            done: Done::default(),
        }
    }

    /// Does what is due at this time.
    pub fn step(&mut self, now: Duration, plant: &mut Plant) {
        let turns = ["redis", "disk", "sink", "upstream"];
        for (index, turn) in turns.iter().enumerate() {
            // Each lasts a third of its period; they begin one after the other, and overlap.
            let offset = self.period * u32::try_from(index).unwrap_or(0) / 4;
            let since = (now.as_millis() + offset.as_millis()) % self.period.as_millis();
            let is_due = since > self.period.as_millis() / 3 && since < self.period.as_millis() * 2 / 3;
            if self.present[index] != is_due {
                self.present[index] = is_due;
                self.turn(turn, is_due, plant);
            }
        }
        if now >= self.rotate {
            self.rotate = now + self.period / 4;
            self.done.certificates += 1;
            plant.show_certificate(usize::try_from(self.done.certificates).unwrap_or(0));
        }
        if now >= self.reload {
            self.reload += RELOAD;
            self.done.asked += 1;
            let is_sound = self.done.asked % REFUSED != 3;
            self.done.refused += u64::from(!is_sound);
            plant.reload(is_sound);
        }
    }

    fn turn(&mut self, which: &str, is_due: bool, plant: &Plant) {
        match which {
            "redis" => {
                // Every other time it is there and does not answer.
                match (is_due, self.done.redis.is_multiple_of(2)) {
                    (true, true) => self.redis.stop(),
                    (true, false) => self.redis.freeze(true),
                    (false, _) => {
                        if self.done.redis.is_multiple_of(2) {
                            self.redis.freeze(false);
                        }
                        self.redis.go();
                    }
                }
                self.done.redis += u64::from(is_due);
            }
            "disk" => {
                plant.fill_disk(is_due);
                self.done.disk += u64::from(is_due);
            }
            "sink" => {
                self.sink.state.is_blocked.store(is_due, Ordering::Release);
                self.done.sink += u64::from(is_due);
            }
            _ => {
                self.upstream.close(is_due, &self.runtime);
                self.done.upstream += u64::from(is_due);
            }
        }
    }

    /// Mends what can be mended.
    pub fn end(&mut self) {
        self.sink.state.is_blocked.store(false, Ordering::Release);
        self.upstream.close(false, &self.runtime);
        if self.present[0] && self.done.redis.is_multiple_of(2) {
            self.redis.freeze(false);
        }
        self.redis.go();
    }

    /// What was done.
    pub fn done(&self) -> Done {
        Done { collected: self.sink.state.records.load(Ordering::Acquire), ..self.done.clone() }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} reloads asked for, {} of them to be refused; {} new certificates; Redis away {} times, the disk full {}, \
             the collector blocked {}, an upstream away {}; {} records collected",
            self.asked,
            self.refused,
            self.certificates,
            self.redis,
            self.disk,
            self.sink,
            self.upstream,
            self.collected
        )
    }
}

/// A collector of audit records over HTTP that can be blocked: connections are taken, and nothing is answered.
pub struct Sink {
    pub address: SocketAddr,
    state: Arc<Collected>,
}

#[derive(Default)]
struct Collected {
    is_blocked: AtomicBool,
    records: AtomicU64,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Collected::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || collect(stream, &state));
            }
        });
        Self { address, state }
    }
}

fn collect(stream: TcpStream, state: &Collected) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        while state.is_blocked.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let records = body.iter().filter(|byte| **byte == b'\n').count();
        state.records.fetch_add(records as u64, Ordering::AcqRel);
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    }
}
