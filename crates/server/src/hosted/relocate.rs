//! The switch of a partition from one log directory to another, under its lock.

use std::sync::Arc;

use kalda_env::Disk;
use kalda_model::TopicPartition;
use kalda_storage::{Log, OpenOptions, StorageError};

use super::HostedPartition;
use crate::directory::DataDirectory;

impl HostedPartition {
    /// Closes the log, lets `copy` bring the copy up to date and put it in its place, and goes on
    /// with the copy; then lets `retire` take the old place out of the way, before anyone can append
    /// here or delete the topic. If anything fails until then the partition stays where it is.
    /// Answers whether it moved: one that was deleted meanwhile does not.
    pub(crate) fn switch_directory(
        &self,
        target: &Arc<DataDirectory>,
        disk: &dyn Disk,
        now_ms: i64,
        copy: &dyn Fn() -> Result<(), StorageError>,
        retire: &dyn Fn() -> Result<(), StorageError>,
    ) -> Result<bool, StorageError> {
        let mut state = self.state.lock();
        while state.is_flushing {
            self.flush_ended.wait(&mut state);
        }
        if state.gone.is_some() {
            return Ok(false);
        }
        state.log.close_clean()?;
        copy()?;
        let name = TopicPartition::new(Arc::clone(&self.topic), self.index);
        let path = target.storage.partition_dir(&name);
        let options = OpenOptions {
            clean_shutdown: true,
            recovery_point: state.log.log_end_offset(),
            log_start: state.log.log_start_offset(),
            now_ms,
            is_synced: false,
        };
        let config = Arc::clone(state.log.config());
        let opened = Log::open(target.storage.disk(), &path, config, options);
        let (mut log, _) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Two directories of one partition must not be left behind.
                let _kept = disk.remove_dir_all(&path);
                return Err(error);
            }
        };
        assert_eq!(log.log_end_offset(), state.log.log_end_offset(), "the copy is complete");
        log.set_cleaner_offset(state.log.cleaner_offset());
        state.log.on_deleted();
        state.log = log;
        *self.directory.write() = Arc::clone(target);
        // What was flushed under the old directory is what was copied and synced.
        let end = state.log.log_end_offset();
        let effects = state.partition.on_flushed(end);
        self.perform(&mut state, effects);
        retire()?;
        Ok(true)
    }
}
