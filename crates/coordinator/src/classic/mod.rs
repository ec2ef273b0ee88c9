//! Classic groups: the broker gathers the members, and the leader among them assigns partitions.
//!
//! Owned by the shard, one [`ClassicGroup`] per group. What the log holds of a group (members with
//! their assignments at the last sync) changes only by `replay`; the join phase around it lives in
//! memory alone, as in Kafka, and a new coordinator starts it afresh.

mod describe;
mod group;
mod heartbeat;
mod join;
mod leave;
mod member;
mod migration;
mod rebalance;
mod static_member;
mod sync;
mod timers;

pub(crate) use describe::{describe_dead, listed};
pub(crate) use group::{CONSUMER, ClassicGroup, CommitKind, GroupState, Membership};
pub(crate) use heartbeat::heartbeat_answer;
pub(crate) use join::{Join, MEMBER_ID_REQUIRED_SINCE, group_exceeds_names, join_error};
pub(crate) use leave::{leave_group_that_is_not_there, leave_with};
pub(crate) use migration::Successor;
pub(crate) use sync::sync_error;
