//! The options of `topics`, and which of them go together.

use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Format, Grammar, Parsed, Show};
use crate::output::complain;

pub(super) const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to create, delete, describe, or change a topic.",
    options: &[
        (
            "alter",
            Arg::None,
            "Give a topic more partitions. Configs are changed with the configs tool.",
            Show::Yes,
        ),
        (
            "at-min-isr-partitions",
            Arg::None,
            "Describe only partitions with exactly as many in-sync replicas as min.insync.replicas demands.",
            Show::Yes,
        ),
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED: The brokers to start from, as HOST:PORT,...",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("command config property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        (
            "config",
            Arg::Text("name=value"),
            "A config of the topic to be created; may be repeated.",
            Show::Yes,
        ),
        ("create", Arg::None, "Create a topic.", Show::Yes),
        ("delete", Arg::None, "Delete topics.", Show::Yes),
        (
            "delete-config",
            Arg::Text("name"),
            "No longer supported since 4.0: use the configs tool.",
            Show::Yes,
        ),
        ("describe", Arg::None, "Show topics in detail.", Show::Yes),
        ("disable-rack-aware", Arg::None, "", Show::Old),
        (
            "exclude-internal",
            Arg::None,
            "Leave internal topics out when listing or describing.",
            Show::Yes,
        ),
        ("force", Arg::None, "", Show::Old),
        (
            "format",
            Arg::Text("text or json"),
            "How list and describe print. (default: text)",
            Show::Yes,
        ),
        (
            "if-exists",
            Arg::None,
            "Do nothing if the topic to alter, delete or describe is not there.",
            Show::Yes,
        ),
        ("if-not-exists", Arg::None, "Do nothing if the topic to create is there.", Show::Yes),
        ("list", Arg::None, "List the names of topics.", Show::Yes),
        (
            "partition-size-limit-per-response",
            Arg::Int("maximum number of partitions per response"),
            "How many partitions a broker puts into one answer when describing.",
            Show::Yes,
        ),
        (
            "partitions",
            Arg::Int("# of partitions"),
            "How many partitions the topic gets. Keys move to other partitions when the number changes.",
            Show::Yes,
        ),
        (
            "replica-assignment",
            Arg::Text("1:2,2:1 ..."),
            "The brokers of each partition by hand: partitions separated by commas, brokers by colons.",
            Show::Yes,
        ),
        (
            "replication-factor",
            Arg::Int("replication factor"),
            "How many replicas each partition gets; the cluster's default if absent.",
            Show::Yes,
        ),
        (
            "topic",
            Arg::Text("topic"),
            "The topic; but for create, a regular expression that the whole name must match.",
            Show::Yes,
        ),
        ("topic-id", Arg::Text("topic-id"), "The id of the topic to describe.", Show::Yes),
        (
            "topics-with-overrides",
            Arg::None,
            "Describe only topics that have configs of their own.",
            Show::Yes,
        ),
        (
            "unavailable-partitions",
            Arg::None,
            "Describe only partitions without a leader.",
            Show::Yes,
        ),
        (
            "under-min-isr-partitions",
            Arg::None,
            "Describe only partitions with fewer in-sync replicas than min.insync.replicas demands.",
            Show::Yes,
        ),
        (
            "under-replicated-partitions",
            Arg::None,
            "Describe only partitions with fewer in-sync replicas than replicas.",
            Show::Yes,
        ),
    ],
};

const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];
/// The describing filters that exclude each other.
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

/// Checks what goes together, in Kafka's order and with Kafka's texts.
pub(super) fn check(parsed: &Parsed) -> Outcome {
    if ACTIONS.iter().filter(|action| parsed.has(action)).count() != 1 {
        return Err(GRAMMAR.usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if !parsed.has("bootstrap-server") {
        return Err(Failure::usage("--bootstrap-server must be specified"));
    }
    if !parsed.has("list") && !parsed.has("describe") {
        GRAMMAR.require(parsed, &["topic"])?;
    }
    if parsed.has("alter") {
        if parsed.has("config") {
            return Err(GRAMMAR.usage("Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)"));
        }
        if parsed.has("delete-config") {
            complain!(
                "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases."
            );
        }
        GRAMMAR.require(parsed, &["partitions"])?;
    }
    for (option, allowed) in [
        ("config", &["create"][..]),
        ("delete-config", &["alter"]),
        ("partitions", &["create", "alter"]),
        ("replication-factor", &["create"]),
        ("replica-assignment", &["create", "alter"]),
        ("topic-id", &["describe"]),
        ("topics-with-overrides", &["describe"]),
        ("if-exists", &["alter", "delete", "describe"]),
        ("if-not-exists", &["create"]),
        ("exclude-internal", &["list", "describe"]),
    ] {
        let forbidden: Vec<&str> =
            ACTIONS.into_iter().filter(|action| !allowed.contains(action)).collect();
        GRAMMAR.forbid(parsed, option, &forbidden)?;
    }
    if parsed.has("create") {
        GRAMMAR.forbid(parsed, "replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        let mut forbidden: Vec<&str> = REPORTS.into_iter().filter(|it| *it != report).collect();
        forbidden.extend(["topics-with-overrides", "list", "create", "alter", "delete"]);
        GRAMMAR.forbid(parsed, report, &forbidden)?;
    }
    Format::of(parsed).map(drop)
}

/// How many partitions a broker may put into one answer.
pub(super) fn partition_limit(parsed: &Parsed) -> Outcome<i32> {
    Ok(parsed.number("partition-size-limit-per-response")?.unwrap_or(2000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Asked;
    use crate::tool::Call;

    fn refusal(line: &str) -> Option<String> {
        let args = line.split_whitespace().map(str::to_owned).collect();
        let call = Call { name: "kafka-topics".to_owned(), args };
        let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
        match check(&parsed) {
            Ok(()) => None,
            Err(Failure::Usage { message, .. }) => Some(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_are_kafkas() {
        for (line, text) in [
            ("--create --bootstrap-server s", "Missing required argument \"[topic]\""),
            (
                "--bootstrap-server s",
                "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
            ),
            ("--list", "--bootstrap-server must be specified"),
            (
                "--alter --topic t --bootstrap-server s",
                "Missing required argument \"[partitions]\"",
            ),
            (
                "--alter --topic t --config a=b --bootstrap-server s",
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)",
            ),
            (
                "--list --partitions 3 --bootstrap-server s",
                "Option \"[partitions]\" can't be used with option \"[list]\"",
            ),
            (
                "--create --topic t --partitions 3 --replica-assignment 1 --bootstrap-server s",
                "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"",
            ),
        ] {
            assert_eq!(refusal(line).as_deref(), Some(text), "{line}");
        }
    }

    #[test]
    fn the_seeds_commands_pass() {
        for line in [
            "--bootstrap-server localhost:9092 --topic my_topic1 --create",
            "--bootstrap-server localhost:9092 --list",
            "--bootstrap-server localhost:9092 --topic web_log --alter --partitions 3",
            "--bootstrap-server localhost:9092 --topic web_log --describe",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }
}
