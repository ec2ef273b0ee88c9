//! The broker configs that groups obey, as plain numbers. Read by every part of this room; set once
//! by the server when it loads a partition.

use std::time::Duration;

/// `group.consumer.migration.policy`: which conversions of groups that have members are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Each variant is the value of that name.
pub enum MigrationPolicy {
    Bidirectional,
    Upgrade,
    Downgrade,
    Disabled,
}

impl MigrationPolicy {
    /// The policy of that name, which is not told apart by upper and lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            ("bidirectional", Self::Bidirectional),
            ("upgrade", Self::Upgrade),
            ("downgrade", Self::Downgrade),
            ("disabled", Self::Disabled),
        ];
        all.into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, policy)| policy)
    }

    pub(crate) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub(crate) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

/// What the broker's configuration says of groups; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long the first join of an empty group waits for others.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`: members in one group.
    pub max_group_size: usize,
    /// `offset.metadata.max.bytes`: the text that goes with a committed offset, in UTF-16 units as
    /// Kafka counts.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: the time between two sweeps for expired offsets.
    pub offsets_retention_check_interval_ms: i64,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub consumer_max_group_size: usize,
    /// `group.consumer.migration.policy`.
    pub consumer_migration_policy: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`: how long what a regular expression stands for
    /// holds, if no change of the metadata makes the broker look earlier.
    pub consumer_regex_refresh_interval_ms: i32,
    /// How long the join of a member that is new may stay unanswered before the member is taken for
    /// gone. A constant in Kafka: five minutes.
    pub new_member_join_timeout_ms: i32,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_group_size: usize::MAX,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: Duration::from_secs(7 * 24 * 60 * 60).as_millis() as i64,
            offsets_retention_check_interval_ms: 600_000,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_max_group_size: usize::MAX,
            consumer_migration_policy: MigrationPolicy::Bidirectional,
            consumer_regex_refresh_interval_ms: 600_000,
            new_member_join_timeout_ms: 300_000,
        }
    }
}
