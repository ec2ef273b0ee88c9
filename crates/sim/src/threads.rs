//! Work beside the event loops, as tasks of the one thread that there is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use kalda_env::{Ended, Job, Next, Pass, Threads, Worker};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::disk::Platter;

/// The threads of one life of a node.
#[derive(Debug)]
pub(crate) struct SimThreads {
    pub(crate) platter: Platter,
    pub(crate) chance: Arc<Chance>,
    /// Nothing runs any more once the process has ended.
    pub(crate) has_ended: Arc<AtomicBool>,
}

impl Threads for SimThreads {
    fn run(&self, _name: &str, job: Job) -> io::Result<Box<dyn Worker>> {
        let mut job = Some(job);
        let pass = move || {
            if let Some(job) = job.take() {
                job();
            }
            Next::Never
        };
        self.repeat("", Box::new(pass))
    }

    fn repeat(&self, name: &str, pass: Pass) -> io::Result<Box<dyn Worker>> {
        let work = Arc::new(Work {
            pass: Mutex::new(Some(pass)),
            is_woken: AtomicBool::new(true),
            woken: Notify::new(),
            has_ended: Arc::clone(&self.has_ended),
        });
        if !work.has_ended.load(Ordering::Relaxed) {
            // Syncs take their time, so that others go on meanwhile.
            let slow =
                (name == "kalda-flusher").then(|| (self.platter.clone(), Arc::clone(&self.chance)));
            tokio::spawn(Arc::clone(&work).go_on(slow));
        }
        Ok(Box::new(SimWorker(work)))
    }

    fn parallelism(&self) -> usize {
        2
    }
}

struct Work {
    /// Gone once it has come to its end.
    pass: Mutex<Option<Pass>>,
    is_woken: AtomicBool,
    woken: Notify,
    has_ended: Arc<AtomicBool>,
}

impl Work {
    /// Passes, until the work or the process is at its end.
    async fn go_on(self: Arc<Self>, slow: Option<(Platter, Arc<Chance>)>) {
        loop {
            crate::panics::on_look();
            self.is_woken.store(false, Ordering::Relaxed);
            if let Some((platter, chance)) = &slow {
                tokio::time::sleep(platter.sync_time(chance)).await;
            }
            match self.pass_once() {
                Next::Never => return,
                Next::WhenWoken => self.woken.notified().await,
                Next::After(time) => {
                    // Woken or not: what is due is done.
                    let _ = tokio::time::timeout(time, self.woken.notified()).await;
                }
            }
        }
    }

    fn pass_once(&self) -> Next {
        if self.has_ended.load(Ordering::Relaxed) {
            *self.pass.lock() = None;
            return Next::Never;
        }
        // Taken out meanwhile: a pass may end its own worker.
        let Some(mut pass) = self.pass.lock().take() else { return Next::Never };
        let next = pass();
        if next != Next::Never {
            *self.pass.lock() = Some(pass);
        }
        next
    }
}

impl Wake for Work {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            self.woken.notify_one();
        }
    }
}

struct SimWorker(Arc<Work>);

impl std::fmt::Debug for SimWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimWorker")
    }
}

impl Worker for SimWorker {
    fn waker(&self) -> Waker {
        Arc::clone(&self.0).into()
    }

    fn is_finished(&self) -> bool {
        self.0.pass.lock().is_none()
    }

    fn join(self: Box<Self>) -> Ended {
        // Whoever waits does what is left to do.
        while self.0.pass_once() != Next::Never {}
        Ended::Done
    }
}
