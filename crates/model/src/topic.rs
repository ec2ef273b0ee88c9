//! Topic names and the partitions under them.

use std::fmt;
use std::sync::Arc;

/// The longest topic name, in bytes: with "-" and the partition number it must fit a file name.
pub const TOPIC_NAME_LEN_MAX: usize = 249;

/// The topic that holds the cluster's metadata; it has one partition and is never visible to clients.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// One partition of one topic. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index in the topic, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// Reads the name of a partition's directory, `<topic>-<partition>`.
    #[must_use]
    pub fn from_directory_name(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
        let partition = digits.then(|| partition.parse().ok())??;
        validate_topic_name(topic).ok()?;
        Some(Self::new(topic, partition))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Why a topic name is refused; the text is Kafka's (`org.apache.kafka.common.internals.Topic`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidTopicName {
    /// The name is empty.
    Empty,
    /// The name is `.` or `..`.
    Dots,
    /// The name has more than [`TOPIC_NAME_LEN_MAX`] characters.
    TooLong(String),
    /// The name has a character outside `[a-zA-Z0-9._-]`.
    Character(String),
}

impl fmt::Display for InvalidTopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic name is invalid: ")?;
        match self {
            Self::Empty => f.write_str("the empty string is not allowed"),
            Self::Dots => f.write_str("'.' or '..' is not allowed"),
            Self::TooLong(name) => write!(
                f,
                "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_LEN_MAX}"
            ),
            Self::Character(name) => write!(
                f,
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            ),
        }
    }
}

impl std::error::Error for InvalidTopicName {}

/// Checks that `name` may be a topic, and thus a directory.
///
/// # Errors
/// The first rule that the name breaks.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(InvalidTopicName::Empty),
        "." | ".." => Err(InvalidTopicName::Dots),
        _ if name.len() > TOPIC_NAME_LEN_MAX => Err(InvalidTopicName::TooLong(name.to_owned())),
        _ if !name.bytes().all(legal) => Err(InvalidTopicName::Character(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether two different names would make the same metric name, where `.` becomes `_`.
#[must_use]
pub fn topic_names_collide(one: &str, other: &str) -> bool {
    one != other && one.replace('.', "_") == other.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for name in ["", ".", "..", "../etc", "a/b", "a b", "ä", &"x".repeat(250)] {
            assert!(validate_topic_name(name).is_err(), "{name}");
        }
        for name in ["a", "a.b_c-1", "__consumer_offsets", &"x".repeat(249)] {
            assert!(validate_topic_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn directory_names_round_trip() {
        let partition = TopicPartition::new("web-log", 12);
        assert_eq!(TopicPartition::from_directory_name(&partition.to_string()), Some(partition));
        for name in ["web", "web-", "web-x", "-1", "web-+1", "a b-1"] {
            assert_eq!(TopicPartition::from_directory_name(name), None, "{name}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert!(topic_names_collide("a.b", "a_b"));
        assert!(!topic_names_collide("a.b", "a.b"));
    }
}
