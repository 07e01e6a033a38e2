//! Lines on their way to one sink: bounded in number and bytes, those included that are being sent.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// A record as it is sent.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Line {
    /// The record with its newline.
    pub(in crate::telemetry) bytes: Arc<[u8]>,
    /// Syslog's severity, 0 to 7.
    pub(in crate::telemetry) severity: u8,
    /// When the request began.
    pub(in crate::telemetry) time: OffsetDateTime,
}

/// How many lines go out together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) lines: usize,
    pub(super) bytes: usize,
    /// How long the first waits for others.
    pub(super) wait: Duration,
}

/// What a sink's thread is to do next.
pub(super) enum Work {
    Send(Vec<Line>),
    /// The file may have been moved away.
    Reopen,
    /// Nothing waits and nothing will come.
    End,
}

pub(in crate::telemetry) struct Queue {
    most: usize,
    most_bytes: usize,
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Line>,
    /// Lines and bytes that wait or are being sent.
    held: usize,
    held_bytes: usize,
    pushed: u64,
    finished: u64,
    /// Somebody waits for lines up to this one: they do not wait for others.
    hurry: u64,
    reopen: bool,
    closed: bool,
}

impl Queue {
    pub(in crate::telemetry) fn new(most: NonZeroUsize, most_bytes: usize) -> Self {
        Self {
            most: most.get(),
            most_bytes,
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Takes a line unless the queue is full or closed; says whether it has. Never waits.
    pub(in crate::telemetry) fn push(&self, line: Line) -> bool {
        let mut state = self.lock();
        let bytes = state.held_bytes.saturating_add(line.bytes.len());
        if state.closed || state.held >= self.most || bytes > self.most_bytes {
            return false;
        }
        state.held += 1;
        state.held_bytes = bytes;
        state.pushed += 1;
        state.waiting.push_back(line);
        self.work.notify_all();
        true
    }

    /// Lines that wait or are being sent.
    pub(in crate::telemetry) fn held(&self) -> usize {
        self.lock().held
    }

    /// Asks the sink to open its file anew.
    pub(in crate::telemetry) fn reopen(&self) {
        self.lock().reopen = true;
        self.work.notify_all();
    }

    /// Takes no more lines; the sink's thread ends behind the last one.
    pub(in crate::telemetry) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits until everything pushed so far has been delivered or dropped. Says whether it has.
    pub(in crate::telemetry) fn drain(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let mark = state.pushed;
        state.hurry = mark;
        self.work.notify_all();
        while state.finished < mark {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The next thing to do; waits for it.
    pub(super) fn take(&self, batch: Batch) -> Work {
        let mut state = self.lock();
        let mut first_seen = None;
        loop {
            if std::mem::take(&mut state.reopen) {
                return Work::Reopen;
            }
            if state.waiting.is_empty() {
                if state.closed {
                    return Work::End;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let since: Instant = *first_seen.get_or_insert_with(Instant::now);
            let left = batch.wait.saturating_sub(since.elapsed());
            // What is being sent is not among the waiting when this is called: `held` is what waits.
            let full = state.held >= batch.lines || state.held_bytes >= batch.bytes;
            if full || left.is_zero() || state.closed || state.hurry > state.finished {
                return Work::Send(state.first(batch));
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lines have been delivered or dropped.
    pub(super) fn finished(&self, lines: &[Line]) {
        let mut state = self.lock();
        state.held -= lines.len();
        state.held_bytes -= lines.iter().map(|line| line.bytes.len()).sum::<usize>();
        state.finished += lines.len() as u64;
        self.done.notify_all();
    }

    /// Waits before another attempt: for `time`, unless the queue is closed or the file is to be opened anew.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while !state.closed && !state.reopen {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the file is to be opened anew; asking takes the wish back.
    pub(super) fn take_reopen(&self) -> bool {
        std::mem::take(&mut self.lock().reopen)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first lines, at least one.
    fn first(&mut self, batch: Batch) -> Vec<Line> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        while let Some(line) = self.waiting.front() {
            bytes += line.bytes.len();
            if !taken.is_empty() && (taken.len() >= batch.lines || bytes > batch.bytes) {
                break;
            }
            taken.extend(self.waiting.pop_front());
        }
        taken
    }
}
