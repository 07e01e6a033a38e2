//! What stands between the upstream's response and the client: it holds the response back until phases 3 and 4 have
//! passed.

use super::answer::{Action, Trouble};
use super::diagnosis::ABANDONED;
use super::exchange::{Exchange, Step};
use super::page::Page;
use crate::engine::EventKind;
use bytes::Bytes;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, Result};
use pingora_http::ResponseHeader;
use std::sync::Arc;

/// What stands between the upstream's response and the client.
pub(super) struct Gate {
    pub(super) exchange: Arc<Exchange>,
    state: GateState,
    held: Vec<HttpTask>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateState {
    /// Nothing but informational responses has come.
    Waiting,
    /// The head and what has come of the body are held.
    Holding,
    /// Everything passes.
    Open,
    /// The client was answered something else; nothing passes.
    Shut,
}

/// What a gate does with a task.
enum Verdict {
    /// Hold it.
    Hold,
    /// Send everything that is held, it included.
    Release,
    /// Send something else instead.
    Refuse(Trouble),
}

impl Gate {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, state: GateState::Waiting, held: Vec::new() }
    }

    /// Whether the client was answered something else, and has that whole.
    pub(super) fn is_shut(&self) -> bool {
        self.state == GateState::Shut
    }

    /// What may be sent now, of `tasks` and what was held before.
    pub(super) async fn admit(&mut self, tasks: Vec<HttpTask>) -> Result<Vec<HttpTask>> {
        let mut out = Vec::with_capacity(tasks.len());
        for task in tasks {
            match self.state {
                GateState::Open => out.push(task),
                GateState::Shut => {}
                GateState::Waiting | GateState::Holding => {
                    if matches!(task, HttpTask::Failed(_)) {
                        // The upstream broke off. Nothing has been sent, so the client can be told.
                        self.held.clear();
                        out.push(task);
                        continue;
                    }
                    if is_interim(&task) {
                        out.push(task);
                        continue;
                    }
                    let verdict = self.judge(&task).await;
                    self.held.push(task);
                    self.apply(verdict, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// What is due when the upstream has ended without saying so.
    pub(super) async fn flush(&mut self) -> Result<Vec<HttpTask>> {
        let mut out = Vec::new();
        if self.state == GateState::Holding {
            let verdict = self.end().await;
            self.apply(verdict, &mut out)?;
        }
        Ok(out)
    }

    async fn judge(&mut self, task: &HttpTask) -> Verdict {
        let verdict = match task {
            HttpTask::Header(head, is_end) => self.head(head, *is_end).await,
            HttpTask::Body(Some(chunk), _) if !chunk.is_empty() => self.chunk(chunk).await,
            HttpTask::Body(..)
            | HttpTask::UpgradedBody(..)
            | HttpTask::Trailer(_)
            | HttpTask::Done
            | HttpTask::Failed(_) => Verdict::Hold,
        };
        match verdict {
            Verdict::Hold if task.is_end() => self.end().await,
            verdict => verdict,
        }
    }

    async fn head(&mut self, head: &ResponseHeader, is_end: bool) -> Verdict {
        self.state = GateState::Holding;
        let protocol: &[u8] = match head.version {
            http::Version::HTTP_2 => b"HTTP/2.0",
            http::Version::HTTP_10 => b"HTTP/1.0",
            _ => b"HTTP/1.1",
        };
        let fields = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let step = self.exchange.response_headers(head.status.as_u16(), protocol, fields);
        match self.weigh(step) {
            Verdict::Hold => {}
            verdict => return verdict,
        }
        let is_stream = is_stream(head);
        let wants = self.exchange.wants_response_body();
        if wants && is_stream {
            self.exchange.note(EventKind::ResponseBodyUninspected, "the response is a stream without an end");
        }
        if wants && !is_stream && !is_end {
            return Verdict::Hold;
        }
        self.end().await
    }

    async fn chunk(&mut self, chunk: &Bytes) -> Verdict {
        match self.exchange.response_body(chunk).await {
            Step::Pass => Verdict::Hold,
            Step::LimitReached => self.end().await,
            Step::Stop(trouble) => self.weigh(Step::Stop(trouble)),
        }
    }

    /// Phase 4: everything that will be inspected is here.
    async fn end(&mut self) -> Verdict {
        let step = self.exchange.response_end().await;
        match self.weigh(step) {
            Verdict::Hold => Verdict::Release,
            verdict => verdict,
        }
    }

    /// A step's result as a verdict; `Hold` when it passed.
    fn weigh(&self, step: Step) -> Verdict {
        match step {
            Step::Pass | Step::LimitReached => Verdict::Hold,
            Step::Stop(trouble) => match trouble.answer(&self.exchange.policy()).action {
                Action::Pass => {
                    self.exchange.answer(&trouble);
                    Verdict::Release
                }
                Action::Page(_) | Action::Redirect { .. } | Action::Abandon | Action::Answered => {
                    Verdict::Refuse(trouble)
                }
            },
        }
    }

    fn apply(&mut self, verdict: Verdict, out: &mut Vec<HttpTask>) -> Result<()> {
        match verdict {
            Verdict::Hold => Ok(()),
            Verdict::Release => {
                self.state = GateState::Open;
                out.append(&mut self.held);
                Ok(())
            }
            Verdict::Refuse(trouble) => {
                self.state = GateState::Shut;
                self.held.clear();
                let answer = self.exchange.answer(&trouble);
                let Some(page) = self.exchange.page(&answer) else {
                    return Error::e_explain(ABANDONED, answer.reason);
                };
                out.extend(response(&page, self.exchange.is_head())?);
                Ok(())
            }
        }
    }
}

/// A page as what pingora writes.
fn response(page: &Page, is_head: bool) -> Result<Vec<HttpTask>> {
    let head = Box::new(page.head()?);
    if is_head || page.body.is_empty() {
        return Ok(vec![HttpTask::Header(head, true)]);
    }
    Ok(vec![HttpTask::Header(head, false), HttpTask::Body(Some(page.body.clone()), true)])
}

/// Informational responses pass at once. 101 is final: what follows it is another protocol.
pub(super) fn is_interim(task: &HttpTask) -> bool {
    matches!(task, HttpTask::Header(head, _) if head.status.is_informational() && head.status != 101)
}

/// Whether a response never ends, or must flow while it is written.
fn is_stream(head: &ResponseHeader) -> bool {
    if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return true;
    }
    let kind = head.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    kind == b"text/event-stream"
        || kind == b"multipart/x-mixed-replace"
        || kind == b"application/grpc"
        || kind.starts_with(b"application/grpc+")
}
