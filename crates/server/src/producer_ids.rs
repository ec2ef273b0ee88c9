//! The broker's stock of producer ids: blocks from the controller (KIP-730). The next block is asked for
//! before the last one is at its end, so that nobody waits for it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kalda_model::ProducerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::allocate_producer_ids::AllocateProducerIdsRequest;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::broker::Broker;

/// How many ids are left when the next block is asked for.
const LEFT_MIN: i64 = 100;
/// How long a producer waits for a block before it is told to come again.
const WAIT: Duration = Duration::from_secs(10);
/// The pause before the controller is asked again that had no block, first and at the most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The ids that are left. A restart forgets them, and takes a new block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    stock: Mutex<Stock>,
    /// Told when there is a new block.
    filled: Notify,
}

/// Blocks in the order in which they came: at most the one in use and the next.
#[derive(Debug, Default)]
struct Stock {
    blocks: VecDeque<Range<i64>>,
    /// One asks at a time; who comes meanwhile waits for the same block (KAFKA-20058).
    is_asking: bool,
}

impl Stock {
    fn take(&mut self) -> Option<ProducerId> {
        let id = self.blocks.iter_mut().find_map(Iterator::next);
        self.blocks.retain(|block| !block.is_empty());
        id.map(ProducerId)
    }

    /// Whether somebody has to ask for a block now; whoever hears it does.
    fn begin_asking(&mut self) -> bool {
        let left: i64 = self.blocks.iter().map(|block| block.end - block.start).sum();
        let is_due = !self.is_asking && left < LEFT_MIN;
        self.is_asking |= is_due;
        is_due
    }

    fn end_asking(&mut self, block: Range<i64>) {
        self.is_asking = false;
        self.blocks.push_back(block);
    }
}

impl ProducerIds {
    /// An id that no producer of this cluster ever had.
    pub(crate) async fn next(&self, broker: &Arc<Broker>) -> Result<ProducerId, ErrorCode> {
        let taken = tokio::time::timeout(WAIT, self.take(broker)).await;
        taken.map_err(|_| ErrorCode::CoordinatorLoadInProgress)
    }

    async fn take(&self, broker: &Arc<Broker>) -> ProducerId {
        loop {
            let filled = self.filled.notified();
            tokio::pin!(filled);
            // Registered before the look, so that a block cannot be missed.
            filled.as_mut().enable();
            let (taken, is_due) = {
                let mut stock = self.stock.lock();
                (stock.take(), stock.begin_asking())
            };
            if is_due {
                let broker = Arc::clone(broker);
                tokio::task::spawn_local(async move { broker.producer_ids.fill(&broker).await });
            }
            match taken {
                Some(id) => return id,
                None => filled.await,
            }
        }
    }

    /// Asks until there is a block. An answer that is lost costs its ids and nothing else: they are never
    /// given out by another (KAFKA-20114).
    async fn fill(&self, broker: &Arc<Broker>) {
        let mut pause = RETRY;
        loop {
            match block(broker).await {
                Ok(block) => {
                    self.stock.lock().end_asking(block);
                    return self.filled.notify_waiters();
                }
                Err(error) => tracing::warn!("no block of producer ids: {}", error.message()),
            }
            tokio::select! {
                biased;
                () = broker.stopping() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
            }
        }
    }
}

async fn block(broker: &Arc<Broker>) -> Result<Range<i64>, ErrorCode> {
    let request =
        AllocateProducerIdsRequest { broker_id: broker.node.0, broker_epoch: broker.epoch().0 };
    let asked = broker.controller_channel.call(broker, &request).await;
    let response = asked.map_err(|error| {
        tracing::debug!(%error, "the controller gives no producer ids");
        ErrorCode::NetworkException
    })?;
    match ErrorCode::from_code(response.error_code) {
        Some(ErrorCode::None) if response.producer_id_len > 0 => {
            let first = response.producer_id_start;
            Ok(first..first.saturating_add(i64::from(response.producer_id_len)))
        }
        Some(ErrorCode::None) | None => Err(ErrorCode::UnknownServerError),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_given_twice_and_one_asks_for_the_next_block_in_time() {
        let mut stock = Stock::default();
        assert_eq!(stock.take(), None);
        assert!(stock.begin_asking());
        assert!(!stock.begin_asking(), "somebody asks already");
        stock.end_asking(0..1000);
        let mut given = Vec::new();
        while given.len() < 901 {
            assert!(!stock.begin_asking(), "{} given", given.len());
            given.extend(stock.take());
        }
        assert!(stock.begin_asking());
        // Those that are left serve meanwhile.
        given.extend(stock.take());
        assert!(!stock.begin_asking());
        stock.end_asking(3000..4000);
        while let Some(id) = stock.take() {
            given.push(id);
        }
        let expected: Vec<_> = (0..1000).chain(3000..4000).map(ProducerId).collect();
        assert_eq!(given, expected);
    }
}
