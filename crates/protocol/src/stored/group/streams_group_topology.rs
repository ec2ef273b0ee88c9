//! StreamsGroupTopology (record type 23, value versions 0, flexible from 0): the topology of a
//! streams group.

use crate::Message;

/// The key of a StreamsGroupTopology record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 23, versions = 0..=0)]
pub struct StreamsGroupTopologyKey {
    pub group_id: String,
}

/// The topology of a streams group.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct StreamsGroupTopologyValue {
    pub epoch: i32,
    pub subtopologies: Vec<Subtopology>,
}

/// One of [`StreamsGroupTopologyValue::subtopologies`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct Subtopology {
    pub subtopology_id: String,
    pub source_topics: Vec<String>,
    pub source_topic_regex: Vec<String>,
    pub state_changelog_topics: Vec<TopicInfo>,
    pub repartition_sink_topics: Vec<String>,
    pub repartition_source_topics: Vec<TopicInfo>,
    pub copartition_groups: Vec<CopartitionGroup>,
}

/// One of [`Subtopology::state_changelog_topics`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicInfo {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    pub topic_configs: Vec<TopicConfig>,
}

/// One of [`TopicInfo::topic_configs`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct TopicConfig {
    pub key: String,
    pub value: String,
}

/// One of [`Subtopology::copartition_groups`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct CopartitionGroup {
    pub source_topics: Vec<i16>,
    pub source_topic_regex: Vec<i16>,
    pub repartition_source_topics: Vec<i16>,
}
