//! Much data and many small requests through the page cache: ours, Kafka's, and the bare ceiling's.

use crate::load::{Run, large, tiny};
use crate::report::{Part, Row};
use crate::rounds::{Measured, of_figure};
use crate::subjects::{CEILING, Habit, KAFKA, Subject, Who};
use crate::{Bench, Outcome};

const GIB: f64 = (1u64 << 30) as f64;
const MILLION: f64 = 1e6;
/// Times that a round fetches what it produced: a fetch costs so little that once would be lost in the
/// ticks of the clock of processes.
const FETCHES: usize = 4;
/// Connections of the small requests.
const CONNECTIONS: usize = 64;

/// Who is measured: ours, Kafka if it was asked for, the ceiling.
pub(crate) fn start_all(bench: &Bench, settings: &[&str]) -> Outcome<Vec<Subject>> {
    let mut subjects = vec![Subject::start(bench, Who::Kalda, settings)?];
    if bench.jars.is_some() {
        subjects.push(Subject::start(bench, Who::Kafka, settings)?);
    }
    subjects.push(Subject::start(bench, Who::Ceiling, &[])?);
    Ok(subjects)
}

/// Batches of 64 KiB in, and out again.
pub(crate) fn large(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let bytes = bench.scale.load_bytes;
    part.note(format!(
        "{} MiB a round through one connection: batches of 63 records of 1 KiB, 5 in flight, acks=all; then \
         fetched back {FETCHES} times, 1 MiB at a time. One partition. Both brokers acknowledge from the page cache.",
        bytes >> 20
    ));
    let subjects = start_all(bench, &[])?;
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let samples = bench.scale.rounds.run(part, &subjects, |subject, round| {
        let topic = format!("large-{round}");
        subject.create_topic(&topic, 1, Habit::PageCache)?;
        let before = subject.broker.cpu_seconds()?;
        let produced = large::produce(subject.broker.address, &topic, bytes)?;
        let between = subject.broker.cpu_seconds()?;
        let mut fetched = Run::default();
        for _ in 0..FETCHES {
            fetched.add(&large::fetch(subject.broker.address, &topic, produced.bytes)?);
        }
        let after = subject.broker.cpu_seconds()?;
        subject.delete_topic(&topic)?;
        let figures = |run: &Run, cpu: f64| {
            let per_gib = GIB / run.bytes as f64;
            [run.rate(), cpu * per_gib, run.own_cpu_seconds * per_gib]
        };
        let produce = figures(&produced, between - before);
        let fetch = figures(&fetched, after - between);
        let latencies = [produced.percentile_ms(0.5), produced.percentile_ms(0.99)];
        let control = produce[2] + fetch[2];
        Ok(Measured { figures: [&produce[..], &fetch, &latencies].concat(), control })
    })?;
    let of = |figure| of_figure(&subjects, &samples, figure);
    part.row(Row::rate("produce, MB/s", of(0)));
    part.row(Row::cost("produce, broker CPU s/GiB", of(1)).goal(KAFKA, 0.25).goal(CEILING, 1.25));
    part.row(Row::cost("produce, generator CPU s/GiB (the control)", of(2)));
    part.row(Row::cost("produce, sending to answer, p50 ms", of(6)));
    part.row(Row::cost("produce, sending to answer, p99 ms", of(7)));
    part.row(Row::rate("fetch, MB/s", of(3)));
    part.row(Row::cost("fetch, broker CPU s/GiB", of(4)).goal(KAFKA, 0.25).goal(CEILING, 1.25));
    part.row(Row::cost("fetch, generator CPU s/GiB (the control)", of(5)));
    resident(part, &subjects)
}

/// One record a request.
pub(crate) fn small(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let requests = bench.scale.requests;
    part.note(format!(
        "{requests} requests a round, one record of 100 bytes each, on {CONNECTIONS} connections that wait for \
         their answers, acks=all, one partition, from the page cache."
    ));
    let subjects = start_all(bench, &[])?;
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let samples = bench.scale.rounds.run(part, &subjects, |subject, round| {
        requests_of(subject, round, CONNECTIONS, requests, Habit::PageCache)
    })?;
    let of = |figure| of_figure(&subjects, &samples, figure);
    part.row(Row::rate("requests/s", of(0)).goal(CEILING, 0.8));
    let cpu = Row::cost("broker CPU s for a million requests", of(1));
    part.row(cpu.goal(KAFKA, 0.25).goal(CEILING, 1.25));
    part.row(Row::cost("generator CPU s for a million requests (the control)", of(2)));
    part.row(Row::cost("p50 ms", of(3)));
    part.row(Row::cost("p99 ms", of(4)));
    resident(part, &subjects)
}

/// One record a request, each on disk before its answer.
pub(crate) fn durable(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let requests = bench.scale.durable_requests;
    part.note(format!(
        "{requests} requests a round, one record each, on {CONNECTIONS} connections, acks=all, one partition, \
         fsync before the answer: Kalda's default, Kafka with flush.messages=1, which is not what it is made for."
    ));
    let mut subjects = start_all(bench, &[])?;
    // The ceiling does not sync.
    subjects.retain(|subject| subject.who != Who::Ceiling);
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let samples = bench.scale.rounds.run(part, &subjects, |subject, round| {
        requests_of(subject, round, CONNECTIONS, requests, Habit::Fsync)
    })?;
    let of = |figure| of_figure(&subjects, &samples, figure);
    part.row(Row::rate("records/s", of(0)).goal(KAFKA, 4.0));
    part.row(Row::cost("broker CPU s for a million records", of(1)));
    part.row(Row::cost("p50 ms", of(3)));
    part.row(Row::cost("p99 ms", of(4)));
    Ok(())
}

fn requests_of(
    subject: &Subject,
    round: usize,
    connections: usize,
    requests: u64,
    habit: Habit,
) -> Outcome<Measured> {
    let topic = format!("small-{round}");
    subject.create_topic(&topic, 1, habit)?;
    let before = subject.broker.cpu_seconds()?;
    let run =
        tiny::produce(subject.broker.address, std::slice::from_ref(&topic), connections, requests)?;
    let cpu = subject.broker.cpu_seconds()? - before;
    subject.delete_topic(&topic)?;
    let by_million = MILLION / run.requests as f64;
    let control = run.own_cpu_seconds * by_million;
    let rate = run.requests as f64 / run.seconds;
    let figures =
        vec![rate, cpu * by_million, control, run.percentile_ms(0.5), run.percentile_ms(0.99)];
    Ok(Measured { figures, control })
}

fn resident(part: &mut Part, subjects: &[&Subject]) -> Outcome<()> {
    let values = subjects.iter().map(|subject| {
        Ok((subject.who.name(), [subject.broker.resident_mib()?].into_iter().collect()))
    });
    part.row(Row::cost("resident MiB after the load", values.collect::<Outcome<_>>()?));
    Ok(())
}
