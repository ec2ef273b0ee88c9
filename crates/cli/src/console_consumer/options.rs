//! The options of `console-consumer`: what is read, from where, until when.

use std::time::Duration;

use kalda_client::{Properties, Seek};

use crate::connect::gather;
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Grammar, Parsed, Show};

pub(super) const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED: The brokers to start from, as HOST:PORT,...",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("config file"),
            "A properties file with settings of the consumer.",
            Show::Yes,
        ),
        (
            "command-property",
            Arg::Text("key=value"),
            "A setting of the consumer; wins over the file.",
            Show::Yes,
        ),
        ("consumer-property", Arg::Text("key=value"), "", Show::Old),
        ("consumer.config", Arg::Text("config file"), "", Show::Old),
        (
            "enable-systest-events",
            Arg::None,
            "Accepted; lifecycle events are not printed.",
            Show::Yes,
        ),
        (
            "formatter",
            Arg::Text("class"),
            "How records are printed: DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter, by Java's full name. (default: org.apache.kafka.tools.consumer.DefaultMessageFormatter)",
            Show::Yes,
        ),
        (
            "formatter-config",
            Arg::Text("config file"),
            "A properties file with settings of the formatter.",
            Show::Yes,
        ),
        (
            "formatter-property",
            Arg::Text("key=value"),
            "A setting of the formatter: print.timestamp, print.partition, print.offset, print.epoch, print.headers, print.key, print.value (true or false), key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.",
            Show::Yes,
        ),
        (
            "from-beginning",
            Arg::None,
            "Start with the first record instead of the next that comes.",
            Show::Yes,
        ),
        (
            "group",
            Arg::Text("consumer group id"),
            "The consumer group: partitions are shared with its other members, and reading goes on where it ended.",
            Show::Yes,
        ),
        (
            "include",
            Arg::Text("Java regex (String)"),
            "Read all topics whose whole name matches.",
            Show::Yes,
        ),
        (
            "isolation-level",
            Arg::Text("level"),
            "read_committed leaves out records of transactions that are open or aborted. (default: read_uncommitted)",
            Show::Yes,
        ),
        (
            "key-deserializer",
            Arg::Text("deserializer for key"),
            "The Java name of the key's type.",
            Show::Yes,
        ),
        ("max-messages", Arg::Int("num_messages"), "Stop after so many records.", Show::Yes),
        ("new-consumer", Arg::None, "", Show::Old),
        (
            "offset",
            Arg::Text("consume offset"),
            "Where to start in the partition: earliest, latest or an offset. (default: latest)",
            Show::Yes,
        ),
        ("partition", Arg::Int("partition"), "The partition to read.", Show::Yes),
        ("property", Arg::Text("key=value"), "", Show::Old),
        (
            "skip-message-on-error",
            Arg::None,
            "Go on after a record that cannot be printed.",
            Show::Yes,
        ),
        (
            "timeout-ms",
            Arg::Long("timeout_ms"),
            "Stop when no record has come for so long.",
            Show::Yes,
        ),
        ("topic", Arg::Text("topic"), "The topic to read.", Show::Yes),
        (
            "value-deserializer",
            Arg::Text("deserializer for values"),
            "The Java name of the value's type.",
            Show::Yes,
        ),
        ("whitelist", Arg::Text("regex"), "", Show::Old),
    ],
};

/// What is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Topics {
    /// One partition of a topic.
    Partition(String, i32),
    /// A topic.
    Named(String),
    /// All topics that match.
    Matching(String),
}

/// A reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) topics: Topics,
    pub(super) seek: Seek,
    /// Whether it is done as a member of a group.
    pub(super) in_group: bool,
    pub(super) max_messages: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) skips_errors: bool,
}

impl Plan {
    /// Checks the options in Kafka's order and with Kafka's texts.
    pub(super) fn from_options(parsed: &Parsed) -> Outcome<Self> {
        let include = if parsed.has("include") { "include" } else { "whitelist" };
        if parsed.has("topic") == parsed.has(include) {
            return Err(GRAMMAR.usage("Exactly one of --include/--topic is required. "));
        }
        GRAMMAR.require(parsed, &["bootstrap-server"])?;
        check_combinations(parsed)?;
        let topics = match (parsed.value("topic")?, parsed.number("partition")?) {
            (Some(topic), Some(partition)) => Topics::Partition(topic.to_owned(), partition),
            (Some(topic), None) => Topics::Named(topic.to_owned()),
            (None, _) => Topics::Matching(parsed.value(include)?.unwrap_or_default().to_owned()),
        };
        let timeout: Option<i64> = parsed.number("timeout-ms")?;
        let max: Option<i32> = parsed.number("max-messages")?;
        Ok(Self {
            topics,
            seek: seek(parsed)?,
            in_group: parsed.has("group"),
            // As in Kafka, a negative number is no limit.
            max_messages: max.and_then(|max| u64::try_from(max).ok()),
            timeout: timeout.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            skips_errors: parsed.has("skip-message-on-error"),
        })
    }
}

fn check_combinations(parsed: &Parsed) -> Outcome {
    let refusal = if parsed.has("partition") && !parsed.has("topic") {
        "The topic is required when partition is specified."
    } else if parsed.has("offset") && !parsed.has("partition") {
        "The partition is required when offset is specified."
    } else if parsed.has("offset") && parsed.has("from-beginning") {
        "Options from-beginning and offset cannot be specified together."
    } else if parsed.has("group") && parsed.has("partition") {
        "Options group and partition cannot be specified together."
    } else {
        return Ok(());
    };
    Err(GRAMMAR.usage(refusal))
}

fn seek(parsed: &Parsed) -> Outcome<Seek> {
    let Some(text) = parsed.value("offset")? else {
        return Ok(if parsed.has("from-beginning") { Seek::Earliest } else { Seek::Latest });
    };
    match text.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Seek::Earliest),
        "latest" => Ok(Seek::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(Seek::Offset(offset)),
            _ => Err(GRAMMAR.usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            ))),
        },
    }
}

/// The consumer's settings.
pub(super) fn consumer_properties(parsed: &Parsed, plan: &Plan) -> Outcome<Properties> {
    let files = ["consumer.config", "command-config"];
    let mut properties = gather(parsed, &files, &["consumer-property", "command-property"])?;
    if parsed.has("from-beginning") {
        if properties.get("auto.offset.reset").is_some_and(|reset| reset != "earliest") {
            let reset = properties.get("auto.offset.reset").unwrap_or_default();
            return Err(Failure::usage(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
        properties.set("auto.offset.reset", "earliest");
    }
    if let Some(group) = parsed.value("group")? {
        let also = properties.get("group.id").filter(|also| *also != group);
        if let Some(also) = also {
            return Err(GRAMMAR.usage(format!(
                "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '{group}', '{also}'"
            )));
        }
        properties.set("group.id", group);
    }
    if let Some(level) = parsed.value("isolation-level")? {
        properties.set("isolation.level", level);
    }
    // Reading more than is wanted would be thrown away.
    if let Some(max) = plan.max_messages.filter(|max| (1..500).contains(max))
        && properties.get("max.poll.records").is_none()
    {
        properties.set("max.poll.records", max.to_string());
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Asked;
    use crate::tool::Call;

    fn plan(line: &str) -> Result<Plan, String> {
        let args = line.split_whitespace().map(str::to_owned).collect();
        let call = Call { name: "kafka-console-consumer".to_owned(), args };
        let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
        Plan::from_options(&parsed).map_err(|failure| match failure {
            Failure::Usage { message, .. } => message,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn refusals_are_kafkas() {
        for (line, text) in [
            ("--bootstrap-server s", "Exactly one of --include/--topic is required. "),
            (
                "--bootstrap-server s --topic a --include b",
                "Exactly one of --include/--topic is required. ",
            ),
            ("--topic t", "Missing required argument \"[bootstrap-server]\""),
            (
                "--bootstrap-server s --topic t --offset 5",
                "The partition is required when offset is specified.",
            ),
            (
                "--bootstrap-server s --include t --partition 0",
                "The topic is required when partition is specified.",
            ),
            (
                "--bootstrap-server s --topic t --partition 0 --offset 1 --from-beginning",
                "Options from-beginning and offset cannot be specified together.",
            ),
            (
                "--bootstrap-server s --topic t --partition 0 --group g",
                "Options group and partition cannot be specified together.",
            ),
            (
                "--bootstrap-server s --topic t --partition 0 --offset abc",
                "The provided offset value 'abc' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.",
            ),
            (
                "--bootstrap-server s --topic t --partition 0 --offset -1",
                "The provided offset value '-1' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.",
            ),
        ] {
            assert_eq!(plan(line), Err(text.to_owned()), "{line}");
        }
    }

    #[test]
    fn plans_say_what_where_and_until_when() {
        let read = plan("--bootstrap-server s --topic t --partition 2 --offset 7 --max-messages 3");
        let read = read.unwrap();
        assert_eq!(read.topics, Topics::Partition("t".to_owned(), 2));
        assert_eq!((read.seek, read.max_messages, read.timeout), (Seek::Offset(7), Some(3), None));
        let seeds = plan(
            "--bootstrap-server localhost:9092 --topic web_log --from-beginning --timeout-ms 1000",
        );
        let seeds = seeds.unwrap();
        assert_eq!(seeds.seek, Seek::Earliest);
        assert_eq!(seeds.timeout, Some(Duration::from_secs(1)));
        let all = plan("--bootstrap-server s --whitelist a.* --max-messages -1").unwrap();
        assert_eq!((all.topics, all.max_messages), (Topics::Matching("a.*".to_owned()), None));
        let grouped = plan("--bootstrap-server s --topic t --group g --from-beginning").unwrap();
        assert!(grouped.in_group && !seeds.in_group);
    }
}
