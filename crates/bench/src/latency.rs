//! How long a record takes from when it is due to when a consumer has it, at fixed rates.

use crate::load::paced;
use crate::report::{Part, Row};
use crate::rounds::{Measured, of_figure};
use crate::subjects::{Habit, KAFKA, Subject};
use crate::{Bench, Outcome, idle};

/// The rate that the goal is for.
const GOAL_RATE: u32 = 10_000;

/// Both habits of both brokers.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let pace = bench.scale.pace;
    part.note(format!(
        "Records of 100 bytes at a fixed rate for {} s after {} s that do not count, one partition, acks=all, \
         linger.ms=0, at most 5 requests in flight (what is due meanwhile goes into the next batch), one consumer \
         with fetch.min.bytes=1. A latency counts from when its record was due.",
        pace.time.as_secs(),
        pace.warm_up.as_secs()
    ));
    let subjects: Vec<Subject> = idle::brokers(bench)
        .into_iter()
        .map(|who| Subject::start(bench, who, &[]))
        .collect::<Outcome<_>>()?;
    let subjects: Vec<&Subject> = subjects.iter().collect();
    for habit in [Habit::PageCache, Habit::Fsync] {
        for &rate in bench.scale.rates {
            let pace = paced::Pace { rate, ..pace };
            let samples = bench.scale.paced_rounds.run(part, &subjects, |subject, round| {
                let topic = format!("paced-{habit:?}-{rate}-{round}");
                subject.create_topic(&topic, 1, habit)?;
                let before = subject.broker.cpu_seconds()?;
                let run = paced::run(subject.broker.address, &topic, pace)?;
                let cpu = subject.broker.cpu_seconds()? - before;
                subject.delete_topic(&topic)?;
                let latencies = [0.5, 0.99, 0.999].map(|part| run.percentile_ms(part));
                let figures = [&latencies[..], &[cpu / run.seconds * 100.0]].concat();
                // Sleeping generators cost what their wake-ups cost, and that depends on the broker.
                Ok(Measured { figures, control: 1.0 })
            })?;
            let of = |figure| of_figure(&subjects, &samples, figure);
            let case = format!("{}, {rate}/s", habit.name());
            part.row(Row::cost(format!("{case}: p50 ms"), of(0)));
            let p99 = Row::cost(format!("{case}: p99 ms"), of(1));
            let has_goal = habit == Habit::PageCache && rate == GOAL_RATE;
            part.row(if has_goal { p99.goal(KAFKA, 0.25) } else { p99 });
            part.row(Row::cost(format!("{case}: p99.9 ms"), of(2)));
            part.row(Row::cost(format!("{case}: broker CPU, % of a core"), of(3)));
        }
    }
    Ok(())
}
