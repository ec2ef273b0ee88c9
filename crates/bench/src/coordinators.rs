//! What coordinators do for applications: transactions, offset commits, rebalances, and the load of a
//! partition with many offsets; ours and, in the same minutes and by the same requests, Apache Kafka's.

mod commits;
mod rebalance;
mod transactions;

use std::time::{Duration, Instant};

use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;

use crate::broker::Broker;
use crate::figures::Samples;
use crate::report::{Part, Row};
use crate::rounds::{Measured, Rounds, of_figure};
use crate::subjects::{KAFKA, Subject, Who};
use crate::wire::Connection;
use crate::{Bench, Outcome, idle};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) transactions: usize,
    pub(crate) commits: usize,
    /// Records in the partition that is loaded.
    pub(crate) reloaded: usize,
}

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

/// Both habits of both brokers.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let scale = bench.scale.coordinators;
    for work in works(scale) {
        part.note(work.how.clone());
    }
    for habit in &HABITS {
        let subjects: Vec<Subject> = idle::brokers(bench)
            .into_iter()
            .map(|who| Subject::start(bench, who, &settings(habit, who)))
            .collect::<Outcome<_>>()?;
        let subjects: Vec<&Subject> = subjects.iter().collect();
        for work in works(scale) {
            let rounds = Rounds { warm_up: 1, counted: bench.scale.paced_rounds.counted };
            let samples = rounds.run(part, &subjects, |subject, round| {
                // Whoever waits most of the time has no CPU of its own to be judged by.
                Ok(Measured { figures: (work.run)(&subject.broker, round, scale)?, control: 1.0 })
            })?;
            for (at, figure) in work.figures.iter().enumerate() {
                let values = of_figure(&subjects, &samples, at);
                let name = format!("{}: {}", habit.name, figure.name);
                part.row(if figure.is_rate {
                    Row::rate(name, values).goal(KAFKA, 2.0)
                } else {
                    Row::cost(name, values).goal(KAFKA, 0.5)
                });
            }
        }
    }
    Ok(())
}

fn settings(habit: &Habit, who: Who) -> Vec<&'static str> {
    let own = if who == Who::Kafka { habit.theirs } else { habit.ours };
    COMMON.iter().chain(own).copied().collect()
}

/// A partition of `__consumer_offsets` with many records, from the start of the broker on it to the
/// first answer about its group.
pub(crate) fn measure_load(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let habit = &HABITS[1];
    let records = bench.scale.coordinators.reloaded;
    part.note(format!("A partition of {records} commits for 1,000 keys, after a clean stop."));
    let (mut from_start, mut from_ready) = (Vec::new(), Vec::new());
    for who in idle::brokers(bench) {
        let settings = settings(habit, who);
        let mut subject = Subject::start(bench, who, &settings)?;
        commits::fill(&subject.broker, records)?;
        let (mut to_ready, mut to_answer) = (Samples::default(), Samples::default());
        for _ in 0..bench.scale.kills {
            subject.stop()?;
            let begun = Instant::now();
            subject.respawn(bench, &settings)?;
            subject.broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
            let ready = begun.elapsed();
            commits::await_fetched(&subject.broker)?;
            to_answer.push_ms(begun.elapsed());
            to_ready.push_ms(begun.elapsed().saturating_sub(ready));
        }
        subject.stop()?;
        from_start.push((who.name(), to_answer));
        from_ready.push((who.name(), to_ready));
    }
    part.row(Row::cost("start to the first fetched offset, ms", from_start).goal(KAFKA, 0.5));
    part.row(Row::cost("ready to the first fetched offset, ms", from_ready));
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
