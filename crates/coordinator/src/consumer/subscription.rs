//! What members want to read, and what follows from a change of it: a new epoch, a new target.

use kalda_metadata::Image;
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;

use super::state::ConsumerState;
use super::{Draft, assignor, racks};

/// What is known of a member before it says anything. The message's own default has empty names
/// where there are none.
pub(super) fn blank() -> ConsumerGroupMemberMetadataValue {
    ConsumerGroupMemberMetadataValue {
        instance_id: None,
        rack_id: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        ..ConsumerGroupMemberMetadataValue::default()
    }
}

/// What the record of a member changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    is_new: bool,
    /// The names, or who shall assign.
    names: bool,
    regex: bool,
}

impl Told {
    /// Whether the group needs a new epoch. An expression that is yet to be resolved waits for that,
    /// and both make one rebalance.
    pub(super) fn needs_epoch(self, state: &ConsumerState, member_id: &str) -> bool {
        let regex = state.members.get(member_id).and_then(|member| member.regex());
        let is_resolved = regex.is_none_or(|regex| state.regexes.contains_key(regex));
        self.names || state.epoch == 0 || ((self.is_new || self.regex) && is_resolved)
    }
}

/// Brings the member's record up to date.
pub(super) fn put(
    draft: &mut Draft<'_>,
    member_id: &str,
    metadata: ConsumerGroupMemberMetadataValue,
) -> Told {
    let known = draft.state.members.get(member_id).map(|member| &member.metadata);
    let is_new = known.is_none();
    let old = known.cloned().unwrap_or_else(blank);
    let told = Told {
        is_new,
        names: metadata.subscribed_topic_names != old.subscribed_topic_names
            || metadata.server_assignor != old.server_assignor,
        regex: metadata.subscribed_topic_regex != old.subscribed_topic_regex,
    };
    if is_new || metadata != old {
        draft.put_member(member_id, metadata);
    }
    told
}

/// The names in the order in which they are kept.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// Makes a new target if the group has moved on since the last.
pub(super) fn retarget(draft: &mut Draft<'_>, image: &Image) {
    if draft.state.epoch <= draft.state.target_epoch {
        return;
    }
    for (member, target) in assignor::plan(&draft.state, image) {
        if draft.state.targets.get(&member) != Some(&target) {
            draft.put_target(&member, target);
        }
    }
    draft.put_target_epoch(draft.state.epoch);
}

/// Tells whether topics came, went, grew or moved: FNV-1a over ids, sizes and racks of the topics
/// subscribed to.
pub(super) fn metadata_hash(state: &ConsumerState, image: &Image) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    let with_racks = racks::are_known(image);
    for topic in state.topics(image) {
        add(&topic.id.0.to_be_bytes());
        add(&(topic.partitions.len() as u64).to_be_bytes());
        if !with_racks {
            continue;
        }
        for partition in topic.partitions.keys() {
            add(&partition.to_be_bytes());
            for rack in racks::racks_of(topic, *partition, image) {
                add(&(rack.len() as u64).to_be_bytes());
                add(rack.as_bytes());
            }
        }
    }
    hash.cast_signed()
}
