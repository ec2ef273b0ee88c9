//! Throttles: set when moves begin, ended when all are done (KIP-73).

use std::collections::{BTreeMap, BTreeSet};

use kalda_client::Admin;
use kalda_client::admin::{AlterOp, ConfigChange, ConfigResource, Reassignment, ResourceType};
use kalda_model::TopicPartition;

use super::file::Plan;
use super::{Replicas, error, joined, s};
use crate::failure::Outcome;
use crate::options::Parsed;
use crate::output::print_line;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRECTORY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";

/// What is moved, and what has been moving already.
pub(super) struct Moves<'a> {
    pub(super) moving: &'a BTreeMap<TopicPartition, Reassignment>,
    pub(super) plan: &'a Plan,
    pub(super) current: &'a Replicas,
}

/// From where to where a partition is copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

type MoveMap = BTreeMap<TopicPartition, Move>;

impl Moves<'_> {
    fn map(&self) -> MoveMap {
        let under_way = self.moving.iter().map(|(partition, moving)| {
            let destinations: BTreeSet<i32> = moving.adding.iter().copied().collect();
            let all = moving.replicas.iter().copied();
            let sources = all.filter(|broker| !destinations.contains(broker)).collect();
            (partition.clone(), Move { sources, destinations })
        });
        let mut map: MoveMap = under_way.collect();
        for (partition, replicas) in self.plan.replicas() {
            let sources = match map.get(&partition) {
                Some(under_way) => under_way.sources.clone(),
                None => self.current.get(&partition).into_iter().flatten().copied().collect(),
            };
            let wanted: BTreeSet<i32> = replicas.into_iter().collect();
            let destinations = wanted.difference(&sources).copied().collect();
            map.insert(partition, Move { sources, destinations });
        }
        map
    }
}

/// `partition:broker` pairs of each topic, in the order of their text.
fn pairs(map: &MoveMap, side: fn(&Move) -> &BTreeSet<i32>) -> BTreeMap<String, String> {
    let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (partition, one) in map {
        let pairs = topics.entry(partition.topic.to_string()).or_default();
        pairs.extend(side(one).iter().map(|broker| format!("{}:{broker}", partition.partition)));
    }
    topics.into_iter().map(|(topic, pairs)| (topic, joined(pairs, ","))).collect()
}

fn set_to(name: &str, value: &str) -> ConfigChange {
    ConfigChange { name: name.to_owned(), value: Some(value.to_owned()), op: AlterOp::Set }
}

fn broker(id: i32) -> ConfigResource {
    ConfigResource { kind: ResourceType::Broker, name: id.to_string() }
}

/// Sets the throttles that were asked for.
pub(super) async fn set(admin: &Admin, parsed: &Parsed, moves: &Moves<'_>) -> Outcome {
    let between_brokers = parsed.number::<i64>("throttle")?.filter(|rate| *rate >= 0);
    let between_dirs = parsed.number::<i64>("replica-alter-log-dirs-throttle")?;
    let between_dirs = between_dirs.filter(|rate| *rate >= 0);
    if between_brokers.is_none() && between_dirs.is_none() {
        return Ok(());
    }
    print_line(
        "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.",
    )?;
    if let Some(rate) = between_brokers {
        let map = moves.map();
        let mut followers = pairs(&map, |one| &one.destinations);
        for (topic, leaders) in pairs(&map, |one| &one.sources) {
            let followers = followers.remove(&topic).unwrap_or_default();
            let changes = [set_to(LEADERS, &leaders), set_to(FOLLOWERS, &followers)];
            admin.alter_configs(&ConfigResource::topic(&topic), &changes).await?;
        }
        let brokers: BTreeSet<i32> =
            map.values().flat_map(|one| one.sources.union(&one.destinations)).copied().collect();
        let rate = rate.to_string();
        for id in brokers {
            let changes = [set_to(LEADER_RATE, &rate), set_to(FOLLOWER_RATE, &rate)];
            admin.alter_configs(&broker(id), &changes).await?;
        }
        print_line(&format!("The inter-broker throttle limit was set to {rate} B/s"))?;
    }
    if let Some(rate) = between_dirs {
        let brokers: BTreeSet<i32> =
            moves.plan.directories().keys().map(|replica| replica.broker).collect();
        for id in brokers {
            let changes = [set_to(DIRECTORY_RATE, &rate.to_string())];
            admin.alter_configs(&broker(id), &changes).await?;
        }
        print_line(&format!("The replica-alter-dir throttle limit was set to {rate} B/s"))?;
    }
    Ok(())
}

/// Ends all throttles of the plan's topics and of all brokers.
pub(super) async fn clear(admin: &Admin, plan: &Plan) -> Outcome {
    let end = |name: &str| ConfigChange { name: name.to_owned(), value: None, op: AlterOp::Delete };
    let mut brokers: BTreeSet<i32> = admin.nodes().await?.iter().map(|node| node.id.0).collect();
    let live = brokers.clone();
    brokers.extend(plan.replicas().flat_map(|(_, replicas)| replicas));
    print_line(&format!(
        "Clearing broker-level throttles on broker{} {}",
        s(brokers.len()),
        joined(&brokers, ",")
    ))?;
    let rates = [LEADER_RATE, FOLLOWER_RATE, DIRECTORY_RATE].map(end);
    for id in &brokers {
        let outcome = admin.alter_configs(&broker(*id), &rates).await;
        if !live.contains(id) {
            outcome.map_err(|why| error(format!("broker {id} is not there: {why}")))?;
        } else {
            outcome?;
        }
    }
    let topics = plan.topics();
    print_line(&format!(
        "Clearing topic-level throttles on topic{} {}",
        s(topics.len()),
        joined(&topics, ",")
    ))?;
    let replicas = [LEADERS, FOLLOWERS].map(end);
    for topic in topics {
        admin.alter_configs(&ConfigResource::topic(&topic), &replicas).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_copied_is_throttled() {
        let foo = |index| TopicPartition::new("foo", index);
        let plan = Plan::parse(
            r#"{"partitions":[{"topic":"foo","partition":0,"replicas":[2,3]},{"topic":"foo","partition":1,"replicas":[4]}]}"#,
        )
        .unwrap();
        let moving = Reassignment { replicas: vec![1, 5], adding: vec![5], removing: vec![1] };
        let moving = [(foo(1), moving)].into();
        let current = [(foo(0), vec![1, 2]), (foo(1), vec![1, 5])].into();
        let map = Moves { moving: &moving, plan: &plan, current: &current }.map();
        assert_eq!(pairs(&map, |one| &one.sources)["foo"], "0:1,0:2,1:1");
        assert_eq!(pairs(&map, |one| &one.destinations)["foo"], "0:3,1:4");
    }
}
