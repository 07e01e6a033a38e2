//! The parts of a soak, for the benchmark and for the short one that is a test.

mod origin;
mod plant;
mod says;
mod tally;
mod traffic;
mod troubles;
mod wire;

pub use says::Outcome;

use origin::{Faulty, Shop};
use plant::Plant;
use says::Sample;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tally::Tally;
use traffic::Traffic;
use troubles::Troubles;

/// How long, and how hard.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of traffic, the warm-up included.
    pub duration: Duration,
    /// After which memory may not grow any more.
    pub warm_up: Duration,
    /// How much it may grow, in hundredths.
    pub growth: f64,
    /// Between two requests of one client.
    pub pace: Duration,
    /// Between two troubles of one kind, such as two stops of Redis; each lasts a third of it.
    pub period: Duration,
    /// What inspects.
    pub rules: Rules,
    /// Whether the course of things is told as it goes.
    pub tells: bool,
}

/// A ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// A few rules, which compile at once: for a build that is not optimised.
    Few,
    /// The built-in ruleset.
    Core,
    /// OWASP CRS, from beside the project.
    Crs,
}

impl Plan {
    /// One of that length; a quarter of it warms up, five minutes at most.
    pub fn of(duration: Duration) -> Self {
        let plan = Self {
            duration,
            warm_up: Duration::ZERO,
            growth: 5.0,
            pace: Duration::from_millis(25),
            period: Duration::from_secs(30),
            rules: Rules::Core,
            tells: false,
        };
        plan.lasting(duration)
    }

    /// This one with another length.
    pub fn lasting(self, duration: Duration) -> Self {
        let warm_up = (duration / 4).min(Duration::from_secs(300));
        // A short one meets every trouble as well.
        let period = (duration / 4).clamp(Duration::from_secs(3), Duration::from_secs(30));
        Self { duration, warm_up, period, ..self }
    }
}

/// Does it. None where there is no Redis.
pub fn run(plan: &Plan) -> Option<Outcome> {
    let redis = crate::support::redis::Redis::start(&[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let tally = Arc::new(Tally::default());
    let (shop, pair, faulty) = runtime.block_on(async {
        let shop = Shop::start(Arc::clone(&tally)).await;
        (
            shop,
            [Shop::start(Arc::clone(&tally)).await, Shop::start(Arc::clone(&tally)).await],
            Faulty::start().await,
        )
    });
    let pair = pair.map(Arc::new);
    let sink = troubles::Sink::start();
    let mut plant = Plant::start(plan, &shop, &pair, &faulty, &sink, redis.port);
    let started = plant.sample();
    let is_over = Arc::new(AtomicBool::new(false));
    let traffic = Traffic::start(&runtime, &plant, plan, Arc::clone(&tally), Arc::clone(&is_over));
    let began = Instant::now();
    let mut troubles = Troubles::new(plan, redis, sink, &pair[1], runtime.handle().clone());
    let mut samples: Vec<(Duration, Sample)> = Vec::new();
    while began.elapsed() < plan.duration {
        troubles.step(began.elapsed(), &mut plant);
        std::thread::sleep(Duration::from_millis(200));
        let now = began.elapsed();
        if samples.last().is_none_or(|(then, _)| now - *then >= Duration::from_secs(1)) {
            let sample = plant.sample();
            samples.push((now, sample));
            if plan.tells && samples.len().is_multiple_of(30) {
                says::progress(now, &tally, sample);
            }
            if !plant.is_alive() {
                tally.wrong("the process has ended", format!("after {now:?}"));
                break;
            }
        }
    }
    is_over.store(true, Ordering::Release);
    troubles.end();
    runtime.block_on(traffic.end());
    plant.settle(&started, || shop.open() + pair[0].open() + pair[1].open() + faulty.open(), &tally);
    let reloads = plant.reloads();
    let left = plant.sample();
    let open = shop.open() + pair[0].open() + pair[1].open() + faulty.open();
    plant.end(&tally);
    let parts = troubles.done();
    Some(Outcome::new(plan, &tally, samples, (started, left, open), reloads, parts))
}
