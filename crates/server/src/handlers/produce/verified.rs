//! Which batches of a produce may begin a transaction at their partitions: their coordinator is asked
//! before any of them is appended.

use std::collections::HashMap;
use std::sync::Arc;

use kalda_coordinator::TopicPartitions;
use kalda_protocol::ErrorCode;
use kalda_protocol::produce::{ProducePartitionView, ProduceView};
use kalda_records::BatchHeader;

use super::find;
use crate::dispatch::RequestContext;
use crate::handlers::verify_transaction::{ClientTransactions, TransactionalProducer, verify};
use crate::hosted::{HostedPartition, VerificationGuard};

/// First versions that know TRANSACTION_ABORTABLE, and that make partitions part of a transaction.
const ABORTABLE: i16 = 11;
const IMPLICIT: i16 = 12;

/// What was said of the partitions of a request, by topic and partition in its order.
#[derive(Debug, Default)]
pub(super) struct Verified {
    outcomes: HashMap<(usize, usize), Result<VerificationGuard, ErrorCode>>,
    /// What every transactional batch is answered.
    refusal: Option<ErrorCode>,
}

/// A partition that the coordinator has to agree on.
struct Asked {
    at: (usize, usize),
    name: String,
    partition: Arc<HostedPartition>,
    guard: VerificationGuard,
    producer: TransactionalProducer,
}

impl Verified {
    /// Asks for what needs it: nothing, unless a transaction begins at a partition.
    pub(super) async fn of(cx: &RequestContext, request: &ProduceView<'_>) -> Self {
        let mut verified = Self::default();
        let asked = verified.collect(cx, request);
        let Some(first) = asked.first() else { return verified };
        let producer = first.producer.clone();
        let is_same = |asked: &&Asked| {
            asked.producer.id == producer.id && asked.producer.epoch == producer.epoch
        };
        if !asked.iter().all(|asked| is_same(&asked)) {
            verified.refusal = Some(ErrorCode::InvalidProducerIdMapping);
            return verified;
        }
        let client = client(cx.version);
        let mut partitions = TopicPartitions::new();
        for asked in &asked {
            partitions.entry(asked.name.clone()).or_default().insert(asked.partition.index);
        }
        let is_off = !cx.broker.config.flag("transaction.partition.verification.enable");
        let refused = if is_off && client != ClientTransactions::Implicit {
            Vec::new()
        } else {
            verify(cx, &producer, partitions, client).await
        };
        for asked in asked {
            let is_this =
                |topic: &str, index: i32| topic == asked.name && index == asked.partition.index;
            let error = refused.iter().find(|(topic, index, _)| is_this(topic, *index));
            let outcome = match error {
                None => Ok(asked.guard),
                Some((_, _, error)) => {
                    asked.partition.end_verification(producer.id);
                    Err(for_producer(*error, client))
                }
            };
            verified.outcomes.insert(asked.at, outcome);
        }
        verified
    }

    /// Under what the batch may be appended; nothing if it needs nothing.
    pub(super) fn guard(
        &self,
        topic: usize,
        partition: usize,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        if let Some(error) = self.refusal {
            return Err(error);
        }
        self.outcomes.get(&(topic, partition)).copied().transpose()
    }

    fn collect(&mut self, cx: &RequestContext, request: &ProduceView<'_>) -> Vec<Asked> {
        let mut collected = Vec::new();
        let is_implicit = client(cx.version) == ClientTransactions::Implicit;
        let mut image = None;
        for (topic_at, topic) in request.topics().enumerate() {
            for (partition_at, data) in topic.partitions().enumerate() {
                let Some(header) = transactional(&data) else { continue };
                let Some(id) = request.transactional_id.map(str::to_owned) else {
                    self.refusal = Some(ErrorCode::TransactionalIdAuthorizationFailed);
                    return Vec::new();
                };
                let image = image.get_or_insert_with(|| cx.broker.image());
                // Whatever else is wrong with it, the append finds and tells.
                let Ok(partition) = find(cx.broker.as_ref(), cx.version, image, &topic, data.index)
                else {
                    continue;
                };
                let (producer, epoch) = (header.producer_id, header.producer_epoch);
                let begun = partition.begin_verification(producer, epoch, is_implicit);
                let Ok(Some(guard)) = begun else { continue };
                collected.push(Asked {
                    at: (topic_at, partition_at),
                    name: partition.topic.to_string(),
                    partition,
                    guard,
                    producer: TransactionalProducer { transactional_id: id, id: producer, epoch },
                });
            }
        }
        collected
    }
}

/// Whether a coordinator may have to be asked before this request is appended.
pub(super) fn is_needed(request: &ProduceView<'_>) -> bool {
    request
        .topics()
        .any(|topic| topic.partitions().any(|partition| transactional(&partition).is_some()))
}

/// The header of a batch that belongs to a transaction.
fn transactional(partition: &ProducePartitionView<'_>) -> Option<BatchHeader> {
    let header = BatchHeader::peek(partition.records?).ok()?;
    header.is_transactional().then_some(header)
}

fn client(version: i16) -> ClientTransactions {
    match version {
        IMPLICIT.. => ClientTransactions::Implicit,
        ABORTABLE.. => ClientTransactions::NamedAbortable,
        _ => ClientTransactions::Named,
    }
}

/// The word for it that producers know: what passes by itself is sent again.
fn for_producer(error: ErrorCode, client: ClientTransactions) -> ErrorCode {
    match error {
        ErrorCode::ConcurrentTransactions if client == ClientTransactions::Implicit => error,
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::NetworkException => ErrorCode::NotEnoughReplicas,
        error => error,
    }
}
