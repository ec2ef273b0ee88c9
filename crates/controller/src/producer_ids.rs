//! AllocateProducerIds (key 67): ids are handed to brokers in blocks, so that only one id in a
//! thousand costs a record (KIP-730).

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use kalda_protocol::stored::metadata::{MetadataRecord, ProducerIdsRecord};

use crate::{Controller, Decision};

/// How many ids one block holds.
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

impl Controller<'_> {
    /// The next block for a broker.
    #[must_use]
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Decision<AllocateProducerIdsResponse> {
        let first = self.image.next_producer_id;
        let checked = self.check_broker_epoch(request.broker_id, request.broker_epoch);
        let next = first.checked_add(i64::from(PRODUCER_ID_BLOCK_LEN));
        let next_producer_id = match (checked, next) {
            (Ok(()), Some(next)) => next,
            (Err(code), _) => return refused(code),
            (Ok(()), None) => return refused(ErrorCode::UnknownServerError),
        };
        let record = ProducerIdsRecord {
            broker_id: request.broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id,
        };
        let response = AllocateProducerIdsResponse {
            producer_id_start: first,
            producer_id_len: PRODUCER_ID_BLOCK_LEN,
            ..AllocateProducerIdsResponse::default()
        };
        Decision { records: vec![MetadataRecord::ProducerIds(record)], response }
    }
}

fn refused(code: ErrorCode) -> Decision<AllocateProducerIdsResponse> {
    let response = AllocateProducerIdsResponse {
        error_code: code.code(),
        ..AllocateProducerIdsResponse::default()
    };
    Decision { records: Vec::new(), response }
}
