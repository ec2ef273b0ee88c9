//! BrokerRegistration and UnregisterBroker: who belongs to the cluster (`ClusterControlManager`).

use kalda_metadata::{BrokerRegistration, Endpoint, SupportedFeature};
use kalda_model::{BrokerEpoch, BrokerId, DirectoryId, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use kalda_protocol::messages::unregister_broker::{
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};
use kalda_protocol::stored::metadata::{MetadataRecord, UnregisterBrokerRecord};

use crate::features::{METADATA_VERSION, METADATA_VERSION_DIRECTORIES};
use crate::partition_updates::BrokerChange;
use crate::{BrokerSessions, Controller, Decision, RECORDS_PER_BATCH_MAX, Refusal};

/// How a broker's former life ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastShutdown {
    /// Everything it had acknowledged or not was on disk.
    Clean,
    /// It may have lost what was not yet flushed.
    Unclean,
}

impl Controller<'_> {
    /// Registers a broker, fenced. A new life of it gets a new epoch: the offset that its
    /// RegisterBroker record will have when the records of this decision are appended at
    /// `next_offset`. That record is the last of them, so that whoever replays it has replayed what
    /// an unclean end cost (KAFKA-18635); a decision of more than [`RECORDS_PER_BATCH_MAX`] records
    /// is a transaction, whose begin takes one offset more. The same life only amends what it said.
    ///
    /// The answer carries only the code of a refusal; [`registration_refusal`](Self::registration_refusal)
    /// says why.
    #[must_use]
    pub fn register_broker(
        &self,
        request: &BrokerRegistrationRequest,
        sessions: &mut BrokerSessions,
        cluster_id: &str,
        next_offset: Offset,
        now_ms: i64,
    ) -> Decision<BrokerRegistrationResponse> {
        if let Some(refusal) = self.refusal(request, sessions, cluster_id, now_ms) {
            let response = BrokerRegistrationResponse {
                error_code: refusal.code.code(),
                ..BrokerRegistrationResponse::default()
            };
            return Decision { records: Vec::new(), response };
        }
        let id = BrokerId(request.broker_id);
        let existing = self.image.brokers.get(&id);
        let same_life = existing.filter(|known| known.incarnation_id == request.incarnation_id);
        let mut records = match (same_life, existing) {
            (None, Some(existing)) => self.restart(request, existing),
            (Some(known), _) => self.dropped_directories(known, &request.log_dirs),
            (None, None) => Vec::new(),
        };
        let begin = i64::from(records.len() >= RECORDS_PER_BATCH_MAX);
        let before = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let offset = next_offset.plus(before).plus(begin);
        let registered = BrokerRegistration {
            id,
            incarnation_id: request.incarnation_id,
            epoch: same_life.map_or(BrokerEpoch(offset.0), |known| known.epoch),
            endpoints: endpoints(request),
            features: features(request),
            rack: request.rack.clone(),
            fenced: same_life.is_none_or(|known| known.fenced),
            in_controlled_shutdown: same_life.is_some_and(|known| known.in_controlled_shutdown),
            log_dirs: request.log_dirs.clone(),
        };
        records.push(MetadataRecord::RegisterBroker(registered.to_record()));
        sessions.on_registered(id, registered.epoch, offset, now_ms);
        let response = BrokerRegistrationResponse {
            broker_epoch: registered.epoch.0,
            ..BrokerRegistrationResponse::default()
        };
        Decision { records, response }
    }

    /// Why [`register_broker`](Self::register_broker) refuses, in one line for the log of both
    /// nodes; `None` when it does not.
    #[must_use]
    pub fn registration_refusal(
        &self,
        request: &BrokerRegistrationRequest,
        sessions: &BrokerSessions,
        cluster_id: &str,
        now_ms: i64,
    ) -> Option<String> {
        self.refusal(request, sessions, cluster_id, now_ms).map(|refusal| refusal.message)
    }

    /// A new life of a broker that was registered before.
    fn restart(
        &self,
        request: &BrokerRegistrationRequest,
        existing: &BrokerRegistration,
    ) -> Vec<MetadataRecord> {
        let last = if request.previous_broker_epoch == existing.epoch.0 {
            LastShutdown::Clean
        } else {
            LastShutdown::Unclean
        };
        let change = match last {
            LastShutdown::Clean => BrokerChange::Returns(existing.id, &request.log_dirs),
            LastShutdown::Unclean => {
                BrokerChange::MayHaveLost(existing.id, Some(&request.log_dirs))
            }
        };
        self.update_partitions(change, &|_| true)
    }

    /// The same life no longer names log directories that it named: what lies there is not in sync.
    fn dropped_directories(
        &self,
        known: &BrokerRegistration,
        now: &[DirectoryId],
    ) -> Vec<MetadataRecord> {
        let is_dropped =
            |directory| known.log_dirs.contains(&directory) && !now.contains(&directory);
        self.update_partitions(BrokerChange::Leaves(known.id), &|partition| {
            is_dropped(partition.directory_of(known.id))
        })
    }

    fn refusal(
        &self,
        request: &BrokerRegistrationRequest,
        sessions: &BrokerSessions,
        cluster_id: &str,
        now_ms: i64,
    ) -> Option<Refusal> {
        if request.cluster_id != cluster_id {
            let text = format!(
                "Broker {} belongs to cluster {}, not to this one, {cluster_id}.",
                request.broker_id, request.cluster_id
            );
            return Some(Refusal::new(ErrorCode::InconsistentClusterId, text));
        }
        let checks = [
            self.check_duplicate(request, sessions, now_ms),
            self.check_features(request),
            self.check_log_dirs(request),
        ];
        checks.into_iter().find_map(Result::err)
    }

    fn check_duplicate(
        &self,
        request: &BrokerRegistrationRequest,
        sessions: &BrokerSessions,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let id = BrokerId(request.broker_id);
        if id.0 < 0 {
            let text = format!("{id} is no id of a broker.");
            return Err(Refusal::new(ErrorCode::InvalidRegistration, text));
        }
        if request.is_migrating_zk_broker {
            let text = "Brokers that migrate from ZooKeeper cannot register here.";
            return Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, text));
        }
        let Some(existing) = self.image.brokers.get(&id) else { return Ok(()) };
        // The broker of this very process: its former life ended with the process that this one
        // took the place of, unless somebody else has said meanwhile that he is that broker.
        let is_own_past = id == self.node && !sessions.is_heard(id);
        // Who is fenced serves nobody: whichever of two is unfenced first keeps the id.
        if existing.incarnation_id == request.incarnation_id
            || existing.fenced
            || existing.in_controlled_shutdown
            || is_own_past
            || !sessions.is_valid(id, now_ms)
        {
            return Ok(());
        }
        let text = format!(
            "Another broker with id {id} is alive. If it was just restarted, this ends when the session of its former life does."
        );
        Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, text))
    }

    fn check_features(&self, request: &BrokerRegistrationRequest) -> Result<(), Refusal> {
        let range = |name: &str| {
            let feature = request.features.iter().find(|feature| feature.name == name);
            feature.map(|feature| (feature.min_supported_version, feature.max_supported_version))
        };
        if range(METADATA_VERSION).is_none() {
            let text = format!(
                "Broker {} does not say which levels of {METADATA_VERSION} it supports.",
                request.broker_id
            );
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, text));
        }
        let offered = request.features.iter().map(|feature| feature.name.as_str());
        for name in offered.chain(self.image.features.keys().map(String::as_str)) {
            let finalized = self.image.feature(name);
            let (min, max) = range(name).unwrap_or((0, 0));
            // A new cluster's first broker may come before the level is known.
            let is_unknown_level = name == METADATA_VERSION && finalized == 0;
            if !is_unknown_level && !(min..=max).contains(&finalized) {
                let text = format!(
                    "Broker {} supports {name} from {min} to {max}, but the cluster runs level {finalized}.",
                    request.broker_id
                );
                return Err(Refusal::new(ErrorCode::UnsupportedVersion, text));
            }
        }
        Ok(())
    }

    fn check_log_dirs(&self, request: &BrokerRegistrationRequest) -> Result<(), Refusal> {
        if self.image.metadata_version() < METADATA_VERSION_DIRECTORIES {
            return Ok(());
        }
        let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidRegistration, text));
        let id = request.broker_id;
        if request.log_dirs.is_empty() {
            return refuse(format!("Broker {id} names no log directory."));
        }
        let mut sorted = request.log_dirs.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse(format!("Broker {id} names a log directory twice."));
        }
        if let Some(reserved) = sorted.iter().find(|dir| is_reserved(**dir)) {
            return refuse(format!("Broker {id} names the reserved log directory {reserved}."));
        }
        for other in self.image.brokers.values().filter(|other| other.id.0 != id) {
            if let Some(shared) = other.log_dirs.iter().find(|dir| sorted.contains(dir)) {
                return refuse(format!(
                    "Log directory {shared} of broker {id} belongs to broker {}.",
                    other.id
                ));
            }
        }
        Ok(())
    }

    /// Takes a broker out of the cluster. What it held counts as lost.
    #[must_use]
    pub fn unregister_broker(
        &self,
        request: &UnregisterBrokerRequest,
    ) -> Decision<UnregisterBrokerResponse> {
        let id = BrokerId(request.broker_id);
        let Some(broker) = self.image.brokers.get(&id) else {
            let text = format!("Broker {id} is not registered.");
            let response = UnregisterBrokerResponse {
                error_code: ErrorCode::BrokerIdNotRegistered.code(),
                error_message: Some(text),
                ..UnregisterBrokerResponse::default()
            };
            return Decision { records: Vec::new(), response };
        };
        let mut records = self.update_partitions(BrokerChange::MayHaveLost(id, None), &|_| true);
        records.push(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord {
            broker_id: id.0,
            broker_epoch: broker.epoch.0,
        }));
        let response =
            UnregisterBrokerResponse { error_message: None, ..UnregisterBrokerResponse::default() };
        Decision { records, response }
    }

    /// Checks that a broker that asks for something is the one that is registered.
    pub(crate) fn check_broker_epoch(&self, id: i32, epoch: i64) -> Result<(), ErrorCode> {
        match self.image.brokers.get(&BrokerId(id)) {
            Some(broker) if broker.epoch.0 == epoch => Ok(()),
            _ => Err(ErrorCode::StaleBrokerEpoch),
        }
    }
}

/// `DirectoryId.reserved`: the first hundred ids stand for something else than a directory.
fn is_reserved(directory: DirectoryId) -> bool {
    directory.0 < 100
}

fn endpoints(request: &BrokerRegistrationRequest) -> Vec<Endpoint> {
    let endpoint = |listener: &kalda_protocol::messages::broker_registration::Listener| Endpoint {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    };
    request.listeners.iter().map(endpoint).collect()
}

fn features(request: &BrokerRegistrationRequest) -> Vec<SupportedFeature> {
    let features = request.features.iter().map(|feature| SupportedFeature {
        name: feature.name.clone(),
        min: feature.min_supported_version,
        max: feature.max_supported_version,
    });
    features.collect()
}
