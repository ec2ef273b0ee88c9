//! The server's assignors. Pure plans: who shall have what, given who wants what and who had what.
//!
//! Both look at racks where members and brokers tell theirs (KIP-881): first everybody's share is as
//! large as it would be without, then shares are filled with what is near. Kafka's own assignors of
//! 4.1 are given the racks and do not look at them.

use std::collections::BTreeMap;

use kalda_metadata::Image;
use kalda_model::TopicId;

use super::racks::Racks;
use super::state::{ConsumerState, Partitions};

/// Spreads partitions as evenly as subscriptions allow, and moves as few as it can.
pub(super) const UNIFORM: &str = "uniform";
/// Gives each member a range of every topic, so that equal partitions of topics come together.
pub(super) const RANGE: &str = "range";

pub(super) type Plan = BTreeMap<String, Partitions>;

/// The assignor that most members ask for; uniform if none asks.
pub(super) fn preferred(state: &ConsumerState) -> &'static str {
    let asked = |name: &str| {
        let members = state.members.values();
        members.filter(|member| member.metadata.server_assignor.as_deref() == Some(name)).count()
    };
    if asked(RANGE) > asked(UNIFORM) { RANGE } else { UNIFORM }
}

pub(super) fn plan(state: &ConsumerState, image: &Image) -> Plan {
    let plan: Plan = state.members.keys().map(|id| (id.clone(), Partitions::new())).collect();
    let racks = Racks::of(state, image);
    if preferred(state) == RANGE {
        range(state, image, &racks, plan)
    } else {
        Uniform { state, image, racks, plan }.run()
    }
}

fn range(state: &ConsumerState, image: &Image, racks: &Racks, mut plan: Plan) -> Plan {
    // Topics of one size with the same readers are cut alike, so that equal partitions stay together.
    let mut alike: BTreeMap<(usize, Vec<&str>), Vec<Indexed>> = BTreeMap::new();
    for topic in state.topics(image) {
        let members: Vec<&str> = state
            .members
            .keys()
            .map(String::as_str)
            .filter(|id| state.reads(id, &topic.name))
            .collect();
        let indexed = topic.partitions.keys().map(|partition| (topic.id, *partition)).collect();
        alike.entry((topic.partitions.len(), members)).or_default().push(indexed);
    }
    for ((size, mut members), topics) in alike {
        // Static members keep their place in the order when they come back under another id.
        members.sort_by_key(|id| {
            let instance = state.members.get(*id).and_then(|m| m.metadata.instance_id.as_deref());
            (instance.is_none(), instance.unwrap_or(id))
        });
        for (member, index) in cut(size, &members, &topics, racks) {
            let Some(owned) = plan.get_mut(member) else { continue };
            owned.extend(topics.iter().filter_map(|topic| topic.get(index)));
        }
    }
    plan
}

/// The partitions of one topic, in order.
type Indexed = Vec<(TopicId, i32)>;

/// Who gets which of `size` partitions: first what is near in all the topics, then the rest in order.
fn cut<'a>(
    size: usize,
    members: &[&'a str],
    topics: &[Indexed],
    racks: &Racks,
) -> Vec<(&'a str, usize)> {
    if members.is_empty() {
        return Vec::new();
    }
    let (share, longer) = (size / members.len(), size % members.len());
    let mut rooms: Vec<usize> =
        (0..members.len()).map(|index| share + usize::from(index < longer)).collect();
    let mut open: Vec<usize> = (0..size).collect();
    let mut given = Vec::with_capacity(size);
    let is_near = |member: &str, index: usize| {
        topics.iter().all(|topic| topic.get(index).is_some_and(|at| racks.are_near(member, *at)))
    };
    if !racks.is_empty() {
        for (member, room) in members.iter().zip(&mut rooms) {
            open.retain(|index| {
                let takes = *room > 0 && is_near(member, *index);
                if takes {
                    *room -= 1;
                    given.push((*member, *index));
                }
                !takes
            });
        }
    }
    let mut rest = open.into_iter();
    for (member, room) in members.iter().zip(rooms) {
        given.extend(rest.by_ref().take(room).map(|index| (*member, index)));
    }
    given
}

struct Uniform<'a> {
    state: &'a ConsumerState,
    image: &'a Image,
    racks: Racks,
    plan: Plan,
}

impl Uniform<'_> {
    fn run(mut self) -> Plan {
        let open = self.keep();
        let rest = if self.racks.is_empty() { open } else { self.give_nearby(open) };
        for (partition, topic) in rest {
            if let Some(member) = self.least_loaded(&topic, partition) {
                self.plan.entry(member).or_default().insert(partition);
            }
        }
        self.level();
        if !self.racks.is_empty() {
            self.swap();
        }
        self.plan
    }

    /// Leaves partitions with those who had them; the others, with the names of their topics.
    fn keep(&mut self) -> Vec<((TopicId, i32), String)> {
        let mut owners: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        for (member, target) in &self.state.targets {
            owners.extend(target.iter().map(|partition| (*partition, member.as_str())));
        }
        let mut open = Vec::new();
        for topic in self.state.topics(self.image) {
            let members: Vec<&str> = self.state.subscribers(&topic.name).collect();
            if members.is_empty() {
                continue;
            }
            for partition in topic.partitions.keys() {
                let partition = (topic.id, *partition);
                match owners.get(&partition).filter(|owner| members.contains(owner)) {
                    Some(owner) => {
                        self.plan.entry((*owner).to_owned()).or_default().insert(partition);
                    }
                    None => open.push((partition, topic.name.to_string())),
                }
            }
        }
        open
    }

    /// Gives partitions to members beside them, up to what everybody gets at least; what is left.
    fn give_nearby(
        &mut self,
        mut open: Vec<((TopicId, i32), String)>,
    ) -> Vec<((TopicId, i32), String)> {
        let held: usize = self.plan.values().map(Partitions::len).sum();
        let share = (held + open.len()) / self.plan.len().max(1);
        open.retain(|(partition, topic)| {
            let near = self.state.subscribers(topic).filter(|member| {
                self.racks.are_near(member, *partition) && self.load(member) < share
            });
            let nearest = near.min_by_key(|member| (self.load(member), *member)).map(str::to_owned);
            let Some(member) = nearest else { return true };
            self.plan.entry(member).or_default().insert(*partition);
            false
        });
        open
    }

    fn load(&self, member: &str) -> usize {
        self.plan.get(member).map_or(0, Partitions::len)
    }

    fn least_loaded(&self, topic: &str, partition: (TopicId, i32)) -> Option<String> {
        let members = self.state.subscribers(topic);
        let far = |member: &str| !self.racks.are_near(member, partition);
        members.min_by_key(|id| (self.load(id), far(id), *id)).map(str::to_owned)
    }

    /// Moves partitions from members with more to members with at least two fewer, until there is no
    /// such pair; what is far from its owner goes first. Each move makes the spread of loads smaller,
    /// so this ends.
    fn level(&mut self) {
        loop {
            let mut moved = false;
            let owners: Vec<String> = self.plan.keys().cloned().collect();
            for owner in owners {
                let mut owned: Vec<_> =
                    self.plan.get(&owner).into_iter().flatten().copied().rev().collect();
                owned.sort_by_key(|partition| self.racks.are_near(&owner, *partition));
                for partition in owned {
                    let lightest = self.plan.values().map(Partitions::len).min().unwrap_or(0);
                    if self.load(&owner) <= lightest + 1 {
                        break;
                    }
                    let Some(topic) = self.image.topics.by_id(partition.0) else { continue };
                    let Some(taker) = self.least_loaded(&topic.name, partition) else { continue };
                    if self.load(&owner) > self.load(&taker) + 1 {
                        self.hand_over(partition, &owner, &taker);
                        moved = true;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn hand_over(&mut self, partition: (TopicId, i32), from: &str, to: &str) {
        self.plan.entry(from.to_owned()).or_default().remove(&partition);
        self.plan.entry(to.to_owned()).or_default().insert(partition);
    }

    /// Exchanges partitions between members, one for one, where more are read nearby after that.
    /// Each exchange makes that number larger, so this ends.
    fn swap(&mut self) {
        let members: Vec<String> = self.plan.keys().cloned().collect();
        for owner in &members {
            for partition in self.plan.get(owner).cloned().unwrap_or_default() {
                if self.racks.are_near(owner, partition) {
                    continue;
                }
                let found = members.iter().find_map(|other| {
                    let is_near = other != owner && self.racks.are_near(other, partition);
                    let back = is_near.then(|| self.worth_swapping(owner, other, partition))??;
                    Some((other, back))
                });
                if let Some((other, back)) = found {
                    self.hand_over(partition, owner, other);
                    self.hand_over(back, other, owner);
                }
            }
        }
    }

    /// What `other`, who is near the partition, may give for it.
    fn worth_swapping(
        &self,
        owner: &str,
        other: &str,
        partition: (TopicId, i32),
    ) -> Option<(TopicId, i32)> {
        let reads = |member: &str, topic: TopicId| {
            let topic = self.image.topics.by_id(topic);
            topic.is_some_and(|topic| self.state.reads(member, &topic.name))
        };
        let fits = |back: &&(TopicId, i32)| {
            self.racks.are_near(owner, **back) || !self.racks.are_near(other, **back)
        };
        if !reads(other, partition.0) {
            return None;
        }
        let owned = self.plan.get(other)?;
        owned.iter().filter(fits).find(|back| reads(owner, back.0)).copied()
    }
}

#[cfg(test)]
mod tests {
    use kalda_metadata::Delta;
    use kalda_model::{LeaderEpoch, Offset, Uuid};
    use kalda_protocol::stored::MetadataRecord;
    use kalda_protocol::stored::metadata::{PartitionRecord, RegisterBrokerRecord, TopicRecord};
    use proptest::prelude::*;

    use super::*;
    use crate::consumer::state::ConsumerMember;

    /// Brokers 0, 1, 2 in the racks a, b, c; topics by the brokers of their partitions.
    fn image(topics: &[&[i32]]) -> Image {
        let mut delta = Delta::new(&Image::default());
        for (broker_id, rack) in (0..).zip(["a", "b", "c"]) {
            let broker = RegisterBrokerRecord {
                broker_id,
                rack: Some(rack.to_owned()),
                ..RegisterBrokerRecord::default()
            };
            delta.replay(&MetadataRecord::RegisterBroker(broker)).unwrap();
        }
        for (id, partitions) in (1_u8..).zip(topics) {
            let topic_id = Uuid::from_bytes([id; 16]);
            let topic = TopicRecord { name: format!("t{id}"), topic_id };
            delta.replay(&MetadataRecord::Topic(topic)).unwrap();
            for (partition_id, broker) in (0..).zip(*partitions) {
                let partition = PartitionRecord {
                    partition_id,
                    topic_id,
                    replicas: vec![*broker],
                    ..PartitionRecord::default()
                };
                delta.replay(&MetadataRecord::Partition(partition)).unwrap();
            }
        }
        delta.finish(Offset(1), LeaderEpoch(1)).0
    }

    /// Members by their racks and the number of topics that they read.
    fn state(assignor: &str, members: &[(&str, Option<&str>, usize)]) -> ConsumerState {
        let mut state = ConsumerState::default();
        for (id, rack, topics) in members {
            let mut member = ConsumerMember::default();
            member.metadata.rack_id = rack.map(str::to_owned);
            member.metadata.instance_id = None;
            member.metadata.subscribed_topic_regex = None;
            member.metadata.server_assignor = Some(assignor.to_owned());
            member.metadata.subscribed_topic_names =
                (1..=*topics).map(|topic| format!("t{topic}")).collect();
            state.members.insert((*id).to_owned(), member);
        }
        state
    }

    fn words(plan: &Plan) -> String {
        let one =
            |(id, partition): &(TopicId, i32)| format!("{}-{partition}", id.0.to_be_bytes()[0]);
        let member = |(id, owned): (&String, &Partitions)| {
            format!("{id}[{}]", owned.iter().map(one).collect::<Vec<_>>().join(" "))
        };
        plan.iter().map(member).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_read_nearby_where_all_get_the_same() {
        let near = image(&[&[0, 1, 2, 2, 1, 0]]);
        let members = [("x", Some("c"), 1), ("y", Some("b"), 1), ("z", Some("a"), 1)];
        for assignor in [UNIFORM, RANGE] {
            let planned = plan(&state(assignor, &members), &near);
            assert_eq!(words(&planned), "x[1-2 1-3] y[1-1 1-4] z[1-0 1-5]", "{assignor}");
        }
        // Without racks, in order or in turn.
        let nowhere = [("x", None, 1), ("y", None, 1), ("z", None, 1)];
        let planned = plan(&state(RANGE, &nowhere), &near);
        assert_eq!(words(&planned), "x[1-0 1-1] y[1-2 1-3] z[1-4 1-5]");
        let planned = plan(&state(UNIFORM, &nowhere), &near);
        assert_eq!(words(&planned), "x[1-0 1-3] y[1-1 1-4] z[1-2 1-5]");
    }

    #[test]
    fn a_share_is_not_larger_for_being_near() {
        let all_in_a = image(&[&[0, 0, 0, 0]]);
        let members = [("x", Some("a"), 1), ("y", Some("b"), 1)];
        for assignor in [UNIFORM, RANGE] {
            let planned = plan(&state(assignor, &members), &all_in_a);
            assert!(planned.values().all(|owned| owned.len() == 2), "{}", words(&planned));
        }
    }

    #[test]
    fn range_keeps_equal_partitions_together() {
        // Partition 0 of both is near y, partition 1 of one topic only.
        let both = image(&[&[1, 1, 0, 0], &[1, 0, 0, 0]]);
        let members = [("x", Some("a"), 2), ("y", Some("b"), 2)];
        let planned = plan(&state(RANGE, &members), &both);
        assert_eq!(words(&planned), "x[1-2 1-3 2-2 2-3] y[1-0 1-1 2-0 2-1]");
    }

    #[test]
    fn what_was_far_is_exchanged_for_what_is_near() {
        let moved = image(&[&[1, 0]]);
        let mut group = state(UNIFORM, &[("x", Some("a"), 1), ("y", Some("b"), 1)]);
        let topic = Uuid::from_bytes([1; 16]);
        group.targets.insert("x".to_owned(), [(topic, 0)].into());
        group.targets.insert("y".to_owned(), [(topic, 1)].into());
        assert_eq!(words(&plan(&group, &moved)), "x[1-1] y[1-0]");
    }

    proptest! {
        #[test]
        fn all_is_given_once_to_readers_and_evenly(
            brokers in proptest::collection::vec(proptest::collection::vec(0..3_i32, 1..6), 1..4),
            members in proptest::collection::vec((0..4_usize, any::<bool>()), 1..5),
            before in proptest::collection::vec(0..5_usize, 18),
            range in any::<bool>(),
        ) {
            let topics: Vec<&[i32]> = brokers.iter().map(Vec::as_slice).collect();
            let image = image(&topics);
            let racks = [Some("a"), Some("b"), Some("c"), None];
            let ids = ["m0", "m1", "m2", "m3", "m4"];
            let listed: Vec<_> = ids.iter().zip(&members).map(|(id, (rack, all))| {
                (*id, racks[*rack], if *all { topics.len() } else { 1 })
            }).collect();
            let mut group = state(if range { RANGE } else { UNIFORM }, &listed);
            let everything: Vec<(TopicId, i32)> = image.topics.iter().flat_map(|topic| {
                topic.partitions.keys().map(|partition| (topic.id, *partition))
            }).collect();
            for (partition, owner) in everything.iter().zip(&before) {
                group.targets.entry(ids[*owner].to_owned()).or_default().insert(*partition);
            }
            let planned = plan(&group, &image);
            let wanted: Partitions = everything.into_iter().filter(|(topic, _)| {
                let topic = image.topics.by_id(*topic).unwrap();
                group.subscribers(&topic.name).next().is_some()
            }).collect();
            let mut given = Partitions::new();
            for (member, owned) in &planned {
                for partition in owned {
                    prop_assert!(given.insert(*partition), "{partition:?} is given twice");
                    let topic = image.topics.by_id(partition.0).unwrap();
                    prop_assert!(group.reads(member, &topic.name), "{member} does not read it");
                }
            }
            prop_assert_eq!(given, wanted);
            let alike = members.iter().all(|(_, all)| *all);
            if alike && !range {
                let loads: Vec<usize> = planned.values().map(Partitions::len).collect();
                let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{}", words(&planned));
            }
        }
    }
}
