//! The one task for the timers of all shards of a kind: it sleeps until the earliest is due.

use std::sync::Arc;
use std::time::Duration;

use super::{Hosted, Shards};
use crate::broker::Broker;

/// Loads what this broker coordinates, and runs the timers until it stops; then answers everybody who
/// waits.
pub(crate) async fn run<C: Hosted>(broker: Arc<Broker>) {
    let shards: &Shards<C> = C::shards(&broker);
    shards.load_led(&broker);
    loop {
        let live = shards.all();
        let next_ms = live.iter().filter_map(|shard| shard.next_timer_ms()).min();
        let now_ms = C::timer_ms(&*broker.clock);
        let wait_ms =
            next_ms.map(|next_ms| u64::try_from(next_ms.saturating_sub(now_ms)).unwrap_or(0));
        tokio::select! {
            biased;
            () = broker.stopping() => break,
            () = sleep(wait_ms) => {}
            () = shards.timers_changed.notified() => continue,
        }
        let now_ms = C::timer_ms(&*broker.clock);
        for shard in live {
            if shard.next_timer_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                shard.on_timer(&broker);
            }
        }
    }
    shards.close_all(&broker);
}

/// Without a timer there is nothing to wake up for.
async fn sleep(wait_ms: Option<u64>) {
    match wait_ms {
        // One more: timers count in milliseconds, and one that is a fraction early would spin.
        Some(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms + 1)).await,
        None => std::future::pending().await,
    }
}
