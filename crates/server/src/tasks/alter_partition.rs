//! Changes of ISRs: gathered from the partitions that this broker leads, and asked of the controller, one
//! request at a time (`AlterPartitionManager`); and the look for replicas that lag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kalda_model::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, RequestPartitionData,
    RequestTopicData, ResponsePartitionData,
};
use kalda_replication::{AlterAnswer, AlterRefused, Proposal};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::hosted::{HostedPartition, Registered};

/// The pause before what the controller did not answer is asked again.
const RETRY: Duration = Duration::from_millis(50);
/// When a replica that the controller did not let in is looked at again: it may have heard by then that
/// the replica is back.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Partitions that are looked at between two turns of other tasks.
const PARTITIONS_PER_TURN: usize = 256;

/// The partitions whose ISR is to change.
#[derive(Debug, Default)]
pub(crate) struct IsrChanges {
    ready: Mutex<Vec<Arc<HostedPartition>>>,
    is_look_due: AtomicBool,
    wake: Notify,
}

impl IsrChanges {
    /// This one has a proposal. The caller holds its lock.
    pub(crate) fn add(&self, partition: Arc<HostedPartition>) {
        self.ready.lock().push(partition);
        self.wake.notify_one();
    }

    /// Brokers came, went, or changed their state, in an image that is published: who could not be in sync
    /// may be now, without another fetch.
    pub(crate) fn on_brokers_changed(&self) {
        self.is_look_due.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// Runs until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    let lag_ms_max = broker.config.number("replica.lag.time.max.ms");
    let every = Duration::from_millis(u64::try_from(lag_ms_max / 2).unwrap_or(0)).max(RETRY);
    let mut look_at = Instant::now() + every;
    loop {
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            () = broker.isr_changes.wake.notified() => {}
            () = tokio::time::sleep_until(look_at) => {}
        }
        let is_asked = broker.isr_changes.is_look_due.swap(false, Ordering::AcqRel);
        if is_asked || Instant::now() >= look_at {
            look_at = Instant::now() + every;
            look(&broker).await;
        }
        match propose(&broker).await {
            Outcome::Answered => {}
            Outcome::SomeNotDone => look_at = look_at.min(Instant::now() + LOOK_AGAIN),
            Outcome::Unknown => {
                tokio::select! {
                    biased;
                    () = broker.stopping() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }
}

/// Looks at every partition that has followers.
async fn look(broker: &Arc<Broker>) {
    let image = broker.image();
    let now_ms = broker.clock.monotonic_ms();
    for (number, partition) in broker.partitions.all().into_iter().enumerate() {
        partition.on_tick(&Registered(&image), now_ms);
        if number % PARTITIONS_PER_TURN == PARTITIONS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// What became of a request.
enum Outcome {
    Answered,
    /// Some changes were refused, and may be allowed later.
    SomeNotDone,
    /// Nobody knows; it is to be asked again.
    Unknown,
}

type Proposed = (Arc<HostedPartition>, Proposal);

/// Asks the controller for all that is ready.
async fn propose(broker: &Arc<Broker>) -> Outcome {
    let ready = std::mem::take(&mut *broker.isr_changes.ready.lock());
    let epoch = broker.epoch();
    let with_proposal = |partition: Arc<HostedPartition>| {
        let proposal = partition.take_proposal(epoch)?;
        Some(((partition.topic_id, partition.index), (partition, proposal)))
    };
    let proposed: BTreeMap<(TopicId, i32), Proposed> =
        ready.into_iter().filter_map(with_proposal).collect();
    if proposed.is_empty() {
        return Outcome::Answered;
    }
    let request = request(broker, &proposed);
    let answered = broker.controller_channel.call(broker, &request).await;
    let answers = match &answered {
        Ok(response) => by_partition(response),
        Err(error) => {
            tracing::warn!("the controller did not answer a change of ISRs: {error}");
            BTreeMap::new()
        }
    };
    let mut outcome = Outcome::Answered;
    for (id, (partition, proposal)) in proposed {
        let answer = match answers.get(&id) {
            Some(answer) => read(answer),
            None => AlterAnswer::Refused(AlterRefused::Unknown),
        };
        match &answer {
            AlterAnswer::Altered { isr, .. } => {
                let name = format!("{}-{}", partition.topic, partition.index);
                let isr: Vec<_> = isr.iter().map(|id| id.0).collect();
                tracing::info!("{name}: the ISR is {isr:?} now");
            }
            AlterAnswer::Refused(AlterRefused::Unknown) => outcome = Outcome::Unknown,
            AlterAnswer::Refused(AlterRefused::NotDone) => {
                if let Outcome::Answered = outcome {
                    outcome = Outcome::SomeNotDone;
                }
            }
            AlterAnswer::Refused(AlterRefused::Superseded) => {}
        }
        partition.on_alter_answer(proposal.number, &answer);
    }
    outcome
}

fn request(
    broker: &Broker,
    proposed: &BTreeMap<(TopicId, i32), Proposed>,
) -> AlterPartitionRequest {
    let mut topics: Vec<RequestTopicData> = Vec::new();
    for ((topic_id, index), (_, proposal)) in proposed {
        let members = proposal
            .isr
            .iter()
            .map(|(id, epoch)| BrokerState { broker_id: id.0, broker_epoch: epoch.0 });
        let partition = RequestPartitionData {
            partition_index: *index,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: members.collect(),
            // Who leads and proposes has recovered.
            leader_recovery_state: 0,
            partition_epoch: proposal.partition_epoch.0,
            ..RequestPartitionData::default()
        };
        match topics.last_mut().filter(|topic| topic.topic_id == *topic_id) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                topics.push(RequestTopicData { topic_id: *topic_id, partitions: vec![partition] })
            }
        }
    }
    AlterPartitionRequest { broker_id: broker.node.0, broker_epoch: broker.epoch().0, topics }
}

fn by_partition(
    response: &AlterPartitionResponse,
) -> BTreeMap<(TopicId, i32), &ResponsePartitionData> {
    if response.error_code != ErrorCode::None.code() {
        let error = ErrorCode::from_code(response.error_code);
        tracing::warn!("the controller refused a change of ISRs: {error:?}");
        return BTreeMap::new();
    }
    let topics = response.topics.iter();
    let partitions = topics.flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|partition| ((topic.topic_id, partition.partition_index), partition))
    });
    partitions.collect()
}

fn read(answer: &ResponsePartitionData) -> AlterAnswer {
    let error = ErrorCode::from_code(answer.error_code).unwrap_or(ErrorCode::UnknownServerError);
    let refused = match error {
        ErrorCode::None => {
            return AlterAnswer::Altered {
                leader_epoch: LeaderEpoch(answer.leader_epoch),
                partition_epoch: PartitionEpoch(answer.partition_epoch),
                isr: answer.isr.iter().copied().map(BrokerId).collect(),
            };
        }
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => AlterRefused::NotDone,
        ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => AlterRefused::Superseded,
        _ => AlterRefused::Unknown,
    };
    AlterAnswer::Refused(refused)
}
