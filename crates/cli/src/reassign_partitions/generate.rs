//! `--generate`: a proposal that spreads topics evenly over brokers, and over racks where all
//! brokers have one (`AdminUtils.assignReplicasToBrokers`).

use std::collections::{BTreeMap, BTreeSet};

use kalda_client::{Admin, Node};
use kalda_env::{OsRng, Rng as _};
use kalda_model::TopicPartition;

use super::{Replicas, error, file, joined, read_file, replicas_of};
use crate::failure::Outcome;
use crate::options::Parsed;
use crate::output::print_line;

/// A broker that may be given replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    id: i32,
    rack: Option<String>,
}

/// Prints where the topics are, and where they could be.
pub(super) async fn run(admin: &Admin, parsed: &Parsed) -> Outcome {
    let topics = file::parse_topics(&read_file(parsed, "topics-to-move-json-file")?);
    let topics = topics.map_err(error)?;
    let wanted = parse_brokers(parsed.value("broker-list")?.unwrap_or_default()).map_err(error)?;
    let current = replicas_of(admin, &topics).await?;
    let nodes = admin.nodes().await?;
    let targets = targets(&nodes, &wanted, parsed.has("disable-rack-aware")).map_err(error)?;
    let count = targets.len().max(1);
    let start = Start { first: below(count), shift: below(count) };
    let proposed = propose(&current, &targets, start).map_err(error)?;
    print_line(&format!("Current partition replica assignment\n{}\n", file::to_json(&current)))?;
    let proposed = file::to_json(&proposed);
    Ok(print_line(&format!("Proposed partition reassignment configuration\n{proposed}"))?)
}

fn below(count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    usize::try_from(OsRng.below(count)).unwrap_or_default()
}

fn parse_brokers(list: &str) -> Result<BTreeSet<i32>, String> {
    let ids = list.split(',').map(|id| id.trim().parse::<i32>().map_err(|_| id));
    let ids: Result<Vec<i32>, &str> = ids.collect();
    let ids = ids.map_err(|id| format!("For input string: \"{id}\""))?;
    let twice = file::duplicates(&ids);
    if !twice.is_empty() {
        return Err(format!("Broker list contains duplicate entries: [{}]", joined(twice, ", ")));
    }
    Ok(ids.into_iter().collect())
}

fn targets(
    nodes: &[Node],
    wanted: &BTreeSet<i32>,
    is_rack_blind: bool,
) -> Result<Vec<Target>, String> {
    let chosen = nodes.iter().filter(|node| wanted.contains(&node.id.0));
    let targets: Vec<Target> = chosen
        .map(|node| Target { id: node.id.0, rack: node.rack.clone().filter(|_| !is_rack_blind) })
        .collect();
    let with_rack = targets.iter().filter(|target| target.rack.is_some()).count();
    if with_rack != 0 && with_rack != targets.len() {
        return Err("Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.".to_owned());
    }
    Ok(targets)
}

/// Where the round of brokers begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Start {
    first: usize,
    shift: usize,
}

fn propose(current: &Replicas, targets: &[Target], start: Start) -> Result<Replicas, String> {
    let mut topics: BTreeMap<&str, Vec<(&TopicPartition, usize)>> = BTreeMap::new();
    for (partition, replicas) in current {
        topics.entry(&partition.topic).or_default().push((partition, replicas.len()));
    }
    let brokers = in_turn_by_rack(targets);
    let mut proposed = Replicas::new();
    for partitions in topics.values() {
        let factor = partitions.first().map_or(0, |(_, factor)| *factor);
        if factor > brokers.len() {
            return Err(format!(
                "Replication factor: {factor} larger than available brokers: {}.",
                brokers.len()
            ));
        }
        for (number, (partition, _)) in partitions.iter().enumerate() {
            proposed.insert((*partition).clone(), place(&brokers, number, factor, start));
        }
    }
    Ok(proposed)
}

/// The brokers such that neighbours are in different racks.
fn in_turn_by_rack(targets: &[Target]) -> Vec<&Target> {
    let mut racks: BTreeMap<Option<&str>, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        racks.entry(target.rack.as_deref()).or_default().push(target);
    }
    for rack in racks.values_mut() {
        rack.sort_by_key(|target| std::cmp::Reverse(target.id));
    }
    let mut brokers = Vec::new();
    while brokers.len() < targets.len() {
        brokers.extend(racks.values_mut().filter_map(Vec::pop));
    }
    brokers
}

/// The replicas of one partition: the leaders go round, the followers by a growing shift; a rack is
/// taken twice only when all have been taken.
fn place(brokers: &[&Target], number: usize, factor: usize, start: Start) -> Vec<i32> {
    let count = brokers.len();
    let racks: BTreeSet<Option<&str>> = brokers.iter().map(|it| it.rack.as_deref()).collect();
    let (first, shift) = ((number + start.first) % count, start.shift + number / count);
    let mut replicas = Vec::new();
    let mut taken = BTreeSet::new();
    let mut take = |broker: &Target, replicas: &mut Vec<i32>| {
        let rack = broker.rack.clone();
        let is_new = taken.len() >= racks.len() || !taken.contains(&rack);
        if is_new && !replicas.contains(&broker.id) {
            taken.insert(rack);
            replicas.push(broker.id);
        }
    };
    if factor > 0 {
        take(brokers[first], &mut replicas);
    }
    let mut step = 0;
    while replicas.len() < factor {
        let offset = 1 + (shift * racks.len() + step) % (count - 1);
        take(brokers[(first + offset) % count], &mut replicas);
        step += 1;
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets_of(racks: &[Option<&str>]) -> Vec<Target> {
        let target =
            |(id, rack): (i32, &Option<&str>)| Target { id, rack: rack.map(str::to_owned) };
        (1..).zip(racks).map(target).collect()
    }

    fn current(partitions: i32, factor: usize) -> Replicas {
        let partition = |index| (TopicPartition::new("foo", index), vec![9; factor]);
        (0..partitions).map(partition).collect()
    }

    #[test]
    fn leaders_and_followers_are_spread_evenly() {
        let targets = targets_of(&[None, None, None]);
        for first in 0..3 {
            let start = Start { first, shift: 2 };
            let proposed = propose(&current(6, 2), &targets, start).unwrap();
            for id in 1..=3 {
                let leads = proposed.values().filter(|replicas| replicas[0] == id).count();
                let holds = proposed.values().filter(|replicas| replicas.contains(&id)).count();
                assert_eq!((leads, holds), (2, 4), "{proposed:?}");
            }
            assert!(proposed.values().all(|replicas| replicas[0] != replicas[1]));
        }
    }

    #[test]
    fn replicas_are_in_different_racks_first() {
        let targets = targets_of(&[Some("a"), Some("a"), Some("b"), Some("b")]);
        let proposed = propose(&current(8, 2), &targets, Start { first: 1, shift: 3 }).unwrap();
        for replicas in proposed.values() {
            assert_ne!(replicas[0] <= 2, replicas[1] <= 2, "{proposed:?}");
        }
        let all = propose(&current(4, 4), &targets, Start { first: 0, shift: 0 }).unwrap();
        for replicas in all.values() {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 4, "{all:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let start = Start { first: 0, shift: 0 };
        assert_eq!(
            propose(&current(1, 3), &targets_of(&[None]), start).unwrap_err(),
            "Replication factor: 3 larger than available brokers: 1."
        );
        let alone = propose(&current(2, 1), &targets_of(&[None]), start).unwrap();
        assert!(alone.values().all(|replicas| *replicas == [1]));
        assert_eq!(
            parse_brokers("1,1").unwrap_err(),
            "Broker list contains duplicate entries: [1]"
        );
        assert!(parse_brokers("x").is_err());
    }
}
