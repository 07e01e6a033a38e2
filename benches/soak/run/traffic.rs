//! Clients of every kind. Each request carries a word of its own, which the origin says in its answer, so that an answer
//! that is lost or somebody else's is seen.

mod clients;
mod words;

use super::Plan;
use super::origin::echo;
use super::plant::Plant;
use super::tally::Tally;
use super::wire::{Reply, Trust, Wire};
use std::collections::HashSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use words::{Random, Request};

/// All clients at work.
pub struct Traffic {
    clients: JoinSet<()>,
    ground: Arc<Ground>,
}

/// What every client has.
pub struct Ground {
    plain: SocketAddr,
    secured: SocketAddr,
    trust: Trust,
    pace: Duration,
    tally: Arc<Tally>,
    is_over: Arc<AtomicBool>,
    /// Certificates that were shown.
    shown: Mutex<HashSet<Vec<u8>>>,
}

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Traffic {
    pub fn start(
        runtime: &Runtime,
        plant: &Plant,
        plan: &Plan,
        tally: Arc<Tally>,
        is_over: Arc<AtomicBool>,
    ) -> Self {
        let ground = Arc::new(Ground {
            plain: plant.plain,
            secured: plant.secured,
            trust: plant.trust.clone(),
            pace: plan.pace,
            tally,
            is_over,
            shown: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        let _inside = runtime.enter();
        let mut seed = 0;
        macro_rules! client {
            ($work:path, $pauses:expr) => {{
                seed += 1;
                clients.spawn(repeat(Arc::clone(&ground), seed, $pauses, $work));
            }};
        }
        // What follows each is how many times the pace passes between two of its turns.
        client!(clients::kept, 1);
        client!(clients::kept, 1);
        client!(clients::fresh, 2);
        client!(clients::pipelined, 4);
        client!(clients::pair, 2);
        client!(clients::upload, 2);
        client!(clients::upload, 4);
        client!(clients::attack, 1);
        client!(clients::banned, 4);
        client!(clients::malformed, 4);
        client!(clients::secured, 8);
        client!(clients::http2, 4);
        client!(clients::limited, 2);
        client!(clients::page, 2);
        client!(clients::download, 8);
        client!(clients::events, 4);
        client!(clients::websocket, 8);
        client!(clients::slow_head, 4);
        client!(clients::slow_body, 4);
        client!(clients::slow_reader, 8);
        client!(clients::never_ends, 40);
        client!(clients::goes_away, 4);
        client!(clients::broken, 2);
        client!(clients::broken, 4);
        Self { clients, ground }
    }

    /// Waits for the clients' ends.
    pub async fn end(mut self) {
        while self.clients.join_next().await.is_some() {}
        if self.ground.shown.lock().expect("no panic").len() < 2 {
            self.ground.tally.wrong("certificates", "a new one was never shown");
        }
    }
}

/// Does a client's work again and again. What cannot be done is a lost answer.
async fn repeat<F>(ground: Arc<Ground>, seed: u64, pauses: u32, work: fn(Arc<Ground>, Random) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let mut random = Random::new(seed);
    while !ground.is_over.load(Ordering::Acquire) {
        let turn = work(Arc::clone(&ground), Random::new(random.next()));
        match tokio::time::timeout(2 * PATIENCE, turn).await {
            Ok(Ok(())) => {}
            Ok(Err(what)) => ground.tally.wrong("a lost answer", what),
            Err(_) => ground.tally.wrong("a lost answer", format!("client {seed} waits for ever")),
        }
        tokio::time::sleep(ground.pace * pauses).await;
    }
}

impl Ground {
    /// Whether a client with a kept connection should go on with it.
    async fn goes_on(&self) -> bool {
        tokio::time::sleep(self.pace).await;
        !self.is_over.load(Ordering::Acquire)
    }

    /// Sends a request and takes its answer.
    async fn exchange(&self, wire: &mut Wire, request: &Request) -> Result<Reply, String> {
        let began = Instant::now();
        let exchange = async {
            wire.send(&request.bytes()).await?;
            wire.read(None).await
        };
        let reply = self.within(request.kind, &request.marker, exchange).await?;
        self.tally.took(began.elapsed());
        Ok(reply)
    }

    /// The outcome of something that has an end.
    async fn within<T>(
        &self,
        kind: &'static str,
        marker: &str,
        work: impl Future<Output = std::io::Result<T>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("{kind} {marker}: {error}")),
            Err(_) => Err(format!("{kind} {marker}: no end after {PATIENCE:?}")),
        }
    }

    /// Looks at the shop's answer to an ordinary request.
    fn judge(&self, request: &Request, reply: &Reply) {
        self.judge_as(request, reply, echo(&request.marker, &request.target, &request.body).as_bytes());
    }

    fn judge_as(&self, request: &Request, reply: &Reply, expected: &[u8]) {
        self.tally.asked(request.kind);
        let about = || {
            format!(
                "{} {} {}: {} {}",
                request.kind,
                request.marker,
                request.target,
                reply.status,
                reply.text()
            )
        };
        if reply.status == 403 {
            self.tally.wrong("an ordinary request blocked", about());
        } else if reply.status != 200 {
            self.tally.wrong("an ordinary request not served", about());
        } else if !reply.complete {
            self.tally.wrong("a lost answer", format!("cut: {}", about()));
        } else if reply.body != expected {
            self.tally.wrong("somebody else's answer", about());
        }
    }

    /// Looks at the answer to an attack.
    fn judge_attack(&self, request: &Request, reply: &Reply) {
        self.tally.asked(request.kind);
        let has_id =
            reply.header("x-request-id").is_some_and(|id| reply.text().contains(id) || id.len() == 26);
        if reply.status != 403 {
            let about = format!("{} {} {}: {}", request.kind, request.marker, request.target, reply.status);
            self.tally.wrong("an attack not blocked", about);
        } else if !has_id || !reply.complete {
            self.tally.wrong("a page without its id", format!("{} {}", reply.head, reply.text()));
        }
    }
}
