//! The producer: records gather in batches per partition, a sender task carries them to the leaders.
//!
//! [`Producer::send`] waits for room, never for the broker; the [`Delivery`] it returns is the
//! broker's answer. Dropping the producer aborts the sender; [`Producer::close`] lets it finish.

mod accumulator;
mod batch;
mod partitioner;
mod sender;
mod transaction;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use kalda_env::Clock;
use kalda_model::TopicPartition;
use kalda_records::{BATCH_OVERHEAD, BatchBuilder};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cluster::{AutoCreate, Cluster};
use crate::config::ProducerConfig;
use crate::{Error, Result, World};

use accumulator::{Accumulator, Limits};
use sender::Sender;
use transaction::coordinator::Coordinator;

pub use partitioner::{Partitioner, murmur2, partition_of_key};

/// A record to be sent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// The partition; `None` leaves it to the partitioner.
    pub partition: Option<i32>,
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null, which deletes the key in a compacted topic.
    pub value: Option<Bytes>,
    /// The headers, in order; a name may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970; `None` is now.
    pub timestamp: Option<i64>,
}

impl Record {
    /// An empty record for a topic.
    #[must_use]
    pub fn to(topic: &str) -> Self {
        Self { topic: topic.to_owned(), ..Self::default() }
    }

    /// With that key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With that value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Option<Bytes>) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    fn new_headers(&self) -> Vec<kalda_records::NewHeader<'_>> {
        self.headers
            .iter()
            .map(|(key, value)| kalda_records::NewHeader { key, value: value.as_deref() })
            .collect()
    }

    /// The most bytes that it takes in a batch.
    fn size_max(&self) -> usize {
        let headers = self.new_headers();
        BatchBuilder::record_size_max(self.key.as_deref(), self.value.as_deref(), &headers)
    }
}

/// Where a record went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    /// The partition.
    pub partition: TopicPartition,
    /// Its offset; `None` with `acks=0` and for a duplicate that the broker had already.
    pub offset: Option<i64>,
    /// Its timestamp: the producer's, or the broker's if the topic says so.
    pub timestamp: i64,
}

/// The broker's answer to one record, some time.
#[must_use = "the answer may be an error"]
pub struct Delivery(oneshot::Receiver<Result<RecordMetadata>>);

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delivery")
    }
}

/// What producer and sender share.
#[derive(Debug)]
struct Shared {
    accumulator: Mutex<Accumulator>,
    /// Batches are there to be sent, or the end is near.
    wake: Notify,
    /// Batches are done: there is room again, and flushes may be over.
    done: Notify,
    /// The way to the coordinators, if there is a transactional id.
    coordinator: Option<Arc<Coordinator>>,
}

impl Shared {
    /// Waits until that holds of the accumulator.
    async fn until(&self, mut holds: impl FnMut(&mut Accumulator) -> bool) {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            // Registered before looking, so that what is done in between is not missed.
            done.as_mut().enable();
            if holds(&mut self.accumulator.lock()) {
                return;
            }
            done.await;
        }
    }
}

/// Ends a flush, also one that nobody waits for any more.
struct Flush<'a>(&'a Shared);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.accumulator.lock().end_flush();
    }
}

/// Sends records.
pub struct Producer {
    config: ProducerConfig,
    cluster: Arc<Cluster>,
    shared: Arc<Shared>,
    partitioner: Box<dyn Partitioner>,
    clock: Arc<dyn Clock>,
    sender: Option<JoinHandle<()>>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.abort();
        }
    }
}

impl Producer {
    pub(crate) fn new(
        config: ProducerConfig,
        world: World,
        partitioner: Option<Box<dyn Partitioner>>,
    ) -> Self {
        let (clock, rng) = (Arc::clone(&world.clock), Arc::clone(&world.rng));
        let cluster = Arc::new(Cluster::new(config.client.clone(), world));
        let shared = Arc::new(Shared {
            accumulator: Mutex::new(Accumulator::new(Limits::from(&config))),
            wake: Notify::new(),
            done: Notify::new(),
            coordinator: Coordinator::of(&config, &cluster).map(Arc::new),
        });
        let sender = Sender::new(
            config.clone(),
            Arc::clone(&cluster),
            Arc::clone(&shared),
            Arc::clone(&clock),
        );
        let partitioner = partitioner.unwrap_or_else(|| {
            Box::new(partitioner::DefaultPartitioner::new(config.batch_size, rng))
        });
        let sender = Some(tokio::spawn(sender.run()));
        Self { config, cluster, shared, partitioner, clock, sender }
    }

    /// Hands a record to the sender. Waits up to `max.block.ms` for the topic's metadata and for
    /// room in the buffer.
    ///
    /// # Errors
    /// The topic cannot be found, the record is too large, or there was no room in time.
    pub async fn send(&self, record: Record) -> Result<Delivery> {
        let size = record.size_max();
        self.check_size(size)?;
        let max_block = Duration::from_millis(self.config.max_block_ms);
        let partition = self.choose_partition(&record, max_block).await?;
        let partition = TopicPartition::new(record.topic.as_str(), partition);
        match timeout(max_block, self.append(&partition, &record, size)).await {
            Ok(delivery) => delivery,
            Err(_) => Err(Error::Timeout(format!(
                "Failed to allocate {size} bytes within the configured max blocking time {} ms.",
                self.config.max_block_ms
            ))),
        }
    }

    fn check_size(&self, record: usize) -> Result<()> {
        let size = BATCH_OVERHEAD + record;
        for (key, limit) in [
            ("max.request.size", self.config.max_request_size),
            ("buffer.memory", self.config.buffer_memory),
        ] {
            if size > limit {
                let code = kalda_protocol::ErrorCode::MessageTooLarge;
                let message = format!(
                    "The message is {size} bytes when serialized which is larger than {limit}, which is the value of the {key} configuration."
                );
                return Err(Error::Api { code, message });
            }
        }
        Ok(())
    }

    async fn choose_partition(&self, record: &Record, max_block: Duration) -> Result<i32> {
        let known = |cluster: &Cluster| {
            cluster.with_metadata(|metadata| {
                metadata.topic(&record.topic).map(crate::metadata::TopicMetadata::partition_count)
            })
        };
        let mut count = match known(&self.cluster) {
            Some(count) => count,
            None => self.cluster.await_topic(&record.topic, AutoCreate::Allowed, max_block).await?,
        };
        if let Some(partition) = record.partition {
            if partition >= count {
                // The topic may have grown since.
                count =
                    self.cluster.await_topic(&record.topic, AutoCreate::Allowed, max_block).await?;
            }
            if !(0..count).contains(&partition) {
                return Err(Error::Timeout(format!(
                    "Partition {partition} of topic {} with partition count {count} is not present in metadata after {} ms.",
                    record.topic, self.config.max_block_ms
                )));
            }
            return Ok(partition);
        }
        let available = self.cluster.with_metadata(|metadata| {
            let with_leader =
                |partition: &i32| metadata.leader(&record.topic, *partition).is_some();
            (0..count).filter(with_leader).collect::<Vec<_>>()
        });
        let chosen = self.partitioner.partition(record, count, &available);
        if (0..count).contains(&chosen) {
            return Ok(chosen);
        }
        let what = format!("the partitioner chose {chosen} of {count} partitions");
        Err(Error::InvalidArgument(what))
    }

    async fn append(
        &self,
        partition: &TopicPartition,
        record: &Record,
        size: usize,
    ) -> Result<Delivery> {
        loop {
            let room = self.shared.done.notified();
            tokio::pin!(room);
            // Registered before looking, so that room made in between is not missed.
            room.as_mut().enable();
            let (wall_ms, now_ms) = (self.clock.wall_ms(), self.clock.monotonic_ms());
            let timestamp = record.timestamp.unwrap_or(wall_ms);
            let appended = self
                .shared
                .accumulator
                .lock()
                .append(partition, record, size, timestamp, now_ms)?;
            match appended {
                accumulator::Appended::Taken { delivery, should_wake } => {
                    if should_wake {
                        self.shared.wake.notify_one();
                    }
                    return Ok(Delivery(delivery));
                }
                accumulator::Appended::NoRoom => {
                    self.shared.wake.notify_one();
                    room.await;
                }
            }
        }
    }

    /// Sends what waits, without lingering, and returns when all that was sent before is answered.
    /// Failures are told by the deliveries.
    pub async fn flush(&self) {
        let last = self.shared.accumulator.lock().begin_flush();
        let _flush = Flush(&self.shared);
        self.shared.wake.notify_one();
        self.shared.until(|accumulator| accumulator.is_done_up_to(last)).await;
    }

    /// Sends what waits, waits for the answers and ends the sender. Records sent while it runs are
    /// refused.
    pub async fn close(mut self) {
        self.shared.accumulator.lock().close();
        self.shared.wake.notify_one();
        if let Some(sender) = self.sender.take()
            && let Err(error) = sender.await
        {
            tracing::error!("the producer's sender failed: {error}");
        }
    }
}
