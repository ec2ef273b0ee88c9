//! ConsumerGroupDescribe (v0–1), and the row of a consumer group in ListGroups.

use kalda_metadata::Image;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_describe::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kalda_protocol::messages::list_groups::ListedGroup;

use super::ConsumerGroup;
use super::assignor;
use super::state::Partitions;

const TYPE: &str = "consumer";
/// A member of the classic protocol, in a group that moves from one to the other.
const MEMBER_TYPE_CLASSIC: i8 = 0;
const MEMBER_TYPE_CONSUMER: i8 = 1;

/// What is said of a group that is not there, or not of this protocol.
pub(crate) fn describe_missing(group_id: &str, other_type: bool) -> DescribedGroup {
    let message = if other_type {
        format!("Group {group_id} is not a consumer group.")
    } else {
        format!("Group {group_id} not found.")
    };
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(message),
        group_id: group_id.to_owned(),
        ..DescribedGroup::default()
    }
}

/// The row of a group, if the filters let it through; empty filters let everything through.
pub(crate) fn listed(
    id: &str,
    group: &ConsumerGroup,
    states: &[String],
    types: &[String],
) -> Option<ListedGroup> {
    let state = group.state.name();
    let passes = |filter: &[String], name: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    (passes(states, state) && passes(types, TYPE)).then(|| ListedGroup {
        group_id: id.to_owned(),
        protocol_type: TYPE.to_owned(),
        group_state: state.to_owned(),
        group_type: TYPE.to_owned(),
    })
}

impl ConsumerGroup {
    /// The group with its members, what they hold and what they shall hold.
    pub(crate) fn describe(&self, group_id: &str, image: &Image) -> DescribedGroup {
        let members = self
            .state
            .members
            .iter()
            .map(|(id, member)| Member {
                member_id: id.clone(),
                instance_id: member.metadata.instance_id.clone(),
                rack_id: member.metadata.rack_id.clone(),
                member_epoch: member.current.epoch,
                client_id: member.metadata.client_id.clone(),
                client_host: member.metadata.client_host.clone(),
                subscribed_topic_names: member.metadata.subscribed_topic_names.clone(),
                subscribed_topic_regex: member.metadata.subscribed_topic_regex.clone(),
                assignment: named(&member.current.assigned, image),
                target_assignment: named(&self.state.target_of(id), image),
                member_type: match member.classic() {
                    Some(_) => MEMBER_TYPE_CLASSIC,
                    None => MEMBER_TYPE_CONSUMER,
                },
            })
            .collect();
        DescribedGroup {
            group_id: group_id.to_owned(),
            group_state: self.state.name().to_owned(),
            group_epoch: self.state.epoch,
            assignment_epoch: self.state.target_epoch,
            assignor_name: assignor::preferred(&self.state).to_owned(),
            members,
            ..DescribedGroup::default()
        }
    }
}

/// With the names of the topics; those that are gone have none and are left out.
fn named(partitions: &Partitions, image: &Image) -> Assignment {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (topic_id, partition) in partitions {
        let Some(topic) = image.topics.by_id(*topic_id) else { continue };
        match topics.last_mut().filter(|last| last.topic_id == *topic_id) {
            Some(last) => last.partitions.push(*partition),
            None => topics.push(TopicPartitions {
                topic_id: *topic_id,
                topic_name: topic.name.to_string(),
                partitions: vec![*partition],
            }),
        }
    }
    Assignment { topic_partitions: topics }
}
