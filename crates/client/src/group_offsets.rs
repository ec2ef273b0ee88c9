//! Committed offsets on the wire: OffsetFetch and OffsetCommit, one attempt each.
//!
//! Used by the admin calls about groups and by consumers in groups, which decide what to try again.

use std::collections::BTreeMap;

use kalda_model::TopicPartition;
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use crate::connection::Connection;
use crate::{Error, Result};

/// From this version on several groups are asked for at once (KIP-709).
const BATCHED_SINCE: i16 = 8;
/// From this version on open transactions can be waited for (KIP-447).
const STABLE_SINCE: i16 = 7;

/// An offset that a group has committed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: i64,
    /// The epoch of the record before it, if the consumer knew.
    pub leader_epoch: Option<i32>,
    /// What the consumer wrote beside it.
    pub metadata: String,
}

impl CommittedOffset {
    /// The offset alone.
    #[must_use]
    pub fn at(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// Committed offsets by partition.
pub type CommittedOffsets = BTreeMap<TopicPartition, CommittedOffset>;

/// Who commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Committer {
    /// The generation, or -1 for who is no member.
    pub(crate) generation: i32,
    /// The member's id, or nothing.
    pub(crate) member_id: String,
    /// The id of a static member.
    pub(crate) instance_id: Option<String>,
}

impl Committer {
    /// Somebody who is not in the group.
    pub(crate) fn outsider() -> Self {
        Self { generation: -1, member_id: String::new(), instance_id: None }
    }
}

/// A group and one of its members, as whom a transaction commits offsets (KIP-447).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupMetadata {
    /// The group.
    pub group_id: String,
    /// The generation of the member's assignment; -1 for who is no member.
    pub generation_id: i32,
    /// The member's id; empty for who is no member.
    pub member_id: String,
    /// The id of a static member.
    pub group_instance_id: Option<String>,
}

impl ConsumerGroupMetadata {
    /// A group that nobody is a member of: its offsets are looked after by the transactions alone.
    #[must_use]
    pub fn without_member(group_id: &str) -> Self {
        Self::of(group_id, Committer::outsider())
    }

    pub(crate) fn of(group_id: &str, committer: Committer) -> Self {
        Self {
            group_id: group_id.to_owned(),
            generation_id: committer.generation,
            member_id: committer.member_id,
            group_instance_id: committer.instance_id,
        }
    }
}

/// Which partitions are asked for.
pub(crate) enum Wanted<'a> {
    /// All that the group has committed.
    All,
    /// These, and only when no transaction is about to change them.
    Stable(&'a [TopicPartition]),
}

/// What the group has committed; a partition without a commit is left out.
pub(crate) async fn fetch(
    connection: &Connection,
    group: &str,
    wanted: Wanted<'_>,
) -> Result<CommittedOffsets> {
    let version = connection.version::<OffsetFetchRequest>(i16::MAX)?;
    let by_topic = match wanted {
        Wanted::All => None,
        Wanted::Stable(partitions) => Some(group_by_topic(partitions)),
    };
    let mut request = OffsetFetchRequest {
        require_stable: version >= STABLE_SINCE && by_topic.is_some(),
        ..Default::default()
    };
    if version >= BATCHED_SINCE {
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
            name,
            partition_indexes,
            ..Default::default()
        };
        let topics = by_topic.map(|topics| topics.into_iter().map(topic).collect());
        let group_id = group.to_owned();
        request.groups.push(OffsetFetchRequestGroup { group_id, topics, ..Default::default() });
    } else {
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes };
        request.group_id = group.to_owned();
        request.topics = by_topic.map(|topics| topics.into_iter().map(topic).collect());
    }
    let response = connection.start(&request, version)?.answer(connection).await?;
    let mut committed = CommittedOffsets::new();
    let mut keep = |topic: &str, partition, offset, epoch: i32, metadata: Option<String>, code| {
        Error::check(code, None)?;
        if offset >= 0 {
            let leader_epoch = Some(epoch).filter(|epoch| *epoch >= 0);
            let metadata = metadata.unwrap_or_default();
            let value = CommittedOffset { offset, leader_epoch, metadata };
            committed.insert(TopicPartition::new(topic, partition), value);
        }
        Ok::<(), Error>(())
    };
    Error::check(response.error_code, None)?;
    for topic in response.topics {
        for at in topic.partitions {
            let (offset, epoch) = (at.committed_offset, at.committed_leader_epoch);
            keep(&topic.name, at.partition_index, offset, epoch, at.metadata, at.error_code)?;
        }
    }
    for answer in response.groups {
        Error::check(answer.error_code, None)?;
        for topic in answer.topics {
            for at in topic.partitions {
                let (offset, epoch) = (at.committed_offset, at.committed_leader_epoch);
                keep(&topic.name, at.partition_index, offset, epoch, at.metadata, at.error_code)?;
            }
        }
    }
    Ok(committed)
}

/// Commits; the first refusal of a partition is the error of the whole.
pub(crate) async fn commit(
    connection: &Connection,
    group: &str,
    committer: &Committer,
    offsets: &CommittedOffsets,
) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, committed) in offsets {
        topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(committed.metadata.clone()),
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: committer.generation,
        member_id: committer.member_id.clone(),
        group_instance_id: committer.instance_id.clone(),
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    };
    let response = connection.call(&request).await?;
    let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions);
    codes.try_for_each(|partition| Error::check(partition.error_code, None))
}

/// Partitions under their topics, as requests list them.
pub(crate) fn group_by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition);
    }
    topics
}
