//! What a coordinator appends and answers only while its view of the log is the log: under the leader
//! epoch that it was loaded in, and at the offset that it will replay the records at.
//!
//! Without it a coordinator that does not know yet that it was replaced, or came back meanwhile, could
//! write what it decided on a state that is not that of the log.

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_replication::Acks;

use super::waits::{ProduceWait, ProduceWaits};
use super::{HostedPartition, State, refused};

/// What must hold for an append, looked at under the lock that the append is made under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AppendCondition {
    /// The epoch in which this broker leads.
    pub(crate) leader_epoch: LeaderEpoch,
    /// The offset that the first record gets.
    pub(crate) base_offset: Offset,
}

impl AppendCondition {
    /// What is answered when the log has another end: somebody else has written to it.
    pub(crate) const OTHER_END: ErrorCode = ErrorCode::OffsetOutOfRange;
}

impl HostedPartition {
    /// Makes a request wait until everything below `end` is committed, as long as this broker leads
    /// in `leader_epoch`.
    pub(crate) fn await_committed(
        &self,
        leader_epoch: LeaderEpoch,
        end: Offset,
        waits: &ProduceWaits,
    ) -> Result<(), ErrorCode> {
        let mut state = self.serving()?;
        state.partition.check_leader(leader_epoch).map_err(refused)?;
        if !state.partition.is_acknowledged(end, Acks::All) {
            state.produce_waits.push(ProduceWait::new(end, Acks::All, waits, 0));
        }
        Ok(())
    }
}

impl State {
    /// Whether the log is where the appender believes it to be.
    pub(super) fn check_condition(
        &self,
        condition: Option<AppendCondition>,
    ) -> Result<(), ErrorCode> {
        let Some(AppendCondition { leader_epoch, base_offset }) = condition else { return Ok(()) };
        self.partition.check_leader(leader_epoch).map_err(refused)?;
        if self.log.log_end_offset() == base_offset {
            Ok(())
        } else {
            Err(AppendCondition::OTHER_END)
        }
    }
}
