//! Three nodes, ours and, after them on the same machine, Apache Kafka's: what a crash costs their clients,
//! what replication costs, how many partitions they make, how soon a lost replica is back.

mod failover;
mod loads;
mod nodes;
mod topics;

use std::time::{Duration, Instant};

use failover::Meanwhile;
use nodes::{Cluster, HEAP, NODES};
use topics::{active_controller, await_in_sync, await_served, create, sized};

use crate::figures::Samples;
use crate::load::paced::{self, Pace};
use crate::load::topics::delete_topic;
use crate::load::{Run, tiny};
use crate::report::{Part, Row};
use crate::subjects::{Habit, KAFKA, Who};
use crate::{Bench, Outcome, idle};

const GIB: f64 = (1u64 << 30) as f64;
const MILLION: f64 = 1e6;
/// Connections of the small requests.
const CONNECTIONS: usize = 64;
/// Partitions of a topic where many are created.
const PER_TOPIC: usize = 1_000;
const CREATED_WITHIN: Duration = Duration::from_secs(120);
/// What a failover may take, ms.
const FAILOVER_MS: f64 = 1_500.0;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How often each cluster is started afresh and goes through everything.
    pub(crate) passes: usize,
    /// Of each kind, in a pass.
    pub(crate) kills: usize,
    /// Led by a node that is killed.
    pub(crate) partitions: usize,
    /// Partitions that are created at once.
    pub(crate) created: usize,
    /// Of load before any that counts.
    pub(crate) warm_up: Duration,
    pub(crate) load_bytes: u64,
    pub(crate) requests: u64,
    /// The same, on disk before the answer.
    pub(crate) durable_bytes: u64,
    pub(crate) durable_requests: u64,
    pub(crate) pace: Pace,
    /// Loads of either habit in a pass.
    pub(crate) loads: usize,
    /// What a replica lost.
    pub(crate) caught_up_bytes: u64,
}

/// A piece of work on a running cluster. It leaves the cluster whole, or fails.
type Work = fn(&mut Pass<'_>, &mut Cluster) -> Outcome<()>;

/// In their order; the last leaves more behind than others should have to bear.
const WORKS: [(&str, Work); 5] = [
    ("loads", put_loads),
    ("the kill of a leader", kill_leader),
    ("the kill of the active controller", kill_controller),
    ("catching up", catch_up),
    ("many partitions", create_many),
];

/// One pass of one of them.
struct Pass<'a> {
    bench: &'a Bench,
    scale: Scale,
    /// Counts over all, for the names of topics.
    number: usize,
    who: Who,
    found: &'a mut Found,
}

/// Rows as they come to be.
struct Found {
    subjects: Vec<Who>,
    rows: Vec<Row>,
}

impl Found {
    fn push(&mut self, who: Who, row: Row, value: f64) {
        println!("    {}: {}: {value:.2}", who.name(), row.figure);
        let at = self.rows.iter().position(|known| known.figure == row.figure);
        let at = at.unwrap_or_else(|| {
            let nothing = self.subjects.iter().map(|who| (who.name(), Samples::default()));
            self.rows.push(Row { values: nothing.collect(), ..row });
            self.rows.len() - 1
        });
        let values = self.rows[at].values.iter_mut();
        values.filter(|(name, _)| *name == who.name()).for_each(|(_, samples)| samples.push(value));
    }
}

impl Pass<'_> {
    fn push(&mut self, row: Row, value: f64) {
        self.found.push(self.who, row, value);
    }

    /// A time, in ms or s.
    fn cost(&mut self, figure: impl Into<String>, value: f64) {
        self.push(Row::cost(figure, Vec::new()), value);
    }

    /// A cost that is to be half of Kafka's.
    fn cost_halved(&mut self, figure: impl Into<String>, value: f64) {
        self.push(Row::cost(figure, Vec::new()).goal(KAFKA, 0.5), value);
    }

    /// A rate that is to be twice Kafka's.
    fn rate_doubled(&mut self, figure: impl Into<String>, value: f64) {
        self.push(Row::rate(figure, Vec::new()).goal(KAFKA, 2.0), value);
    }
}

/// All works of all clusters: one cluster at a time, ours first, then in turned order.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let scale = bench.scale.cluster;
    notes(scale, part);
    let subjects = idle::brokers(bench);
    let mut found = Found { subjects: subjects.clone(), rows: Vec::new() };
    let mut failures = Vec::new();
    for number in 0..scale.passes {
        let mut order = subjects.clone();
        if number % 2 == 1 {
            order.reverse();
        }
        for who in order {
            let mut pass = Pass { bench, scale, number, who, found: &mut found };
            failures.extend(pass.run());
        }
    }
    for row in found.rows {
        part.row(row);
    }
    failures.into_iter().for_each(|failure| part.note(failure));
    Ok(())
}

impl Pass<'_> {
    /// All works on one cluster, on another after one that failed. Answers what failed.
    fn run(&mut self) -> Vec<String> {
        let mut running = None;
        let mut failures = Vec::new();
        for (name, work) in WORKS {
            println!("   {}, pass {}: {name}", self.who.name(), self.number);
            let cluster = match running.take() {
                Some(cluster) => Ok(cluster),
                None => Cluster::start(self.bench, self.who),
            };
            let failed = cluster.and_then(|mut cluster| match work(self, &mut cluster) {
                Ok(()) => {
                    running = Some(cluster);
                    Ok(())
                }
                Err(error) => Err(format!("{error}; see {}", cluster.keep().display()).into()),
            });
            if let Err(error) = failed {
                println!("    FAILED: {error}");
                failures.push(format!("{}, {name} failed: {error}", self.who.name()));
            }
        }
        failures
    }
}

fn notes(scale: Scale, part: &mut Part) {
    part.note(format!(
        "Three nodes on this machine, each broker and controller, replication factor 3, min.insync.replicas 2; \
         Kafka with a heap of {HEAP} a node. One cluster at a time, each started afresh {} times, in turned order. \
         Unless said otherwise each has its own default: ours is on the disks of all in sync before the answer, Kafka's \
         is in their page cache.",
        scale.passes
    ));
    part.note(format!(
        "Failover: {} partitions, all led by one node, written to over 4 connections; that node is killed \
         (`kill -9`) and each partition tried again from the first moment, by 4 connections to each node that lives, \
         50 partitions a request; leaders are asked for every 10 ms. The time is from the signal to the first \
         acknowledged produce of each. Killed is a node that is not the active controller, then the one that is; in the \
         second case topics are created meanwhile by way of both others, and the first success counts.",
        scale.partitions
    ));
    part.note(format!(
        "Loads: {} MiB in batches of 64 KiB, one partition led by each node, one connection each, 5 in flight; {} requests \
         of one record of 100 bytes on {CONNECTIONS} connections to one partition; and {} records/s for {} s, from due \
         to consumed. CPU is that of all three brokers for what was \
         produced, once. Before each load what the one before left in the page cache is written. On disk before the answer: {} MiB and {} requests. Before, {} s of the same load that do not count.",
        scale.load_bytes >> 20,
        scale.requests,
        scale.pace.rate,
        scale.pace.time.as_secs(),
        scale.durable_bytes >> 20,
        scale.durable_requests,
        scale.warm_up.as_secs()
    ));
    part.note(format!(
        "Catching up: a node is stopped, {} MiB written, its partitions wiped (not its identity and the metadata log), and the node \
         started: until it is in sync with every partition. Many: {} partitions, {PER_TOPIC} a topic, until every node \
         knows all leaders and they serve; once.",
        scale.caught_up_bytes >> 20,
        scale.created
    ));
}

/// How much is produced at once.
#[derive(Clone, Copy)]
struct Amount {
    bytes: u64,
    requests: u64,
    pace: Pace,
}

fn put_loads(pass: &mut Pass<'_>, cluster: &mut Cluster) -> Outcome<()> {
    let Scale { pace, .. } = pass.scale;
    let cached = Amount { bytes: pass.scale.load_bytes, requests: pass.scale.requests, pace };
    let begun = Instant::now();
    // A virtual machine of Java's compiles what it finds worth it.
    for turn in 0.. {
        if begun.elapsed() > pass.scale.warm_up {
            break;
        }
        let amount = Amount { bytes: cached.bytes / 8, requests: cached.requests / 4, ..cached };
        measured(cluster, Habit::PageCache, &format!("warm-up-{}-{turn}", pass.number), amount)?;
    }
    let durable =
        Amount { bytes: pass.scale.durable_bytes, requests: pass.scale.durable_requests, ..cached };
    for (habit, amount) in [(Habit::PageCache, cached), (Habit::Fsync, durable)] {
        for load in 0..pass.scale.loads {
            let prefix = format!("{habit:?}-{}-{load}", pass.number);
            let loads = measured(cluster, habit, &prefix, amount)?;
            pass.push_loads(habit, &loads);
        }
    }
    pass.cost("resident MiB of all three, after the loads", cluster.resident_mib()?);
    Ok(())
}

/// What the three loads found.
struct Loads {
    large: Run,
    large_cpu: f64,
    small: Run,
    small_cpu: f64,
    paced: Run,
}

fn measured(cluster: &Cluster, habit: Habit, prefix: &str, amount: Amount) -> Outcome<Loads> {
    let topics = loads::topics_of_each(cluster, prefix, &NODES, habit)?;
    let one = loads::topics_of_each(cluster, &format!("{prefix}-small"), &NODES[..1], habit)?;
    let pace_on = loads::topics_of_each(cluster, &format!("{prefix}-paced"), &NODES[..1], habit)?;
    cluster.settle()?;
    let before = cluster.cpu_seconds()?;
    let large = loads::produce(&topics, amount.bytes)?;
    let large_cpu = cluster.cpu_seconds()? - before;
    cluster.settle()?;
    let before = cluster.cpu_seconds()?;
    let (name, address) = &one[0];
    let small = tiny::produce(*address, std::slice::from_ref(name), CONNECTIONS, amount.requests)?;
    let small_cpu = cluster.cpu_seconds()? - before;
    cluster.settle()?;
    let paced = paced::run(pace_on[0].1, &pace_on[0].0, amount.pace)?;
    for (name, _) in topics.iter().chain(&one).chain(&pace_on) {
        delete_topic(&mut cluster.dial(NODES[0])?, name)?;
    }
    Ok(Loads { large, large_cpu, small, small_cpu, paced })
}

impl Pass<'_> {
    fn push_loads(&mut self, habit: Habit, loads: &Loads) {
        let Loads { large, small, paced, .. } = loads;
        let per_gib = GIB / large.bytes as f64;
        let of = habit.name();
        self.rate_doubled(format!("{of}: produce, MB/s"), large.rate());
        self.cost_halved(format!("{of}: produce, brokers' CPU s/GiB"), loads.large_cpu * per_gib);
        let own = large.own_cpu_seconds * per_gib;
        self.cost(format!("{of}: produce, generator CPU s/GiB (the control)"), own);
        self.percentiles(&format!("{of}: produce"), large);
        let rate = small.requests as f64 / small.seconds;
        self.rate_doubled(format!("{of}: small requests/s"), rate);
        let cpu = loads.small_cpu * MILLION / small.requests as f64;
        self.cost_halved(format!("{of}: brokers' CPU s for a million small requests"), cpu);
        self.percentiles(&format!("{of}: small requests"), small);
        self.percentiles(&format!("{of}, {} records/s", self.scale.pace.rate), paced);
    }

    fn percentiles(&mut self, what: &str, run: &Run) {
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            self.cost_halved(format!("{what}, {name} ms"), run.percentile_ms(part));
        }
    }
}

fn kill_leader(pass: &mut Pass<'_>, cluster: &mut Cluster) -> Outcome<()> {
    for kill in 0..pass.scale.kills {
        let controller = active_controller(cluster, NODES[0])?;
        let (victim, _) = cluster.others(controller)[kill % 2];
        kill_one(pass, cluster, victim, kill, Meanwhile::Produce)?;
    }
    Ok(())
}

fn kill_controller(pass: &mut Pass<'_>, cluster: &mut Cluster) -> Outcome<()> {
    for kill in 0..pass.scale.kills {
        let controller = active_controller(cluster, NODES[0])?;
        kill_one(pass, cluster, controller, kill, Meanwhile::ProduceAndCreate)?;
    }
    Ok(())
}

/// Kills a node, notes what that cost, and brings the node back.
fn kill_one(
    pass: &mut Pass<'_>,
    cluster: &mut Cluster,
    victim: i32,
    kill: usize,
    meanwhile: Meanwhile,
) -> Outcome<()> {
    let topic = format!("failover-{meanwhile:?}-{}-{kill}", pass.number);
    let partitions = pass.scale.partitions;
    let cost = failover::kill(cluster, victim, &topic, partitions, meanwhile)?;
    let what = match meanwhile {
        Meanwhile::Produce => "leader killed",
        Meanwhile::ProduceAndCreate => "leader that is the active controller killed",
    };
    pass.cost(format!("{what}: to new leaders of all partitions, ms"), cost.led_ms);
    let first = format!("{what}: to the first acknowledged produce");
    pass.cost_halved(format!("{first}, median ms"), cost.percentile_ms(0.5));
    let p99 = Row::cost(format!("{first}, p99 ms"), Vec::new()).goal(KAFKA, 0.5);
    pass.push(p99.at_most(FAILOVER_MS), cost.percentile_ms(0.99));
    pass.cost_halved(format!("{first}, max ms"), cost.percentile_ms(1.0));
    if let Some(created) = cost.created_ms {
        pass.cost_halved("active controller killed: to the next created topic, ms", created);
    }
    let begun = Instant::now();
    cluster.respawn(pass.bench, victim)?;
    cluster.await_ready(victim)?;
    let (other, _) = cluster.others(victim)[0];
    await_in_sync(cluster, other, &[&topic], partitions, NODES.len())?;
    let back = begun.elapsed().as_secs_f64() * 1e3;
    pass.cost(format!("{what}: its start to in sync with all again, ms"), back);
    delete_topic(&mut cluster.dial(other)?, &topic)
}

fn catch_up(pass: &mut Pass<'_>, cluster: &mut Cluster) -> Outcome<()> {
    for kill in 0..pass.scale.kills {
        let controller = active_controller(cluster, NODES[0])?;
        let (victim, _) = cluster.others(controller)[kill % 2];
        let name = format!("caught-up-{}-{kill}", pass.number);
        let bytes = pass.scale.caught_up_bytes;
        let time = loads::catch_up(pass.bench, cluster, victim, &name, bytes)?;
        let what = format!("empty replica, {} MiB", bytes >> 20);
        let (start, ready) = (time.from_start.as_secs_f64(), time.from_ready.as_secs_f64());
        pass.cost_halved(format!("{what}: start to in sync, ms"), start * 1e3);
        pass.cost(format!("{what}: first answer to in sync, ms"), ready * 1e3);
        for (leader, _) in cluster.others(victim) {
            delete_topic(&mut cluster.dial(leader)?, &format!("{name}-{leader}"))?;
        }
    }
    Ok(())
}

fn create_many(pass: &mut Pass<'_>, cluster: &mut Cluster) -> Outcome<()> {
    if pass.number > 0 {
        return Ok(());
    }
    let created = pass.scale.created;
    let names: Vec<String> =
        (0..created.div_ceil(PER_TOPIC)).map(|n| format!("many-{n}")).collect();
    let begun = Instant::now();
    let mut connection = cluster.dial(NODES[0])?;
    for name in &names {
        create(&mut connection, sized(name, PER_TOPIC as i32, 3), CREATED_WITHIN)?;
    }
    let answered = begun.elapsed().as_secs_f64();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    await_served(cluster, &names, names.len() * PER_TOPIC)?;
    let served = begun.elapsed().as_secs_f64();
    pass.cost(format!("{created} partitions created: to the last answer, s"), answered);
    pass.cost_halved(format!("{created} partitions created: all led and served, s"), served);
    pass.cost(format!("resident MiB of all three, {created} partitions"), cluster.resident_mib()?);
    Ok(())
}
