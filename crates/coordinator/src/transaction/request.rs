//! The requests that a transaction shard understands, and their answers.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_transactions::TransactionState;
use kalda_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use kalda_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use kalda_protocol::messages::list_transactions::{
    ListTransactionsRequest, TransactionState as ListedTransaction,
};

use crate::decision::TopicPartitions;

/// Partitions become part of a transaction, or are asked whether they are.
#[derive(Clone, Debug, PartialEq)]
pub struct AddPartitions {
    /// Whose transaction.
    pub transactional_id: String,
    /// The producer that says so.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The partitions, which exist.
    pub partitions: TopicPartitions,
    /// Only looks.
    pub verify_only: bool,
    /// The `transaction.version` that the client speaks: 2 if it bumps its epoch with every
    /// transaction, or else 0.
    pub client_version: i16,
}

/// A request to the transactions of one shard.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionRequest {
    /// A producer takes a transactional id over.
    InitProducerId {
        /// What it sent. It has a transactional id.
        request: InitProducerIdRequest,
        /// A producer id that nobody has, once the shard has asked for one.
        spare: Option<ProducerId>,
    },
    /// AddPartitionsToTxn, AddOffsetsToTxn, and what brokers ask for producers.
    AddPartitions(AddPartitions),
    /// Commit or abort.
    EndTxn {
        /// What the producer sent.
        request: EndTxnRequest,
        /// As in `InitProducerId`.
        spare: Option<ProducerId>,
        /// As in [`AddPartitions`].
        client_version: i16,
    },
    /// One transactional id.
    Describe(String),
    /// All that pass the filters.
    List(ListTransactionsRequest),
}

/// The answer to the [`TransactionRequest`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionResponse {
    /// The answer for the producer.
    InitProducerId(InitProducerIdResponse),
    /// What holds of each partition that was named.
    AddPartitions(Vec<(String, i32, ErrorCode)>),
    /// The answer for the producer.
    EndTxn(EndTxnResponse),
    /// One transactional id.
    Describe(TransactionState),
    /// Those that pass, or why the pattern cannot be used.
    List(Result<Vec<ListedTransaction>, ErrorCode>),
    /// The request needs a producer id that nobody has: the caller gets one and asks again.
    NeedsProducerId,
}

impl TransactionResponse {
    /// The same answer turned into a refusal: for a decision that was never carried out.
    pub(super) fn into_error(self, error: ErrorCode) -> Self {
        match self {
            Self::InitProducerId(_) => Self::InitProducerId(init_error(error)),
            Self::AddPartitions(mut partitions) => {
                for (_, _, code) in &mut partitions {
                    if *code == ErrorCode::None {
                        *code = error;
                    }
                }
                Self::AddPartitions(partitions)
            }
            Self::EndTxn(_) => Self::EndTxn(end_error(error)),
            Self::Describe(described) => Self::Describe(TransactionState {
                error_code: error.code(),
                transactional_id: described.transactional_id,
                ..TransactionState::default()
            }),
            Self::List(_) => Self::List(Err(error)),
            Self::NeedsProducerId => Self::NeedsProducerId,
        }
    }
}

pub(super) fn init_error(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: ProducerEpoch::NONE.0,
        ..InitProducerIdResponse::default()
    }
}

pub(super) fn end_error(error: ErrorCode) -> EndTxnResponse {
    EndTxnResponse { error_code: error.code(), ..EndTxnResponse::default() }
}
