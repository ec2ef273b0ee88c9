//! `log.dirs`: locked, identified, read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kalda_env::random_uuid_bytes;
use kalda_model::{BrokerEpoch, ClusterId, Offset, TopicPartition, Uuid};
use kalda_storage::{Checkpoint, LogDirectory, MetaProperties, StorageError};

use super::StartError;
use crate::broker::{Stop, World};
use crate::config::BrokerConfig;
use crate::directory::{DataDirectory, OnOffline};
use crate::tasks::broker_lifecycle::Lifecycle;

/// All directories of a broker.
pub(crate) struct OpenedDirectories {
    pub(super) cluster_id: ClusterId,
    pub(super) all: Vec<OpenedDirectory>,
}

/// One directory with what the last life left in it.
pub(crate) struct OpenedDirectory {
    pub(super) directory: Arc<DataDirectory>,
    pub(super) clean_epoch: Option<BrokerEpoch>,
    pub(super) recovery_points: BTreeMap<TopicPartition, Offset>,
    pub(super) log_starts: BTreeMap<TopicPartition, Offset>,
    pub(super) high_watermarks: BTreeMap<TopicPartition, Offset>,
    pub(super) cleaner_offsets: BTreeMap<TopicPartition, Offset>,
}

impl OpenedDirectories {
    /// The epoch of the broker's last life, if all directories were closed clean at its end.
    pub(crate) fn previous_epoch(&self) -> Option<BrokerEpoch> {
        let epochs: Option<Vec<_>> = self.all.iter().map(|one| one.clean_epoch).collect();
        epochs?.into_iter().max()
    }
}

/// Opens the directories, and gives an identity to those that have none.
pub(super) fn open(
    config: &BrokerConfig,
    world: &World,
    stop: &Stop,
    lifecycle: &Arc<Lifecycle>,
) -> Result<OpenedDirectories, StartError> {
    let mut locked = Vec::new();
    for path in &config.log_dirs {
        let directory = LogDirectory::open(Arc::clone(&world.disk), path)
            .map_err(|error| unusable(path, &error))?;
        let meta = directory.meta_properties().map_err(|error| unusable(path, &error))?;
        check_owner(config, path, meta.as_ref())?;
        locked.push((directory, meta));
    }
    let cluster_id = cluster_id(config, world, &locked)?;
    let live = Arc::new(std::sync::atomic::AtomicUsize::new(locked.len()));
    let mut all = Vec::new();
    for (storage, meta) in locked {
        let path = storage.path().to_owned();
        let id = identify(config, world, &storage, meta, &cluster_id)
            .map_err(|error| unusable(&path, &error))?;
        let clean_epoch = storage.take_clean_shutdown().map_err(|error| unusable(&path, &error))?;
        let checkpoint = |which| storage.checkpoint(which).map_err(|error| unusable(&path, &error));
        let recovery_points = checkpoint(Checkpoint::RecoveryPoint)?;
        let log_starts = checkpoint(Checkpoint::LogStart)?;
        let high_watermarks = checkpoint(Checkpoint::HighWatermark)?;
        let cleaner_offsets = checkpoint(Checkpoint::Cleaner)?;
        let on_offline = on_offline(config, stop, lifecycle, &live, &path);
        let directory = DataDirectory::start(&world.disk, &world.threads, storage, id, on_offline)
            .map_err(|error| StartError(format!("cannot start a flusher thread: {error}")))?;
        all.push(OpenedDirectory {
            directory,
            clean_epoch,
            recovery_points,
            log_starts,
            high_watermarks,
            cleaner_offsets,
        });
    }
    Ok(OpenedDirectories { cluster_id, all })
}

/// The controller is told at once that a directory is offline. A broker without any, or without its
/// metadata, can serve nobody.
fn on_offline(
    config: &BrokerConfig,
    stop: &Stop,
    lifecycle: &Arc<Lifecycle>,
    live: &Arc<std::sync::atomic::AtomicUsize>,
    path: &Path,
) -> OnOffline {
    let (stop, lifecycle, live) = (stop.clone(), Arc::clone(lifecycle), Arc::clone(live));
    let holds_metadata = path == config.metadata_log_dir;
    Arc::new(move |_directory: &DataDirectory, line: String| {
        let left = live.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) - 1;
        if left == 0 || holds_metadata {
            // The process ends with this line.
            stop.ask(Some(line));
        } else {
            tracing::error!("{line}");
            lifecycle.hurry();
        }
    })
}

fn check_owner(
    config: &BrokerConfig,
    path: &Path,
    meta: Option<&MetaProperties>,
) -> Result<(), StartError> {
    match meta {
        Some(meta) if meta.node_id != config.node_id => Err(StartError(format!(
            "{} belongs to node {}, but node.id is {}: set node.id={} or choose other log.dirs",
            path.display(),
            meta.node_id,
            config.node_id,
            meta.node_id
        ))),
        _ => Ok(()),
    }
}

fn cluster_id(
    config: &BrokerConfig,
    world: &World,
    locked: &[(LogDirectory, Option<MetaProperties>)],
) -> Result<ClusterId, StartError> {
    let mut known: Option<(&Path, &ClusterId)> = None;
    for (directory, meta) in locked {
        let Some(meta) = meta else { continue };
        match known {
            Some((first, id)) if *id != meta.cluster_id => {
                return Err(StartError(format!(
                    "{} is of cluster {} and {} is of cluster {id}: take one of them out of log.dirs",
                    directory.path().display(),
                    meta.cluster_id,
                    first.display()
                )));
            }
            _ => known = Some((directory.path(), &meta.cluster_id)),
        }
    }
    match (known, &config.cluster_id) {
        (Some((path, id)), Some(wanted)) if id != wanted => Err(StartError(format!(
            "{} is of cluster {id}, but CLUSTER_ID is {wanted}: choose other log.dirs",
            path.display()
        ))),
        (Some((_, id)), _) => Ok(id.clone()),
        (None, Some(wanted)) => Ok(wanted.clone()),
        (None, None) => {
            let known = super::cluster_id::of_new_node(config, &*world.net)?;
            Ok(known.unwrap_or_else(|| random_id(world).to_string()))
        }
    }
}

/// The directory's id; written down first if it is new.
fn identify(
    config: &BrokerConfig,
    world: &World,
    directory: &LogDirectory,
    meta: Option<MetaProperties>,
    cluster_id: &ClusterId,
) -> Result<Uuid, StorageError> {
    if let Some(id) = meta.and_then(|meta| meta.directory_id) {
        return Ok(id);
    }
    let id = random_id(world);
    directory.store_meta_properties(&MetaProperties {
        cluster_id: cluster_id.clone(),
        node_id: config.node_id,
        directory_id: Some(id),
    })?;
    Ok(id)
}

fn random_id(world: &World) -> Uuid {
    loop {
        if let Some(id) = Uuid::from_random(random_uuid_bytes(&*world.rng)) {
            return id;
        }
    }
}

/// One line for an operator: which directory, what is wrong, what to do.
pub(super) fn unusable(path: &Path, error: &StorageError) -> StartError {
    let shown = path.display();
    StartError(match error {
        StorageError::Disk { source, .. } => match source.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                format!(
                    "log directory {shown} cannot be written: {source}; make it writable for this user or choose another in log.dirs"
                )
            }
            std::io::ErrorKind::StorageFull => format!(
                "log directory {shown} is full: {source}; free space on its file system or choose another in log.dirs"
            ),
            _ => format!("log directory {shown} cannot be used: {error}; see log.dirs"),
        },
        StorageError::Corrupt { .. } => {
            format!(
                "{error}; restore it from a backup, or move the directory {shown} away to start empty"
            )
        }
        other => other.to_string(),
    })
}
