//! Loads of shards that wait for a thread. A broker that takes over fifty partitions reads a few of
//! them at once: enough to keep the processors busy, and bounded in memory.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kalda_env::Threads;
use parking_lot::Mutex;

/// The most loads at once.
const THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// The loads of one kind of coordinator. Threads are there only while there is something to load.
#[derive(Default)]
pub(super) struct LoadQueue {
    queued: Mutex<Queued>,
}

#[derive(Default)]
struct Queued {
    jobs: VecDeque<Job>,
    threads: usize,
}

impl std::fmt::Debug for LoadQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queued = self.queued.lock();
        write!(f, "LoadQueue {{ jobs: {}, threads: {} }}", queued.jobs.len(), queued.threads)
    }
}

impl LoadQueue {
    /// Runs `job` on a thread for loads, when its turn comes.
    pub(super) fn submit(
        self: &Arc<Self>,
        threads: &dyn Threads,
        job: impl FnOnce() + Send + 'static,
    ) {
        let threads_max = threads.parallelism().clamp(1, THREADS_MAX);
        let mut queued = self.queued.lock();
        queued.jobs.push_back(Box::new(job));
        if queued.threads >= threads_max {
            return;
        }
        queued.threads += 1;
        drop(queued);
        let queue = Arc::clone(self);
        let run = move || queue.run();
        let spawned = threads.run("kalda-load", Box::new(run));
        if let Err(error) = spawned {
            // Slow is better than never.
            tracing::warn!(%error, "no thread to load a coordinator: it is loaded in the event loop");
            self.run();
        }
    }

    fn run(&self) {
        loop {
            let job = {
                let mut queued = self.queued.lock();
                let Some(job) = queued.jobs.pop_front() else {
                    queued.threads -= 1;
                    return;
                };
                job
            };
            // One that panics has told nobody that it is done, which its shard notices.
            let _panicked = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use kalda_env::SystemThreads;

    use super::*;

    #[test]
    fn every_job_runs_and_one_that_panics_costs_only_itself() {
        let queue = Arc::new(LoadQueue::default());
        let (done, is_done) = mpsc::channel();
        for number in 0..50 {
            let done = done.clone();
            queue.submit(&SystemThreads, move || {
                assert_ne!(number, 25, "meant to panic");
                done.send(number).unwrap();
            });
        }
        drop(done);
        let mut numbers: Vec<i32> = is_done.into_iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).filter(|number| *number != 25).collect::<Vec<_>>());
    }
}
