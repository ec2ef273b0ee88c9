//! From one image to the next: logs are made, retired, moved to other settings; then everybody sees
//! it (`BrokerMetadataPublisher`).

use std::sync::Arc;

use kalda_controller::LastShutdown;
use kalda_metadata::{
    Changes, ConfigResource, Image, PartitionRegistration, ResourceType, TopicChange, TopicImage,
};
use kalda_model::{BrokerId, DirectoryId, Offset, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_storage::{Log, StorageError};
use tokio::sync::{mpsc, oneshot};

use crate::broker::Broker;
use crate::config::topic_settings::{BrokerWide, TopicSettings};
use crate::coordinators;
use crate::directory::DataDirectory;
use crate::hosted::{HostedPartition, Hosting};
use crate::start::{self, OpenedDirectories, StartError};

/// Partitions that are made between two turns of other tasks.
const PARTITIONS_PER_TURN: usize = 64;

/// MIGRATING and UNASSIGNED: the controller does not know the directory.
const RESERVED_DIRECTORIES: [DirectoryId; 2] = [DirectoryId::ZERO, DirectoryId::ONE];

/// What the publisher is told, in order.
pub(crate) enum Publication {
    /// The metadata up to `end` is committed.
    Image { image: Image, changes: Changes, end: Offset },
    /// The metadata holds this broker's registration: from here on it is what the metadata says.
    Host { opened: OpenedDirectories, hosted: oneshot::Sender<Result<LastShutdown, StartError>> },
}

/// Follows the metadata until the node ends. Before it is told to host, only the image is shown.
pub(crate) async fn run(
    broker: Arc<Broker>,
    mut publications: mpsc::UnboundedReceiver<Publication>,
) {
    let mut is_hosting = false;
    while let Some(publication) = publications.recv().await {
        match publication {
            Publication::Image { mut image, mut changes, mut end } => {
                // While one was applied others may have come; only the newest matters.
                let mut then = None;
                while let Ok(next) = publications.try_recv() {
                    match next {
                        Publication::Image { image: newer, changes: more, end: upto } => {
                            (image, end) = (newer, upto);
                            changes.extend(more);
                        }
                        host @ Publication::Host { .. } => {
                            then = Some(host);
                            break;
                        }
                    }
                }
                if is_hosting {
                    apply(&broker, &image, &changes, end).await;
                } else {
                    broker.publish(image, end);
                }
                if let Some(Publication::Host { opened, hosted }) = then {
                    is_hosting |= host_all(&broker, opened, hosted).await;
                }
            }
            Publication::Host { opened, hosted } => {
                is_hosting |= host_all(&broker, opened, hosted).await;
            }
        }
    }
}

/// Opens the logs on another thread: that may take its time, and the quorum must go on.
async fn host_all(
    broker: &Arc<Broker>,
    opened: OpenedDirectories,
    hosted: oneshot::Sender<Result<LastShutdown, StartError>>,
) -> bool {
    broker.replication_quotas.on_settings(broker, &broker.image());
    let for_thread = Arc::clone(broker);
    let (tell, told) = oneshot::channel();
    let host = move || {
        // Who waits for it may have stopped.
        let _stopped = tell.send(start::host_partitions(&for_thread, &opened));
    };
    let outcome = match broker.threads.run("kalda-host", Box::new(host)) {
        Err(error) => Err(StartError(format!("cannot start a thread: {error}"))),
        Ok(_worker) => told.await.unwrap_or_else(|_| {
            Err(StartError("opening the logs failed; the lines above say where".to_owned()))
        }),
    };
    let is_hosting = outcome.is_ok();
    let _given_up = hosted.send(outcome);
    is_hosting
}

/// Makes this broker be what `image` says after `changes`, then publishes it.
async fn apply(broker: &Arc<Broker>, image: &Image, changes: &Changes, end: Offset) {
    // A topic may be deleted and made anew by one group of decisions: its directories must be out of
    // the way first.
    for change in changes.topics.values() {
        if let TopicChange::Removed(topic) = change {
            delete_topic(broker, topic);
        }
    }
    let mut made = 0;
    let mut left = Vec::new();
    for (id, change) in &changes.topics {
        let TopicChange::Changed(indexes) = change else { continue };
        let Some(topic) = image.topics.by_id(*id) else { continue };
        let settings = settings(broker, image, &topic.name);
        for index in indexes {
            apply_partition(broker, topic, *index, &settings);
            if !topic.partitions[index].replicas.contains(&broker.node)
                && let Some(hosted) = broker.partitions.find(*id, *index)
            {
                // A reassignment took it away from here.
                delete_partition(broker, &hosted, ErrorCode::NotLeaderOrFollower);
                left.push((*id, *index));
            }
            made += 1;
            if made % PARTITIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    apply_settings(broker, image, changes);
    broker.publish(image.clone(), end);
    if changes.brokers_changed {
        broker.isr_changes.on_brokers_changed();
        // One that wants to end may, as soon as the controller knows that everybody has seen its leaders move.
        if image.brokers.values().any(|one| one.in_controlled_shutdown && one.id != broker.node) {
            broker.lifecycle.hurry();
        }
    }
    // Until then they are there to say that they are gone; without them it would look like a failed
    // disk.
    for (id, index) in left {
        broker.partitions.remove(id, index);
    }
    let mut deleted = Vec::new();
    for (id, change) in &changes.topics {
        if let TopicChange::Removed(topic) = change {
            broker.partitions.remove_topic(*id);
            deleted.push(Arc::clone(&topic.name));
        }
    }
    coordinators::on_metadata(broker, changes);
    if !deleted.is_empty() {
        broker.groups.on_topics_deleted(broker, &deleted);
    }
}

fn apply_settings(broker: &Arc<Broker>, image: &Image, changes: &Changes) {
    let of_brokers = |resource: &ConfigResource| resource.kind == ResourceType::Broker;
    let topics: Vec<_> = if changes.configs.iter().any(of_brokers) {
        broker.replication_quotas.on_settings(broker, image);
        image.topics.iter().collect()
    } else {
        let names = changes.configs.iter().filter(|changed| changed.kind == ResourceType::Topic);
        names.filter_map(|changed| image.topics.by_name(&changed.name)).collect()
    };
    for topic in topics {
        let settings = settings(broker, image, &topic.name);
        for partition in broker.partitions.of_topic(topic.id) {
            partition.on_settings(Arc::clone(&settings));
        }
    }
}

/// The settings of a topic under `image`.
pub(crate) fn settings(broker: &Broker, image: &Image, topic: &str) -> Arc<TopicSettings> {
    let wide = BrokerWide {
        producer_id_expiration_ms: broker.config.number("producer.id.expiration.ms"),
        lag_time_max_ms: broker.config.number("replica.lag.time.max.ms"),
    };
    TopicSettings::resolve(image, broker.config_sources(image), topic, wide)
}

pub(crate) fn apply_partition(
    broker: &Arc<Broker>,
    topic: &TopicImage,
    index: i32,
    settings: &Arc<TopicSettings>,
) {
    let registration = &topic.partitions[&index];
    let is_replica = registration.replicas.contains(&broker.node);
    match broker.partitions.find(topic.id, index) {
        Some(hosted) if is_replica => {
            hosted.on_settings_if_new(settings);
            hosted.on_metadata(registration, broker.clock.monotonic_ms());
            broker.fetchers.on_partitions_changed(broker, &[hosted]);
            return;
        }
        Some(hosted) => {
            broker.partitions.remove(topic.id, index);
            return delete_partition(broker, &hosted, ErrorCode::NotLeaderOrFollower);
        }
        None if !is_replica => return,
        None => {}
    }
    let Some(directory) = home_of(broker, registration) else { return };
    match make(broker, directory, topic, index, settings) {
        Ok(hosted) => {
            // Its directory is to be durable, and its files closed, before somebody needs it.
            hosted.queue_flush();
            broker.partitions.insert(Arc::clone(&hosted));
            report_directory(broker, &hosted, registration);
            broker.fetchers.on_partitions_changed(broker, &[hosted]);
        }
        Err(error) => directory.fail(&error),
    }
}

/// Where a replica is to be made: in the directory that the controller knows it to be in, or in any
/// if it knows none. One whose directory failed is not made anew elsewhere. One whose directory is
/// gone, as that of a disk that was replaced, is made anew as soon as somebody else leads and nobody
/// counts on it: before, an empty log in its place would be taken for all that there was.
fn home_of<'a>(
    broker: &'a Broker,
    registration: &PartitionRegistration,
) -> Option<&'a Arc<DataDirectory>> {
    let assigned = registration.directory_of(broker.node);
    if RESERVED_DIRECTORIES.contains(&assigned) {
        return emptiest(&broker.directories);
    }
    if let Some(known) = broker.directories.iter().find(|directory| directory.id == assigned) {
        return Some(known).filter(|directory| !directory.storage.is_offline());
    }
    // The id of a directory that failed before it was read is not known: it may be the one.
    let are_all_known = !broker.directories.iter().any(|directory| directory.storage.is_offline());
    let is_led = ![BrokerId::NONE, broker.node].contains(&registration.leader);
    let is_trusted =
        registration.isr.contains(&broker.node) || registration.elr.contains(&broker.node);
    if are_all_known && is_led && !is_trusted { emptiest(&broker.directories) } else { None }
}

/// Tells the controller where a replica lives, if it thinks otherwise.
pub(crate) fn report_directory(
    broker: &Broker,
    hosted: &HostedPartition,
    registration: &PartitionRegistration,
) {
    let directory = hosted.directory().id;
    if registration.directory_of(broker.node) != directory {
        broker.directory_assignments.add(hosted.topic_id, hosted.index, directory);
    }
}

/// The directory with the fewest partitions, as Kafka chooses.
fn emptiest(directories: &[Arc<DataDirectory>]) -> Option<&Arc<DataDirectory>> {
    let online = directories.iter().filter(|directory| !directory.storage.is_offline());
    online.min_by_key(|directory| directory.partition_count())
}

fn make(
    broker: &Arc<Broker>,
    directory: &Arc<DataDirectory>,
    topic: &TopicImage,
    index: i32,
    settings: &Arc<TopicSettings>,
) -> Result<Arc<HostedPartition>, StorageError> {
    let partition = TopicPartition::new(Arc::clone(&topic.name), index);
    let path = directory.storage.partition_dir(&partition);
    let now_ms = broker.clock.wall_ms();
    let log = Log::create(&broker.disk, &path, Arc::clone(&settings.log), Some(topic.id), now_ms)?;
    let opened = OpenedLog { log, high_watermark: Offset::ZERO };
    Ok(host(broker, directory, topic, index, opened, Arc::clone(settings)))
}

/// A log that is open, and below where its last life knew it to be committed.
pub(crate) struct OpenedLog {
    pub(crate) log: Log,
    pub(crate) high_watermark: Offset,
}

/// Puts a log that is open to service.
pub(crate) fn host(
    broker: &Arc<Broker>,
    directory: &Arc<DataDirectory>,
    topic: &TopicImage,
    index: i32,
    opened: OpenedLog,
    settings: Arc<TopicSettings>,
) -> Arc<HostedPartition> {
    let hosting = Hosting {
        topic: Arc::clone(&topic.name),
        index,
        topic_id: topic.id,
        directory: Arc::clone(directory),
        local: broker.node,
        log: opened.log,
        high_watermark: opened.high_watermark,
        settings,
        isr_changes: Arc::clone(&broker.isr_changes),
        damages: Arc::clone(&broker.damages),
        now_ms: broker.clock.monotonic_ms(),
    };
    let hosted = HostedPartition::new(hosting, &topic.partitions[&index]);
    directory.add(&hosted);
    broker.fetchers.on_partitions_changed(broker, &[Arc::clone(&hosted)]);
    hosted
}

/// Takes a topic out of service.
fn delete_topic(broker: &Arc<Broker>, topic: &TopicImage) {
    for partition in broker.partitions.of_topic(topic.id) {
        delete_partition(broker, &partition, ErrorCode::UnknownTopicOrPartition);
    }
}

/// Takes a partition out of service; everybody is answered `error`. Its directory is renamed at once,
/// so that the name is free, and removed by the housekeeping once readers had their time.
fn delete_partition(broker: &Arc<Broker>, partition: &Arc<HostedPartition>, error: ErrorCode) {
    partition.retire(error);
    broker.fetchers.on_partitions_changed(broker, std::slice::from_ref(partition));
    partition.on_deleted();
    let unique = kalda_model::Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng));
    let name = TopicPartition::new(Arc::clone(&partition.topic), partition.index);
    let directory = partition.directory();
    directory.remove(partition);
    match directory.storage.rename_for_delete(&name, unique) {
        Ok(path) => {
            let delay_ms = partition.file_delete_delay_ms();
            directory.add_deleted(path, broker.clock.wall_ms().saturating_add(delay_ms));
        }
        Err(error) => directory.fail(&error),
    }
}
