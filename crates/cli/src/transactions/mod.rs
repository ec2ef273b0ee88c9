//! `transactions`: lists and describes transactions and ends those that hang, as
//! `kafka-transactions` does.
//!
//! As in Kafka the servers stand before the command; behind it is good too.

mod hanging;

use kalda_client::Admin;
use kalda_client::admin::{AbortTransaction, TransactionFilter};
use kalda_env::{Clock as _, SystemClock};
use kalda_model::{BrokerId, TopicPartition};

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::table::print_table;
use crate::tool::Call;

const COMMANDS: &[&str] = &[
    "list",
    "describe",
    "describe-producers",
    "abort",
    "find-hanging",
    "forceTerminateTransaction",
];

const GRAMMAR: Grammar = Grammar {
    about: "usage: kafka-transactions --bootstrap-server HOST:PORT COMMAND, where COMMAND is list, describe, describe-producers, abort, find-hanging or forceTerminateTransaction.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("host:port"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "broker-id",
            Arg::Int("id"),
            "The replica to ask, or the broker to search for hanging transactions.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("coordinator-epoch", Arg::Int("epoch"), "For brokers before 3.0.", Show::Yes),
        (
            "duration-filter",
            Arg::Long("ms"),
            "Only transactions that have been running for longer.",
            Show::Yes,
        ),
        (
            "max-transaction-timeout",
            Arg::Int("minutes"),
            "How long a transaction is allowed to take before it is said to hang: 15 by default.",
            Show::Yes,
        ),
        ("partition", Arg::Int("partition"), "The partition.", Show::Yes),
        ("producer-epoch", Arg::Int("epoch"), "For brokers before 3.0.", Show::Yes),
        ("producer-id", Arg::Long("id"), "For brokers before 3.0.", Show::Yes),
        ("start-offset", Arg::Long("offset"), "Where the transaction to abort begins.", Show::Yes),
        ("topic", Arg::Text("topic"), "The topic.", Show::Yes),
        ("transactional-id", Arg::Text("id"), "The transactional id.", Show::Yes),
        (
            "transactional-id-pattern",
            Arg::Text("regex"),
            "Only transactional ids that match.",
            Show::Yes,
        ),
        ("transactionalId", Arg::Text("id"), "The id to terminate.", Show::Yes),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let mut args = call.args.clone();
    let command = args.iter().position(|arg| COMMANDS.contains(&arg.as_str()));
    let command = command.map(|at| args.remove(at));
    let rest = Call { name: call.name.clone(), args };
    let Asked::Run(parsed) = GRAMMAR.parse(&rest)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let Some(command) = command else { return Err(GRAMMAR.usage("Unexpected command null")) };
    let required: &[&str] = match command.as_str() {
        "describe" => &["transactional-id"],
        "describe-producers" | "abort" => &["topic", "partition"],
        "forceTerminateTransaction" => &["transactionalId"],
        _ => &[],
    };
    GRAMMAR.require(&parsed, required)?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    block_on(async {
        match command.as_str() {
            "list" => list(&admin, &parsed).await,
            "describe" => describe(&admin, &parsed).await,
            "describe-producers" => describe_producers(&admin, &parsed).await,
            "abort" => abort(&admin, &parsed).await,
            "find-hanging" => hanging::find(&admin, &parsed).await,
            _ => force_terminate(&admin, &parsed).await,
        }
    })
}

/// Kafka's words for what a broker refused.
fn failed(what: &str, error: &kalda_client::Error) -> Failure {
    Failure::Message(format!("{what}: {error}. Enable debug logging for additional detail."))
}

fn now_ms() -> i64 {
    SystemClock::new().wall_ms()
}

fn partition(parsed: &Parsed) -> Outcome<TopicPartition> {
    let topic = parsed.value("topic")?.unwrap_or_default();
    Ok(TopicPartition::new(topic, parsed.number("partition")?.unwrap_or_default()))
}

async fn list(admin: &Admin, parsed: &Parsed) -> Outcome {
    let filter = TransactionFilter {
        running_longer_than_ms: parsed.number("duration-filter")?.filter(|ms| *ms >= 0),
        id_pattern: parsed.value("transactional-id-pattern")?.map(str::to_owned),
        ..TransactionFilter::default()
    };
    let listed = admin.list_transactions(&filter).await;
    let listed = listed.map_err(|error| failed("Failed to list transactions", &error))?;
    let rows = listed.into_iter().map(|listed| {
        vec![
            listed.transactional_id,
            listed.coordinator.to_string(),
            listed.producer_id.to_string(),
            listed.state,
        ]
    });
    let headers = ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"];
    print_table(&headers, &rows.collect::<Vec<_>>())
}

async fn describe(admin: &Admin, parsed: &Parsed) -> Outcome {
    let id = parsed.value("transactional-id")?.unwrap_or_default();
    let what = format!("Failed to describe transaction state of transactional-id `{id}`");
    let described = admin.describe_transaction(id).await;
    let described = described.map_err(|error| failed(&what, &error))?.ok_or_else(|| {
        let text = kalda_protocol::ErrorCode::TransactionalIdNotFound.message();
        Failure::Message(format!("{what}: {text}. Enable debug logging for additional detail."))
    })?;
    let or_none = |value: Option<i64>| value.map_or("None".to_owned(), |value| value.to_string());
    let row = vec![
        described.coordinator.to_string(),
        id.to_owned(),
        described.producer_id.to_string(),
        described.producer_epoch.to_string(),
        described.state,
        described.timeout_ms.to_string(),
        or_none(described.start_time_ms),
        or_none(described.start_time_ms.map(|start_ms| now_ms() - start_ms)),
        described.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    ];
    let headers = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    print_table(&headers, &[row])
}

async fn describe_producers(admin: &Admin, parsed: &Parsed) -> Outcome {
    let partition = partition(parsed)?;
    let broker = parsed.number("broker-id")?.map(BrokerId);
    let states = admin.describe_producers(&partition, broker).await.map_err(|error| {
        let place = broker.map_or("leader".to_owned(), |id| format!("broker {id}"));
        let what = format!("Failed to describe producers for partition {partition} on {place}");
        failed(&what, &error)
    })?;
    let rows = states.iter().map(|state| {
        let start = state.current_txn_start_offset;
        vec![
            state.producer_id.to_string(),
            state.producer_epoch.to_string(),
            state.coordinator_epoch.to_string(),
            state.last_sequence.to_string(),
            state.last_timestamp.to_string(),
            if start >= 0 { start.to_string() } else { "None".to_owned() },
        ]
    });
    let headers = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    print_table(&headers, &rows.collect::<Vec<_>>())
}

async fn abort(admin: &Admin, parsed: &Parsed) -> Outcome {
    let partition = partition(parsed)?;
    let missing = |name: &str| Failure::Message(format!("Missing required argument --{name}"));
    let abort = match (parsed.number::<i64>("start-offset")?, parsed.number("producer-id")?) {
        (Some(start), _) => open_at(admin, &partition, start).await?,
        (None, Some(producer_id)) => {
            let producer_epoch = parsed.number("producer-epoch")?;
            let coordinator_epoch: Option<i32> = parsed.number("coordinator-epoch")?;
            AbortTransaction {
                producer_id,
                producer_epoch: producer_epoch.ok_or_else(|| missing("producer-epoch"))?,
                // A producer that never saw a marker shows -1, and any coordinator may write it one.
                coordinator_epoch: coordinator_epoch
                    .ok_or_else(|| missing("coordinator-epoch"))?
                    .max(0),
                partition: partition.clone(),
            }
        }
        (None, None) => {
            return Err(Failure::Message(
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)".to_owned(),
            ));
        }
    };
    admin.abort_transaction(&abort).await.map_err(|error| {
        let spec = format!(
            "AbortTransactionSpec(topicPartition={partition}, producerId={}, producerEpoch={}, coordinatorEpoch={})",
            abort.producer_id, abort.producer_epoch, abort.coordinator_epoch
        );
        failed(&format!("Failed to abort transaction {spec}"), &error)
    })
}

/// The transaction that begins at an offset of a partition.
async fn open_at(
    admin: &Admin,
    partition: &TopicPartition,
    start: i64,
) -> Outcome<AbortTransaction> {
    let states = admin.describe_producers(partition, None).await.map_err(|error| {
        failed(&format!("Failed to validate producer state for partition {partition}"), &error)
    })?;
    let state = states.into_iter().find(|state| state.current_txn_start_offset == start);
    let state = state.ok_or_else(|| {
        Failure::Message(format!(
            "Could not find any open transactions starting at offset {start} on partition {partition}"
        ))
    })?;
    Ok(AbortTransaction {
        partition: partition.clone(),
        producer_id: state.producer_id,
        producer_epoch: i16::try_from(state.producer_epoch).unwrap_or(i16::MAX),
        coordinator_epoch: state.coordinator_epoch.max(0),
    })
}

async fn force_terminate(admin: &Admin, parsed: &Parsed) -> Outcome {
    let id = parsed.value("transactionalId")?.unwrap_or_default().to_owned();
    let what = format!("Failed to force terminate transactionalId `{id}`");
    let fenced = admin.fence_producers(&[id]).await;
    fenced.map(|_| ()).map_err(|error| failed(&what, &error))
}
