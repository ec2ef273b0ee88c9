//! `--reset-offsets`: which offsets groups are to go on at, and committing them.

mod csv;
mod moment;

use std::collections::BTreeMap;
use std::io::Write;

use kalda_client::admin::TopicRef;
use kalda_client::{Admin, CommittedOffset, CommittedOffsets, Error, OffsetSpec};
use kalda_env::{Clock, SystemClock};
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;

use super::columns::row;
use super::options::{GRAMMAR, SCENARIOS};
use super::print_error;
use super::topics::TopicArg;
use crate::failure::{Blame, Failure, Outcome};
use crate::options::Parsed;
use crate::output::Output;

/// New offsets of a group.
type Plan = BTreeMap<TopicPartition, i64>;
/// New offsets by group.
type Plans = BTreeMap<String, Plan>;

/// To which offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Scenario {
    Earliest,
    Latest,
    Current,
    Offset(i64),
    ShiftBy(i64),
    /// What was sent at that time, in milliseconds since 1970.
    Since(i64),
    File(Plans),
}

/// What a call wants.
struct Wish {
    scenario: Scenario,
    topics: Vec<TopicArg>,
    all_topics: bool,
    executes: bool,
}

/// Plans for every group, commits if asked to, and prints what is, or would be, committed.
pub(super) async fn run(
    parsed: &Parsed,
    admin: &Admin,
    output: &mut Output,
    groups: &[String],
) -> Outcome {
    let wish = wish(parsed, groups, output)?;
    let mut plans = Plans::new();
    let mut blame = None;
    for group in groups {
        let plan = match refusal(admin, group).await? {
            Some(why) => Err(why),
            None => plan(admin, output, group, &wish).await?,
        };
        match plan {
            Ok(plan) => {
                if wish.executes && !plan.is_empty() {
                    admin.alter_group_offsets(group, &commits(&plan)).await?;
                }
                plans.insert(group.clone(), plan);
            }
            Err(why) => {
                blame = Some(Blame::Refused);
                print_error(output, &why)?;
            }
        }
    }
    if parsed.has("export") {
        writeln!(output, "{}", csv::render(&plans, csv::Shape::for_groups(groups.len())))?;
    } else {
        output.write_all(table(&plans).as_bytes())?;
    }
    output.flush()?;
    blame.map_or(Ok(()), |blame| Err(Failure::Reported(blame)))
}

fn wish(parsed: &Parsed, groups: &[String], output: &mut Output) -> Outcome<Wish> {
    let scenario = match scenario(parsed, groups)? {
        Ok(scenario) => scenario,
        Err(why) => return Err(failed(output, &why, Blame::Usage)),
    };
    let wish = Wish {
        scenario,
        topics: TopicArg::all(parsed)?,
        all_topics: parsed.has("all-topics"),
        executes: parsed.has("execute"),
    };
    let is_scoped = wish.all_topics || !wish.topics.is_empty();
    if !is_scoped && !matches!(wish.scenario, Scenario::File(_)) {
        return Err(
            GRAMMAR.usage("One of the reset scopes should be defined: --all-topics, --topic.")
        );
    }
    Ok(wish)
}

/// What the options say; the inner error is one of their values.
fn scenario(parsed: &Parsed, groups: &[String]) -> Outcome<Result<Scenario, String>> {
    if let Some(offset) = parsed.number("to-offset")? {
        return Ok(Ok(Scenario::Offset(offset)));
    }
    if let Some(by) = parsed.number("shift-by")? {
        return Ok(Ok(Scenario::ShiftBy(by)));
    }
    if let Some(text) = parsed.value("to-datetime")? {
        return Ok(moment::datetime_ms(text).map(Scenario::Since));
    }
    if let Some(text) = parsed.value("by-duration")? {
        let now = SystemClock::new().wall_ms();
        return Ok(moment::duration_ms(text).map(|ms| Scenario::Since(now.saturating_sub(ms))));
    }
    if let Some(path) = parsed.value("from-file")? {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Message(format!("{path} cannot be read: {error}")))?;
        return Ok(csv::parse(&text, groups).map(Scenario::File));
    }
    for (option, scenario) in [
        ("to-earliest", Scenario::Earliest),
        ("to-latest", Scenario::Latest),
        ("to-current", Scenario::Current),
    ] {
        if parsed.has(option) {
            return Ok(Ok(scenario));
        }
    }
    let all: Vec<String> = SCENARIOS.iter().map(|option| format!("[{option}]")).collect();
    Err(GRAMMAR.usage(format!(
        "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
        all.join(", ")
    )))
}

/// An error of the work, printed.
fn failed(output: &mut Output, why: &str, blame: Blame) -> Failure {
    let message = format!("Executing consumer group command failed due to {why}");
    match print_error(output, &message) {
        Ok(()) => Failure::Reported(blame),
        Err(failure) => failure,
    }
}

/// Why a group cannot be reset: somebody is reading.
async fn refusal(admin: &Admin, group: &str) -> Outcome<Option<String>> {
    let state = match admin.describe_group(group).await {
        Ok(described) => described.state,
        // Offsets can be committed for a group that is still to come.
        Err(Error::Api { code: ErrorCode::GroupIdNotFound, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_inactive = matches!(state.as_str(), "Empty" | "Dead");
    Ok((!is_inactive).then(|| {
        format!(
            "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
        )
    }))
}

/// The new offsets of a group; the inner error leaves other groups alone.
async fn plan(
    admin: &Admin,
    output: &mut Output,
    group: &str,
    wish: &Wish,
) -> Outcome<Result<Plan, String>> {
    if let Scenario::File(plans) = &wish.scenario {
        let Some(wanted) = plans.get(group) else {
            return Ok(Err(format!("No reset plan for group {group} found.")));
        };
        check_exist(admin, output, &wanted.keys().cloned().collect::<Vec<_>>()).await?;
        return Ok(Ok(clamp(admin, wanted).await?));
    }
    let committed = admin.list_group_offsets(group).await?;
    let partitions = if wish.all_topics {
        committed.keys().cloned().collect()
    } else {
        scope(admin, output, &wish.topics).await?
    };
    check_exist(admin, output, &partitions).await?;
    let plan = match &wish.scenario {
        Scenario::Earliest => offsets(admin, &partitions, OffsetSpec::Earliest).await?,
        Scenario::Latest => offsets(admin, &partitions, OffsetSpec::Latest).await?,
        Scenario::Offset(offset) => {
            let wanted = partitions.into_iter().map(|partition| (partition, *offset)).collect();
            clamp(admin, &wanted).await?
        }
        Scenario::ShiftBy(by) => clamp(admin, &shift(&partitions, &committed, *by)?).await?,
        Scenario::Since(timestamp) => since(admin, output, &partitions, *timestamp).await?,
        Scenario::Current => {
            let (known, new): (Vec<_>, Vec<_>) =
                partitions.into_iter().partition(|at| committed.contains_key(at));
            let mut plan = offsets(admin, &new, OffsetSpec::Latest).await?;
            plan.extend(known.into_iter().map(|at| (at.clone(), committed[&at].offset)));
            plan
        }
        Scenario::File(_) => Plan::new(),
    };
    Ok(Ok(plan))
}

/// The partitions that `--topic` names.
async fn scope(
    admin: &Admin,
    output: &mut Output,
    topics: &[TopicArg],
) -> Outcome<Vec<TopicPartition>> {
    let mut all = Vec::new();
    for topic in topics {
        let name = topic.name.as_str();
        let indexes = match &topic.partitions {
            Some(partitions) => partitions.clone(),
            None => {
                let by_name = TopicRef::Name(name.to_owned());
                match admin.describe_topic(&by_name, i32::from(i16::MAX)).await {
                    Ok(found) => found.partitions.iter().map(|at| at.index).collect(),
                    Err(Error::InvalidArgument(_)) => {
                        let why = ErrorCode::UnknownTopicOrPartition.message();
                        return Err(failed(output, why, Blame::Refused));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        all.extend(indexes.into_iter().map(|index| TopicPartition::new(name, index)));
    }
    Ok(all)
}

async fn check_exist(admin: &Admin, output: &mut Output, partitions: &[TopicPartition]) -> Outcome {
    let leaders = admin.partition_leaders(partitions).await?;
    let named = |picked: &dyn Fn(&TopicPartition) -> bool| {
        let names: Vec<String> =
            partitions.iter().filter(|at| picked(at)).map(ToString::to_string).collect();
        names.join(",")
    };
    let absent = named(&|at| !leaders.contains_key(at));
    if !absent.is_empty() {
        let why = format!("The partitions \"{absent}\" do not exist");
        return Err(failed(output, &why, Blame::Refused));
    }
    let leaderless = named(&|at| !leaders[at]);
    if leaderless.is_empty() {
        return Ok(());
    }
    let why = format!("The partitions \"{leaderless}\" have no leader");
    Err(failed(output, &why, Blame::Refused))
}

async fn list(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Outcome<BTreeMap<TopicPartition, Option<i64>>> {
    let wanted = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let mut all = BTreeMap::new();
    for (partition, listed) in admin.list_offsets(&wanted).await? {
        all.insert(partition, listed?.offset.map(|offset| offset.0));
    }
    Ok(all)
}

async fn offsets(admin: &Admin, partitions: &[TopicPartition], spec: OffsetSpec) -> Outcome<Plan> {
    let listed = list(admin, partitions, spec).await?;
    Ok(listed.into_iter().filter_map(|(partition, offset)| Some((partition, offset?))).collect())
}

/// Where records of that time or later begin; at the end where there are none.
async fn since(
    admin: &Admin,
    output: &mut Output,
    partitions: &[TopicPartition],
    timestamp: i64,
) -> Outcome<Plan> {
    let listed = list(admin, partitions, OffsetSpec::Timestamp(timestamp)).await?;
    let mut plan = Plan::new();
    let mut without = Vec::new();
    for (partition, offset) in listed {
        match offset {
            Some(offset) => drop(plan.insert(partition, offset)),
            None => {
                let (index, topic) = (partition.partition, &partition.topic);
                writeln!(
                    output,
                    "\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest known offset."
                )?;
                without.push(partition);
            }
        }
    }
    plan.extend(offsets(admin, &without, OffsetSpec::Latest).await?);
    Ok(plan)
}

fn shift(partitions: &[TopicPartition], committed: &CommittedOffsets, by: i64) -> Outcome<Plan> {
    let shifted = partitions.iter().map(|partition| {
        let at = committed.get(partition).ok_or_else(|| {
            GRAMMAR.usage(format!(
                "Cannot shift offset for partition {partition} since there is no current committed offset"
            ))
        })?;
        Ok((partition.clone(), at.offset.saturating_add(by)))
    });
    shifted.collect()
}

/// Brings offsets between start and end of their partitions.
async fn clamp(admin: &Admin, wanted: &Plan) -> Outcome<Plan> {
    let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let starts = offsets(admin, &partitions, OffsetSpec::Earliest).await?;
    let ends = offsets(admin, &partitions, OffsetSpec::Latest).await?;
    Ok(within(wanted, &starts, &ends))
}

fn within(wanted: &Plan, starts: &Plan, ends: &Plan) -> Plan {
    let clamped = wanted.iter().map(|(partition, &offset)| {
        let (start, end) = (starts.get(partition), ends.get(partition));
        let to = match (start, end) {
            (_, Some(&end)) if offset > end => {
                tracing::warn!("New offset ({offset}) is higher than latest offset for topic partition {partition}. Value will be set to {end}.");
                end
            }
            (Some(&start), _) if offset < start => {
                tracing::warn!("New offset ({offset}) is lower than earliest offset for topic partition {partition}. Value will be set to {start}.");
                start
            }
            _ => offset,
        };
        (partition.clone(), to)
    });
    clamped.collect()
}

fn commits(plan: &Plan) -> CommittedOffsets {
    plan.iter().map(|(at, offset)| (at.clone(), CommittedOffset::at(*offset))).collect()
}

fn table(plans: &Plans) -> String {
    let widths = [30, 30, 10, 15];
    let mut text = format!("\n{}\n", row(&widths, &["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]));
    for (group, plan) in plans {
        for (at, offset) in plan {
            let (partition, offset) = (at.partition.to_string(), offset.to_string());
            let cells = [group.as_str(), &at.topic, &partition, &offset];
            text.push_str(&format!("{}\n", row(&widths, &cells)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(offsets: &[(&str, i32, i64)]) -> Plan {
        offsets.iter().map(|(t, p, offset)| (TopicPartition::new(*t, *p), *offset)).collect()
    }

    #[test]
    fn offsets_stay_within_their_partitions() {
        let wanted = plan(&[("t", 0, 99), ("t", 1, -5), ("t", 2, 7)]);
        let starts = plan(&[("t", 0, 0), ("t", 1, 3), ("t", 2, 3)]);
        let ends = plan(&[("t", 0, 9), ("t", 1, 9), ("t", 2, 9)]);
        let expected = plan(&[("t", 0, 9), ("t", 1, 3), ("t", 2, 7)]);
        assert_eq!(within(&wanted, &starts, &ends), expected);
    }

    #[test]
    fn a_shift_needs_something_to_shift() {
        let committed = commits(&plan(&[("t", 0, 5)]));
        let at = |partition| vec![TopicPartition::new("t", partition)];
        assert_eq!(shift(&at(0), &committed, -2).unwrap(), plan(&[("t", 0, 3)]));
        let Err(Failure::Usage { message, .. }) = shift(&at(1), &committed, 1) else {
            panic!("nothing is committed for t-1")
        };
        assert_eq!(
            message,
            "Cannot shift offset for partition t-1 since there is no current committed offset"
        );
    }

    #[test]
    fn the_table_is_kafkas() {
        let plans = [("g1".to_owned(), plan(&[("foo", 0, 0), ("foo", 1, 9)]))].into();
        assert_eq!(
            table(&plans),
            "
GROUP                          TOPIC                          PARTITION  NEW-OFFSET     \n\
g1                             foo                            0          0              \n\
g1                             foo                            1          9              \n"
        );
    }
}
