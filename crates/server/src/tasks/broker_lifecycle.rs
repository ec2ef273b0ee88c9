//! The life of this broker in the cluster (`BrokerLifecycleManager`): it registers, catches up with
//! the metadata, opens its logs, is unfenced, says every two seconds that it is alive, and asks to
//! be let go before it ends.

use std::sync::Arc;
use std::time::Duration;

use kalda_controller::{LastShutdown, SUPPORTED_FEATURES};
use kalda_model::{BrokerEpoch, CLUSTER_METADATA_TOPIC, Offset, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use kalda_protocol::messages::broker_registration::{BrokerRegistrationRequest, Feature, Listener};
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, RequestPartitionData, RequestTopicData,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::metadata_publisher::Publication;
use crate::broker::Broker;
use crate::peer::{Link, PeerError, ask_active};
use crate::start::{OpenedDirectories, StartError};

/// The pause after the controller refused a registration that it may accept later.
const REGISTRATION_RETRY: Duration = Duration::from_millis(100);
/// How often who waits for the controllers is told so.
const STILL_WAITING: Duration = Duration::from_secs(5);
/// The pause between heartbeats while the state is to change.
const HASTE: Duration = Duration::from_millis(20);

/// What this broker wants to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Serve,
    End,
}

/// The wish to end, and the answer that it may.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    wish: watch::Sender<Wish>,
    /// Whether the controller let it go.
    is_over: watch::Sender<bool>,
    /// Something to say that does not wait for the next heartbeat.
    news: tokio::sync::Notify,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            wish: watch::Sender::new(Wish::Serve),
            is_over: watch::Sender::new(false),
            news: tokio::sync::Notify::new(),
        }
    }
}

impl Lifecycle {
    /// Asks the controller to move the leaders elsewhere; returns when it has, or the time is over.
    pub(crate) async fn end(&self, broker: &Broker) {
        if broker.epoch().0 < 0 || !broker.config.flag("controlled.shutdown.enable") {
            return;
        }
        let mut over = self.is_over.subscribe();
        self.wish.send_replace(Wish::End);
        let longest_ms = broker.config.number("broker.session.timeout.ms");
        let longest = Duration::from_millis(u64::try_from(longest_ms).unwrap_or(0));
        if timeout(longest, over.wait_for(|over| *over)).await.is_err() {
            tracing::warn!(
                "the controller did not take over the partitions of this broker in time"
            );
        }
    }

    /// The next heartbeat is due now: a log directory failed.
    pub(crate) fn hurry(&self) {
        self.news.notify_one();
    }
}

/// Brings this broker into the cluster; returns once it is unfenced.
pub(crate) async fn begin(
    broker: &Arc<Broker>,
    opened: OpenedDirectories,
    publications: &mpsc::UnboundedSender<Publication>,
) -> Result<(), StartError> {
    // Whether a crash cost anything shows only when the logs are open, and they are opened as the
    // metadata says, which must know of this life first. Until then it counts as one that kept all.
    until_all_is_known(broker).await?;
    let known = broker.image().brokers.get(&broker.node).map(|known| known.epoch);
    let previous = opened.previous_epoch().filter(|epoch| epoch.0 >= 0).or(known);
    let mut registration = registration(broker, previous);
    register(broker, &mut registration).await?;
    until_published(broker).await;
    let (hosted, is_hosted) = oneshot::channel();
    let _ended = publications.send(Publication::Host { opened, hosted });
    let last = match is_hosted.await {
        Ok(hosted) => hosted?,
        Err(_) => return Err(StartError("the metadata publisher ended".to_owned())),
    };
    if last == LastShutdown::Unclean && previous.is_some() {
        // It said that it had everything, and may not: it begins again as one that lost some.
        tracing::warn!(
            "records that were only in the page cache may be lost: this broker rejoins its partitions as one that has to catch up"
        );
        registration.incarnation_id = incarnation(broker);
        registration.previous_broker_epoch = -1;
        register(broker, &mut registration).await?;
        until_published(broker).await;
    }
    loop {
        match heartbeat(broker, Wish::Serve).await {
            Ok(answer) if answer.error_code == 0 && !answer.is_fenced => return Ok(()),
            Ok(answer) if answer.error_code == ErrorCode::StaleBrokerEpoch.code() => {
                register(broker, &mut registration).await?;
                until_published(broker).await;
            }
            Ok(_) => sleep(HASTE).await,
            Err(error) => tracing::warn!("waiting to be let into the cluster: {error}"),
        }
        if broker.is_stopping() {
            return Err(StartError("asked to stop while starting".to_owned()));
        }
    }
}

/// Waits until this node acts on all that the leader of the metadata has now, and says so while nobody
/// leads: its own last registration is among it, and who names an older one is taken for somebody who
/// lost what came after. A node that is a controller too goes on waiting: the others need it to elect one.
async fn until_all_is_known(broker: &Broker) -> Result<(), StartError> {
    let partition = RequestPartitionData { partition_index: 0 };
    let topic = RequestTopicData {
        topic_name: CLUSTER_METADATA_TOPIC.to_owned(),
        partitions: vec![partition],
    };
    let request = DescribeQuorumRequest { topics: vec![topic] };
    let here = async || {
        let description = broker.quorum.describe().await?;
        let own = description.replicas.iter().find(|it| it.replica.id == broker.node);
        own.filter(|_| description.is_leader)?.end_offset
    };
    let there = async |link: Link| Ok(end_of_leader(&link.call(&request).await?));
    let give_up = Instant::now() + registration_timeout(broker);
    loop {
        // What this leader has may never be committed, if the next one lacks it: so it is asked again.
        let known = async {
            let end = ask_active(broker, here, there).await?.answer;
            broker.published(end).await;
            Ok::<_, PeerError>(())
        };
        let why = match timeout(STILL_WAITING, known).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => PeerError::NoController,
        };
        if broker.is_stopping() {
            return Err(StartError("asked to stop while starting".to_owned()));
        }
        if Instant::now() >= give_up && !broker.config.roles.controller {
            return Err(StartError(format!("no controller let this broker in: {why}")));
        }
        tracing::info!("waiting for a majority of the controllers to elect a leader");
    }
}

/// Where the leader's log ends, if it is the leader who answered.
fn end_of_leader(answer: &DescribeQuorumResponse) -> Option<Offset> {
    let part = answer.topics.first()?.partitions.first()?;
    let mut replicas = part.current_voters.iter().chain(&part.observers);
    let leader = replicas.find(|replica| replica.replica_id == part.leader_id)?;
    (part.error_code == 0).then_some(Offset(leader.log_end_offset))
}

fn registration_timeout(broker: &Broker) -> Duration {
    let timeout_ms = broker.config.number("initial.broker.registration.timeout.ms");
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// Waits until this node acts on the metadata that holds its registration.
async fn until_published(broker: &Broker) {
    broker.published(Offset(broker.epoch().0 + 1)).await;
}

/// Says that this broker is alive until it ends.
pub(crate) async fn run(broker: Arc<Broker>) {
    let every_ms = broker.config.number("broker.heartbeat.interval.ms");
    let every = Duration::from_millis(u64::try_from(every_ms).unwrap_or(2000));
    let mut wish = broker.lifecycle.wish.subscribe();
    let (mut is_fenced, mut is_unregistered) = (false, false);
    loop {
        let now = *wish.borrow_and_update();
        let pause = match now {
            Wish::Serve if is_fenced => HASTE * 5,
            Wish::Serve => every,
            Wish::End => HASTE,
        };
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            _ = wish.changed() => {}
            () = broker.lifecycle.news.notified() => {}
            () = sleep(pause) => {}
        }
        let now = *wish.borrow_and_update();
        let answer = tokio::select! {
            biased;
            () = broker.stopping() => return,
            answer = heartbeat(&broker, now) => answer,
        };
        match answer {
            Ok(answer) if answer.error_code == 0 => {
                if answer.is_fenced && !is_fenced && now == Wish::Serve {
                    tracing::warn!(
                        "this broker is fenced: the controller did not hear from it in time"
                    );
                } else if is_fenced && !answer.is_fenced {
                    tracing::info!("this broker is unfenced");
                }
                is_fenced = answer.is_fenced;
                if answer.should_shut_down && now == Wish::End {
                    broker.lifecycle.is_over.send_replace(true);
                    return;
                }
            }
            Ok(answer) if answer.error_code == ErrorCode::StaleBrokerEpoch.code() => {
                if broker.image().brokers.contains_key(&broker.node) {
                    broker.stop.ask(Some(format!(
                        "another process was registered as node {}: give each its own node.id",
                        broker.node
                    )));
                    return;
                }
                // A controller in the same process goes on.
                if !is_unregistered {
                    tracing::error!(
                        "broker {} was taken out of the cluster; start it again to let it come back",
                        broker.node
                    );
                }
                is_unregistered = true;
            }
            Ok(answer) => {
                let error = ErrorCode::from_code(answer.error_code);
                tracing::warn!("the controller refused a heartbeat: {error:?}");
            }
            Err(error) => tracing::warn!("no heartbeat reached the controller: {error}"),
        }
    }
}

async fn heartbeat(broker: &Arc<Broker>, wish: Wish) -> Result<BrokerHeartbeatResponse, PeerError> {
    let offline = broker.directories.iter().filter(|directory| directory.storage.is_offline());
    let request = BrokerHeartbeatRequest {
        broker_id: broker.node.0,
        broker_epoch: broker.epoch().0,
        // Of the last record that this node acts on.
        current_metadata_offset: broker.published_end().0 - 1,
        want_fence: false,
        want_shut_down: wish == Wish::End,
        offline_log_dirs: offline.map(|directory| directory.id).collect(),
    };
    broker.controller_channel.call(broker, &request).await
}

/// Registers this life of the broker; waits for a controller, and for an earlier life to be given up.
async fn register(
    broker: &Arc<Broker>,
    registration: &mut BrokerRegistrationRequest,
) -> Result<(), StartError> {
    let deadline = Instant::now() + registration_timeout(broker);
    let mut told = Instant::now();
    let mut why;
    loop {
        let asked = tokio::select! {
            biased;
            asked = broker.controller_channel.call(broker, registration) => asked,
            () = broker.stopping() => {
                return Err(StartError("asked to stop while starting".to_owned()));
            }
            () = sleep(STILL_WAITING) => Err(PeerError::NoController),
        };
        match asked {
            Ok(answer) if answer.error_code == 0 => {
                broker.set_epoch(BrokerEpoch(answer.broker_epoch));
                return Ok(());
            }
            Ok(answer) => {
                let error = ErrorCode::from_code(answer.error_code);
                let error = error.unwrap_or(ErrorCode::UnknownServerError);
                why = refusal(broker, error);
                let is_final = matches!(
                    error,
                    ErrorCode::InconsistentClusterId
                        | ErrorCode::UnsupportedVersion
                        | ErrorCode::InvalidRegistration
                );
                if is_final {
                    return Err(StartError(why));
                }
                if told.elapsed() >= STILL_WAITING {
                    told = Instant::now();
                    tracing::warn!("{why}");
                }
                sleep(REGISTRATION_RETRY).await;
            }
            Err(error) => {
                why = format!("no controller let this broker in: {error}");
                tracing::info!("waiting for the controllers to elect a leader");
            }
        }
        if Instant::now() >= deadline {
            return Err(StartError(why));
        }
    }
}

fn refusal(broker: &Broker, error: ErrorCode) -> String {
    match error {
        ErrorCode::DuplicateBrokerRegistration => format!(
            "another process is registered as node {}: give each its own node.id; if it was just killed, its session ends within {} ms",
            broker.node,
            broker.config.number("broker.session.timeout.ms")
        ),
        ErrorCode::InconsistentClusterId => format!(
            "this node belongs to cluster {}, but the controllers to another: choose other log.dirs, or other controllers",
            broker.cluster_id
        ),
        ErrorCode::UnsupportedVersion => "the features of this cluster are not those that this version runs: the log of the active controller says which".to_owned(),
        other => format!("the controller refused this broker ({other:?}): its log says why"),
    }
}

fn incarnation(broker: &Broker) -> Uuid {
    Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng))
}

fn registration(broker: &Broker, previous: Option<BrokerEpoch>) -> BrokerRegistrationRequest {
    let ours = broker.listeners.iter().filter(|bound| !bound.listener.is_controllers);
    let listeners = ours.map(|bound| {
        let address = broker.advertised(bound);
        Listener {
            name: bound.listener.name.clone(),
            host: address.host,
            port: address.port,
            security_protocol: 0,
        }
    });
    let features = SUPPORTED_FEATURES.iter().map(|(name, min, max)| Feature {
        name: (*name).to_owned(),
        min_supported_version: *min,
        max_supported_version: *max,
    });
    BrokerRegistrationRequest {
        broker_id: broker.node.0,
        cluster_id: broker.cluster_id.clone(),
        incarnation_id: incarnation(broker),
        listeners: listeners.collect(),
        features: features.collect(),
        rack: broker.config.text("broker.rack").map(str::to_owned),
        log_dirs: broker.directories.iter().map(|directory| directory.id).collect(),
        previous_broker_epoch: previous.map_or(-1, |epoch| epoch.0),
        ..BrokerRegistrationRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use kalda_protocol::messages::describe_quorum::{
        ReplicaState, ResponsePartitionData, ResponseTopicData,
    };

    use super::*;

    #[test]
    fn only_who_leads_tells_how_far_the_metadata_is() {
        let replica = |replica_id, log_end_offset| ReplicaState {
            replica_id,
            log_end_offset,
            ..ReplicaState::default()
        };
        let mut part = ResponsePartitionData {
            leader_id: 2,
            current_voters: vec![replica(1, 70), replica(2, 80)],
            observers: vec![replica(3, 60)],
            ..ResponsePartitionData::default()
        };
        let answer = |part: &ResponsePartitionData| DescribeQuorumResponse {
            topics: vec![ResponseTopicData {
                topic_name: CLUSTER_METADATA_TOPIC.to_owned(),
                partitions: vec![part.clone()],
            }],
            ..DescribeQuorumResponse::default()
        };
        assert_eq!(end_of_leader(&answer(&part)), Some(Offset(80)));
        part.leader_id = -1;
        assert_eq!(end_of_leader(&answer(&part)), None);
        part.leader_id = 2;
        part.error_code = ErrorCode::NotLeaderOrFollower.code();
        assert_eq!(end_of_leader(&answer(&part)), None);
        assert_eq!(end_of_leader(&DescribeQuorumResponse::default()), None);
    }
}
