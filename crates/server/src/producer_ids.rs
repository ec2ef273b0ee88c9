//! The broker's stock of producer ids: a block from the controller at a time (KIP-730).

use std::ops::Range;
use std::sync::Arc;

use kalda_model::ProducerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::allocate_producer_ids::AllocateProducerIdsRequest;
use tokio::sync::Mutex;

use crate::broker::Broker;

/// The ids that are left of the last block. A restart forgets them, and takes a new block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    left: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id that no producer of this cluster ever had.
    pub(crate) async fn next(&self, broker: &Arc<Broker>) -> Result<ProducerId, ErrorCode> {
        let mut left = self.left.lock().await;
        if left.is_empty() {
            let request = AllocateProducerIdsRequest {
                broker_id: broker.node.0,
                broker_epoch: broker.epoch().0,
            };
            let asked = broker.controller_channel.call(broker, &request).await;
            let block = asked.map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            if block.error_code != 0 {
                // Another life of this broker has registered, or the disk failed.
                return Err(ErrorCode::CoordinatorLoadInProgress);
            }
            let first = block.producer_id_start;
            *left = first..first + i64::from(block.producer_id_len);
        }
        let id = left.start;
        left.start += 1;
        Ok(ProducerId(id))
    }
}
