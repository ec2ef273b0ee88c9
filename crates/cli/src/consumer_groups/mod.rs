//! `consumer-groups`: list, describe and delete groups, and change what they have committed, as
//! `kafka-consumer-groups` does.
//!
//! Lines and streams are Kafka's: errors of the work go to the standard output. Unlike Kafka's tool,
//! which ends with 0 then, this one ends with 1.

pub(crate) mod columns;
mod delete;
mod describe;
pub(crate) mod list;
mod options;
mod reset;
mod topics;

use std::collections::BTreeMap;
use std::io::Write;

use kalda_client::admin::GroupDescription;
use kalda_client::{Admin, OffsetSpec};
use kalda_model::TopicPartition;
use regex_lite::Regex;

use crate::connect::{block_on, client, gather};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Asked, Parsed};
use crate::output::{Output, complain, print_line, stdout};
use crate::tool::Call;

use describe::{LogEnds, Section, Width};
use list::Listing;
use options::GRAMMAR;
use topics::TopicArg;

/// How long the tool tries when `--timeout` does not say.
const TIMEOUT_MS: i64 = 30_000;

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    options::check(&parsed)?;
    if let Some(pattern) = parsed.value("validate-regex")? {
        return Ok(print_line(&validity(pattern))?);
    }
    let mut properties = gather(&parsed, &["command-config"], &[])?;
    let timeout: Option<i64> = parsed.number("timeout")?;
    properties.set("default.api.timeout.ms", timeout.unwrap_or(TIMEOUT_MS).to_string());
    let admin = client(&parsed, properties, "adminclient-1")?.admin();
    let mut output = stdout();
    match block_on(act(&parsed, &admin, &mut output)) {
        Err(Failure::Client(error)) => {
            let name = error.exception_name();
            let message = format!("Executing consumer group command failed due to {name}: {error}");
            print_error(&mut output, &message)?;
            tracing::error!("{name}: {error}");
            Err(Failure::Reported(Blame::of(&error)))
        }
        outcome => outcome,
    }
}

/// An error as Kafka's tool prints it, on the standard output.
fn print_error(output: &mut Output, message: &str) -> Outcome {
    writeln!(output, "\nError: {message}")?;
    Ok(output.flush()?)
}

fn validity(pattern: &str) -> String {
    match Regex::new(pattern) {
        Ok(_) => format!("The regular expression `{pattern}` is valid."),
        Err(error) => format!("The regular expression `{pattern}` is invalid: {error}."),
    }
}

async fn act(parsed: &Parsed, admin: &Admin, output: &mut Output) -> Outcome {
    if parsed.has("list") {
        let listing = Listing::from_options(parsed)?;
        output.write_all(listing.render(&admin.list_groups().await?).as_bytes())?;
        return Ok(output.flush()?);
    }
    let groups = groups(parsed, admin).await?;
    if parsed.has("describe") {
        describe(parsed, admin, output, &groups).await
    } else if parsed.has("delete") {
        delete::groups(admin, &groups).await
    } else if parsed.has("delete-offsets") {
        // More than one group is an error of the options.
        let group = parsed.value("group")?.unwrap_or_default();
        delete::offsets(admin, output, group, &TopicArg::all(parsed)?).await
    } else {
        reset::run(parsed, admin, output, &groups).await
    }
}

/// The groups that a call is about, each once and in order.
async fn groups(parsed: &Parsed, admin: &Admin) -> Outcome<Vec<String>> {
    let mut groups: Vec<String> = if parsed.has("all-groups") {
        let listed = admin.list_groups().await?;
        let of_consumers = listed.into_iter().filter(|group| group.is_of_consumers());
        of_consumers.map(|group| group.group_id).collect()
    } else {
        parsed.values("group").map(str::to_owned).collect()
    };
    groups.sort();
    groups.dedup();
    Ok(groups)
}

async fn describe(
    parsed: &Parsed,
    admin: &Admin,
    output: &mut Output,
    groups: &[String],
) -> Outcome {
    let columns = if parsed.has("verbose") { Width::Verbose } else { Width::Usual };
    // All before the first line: a group that is not there is the error of the whole.
    let mut described = Vec::new();
    for group in groups {
        described.push(admin.describe_group(group).await?);
    }
    let mut is_dead = false;
    for group in &described {
        let section = if parsed.has("members") {
            describe::members(group, columns)
        } else if parsed.has("state") {
            describe::state(group, columns)
        } else {
            offsets(admin, group, columns).await?
        };
        is_dead |= section.error.is_some();
        print(output, &section)?;
    }
    if is_dead { Err(Failure::Reported(Blame::Refused)) } else { Ok(()) }
}

async fn offsets(admin: &Admin, group: &GroupDescription, columns: Width) -> Outcome<Section> {
    let committed = admin.list_group_offsets(&group.group_id).await?;
    let partitions = describe::partitions(group, &committed);
    let ends = log_ends(admin, &partitions).await?;
    Ok(describe::offsets(group, &committed, &ends, columns))
}

/// The ends of those partitions that exist and have a leader.
async fn log_ends(admin: &Admin, partitions: &[TopicPartition]) -> Outcome<LogEnds> {
    let leaders = admin.partition_leaders(partitions).await?;
    let led = leaders.into_iter().filter(|(_, has_leader)| *has_leader);
    let wanted: BTreeMap<TopicPartition, OffsetSpec> =
        led.map(|(partition, _)| (partition, OffsetSpec::Latest)).collect();
    let mut ends = LogEnds::new();
    for (partition, listed) in admin.list_offsets(&wanted).await? {
        if let Ok(Some(offset)) = listed.map(|listed| listed.offset) {
            ends.insert(partition, offset.0);
        }
    }
    Ok(ends)
}

fn print(output: &mut Output, section: &Section) -> Outcome {
    if let Some(error) = &section.error {
        print_error(output, error)?;
    }
    if let Some(note) = &section.note {
        complain!("{note}");
    }
    output.write_all(section.table.as_bytes())?;
    Ok(output.flush()?)
}
