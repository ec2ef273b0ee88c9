//! Where a broker's leaders and replicas go. Pure.

use std::collections::BTreeMap;

use kalda_client::admin::TopicDescription;
use kalda_model::{BrokerId, TopicPartition};

/// A broker that can take replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) id: i32,
    pub(super) rack: Option<String>,
}

/// A partition as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    pub(super) partition: TopicPartition,
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
}

/// All partitions.
pub(super) fn placed(topics: &[TopicDescription]) -> Vec<Placed> {
    let of_topic = |topic: &TopicDescription| {
        let name = topic.name.clone();
        let placed = |it: &kalda_client::admin::PartitionDescription| Placed {
            partition: TopicPartition::new(name.as_str(), it.index),
            leader: it.leader,
            replicas: it.replicas.clone(),
            isr: it.isr.clone(),
        };
        topic.partitions.iter().map(placed).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

/// New orders of replicas.
pub(super) type Orders = BTreeMap<TopicPartition, Vec<i32>>;

/// For every partition that the broker leads, or would be made to lead by balancing: the same
/// replicas, with another that is in sync at the head, such that leaders are spread evenly. Also
/// the partitions that nobody else can lead.
pub(super) fn without_leaders(all: &[Placed], broker: BrokerId) -> (Orders, Vec<TopicPartition>) {
    let mut leads = count(all.iter().filter_map(|it| it.leader));
    let mut orders = Orders::new();
    let mut stuck = Vec::new();
    for it in all {
        let is_led = it.leader == Some(broker.0);
        let is_first = it.replicas.first() == Some(&broker.0);
        if !is_led && !is_first {
            continue;
        }
        // Whoever leads already stays; else whoever leads least.
        let in_sync = it.isr.iter().copied().filter(|id| *id != broker.0);
        let rank = |id: &i32| (it.leader != Some(*id), leads.get(id).copied().unwrap_or(0), *id);
        let Some(next) = in_sync.min_by_key(rank) else {
            if is_led {
                stuck.push(it.partition.clone());
            }
            continue;
        };
        if is_led {
            *leads.entry(next).or_default() += 1;
        }
        let mut order = vec![next];
        order.extend(it.replicas.iter().copied().filter(|id| *id != next && *id != broker.0));
        order.extend(it.replicas.contains(&broker.0).then_some(broker.0));
        if is_led || order != it.replicas {
            orders.insert(it.partition.clone(), order);
        }
    }
    (orders, stuck)
}

/// For every partition that the broker has: another broker in its place, the one of another rack
/// and with the fewest replicas first; or how many brokers would be needed.
pub(super) fn without_replicas(
    all: &[Placed],
    broker: BrokerId,
    targets: &[Target],
) -> Result<Orders, usize> {
    let mut holds = count(all.iter().flat_map(|it| it.replicas.iter().copied()));
    let mut orders = Orders::new();
    let needed = all.iter().filter(|it| it.replicas.contains(&broker.0));
    let needed = needed.map(|it| it.replicas.len()).max().unwrap_or(0);
    for it in all.iter().filter(|it| it.replicas.contains(&broker.0)) {
        let rack_of = |id: i32| targets.iter().find(|it| it.id == id)?.rack.clone();
        let kept = it.replicas.iter().copied().filter(|id| *id != broker.0);
        let racks: Vec<Option<String>> = kept.map(rack_of).collect();
        let free = targets.iter().filter(|target| !it.replicas.contains(&target.id));
        let rank = |target: &&Target| {
            let shares_rack = target.rack.is_some() && racks.contains(&target.rack);
            (shares_rack, holds.get(&target.id).copied().unwrap_or(0), target.id)
        };
        let Some(target) = free.min_by_key(rank) else { return Err(needed) };
        *holds.entry(target.id).or_default() += 1;
        let put = |id: &i32| if *id == broker.0 { target.id } else { *id };
        orders.insert(it.partition.clone(), it.replicas.iter().map(put).collect());
    }
    Ok(orders)
}

fn count(ids: impl Iterator<Item = i32>) -> BTreeMap<i32, usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(index: i32, leader: i32, replicas: &[i32], isr: &[i32]) -> Placed {
        Placed {
            partition: TopicPartition::new("t", index),
            leader: Some(leader),
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
        }
    }

    fn t(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    #[test]
    fn leaders_are_spread_over_those_in_sync() {
        let all = [
            placed(0, 1, &[1, 2, 3], &[1, 2, 3]),
            placed(1, 1, &[1, 2, 3], &[1, 2, 3]),
            placed(2, 1, &[1, 2, 3], &[1, 3]),
            placed(3, 2, &[1, 2], &[1, 2]),
            placed(4, 3, &[3, 1], &[1, 3]),
            placed(5, 1, &[1, 2], &[1]),
        ];
        let (orders, stuck) = without_leaders(&all, BrokerId(1));
        assert_eq!(stuck, [t(5)]);
        assert_eq!(orders[&t(2)], [3, 2, 1], "only 3 is in sync");
        // Broker 1 would get this one back by balancing.
        assert_eq!(orders[&t(3)], [2, 1]);
        assert!(!orders.contains_key(&t(4)));
        let heads: Vec<i32> = [t(0), t(1)].iter().map(|it| orders[it][0]).collect();
        assert_eq!(heads.iter().filter(|id| **id == 2).count(), 1, "{orders:?}");
    }

    #[test]
    fn a_drained_broker_has_nothing_left_to_drain() {
        let all = [placed(0, 2, &[2, 1], &[1, 2]), placed(1, 3, &[3, 1], &[3])];
        assert_eq!(without_leaders(&all, BrokerId(1)), (Orders::new(), Vec::new()));
    }

    #[test]
    fn replicas_go_to_other_racks_and_to_those_with_fewest() {
        let target = |id, rack: &str| Target { id, rack: Some(rack.to_owned()) };
        let targets = [target(2, "a"), target(3, "a"), target(4, "b"), target(5, "b")];
        let all = [
            placed(0, 1, &[1, 2], &[1, 2]),
            placed(1, 4, &[4, 1], &[1, 4]),
            placed(2, 1, &[1, 2], &[1, 2]),
            placed(3, 2, &[2, 3], &[2, 3]),
        ];
        let orders = without_replicas(&all, BrokerId(1), &targets).unwrap();
        assert_eq!(orders.len(), 3);
        assert_eq!(orders[&t(0)], [5, 2], "rack b, and 5 has nothing yet");
        assert_eq!(orders[&t(1)], [4, 3], "rack a, and 3 has fewer than 2");
        assert_eq!(orders[&t(2)][1], 2);
    }

    #[test]
    fn too_few_brokers_are_told_of() {
        let targets = [Target { id: 2, rack: None }];
        let all = [placed(0, 1, &[1, 2], &[1, 2])];
        assert_eq!(without_replicas(&all, BrokerId(1), &targets), Err(2));
    }
}
