//! A walk of random events over random clusters, and what must hold after each step.

use std::collections::{BTreeMap, BTreeSet};

use kalda_metadata::PartitionRegistration;
use kalda_metadata::config::MinInsyncReplicas;
use kalda_model::{BrokerId, TopicId};
use kalda_protocol::messages::elect_leaders::ElectLeadersRequest;

use super::reassignments::reassign;
use super::world::{Cluster, Life, SESSION_MS, directory};

const BROKERS: i32 = 5;
const TOPICS: [&str; 4] = ["plain", "unclean", "one", "two"];

/// A small generator of its own: the walk of a seed is the same for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn broker(&mut self) -> i32 {
        i32::try_from(self.below(5)).unwrap() + 1
    }

    /// Different brokers, at least one and at most four.
    fn brokers(&mut self) -> Vec<i32> {
        let mut ids = Vec::new();
        for _ in 0..=self.below(4) {
            let id = self.broker();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

type Partitions = BTreeMap<(TopicId, i32), std::sync::Arc<PartitionRegistration>>;

fn partitions(cluster: &Cluster) -> Partitions {
    let topics = cluster.image.topics.iter();
    let all = topics.flat_map(|topic| {
        topic.partitions.iter().map(|(index, one)| ((topic.id, *index), std::sync::Arc::clone(one)))
    });
    all.collect()
}

/// Whether a step may cost a partition replicas that were trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Kept,
    MayGo,
}

fn step(cluster: &mut Cluster, dice: &mut Dice) -> (String, Trust) {
    let name = TOPICS[dice.below(TOPICS.len())];
    let index = i32::try_from(dice.below(3)).unwrap();
    let id = dice.broker();
    match dice.below(13) {
        0 => {
            cluster.fence(id);
            (format!("fence {id}"), Trust::Kept)
        }
        1 => {
            let (life, trust) = match dice.below(3) {
                0 => (Life::Unclean, Trust::MayGo),
                _ => (Life::Clean, Trust::Kept),
            };
            cluster.start(id, life);
            (format!("start {id} {life:?}"), trust)
        }
        2 => {
            cluster.sessions.end(BrokerId(id));
            let mut request = cluster.registration(id, Life::Clean);
            request.log_dirs = vec![directory(id, u8::try_from(dice.below(8)).unwrap())];
            cluster.register(&request);
            cluster.heartbeat(id, |_| {});
            (format!("start {id} perhaps on another disk"), Trust::MayGo)
        }
        3 => {
            cluster.heartbeat(id, |request| request.want_shut_down = true);
            (format!("stop {id}"), Trust::Kept)
        }
        4..=7 => {
            alter(cluster, dice, name, index);
            (format!("alter {name}-{index}"), Trust::Kept)
        }
        8 => {
            let target = dice.brokers();
            let cancel = dice.below(3) == 0;
            reassign(cluster, name, index, (!cancel).then_some(&target[..]));
            (format!("reassign {name}-{index} to {target:?}, cancel {cancel}"), Trust::MayGo)
        }
        9 => {
            cluster.decide(|controller, _, _| controller.balance_leaders());
            ("balance".into(), Trust::Kept)
        }
        10 => {
            cluster.now_ms += SESSION_MS * i64::try_from(dice.below(3)).unwrap() / 2;
            cluster.decide(|controller, sessions, now_ms| {
                controller.fence_silent_brokers(sessions, now_ms)
            });
            ("time".into(), Trust::Kept)
        }
        11 => {
            let dirs = cluster.image.brokers[&BrokerId(id)].log_dirs.clone();
            cluster.heartbeat(id, |request| request.offline_log_dirs = dirs);
            (format!("the disk of {id} fails"), Trust::Kept)
        }
        _ => {
            let request = ElectLeadersRequest {
                election_type: i8::try_from(dice.below(6) / 5).unwrap(),
                topic_partitions: None,
                ..ElectLeadersRequest::default()
            };
            cluster.decide(|controller, _, _| controller.elect_leaders(&request));
            ("elect".into(), Trust::MayGo)
        }
    }
}

/// The leader of a partition wants some of its replicas in sync.
fn alter(cluster: &mut Cluster, dice: &mut Dice, name: &str, index: i32) {
    let partition = cluster.partition(name, index);
    if partition.leader == BrokerId::NONE {
        return;
    }
    let mut isr: Vec<i32> = partition.replicas.iter().map(|id| id.0).collect();
    isr.retain(|id| *id == partition.leader.0 || dice.below(3) > 0);
    let mut request = cluster.isr_request(name, index, &isr);
    if dice.below(10) == 0 {
        request.topics[0].partitions[0].partition_epoch -= 1;
    }
    cluster.alter(&request);
}

fn check(cluster: &Cluster, before: &Partitions, trust: Trust) -> Result<(), String> {
    for topic in cluster.image.topics.iter() {
        for (index, now) in &topic.partitions {
            let broken = check_state(cluster, now).err().or_else(|| {
                let may_go = trust == Trust::MayGo || &*topic.name == "unclean";
                let trust = if may_go { Trust::MayGo } else { Trust::Kept };
                let old = before.get(&(topic.id, *index))?;
                check_step(&topic.name, old, now, trust).err()
            });
            if let Some(broken) = broken {
                return Err(format!("{}-{index}: {broken}: {now:?}", topic.name));
            }
        }
    }
    if cluster.sessions.next_expiry_ms().is_some_and(|at| at < cluster.now_ms - SESSION_MS * 2) {
        return Err("an expired session was forgotten".into());
    }
    Ok(())
}

/// What must hold of a partition at any time.
fn check_state(cluster: &Cluster, now: &PartitionRegistration) -> Result<(), &'static str> {
    let set = |ids: &[BrokerId]| ids.iter().copied().collect::<BTreeSet<_>>();
    let (replicas, isr, elr) = (set(&now.replicas), set(&now.isr), set(&now.elr));
    if replicas.len() != now.replicas.len() || isr.len() != now.isr.len() {
        return Err("somebody is there twice");
    }
    if !isr.is_subset(&replicas) || !elr.is_subset(&replicas) || !isr.is_disjoint(&elr) {
        return Err("ISR and ELR are not among the replicas, or the same");
    }
    if now.directories.len() != now.replicas.len() {
        return Err("there is not one directory for each replica");
    }
    let moving = set(&[&now.adding_replicas[..], &now.removing_replicas[..]].concat());
    if !moving.is_subset(&replicas) {
        return Err("a stranger is being added or removed");
    }
    // The only replica leads on while its broker starts again.
    let is_there = |id| now.replicas == [id] || cluster.controller().is_active(id);
    if now.leader != BrokerId::NONE {
        if !isr.contains(&now.leader) {
            return Err("the leader is not in sync");
        }
        if !is_there(now.leader) {
            return Err("the leader is fenced or stopping");
        }
        if !cluster.controller().has_online_replica(now, now.leader) {
            return Err("the leader cannot reach its log");
        }
    }
    if !isr.iter().all(|id| is_there(*id)) {
        return Err("somebody fenced is in sync");
    }
    Ok(())
}

/// What must hold of a partition from one step to the next.
fn check_step(
    name: &str,
    old: &PartitionRegistration,
    now: &PartitionRegistration,
    trust: Trust,
) -> Result<(), &'static str> {
    let changes = now.partition_epoch.0 - old.partition_epoch.0;
    let elections = now.leader_epoch.0 - old.leader_epoch.0;
    if changes < 0 || elections < 0 || elections > changes {
        return Err("an epoch went back, or grew without the partition's");
    }
    if (changes == 0) != (old == now) || (old.leader != now.leader && elections == 0) {
        return Err("it changed without an epoch");
    }
    if trust == Trust::MayGo {
        return Ok(());
    }
    let set = match name {
        "one" => Some("1"),
        "two" => Some("2"),
        _ => None,
    };
    let is_enough = |one: &PartitionRegistration| {
        let min = MinInsyncReplicas::from_value(set).effective(one.replication_factor());
        one.isr.len() + one.elr.len() >= min
    };
    if is_enough(old) && !is_enough(now) {
        return Err("too few are trusted");
    }
    // Nobody leads who was not trusted, unless the old leader let him in and with that a
    // reassignment was complete.
    let has_arrived = old.is_reassigning() && !now.is_reassigning();
    let was_trusted = old.isr.contains(&now.leader) || old.elr.contains(&now.leader);
    let is_new = old.leader != now.leader && now.leader != BrokerId::NONE;
    if is_new && !was_trusted && !has_arrived {
        return Err("a leader was elected that may lack records");
    }
    Ok(())
}

fn walk(seed: u64, steps: usize) {
    let mut cluster = Cluster::with_brokers(BROKERS);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for name in TOPICS {
        let factor = dice.brokers().len();
        let mut brokers = || loop {
            let ids = dice.brokers();
            if ids.len() == factor {
                return ids;
            }
        };
        let assignments: Vec<_> = (0..3).map(|_| brokers()).collect();
        let assignments: Vec<&[i32]> = assignments.iter().map(Vec::as_slice).collect();
        cluster.create_at(name, &assignments);
    }
    cluster.set("unclean", "unclean.leader.election.enable", "true");
    cluster.set("one", "min.insync.replicas", "1");
    cluster.set("two", "min.insync.replicas", "2");
    let mut story = Vec::new();
    for _ in 0..steps {
        let before = partitions(&cluster);
        let (what, trust) = step(&mut cluster, &mut dice);
        story.push(what);
        if let Err(broken) = check(&cluster, &before, trust) {
            let last = &story[story.len().saturating_sub(6)..];
            panic!("seed {seed}, step {}: {broken}\nbefore: {before:?}\n{last:#?}", story.len());
        }
    }
    assert_eq!(cluster.image, cluster.replayed_log(), "seed {seed}");
    // Whatever happened: when all disks are back in order, somebody can be made to lead everything.
    for id in 1..=BROKERS {
        cluster.start(id, Life::Clean);
    }
    let unclean = ElectLeadersRequest {
        election_type: 1,
        topic_partitions: None,
        ..ElectLeadersRequest::default()
    };
    cluster.decide(|controller, _, _| controller.elect_leaders(&unclean));
    for ((_, index), partition) in partitions(&cluster) {
        let has_disk = partition
            .replicas
            .iter()
            .any(|id| cluster.controller().has_online_replica(&partition, *id));
        assert!(
            partition.leader != BrokerId::NONE || !has_disk,
            "seed {seed}, {index}: {partition:?}"
        );
    }
}

#[test]
fn no_walk_breaks_a_rule() {
    let seeds = std::env::var("KALDA_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 1..=seeds.unwrap_or(300) {
        walk(seed, 200);
    }
}
