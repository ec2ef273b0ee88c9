//! BrokerHeartbeat: who lives, who may lead, who may stop (`ReplicationControlManager`,
//! `BrokerHeartbeatManager`); and who is fenced without one.

use kalda_metadata::BrokerRegistration;
use kalda_model::{BrokerId, DirectoryId};
use kalda_protocol::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use kalda_protocol::stored::metadata::{BrokerRegistrationChangeRecord, MetadataRecord};

use crate::partition_updates::{BrokerChange, Draft};
use crate::{BrokerSessions, Controller, Decision};

/// What a broker is, and what it may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Controller<'_> {
    /// Decides what follows of a heartbeat: the broker is fenced, unfenced, on its way to its end,
    /// or may stop. Leaders leave log directories that it says are offline.
    #[must_use]
    pub fn broker_heartbeat(
        &self,
        request: &BrokerHeartbeatRequest,
        sessions: &mut BrokerSessions,
        now_ms: i64,
    ) -> Decision<BrokerHeartbeatResponse> {
        if let Err(code) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            let response = BrokerHeartbeatResponse {
                error_code: code.code(),
                ..BrokerHeartbeatResponse::default()
            };
            return Decision { records: Vec::new(), response };
        }
        let broker = &*self.image.brokers[&BrokerId(request.broker_id)];
        let offset = request.current_metadata_offset;
        let registered_at = sessions.on_heartbeat(broker.id, broker.epoch, offset, now_ms);
        let is_caught_up = offset >= registered_at;
        let now = State::of(broker);
        let next = self.next_state(broker, request, is_caught_up, sessions);
        let mut draft = Draft::new(self);
        draft.step(|controller| (controller.enter(broker, now, next), ()));
        draft.step(|controller| {
            (controller.directories_offline(broker, &request.offline_log_dirs), ())
        });
        if next == State::ShutdownNow {
            sessions.end(broker.id);
        }
        let response = BrokerHeartbeatResponse {
            is_caught_up,
            is_fenced: matches!(next, State::Fenced | State::ShutdownNow),
            should_shut_down: next == State::ShutdownNow,
            ..BrokerHeartbeatResponse::default()
        };
        Decision { records: draft.records, response }
    }

    /// Fences every broker that was silent for a session.
    #[must_use]
    pub fn fence_silent_brokers(&self, sessions: &mut BrokerSessions, now_ms: i64) -> Decision<()> {
        let mut draft = Draft::new(self);
        for id in sessions.take_expired(now_ms) {
            draft.step(|controller| (controller.fence(id), ()));
        }
        Decision { records: draft.records, response: () }
    }

    /// Fences a broker that is known to be gone: its connection broke and it could not be reached.
    #[must_use]
    pub fn fence_broker(&self, sessions: &mut BrokerSessions, id: BrokerId) -> Decision<()> {
        sessions.end(id);
        Decision { records: self.fence(id), response: () }
    }

    fn next_state(
        &self,
        broker: &BrokerRegistration,
        request: &BrokerHeartbeatRequest,
        is_caught_up: bool,
        sessions: &mut BrokerSessions,
    ) -> State {
        match State::of(broker) {
            State::Fenced if request.want_shut_down => State::ShutdownNow,
            State::Fenced if !request.want_fence && is_caught_up => State::Unfenced,
            State::Fenced => State::Fenced,
            State::Unfenced if request.want_fence && request.want_shut_down => State::ShutdownNow,
            State::Unfenced if request.want_fence => State::Fenced,
            State::Unfenced if request.want_shut_down && self.leads_anything(broker.id) => {
                State::ControlledShutdown
            }
            State::Unfenced if request.want_shut_down => State::ShutdownNow,
            State::Unfenced => State::Unfenced,
            State::ControlledShutdown if self.leads_anything(broker.id) => {
                State::ControlledShutdown
            }
            State::ControlledShutdown => {
                // Its last leadership went at or before the newest record that is known here.
                let newest = self.image.end_offset.0 - 1;
                let must_be_applied = sessions.shutdown_offset(broker.id, newest);
                if sessions.lowest_active_offset(self.image) >= must_be_applied {
                    State::ShutdownNow
                } else {
                    State::ControlledShutdown
                }
            }
            State::ShutdownNow => State::ShutdownNow,
        }
    }

    fn enter(&self, broker: &BrokerRegistration, now: State, next: State) -> Vec<MetadataRecord> {
        if now == next {
            return Vec::new();
        }
        match next {
            State::Fenced | State::ShutdownNow => self.fence(broker.id),
            State::Unfenced => {
                let mut records = vec![fencing(broker, Fencing::Unfence)];
                let may_lead = BrokerChange::MayLead(broker.id);
                if !broker.in_controlled_shutdown {
                    records.extend(self.update_partitions(may_lead, &|_| true));
                }
                records
            }
            State::ControlledShutdown => {
                let stopping = BrokerRegistrationChangeRecord {
                    broker_id: broker.id.0,
                    broker_epoch: broker.epoch.0,
                    in_controlled_shutdown: 1,
                    ..BrokerRegistrationChangeRecord::default()
                };
                let mut records = vec![MetadataRecord::BrokerRegistrationChange(stopping)];
                records.extend(self.update_partitions(BrokerChange::Leaves(broker.id), &|_| true));
                records
            }
        }
    }

    /// Takes a broker out of all ISRs and leaderships and fences it, if it is not.
    fn fence(&self, id: BrokerId) -> Vec<MetadataRecord> {
        let Some(broker) = self.image.brokers.get(&id).filter(|broker| !broker.fenced) else {
            return Vec::new();
        };
        let mut records = self.update_partitions(BrokerChange::Leaves(id), &|_| true);
        records.push(fencing(broker, Fencing::Fence));
        records
    }

    /// Log directories of a broker failed: what lies in them is no longer in sync.
    fn directories_offline(
        &self,
        broker: &BrokerRegistration,
        offline: &[DirectoryId],
    ) -> Vec<MetadataRecord> {
        let (failed, online): (Vec<_>, Vec<_>) =
            broker.log_dirs.iter().copied().partition(|directory| offline.contains(directory));
        if failed.is_empty() {
            return Vec::new();
        }
        let is_there = |partition: &kalda_metadata::PartitionRegistration| {
            failed.contains(&partition.directory_of(broker.id))
        };
        let mut records = self.update_partitions(BrokerChange::Leaves(broker.id), &is_there);
        records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: broker.id.0,
            broker_epoch: broker.epoch.0,
            log_dirs: online,
            ..BrokerRegistrationChangeRecord::default()
        }));
        records
    }

    fn leads_anything(&self, id: BrokerId) -> bool {
        let mut topics = self.image.topics.iter();
        topics.any(|topic| topic.partitions.values().any(|partition| partition.leader == id))
    }
}

impl State {
    fn of(broker: &BrokerRegistration) -> Self {
        match (broker.fenced, broker.in_controlled_shutdown) {
            (true, _) => Self::Fenced,
            (false, true) => Self::ControlledShutdown,
            (false, false) => Self::Unfenced,
        }
    }
}

/// The two ways in which fencing changes, by their numbers in the record.
#[derive(Clone, Copy)]
enum Fencing {
    Fence = 1,
    Unfence = -1,
}

fn fencing(broker: &BrokerRegistration, change: Fencing) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        fenced: change as i8,
        ..BrokerRegistrationChangeRecord::default()
    })
}
