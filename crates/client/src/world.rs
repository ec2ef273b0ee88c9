//! What a client finds outside itself: time, chance, the network.
//!
//! Taken by the builder and handed down. A simulator brings its own; the tasks of a client run where
//! they are started, and need no threads.

use std::sync::Arc;

use kalda_env::{Clock, OsRng, Rng, SystemClock};
use kalda_net::{Net, SystemNet};

/// The outside.
#[derive(Clone, Debug)]
pub struct World {
    /// Time, for the timestamps of records.
    pub clock: Arc<dyn Clock>,
    /// Chance: jitter, and the partitions of records without a key.
    pub rng: Arc<dyn Rng>,
    /// The network.
    pub net: Arc<dyn Net>,
}

impl Default for World {
    /// The real one.
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::new()), rng: Arc::new(OsRng), net: Arc::new(SystemNet) }
    }
}
