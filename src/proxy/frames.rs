//! What an HTTP/2 client sends besides requests, counted by kind of frame.
//!
//! The `h2` crate bounds what frames may occupy: streams, queued resets, heads in many CONTINUATION frames, small DATA
//! frames that nobody has read yet. It does not bound how many frames a client may send that cost it nothing and us a
//! little each: resets of requests that have just begun, settings to be acknowledged, pings to be answered, windows that
//! grow by a byte. So the bytes that `h2` reads ([`super::metered`]) pass by here first, where frame headers
//! (RFC 9113 §4.1) are counted against budgets; payloads are not looked at. Whoever serves the connection hears of a budget
//! that is used up, and ends the connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// What has been counted on a connection.
#[derive(Debug)]
pub(super) struct Meter {
    state: Mutex<State>,
    /// Told when something is over its budget, a head has begun that has not ended, or one was refused.
    alarm: Notify,
}

#[derive(Debug)]
struct State {
    budgets: [Budget; Nuisance::ALL.len()],
    /// What is over its budget.
    flood: Option<Nuisance>,
    /// Since when a head has been coming in.
    head_since: Option<Instant>,
    /// Heads that the library has refused as too long, and nobody has heard of yet, by the ids that their senders were told.
    refused: Vec<String>,
}

/// What a client may send too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nuisance {
    /// RST_STREAM: rapid resets (CVE-2023-44487).
    Resets,
    /// SETTINGS, each of which is acknowledged.
    Settings,
    /// PING, each of which is answered.
    Pings,
    /// WINDOW_UPDATE, beyond what is sent.
    Windows,
    /// DATA with next to nothing in it.
    SmallData,
    /// PRIORITY, and types that nobody knows.
    Others,
}

impl Nuisance {
    const ALL: [Nuisance; 6] = [
        Nuisance::Resets,
        Nuisance::Settings,
        Nuisance::Pings,
        Nuisance::Windows,
        Nuisance::SmallData,
        Nuisance::Others,
    ];

    /// A stable name for counters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Nuisance::Resets => "http2_reset_flood",
            Nuisance::Settings => "http2_settings_flood",
            Nuisance::Pings => "http2_ping_flood",
            Nuisance::Windows => "http2_window_flood",
            Nuisance::SmallData => "http2_small_data_flood",
            Nuisance::Others => "http2_frame_flood",
        }
    }

    /// Frames at once, and then for each second. A browser that leaves a page resets at most as many streams as it may
    /// have open; what acknowledges data grows with the data, as [`Meter::earn`] tells.
    fn allowed(self) -> (f64, f64) {
        match self {
            Nuisance::Resets => (400.0, 40.0),
            Nuisance::Settings => (100.0, 10.0),
            Nuisance::Pings => (500.0, 50.0),
            Nuisance::Windows => (10_000.0, 1_000.0),
            Nuisance::SmallData => (10_000.0, 1_000.0),
            Nuisance::Others => (1_000.0, 100.0),
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: f64,
    at: Instant,
}

impl Budget {
    fn take(&mut self, (most, each_second): (f64, f64), now: Instant) -> bool {
        // Looking at the clock for each frame would be dear; the budget lasts for long as a rule.
        self.left -= 1.0;
        if self.left >= 0.0 {
            return true;
        }
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * each_second).min(most);
        self.at = now;
        self.left >= 0.0
    }
}

impl Meter {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                budgets: Nuisance::ALL.map(|n| Budget { left: n.allowed().0, at: now }),
                flood: None,
                head_since: None,
                refused: Vec::new(),
            }),
            alarm: Notify::new(),
        }
    }

    /// Waits until something is over its budget, or a head has begun or was refused.
    pub(super) async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    /// What is over its budget.
    pub(super) fn flood(&self) -> Option<Nuisance> {
        self.state().flood
    }

    /// Since when a head has been coming in.
    pub(super) fn head_since(&self) -> Option<Instant> {
        self.state().head_since
    }

    /// The heads that the library has answered with 431 by itself since this was asked the last time.
    pub(super) fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut self.state().refused)
    }

    pub(super) fn refuse(&self, id: String) {
        self.state().refused.push(id);
        self.alarm.notify_one();
    }

    fn count(&self, frame: &Frame, now: Instant) {
        let Some(nuisance) = frame.nuisance() else { return };
        let mut state = self.state();
        if let Some(budget) = state.budgets.get_mut(nuisance as usize)
            && !budget.take(nuisance.allowed(), now)
            && state.flood.is_none()
        {
            state.flood = Some(nuisance);
            self.alarm.notify_one();
        }
    }

    /// Bytes were sent to the client, which may acknowledge them; or it has sent bytes that count.
    pub(super) fn earn(&self, nuisance: Nuisance, bytes: usize) {
        if bytes < EARNED {
            return;
        }
        let (most, _) = nuisance.allowed();
        if let Some(budget) = self.state().budgets.get_mut(nuisance as usize) {
            // At most a buffer's bytes at a time, so that the number is exact.
            budget.left = (budget.left + (bytes / EARNED) as f64).min(most);
        }
    }

    fn head(&self, since: Option<Instant>) {
        self.state().head_since = since;
        if since.is_some() {
            self.alarm.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where something could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of data for which a WINDOW_UPDATE is in order, or a small DATA frame. Clients acknowledge kilobytes at a time.
const EARNED: usize = 256;

/// DATA with less than this is small: less than what frames it.
const SMALL: usize = 16;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

impl Frame {
    pub(super) fn parse(header: &[u8; 9]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *header;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    fn is_head(&self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION)
    }

    /// Whether nothing follows on its stream from who has sent it.
    pub(super) fn ends_stream(&self) -> bool {
        match self.kind {
            DATA | HEADERS => self.flags & END_STREAM != 0,
            RST_STREAM => true,
            _ => false,
        }
    }

    fn nuisance(&self) -> Option<Nuisance> {
        match self.kind {
            DATA if self.length < SMALL && self.flags & END_STREAM == 0 => Some(Nuisance::SmallData),
            // Bounded by what they may bring, or an error.
            DATA | HEADERS | CONTINUATION | PUSH_PROMISE | GOAWAY => None,
            RST_STREAM => Some(Nuisance::Resets),
            SETTINGS => Some(Nuisance::Settings),
            PING => Some(Nuisance::Pings),
            WINDOW_UPDATE => Some(Nuisance::Windows),
            _ => Some(Nuisance::Others),
        }
    }
}

/// Cuts a stream of bytes into frames, wherever reads or writes end.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// Bytes to be passed over: of the preface, and of payloads.
    skip: usize,
    header: [u8; 9],
    have: usize,
}

impl Cutter {
    /// Passes over what is left of a payload, and takes the next frame's header from `bytes`; none when they are used up
    /// before it is whole.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let over = self.skip.min(bytes.len());
        self.skip -= over;
        let rest = bytes.get(over..).unwrap_or_default();
        let (part, rest) = rest.split_at((self.header.len() - self.have).min(rest.len()));
        *bytes = rest;
        if let Some(place) = self.header.get_mut(self.have..self.have + part.len()) {
            place.copy_from_slice(part);
        }
        self.have += part.len();
        if self.have < self.header.len() {
            return None;
        }
        let frame = Frame::parse(&self.header);
        (self.have, self.skip) = (0, frame.length);
        Some(frame)
    }
}

/// Finds frames in what is read.
#[derive(Debug)]
pub(super) struct Scanner {
    cutter: Cutter,
    /// A head is coming in, since then.
    head: Option<Instant>,
    /// The frame that is being passed over is its last one.
    is_last: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { cutter: Cutter { skip: PREFACE, ..Cutter::default() }, head: None, is_last: false }
    }
}

/// `PRI * HTTP/2.0 …` (RFC 9113 §3.4).
const PREFACE: usize = 24;

impl Scanner {
    pub(super) fn read(&mut self, mut bytes: &[u8], meter: &Meter, mut hear: impl FnMut(&Frame)) {
        let now = Instant::now();
        let before = self.head;
        loop {
            let frame = self.cutter.next(&mut bytes);
            if self.is_last && (frame.is_some() || self.cutter.skip == 0) {
                (self.head, self.is_last) = (None, false);
            }
            let Some(frame) = frame else { break };
            meter.count(&frame, now);
            if frame.kind == DATA {
                meter.earn(Nuisance::SmallData, frame.length);
            }
            hear(&frame);
            if frame.is_head() {
                self.head.get_or_insert(now);
                self.is_last = frame.flags & END_HEADERS != 0;
            }
        }
        if self.head != before {
            meter.head(self.head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(scanner: &mut Scanner, bytes: &[u8], meter: &Meter) {
        scanner.read(bytes, meter, |_| {});
    }

    fn frame(length: usize, kind: u8, flags: u8) -> Vec<u8> {
        let [.., a, b, c] = u32::try_from(length).expect("a length").to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(9 + length, 0);
        frame
    }

    /// However the bytes are cut.
    #[test]
    fn frames_are_found_wherever_reads_end() {
        let mut bytes = vec![0; PREFACE];
        for _ in 0..99 {
            bytes.extend(frame(6, SETTINGS, 0));
            bytes.extend(frame(300, DATA, 0));
        }
        for size in [1, 2, 7, 9, 10, 1_000, usize::MAX] {
            let (meter, mut scanner) = (Meter::new(), Scanner::default());
            bytes.chunks(size.min(bytes.len())).for_each(|piece| read(&mut scanner, piece, &meter));
            assert_eq!(meter.flood(), None, "{size}");
            read(&mut scanner, &frame(0, SETTINGS, 1).repeat(3), &meter);
            assert_eq!(meter.flood(), Some(Nuisance::Settings), "{size}");
        }
    }

    /// Frames as a client may send them: known and unknown kinds, whole and with lengths that are not true.
    fn traffic() -> impl Strategy<Value = Vec<u8>> {
        let one = (0_u8..12, any::<u8>(), 0_u32..9, prop::collection::vec(any::<u8>(), 0..40), any::<u8>());
        let one = one.prop_map(|(kind, flags, stream, payload, lie)| {
            let length = if lie == 0 { 1_000 } else { payload.len() };
            let [.., a, b, c] = u32::try_from(length).expect("a length").to_be_bytes();
            [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), &payload].concat()
        });
        let preface = vec![b'p'; PREFACE];
        prop::collection::vec(one, 0..60).prop_map(move |frames| [preface.clone(), frames.concat()].concat())
    }

    /// What is made of bytes in pieces of these sizes: the frames, whether a head is under way, and what is still passed over.
    fn scanned(bytes: &[u8], sizes: &[usize]) -> (Vec<Frame>, bool, bool, usize) {
        let (meter, mut scanner, mut heard) = (Meter::new(), Scanner::default(), Vec::new());
        let mut rest = bytes;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*size).clamp(1, rest.len()));
            scanner.read(piece, &meter, |frame| heard.push(*frame));
            rest = behind;
        }
        (heard, scanner.head.is_some(), meter.head_since().is_some(), scanner.cutter.skip)
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_frames(
            bytes in prop_oneof![traffic(), prop::collection::vec(any::<u8>(), 0..600)],
            sizes in prop::collection::vec(1_usize..50, 1..9),
        ) {
            let whole = scanned(&bytes, &[usize::MAX]);
            prop_assert_eq!(&whole, &scanned(&bytes, &sizes));
            prop_assert_eq!(&whole, &scanned(&bytes, &[1]));
            let framed: usize = whole.0.iter().map(|frame| 9 + frame.length).sum();
            prop_assert!(PREFACE + framed <= bytes.len() + whole.3, "no byte belongs to two frames");
        }
    }

    #[test]
    fn each_kind_has_its_budget() {
        let kinds = [
            (RST_STREAM, 4, Nuisance::Resets),
            (SETTINGS, 0, Nuisance::Settings),
            (PING, 8, Nuisance::Pings),
            (WINDOW_UPDATE, 4, Nuisance::Windows),
            (DATA, 0, Nuisance::SmallData),
            (2, 5, Nuisance::Others),
            (0xee, 0, Nuisance::Others),
        ];
        for (kind, length, nuisance) in kinds {
            let (meter, mut scanner) = (Meter::new(), Scanner::default());
            read(&mut scanner, &[0; PREFACE], &meter);
            let most = nuisance.allowed().0 as usize;
            read(&mut scanner, &frame(length, kind, 0).repeat(most), &meter);
            assert_eq!(meter.flood(), None, "{nuisance:?}");
            // Some of the budget has come back meanwhile.
            read(&mut scanner, &frame(length, kind, 0).repeat(most / 2 + 2), &meter);
            assert_eq!(meter.flood(), Some(nuisance));
        }
        let (meter, mut scanner) = (Meter::new(), Scanner::default());
        read(&mut scanner, &[0; PREFACE], &meter);
        for _ in 0..50_000 {
            read(&mut scanner, &frame(4, WINDOW_UPDATE, 0), &meter);
            meter.earn(Nuisance::Windows, 1_024);
            read(&mut scanner, &frame(1_000, DATA, 0), &meter);
            read(&mut scanner, &frame(5, DATA, 0), &meter);
        }
        assert_eq!(meter.flood(), None, "what goes with data is in order");
    }

    #[test]
    fn a_head_is_on_its_way_until_its_last_byte() {
        let (meter, mut scanner) = (Meter::new(), Scanner::default());
        read(&mut scanner, &[0; PREFACE], &meter);
        read(&mut scanner, &frame(10, HEADERS, END_HEADERS), &meter);
        assert_eq!(meter.head_since(), None, "whole in one read");
        read(&mut scanner, &frame(10, HEADERS, 0), &meter);
        let since = meter.head_since();
        assert!(since.is_some());
        let last = frame(10, CONTINUATION, END_HEADERS);
        read(&mut scanner, &last[..12], &meter);
        assert_eq!(meter.head_since(), since, "the time is that of its beginning");
        read(&mut scanner, &last[12..], &meter);
        assert_eq!(meter.head_since(), None);
    }
}
