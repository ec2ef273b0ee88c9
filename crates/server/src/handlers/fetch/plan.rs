//! One look at all partitions of a fetch, and the wait for more.

use std::sync::Arc;

use kalda_metadata::Image;
use kalda_protocol::ErrorCode;

use super::{Fetched, TopicRef, Wanted};
use crate::broker::Broker;
use crate::hosted::{
    FetchedRecords, HostedPartition, Isolation, ParkedFetch, ReadLimits, Reading, Who,
};

/// The bounds of one fetch.
pub(super) struct Read<'a> {
    pub(super) broker: &'a Broker,
    pub(super) max_bytes: usize,
    pub(super) min_bytes: usize,
    pub(super) isolation: Isolation,
    pub(super) who: Who<'a>,
}

/// What one look found.
pub(super) struct Outcome {
    pub(super) fetched: Vec<Fetched>,
    /// Whether it is to be answered at once.
    pub(super) is_ready: bool,
    /// How many more bytes the client waits for.
    pub(super) missing_bytes: usize,
    /// Something is left out because the replica is throttled.
    pub(super) is_throttled: bool,
}

impl Outcome {
    /// The bytes of it that count against the leader's quota.
    pub(super) fn throttled_bytes(fetched: &[Fetched]) -> usize {
        let throttled = fetched.iter().filter(|one| one.records.is_throttled);
        throttled.map(|one| one.records.len()).sum()
    }
}

impl Read<'_> {
    /// Reads what is there. The first records that are found may exceed every limit, so that a
    /// client always gets on (KIP-74).
    pub(super) fn once(&self, wanted: &[Wanted]) -> Outcome {
        let image = self.broker.image();
        let reading = Reading {
            who: self.who,
            isolation: self.isolation,
            image: &image,
            now_ms: self.broker.clock.monotonic_ms(),
            is_rack_aware: self.broker.is_rack_aware,
        };
        let mut left = self.max_bytes;
        let mut found_bytes = 0;
        let mut is_ready = false;
        let mut throttled_left = self.throttled_max_bytes();
        let mut is_throttled = false;
        let mut fetched = Vec::with_capacity(wanted.len());
        for want in wanted {
            let limits = ReadLimits {
                max_bytes: want.max_bytes.min(left),
                at_least_one_batch: found_bytes == 0,
                throttled_max_bytes: throttled_left,
            };
            let one = self.read_one(&reading, want, limits);
            let len = one.records.len();
            found_bytes += len;
            left = left.saturating_sub(len);
            if one.records.is_throttled {
                is_throttled |= len == 0 && one.records.readable_end.0 > want.fetch_offset;
                throttled_left = throttled_left.map(|bytes| bytes.saturating_sub(len));
            }
            is_ready |= one.error != ErrorCode::None
                || one.records.diverging.is_some()
                || one.records.preferred_read_replica.is_some()
                || one.records.is_on_older_segment;
            fetched.push(one);
        }
        is_ready |= found_bytes >= self.min_bytes;
        let missing_bytes = self.min_bytes.saturating_sub(found_bytes);
        Outcome { fetched, is_ready, missing_bytes, is_throttled }
    }

    fn throttled_max_bytes(&self) -> Option<usize> {
        match self.who {
            Who::Replica { .. } => {
                let quota = &self.broker.replication_quotas.leader;
                quota.available(self.broker.clock.monotonic_ms())
            }
            Who::Consumer { .. } => None,
        }
    }

    fn read_one(&self, reading: &Reading<'_>, want: &Wanted, limits: ReadLimits) -> Fetched {
        let read =
            find(self.broker, reading.image, &want.topic, want.partition).and_then(|partition| {
                // Before the read: what happens after it is told.
                if let Some(watch) = &want.watch {
                    partition.tell(watch);
                }
                partition.read(want, reading, limits)
            });
        let (error, records) = match read {
            Ok(records) => (ErrorCode::None, records),
            Err(error) => (error, FetchedRecords::default()),
        };
        Fetched { topic: want.topic.clone(), partition: want.partition, error, records }
    }

    /// Registers `parked` with every partition. `false` when one of them has moved on meanwhile: it
    /// must be read again instead of waiting.
    pub(super) fn park(
        &self,
        wanted: &[Wanted],
        seen: &[Fetched],
        parked: &Arc<ParkedFetch>,
    ) -> bool {
        let image = self.broker.image();
        for (want, seen) in wanted.iter().zip(seen) {
            let Ok(partition) = find(self.broker, &image, &want.topic, want.partition) else {
                // It was deleted meanwhile: the client is to hear of it now.
                self.unpark(wanted, parked);
                return false;
            };
            if !partition.park(parked, self.isolation, &seen.records) {
                self.unpark(wanted, parked);
                return false;
            }
        }
        true
    }

    pub(super) fn unpark(&self, wanted: &[Wanted], parked: &Arc<ParkedFetch>) {
        let image = self.broker.image();
        for want in wanted {
            if let Ok(partition) = find(self.broker, &image, &want.topic, want.partition) {
                partition.unpark(parked);
            }
        }
    }
}

fn find(
    broker: &Broker,
    image: &Image,
    topic: &TopicRef,
    partition: i32,
) -> Result<Arc<HostedPartition>, ErrorCode> {
    let topic = match topic {
        TopicRef::Name(name) => {
            image.topics.by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?
        }
        TopicRef::Id(id) => image.topics.by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
    };
    if !topic.partitions.contains_key(&partition) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    broker
        .partitions
        .find(topic.id, partition)
        .ok_or_else(|| broker.why_not_hosted(topic, partition))
}
