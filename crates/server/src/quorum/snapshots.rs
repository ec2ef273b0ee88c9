//! Snapshots of the metadata: when one is due, and what becomes of it.
//!
//! A large one takes seconds. It is written on a thread of its own, from an image that does not change
//! any more, so that the loop goes on answering: who is silent for so long loses its office.

use kalda_raft::SnapshotId;
use kalda_raft::quorum::Input;
use kalda_storage::StorageError;

use super::driver::QuorumLoop;
use super::handle::Event;

impl QuorumLoop {
    /// Begins one of what is committed, if so much was appended since the last.
    pub(super) fn snapshot_if_due(&mut self) {
        if self.is_writing_snapshot || self.loader.is_in_transaction() {
            return;
        }
        let mut log = self.log.log.lock();
        if !log.is_snapshot_due() {
            return;
        }
        let id = SnapshotId { end_offset: self.committed_end, epoch: self.committed_epoch };
        let view = self.quorum.log();
        let kraft_version = view.kraft_version_at(id.end_offset);
        let voters =
            (kraft_version > 0).then(|| (view.voters_at(id.end_offset).clone(), kraft_version));
        let job = log.begin_snapshot(id, voters, self.broker.clock.wall_ms());
        drop(log);
        let (image, quorum) = (self.loader.image().clone(), self.broker.quorum.clone());
        let run = move || quorum.send(Event::SnapshotWritten(job.write(image.to_records())));
        match self.broker.threads.run("kalda-snapshot", Box::new(run)) {
            Ok(_) => self.is_writing_snapshot = true,
            Err(error) => tracing::error!(%error, "no thread to write a snapshot of the metadata"),
        }
    }

    pub(super) fn on_snapshot_written(&mut self, written: Result<SnapshotId, StorageError>) {
        self.is_writing_snapshot = false;
        let finish = |id: SnapshotId| Ok((id, self.log.log.lock().finish_snapshot(id)?));
        match written.and_then(finish) {
            Ok((id, is_newest)) => {
                tracing::info!("wrote metadata snapshot {id}");
                if is_newest {
                    self.tell(Input::SnapshotTaken(id));
                }
            }
            Err(error) => self.directory.fail(&error),
        }
    }
}
