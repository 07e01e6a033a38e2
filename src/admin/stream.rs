//! Live updates: server-sent events, one a second while something happens.
//!
//! One task composes each tick for all that watch, and only while somebody does. A stream that does not take its ticks
//! loses its connection; the page opens another one.

use super::desk::Desk;
use super::facts;
use super::reply::{self, Answer};
use crate::telemetry::Totals;
use futures::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};

/// From one tick to the next.
const TICK: Duration = Duration::from_secs(1);
/// A line on streams where nothing happens, so that what stands between does not end them.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the history is kept when nobody watches: a bucket is this long.
const SAMPLE: u32 = 10;
/// How long a reader may leave a tick untaken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stream lives; then the page asks again, and its right to do so is looked at again.
const LIFE: Duration = Duration::from_secs(600);
/// Rows in a tick at most. What comes on top is only counted; the list has it.
const ROWS: usize = 40;

/// Keeps the history, and tells those who watch. Never ends.
pub(super) async fn tick(desk: Arc<Desk>) -> Infallible {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let traffic = &desk.subject.traffic;
    let (mut turn, mut last, mut totals) = (0_u32, traffic.last(), traffic.totals());
    let mut by_site = traffic.totals_by_site();
    loop {
        interval.tick().await;
        turn = (turn + 1) % SAMPLE;
        let is_watched = traffic.is_watched();
        if is_watched || turn == 0 {
            traffic.sample(&desk.subject.metrics, SystemTime::now());
        }
        if !is_watched {
            (last, totals) = (traffic.last(), traffic.totals());
            by_site = traffic.totals_by_site();
            continue;
        }
        let now = traffic.totals();
        let change = now.since(&totals);
        let kept = traffic.look(last, ROWS);
        let newest = kept.first().map_or(last, |kept| kept.number);
        let generation = desk.generation();
        let mut told = facts::totals(&change);
        told["at"] = facts::stamp(SystemTime::now()).into();
        told["generation"] = generation.number.into();
        told["rows"] = facts::headlines(&desk, &kept).into();
        let sites = traffic.totals_by_site();
        told["sites"] = changes(&by_site, &sites).into();
        (last, totals, by_site) = (newest, now, sites);
        // Nobody may be there any more.
        let _ = desk.feed.send(Bytes::from(format!("event: tick\ndata: {told}\n\n")));
    }
}

/// What happened by site, those left out where nothing did.
fn changes(before: &BTreeMap<String, Totals>, now: &BTreeMap<String, Totals>) -> Map<String, Value> {
    let none = Totals::default();
    let change = |(site, totals): (&String, &Totals)| {
        let change = totals.since(before.get(site).unwrap_or(&none));
        (!change.is_zero()).then(|| (site.clone(), facts::totals(&change)))
    };
    now.iter().filter_map(change).collect()
}

/// A new stream, unless there are too many.
pub(super) fn open(desk: &Arc<Desk>, cut: &Arc<Notify>) -> Answer {
    let Ok(seat) = Arc::clone(&desk.seats).try_acquire_owned() else {
        return reply::problem(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open");
    };
    let watching = desk.subject.traffic.watch();
    let mut feed = desk.feed.subscribe();
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    let cut = Arc::clone(cut);
    let hello = json!({"retry_ms": 2_000});
    tokio::spawn(async move {
        let _held = (seat, watching);
        let end = tokio::time::sleep(LIFE);
        tokio::pin!(end);
        let mut next = Bytes::from(format!("retry: 2000\nevent: hello\ndata: {hello}\n\n"));
        loop {
            match sender.send_timeout(next, PATIENCE).await {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => return cut.notify_one(),
            }
            next = tokio::select! {
                tick = feed.recv() => match tick {
                    Ok(tick) => tick,
                    // It is behind already; it will see everything when it asks anew.
                    Err(RecvError::Lagged(_)) => return cut.notify_one(),
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b": still here\n\n"),
                () = sender.closed() => return,
                () = &mut end => return,
            };
        }
    });
    let frames = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // For nginx in front, which would collect what it is to pass on.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    reply::harden(&mut answer);
    answer
}
