//! A quorum of one on a disk: what the server's loop does, without sockets.

use super::*;
use crate::quorum::{Decision, Effect, Quorum, QuorumSettings, ReplicaKey, Voter};

/// Every random time is the shortest.
#[derive(Debug)]
struct Shortest;

impl kalda_env::Rng for Shortest {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// A node that leads alone.
pub(super) struct Alone {
    pub(super) quorum: Quorum,
    pub(super) log: MetadataLog,
    /// What was committed and not looked at yet.
    committed: Offset,
}

pub(super) fn opening<'a>(disk: &'a Arc<dyn Disk>, log_dir: &'a Path) -> Opening<'a> {
    let key = ReplicaKey { id: BrokerId(1), directory: None };
    Opening {
        disk,
        log_dir,
        directory_id: Uuid(500),
        node: BrokerId(1),
        clean_shutdown: false,
        recovery_point: Offset::ZERO,
        now_ms: 1000,
        static_voters: VoterSet::new([Voter {
            key,
            endpoints: Vec::new(),
            kraft_versions: (0, 1),
        }]),
    }
}

impl Alone {
    pub(super) fn open(opening: &Opening<'_>) -> Result<Self, OpenError> {
        let (log, restored) = MetadataLog::open(opening)?;
        let (quorum, effects) = Quorum::new(restored, QuorumSettings::default(), 0, &Shortest);
        let start = quorum.log().start_offset();
        let mut alone = Self { quorum, log, committed: start };
        alone.perform(effects).unwrap();
        Ok(alone)
    }

    /// Appends a decision; nothing of it is on disk yet.
    pub(super) fn append(&mut self, records: &[MetadataRecord]) -> Result<Offset, CarryOutError> {
        let (epoch, end) = (self.quorum.epoch(), self.log.end_offset());
        let batches = decision_batches(records, end, epoch, 1000).unwrap();
        let decision = Decision { epoch, expected_end: end, batches };
        let (end, effects) = self.quorum.append(decision, 0, &Shortest).unwrap();
        self.perform(effects)?;
        Ok(end)
    }

    pub(super) fn flush(&mut self) {
        let end = self.log.end();
        self.log.log_mut().flush().unwrap();
        let effects = self.quorum.handle(Input::Flushed(end), 0, &Shortest);
        self.perform(effects).unwrap();
    }

    pub(super) fn snapshot(&mut self, records: Vec<MetadataRecord>) {
        let end = self.log.end();
        let id = SnapshotId { end_offset: end.offset, epoch: end.epoch };
        let job = self.log.begin_snapshot(id, None, 1000);
        self.finish_snapshot(job.write(records).unwrap());
    }

    /// It is on the disk.
    pub(super) fn finish_snapshot(&mut self, id: SnapshotId) {
        assert!(self.log.finish_snapshot(id).unwrap());
        let effects = self.quorum.handle(Input::SnapshotTaken(id), 0, &Shortest);
        self.perform(effects).unwrap();
    }

    /// The snapshot, if it was not seen yet, and what was committed since the last call.
    pub(super) fn committed(&mut self) -> Result<Vec<Committed>, OpenError> {
        let mut all = Vec::new();
        let high_watermark = self.quorum.high_watermark();
        while self.committed < high_watermark {
            let batches = self.log.read_committed(self.committed, high_watermark)?;
            self.committed = batches.last().unwrap().end_offset;
            all.extend(batches.into_iter().filter(|batch| !batch.records.is_empty()));
        }
        Ok(all)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), CarryOutError> {
        self.log.carry_out(effects, 1000).map(drop)
    }
}
