//! Work beside the event loops: what may wait for the disk, or takes its time.
//!
//! A real one is a thread. A simulator runs the same work on its one thread, so a job or a pass must
//! never wait for another one.

use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// Work that is done once.
pub type Job = Box<dyn FnOnce() + Send>;

/// Work that is done whenever there is some; says when that is looked for again.
pub type Pass = Box<dyn FnMut() -> Next + Send>;

/// When a pass follows on another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Once somebody wakes the worker.
    WhenWoken,
    /// After that time, or once somebody wakes the worker.
    After(Duration),
    /// Never.
    Never,
}

/// Where work beside the event loops is done.
pub trait Threads: Send + Sync + Debug {
    /// Does `job` once.
    ///
    /// # Errors
    /// The system has no room for a thread; the job is dropped.
    fn run(&self, name: &str, job: Job) -> io::Result<Box<dyn Worker>>;

    /// Does a pass at once, and then again and again.
    ///
    /// # Errors
    /// The system has no room for a thread.
    fn repeat(&self, name: &str, pass: Pass) -> io::Result<Box<dyn Worker>>;

    /// How many pieces of work go on at the same time.
    fn parallelism(&self) -> usize;
}

/// Work that was given away. Dropping this leaves it alone.
pub trait Worker: Send + Sync + Debug {
    /// What has a pass follow on the one that may be under way. Cheap when it was said already.
    fn waker(&self) -> Waker;

    /// Whether it has come to its end.
    fn is_finished(&self) -> bool;

    /// Waits for its end; who repeats must have been told to end. Answers whether it panicked.
    fn join(self: Box<Self>) -> Ended;
}

/// How work came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By itself.
    Done,
    /// By a panic.
    Panicked,
}

/// Threads of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemThreads;

impl Threads for SystemThreads {
    fn run(&self, name: &str, job: Job) -> io::Result<Box<dyn Worker>> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(job)?;
        Ok(Box::new(SystemThread { thread, alarm: Arc::default() }))
    }

    fn repeat(&self, name: &str, mut pass: Pass) -> io::Result<Box<dyn Worker>> {
        let alarm = Arc::<Alarm>::default();
        let to_look_at = Arc::clone(&alarm);
        let run = move || {
            loop {
                let next = pass();
                // A thread is unparked by others too, so that is only a reason to look.
                match next {
                    Next::Never => return,
                    Next::WhenWoken => {
                        while !to_look_at.take() {
                            thread::park();
                        }
                    }
                    Next::After(time) => {
                        if !to_look_at.take() {
                            thread::park_timeout(time);
                            to_look_at.take();
                        }
                    }
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        let _set_once = alarm.thread.set(thread.thread().clone());
        Ok(Box::new(SystemThread { thread, alarm }))
    }

    fn parallelism(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }
}

#[derive(Debug)]
struct SystemThread {
    thread: JoinHandle<()>,
    alarm: Arc<Alarm>,
}

/// What a thread is woken by.
#[derive(Debug, Default)]
struct Alarm {
    is_set: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Alarm {
    fn take(&self) -> bool {
        self.is_set.swap(false, Ordering::Acquire)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_set.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Worker for SystemThread {
    fn waker(&self) -> Waker {
        Arc::clone(&self.alarm).into()
    }

    fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    fn join(self: Box<Self>) -> Ended {
        match self.thread.join() {
            Ok(()) => Ended::Done,
            Err(_) => Ended::Panicked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_wake_up_is_followed_by_a_pass() {
        let (sender, passes) = mpsc::channel();
        let mut number = 0;
        let pass = move || {
            number += 1;
            sender.send(number).unwrap();
            if number == 100 { Next::Never } else { Next::WhenWoken }
        };
        let worker = SystemThreads.repeat("test", Box::new(pass)).unwrap();
        let waker = worker.waker();
        for number in 1..100 {
            assert_eq!(passes.recv().unwrap(), number);
            waker.wake_by_ref();
        }
        assert_eq!(passes.recv().unwrap(), 100);
        assert_eq!(worker.join(), Ended::Done);
    }

    #[test]
    fn time_brings_a_pass_too() {
        let mut left = 3;
        let pass = move || {
            left -= 1;
            if left == 0 { Next::Never } else { Next::After(Duration::from_millis(1)) }
        };
        let worker = SystemThreads.repeat("test", Box::new(pass)).unwrap();
        assert_eq!(worker.join(), Ended::Done);
    }

    #[test]
    fn a_job_that_panics_says_so() {
        let worker = SystemThreads.run("test", Box::new(|| panic!("meant to"))).unwrap();
        assert_eq!(worker.join(), Ended::Panicked);
    }
}
