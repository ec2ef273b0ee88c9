//! What a leader does for its followers between their fetches: changes of the ISR, and requests that wait for
//! the start of the log to move everywhere.

use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_replication::{Acks, AlterAnswer, BrokerState, Brokers, Proposal};

use super::waits::{ProduceWait, ProduceWaits};
use super::{HostedPartition, State, refused};

/// The brokers as an image has them.
pub(crate) struct Registered<'a>(pub(crate) &'a Image);

impl Brokers for Registered<'_> {
    fn state(&self, id: BrokerId) -> Option<BrokerState> {
        let broker = self.0.brokers.get(&id)?;
        let is_active = !broker.fenced && !broker.in_controlled_shutdown;
        Some(BrokerState { epoch: broker.epoch, is_active })
    }
}

impl HostedPartition {
    /// Looks who lags and who could be in sync, if this replica leads others.
    pub(crate) fn on_tick(&self, brokers: &dyn Brokers, now_ms: i64) {
        let Ok(mut state) = self.serving() else { return };
        state.produce_waits.retain(|wait| !wait.is_given_up());
        state.start_waits.retain(|wait| !wait.is_given_up());
        if !state.partition.has_followers() {
            return;
        }
        let effects = state.partition.on_tick(brokers, now_ms);
        self.perform(&mut state, effects);
        // A replica that died is not waited for.
        state.release_start_waits(brokers);
    }

    /// What is to be asked of the controller. `local_epoch` is this broker's registration.
    pub(crate) fn take_proposal(&self, local_epoch: BrokerEpoch) -> Option<Proposal> {
        self.serving().ok()?.partition.take_proposal(local_epoch)
    }

    /// What it answered to proposal `number`.
    pub(crate) fn on_alter_answer(&self, number: u64, answer: &AlterAnswer) {
        let Ok(mut state) = self.serving() else { return };
        let effects = state.partition.on_alter_answer(number, answer);
        self.perform(&mut state, effects);
    }

    /// Makes a request wait until no replica that is alive has anything below `target`.
    pub(crate) fn await_log_start(
        &self,
        target: Offset,
        brokers: &dyn Brokers,
        waits: &ProduceWaits,
        slot: usize,
    ) -> Result<(), ErrorCode> {
        let mut state = self.serving()?;
        if state.low_watermark(brokers) < target {
            state.start_waits.push(ProduceWait::new(target, Acks::All, waits, slot));
        }
        Ok(())
    }

    /// The earliest start of the logs of all replicas that are alive.
    pub(crate) fn low_watermark(&self, brokers: &dyn Brokers) -> Result<Offset, ErrorCode> {
        let state = self.serving()?;
        state.partition.check_leader(LeaderEpoch::UNKNOWN).map_err(refused)?;
        Ok(state.low_watermark(brokers))
    }
}

impl State {
    fn low_watermark(&self, brokers: &dyn Brokers) -> Offset {
        self.partition.low_watermark(self.log.log_start_offset(), brokers)
    }

    /// Lets those go whose target all replicas have reached.
    pub(super) fn release_start_waits(&mut self, brokers: &dyn Brokers) {
        if self.start_waits.is_empty() {
            return;
        }
        let reached = self.low_watermark(brokers);
        for wait in self.start_waits.extract_if(.., |wait| wait.end <= reached) {
            wait.complete();
        }
    }
}
