//! `get-offsets`: prints offsets of partitions, as `kafka-get-offsets` does.

use std::collections::BTreeMap;
use std::io::Write;

use kalda_client::Admin;
use kalda_client::OffsetSpec;
use kalda_client::admin::TopicListing;
use kalda_model::TopicPartition;

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::output::{complain, stdout};
use crate::tool::Call;
use crate::topic_filter::TopicFilter;

const GRAMMAR: Grammar = Grammar {
    about: "An interactive shell for getting topic-partition offsets.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("HOST1:PORT1,...,HOST3:PORT3"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("config file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("exclude-internal-topics", Arg::None, "Leave internal topics out.", Show::Yes),
        (
            "partitions",
            Arg::Text("partition ids"),
            "Only these partitions, separated by commas.",
            Show::Yes,
        ),
        (
            "time",
            Arg::Text(
                "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered",
            ),
            "Which offset. (default: latest)",
            Show::Yes,
        ),
        ("topic", Arg::Text("topic"), "Only topics whose whole name matches.", Show::Yes),
        (
            "topic-partitions",
            Arg::Text("topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3"),
            "Patterns of topics, each with a partition or a range of which the end is not included.",
            Show::Yes,
        ),
    ],
};

/// A topic pattern and a range of partitions.
#[derive(Clone, Debug)]
struct Pattern {
    topics: TopicFilter,
    from: i32,
    to: i32,
}

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let outcome = find(&parsed);
    match outcome {
        Err(Failure::Client(error)) => {
            complain!("Error occurred: {error}");
            Err(Failure::Reported(Blame::of(&error)))
        }
        outcome => outcome,
    }
}

fn find(parsed: &Parsed) -> Outcome {
    if parsed.has("topic-partitions") && (parsed.has("topic") || parsed.has("partitions")) {
        return Err(failed("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let spec = spec(parsed.value("time")?.unwrap_or("latest"))?;
    let patterns = match parsed.value("topic-partitions")? {
        Some(text) => text.split(',').map(pattern).collect::<Outcome<Vec<_>>>()?,
        None => from_topic(parsed.value("topic")?, parsed.value("partitions")?)?,
    };
    let admin = admin_client(parsed, "adminclient-1")?.admin();
    let with_internal = !parsed.has("exclude-internal-topics");
    block_on(print(&admin, &patterns, spec, with_internal))
}

fn failed(message: &str) -> Failure {
    Failure::usage(format!("Error occurred: {message}"))
}

fn spec(time: &str) -> Outcome<OffsetSpec> {
    Ok(match time {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        number => OffsetSpec::Timestamp(number.parse().map_err(|_| {
            failed(&format!("Malformed time argument {time}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp"))
        })?),
    })
}

fn from_topic(topic: Option<&str>, partitions: Option<&str>) -> Outcome<Vec<Pattern>> {
    let topics = TopicFilter::new(topic)?;
    let Some(partitions) = partitions else {
        return Ok(vec![Pattern { topics, from: 0, to: i32::MAX }]);
    };
    let ids = partitions.split(',').filter(|id| !id.is_empty());
    ids.map(|id| {
        let from: i32 = id.trim().parse().map_err(|_| {
            failed(&format!(
                "--partitions expects a comma separated list of numeric partition ids, but received: {partitions}"
            ))
        })?;
        Ok(Pattern { topics: topics.clone(), from, to: from.saturating_add(1) })
    })
    .collect()
}

fn pattern(text: &str) -> Outcome<Pattern> {
    let invalid = || failed(&format!("Invalid rule specification: {text}"));
    let number = |text: &str, absent: i32| match text {
        "" => Ok(absent),
        digits => digits.parse().map_err(|_| invalid()),
    };
    let (topic, range) = text.split_once(':').unwrap_or((text, ""));
    let topics = TopicFilter::new(Some(topic).filter(|topic| !topic.is_empty()))?;
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (number(from, 0)?, number(to, i32::MAX)?),
        None if range.is_empty() => (0, i32::MAX),
        None => {
            let only = number(range, 0)?;
            (only, only.saturating_add(1))
        }
    };
    Ok(Pattern { topics, from, to })
}

async fn print(
    admin: &Admin,
    patterns: &[Pattern],
    spec: OffsetSpec,
    with_internal: bool,
) -> Outcome {
    let listed: Vec<TopicListing> = admin.list_topics().await?;
    let mut wanted = BTreeMap::new();
    let topics = TopicFilter::new(None)?.select(&listed, with_internal);
    let topics: Vec<String> = topics
        .into_iter()
        .filter(|topic| patterns.iter().any(|pattern| pattern.topics.matches(topic)))
        .collect();
    for (topic, count) in admin.partition_counts(&topics).await? {
        for partition in 0..count {
            let is_wanted = patterns.iter().any(|pattern| {
                pattern.topics.matches(&topic) && (pattern.from..pattern.to).contains(&partition)
            });
            if is_wanted {
                wanted.insert(TopicPartition::new(topic.as_str(), partition), spec);
            }
        }
    }
    if wanted.is_empty() {
        return Err(failed("Could not match any topic-partitions with the specified filters"));
    }
    let mut output = stdout();
    for (partition, outcome) in admin.list_offsets(&wanted).await? {
        match outcome {
            Ok(found) => {
                if let Some(offset) = found.offset {
                    writeln!(output, "{}:{}:{offset}", partition.topic, partition.partition)?;
                }
            }
            Err(error) => complain!(
                "Skip getting offsets for topic-partition {partition} due to error: {error}"
            ),
        }
    }
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_kafkas_grammar() {
        let range = |text: &str| {
            let pattern = pattern(text).unwrap();
            (pattern.from, pattern.to)
        };
        assert_eq!(range("t:1"), (1, 2));
        assert_eq!(range("t:0-3"), (0, 3));
        assert_eq!(range("t"), (0, i32::MAX));
        assert_eq!(range("t:5-"), (5, i32::MAX));
        assert_eq!(range(":-3"), (0, 3));
        assert!(pattern("t:x").is_err());
    }

    #[test]
    fn times_have_names_and_numbers() {
        assert_eq!(spec("-2").unwrap(), OffsetSpec::Earliest);
        assert_eq!(spec("max-timestamp").unwrap(), OffsetSpec::MaxTimestamp);
        assert_eq!(spec("17").unwrap(), OffsetSpec::Timestamp(17));
        assert!(spec("abc").is_err());
    }
}
