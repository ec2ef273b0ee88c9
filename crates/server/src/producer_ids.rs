//! The broker's stock of producer ids: a block from the controller at a time (KIP-730).

use std::ops::Range;

use kalda_controller::PRODUCER_ID_BLOCK_LEN;
use kalda_model::ProducerId;
use tokio::sync::Mutex;

use crate::broker::Broker;
use crate::tasks::controller::Unavailable;

/// The ids that are left of the last block. A restart forgets them, and takes a new block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    left: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id that no producer of this cluster ever had.
    pub(crate) async fn next(&self, broker: &Broker) -> Result<ProducerId, Unavailable> {
        let mut left = self.left.lock().await;
        if left.is_empty() {
            let (node, epoch) = (broker.node, broker.epoch());
            let decided = broker
                .controller
                .decide(move |controller| controller.allocate_producer_ids(node, epoch));
            let first = decided.await?;
            *left = first..first + PRODUCER_ID_BLOCK_LEN;
        }
        let id = left.start;
        left.start += 1;
        Ok(ProducerId(id))
    }
}
