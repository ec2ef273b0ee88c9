//! The way down: signals, last answers, everything on disk, the marker of a clean stop.

use std::sync::Arc;

use kalda_storage::{StorageError, perform_all};
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Broker;
use crate::directory::DataDirectory;
use crate::hosted::HostedPartition;
use crate::quorum::SharedMetadataLog;
use crate::tasks::housekeeping;

/// Stops the broker on SIGTERM and SIGINT.
pub(super) async fn on_signal(broker: Arc<Broker>) {
    let (terminate, interrupt) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            return tracing::warn!(%error, "signals cannot be caught; the broker stops without closing clean");
        }
    };
    let (mut terminate, mut interrupt) = (terminate, interrupt);
    let signal = tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = broker.stopping() => return,
    };
    tracing::info!("asked to stop ({signal})");
    // Who asks twice is not made to wait.
    tokio::select! {
        biased;
        () = hand_over(&broker) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.stop.ask(None);
}

/// Has others take over first; clients hardly notice.
pub(super) async fn hand_over(broker: &Arc<Broker>) {
    if broker.config.roles.broker {
        broker.lifecycle.end(broker).await;
    }
    broker.quorum.resign().await;
}

/// Logs whose files are synced by one call; each may hold files open until then.
const CLOSED_TOGETHER: usize = 512;

fn close_some(
    directory: &DataDirectory,
    partitions: &[Arc<HostedPartition>],
) -> Result<(), StorageError> {
    let mut works = Vec::new();
    let mut open = Vec::new();
    for partition in partitions {
        // A partition that was deleted or retired is not served again, and not closed.
        if let Ok(work) = partition.with_log(|log, _| log.begin_close())
            && let Some(work) = work?
        {
            works.push(work);
            open.push(partition);
        }
    }
    let done = perform_all(&works, &**directory.storage.disk())?;
    for (partition, done) in open.into_iter().zip(done) {
        let _retired_meanwhile = partition.with_log(|log, _| log.end_close(done));
    }
    Ok(())
}

/// Closes every log and marks the directories as closed clean; one that failed is not marked.
pub(super) fn close(
    broker: &Arc<Broker>,
    metadata: &SharedMetadataLog,
) -> Result<(), StorageError> {
    let mut first_error = None;
    // First the cleaner: a move may be waiting for it.
    broker.cleaner.finish();
    broker.housekeeper.finish();
    broker.moves.finish();
    // From here on logs are flushed by closing them: two must not do it to one log at once.
    for directory in &broker.directories {
        directory.flusher.finish();
    }
    for directory in broker.directories.iter().filter(|one| !one.storage.is_offline()) {
        let mut closed = directory
            .hosted()
            .chunks(CLOSED_TOGETHER)
            .try_for_each(|partitions| close_some(directory, partitions));
        if directory.path() == broker.config.metadata_log_dir && closed.is_ok() {
            closed = metadata.log.lock().log_mut().close_clean();
        }
        let marked = closed
            .and_then(|()| housekeeping::write_checkpoints(directory))
            .and_then(|()| directory.storage.mark_clean_shutdown(broker.epoch()));
        if let Err(error) = marked {
            tracing::error!(
                "log directory {} was not closed clean: {error}",
                directory.shown_path()
            );
            first_error.get_or_insert(error);
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
