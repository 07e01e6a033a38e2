//! Reading, sharing out, adding up.

use super::read::{self, Batch};
use super::record::{Recorded, Verdict};
use super::side::Side;
use super::tally::Tally;
use super::{ReplayArgs, tell};
use crate::cli::console::{complain, say};
use crate::cli::progress::Progress;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

/// More is newly blocked than is allowed.
const TOO_MUCH: u8 = 3;

/// Replays and tells.
pub(in crate::cli) fn replay(args: &ReplayArgs) -> ExitCode {
    let tally = match run(args) {
        Ok(tally) => tally,
        Err(message) => {
            complain(&message);
            return ExitCode::FAILURE;
        }
    };
    if args.json {
        say(&format!("{}\n", tell::to_json(&tally, args.top)));
    } else {
        say(&tell::text(&tally, args.top));
    }
    match args.max_new_blocks {
        Some(most) if tally.new_blocks() > most => {
            complain(&format!(
                "{:.3} % are newly blocked; at most {:.3} % are allowed\n",
                tally.new_blocks() * 100.0,
                most * 100.0
            ));
            ExitCode::from(TOO_MUCH)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn run(args: &ReplayArgs) -> Result<Tally, String> {
    let line = |error: String| format!("error: {error}\n");
    let candidate = Side::load(&args.against, args.site.as_deref())?;
    let baseline = match args.baseline.is_empty() {
        true => None,
        false => Some(Side::load(&args.baseline, args.site.as_deref())?),
    };
    let files = read::files(&args.files).map_err(line)?;
    let work = Work { candidate, baseline, only_exact: args.exact };
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.jobs.map_or(cores, NonZeroUsize::get).min(MOST_THREADS);
    let progress = Progress::new(&files);
    let (tally, read) = work.share_out(&files, threads, &progress);
    progress.finish();
    read.map_err(line)?;
    let told = tally.replayed + tally.left_out + tally.refused + tally.without_site;
    if told == 0 {
        return Err("error: there is no record of a transaction in these files\n".to_owned());
    }
    Ok(tally)
}

const MOST_THREADS: usize = 64;

struct Work {
    candidate: Side,
    baseline: Option<Side>,
    only_exact: bool,
}

impl Work {
    /// Reads all files here, and has other threads judge what is read. What waits between is bounded.
    fn share_out(
        &self,
        files: &[PathBuf],
        threads: usize,
        progress: &Progress,
    ) -> (Tally, Result<(), String>) {
        let (queue, batches) = sync_channel::<Batch>(threads * 2);
        let batches = Mutex::new(batches);
        let mut all = Tally::default();
        let read = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.judge_all(&batches))).collect();
            let mut take = |batch| queue.send(batch).is_ok();
            let read =
                (0..).zip(files).try_for_each(|(index, file)| read::read(file, index, progress, &mut take));
            drop(queue);
            for worker in workers {
                // A panic in the engine is caught within; nothing else there does.
                if let Ok(tally) = worker.join() {
                    all.merge(tally);
                }
            }
            read
        });
        (all, read)
    }

    fn judge_all(&self, batches: &Mutex<Receiver<Batch>>) -> Tally {
        let mut tally = Tally::default();
        loop {
            let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return tally };
            let (file, first) = batch.place;
            for (number, recorded) in (first..).zip(batch.transactions()) {
                match recorded {
                    Ok(recorded) => self.judge(&mut tally, (file, number), &recorded),
                    Err(why) => tally.skip(why),
                }
            }
        }
    }

    fn judge(&self, tally: &mut Tally, place: (usize, u64), recorded: &Recorded) {
        if self.only_exact && !recorded.flaws.is_empty() {
            tally.left_out += 1;
            return;
        }
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let before = match &self.baseline {
                Some(side) => side.judge(recorded),
                None => Some(recorded.verdict.clone().unwrap_or_default()),
            };
            Some((before?, self.candidate.judge(recorded)?))
        }));
        let (before, after): (Verdict, Verdict) = match judged {
            Ok(Some(both)) => both,
            Ok(None) => {
                tally.without_site += 1;
                return;
            }
            Err(_) => {
                tally.unreadable += 1;
                return;
            }
        };
        tally.flaws(recorded.flaws);
        tally.add(place, recorded, &before, &after);
    }
}
