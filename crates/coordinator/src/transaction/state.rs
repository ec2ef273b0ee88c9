//! One transactional id: where its transaction stands, and each step that it can take. A step makes a
//! new value and changes nothing; the shard logs it and takes it over by replaying (Kafka's
//! `TransactionMetadata`).

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;

use crate::decision::TopicPartitions;

/// Where a transaction stands. The numbers are those of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The producer has begun nothing.
    Empty = 0,
    /// Partitions are part of it.
    Ongoing = 1,
    /// It will be committed, whatever happens now.
    PrepareCommit = 2,
    /// It will be aborted, whatever happens now.
    PrepareAbort = 3,
    /// Every partition has the marker.
    CompleteCommit = 4,
    /// Every partition has the marker.
    CompleteAbort = 5,
    /// The id has expired. Kafka never logs it.
    Dead = 6,
    /// On the way to an abort by the coordinator. Kafka never logs it.
    PrepareEpochFence = 7,
}

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    pub(crate) fn from_id(id: i8) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// As tools show it and filters name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// Whether markers are on their way.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// Epochs from here on are the last ones of a producer id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// Whether the epoch leaves no room for another one.
pub(crate) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= LAST_EPOCH
}

/// Whether the epoch is one that only markers have: whoever fences a producer with the last epoch of an
/// id has none left to give it (KAFKA-20090).
pub(crate) fn is_of_markers(epoch: ProducerEpoch) -> bool {
    epoch.0 == i16::MAX
}

fn next(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}

/// What is known of a transactional id: all of it is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Transaction {
    pub(crate) producer_id: ProducerId,
    /// The id before this one, for who did not hear that it changed.
    pub(crate) previous_producer_id: ProducerId,
    /// The id that takes over when the transaction is complete, if this one has no epochs left.
    pub(crate) next_producer_id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    pub(crate) timeout_ms: i32,
    pub(crate) state: State,
    pub(crate) partitions: TopicPartitions,
    /// When the transaction began; -1 without one.
    pub(crate) start_ms: i64,
    pub(crate) last_update_ms: i64,
    /// The `transaction.version` that its last step was taken under.
    pub(crate) version: i16,
}

impl Transaction {
    /// What a transactional id is that was never seen.
    pub(crate) fn begin(
        producer_id: ProducerId,
        timeout_ms: i32,
        version: i16,
        now_ms: i64,
    ) -> Self {
        Self {
            producer_id,
            previous_producer_id: ProducerId::NONE,
            next_producer_id: ProducerId::NONE,
            epoch: ProducerEpoch(0),
            timeout_ms,
            state: State::Empty,
            partitions: TopicPartitions::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            version,
        }
    }

    /// What a producer is told whose epoch is not that of the id. An epoch that was not given yet was given by
    /// another coordinator: this one led once, and does not know that it does no more.
    pub(crate) fn refusal_of(&self, id: ProducerId, epoch: ProducerEpoch) -> ErrorCode {
        let is_ahead = id == self.producer_id && epoch > self.epoch && !is_of_markers(epoch);
        if is_ahead { ErrorCode::NotCoordinator } else { ErrorCode::ProducerFenced }
    }

    /// A producer takes the id over: whoever had it is fenced by the next epoch.
    pub(crate) fn bump_epoch(&self, timeout_ms: i32, now_ms: i64) -> Self {
        Self { epoch: next(self.epoch), ..self.emptied(timeout_ms, now_ms) }
    }

    /// The same, when there are no epochs left.
    pub(crate) fn rotate(&self, producer_id: ProducerId, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer_id,
            previous_producer_id: self.producer_id,
            epoch: ProducerEpoch(0),
            ..self.emptied(timeout_ms, now_ms)
        }
    }

    fn emptied(&self, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            timeout_ms,
            state: State::Empty,
            partitions: TopicPartitions::new(),
            start_ms: -1,
            last_update_ms: now_ms,
            next_producer_id: ProducerId::NONE,
            ..self.clone()
        }
    }

    /// Partitions become part of the transaction, which begins if it has not.
    pub(crate) fn add(&self, partitions: &TopicPartitions, version: i16, now_ms: i64) -> Self {
        let mut added = self.clone();
        if self.state != State::Ongoing {
            added.start_ms = now_ms;
            added.partitions.clear();
        }
        for (topic, indexes) in partitions {
            added.partitions.entry(topic.clone()).or_default().extend(indexes);
        }
        Self { state: State::Ongoing, last_update_ms: now_ms, version, ..added }
    }

    /// Its producer ends it. Under version 2 the markers have the next epoch, and so has what the
    /// producer sends from now on; `spare` is its id then, if the epoch is the last.
    pub(crate) fn end(
        &self,
        commit: bool,
        version: i16,
        spare: Option<ProducerId>,
        now_ms: i64,
    ) -> Self {
        let mut ended = self.clone();
        if self.state != State::Ongoing {
            // An abort of nothing, which still takes an epoch.
            ended.start_ms = now_ms;
            ended.partitions.clear();
        }
        if version >= 2 {
            ended.epoch = next(self.epoch);
            ended.next_producer_id = spare.unwrap_or(ProducerId::NONE);
        }
        let state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        Self { state, last_update_ms: now_ms, version, ..ended }
    }

    /// The coordinator aborts it: the producer was silent for too long, or another one took over.
    /// The markers fence it by an epoch that no producer ever gets to hear as its own.
    pub(crate) fn fence(&self, version: i16, now_ms: i64) -> Self {
        Self {
            epoch: next(self.epoch),
            state: State::PrepareAbort,
            last_update_ms: now_ms,
            version,
            ..self.clone()
        }
    }

    /// Every partition has its marker.
    pub(crate) fn complete(&self, now_ms: i64) -> Self {
        let commit = self.state == State::PrepareCommit;
        let mut completed = Self {
            state: if commit { State::CompleteCommit } else { State::CompleteAbort },
            partitions: TopicPartitions::new(),
            last_update_ms: now_ms,
            next_producer_id: ProducerId::NONE,
            ..self.clone()
        };
        if self.next_producer_id != ProducerId::NONE {
            completed.previous_producer_id = self.producer_id;
            completed.producer_id = self.next_producer_id;
            completed.epoch = ProducerEpoch(0);
        }
        completed
    }

    /// How long the coordinator still lets it be, if it is open: never longer than its time, whatever the
    /// clock of the coordinator before said when it began.
    pub(crate) fn left_ms(&self, wall_ms: i64) -> Option<i64> {
        let timeout_ms = i64::from(self.timeout_ms);
        let left_ms = self.start_ms.saturating_add(timeout_ms).saturating_sub(wall_ms);
        (self.state == State::Ongoing).then(|| left_ms.clamp(0, timeout_ms.max(0)))
    }

    /// Whether the id may be forgotten once it has been silent for long.
    pub(crate) fn may_expire(&self) -> bool {
        matches!(self.state, State::Empty | State::CompleteCommit | State::CompleteAbort)
    }

    pub(crate) fn contains(&self, partitions: &TopicPartitions) -> bool {
        partitions.iter().all(|(topic, indexes)| {
            self.partitions.get(topic).is_some_and(|known| indexes.is_subset(known))
        })
    }
}
