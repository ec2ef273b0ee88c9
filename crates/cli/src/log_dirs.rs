//! `log-dirs`: shows what lies in the brokers' log directories, as `kafka-log-dirs` does.

use std::collections::BTreeMap;

use kalda_client::Admin;
use kalda_client::admin::LogDir;
use kalda_model::BrokerId;
use serde_json::{Value, json};

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Show};
use crate::output::print_line;
use crate::tool::Call;

// `--broker-list` names brokers here, so it is not the old name of `--bootstrap-server`.
const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to query log directory usage on the specified brokers.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("The server(s) to use for bootstrapping"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "broker-list",
            Arg::Text("Broker list"),
            "Only these brokers, by id: 0,1,2. All if absent.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("Admin client property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("describe", Arg::None, "Describe the log directories.", Show::Yes),
        (
            "topic-list",
            Arg::Text("Topic list"),
            "Only these topics, separated by commas.",
            Show::Yes,
        ),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["bootstrap-server", "describe"])?;
    let list = |name: &str| -> Outcome<Vec<String>> {
        let text = parsed.value(name)?.unwrap_or_default();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(entries.map(str::to_owned).collect())
    };
    let (brokers, topics) = (list("broker-list")?, list("topic-list")?);
    let brokers = brokers.iter().map(|id| {
        id.parse().map_err(|_| Failure::usage(format!("ERROR: {id} in --broker-list is not an id")))
    });
    let brokers = brokers.collect::<Outcome<Vec<i32>>>()?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    block_on(describe(&admin, &brokers, &topics))
}

fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

async fn describe(admin: &Admin, wanted: &[i32], topics: &[String]) -> Outcome {
    let known: Vec<i32> = admin.nodes().await?.iter().map(|node| node.id.0).collect();
    let absent: Vec<i32> = wanted.iter().copied().filter(|id| !known.contains(id)).collect();
    if !absent.is_empty() {
        return Err(Failure::usage(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            joined(&absent),
            joined(&known)
        )));
    }
    let brokers = if wanted.is_empty() { &known } else { wanted };
    print_line("Querying brokers for log directories information")?;
    let ids: Vec<BrokerId> = brokers.iter().copied().map(BrokerId).collect();
    let dirs = admin.describe_log_dirs(&ids).await?;
    print_line(&format!("Received log directory information from brokers {}", joined(brokers)))?;
    Ok(print_line(&to_json(&dirs, topics).to_string())?)
}

/// The fields stand in the order in which Kafka's tool happens to write them.
fn to_json(dirs: &BTreeMap<BrokerId, Vec<LogDir>>, topics: &[String]) -> Value {
    let brokers: Vec<Value> = dirs
        .iter()
        .map(|(broker, dirs)| {
            let dirs: Vec<Value> = dirs.iter().map(|dir| dir_json(dir, topics)).collect();
            json!({ "broker": broker.0, "logDirs": dirs })
        })
        .collect();
    json!({ "brokers": brokers, "version": 1 })
}

fn dir_json(dir: &LogDir, topics: &[String]) -> Value {
    let is_wanted = |topic: &str| topics.is_empty() || topics.iter().any(|wanted| wanted == topic);
    let partitions: Vec<Value> = dir
        .replicas
        .iter()
        .filter(|replica| is_wanted(&replica.partition.topic))
        .map(|replica| {
            json!({
                "partition": replica.partition.to_string(),
                "size": replica.size,
                "offsetLag": replica.offset_lag,
                "isFuture": replica.is_future,
            })
        })
        .collect();
    let error = dir.error.as_ref().map(kalda_client::Error::exception_name);
    json!({ "partitions": partitions, "error": error, "logDir": dir.path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_client::admin::LogDirReplica;
    use kalda_model::TopicPartition;

    #[test]
    fn the_json_is_kafkas() {
        let replica = |topic: &str| LogDirReplica {
            partition: TopicPartition::new(topic, 0),
            size: 352,
            offset_lag: 0,
            is_future: false,
        };
        let dir = LogDir {
            path: "/tmp/ak/data".to_owned(),
            error: None,
            replicas: vec![replica("my_topic1"), replica("other")],
        };
        let dirs = BTreeMap::from([(BrokerId(1), vec![dir])]);
        assert_eq!(
            to_json(&dirs, &["my_topic1".to_owned()]).to_string(),
            r#"{"brokers":[{"broker":1,"logDirs":[{"partitions":[{"partition":"my_topic1-0","size":352,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/tmp/ak/data"}]}],"version":1}"#
        );
    }
}
