//! Groups: list, describe and delete them, and their committed offsets.

use std::collections::BTreeMap;

use kalda_model::TopicPartition;
use kalda_protocol::messages::consumer_group_describe::{self, ConsumerGroupDescribeRequest};
use kalda_protocol::messages::delete_groups::DeleteGroupsRequest;
use kalda_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribedGroup, DescribedGroupMember,
};
use kalda_protocol::messages::list_groups::ListGroupsRequest;
use kalda_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kalda_protocol::stored::consumer_protocol::ConsumerProtocolAssignment;
use kalda_protocol::stored::decode_versioned_lenient;
use kalda_protocol::{ApiKey, ErrorCode};

use super::Admin;
use super::topics::incomplete;
use crate::cluster::{AutoCreate, Node};
use crate::connection::Connection;
use crate::coordinator;
use crate::group_offsets::{self, CommittedOffsets, Committer, Wanted, group_by_topic};
use crate::{Error, Result};

/// The protocol type of groups of consumers.
const CONSUMER_PROTOCOL: &str = "consumer";

/// A group as a list shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct GroupListing {
    /// Its id.
    pub group_id: String,
    /// What its members speak among themselves: `consumer`, or nothing for commits without members.
    pub protocol_type: String,
    /// Its state by Kafka's name; empty where the broker does not tell.
    pub state: String,
    /// Its type by Kafka's name, in lower case; empty where the broker does not tell.
    pub group_type: String,
}

impl GroupListing {
    /// Whether it is a group of consumers, of the classic protocol or the new one.
    #[must_use]
    pub fn is_of_consumers(&self) -> bool {
        let is_type = ["", "classic", "consumer"]
            .iter()
            .any(|name| self.group_type.eq_ignore_ascii_case(name));
        is_type && (self.protocol_type.is_empty() || self.protocol_type == CONSUMER_PROTOCOL)
    }
}

/// A group in detail.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// Its state by Kafka's name, such as `Stable` or `Empty`.
    pub state: String,
    /// The assignor that its members agreed on, or nothing.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: Node,
    /// Its epochs, in the new protocol (KIP-848).
    pub epochs: Option<GroupEpochs>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// The epochs of a group of the new protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupEpochs {
    /// Counts changes of members and of what they want.
    pub group: i32,
    /// The group epoch for which partitions were last divided.
    pub target_assignment: i32,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// The id of a static member.
    pub instance_id: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// From where it speaks, as `/127.0.0.1`.
    pub host: String,
    /// The partitions that it was given.
    pub assignment: Vec<TopicPartition>,
    /// The epoch that it has reached, in the new protocol.
    pub epoch: Option<i32>,
    /// The partitions that it is to have, in the new protocol.
    pub target_assignment: Vec<TopicPartition>,
    /// Whether it speaks the new protocol itself; `None` where the broker does not tell.
    pub is_upgraded: Option<bool>,
}

impl Admin {
    /// The groups of all brokers, by id.
    ///
    /// # Errors
    /// A broker does not answer in time.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>> {
        let mut all = Vec::new();
        for node in self.nodes().await? {
            let listed = self.with_retries("listGroups", async || {
                let connection = self.cluster.node(node.id).await?;
                let response = connection.call(&ListGroupsRequest::default()).await?;
                Error::check(response.error_code, None)?;
                Ok(response.groups)
            });
            all.extend(listed.await?.into_iter().map(|group| GroupListing {
                group_id: group.group_id,
                protocol_type: group.protocol_type,
                state: group.group_state,
                group_type: group.group_type,
            }));
        }
        // A coordinator that moved meanwhile may have been seen twice.
        all.sort();
        all.dedup_by(|one, other| one.group_id == other.group_id);
        Ok(all)
    }

    /// One group of consumers in detail.
    ///
    /// # Errors
    /// As the broker says; a group that is not there is GROUP_ID_NOT_FOUND, or from older brokers a
    /// description with the state `Dead`.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        let request =
            DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() };
        self.with_retries("describeGroups", async || {
            let (node, connection) = coordinator::reach(&self.cluster, group).await?;
            if let Some(described) = ask_in_new_protocol(&connection, group).await? {
                return Ok(from_new_protocol(described, node));
            }
            let response = connection.call(&request).await?;
            let described = response.groups.into_iter().next().ok_or_else(incomplete)?;
            describe(described, node)
        })
        .await
    }

    /// Deletes a group that has no members.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        self.with_retries("deleteConsumerGroups", async || {
            let (_, connection) = coordinator::reach(&self.cluster, group).await?;
            let response = connection.call(&request).await?;
            let result = response.results.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, None)
        })
        .await
    }

    /// What a group has committed; nothing for a group that is not there.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn list_group_offsets(&self, group: &str) -> Result<CommittedOffsets> {
        self.with_retries("listConsumerGroupOffsets", async || {
            let (_, connection) = coordinator::reach(&self.cluster, group).await?;
            group_offsets::fetch(&connection, group, Wanted::All).await
        })
        .await
    }

    /// Commits for a group that has no members.
    ///
    /// # Errors
    /// As the broker says; UNKNOWN_MEMBER_ID where the group has members.
    pub async fn alter_group_offsets(&self, group: &str, offsets: &CommittedOffsets) -> Result<()> {
        self.with_retries("offsetCommit", async || {
            let (_, connection) = coordinator::reach(&self.cluster, group).await?;
            group_offsets::commit(&connection, group, &Committer::outsider(), offsets).await
        })
        .await
    }

    /// Deletes committed offsets, and tells for each partition how that went.
    ///
    /// # Errors
    /// As the broker says of the group as a whole.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let partition = |partition_index| OffsetDeleteRequestPartition { partition_index };
        let topic = |(name, partitions): (String, Vec<i32>)| OffsetDeleteRequestTopic {
            name,
            partitions: partitions.into_iter().map(partition).collect(),
        };
        let request = OffsetDeleteRequest {
            group_id: group.to_owned(),
            topics: group_by_topic(partitions).into_iter().map(topic).collect(),
        };
        self.with_retries("offsetDelete", async || {
            let (_, connection) = coordinator::reach(&self.cluster, group).await?;
            let response = connection.call(&request).await?;
            Error::check(response.error_code, None)?;
            let mut results = BTreeMap::new();
            for topic in response.topics {
                for answer in topic.partitions {
                    let partition =
                        TopicPartition::new(topic.name.as_str(), answer.partition_index);
                    results.insert(partition, Error::check(answer.error_code, None));
                }
            }
            Ok(results)
        })
        .await
    }

    /// Brings what is known of these topics up to date and tells which of the partitions exist, and
    /// whether they have a leader.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn partition_leaders(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, bool>> {
        let topics: Vec<String> = group_by_topic(partitions).into_keys().collect();
        self.with_retries("describeTopics", async || {
            self.cluster.refresh(Some(topics.clone()), AutoCreate::Forbidden).await?;
            let known = partitions.iter().filter_map(|partition| {
                let count = self.cluster.with_metadata(|metadata| {
                    metadata.topic(&partition.topic).map(|topic| topic.partition_count())
                })?;
                let exists = (0..count).contains(&partition.partition);
                exists.then(|| (partition.clone(), self.cluster.leader(partition).is_some()))
            });
            Ok(known.collect())
        })
        .await
    }
}

/// A group of the new protocol (KIP-848); `None` if it is not one, or the broker knows none.
async fn ask_in_new_protocol(
    connection: &Connection,
    group: &str,
) -> Result<Option<consumer_group_describe::DescribedGroup>> {
    if connection.versions().pick(ApiKey::ConsumerGroupDescribe, i16::MAX).is_none() {
        return Ok(None);
    }
    let group_ids = vec![group.to_owned()];
    let request = ConsumerGroupDescribeRequest { group_ids, ..Default::default() };
    let response = connection.call(&request).await?;
    let mut described = response.groups.into_iter().next().ok_or_else(incomplete)?;
    match Error::check(described.error_code, described.error_message.take()) {
        Ok(()) => Ok(Some(described)),
        Err(error) => match error.code() {
            Some(ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion) => Ok(None),
            _ => Err(error),
        },
    }
}

fn from_new_protocol(
    group: consumer_group_describe::DescribedGroup,
    coordinator: Node,
) -> GroupDescription {
    let partitions = |assignment: consumer_group_describe::Assignment| {
        let topics = assignment.topic_partitions.into_iter();
        let mut partitions: Vec<TopicPartition> = topics
            .flat_map(|topic| {
                let name: std::sync::Arc<str> = topic.topic_name.into();
                let partition = move |index| TopicPartition::new(name.clone(), index);
                topic.partitions.into_iter().map(partition)
            })
            .collect();
        partitions.sort();
        partitions
    };
    let members = group.members.into_iter().map(|member| GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: partitions(member.assignment),
        epoch: Some(member.member_epoch),
        target_assignment: partitions(member.target_assignment),
        // 0 is a member of the classic protocol in a group of the new one (KIP-1099).
        is_upgraded: (member.member_type >= 0).then_some(member.member_type == 1),
    });
    let mut members: Vec<GroupMember> = members.collect();
    members.sort_by(|one, other| one.member_id.cmp(&other.member_id));
    GroupDescription {
        group_id: group.group_id,
        state: group.group_state,
        assignor: group.assignor_name,
        coordinator,
        epochs: Some(GroupEpochs {
            group: group.group_epoch,
            target_assignment: group.assignment_epoch,
        }),
        members,
    }
}

fn describe(group: DescribedGroup, coordinator: Node) -> Result<GroupDescription> {
    Error::check(group.error_code, group.error_message)?;
    if !group.protocol_type.is_empty() && group.protocol_type != CONSUMER_PROTOCOL {
        let (id, protocol) = (&group.group_id, &group.protocol_type);
        let message = format!("GroupId {id} is not a consumer group ({protocol}).");
        return Err(Error::InvalidArgument(message));
    }
    let mut members =
        group.members.into_iter().map(member).collect::<Result<Vec<GroupMember>>>()?;
    members.sort_by(|one, other| one.member_id.cmp(&other.member_id));
    Ok(GroupDescription {
        group_id: group.group_id,
        state: group.group_state,
        assignor: group.protocol_data,
        coordinator,
        epochs: None,
        members,
    })
}

fn member(member: DescribedGroupMember) -> Result<GroupMember> {
    let mut assignment = Vec::new();
    // Before the leader has spoken there is nothing to decode.
    if !member.member_assignment.is_empty() {
        let told: ConsumerProtocolAssignment = decode_versioned_lenient(member.member_assignment)?;
        for topic in told.assigned_partitions {
            let partition = |partition| TopicPartition::new(topic.topic.as_str(), partition);
            assignment.extend(topic.partitions.into_iter().map(partition));
        }
    }
    assignment.sort();
    Ok(GroupMember {
        member_id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment,
        epoch: None,
        target_assignment: Vec::new(),
        is_upgraded: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kalda_model::BrokerId;
    use kalda_protocol::stored::consumer_protocol::assignment::TopicPartition as Assigned;
    use kalda_protocol::stored::encode_versioned;

    use crate::bootstrap::HostPort;

    fn node() -> Node {
        let address = HostPort { host: "h".to_owned(), port: 9092 };
        Node { id: BrokerId(1), address, rack: None }
    }

    fn described(assignment: Bytes) -> DescribedGroup {
        DescribedGroup {
            group_id: "g".into(),
            group_state: "Stable".into(),
            protocol_type: "consumer".into(),
            protocol_data: "range".into(),
            members: vec![DescribedGroupMember {
                member_id: "m".into(),
                client_host: "/127.0.0.1".into(),
                member_assignment: assignment,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn assignments_are_read_and_sorted() {
        let value = ConsumerProtocolAssignment {
            assigned_partitions: vec![
                Assigned { topic: "t".into(), partitions: vec![2, 0] },
                Assigned { topic: "a".into(), partitions: vec![1] },
            ],
            user_data: None,
        };
        let bytes = encode_versioned(&value, 1).unwrap();
        let group = describe(described(bytes), node()).unwrap();
        let names: Vec<String> =
            group.members[0].assignment.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a-1", "t-0", "t-2"]);
        assert!(
            describe(described(Bytes::new()), node()).unwrap().members[0].assignment.is_empty()
        );
    }

    #[test]
    fn a_blob_that_does_not_decode_and_a_foreign_protocol_are_refused() {
        assert!(describe(described(Bytes::from_static(&[0, 1, 0xff])), node()).is_err());
        let connect = DescribedGroup { protocol_type: "connect".into(), ..described(Bytes::new()) };
        let error = describe(connect, node()).unwrap_err();
        assert_eq!(error.to_string(), "GroupId g is not a consumer group (connect).");
    }

    #[test]
    fn groups_of_the_new_protocol_have_epochs_and_targets() {
        use consumer_group_describe::{Assignment, Member, TopicPartitions};
        let assignment = |partitions: &[i32]| {
            let (topic_name, partitions) = ("t".to_owned(), partitions.to_vec());
            let topic = TopicPartitions { topic_name, partitions, ..Default::default() };
            Assignment { topic_partitions: vec![topic] }
        };
        let member = Member {
            member_epoch: 3,
            assignment: assignment(&[1]),
            target_assignment: assignment(&[1, 0]),
            member_type: 1,
            ..Default::default()
        };
        let group = consumer_group_describe::DescribedGroup {
            group_epoch: 4,
            assignment_epoch: 4,
            members: vec![member],
            ..Default::default()
        };
        let described = from_new_protocol(group, node());
        assert_eq!(described.epochs, Some(GroupEpochs { group: 4, target_assignment: 4 }));
        let member = &described.members[0];
        assert_eq!((member.epoch, member.is_upgraded), (Some(3), Some(true)));
        assert_eq!(member.assignment, [TopicPartition::new("t", 1)]);
        let target = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
        assert_eq!(member.target_assignment, target);
    }

    #[test]
    fn share_and_connect_groups_are_not_of_consumers() {
        let listing = |protocol: &str, kind: &str| GroupListing {
            group_id: "g".into(),
            protocol_type: protocol.into(),
            state: "Stable".into(),
            group_type: kind.into(),
        };
        assert!(listing("consumer", "classic").is_of_consumers());
        assert!(listing("", "Classic").is_of_consumers());
        assert!(!listing("connect", "classic").is_of_consumers());
        assert!(!listing("share", "share").is_of_consumers());
    }
}
