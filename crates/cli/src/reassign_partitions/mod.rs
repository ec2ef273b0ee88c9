//! `reassign-partitions`: moves partitions between brokers and between the directories of a broker,
//! as `kafka-reassign-partitions` does.

mod directories;
mod file;
mod generate;
mod options;
mod throttle;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kalda_client::admin::{FactorChange, Reassignment, TopicRef};
use kalda_client::{Admin, Error};
use kalda_model::TopicPartition;
use serde_json::json;
use tokio::time::sleep;

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Asked, Format, Parsed};
use crate::output::print_line;
use crate::tool::Call;
use file::{Assignment, Plan};
use options::GRAMMAR;

/// What a move is doing, by the lines of Kafka.
type Replicas = BTreeMap<TopicPartition, Vec<i32>>;

/// How many partitions a broker may put into one answer.
const PARTITIONS_PER_ANSWER: i32 = 2000;

/// How often, and for how long, replicas are looked at that are not as planned though nothing moves.
const LOOKS_AFTER_MOVE: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the tool. Errors of the work itself go to the standard output, as Kafka's do.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    let action = options::check(&parsed)?;
    let admin = admin_client(&parsed, "reassign-partitions-tool")?.admin();
    let outcome = block_on(async {
        match action {
            "verify" => verify(&admin, &parsed).await,
            "generate" => generate::run(&admin, &parsed).await,
            "execute" => execute(&admin, &parsed).await,
            "cancel" => cancel(&admin, &parsed).await,
            _ => list(&admin, &parsed).await,
        }
    });
    match outcome {
        Err(Failure::Client(error)) => {
            print_line(&format!("Error: {}: {error}", error.exception_name()))?;
            Err(Failure::Reported(Blame::of(&error)))
        }
        Err(Failure::Message(message)) => {
            print_line(&message)?;
            Err(Failure::Reported(Blame::Refused))
        }
        outcome => outcome,
    }
}

/// An error of the work, as Kafka writes those that it did not expect.
fn error(message: impl std::fmt::Display) -> Failure {
    Failure::Message(format!("Error: {message}"))
}

fn read_file(parsed: &Parsed, option: &str) -> Outcome<String> {
    let path = parsed.value(option)?.unwrap_or_default();
    std::fs::read_to_string(path).map_err(|why| error(format!("{path} cannot be read: {why}")))
}

pub(crate) fn joined<T: ToString>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

/// The plural's ending.
fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

async fn list(admin: &Admin, parsed: &Parsed) -> Outcome {
    let moving = admin.reassignments().await?;
    if Format::of(parsed)? == Format::Json {
        let all = moving.iter().map(|(partition, it)| {
            json!({
                "topic": &*partition.topic,
                "partition": partition.partition,
                "replicas": it.replicas,
                "adding": it.adding,
                "removing": it.removing,
            })
        });
        return Ok(print_line(&all.collect::<serde_json::Value>().to_string())?);
    }
    Ok(print_line(&listing(&moving))?)
}

fn listing(moving: &BTreeMap<TopicPartition, Reassignment>) -> String {
    if moving.is_empty() {
        return "No partition reassignments found.".to_owned();
    }
    let mut text = "Current partition reassignments:".to_owned();
    for (partition, it) in moving {
        text.push_str(&format!("\n{partition}: replicas: {}.", joined(&it.replicas, ",")));
        for (what, brokers) in [("adding", &it.adding), ("removing", &it.removing)] {
            if !brokers.is_empty() {
                text.push_str(&format!(" {what}: {}.", joined(brokers, ",")));
            }
        }
    }
    text
}

/// The replicas of whole topics, by partition.
pub(crate) async fn replicas_of(admin: &Admin, topics: &BTreeSet<String>) -> Outcome<Replicas> {
    let mut replicas = Replicas::new();
    for topic in topics {
        let asked = TopicRef::Name(topic.clone());
        let described = admin.describe_topic(&asked, PARTITIONS_PER_ANSWER).await;
        let described = described.map_err(|why| match why {
            Error::InvalidArgument(_) => error(format!("Topic {topic} not found.")),
            why => why.into(),
        })?;
        for partition in described.partitions {
            let name = TopicPartition::new(topic.as_str(), partition.index);
            replicas.insert(name, partition.replicas);
        }
    }
    Ok(replicas)
}

async fn execute(admin: &Admin, parsed: &Parsed) -> Outcome {
    let plan = Plan::parse(&read_file(parsed, "reassignment-json-file")?).map_err(error)?;
    plan.check().map_err(error)?;
    let moving = admin.reassignments().await?;
    if !parsed.has("additional") && !moving.is_empty() {
        return Err(Failure::Message(
            "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment."
                .to_owned(),
        ));
    }
    check_brokers(admin, &plan).await?;
    let current = current_of(admin, &plan).await?;
    print_line(&format!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        file::to_json(&current)
    ))?;
    throttle::set(
        admin,
        parsed,
        &throttle::Moves { moving: &moving, plan: &plan, current: &current },
    )
    .await?;
    let factor = match parsed.has("disallow-replication-factor-change") {
        true => FactorChange::Forbidden,
        false => FactorChange::Allowed,
    };
    let targets: BTreeMap<TopicPartition, Option<Vec<i32>>> =
        plan.replicas().map(|(partition, replicas)| (partition, Some(replicas))).collect();
    let outcomes = admin.alter_reassignments(&targets, factor).await?;
    let failed = failures(&outcomes);
    if !failed.is_empty() {
        return Err(Failure::Message(format!("Error reassigning partition(s):\n{failed}")));
    }
    print_line(&format!(
        "Successfully started partition reassignment{} for {}",
        s(targets.len()),
        joined(targets.keys(), ",")
    ))?;
    directories::start_moves(admin, parsed, plan.directories()).await
}

/// The partitions that were refused, one a line.
fn failures(outcomes: &BTreeMap<TopicPartition, kalda_client::Result<()>>) -> String {
    let failed = outcomes.iter().filter_map(|(partition, outcome)| {
        outcome.as_ref().err().map(|why| format!("{partition}: {why}"))
    });
    joined(failed, "\n")
}

async fn check_brokers(admin: &Admin, plan: &Plan) -> Outcome {
    let known: BTreeSet<i32> = admin.nodes().await?.iter().map(|node| node.id.0).collect();
    let mut wanted = plan.assignments.iter().flat_map(|assignment| &assignment.replicas);
    match wanted.find(|broker| !known.contains(broker)) {
        Some(unknown) => Err(error(format!("Unknown broker id {unknown}"))),
        None => Ok(()),
    }
}

async fn current_of(admin: &Admin, plan: &Plan) -> Outcome<Replicas> {
    let wanted: BTreeSet<TopicPartition> =
        plan.assignments.iter().map(|assignment| assignment.partition.clone()).collect();
    let mut current = replicas_of(admin, &plan.topics()).await?;
    let missing: Vec<&TopicPartition> =
        wanted.iter().filter(|partition| !current.contains_key(partition)).collect();
    if !missing.is_empty() {
        return Err(error(format!("Unable to find partition: {}", joined(missing, ", "))));
    }
    current.retain(|partition, _| wanted.contains(partition));
    Ok(current)
}

/// The replicas of the plan's topics; a topic that is gone has none.
async fn replicas_there(admin: &Admin, plan: &Plan) -> Outcome<Replicas> {
    let mut current = Replicas::new();
    for topic in plan.topics() {
        match replicas_of(admin, &BTreeSet::from([topic])).await {
            Err(Failure::Message(_)) => {}
            replicas => current.extend(replicas?),
        }
    }
    Ok(current)
}

async fn verify(admin: &Admin, parsed: &Parsed) -> Outcome {
    let plan = Plan::parse(&read_file(parsed, "reassignment-json-file")?).map_err(error)?;
    let moving = admin.reassignments().await?;
    let mut current = replicas_there(admin, &plan).await?;
    // The controller knows that a move is over before the broker that is asked does.
    for _ in 0..LOOKS_AFTER_MOVE {
        let is_as_planned = |Assignment { partition, replicas, .. }: &Assignment| {
            moving.contains_key(partition) || current.get(partition) == Some(replicas)
        };
        if plan.assignments.iter().all(is_as_planned) {
            break;
        }
        sleep(LOOK_EVERY).await;
        current = replicas_there(admin, &plan).await?;
    }
    print_line(&states(&plan.assignments, &moving, &current))?;
    let moves = directories::states(admin, plan.directories()).await?;
    print_line(&directories::lines(&moves))?;
    let is_done = moving.is_empty() && moves.values().all(directories::State::is_done);
    if is_done && !parsed.has("preserve-throttles") {
        throttle::clear(admin, &plan).await?;
    }
    Ok(())
}

fn states(
    targets: &[Assignment],
    moving: &BTreeMap<TopicPartition, Reassignment>,
    current: &Replicas,
) -> String {
    let mut lines = vec!["Status of partition reassignment:".to_owned()];
    let mut targets: Vec<&Assignment> = targets.iter().collect();
    targets.sort_by_key(|assignment| &assignment.partition);
    for Assignment { partition, replicas, .. } in targets {
        let there = current.get(partition).map_or(&[][..], Vec::as_slice);
        lines.push(if moving.contains_key(partition) {
            format!("Reassignment of partition {partition} is still in progress.")
        } else if there == replicas {
            format!("Reassignment of partition {partition} is completed.")
        } else {
            format!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                joined(there, ","),
                joined(replicas, ",")
            )
        });
    }
    lines.join("\n")
}

async fn cancel(admin: &Admin, parsed: &Parsed) -> Outcome {
    let plan = Plan::parse(&read_file(parsed, "reassignment-json-file")?).map_err(error)?;
    let moving = admin.reassignments().await?;
    let ended: BTreeMap<TopicPartition, Option<Vec<i32>>> = plan
        .replicas()
        .filter(|(partition, _)| moving.contains_key(partition))
        .map(|(partition, _)| (partition, None))
        .collect();
    if ended.is_empty() {
        print_line("None of the specified partition reassignments are active.")?;
    } else {
        let outcomes = admin.alter_reassignments(&ended, FactorChange::Allowed).await?;
        let failed = failures(&outcomes);
        if !failed.is_empty() {
            let count = outcomes.values().filter(|outcome| outcome.is_err()).count();
            return Err(Failure::Message(format!(
                "Error cancelling partition reassignment{} for:\n{failed}",
                s(count)
            )));
        }
        print_line(&format!(
            "Successfully cancelled partition reassignment{} for: {}",
            s(ended.len()),
            joined(ended.keys(), ",")
        ))?;
    }
    // Controllers know nothing of directories and of the throttles that brokers have.
    if parsed.has("bootstrap-controller") {
        return Ok(());
    }
    directories::stop_moves(admin, parsed, plan.directories()).await?;
    match parsed.has("preserve-throttles") {
        true => Ok(()),
        false => throttle::clear(admin, &plan).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foo(index: i32) -> TopicPartition {
        TopicPartition::new("foo", index)
    }

    #[test]
    fn a_listing_is_kafkas() {
        assert_eq!(listing(&BTreeMap::new()), "No partition reassignments found.");
        let adding = Reassignment { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        let fewer = Reassignment { replicas: vec![1, 2], adding: vec![], removing: vec![2] };
        assert_eq!(
            listing(&[(foo(0), adding), (foo(1), fewer)].into()),
            "Current partition reassignments:\nfoo-0: replicas: 1,2,3. adding: 3. removing: 1.\nfoo-1: replicas: 1,2. removing: 2."
        );
    }

    #[test]
    fn states_are_kafkas() {
        let target = |index, replicas: &[i32]| Assignment {
            partition: foo(index),
            replicas: replicas.to_vec(),
            directories: Vec::new(),
        };
        let targets = [target(2, &[1, 2]), target(0, &[1, 2]), target(1, &[3, 4])];
        let moving = [(foo(0), Reassignment::default())].into();
        let current = [(foo(0), vec![1]), (foo(1), vec![1, 2]), (foo(2), vec![1, 2])].into();
        assert_eq!(
            states(&targets, &moving, &current),
            "Status of partition reassignment:
Reassignment of partition foo-0 is still in progress.
There is no active reassignment of partition foo-1, but replica set is 1,2 rather than 3,4.
Reassignment of partition foo-2 is completed."
        );
    }
}
