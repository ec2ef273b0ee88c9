//! `delete-records`: cuts off the beginnings of partitions, as `kafka-delete-records` does.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use kalda_client::Admin;
use kalda_model::TopicPartition;
use serde_json::Value;

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Show};
use crate::output::{print_line, stdout};
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to delete records of the given partitions down to the specified offset.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("server(s) to use for bootstrapping"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("command config property file path"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        (
            "offset-json-file",
            Arg::Text("Offset json file path"),
            "REQUIRED: A file with {\"partitions\":[{\"topic\":\"foo\",\"partition\":1,\"offset\":1}],\"version\":1}",
            Show::Yes,
        ),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["offset-json-file", "bootstrap-server"])?;
    let path = parsed.value("offset-json-file")?.unwrap_or_default();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Message(format!("{path} cannot be read: {error}")))?;
    let wanted = parse(&text).map_err(Failure::Message)?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    block_on(delete(&admin, &wanted))
}

type Wanted = Vec<(TopicPartition, i64)>;

fn parse(text: &str) -> Result<Wanted, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("The input string is not a valid JSON: {error}"))?;
    match json.get("version").map_or(Some(1), Value::as_i64) {
        Some(1) => {}
        _ => return Err(format!("Not supported version field value {}", json["version"])),
    }
    let Some(partitions) = json.get("partitions").and_then(Value::as_array) else {
        return Err("Missing partitions field".to_owned());
    };
    let mut wanted = Wanted::new();
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for entry in partitions {
        let topic = entry.get("topic").and_then(Value::as_str);
        let partition = entry.get("partition").and_then(Value::as_i64);
        let partition = partition.and_then(|partition| i32::try_from(partition).ok());
        let offset = entry.get("offset").and_then(Value::as_i64);
        let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) else {
            return Err(format!("topic, partition or offset is missing or wrong in {entry}"));
        };
        let partition = TopicPartition::new(topic, partition);
        if !seen.insert(partition.clone()) {
            twice.insert(partition.to_string());
        }
        wanted.push((partition, offset));
    }
    if twice.is_empty() {
        return Ok(wanted);
    }
    let twice: Vec<String> = twice.into_iter().collect();
    Err(format!("Offset json file contains duplicate topic partitions: {}", twice.join(",")))
}

async fn delete(admin: &Admin, wanted: &Wanted) -> Outcome {
    print_line("Executing records delete operation")?;
    let mut blame = None;
    let mut lines = Vec::new();
    for (partition, offset) in wanted {
        lines.push(match admin.delete_records(partition, *offset).await {
            Ok(start) => format!("partition: {partition}\tlow_watermark: {start}"),
            Err(error) => {
                blame = Some(Blame::of(&error));
                format!("partition: {partition}\terror: {}: {error}", error.exception_name())
            }
        });
    }
    let mut output = stdout();
    writeln!(output, "Records delete operation completed:")?;
    for line in lines {
        writeln!(output, "{line}")?;
    }
    output.flush()?;
    // Kafka's tool ends with 0 here; a script that goes on would believe that records are gone.
    blame.map_or(Ok(()), |blame| Err(Failure::Reported(blame)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_contradictions_named() {
        let one = r#"{"partitions":[{"topic":"foo","partition":1,"offset":7}],"version":1}"#;
        assert_eq!(parse(one).unwrap(), [(TopicPartition::new("foo", 1), 7)]);
        let twice = r#"{"partitions":[{"topic":"w","partition":0,"offset":1},{"topic":"w","partition":0,"offset":2}]}"#;
        let error = parse(twice).unwrap_err();
        assert_eq!(error, "Offset json file contains duplicate topic partitions: w-0");
        assert!(parse("{").unwrap_err().starts_with("The input string is not a valid JSON"));
        assert_eq!(parse("{}").unwrap_err(), "Missing partitions field");
        assert!(parse(r#"{"version":2,"partitions":[]}"#).unwrap_err().contains("version"));
    }
}
