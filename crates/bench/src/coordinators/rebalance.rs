//! A group of many members: how long until every partition has an owner, and again after one left.
//! Members are threads that speak the protocol and do nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kalda_model::Uuid;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{PATIENCE, find};
use crate::Outcome;
use crate::broker::Broker;
use crate::load::topics::{create_topic, delete_topic};
use crate::wire::Connection;

const MEMBERS: usize = 100;
const PARTITIONS: usize = 1_000;
const BEAT_EVERY: Duration = Duration::from_millis(50);

/// What the members have, by member.
#[derive(Default)]
struct Held {
    /// The generation, or 0 in the newer protocol, and how many partitions.
    by_member: BTreeMap<usize, (i32, usize)>,
    leaving: Option<usize>,
    is_over: bool,
    failure: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Held>, Condvar)>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = change(&mut held);
        self.0.1.notify_all();
        result
    }

    /// Waits until so many members of one generation hold all partitions.
    fn await_all(&self, members: usize) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            if let Some(failure) = &held.failure {
                return Err(failure.clone().into());
            }
            let generation = held.by_member.values().map(|(generation, _)| *generation).max();
            let current = held.by_member.values().filter(|(one, _)| Some(*one) == generation);
            let (mut count, mut partitions) = (0, 0);
            for (_, held) in current {
                count += 1;
                partitions += held;
            }
            if count == members && partitions == PARTITIONS {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{count} members hold {partitions} partitions").into());
            }
            let waited = self.0.1.wait_timeout(held, Duration::from_secs(1));
            held = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Whether member `index` is to go on.
    fn goes_on(&self, index: usize) -> bool {
        self.with(|held| !held.is_over && held.leaving != Some(index))
    }
}

type Member = fn(SocketAddr, &str, &str, Uuid, usize, &Shared) -> Outcome<()>;

/// Milliseconds to the first assignment of all, and after one left, in the classic protocol.
pub(super) fn classic(broker: &Broker, round: usize) -> Outcome<Vec<f64>> {
    measure(broker, &format!("classic-{round}"), classic_member)
}

/// The same in the newer one.
pub(super) fn consumer(broker: &Broker, round: usize) -> Outcome<Vec<f64>> {
    measure(broker, &format!("consumer-{round}"), consumer_member)
}

fn measure(broker: &Broker, name: &str, member: Member) -> Outcome<Vec<f64>> {
    let mut connection = Connection::open(broker.address)?;
    let partitions = i32::try_from(PARTITIONS)?;
    create_topic(&mut connection, name, partitions, &[])?;
    let id = crate::load::topics::topic_id(&mut connection, name)?;
    find(&mut connection, 0, name)?;
    let shared = Shared::default();
    let begun = Instant::now();
    let threads: Vec<JoinHandle<()>> = (0..MEMBERS)
        .map(|index| {
            let (address, name, shared) = (broker.address, name.to_owned(), shared.clone());
            std::thread::spawn(move || {
                if let Err(error) = member(address, &name, &name, id, index, &shared) {
                    shared.with(|held| held.failure = Some(error.to_string()));
                }
            })
        })
        .collect();
    let joined = shared.await_all(MEMBERS).map(|()| begun.elapsed());
    let left = joined.is_ok().then(|| {
        let begun = Instant::now();
        // One in the middle: neither the first, who leads, nor the last.
        shared.with(|held| held.leaving = Some(MEMBERS / 2));
        shared.await_all(MEMBERS - 1).map(|()| begun.elapsed())
    });
    shared.with(|held| held.is_over = true);
    for thread in threads {
        thread.join().map_err(|_| "a member panicked")?;
    }
    delete_topic(&mut connection, name)?;
    let left = left.ok_or("nobody left")??;
    Ok(vec![joined?.as_secs_f64() * 1e3, left.as_secs_f64() * 1e3])
}

fn classic_member(
    address: SocketAddr,
    group: &str,
    topic: &str,
    _topic_id: Uuid,
    index: usize,
    shared: &Shared,
) -> Outcome<()> {
    let mut connection = Connection::open(address)?;
    let mut member_id = String::new();
    'joins: loop {
        let joined = join(&mut connection, group, topic, &mut member_id)?;
        let assignments = if joined.leader == member_id { divide(&joined) } else { Vec::new() };
        let sync = SyncGroupRequest {
            group_id: group.to_owned(),
            generation_id: joined.generation_id,
            member_id: member_id.clone(),
            assignments,
            ..SyncGroupRequest::default()
        };
        let synced = connection.call(&sync, 3)?;
        match ErrorCode::from_code(synced.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::RebalanceInProgress) => continue,
            _ => return Err(format!("SyncGroup: {}", synced.error_code).into()),
        }
        // What the leader wrote: a number.
        let partitions = synced.assignment.first_chunk().map_or(0, |n| u32::from_be_bytes(*n));
        let holds = (joined.generation_id, partitions as usize);
        shared.with(|held| held.by_member.insert(index, holds));
        loop {
            if !shared.goes_on(index) {
                shared.with(|held| held.by_member.remove(&index));
                let leave = LeaveGroupRequest {
                    group_id: group.to_owned(),
                    members: vec![MemberIdentity { member_id, ..MemberIdentity::default() }],
                    ..LeaveGroupRequest::default()
                };
                connection.call(&leave, 3)?;
                return Ok(());
            }
            std::thread::sleep(BEAT_EVERY);
            let beat = HeartbeatRequest {
                group_id: group.to_owned(),
                generation_id: joined.generation_id,
                member_id: member_id.clone(),
                ..HeartbeatRequest::default()
            };
            match ErrorCode::from_code(connection.call(&beat, 3)?.error_code) {
                Some(ErrorCode::None) => {}
                Some(ErrorCode::RebalanceInProgress) => continue 'joins,
                other => return Err(format!("Heartbeat: {other:?}").into()),
            }
        }
    }
}

fn join(
    connection: &mut Connection,
    group: &str,
    topic: &str,
    member_id: &mut String,
) -> Outcome<JoinGroupResponse> {
    loop {
        let request = JoinGroupRequest {
            group_id: group.to_owned(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            member_id: member_id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".to_owned(),
                metadata: subscription(topic),
            }],
            ..JoinGroupRequest::default()
        };
        let joined = connection.call(&request, 5)?;
        match ErrorCode::from_code(joined.error_code) {
            Some(ErrorCode::None) => {
                member_id.clone_from(&joined.member_id);
                return Ok(joined);
            }
            Some(ErrorCode::MemberIdRequired) => member_id.clone_from(&joined.member_id),
            other => return Err(format!("JoinGroup: {other:?}").into()),
        }
    }
}

/// `ConsumerProtocolSubscription` v0 with one topic and no user data.
fn subscription(topic: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend((topic.len() as u16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.into()
}

/// Each member gets its share of the partitions; members of a bench need to know no more than how many.
fn divide(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let members = joined.members.len();
    let (share, more) = (PARTITIONS / members, PARTITIONS % members);
    let members = joined.members.iter().enumerate();
    members
        .map(|(at, member)| {
            let count = (share + usize::from(at < more)) as u32;
            // As long as a real one: a version, a topic, and an index for each partition.
            let mut assignment = count.to_be_bytes().to_vec();
            assignment.resize(20 + 4 * count as usize, 0);
            SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: assignment.into(),
            }
        })
        .collect()
}

fn consumer_member(
    address: SocketAddr,
    group: &str,
    topic: &str,
    topic_id: Uuid,
    index: usize,
    shared: &Shared,
) -> Outcome<()> {
    let mut connection = Connection::open(address)?;
    let mut beat = ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: format!("member-{index}"),
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![topic.to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let mut owned: Vec<i32> = Vec::new();
    loop {
        let answer = connection.call(&beat, 1)?;
        if answer.error_code != 0 {
            return Err(
                format!("heartbeat: {} {:?}", answer.error_code, answer.error_message).into()
            );
        }
        beat.member_epoch = answer.member_epoch;
        beat.rebalance_timeout_ms = -1;
        beat.subscribed_topic_names = None;
        beat.topic_partitions = None;
        if let Some(assignment) = answer.assignment {
            owned =
                assignment.topic_partitions.into_iter().flat_map(|one| one.partitions).collect();
            beat.topic_partitions =
                Some(vec![TopicPartitions { topic_id, partitions: owned.clone() }]);
            shared.with(|held| held.by_member.insert(index, (0, owned.len())));
            // What was given up is told at once, for others wait for it.
            continue;
        }
        shared.with(|held| held.by_member.insert(index, (0, owned.len())));
        std::thread::sleep(BEAT_EVERY);
        if !shared.goes_on(index) {
            shared.with(|held| held.by_member.remove(&index));
            beat.member_epoch = -1;
            connection.call(&beat, 1)?;
            return Ok(());
        }
    }
}
