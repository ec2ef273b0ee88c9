//! What the leader appends: the controller's decisions, and the quorum's own records.

use bytes::Bytes;
use kalda_env::Rng;
use kalda_model::{LeaderEpoch, Offset};

use super::effect::{AppendRefused, Effect};
use super::message::{Batch, Body, Control};
use super::role::Role;
use super::{Moment, Quorum};

/// Records that were decided on one state: they hold only if the log still ends where it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The epoch in which it was decided.
    pub epoch: LeaderEpoch,
    /// The end of the log that it was decided on.
    pub expected_end: Offset,
    /// The batches: how many records each holds, and its bytes.
    pub batches: Vec<(i64, Bytes)>,
}

impl Quorum {
    /// Appends a decision, all of it or nothing. Answers the end offset at which the high watermark
    /// must arrive before anyone hears of it, and what has to be done.
    ///
    /// # Errors
    /// Another leader may have been in between: the decision must be made anew, or not at all.
    pub fn append(
        &mut self,
        decision: Decision,
        now_ms: i64,
        rng: &dyn Rng,
    ) -> Result<(Offset, Vec<Effect>), AppendRefused> {
        let (epoch, end) = (decision.epoch, self.log.end_offset());
        let resigns = match &self.role {
            Role::Leader(leading) => leading.resign_requested,
            _ => true,
        };
        if resigns || epoch != self.epoch() {
            return Err(AppendRefused::NotLeader(epoch));
        }
        if decision.expected_end != end {
            return Err(AppendRefused::OtherEnd { expected: decision.expected_end, end });
        }
        if decision.batches.iter().any(|(record_count, _)| *record_count < 1) {
            return Err(AppendRefused::NoRecords);
        }
        for (record_count, bytes) in decision.batches {
            let base_offset = self.log.end_offset();
            let body = Body::Data(bytes);
            self.append_batch(Batch { base_offset, record_count, epoch, body, encoded: None });
        }
        let end = self.log.end_offset();
        Ok((end, self.finish(Moment { now: now_ms, rng })))
    }

    pub(super) fn append_control(&mut self, records: Vec<Control>) {
        let (base_offset, epoch) = (self.log.end_offset(), self.epoch());
        let record_count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let body = Body::Control(records);
        self.append_batch(Batch { base_offset, record_count, epoch, body, encoded: None });
    }

    pub(super) fn append_batch(&mut self, batch: Batch) {
        self.log.append(&batch);
        self.effects.push(Effect::Append(vec![batch]));
    }
}
