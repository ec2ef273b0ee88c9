//! The metadata of a start: its log opened, and the partitions that it gives to this broker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use kalda_controller::LastShutdown;
use kalda_metadata::{MetadataLoader, TopicImage};
use kalda_model::{Offset, TopicPartition, Uuid};
use kalda_raft::quorum::{ReplicaKey, Restored, Voter, VoterSet};
use kalda_raft::{MetadataLog, OpenError, Opening, QuorumStateError};
use kalda_replication::Durability;
use kalda_storage::{AppendError, Log, OpenOptions, RecoveryReport, StorageError};

use super::StartError;
use super::directories::{OpenedDirectories, OpenedDirectory, unusable};
use crate::broker::{Broker, World};
use crate::config::BrokerConfig;
use crate::config::topic_settings::TopicSettings;
use crate::directory::DataDirectory;
use crate::tasks::{housekeeping, metadata_publisher};

/// The metadata log, what the quorum finds on it, and what its newest snapshot says.
pub(super) struct OpenedMetadata {
    pub(super) log: MetadataLog,
    pub(super) restored: Restored,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) loader: MetadataLoader,
}

/// Opens the metadata log.
pub(super) fn open(
    config: &BrokerConfig,
    world: &World,
    opened: &OpenedDirectories,
) -> Result<OpenedMetadata, StartError> {
    let home = opened
        .all
        .iter()
        .find(|one| one.directory.path() == config.metadata_log_dir)
        .ok_or_else(|| StartError("metadata.log.dir: must be one of log.dirs".to_owned()))?;
    let opening = Opening {
        disk: &world.disk,
        log_dir: home.directory.path(),
        directory_id: home.directory.id,
        node: config.node_id,
        clean_shutdown: home.clean_epoch.is_some(),
        recovery_point: home
            .recovery_points
            .get(&metadata_partition())
            .copied()
            .unwrap_or(Offset::ZERO),
        now_ms: world.clock.wall_ms(),
        static_voters: static_voters(config),
    };
    let cannot = |error| cannot_open(home.directory.path(), error);
    let (log, restored) = MetadataLog::open(&opening).map_err(cannot)?;
    let mut loader = MetadataLoader::default();
    if let Some((id, records)) = log.newest_snapshot_records().map_err(cannot)? {
        loader.replay(&records, id.end_offset, id.epoch).map_err(|error| {
            StartError(format!("snapshot {id} of the metadata cannot be replayed: {error}"))
        })?;
    }
    check_voters(config, &restored)?;
    Ok(OpenedMetadata { log, restored, directory: Arc::clone(&home.directory), loader })
}

/// The voters where no record names them: the configured ones, or a node that was told of nobody
/// else.
fn static_voters(config: &BrokerConfig) -> VoterSet {
    let ids = config.quorum.voters.keys().copied();
    let alone = (config.quorum.voters.is_empty() && config.is_alone()).then_some(config.node_id);
    VoterSet::new(ids.chain(alone).map(|id| Voter {
        key: ReplicaKey { id, directory: None },
        endpoints: Vec::new(),
        kraft_versions: (0, 1),
    }))
}

/// A controller that knows no voters, not even itself, would wait for ever.
fn check_voters(config: &BrokerConfig, restored: &Restored) -> Result<(), StartError> {
    let is_lost = restored.log.voters().is_empty() && config.quorum.bootstrap.is_empty();
    if config.roles.controller && is_lost {
        return Err(StartError(
            "nobody votes: set controller.quorum.voters, or format the directories with `kalda storage format --initial-controllers`".to_owned(),
        ));
    }
    Ok(())
}

/// `__cluster_metadata-0`.
fn metadata_partition() -> TopicPartition {
    TopicPartition::new(kalda_model::CLUSTER_METADATA_TOPIC, 0)
}

/// A disk that refuses is one thing, a log that cannot be trusted another.
fn cannot_open(log_dir: &Path, error: OpenError) -> StartError {
    match error {
        OpenError::Storage(error @ StorageError::Disk { .. })
        | OpenError::Append(AppendError::Storage(error)) => unusable(log_dir, &error),
        OpenError::QuorumState(QuorumStateError::Disk(path, source)) => {
            unusable(log_dir, &StorageError::Disk { path: path.into(), source })
        }
        error => StartError(format!(
            "{error}; the broker must not guess what was there: restore the directory from a backup"
        )),
    }
}

/// Opens the log of every partition that the metadata gives to this broker. Answers how its last
/// life ended: unclean if something that it may have acknowledged is missing. A crash alone takes only
/// what was not on disk yet, and that was acknowledged only where a topic is content with the page
/// cache.
pub(crate) fn host_partitions(
    broker: &Arc<Broker>,
    opened: &OpenedDirectories,
) -> Result<LastShutdown, StartError> {
    let has_crashed = opened.previous_epoch().is_none();
    let mut last = LastShutdown::Clean;
    let image = broker.image();
    let mut hosted = BTreeSet::new();
    let mut settings = BTreeMap::new();
    for one in &opened.all {
        let found = one.directory.storage.partitions();
        let found = found.map_err(|error| unusable(one.directory.path(), &error))?;
        for path in &found.set_aside {
            tracing::warn!(
                "{} is left of a move or of an unknown topic; it is not used",
                path.display()
            );
        }
        let is_synced = one.clean_epoch.is_none()
            && (one.directory.storage.sync_after_crash(found.present.len()))
                .map_err(|error| unusable(one.directory.path(), &error))?;
        for name in found.present {
            if &*name.topic == kalda_model::CLUSTER_METADATA_TOPIC {
                continue;
            }
            let topic = image.topics.by_name(&name.topic);
            let is_ours = |topic: &&Arc<TopicImage>| {
                let partition = topic.partitions.get(&name.partition);
                partition.is_some_and(|partition| partition.replicas.contains(&broker.node))
            };
            let Some(topic) = topic.filter(is_ours) else {
                set_aside(broker, &one.directory, &name, "is of no topic in the metadata")?;
                continue;
            };
            let settings = settings.entry(topic.id);
            let settings = settings
                .or_insert_with(|| metadata_publisher::settings(broker, &image, &topic.name));
            if let Some(end) = host_one(broker, one, is_synced, topic, &name, settings)? {
                let is_relaxed = settings.replication.durability == Durability::PageCache;
                if end == LastShutdown::Unclean || (has_crashed && is_relaxed) {
                    last = LastShutdown::Unclean;
                }
                hosted.insert(name);
            }
        }
    }
    make_missing(broker, &hosted);
    if has_crashed {
        // What was read and synced once need not be again, should the next end be a crash too. It
        // also makes the directories durable that the last life made and had not synced.
        for directory in &broker.directories {
            housekeeping::write_checkpoints(directory)
                .map_err(|error| unusable(directory.path(), &error))?;
        }
    }
    Ok(last)
}

/// Opens one log and puts it to service. Answers whether it is as it was left; `None` when its
/// directory was set aside instead.
fn host_one(
    broker: &Arc<Broker>,
    one: &OpenedDirectory,
    is_synced: bool,
    topic: &TopicImage,
    name: &TopicPartition,
    settings: &Arc<TopicSettings>,
) -> Result<Option<LastShutdown>, StartError> {
    let (mut log, report) = open_log(broker, one, is_synced, name, Arc::clone(&settings.log))?;
    if log.topic_id().is_some_and(|id| id != topic.id) {
        set_aside(broker, &one.directory, name, "is of no topic in the metadata")?;
        return Ok(None);
    }
    if log.topic_id().is_none() {
        let written = log.set_topic_id(topic.id);
        written.map_err(|error| unusable(one.directory.path(), &error))?;
    }
    report_recovery(name, &report);
    log.close_idle_files();
    // A crash in the last step of a move leaves the partition in both directories.
    if let Some(twin) = broker.partitions.find(topic.id, name.partition) {
        let reason = "was being moved and is complete in another log directory";
        let end = twin.with_log(|log, _| log.log_end_offset());
        if end.is_ok_and(|end| end >= log.log_end_offset()) {
            set_aside(broker, &one.directory, name, reason)?;
            return Ok(None);
        }
        set_aside(broker, &twin.directory(), name, reason)?;
    }
    let is_whole = report.missing.is_none() && report.quarantined.is_empty();
    let settings = Arc::clone(settings);
    let high_watermark = one.high_watermarks.get(name).copied().unwrap_or(Offset::ZERO);
    let opened = metadata_publisher::OpenedLog { log, high_watermark };
    let partition =
        metadata_publisher::host(broker, &one.directory, topic, name.partition, opened, settings);
    broker.partitions.insert(Arc::clone(&partition));
    metadata_publisher::report_directory(broker, &partition, &topic.partitions[&name.partition]);
    broker.fetchers.on_partitions_changed(broker, &[partition]);
    Ok(Some(if is_whole { LastShutdown::Clean } else { LastShutdown::Unclean }))
}

/// Partitions whose records were committed before their directories were made.
fn make_missing(broker: &Arc<Broker>, hosted: &BTreeSet<TopicPartition>) {
    let image = broker.image();
    for topic in image.topics.iter() {
        let settings = std::cell::OnceCell::new();
        for index in topic.partitions.keys() {
            if !hosted.contains(&TopicPartition::new(Arc::clone(&topic.name), *index)) {
                let settings = settings
                    .get_or_init(|| metadata_publisher::settings(broker, &image, &topic.name));
                metadata_publisher::apply_partition(broker, topic, *index, settings);
            }
        }
    }
}

fn open_log(
    broker: &Broker,
    one: &OpenedDirectory,
    is_synced: bool,
    name: &TopicPartition,
    config: Arc<kalda_storage::LogConfig>,
) -> Result<(Log, RecoveryReport), StartError> {
    let known = |offsets: &std::collections::BTreeMap<TopicPartition, Offset>| {
        offsets.get(name).copied().unwrap_or(Offset::ZERO)
    };
    let options = OpenOptions {
        clean_shutdown: one.clean_epoch.is_some(),
        recovery_point: known(&one.recovery_points),
        log_start: known(&one.log_starts),
        now_ms: broker.clock.wall_ms(),
        is_synced,
    };
    let path = one.directory.storage.partition_dir(name);
    let (mut log, report) = Log::open(&broker.disk, &path, config, options)
        .map_err(|error| unusable(one.directory.path(), &error))?;
    log.set_cleaner_offset(known(&one.cleaner_offsets));
    Ok((log, report))
}

/// A directory that is not to be used: renamed, never removed.
fn set_aside(
    broker: &Broker,
    directory: &DataDirectory,
    name: &TopicPartition,
    reason: &str,
) -> Result<(), StartError> {
    let unique = Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng));
    let renamed = directory.storage.rename_stray(name, unique);
    let path = renamed.map_err(|error| unusable(directory.path(), &error))?;
    tracing::warn!(
        "{name} in {} {reason}; its directory was renamed to {}",
        directory.shown_path(),
        path.display()
    );
    Ok(())
}

fn report_recovery(name: &TopicPartition, report: &RecoveryReport) {
    if let Some(torn) = &report.torn {
        tracing::info!(
            "{name}: cut an unfinished write of {} bytes at offset {}",
            torn.bytes,
            torn.offset
        );
    }
    if let Some(kept) = report.torn.as_ref().and_then(|torn| torn.kept.as_ref()) {
        tracing::warn!(
            "{name}: there were whole batches behind the unfinished write; they are kept in {}",
            kept.display()
        );
    }
    for damaged in &report.quarantined {
        tracing::error!(
            "{name}: {} bytes from offset {} are damaged ({}); they were set aside in {}",
            damaged.bytes,
            damaged.from_offset,
            damaged.reason,
            damaged.moved_to.display()
        );
    }
    if let Some((from, to)) = report.missing {
        tracing::error!("{name}: offsets {from} to {to} were on disk once and are missing");
    }
}
