//! The world outside, as traits: time, chance, the disk and threads, each with its real form.
//!
//! Core crates take these instead of calling the operating system, so that a simulator can own
//! them. Nothing here knows of Kafka.

pub mod clock;
pub mod disk;
pub mod rng;
pub mod threads;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, DiskFile, FsDisk, OpenMode};
pub use rng::{OsRng, Rng, random_uuid_bytes};
pub use threads::{Ended, Job, Next, Pass, SystemThreads, Threads, Worker};
