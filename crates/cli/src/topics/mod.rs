//! `topics`: create, list, describe, alter and delete topics, as `kafka-topics` does.
//!
//! Lines and errors are Kafka's. Errors of the work itself go to the standard output, as there;
//! their exception is logged to the standard error.

mod assignment;
mod describe;
mod options;

use std::collections::BTreeMap;
use std::io::Write;

use kalda_client::admin::{NewTopic, TopicListing, TopicRef};
use kalda_client::{Admin, Error};
use kalda_model::Uuid;
use kalda_protocol::ErrorCode;

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Asked, Format, Parsed};
use crate::output::{print_line, stdout};
use crate::tool::Call;
use crate::topic_filter::TopicFilter;

use assignment::parse_assignment;
use options::GRAMMAR;

const COLLISION_WARNING: &str = "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.";

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    options::check(&parsed)?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    match block_on(act(&parsed, &admin)) {
        Err(Failure::Client(error)) => {
            print_line(&format!("Error while executing topic command : {error}"))?;
            tracing::error!("{}: {error}", error.exception_name());
            Err(Failure::Reported(Blame::of(&error)))
        }
        outcome => outcome,
    }
}

async fn act(parsed: &Parsed, admin: &Admin) -> Outcome {
    if parsed.has("create") {
        create(parsed, admin).await
    } else if parsed.has("alter") {
        alter(parsed, admin).await
    } else if parsed.has("list") {
        list(parsed, admin).await
    } else if parsed.has("describe") {
        describe(parsed, admin).await
    } else {
        delete(parsed, admin).await
    }
}

async fn create(parsed: &Parsed, admin: &Admin) -> Outcome {
    let name = parsed.value("topic")?.unwrap_or_default();
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: parsed.number("partitions")?,
        replication_factor: None,
        assignments: match parsed.value("replica-assignment")? {
            Some(text) => parse_assignment(text).map_err(Error::InvalidArgument)?,
            None => Vec::new(),
        },
        configs: configs(parsed)?,
    };
    if name.contains(['.', '_']) {
        print_line(COLLISION_WARNING)?;
    }
    let topic = NewTopic { replication_factor: replication_factor(parsed)?, ..topic };
    if topic.partitions.is_some_and(|count| count < 1) {
        return Err(invalid("The partitions must be greater than 0"));
    }
    match admin.create_topic(&topic, false).await {
        Ok(()) => Ok(print_line(&format!("Created topic {name}."))?),
        Err(Error::Api { code: ErrorCode::TopicAlreadyExists, .. })
            if parsed.has("if-not-exists") =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn replication_factor(parsed: &Parsed) -> Outcome<Option<i16>> {
    let Some(factor) = parsed.number::<i32>("replication-factor")? else { return Ok(None) };
    match i16::try_from(factor) {
        Ok(factor) if factor >= 1 => Ok(Some(factor)),
        _ => Err(invalid("The replication factor must be between 1 and 32767 inclusive")),
    }
}

fn configs(parsed: &Parsed) -> Outcome<BTreeMap<String, String>> {
    let mut configs = BTreeMap::new();
    for pair in parsed.values("config") {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(invalid(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(configs)
}

fn invalid(message: impl Into<String>) -> Failure {
    Error::InvalidArgument(message.into()).into()
}

/// The topics that `--topic` means, with the error that Kafka gives when there is none.
async fn chosen(parsed: &Parsed, admin: &Admin) -> Outcome<Vec<String>> {
    let listed: Vec<TopicListing> = admin.list_topics().await?;
    let pattern = parsed.value("topic")?;
    let names = TopicFilter::new(pattern)?.select(&listed, !parsed.has("exclude-internal"));
    match pattern {
        Some(pattern) if names.is_empty() && !parsed.has("if-exists") => {
            Err(invalid(format!("Topic '{pattern}' does not exist as expected")))
        }
        _ => Ok(names),
    }
}

async fn list(parsed: &Parsed, admin: &Admin) -> Outcome {
    let listed = admin.list_topics().await?;
    let filter = TopicFilter::new(parsed.value("topic")?)?;
    let names = filter.select(&listed, !parsed.has("exclude-internal"));
    let mut output = stdout();
    match Format::of(parsed)? {
        Format::Json => writeln!(output, "{}", serde_json::json!(names))?,
        // One line even when there is none, as in Kafka.
        Format::Text => writeln!(output, "{}", names.join("\n"))?,
    }
    Ok(output.flush()?)
}

async fn alter(parsed: &Parsed, admin: &Admin) -> Outcome {
    let names = chosen(parsed, admin).await?;
    let count = parsed.number("partitions")?.unwrap_or_default();
    let by_hand = match parsed.value("replica-assignment")? {
        Some(text) => parse_assignment(text).map_err(Error::InvalidArgument)?,
        None => Vec::new(),
    };
    for name in names {
        let mut new = by_hand.clone();
        if !new.is_empty() {
            let limit = options::partition_limit(parsed)?;
            let topic = admin.describe_topic(&TopicRef::Name(name.clone()), limit).await?;
            new.drain(..topic.partitions.len().min(new.len()));
        }
        admin.create_partitions(&name, count, &new).await?;
    }
    Ok(())
}

async fn delete(parsed: &Parsed, admin: &Admin) -> Outcome {
    for name in chosen(parsed, admin).await? {
        admin.delete_topic(&name).await?;
    }
    Ok(())
}

async fn describe(parsed: &Parsed, admin: &Admin) -> Outcome {
    let limit = options::partition_limit(parsed)?;
    let mut topics = Vec::new();
    if let Some(text) = parsed.value("topic-id")? {
        let absent = || invalid(format!("TopicId '{text}' does not exist as expected"));
        let id: Uuid = text.parse().map_err(|_| absent())?;
        let listed = admin.list_topics().await?;
        match listed.iter().find(|topic| topic.id == id && !id.is_zero()) {
            Some(topic) => {
                topics
                    .push(admin.describe_topic(&TopicRef::Name(topic.name.clone()), limit).await?);
            }
            None if parsed.has("if-exists") => {}
            None => return Err(absent()),
        }
    } else {
        for name in chosen(parsed, admin).await? {
            topics.push(admin.describe_topic(&TopicRef::Name(name), limit).await?);
        }
    }
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let overrides = admin.topic_overrides(&names).await?;
    // Who may not ask, or asks a broker that does not know, sees the rest all the same.
    let moving = match admin.reassignments().await {
        Ok(moving) => moving,
        Err(error) => {
            tracing::debug!("reassignments are not known: {error}");
            BTreeMap::new()
        }
    };
    let view = describe::View { topics: &topics, overrides: &overrides, moving: &moving };
    let report = describe::Report::from_options(parsed);
    let mut output = stdout();
    match Format::of(parsed)? {
        Format::Json => writeln!(output, "{}", view.json(report))?,
        Format::Text => output.write_all(view.text(report).as_bytes())?,
    }
    Ok(output.flush()?)
}
