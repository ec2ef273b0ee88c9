//! `kill -9` of a node that leads many partitions while they are written to: how long each is without an
//! acknowledged produce, and how long no topic can be created if that node is the active controller.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kalda_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::nodes::Cluster;
use super::topics::{self, create_served, led_by, sized};
use crate::Outcome;
use crate::load::{PRODUCE, batch};
use crate::wire::{Connection, frame};

/// Partitions of one request, as a producer gathers what is due for one node.
const PER_REQUEST: usize = 50;
/// Connections to each node.
const CONNECTIONS: usize = 4;
/// How often the leaders are asked for after the kill.
const REFRESH: Duration = Duration::from_millis(10);
/// After an answer that no partition was acknowledged in.
const RETRY: Duration = Duration::from_millis(5);
/// Before the kill, a node may take its time.
const WRITE_WITHIN_MS: i32 = 30_000;
/// After the kill, who waits longer is refused and tries again.
const PROBE_WITHIN_MS: i32 = 1_000;
const CREATE_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// Rounds over all partitions before the kill.
const ROUNDS_BEFORE: usize = 3;

/// What a kill cost, all from just before the signal.
pub(super) struct Failover {
    /// To the first acknowledged produce of each partition, sorted.
    pub(super) acknowledged_ms: Vec<f64>,
    /// Until each partition had a leader that lives, as those know it that live.
    pub(super) led_ms: f64,
    /// To the first topic that was created, if that was tried.
    pub(super) created_ms: Option<f64>,
}

impl Failover {
    /// What this part of the partitions stayed below.
    pub(super) fn percentile_ms(&self, part: f64) -> f64 {
        let last = self.acknowledged_ms.len().saturating_sub(1);
        let at = ((self.acknowledged_ms.len() as f64 * part) as usize).min(last);
        self.acknowledged_ms.get(at).copied().unwrap_or_default()
    }
}

/// Whether topics are created meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Produce,
    ProduceAndCreate,
}

/// What the threads of one kill share.
struct Scene {
    topic: String,
    batch: Bytes,
    killed: Instant,
    partitions: Mutex<Vec<Partition>>,
    led: Mutex<Option<Duration>>,
}

#[derive(Clone, Copy)]
struct Partition {
    leader: i32,
    acknowledged: Option<Duration>,
}

/// Creates a topic of so many partitions, all led by the victim, writes to it, kills the victim, and tries
/// again and again. The victim stays dead.
pub(super) fn kill(
    cluster: &mut Cluster,
    victim: i32,
    topic: &str,
    partitions: usize,
    meanwhile: Meanwhile,
) -> Outcome<Failover> {
    create_served(cluster, led_by(topic, &vec![victim; partitions], &[]))?;
    let survivors = cluster.others(victim);
    let batch = batch(1, 100)?;
    let killed = kill_under_load(cluster, victim, topic, partitions, &batch)?;
    let unled = Partition { leader: -1, acknowledged: None };
    let scene = Scene {
        topic: topic.to_owned(),
        batch,
        killed,
        partitions: Mutex::new(vec![unled; partitions]),
        led: Mutex::new(None),
    };
    let created = Mutex::new(None);
    thread::scope(|scope| {
        let survivors = &survivors;
        let (scene, created) = (&scene, &created);
        scope.spawn(move || scene.watch(survivors));
        for &survivor in survivors {
            for share in 0..CONNECTIONS {
                scope.spawn(move || scene.probe(survivor, share));
            }
            if meanwhile == Meanwhile::ProduceAndCreate {
                scope.spawn(move || create_soon(survivor, topic, killed, created));
            }
        }
    });
    let mut acknowledged_ms: Vec<f64> = locked(&scene.partitions)
        .iter()
        .filter_map(|partition| Some(partition.acknowledged?.as_secs_f64() * 1e3))
        .collect();
    acknowledged_ms.sort_by(f64::total_cmp);
    if acknowledged_ms.len() < partitions {
        let known = acknowledged_ms.len();
        return Err(format!("{known} of {partitions} partitions came back in {PATIENCE:?}").into());
    }
    let led = locked(&scene.led).ok_or("some partition is without a leader")?;
    let created_ms = locked(&created).map(|time: Duration| time.as_secs_f64() * 1e3);
    if meanwhile == Meanwhile::ProduceAndCreate && created_ms.is_none() {
        return Err(format!("no topic was created in {PATIENCE:?}").into());
    }
    Ok(Failover { acknowledged_ms, led_ms: led.as_secs_f64() * 1e3, created_ms })
}

/// Writes to all partitions over some connections until the victim, which is killed after a few rounds, is
/// gone. Answers the moment before the signal.
fn kill_under_load(
    cluster: &mut Cluster,
    victim: i32,
    topic: &str,
    partitions: usize,
    batch: &Bytes,
) -> Outcome<Instant> {
    let address = cluster.address(victim)?;
    let indexes: Vec<i32> = (0..partitions as i32).collect();
    let (rounds, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (rounds, is_over) = (&rounds, &is_over);
        let writers: Vec<_> = indexes
            .chunks(partitions.div_ceil(CONNECTIONS))
            .map(|mine| {
                scope.spawn(move || {
                    let written = write(address, topic, mine, batch, rounds);
                    match written {
                        Err(error) if !is_over.load(Ordering::Acquire) => Err(error.to_string()),
                        _ => Ok(()),
                    }
                })
            })
            .collect();
        while rounds.load(Ordering::Acquire) < ROUNDS_BEFORE * writers.len()
            && !writers.iter().any(|writer| writer.is_finished())
        {
            thread::sleep(Duration::from_millis(1));
        }
        let killed = Instant::now();
        is_over.store(true, Ordering::Release);
        let gone = cluster.kill(victim);
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        gone.map(|()| killed)
    })
}

/// Writes to these partitions, round after round, until the connection breaks.
fn write(
    address: SocketAddr,
    topic: &str,
    partitions: &[i32],
    batch: &Bytes,
    rounds: &AtomicUsize,
) -> Outcome<()> {
    let mut connection = Connection::open(address)?;
    loop {
        for some in partitions.chunks(PER_REQUEST) {
            let answers = produce(&mut connection, topic, some, batch, WRITE_WITHIN_MS)?;
            if let Some((index, code)) = answers.iter().find(|(_, code)| *code != 0) {
                return Err(format!("a produce to {topic}-{index}: error {code}").into());
            }
        }
        rounds.fetch_add(1, Ordering::AcqRel);
    }
}

/// Writes a batch to each of these partitions. Answers the error code of each.
fn produce(
    connection: &mut Connection,
    topic: &str,
    partitions: &[i32],
    batch: &Bytes,
    timeout_ms: i32,
) -> Outcome<Vec<(i32, i16)>> {
    let data = |&index: &i32| PartitionProduceData { index, records: Some(batch.clone()) };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: partitions.iter().map(data).collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    connection.send(&frame(&request, PRODUCE)?)?;
    let answer = connection.receive::<ProduceRequest>(PRODUCE)?;
    let all = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    Ok(all.map(|one| (one.index, one.error_code)).collect())
}

impl Scene {
    /// Asks those that live by turns who leads, until all partitions have come back.
    fn watch(&self, survivors: &[(i32, SocketAddr)]) {
        let is_alive = |id: i32| survivors.iter().any(|(alive, _)| *alive == id);
        let mut connections: Vec<Option<Connection>> = survivors.iter().map(|_| None).collect();
        for turn in 0.. {
            if self.is_over() {
                return;
            }
            let at = turn % survivors.len();
            let connection =
                connections[at].take().map_or_else(|| Connection::open(survivors[at].1), Ok);
            // Whoever does not answer is asked again on another connection.
            let seen = connection.and_then(|mut connection| {
                let seen = topics::look(&mut connection, &[&self.topic])?;
                connections[at] = Some(connection);
                Ok(seen)
            });
            let mut partitions = locked(&self.partitions);
            for one in seen.iter().flatten().flat_map(|topic| &topic.partitions) {
                if let Some(partition) = partitions.get_mut(one.partition_index.max(0) as usize)
                    && is_alive(one.leader_id)
                {
                    partition.leader = one.leader_id;
                }
            }
            if partitions.iter().all(|partition| partition.leader >= 0) {
                locked(&self.led).get_or_insert_with(|| self.killed.elapsed());
            }
            drop(partitions);
            thread::sleep(REFRESH);
        }
    }

    /// Writes to what one node leads, its share of it, until all partitions have come back.
    fn probe(&self, (id, address): (i32, SocketAddr), share: usize) {
        let mut connection = None;
        while !self.is_over() {
            let due: Vec<i32> = locked(&self.partitions)
                .iter()
                .enumerate()
                .filter(|(index, one)| {
                    one.leader == id && one.acknowledged.is_none() && index % CONNECTIONS == share
                })
                .map(|(index, _)| index as i32)
                .collect();
            let mut came_back = 0;
            for some in due.chunks(PER_REQUEST) {
                let open = connection.take().map_or_else(|| Connection::open(address), Ok);
                // A connection that breaks is replaced.
                let Ok(mut open) = open else { break };
                let tried = produce(&mut open, &self.topic, some, &self.batch, PROBE_WITHIN_MS);
                let Ok(answers) = tried else { break };
                connection = Some(open);
                let now = self.killed.elapsed();
                let mut partitions = locked(&self.partitions);
                for (index, _) in answers.iter().filter(|(_, code)| *code == 0) {
                    partitions[*index as usize].acknowledged = Some(now);
                    came_back += 1;
                }
            }
            if came_back == 0 {
                thread::sleep(RETRY);
            }
        }
    }

    /// Whether nobody has to try any longer.
    fn is_over(&self) -> bool {
        self.killed.elapsed() > PATIENCE
            || locked(&self.partitions).iter().all(|one| one.acknowledged.is_some())
    }
}

/// Creates a topic by way of one node; tries until somebody has.
fn create_soon(
    (id, address): (i32, SocketAddr),
    topic: &str,
    killed: Instant,
    created: &Mutex<Option<Duration>>,
) {
    let name = format!("{topic}-created-by-{id}");
    while locked(created).is_none() && killed.elapsed() < PATIENCE {
        let topic = sized(&name, 1, 2);
        let tried = Connection::open(address)
            .and_then(|mut connection| topics::create(&mut connection, topic, CREATE_WITHIN));
        match tried {
            Ok(()) => {
                locked(created).get_or_insert_with(|| killed.elapsed());
            }
            Err(_) => thread::sleep(RETRY),
        }
    }
}

/// A panic elsewhere ends the part by itself.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
