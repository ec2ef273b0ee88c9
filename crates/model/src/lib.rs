//! The pure nouns that every other room speaks: ids, offsets, epochs, names.
//!
//! Called by every crate; depends on nothing but an encoding library, performs no IO and knows no
//! clock. A number that can be confused with another has a type of its own here.

mod ids;
mod offsets;
mod topic;
mod uuid;

pub use ids::{BrokerEpoch, BrokerId, ProducerEpoch, ProducerId};
pub use offsets::{LeaderEpoch, Offset, PartitionEpoch};
pub use topic::{
    CLUSTER_METADATA_TOPIC, InvalidTopicName, TOPIC_NAME_LEN_MAX, TopicPartition,
    topic_names_collide, validate_topic_name,
};
pub use uuid::{ClusterId, DirectoryId, InvalidUuid, TopicId, Uuid};
