//! `find-hanging`: open transactions that their coordinators know nothing of, so that nobody will end
//! them.

use kalda_client::Admin;
use kalda_client::admin::{ProducerState, TopicRef, TransactionFilter};
use kalda_model::{BrokerId, TopicPartition};

use super::{failed, now_ms};
use crate::failure::{Failure, Outcome};
use crate::options::Parsed;
use crate::table::print_table;

/// `--max-transaction-timeout`, in minutes.
const TIMEOUT_DEFAULT_MIN: i64 = 15;
/// Partitions of a topic that are asked for at once.
const PARTITIONS_AT_ONCE: i32 = 2_000;

/// A transaction that is open in a partition.
struct Open {
    partition: TopicPartition,
    state: ProducerState,
}

/// Runs the command.
pub(super) async fn find(admin: &Admin, parsed: &Parsed) -> Outcome {
    let broker = parsed.number("broker-id")?.map(BrokerId);
    let topic = parsed.value("topic")?.map(str::to_owned);
    let partition: Option<i32> = parsed.number("partition")?;
    let refuse = |text: &str| Err(Failure::Message(text.to_owned()));
    if topic.is_none() && broker.is_none() {
        return refuse(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search",
        );
    }
    if topic.is_none() && partition.is_some() {
        return refuse("The --partition argument requires --topic to be provided");
    }
    let allowed: Option<i32> = parsed.number("max-transaction-timeout")?;
    let allowed_ms = allowed.map_or(TIMEOUT_DEFAULT_MIN, i64::from) * 60_000;
    let partitions = match (topic, partition) {
        (Some(topic), Some(index)) => vec![TopicPartition::new(topic, index)],
        (Some(topic), None) => partitions(admin, &[topic], broker).await?,
        (None, _) => {
            let topics = admin.list_topics().await;
            let topics = topics.map_err(|error| failed("Failed to list topics", &error))?;
            let names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
            partitions(admin, &names, broker).await?
        }
    };
    let mut hanging = Vec::new();
    for open in open(admin, &partitions, broker, allowed_ms).await? {
        if !is_known(admin, &open).await? {
            hanging.push(open);
        }
    }
    print(&hanging)
}

async fn partitions(
    admin: &Admin,
    topics: &[String],
    broker: Option<BrokerId>,
) -> Outcome<Vec<TopicPartition>> {
    let mut found = Vec::new();
    for topic in topics {
        let described =
            admin.describe_topic(&TopicRef::Name(topic.clone()), PARTITIONS_AT_ONCE).await;
        let described = described.map_err(|error| {
            failed(&format!("Failed to describe {} topics", topics.len()), &error)
        })?;
        let of_broker = described
            .partitions
            .iter()
            .filter(|partition| broker.is_none_or(|broker| partition.replicas.contains(&broker.0)));
        found.extend(
            of_broker.map(|partition| TopicPartition::new(topic.as_str(), partition.index)),
        );
    }
    Ok(found)
}

/// Transactions that have been open for longer than any is allowed to.
async fn open(
    admin: &Admin,
    partitions: &[TopicPartition],
    broker: Option<BrokerId>,
    allowed_ms: i64,
) -> Outcome<Vec<Open>> {
    let mut found = Vec::new();
    for partition in partitions {
        let states = admin.describe_producers(partition, broker).await.map_err(|error| {
            let what = format!("Failed to describe producers for partition {partition}");
            failed(&what, &error)
        })?;
        let is_old = |state: &ProducerState| {
            state.current_txn_start_offset >= 0 && now_ms() - state.last_timestamp > allowed_ms
        };
        found.extend(
            states
                .into_iter()
                .filter(is_old)
                .map(|state| Open { partition: partition.clone(), state }),
        );
    }
    Ok(found)
}

/// Whether a coordinator still has to end it: then it will.
async fn is_known(admin: &Admin, open: &Open) -> Outcome<bool> {
    let filter = TransactionFilter {
        producer_ids: vec![open.state.producer_id],
        ..TransactionFilter::default()
    };
    let listed = admin.list_transactions(&filter).await;
    let listed =
        listed.map_err(|error| failed("Failed to list transactions for 1 producers", &error))?;
    let Some(listed) = listed.into_iter().next() else { return Ok(false) };
    let described = admin.describe_transaction(&listed.transactional_id).await;
    let described =
        described.map_err(|error| failed("Failed to describe 1 transactions", &error))?;
    Ok(described.is_some_and(|described| described.partitions.contains(&open.partition)))
}

fn print(hanging: &[Open]) -> Outcome {
    let rows = hanging.iter().map(|open| {
        let minutes = (now_ms() - open.state.last_timestamp) / 60_000;
        vec![
            open.partition.topic.to_string(),
            open.partition.partition.to_string(),
            open.state.producer_id.to_string(),
            open.state.producer_epoch.to_string(),
            open.state.coordinator_epoch.to_string(),
            open.state.current_txn_start_offset.to_string(),
            open.state.last_timestamp.to_string(),
            minutes.to_string(),
        ]
    });
    let headers = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    print_table(&headers, &rows.collect::<Vec<_>>())
}
