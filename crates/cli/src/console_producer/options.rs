//! The options of `console-producer`, and the producer's and reader's settings that they make.

use kalda_client::Properties;

use crate::connect::gather;
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Grammar, Parsed, Show};

pub(super) const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to read data from standard input and publish it to Kafka.",
    options: &[
        (
            "batch-size",
            Arg::Int("size"),
            "The bytes that a batch may have. (default: 16384)",
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
            Arg::Text("config file"),
            "A properties file with settings of the producer.",
            Show::Yes,
        ),
        (
            "command-property",
            Arg::Text("key=value"),
            "A setting of the producer; wins over the file.",
            Show::Yes,
        ),
        (
            "compression-codec",
            Arg::Maybe("compression-codec"),
            "none, gzip, snappy, lz4 or zstd; gzip if none is named.",
            Show::Yes,
        ),
        (
            "line-reader",
            Arg::Text("reader_class"),
            "Only org.apache.kafka.tools.LineMessageReader, which is the default.",
            Show::Yes,
        ),
        (
            "max-block-ms",
            Arg::Long("max block on send"),
            "How long a send may wait for the topic and for room. (default: 60000)",
            Show::Yes,
        ),
        (
            "max-memory-bytes",
            Arg::Long("total memory in bytes"),
            "The bytes that may wait to be sent. (default: 33554432)",
            Show::Yes,
        ),
        (
            "max-partition-memory-bytes",
            Arg::Int("memory in bytes per partition"),
            "The old name of --batch-size.",
            Show::Yes,
        ),
        (
            "message-send-max-retries",
            Arg::Int("retries"),
            "How often a batch is sent again. (default: 3)",
            Show::Yes,
        ),
        (
            "metadata-expiry-ms",
            Arg::Long("metadata expiration interval"),
            "After this time, leaders are asked for anew. (default: 300000)",
            Show::Yes,
        ),
        ("producer-property", Arg::Text("key=value"), "", Show::Old),
        ("producer.config", Arg::Text("config file"), "", Show::Old),
        ("property", Arg::Text("key=value"), "", Show::Old),
        (
            "reader-config",
            Arg::Text("config file"),
            "A properties file with settings of the line reader.",
            Show::Yes,
        ),
        (
            "reader-property",
            Arg::Text("key=value"),
            "A setting of the line reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, ignore.error, null.marker. With parse.headers and parse.key a line is \"h1:v1,h2:v2<TAB>key<TAB>value\".",
            Show::Yes,
        ),
        (
            "request-required-acks",
            Arg::Text("request required acks"),
            "0, 1, or -1 for all. (default: -1)",
            Show::Yes,
        ),
        (
            "request-timeout-ms",
            Arg::Int("request timeout ms"),
            "How long to wait for an answer. (default: 1500)",
            Show::Yes,
        ),
        (
            "retry-backoff-ms",
            Arg::Long("retry backoff ms"),
            "The pause before a batch is sent again. (default: 100)",
            Show::Yes,
        ),
        (
            "socket-buffer-size",
            Arg::Int("size"),
            "Accepted; the system sizes the buffer itself.",
            Show::Yes,
        ),
        ("sync", Arg::None, "Wait for each record to be taken before the next is sent.", Show::Yes),
        (
            "timeout",
            Arg::Long("timeout_ms"),
            "How long a batch waits for more records. (default: 1000)",
            Show::Yes,
        ),
        ("topic", Arg::Text("topic"), "REQUIRED: The topic to send to.", Show::Yes),
    ],
};

/// Option, key of the producer, default of the tool.
const MERGED: &[(&str, &str, &str)] = &[
    ("timeout", "linger.ms", "1000"),
    ("request-required-acks", "acks", "-1"),
    ("request-timeout-ms", "request.timeout.ms", "1500"),
    ("message-send-max-retries", "retries", "3"),
    ("retry-backoff-ms", "retry.backoff.ms", "100"),
    ("max-memory-bytes", "buffer.memory", "33554432"),
    ("batch-size", "batch.size", "16384"),
    ("max-partition-memory-bytes", "batch.size", "16384"),
    ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
    ("max-block-ms", "max.block.ms", "60000"),
];

const LINE_READERS: [&str; 2] =
    ["org.apache.kafka.tools.LineMessageReader", "kafka.tools.ConsoleProducer$LineMessageReader"];

/// Refuses readers of users' own: they are Java classes.
pub(super) fn check_line_reader(parsed: &Parsed) -> Outcome {
    match parsed.value("line-reader")? {
        Some(class) if !LINE_READERS.contains(&class) => Err(Failure::usage(format!(
            "--line-reader {class} is a Java class of its own, which Kalda cannot run; it has {}",
            LINE_READERS[0]
        ))),
        _ => Ok(()),
    }
}

/// The producer's settings: the file, the properties, and over them the options that were given;
/// what nothing sets has the tool's default.
pub(super) fn producer_properties(parsed: &Parsed) -> Outcome<Properties> {
    let files = ["producer.config", "command-config"];
    let mut properties = gather(parsed, &files, &["producer-property", "command-property"])?;
    for (option, key, default) in MERGED {
        match parsed.value(option)? {
            Some(value) => properties.set(*key, value),
            None if properties.get(key).is_none() => properties.set(*key, *default),
            None => {}
        }
    }
    if parsed.has("compression-codec") {
        let codec = parsed.value("compression-codec")?.filter(|codec| !codec.is_empty());
        properties.set("compression.type", codec.unwrap_or("gzip"));
    }
    Ok(properties)
}

/// The line reader's settings.
pub(super) fn reader_properties(parsed: &Parsed) -> Outcome<Properties> {
    gather(parsed, &["reader-config"], &["property", "reader-property"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Asked;
    use crate::tool::Call;

    fn parse(line: &str) -> Parsed {
        let args = line.split_whitespace().map(str::to_owned).collect();
        let call = Call { name: "kafka-console-producer".to_owned(), args };
        let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
        parsed
    }

    #[test]
    fn options_win_over_properties_and_properties_over_defaults() {
        let parsed = parse(
            "--topic t --timeout 7 --producer-property linger.ms=9 --producer-property acks=1 --compression-codec",
        );
        let properties = producer_properties(&parsed).unwrap();
        let values = ["linger.ms", "acks", "retries", "compression.type"];
        let values = values.map(|key| properties.get(key).unwrap_or_default());
        assert_eq!(values, ["7", "1", "3", "gzip"]);
    }

    #[test]
    fn old_and_new_reader_properties_are_one() {
        let parsed = parse("--property parse.key=true --reader-property key.separator=:");
        let properties = reader_properties(&parsed).unwrap();
        assert_eq!(properties.get("parse.key"), Some("true"));
        assert_eq!(properties.get("key.separator"), Some(":"));
    }

    #[test]
    fn a_java_class_is_refused_by_name() {
        assert!(
            check_line_reader(&parse("--line-reader org.apache.kafka.tools.LineMessageReader"))
                .is_ok()
        );
        assert!(check_line_reader(&parse("--line-reader com.example.Mine")).is_err());
    }
}
