//! The way down: signals, last answers, everything on disk, the marker of a clean stop.

use std::sync::Arc;

use kalda_storage::StorageError;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Broker;
use crate::tasks::controller::SharedMetadataLog;
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
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to stop (SIGTERM)"),
        _ = interrupt.recv() => tracing::info!("asked to stop (SIGINT)"),
        () = broker.stopping() => return,
    }
    broker.stop.ask(None);
}

/// Closes every log and marks the directories as closed clean; one that failed is not marked.
pub(super) fn close(
    broker: &Arc<Broker>,
    metadata: &SharedMetadataLog,
) -> Result<(), StorageError> {
    let mut first_error = None;
    // From here on logs are flushed by closing them: two must not do it to one log at once.
    for directory in &broker.directories {
        directory.flusher.finish();
    }
    for directory in broker.directories.iter().filter(|one| !one.storage.is_offline()) {
        let mut closed = directory.hosted().into_iter().try_for_each(|partition| {
            match partition.with_log(|log, _| log.close_clean()) {
                Ok(closed) => closed,
                // Deleted or retired: nothing of it is served again.
                Err(_retired) => Ok(()),
            }
        });
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
