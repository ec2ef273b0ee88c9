//! ConsumerGroupRegularExpression (record type 16, value versions 0, flexible from 0): the topics
//! that a regular expression stands for in a consumer group.

use crate::Message;

/// The key of a ConsumerGroupRegularExpression record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 16, versions = 0..=0)]
pub struct ConsumerGroupRegularExpressionKey {
    pub group_id: String,
    pub regular_expression: String,
}

/// The topics that a regular expression stands for in a consumer group.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupRegularExpressionValue {
    pub topics: Vec<String>,
    pub version: i64,
    pub timestamp: i64,
}
