//! Where the replicas of partitions stand, and who would read them nearby. Read by the assignors and
//! the hash of the metadata.

use std::collections::{BTreeMap, BTreeSet};

use kalda_metadata::{Image, TopicImage};
use kalda_model::TopicId;

use super::state::ConsumerState;

/// The racks of the brokers that hold a partition; those without a rack do not count.
pub(super) fn racks_of<'a>(
    topic: &TopicImage,
    partition: i32,
    image: &'a Image,
) -> BTreeSet<&'a str> {
    let replicas = topic.partitions.get(&partition).into_iter().flat_map(|at| &at.replicas);
    replicas.filter_map(|id| image.brokers.get(id)?.rack.as_deref()).collect()
}

/// Whether any broker says where it stands.
pub(super) fn are_known(image: &Image) -> bool {
    image.brokers.values().any(|broker| broker.rack.is_some())
}

/// A set of racks, one bit for each.
type RackSet = u128;

/// Which members stand beside a replica of which partitions. Empty, and so of no influence, if no
/// member or no broker says where it stands.
#[derive(Debug, Default)]
pub(super) struct Racks {
    members: BTreeMap<String, RackSet>,
    partitions: BTreeMap<(TopicId, i32), RackSet>,
}

impl Racks {
    pub(super) fn of(state: &ConsumerState, image: &Image) -> Self {
        let mut bits: BTreeMap<&str, RackSet> = BTreeMap::new();
        let mut members = BTreeMap::new();
        for (id, member) in &state.members {
            let Some(rack) = member.metadata.rack_id.as_deref() else { continue };
            // Members of more racks than there are bits read from wherever it may be.
            let next = u32::try_from(bits.len()).ok().and_then(|bit| RackSet::checked_shl(1, bit));
            let Some(bit) = bits.get(rack).copied().or(next) else { continue };
            bits.insert(rack, bit);
            members.insert(id.clone(), bit);
        }
        if members.is_empty() || !are_known(image) {
            return Self::default();
        }
        let mut partitions = BTreeMap::new();
        for topic in state.topics(image) {
            for partition in topic.partitions.keys() {
                let racks = racks_of(topic, *partition, image);
                let set =
                    racks.iter().filter_map(|rack| bits.get(rack)).fold(0, |all, bit| all | bit);
                partitions.insert((topic.id, *partition), set);
            }
        }
        Self { members, partitions }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Whether the member stands beside a replica of the partition.
    pub(super) fn are_near(&self, member: &str, partition: (TopicId, i32)) -> bool {
        let stands = self.members.get(member).copied().unwrap_or(0);
        self.partitions.get(&partition).is_some_and(|racks| racks & stands != 0)
    }
}
