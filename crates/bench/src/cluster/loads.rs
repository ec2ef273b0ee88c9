//! Loads at `acks=all` with three replicas: much data, one record a request, a fixed rate; and a replica
//! that has lost everything and comes back.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::nodes::{Cluster, NODES};
use super::topics::{await_in_sync, create_served, led_by};
use crate::load::{Run, large, own_cpu_seconds};
use crate::subjects::Habit;
use crate::{Bench, Outcome};

/// Topics of one partition, each led by the node it is named after; answers where each is written to.
pub(super) fn topics_of_each(
    cluster: &Cluster,
    name: &str,
    leaders: &[i32],
    habit: Habit,
) -> Outcome<Vec<(String, SocketAddr)>> {
    let mut topics = Vec::new();
    for &leader in leaders {
        let name = format!("{name}-{leader}");
        create_served(cluster, led_by(&name, &[leader], habit.configs(cluster.who)))?;
        topics.push((name, cluster.address(leader)?));
    }
    Ok(topics)
}

/// Writes so many bytes, an equal part to each topic at the same time.
pub(super) fn produce(topics: &[(String, SocketAddr)], bytes: u64) -> Outcome<Run> {
    let each = bytes / topics.len() as u64;
    let (begun, own_before) = (Instant::now(), own_cpu_seconds());
    let runs: Vec<Run> = thread::scope(|scope| {
        let writers: Vec<_> = topics
            .iter()
            .map(|(topic, address)| {
                scope.spawn(|| large::produce(*address, topic, each).map_err(|e| e.to_string()))
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| Ok(writer.join().map_err(|_| "a writer panicked")??))
            .collect::<Outcome<_>>()
    })?;
    let mut all = Run::default();
    runs.iter().for_each(|run| all.add(run));
    all.seconds = begun.elapsed().as_secs_f64();
    all.own_cpu_seconds = own_cpu_seconds() - own_before;
    all.latencies_ms.sort_by(f64::total_cmp);
    Ok(all)
}

/// How long a replica took to come back: from the start of its process, and from its first answer.
pub(super) struct CaughtUp {
    pub(super) from_start: Duration,
    pub(super) from_ready: Duration,
}

/// Stops a node, writes so many bytes to what the others lead, wipes the node and starts it: until it is in
/// sync with every partition.
pub(super) fn catch_up(
    bench: &Bench,
    cluster: &mut Cluster,
    victim: i32,
    name: &str,
    bytes: u64,
) -> Outcome<CaughtUp> {
    let leaders: Vec<i32> = NODES.into_iter().filter(|id| *id != victim).collect();
    let topics = topics_of_each(cluster, name, &leaders, Habit::PageCache)?;
    let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
    cluster.stop(victim)?;
    await_in_sync(cluster, leaders[0], &names, names.len(), NODES.len() - 1)?;
    produce(&topics, bytes)?;
    cluster.wipe(victim)?;
    cluster.respawn(bench, victim)?;
    let begun = Instant::now();
    cluster.await_ready(victim)?;
    let ready = begun.elapsed();
    await_in_sync(cluster, leaders[0], &names, names.len(), NODES.len())?;
    let from_start = begun.elapsed();
    Ok(CaughtUp { from_start, from_ready: from_start.saturating_sub(ready) })
}
