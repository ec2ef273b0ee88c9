//! One producer's transactions, one after the other: produce to its partitions, commit.

use std::time::Instant;

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::end_txn::EndTxnRequest;
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kalda_records::{BatchBuilder, BatchOptions, Producer};

use super::{find, until};
use crate::Outcome;
use crate::broker::Broker;
use crate::load::topics::{create_topic, delete_topic};
use crate::wire::Connection;

/// The first versions of KIP-890: partitions are part of the transaction once they are written to,
/// and its end tells the next epoch.
const PRODUCE: i16 = 12;
const END: i16 = 5;
const INIT: i16 = 4;

/// Transactions a second.
pub(super) fn rate(broker: &Broker, round: usize, partitions: i32, count: usize) -> Outcome<f64> {
    let mut connection = Connection::open(broker.address)?;
    let topic = format!("transactions-{partitions}-{round}");
    create_topic(&mut connection, &topic, partitions, &[])?;
    let id = format!("bench-{partitions}-{round}");
    find(&mut connection, 1, &id)?;
    let init = InitProducerIdRequest {
        transactional_id: Some(id.clone()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let mut producer = (-1, -1);
    until(|| {
        let answer = connection.call(&init, INIT)?;
        producer = (answer.producer_id, answer.producer_epoch);
        Ok(answer.error_code == 0)
    })?;
    let begun = Instant::now();
    for _ in 0..count {
        let produce = request(&id, &topic, partitions, producer)?;
        until(|| {
            let answer = connection.call(&produce, PRODUCE)?;
            let codes = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            accept(codes.map(|partition| partition.error_code))
        })?;
        let end = EndTxnRequest {
            transactional_id: id.clone(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            committed: true,
        };
        until(|| {
            let answer = connection.call(&end, END)?;
            if answer.error_code == 0 {
                producer = (answer.producer_id, answer.producer_epoch);
            }
            accept([answer.error_code].into_iter())
        })?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    delete_topic(&mut connection, &topic)?;
    Ok(count as f64 / seconds)
}

/// Whether all is well; `false` asks for another try, because the transaction before is not over, or
/// the partitions are new.
fn accept(codes: impl Iterator<Item = i16>) -> Outcome<bool> {
    for code in codes {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {}
            Some(
                ErrorCode::ConcurrentTransactions
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::UnknownTopicOrPartition,
            ) => return Ok(false),
            _ => return Err(format!("a transaction failed with code {code}").into()),
        }
    }
    Ok(true)
}

fn request(
    id: &str,
    topic: &str,
    partitions: i32,
    (producer_id, epoch): (i64, i16),
) -> Outcome<ProduceRequest> {
    let producer =
        Producer { id: ProducerId(producer_id), epoch: ProducerEpoch(epoch), base_sequence: 0 };
    let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
    let mut batch = BatchBuilder::new(options);
    batch.append(crate::load::now_ms()?, None, Some(&[7; 100]), &[]);
    let batch = batch.build()?;
    let data = |index| PartitionProduceData { index, records: Some(batch.clone()) };
    Ok(ProduceRequest {
        transactional_id: Some(id.to_owned()),
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: (0..partitions).map(data).collect(),
            ..TopicProduceData::default()
        }],
    })
}
