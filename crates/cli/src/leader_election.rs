//! `leader-election`: elects leaders of partitions, as `kafka-leader-election` does.

use std::collections::BTreeMap;

use kalda_client::admin::ElectionType;
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use serde_json::Value;

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Arg, Asked, BOOTSTRAP_SERVER, COMMAND_CONFIG, Grammar, Parsed, Show};
use crate::output::{complain, print_line};
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool elects leaders of partitions: the preferred ones, or, where no in-sync replica lives, unclean ones.",
    options: &[
        ("admin.config", Arg::Text("config file"), "", Show::Old),
        (
            "all-topic-partitions",
            Arg::None,
            "All partitions that such an election can change.",
            Show::Yes,
        ),
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        (
            "election-type",
            Arg::Text("election type"),
            "REQUIRED: preferred or unclean. An unclean election may lose records.",
            Show::Yes,
        ),
        ("partition", Arg::Int("partition id"), "The partition of --topic.", Show::Yes),
        (
            "path-to-json-file",
            Arg::Text("path"),
            "A file with the partitions: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}]}",
            Show::Yes,
        ),
        ("topic", Arg::Text("topic name"), "The topic of --partition.", Show::Yes),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    check(&parsed)?;
    let election = election_type(parsed.value("election-type")?.unwrap_or_default())?;
    let partitions = match (parsed.value("path-to-json-file")?, parsed.value("topic")?) {
        (Some(path), _) => Some(read_partitions(path)?),
        (None, Some(topic)) => {
            let index = parsed.number("partition")?.unwrap_or_default();
            Some(vec![TopicPartition::new(topic, index)])
        }
        (None, None) => None,
    };
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    let outcomes = block_on(async {
        let elected = admin.elect_leaders(election, partitions.as_deref()).await;
        elected.map_err(|error| {
            match error.code() {
                Some(ErrorCode::ClusterAuthorizationFailed) => {
                    complain!("Not authorized to perform leader election");
                }
                None => complain!("Timeout waiting for election results"),
                Some(_) => {}
            }
            Failure::from(error)
        })
    })?;
    report(election, &outcomes)
}

fn check(parsed: &Parsed) -> Outcome {
    let refuse = |names: &[&str]| {
        Err(Failure::usage(format!("Missing required option(s): {}", names.join(", "))))
    };
    let mut missing = vec!["bootstrap-server", "election-type"];
    missing.retain(|name| !parsed.has(name));
    if !missing.is_empty() {
        return refuse(&missing);
    }
    let which = ["topic", "all-topic-partitions", "path-to-json-file"];
    if which.iter().filter(|name| parsed.has(name)).count() != 1 {
        return Err(Failure::usage(format!(
            "One and only one of the following options is required: {}",
            which.join(", ")
        )));
    }
    match (parsed.has("topic"), parsed.has("partition")) {
        (true, false) => refuse(&["partition"]),
        (false, true) => Err(Failure::usage("Option partition is only allowed if topic is used")),
        _ => Ok(()),
    }
}

fn election_type(name: &str) -> Outcome<ElectionType> {
    match name.to_ascii_lowercase().as_str() {
        "preferred" => Ok(ElectionType::Preferred),
        "unclean" => Ok(ElectionType::Unclean),
        _ => Err(Failure::usage(format!(
            "Cannot parse argument '{name}' of option election-type: it is not one of preferred, unclean"
        ))),
    }
}

fn read_partitions(path: &str) -> Outcome<Vec<TopicPartition>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Message(format!("{path} cannot be read: {error}")))?;
    parse_partitions(&text).map_err(Failure::Message)
}

fn parse_partitions(text: &str) -> Result<Vec<TopicPartition>, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("Replica election data is not JSON: {error}"))?;
    let entries = json.get("partitions").and_then(Value::as_array);
    let entries = entries.ok_or("Replica election data is missing \"partitions\" field")?;
    let mut partitions = Vec::new();
    for entry in entries {
        let topic = entry.get("topic").and_then(Value::as_str);
        let index = entry.get("partition").and_then(Value::as_i64);
        let index = index.and_then(|index| i32::try_from(index).ok());
        let (Some(topic), Some(index)) = (topic, index) else {
            return Err(format!("Replica election data needs a topic and a partition: {entry}"));
        };
        let partition = TopicPartition::new(topic, index);
        if partitions.contains(&partition) {
            return Err(format!(
                "Replica election data contains duplicate partitions: [{partition}]"
            ));
        }
        partitions.push(partition);
    }
    Ok(partitions)
}

type Outcomes = BTreeMap<TopicPartition, kalda_client::Result<()>>;

fn report(election: ElectionType, outcomes: &Outcomes) -> Outcome {
    for line in lines(election, outcomes) {
        print_line(&line)?;
    }
    let failed = outcomes.values().filter(|it| matches!(it, Err(error) if !is_noop(error)));
    match failed.count() {
        0 => Ok(()),
        count => {
            complain!("{count} replica(s) could not be elected");
            Err(Failure::Reported(Blame::Refused))
        }
    }
}

fn is_noop(error: &kalda_client::Error) -> bool {
    error.code() == Some(ErrorCode::ElectionNotNeeded)
}

fn lines(election: ElectionType, outcomes: &Outcomes) -> Vec<String> {
    let named = |is_wanted: fn(&kalda_client::Result<()>) -> bool| {
        let wanted = outcomes.iter().filter(|(_, outcome)| is_wanted(outcome));
        let names: Vec<String> = wanted.map(|(partition, _)| partition.to_string()).collect();
        names.join(", ")
    };
    let kind = election.name();
    let mut lines = Vec::new();
    let elected = named(Result::is_ok);
    if !elected.is_empty() {
        lines.push(format!(
            "Successfully completed leader election ({kind}) for partitions {elected}"
        ));
    }
    let as_before = named(|outcome| matches!(outcome, Err(error) if is_noop(error)));
    if !as_before.is_empty() {
        lines.push(format!("Valid replica already elected for partitions {as_before}"));
    }
    for (partition, outcome) in outcomes {
        if let Err(error) = outcome
            && !is_noop(error)
        {
            let name = error.exception_name();
            lines.push(format!(
                "Error completing leader election ({kind}) for partition: {partition}: {name}: {error}"
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let foo = |index| TopicPartition::new("foo", index);
        let outcomes = BTreeMap::from([
            (foo(0), Ok(())),
            (foo(1), Ok(())),
            (foo(2), Err(ErrorCode::ElectionNotNeeded.into())),
            (foo(3), Err(ErrorCode::PreferredLeaderNotAvailable.into())),
        ]);
        let lines = lines(ElectionType::Preferred, &outcomes);
        assert_eq!(
            lines[..2],
            [
                "Successfully completed leader election (PREFERRED) for partitions foo-0, foo-1",
                "Valid replica already elected for partitions foo-2",
            ]
        );
        assert!(lines[2].starts_with(
            "Error completing leader election (PREFERRED) for partition: foo-3: org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: "
        ));
    }

    #[test]
    fn the_file_names_partitions_once() {
        let text = r#"{"partitions":[{"topic":"a","partition":1},{"topic":"b","partition":0}]}"#;
        let expected = [TopicPartition::new("a", 1), TopicPartition::new("b", 0)];
        assert_eq!(parse_partitions(text).unwrap(), expected);
        for (text, error) in [
            ("{}", "Replica election data is missing \"partitions\" field"),
            (
                r#"{"partitions":[{"topic":"a","partition":1},{"topic":"a","partition":1}]}"#,
                "Replica election data contains duplicate partitions: [a-1]",
            ),
        ] {
            assert_eq!(parse_partitions(text).unwrap_err(), error);
        }
        assert!(parse_partitions("[").is_err());
        assert!(parse_partitions(r#"{"partitions":[{"topic":"a"}]}"#).is_err());
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for (line, text) in [
            ("--topic a", "Missing required option(s): bootstrap-server, election-type"),
            (
                "--bootstrap-server a:1 --election-type preferred",
                "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file",
            ),
            (
                "--bootstrap-server a:1 --election-type preferred --topic a",
                "Missing required option(s): partition",
            ),
            (
                "--bootstrap-server a:1 --election-type preferred --all-topic-partitions --partition 1",
                "Option partition is only allowed if topic is used",
            ),
        ] {
            let args = line.split_whitespace().map(str::to_owned).collect();
            let call = Call { name: "kafka-leader-election".to_owned(), args };
            let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
            let Err(Failure::Usage { message, .. }) = check(&parsed) else { panic!("{line}") };
            assert_eq!(message, text);
        }
    }
}
