//! What coordinators do for applications: transactions, offset commits, rebalances, and the load of a
//! partition with many offsets; ours and, in the same minutes and by the same requests, Apache Kafka's.

mod commits;
mod rebalance;
mod transactions;

use std::path::Path;
use std::time::{Duration, Instant};

use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;

use super::broker::{Broker, Kalda};
use super::figures::{Samples, Table};
use super::wire::Connection;
use super::{Outcome, Scale, apache};

/// Between two tries of a request that a coordinator refuses until it is ready.
const RETRY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// When what a coordinator answers is safe, with the settings that make it so, ours and theirs.
struct Habit {
    name: &'static str,
    ours: &'static [&'static str],
    theirs: &'static [&'static str],
}

const HABITS: [Habit; 2] = [
    Habit { name: "Fsync", ours: &[], theirs: &["log.flush.interval.messages=1"] },
    Habit {
        name: "PageCache",
        ours: &["log.flush.interval.messages=9223372036854775807"],
        theirs: &[],
    },
];

/// For both: no wait for further members, and internal topics that one broker can hold.
const COMMON: [&str; 4] = [
    "group.initial.rebalance.delay.ms=0",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
];

/// A piece of work that is timed, and what is found by it.
struct Work {
    figures: &'static [Figure],
    how: String,
    run: fn(&Broker, round: usize, scale: Scale) -> Outcome<Vec<f64>>,
}

struct Figure {
    name: &'static str,
    /// More is better: a rate; or else a time.
    is_rate: bool,
}

const fn rate(name: &'static str) -> Figure {
    Figure { name, is_rate: true }
}

const fn time(name: &'static str) -> Figure {
    Figure { name, is_rate: false }
}

fn works(scale: Scale) -> Vec<Work> {
    vec![
        Work {
            figures: const { &[rate("transactions/s, 1 partition")] },
            how: format!("{} of one record, KIP-890, one producer", scale.transactions),
            run: |broker, round, scale| {
                Ok(vec![transactions::rate(broker, round, 1, scale.transactions)?])
            },
        },
        Work {
            figures: const { &[rate("transactions/s, 50 partitions")] },
            how: format!("{} of one record a partition", scale.transactions / 4),
            run: |broker, round, scale| {
                Ok(vec![transactions::rate(broker, round, 50, scale.transactions / 4)?])
            },
        },
        Work {
            figures: const { &[rate("offset commits/s"), time("broker CPU s for a million commits")] },
            how: format!("{} of one partition, 16 connections, a group each", scale.commits),
            run: |broker, round, scale| commits::run(broker, round, scale.commits),
        },
        Work {
            figures: const {
                &[
                    time("classic group, first join to all assigned, ms"),
                    time("classic group, one leaves, to all assigned, ms"),
                ]
            },
            how: "100 members, 1,000 partitions, range, members beat every 50 ms".to_owned(),
            run: |broker, round, _| rebalance::classic(broker, round),
        },
        Work {
            figures: const {
                &[
                    time("consumer group, first join to all assigned, ms"),
                    time("consumer group, one leaves, to all assigned, ms"),
                ]
            },
            how: "100 members, 1,000 partitions, uniform (KIP-848), beats every 50 ms".to_owned(),
            run: |broker, round, _| rebalance::consumer(broker, round),
        },
    ]
}

/// Measures ours, and Kafka's if there are jars.
pub(crate) fn measure(
    kalda: &Kalda,
    jars: Option<&Path>,
    scale: Scale,
    table: &mut Table,
) -> Outcome<()> {
    for habit in &HABITS {
        let (our_directory, their_directory) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let ours = start(habit, kalda, None, our_directory.path())?;
        let theirs = jars.map(|jars| start(habit, kalda, Some(jars), their_directory.path()));
        let theirs = theirs.transpose()?;
        for work in works(scale) {
            measure_work(&work, habit, &ours, theirs.as_ref(), scale, table)?;
        }
        for broker in [Some(ours), theirs].into_iter().flatten() {
            broker.stop()?;
        }
    }
    Ok(())
}

fn start(habit: &Habit, kalda: &Kalda, jars: Option<&Path>, directory: &Path) -> Outcome<Broker> {
    let own = if jars.is_some() { habit.theirs } else { habit.ours };
    let settings: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let mut broker = match jars {
        Some(jars) => apache::start_with(jars, directory, &settings)?,
        None => kalda.start_with(directory, &settings)?,
    };
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    Ok(broker)
}

fn measure_work(
    work: &Work,
    habit: &Habit,
    ours: &Broker,
    theirs: Option<&Broker>,
    scale: Scale,
    table: &mut Table,
) -> Outcome<()> {
    let none = || vec![Samples::default(); work.figures.len()];
    let mut subjects = vec![("Kalda", ours, none())];
    subjects.extend(theirs.map(|theirs| ("Apache Kafka", theirs, none())));
    for round in 0..=scale.rounds {
        for at in 0..subjects.len() {
            // A B, then B A: whatever drifts, drifts for both. The first round warms up.
            let at = if round % 2 == 0 { at } else { subjects.len() - 1 - at };
            let (_, broker, samples) = &mut subjects[at];
            let found = (work.run)(broker, round, scale)?;
            if round > 0 {
                samples.iter_mut().zip(found).for_each(|(samples, found)| samples.push(found));
            }
        }
    }
    for (at, figure) in work.figures.iter().enumerate() {
        let Figure { name: what, is_rate } = figure;
        for (name, _, samples) in &subjects {
            table.row(&format!("{name}, {}: {what}", habit.name), &samples[at], &work.how);
        }
        if let [(_, _, ours), (_, _, theirs)] = &subjects[..] {
            let how = if *is_rate { "more is better" } else { "less is better" };
            let case = format!("Kalda ÷ Apache Kafka, {}: {what}", habit.name);
            table.row(&case, ours[at].by(&theirs[at]), how);
        }
    }
    Ok(())
}

/// A partition of `__consumer_offsets` with many records, from the start of the broker on it to the
/// first answer about its group.
pub(crate) fn measure_load(
    kalda: &Kalda,
    jars: Option<&Path>,
    scale: Scale,
    table: &mut Table,
) -> Outcome<()> {
    let habit = &HABITS[1];
    let mut times = Vec::new();
    for (name, jars) in [("Kalda", None), ("Apache Kafka", jars)] {
        if name != "Kalda" && jars.is_none() {
            continue;
        }
        let directory = tempfile::tempdir()?;
        let broker = start(habit, kalda, jars, directory.path())?;
        commits::fill(&broker, scale.reloaded)?;
        broker.stop()?;
        let (mut to_ready, mut to_answer) = (Samples::default(), Samples::default());
        for _ in 0..scale.rounds {
            let begun = Instant::now();
            let broker = start(habit, kalda, jars, directory.path())?;
            let ready = begun.elapsed();
            commits::await_fetched(&broker)?;
            to_answer.push_ms(begun.elapsed());
            to_ready.push_ms(begun.elapsed().saturating_sub(ready));
            broker.stop()?;
        }
        let records = scale.reloaded;
        let how = format!("a partition of {records} commits for 1,000 keys, after a clean stop");
        table.row(&format!("{name}: start to the first fetched offset, ms"), &to_answer, &how);
        table.row(&format!("{name}: ready to the first fetched offset, ms"), &to_ready, &how);
        times.push(to_answer);
    }
    if let [ours, theirs] = &times[..] {
        let case = "Kalda ÷ Apache Kafka: start to the first fetched offset";
        table.row(case, ours.by(theirs), "less is better");
    }
    Ok(())
}

/// Waits until the coordinator of a key is there: 0 for a group, 1 for a transactional id.
fn find(connection: &mut Connection, key_type: i8, key: &str) -> Outcome<()> {
    let request = FindCoordinatorRequest {
        key: key.to_owned(),
        key_type,
        ..FindCoordinatorRequest::default()
    };
    until(|| Ok(connection.call(&request, 3)?.error_code == 0))
}

/// Tries again until it answers true.
fn until(mut attempt: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    while !attempt()? {
        if Instant::now() > deadline {
            return Err("a coordinator was not ready in time".into());
        }
        std::thread::sleep(RETRY);
    }
    Ok(())
}
