//! The tools by name: one table for dispatch, links and the overview.

use crate::failure::{Failure, Outcome};
use crate::{
    broker, broker_api_versions, cluster, configs, console_consumer, console_producer,
    consumer_groups, delete_records, dump_log, features, get_offsets, groups, leader_election,
    links, log_dirs, metadata_quorum, reassign_partitions, stop, storage, topics, transactions,
};

/// How a tool was called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// The words before the arguments, as in `kafka-topics` or `kalda topics`.
    pub(crate) name: String,
    /// The arguments.
    pub(crate) args: Vec<String>,
}

/// A tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub(crate) enum Tool {
    Start,
    Stop,
    Topics,
    ConsoleProducer,
    ConsoleConsumer,
    ConsumerGroups,
    Groups,
    Transactions,
    DumpLog,
    Configs,
    GetOffsets,
    DeleteRecords,
    LogDirs,
    Cluster,
    MetadataQuorum,
    Features,
    LeaderElection,
    ReassignPartitions,
    Broker,
    BrokerApiVersions,
    Storage,
    Links,
    RunClass,
    ZooKeeper,
}

/// Tool, our name, Kafka's names, what it is for.
const TOOLS: &[(Tool, &str, &[&str], &str)] = &[
    (Tool::Start, "start", &["kafka-server-start"], "Run a broker"),
    (Tool::Stop, "stop", &["kafka-server-stop"], "Stop the brokers of this machine"),
    (Tool::Topics, "topics", &["kafka-topics"], "Create, list, describe, alter, delete topics"),
    (
        Tool::ConsoleProducer,
        "console-producer",
        &["kafka-console-producer"],
        "Send lines of the standard input",
    ),
    (
        Tool::ConsoleConsumer,
        "console-consumer",
        &["kafka-console-consumer"],
        "Print the records of a topic",
    ),
    (
        Tool::ConsumerGroups,
        "consumer-groups",
        &["kafka-consumer-groups"],
        "List, describe, reset and delete consumer groups",
    ),
    (Tool::Groups, "groups", &["kafka-groups"], "List groups of every type"),
    (
        Tool::Transactions,
        "transactions",
        &["kafka-transactions"],
        "List, describe and end transactions",
    ),
    (Tool::Configs, "configs", &["kafka-configs"], "Describe and change configs"),
    (Tool::GetOffsets, "get-offsets", &["kafka-get-offsets"], "Print offsets of partitions"),
    (Tool::DeleteRecords, "delete-records", &["kafka-delete-records"], "Delete old records"),
    (Tool::LogDirs, "log-dirs", &["kafka-log-dirs"], "Show what lies in the log directories"),
    (Tool::Cluster, "cluster", &["kafka-cluster"], "Show the cluster's id, nodes and health"),
    (
        Tool::MetadataQuorum,
        "metadata-quorum",
        &["kafka-metadata-quorum"],
        "Show the controllers, add and remove one",
    ),
    (
        Tool::Features,
        "features",
        &["kafka-features"],
        "Show and change the levels of the cluster's features",
    ),
    (
        Tool::LeaderElection,
        "leader-election",
        &["kafka-leader-election"],
        "Elect leaders of partitions",
    ),
    (
        Tool::ReassignPartitions,
        "reassign-partitions",
        &["kafka-reassign-partitions"],
        "Move partitions between brokers and directories",
    ),
    (Tool::Broker, "broker", &[], "Take leaders or everything away from a broker"),
    (
        Tool::BrokerApiVersions,
        "broker-api-versions",
        &["kafka-broker-api-versions"],
        "Show what the brokers speak",
    ),
    (Tool::DumpLog, "dump-log", &["kafka-dump-log"], "Print the content of log segments"),
    (Tool::Storage, "storage", &["kafka-storage"], "Format log directories, make ids"),
    (Tool::Links, "links", &[], "Make links named as Kafka's tools"),
    (Tool::RunClass, "run-class", &["kafka-run-class"], "Run a tool by the name of Kafka's class"),
    (
        Tool::ZooKeeper,
        "zookeeper",
        &["zookeeper-server-start", "zookeeper-server-stop"],
        "Say why there is no ZooKeeper",
    ),
];

impl Tool {
    /// The tool that a link's name stands for, with or without `.sh`.
    pub(crate) fn by_link(program: &str) -> Option<Self> {
        let name = program.strip_suffix(".sh").unwrap_or(program);
        let found = TOOLS.iter().find(|(_, _, links, _)| links.contains(&name));
        found.map(|(tool, ..)| *tool)
    }

    /// The tool that a Java class stands for, for lines that call `kafka-run-class`.
    pub(crate) fn by_class(class: &str) -> Option<Self> {
        Some(match class.rsplit('.').next()? {
            "GetOffsetShell" => Self::GetOffsets,
            "TopicCommand" => Self::Topics,
            "ConsoleProducer" => Self::ConsoleProducer,
            "ConsoleConsumer" => Self::ConsoleConsumer,
            "ConsumerGroupCommand" => Self::ConsumerGroups,
            "GroupsCommand" => Self::Groups,
            "TransactionsCommand" => Self::Transactions,
            "ConfigCommand" => Self::Configs,
            "DeleteRecordsCommand" => Self::DeleteRecords,
            "LogDirsCommand" => Self::LogDirs,
            "DumpLogSegments" => Self::DumpLog,
            "ClusterTool" => Self::Cluster,
            "MetadataQuorumCommand" => Self::MetadataQuorum,
            "FeatureCommand" => Self::Features,
            "LeaderElectionCommand" => Self::LeaderElection,
            "ReassignPartitionsCommand" => Self::ReassignPartitions,
            "StorageTool" => Self::Storage,
            "BrokerApiVersionsCommand" => Self::BrokerApiVersions,
            _ => return None,
        })
    }

    /// The tool of that name: ours, or Kafka's.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let found = TOOLS.iter().find(|(_, ours, ..)| *ours == name);
        found.map(|(tool, ..)| *tool).or_else(|| Self::by_link(name))
    }

    /// Kafka's names of all tools.
    pub(crate) fn link_names() -> impl Iterator<Item = &'static str> {
        TOOLS.iter().flat_map(|(_, _, links, _)| links.iter().copied())
    }

    /// Runs it. [`Tool::Start`] is run by `main`, which it does not return to.
    pub(crate) fn run(self, call: &Call) -> Outcome {
        match self {
            Self::Stop => stop::run(call),
            Self::Topics => topics::run(call),
            Self::ConsoleProducer => console_producer::run(call),
            Self::ConsoleConsumer => console_consumer::run(call),
            Self::ConsumerGroups => consumer_groups::run(call),
            Self::Groups => groups::run(call),
            Self::Transactions => transactions::run(call),
            Self::DumpLog => dump_log::run(call),
            Self::Configs => configs::run(call),
            Self::GetOffsets => get_offsets::run(call),
            Self::DeleteRecords => delete_records::run(call),
            Self::LogDirs => log_dirs::run(call),
            Self::Cluster => cluster::run(call),
            Self::MetadataQuorum => metadata_quorum::run(call),
            Self::Features => features::run(call),
            Self::LeaderElection => leader_election::run(call),
            Self::ReassignPartitions => reassign_partitions::run(call),
            Self::Broker => broker::run(call),
            Self::BrokerApiVersions => broker_api_versions::run(call),
            Self::Storage => storage::run(call),
            Self::Links => links::run(call),
            Self::RunClass => run_class(call),
            Self::ZooKeeper | Self::Start => {
                let line = "ZooKeeper is not needed: Kalda keeps its metadata in its own log, as Kafka does since 4.0.";
                Ok(crate::output::print_line(line)?)
            }
        }
    }
}

fn run_class(call: &Call) -> Outcome {
    let Some((class, args)) = call.args.split_first() else {
        return Err(Failure::usage(format!("USAGE: {} classname [opts]", call.name)));
    };
    match Tool::by_class(class) {
        Some(tool) => tool.run(&Call { name: call.name.clone(), args: args.to_vec() }),
        None => Err(Failure::usage(format!(
            "{class} is a Java class that Kalda has no tool for; `kalda help` lists the tools"
        ))),
    }
}

/// What `kalda` alone prints.
pub(crate) fn overview() -> String {
    let mut text = String::from("Usage: kalda <tool> [options]\n\nTools:\n");
    for (tool, name, _, what) in TOOLS {
        if *tool != Tool::ZooKeeper {
            text.push_str(&format!("  {name:<20} {what}\n"));
        }
    }
    text.push_str("\n`kalda <tool> --help` lists the options of a tool.\n");
    text
}

/// What to say to a name that is no tool.
pub(crate) fn unknown(name: &str) -> String {
    let names = TOOLS.iter().map(|(_, name, ..)| *name);
    match crate::options::nearest(name, names) {
        Some(near) => format!("`{name}` is not a tool of kalda; did you mean `{near}`?"),
        None => format!("`{name}` is not a tool of kalda; `kalda help` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_with_and_without_sh() {
        assert_eq!(Tool::by_link("kafka-topics.sh"), Some(Tool::Topics));
        assert_eq!(Tool::by_link("kafka-server-start"), Some(Tool::Start));
        assert_eq!(Tool::by_link("zookeeper-server-start.sh"), Some(Tool::ZooKeeper));
        assert_eq!(Tool::by_link("kalda"), None);
        assert_eq!(Tool::by_name("topics"), Some(Tool::Topics));
        assert_eq!(Tool::by_name("kafka-topics"), Some(Tool::Topics));
        assert_eq!(Tool::by_class("kafka.tools.GetOffsetShell"), Some(Tool::GetOffsets));
    }

    #[test]
    fn a_mistyped_tool_is_guessed() {
        assert!(unknown("topic").contains("did you mean `topics`?"));
        assert!(unknown("xyzzy").contains("lists them"));
    }
}
