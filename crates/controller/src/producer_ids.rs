//! AllocateProducerIds: ids are handed to brokers in blocks, so that only one id in a thousand
//! costs a record (KIP-730).

use kalda_model::{BrokerEpoch, BrokerId};
use kalda_protocol::stored::metadata::{MetadataRecord, ProducerIdsRecord};

use crate::{Controller, Decision};

/// How many ids one block holds.
pub const PRODUCER_ID_BLOCK_LEN: i64 = 1000;

impl Controller<'_> {
    /// The next block for `broker`: its first id.
    #[must_use]
    pub fn allocate_producer_ids(&self, broker: BrokerId, epoch: BrokerEpoch) -> Decision<i64> {
        let first = self.image.next_producer_id;
        let record = ProducerIdsRecord {
            broker_id: broker.0,
            broker_epoch: epoch.0,
            next_producer_id: first + PRODUCER_ID_BLOCK_LEN,
        };
        Decision { records: vec![MetadataRecord::ProducerIds(record)], response: first }
    }
}
