//! The same work by clients that are not ours: librdkafka's own load generator and Kafka's. What a broker
//! costs must not depend on who drives it.
//!
//! Each client is a process of its own. It is waited for, so that what it spent is told by the operating
//! system, and what it measured is read from what it printed.

mod kafka_perf;
mod librdkafka;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::downloads::succeed;
use crate::report::{Part, Row};
use crate::rounds::{Measured, of_figure};
use crate::subjects::{Habit, Subject, Who};
use crate::{Bench, Outcome};

const GIB: f64 = (1u64 << 30) as f64;
/// After which a client that does not end is ended.
const PATIENCE_SECONDS: &str = "600";
/// The first member of a group would wait so long for others, 3 s by default, and tell it as its own time.
const SETTINGS: &[&str] = &["group.initial.rebalance.delay.ms=0"];

/// A client that produces messages and consumes them again.
trait Generator {
    /// As figures are called after it.
    fn name(&self) -> &'static str;
    /// What [`Self::produce`] finds, in its order.
    fn produce_rows(&self) -> Vec<Row>;
    /// What [`Self::consume`] finds, in its order.
    fn consume_rows(&self) -> Vec<Row>;
    fn produce(&self, load: &Load) -> Outcome<Finished>;
    fn consume(&self, load: &Load) -> Outcome<Finished>;
}

/// What a client is to do.
struct Load {
    address: SocketAddr,
    topic: String,
    message_len: u64,
    messages: u64,
}

/// What a client found by its own clock, and what it spent.
struct Finished {
    figures: Vec<f64>,
    cpu_seconds: f64,
}

/// Both clients, one after the other, on the same brokers.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let mut subjects = vec![Subject::start(bench, Who::Kalda, SETTINGS)?];
    if bench.jars.is_some() {
        subjects.push(Subject::start(bench, Who::Kafka, SETTINGS)?);
    }
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let bytes = bench.scale.load_bytes;
    part.note(
        "One partition, acks=all, linger.ms=5, no compression, otherwise each client's defaults. The brokers \
         acknowledge from the page cache. Rates and latencies are those that the client prints; CPU is by the \
         GiB of message values, the client's with its own start. Kafka's producer makes \
         up every value byte by byte, which bounds it before any broker does.",
    );
    match librdkafka::fetch() {
        Ok(generator) => {
            run(bench, part, &subjects, &generator, 1000, bytes)?;
            run(bench, part, &subjects, &generator, 100, bytes / 2)?;
        }
        Err(error) => part.note(format!("{} could not be had: {error}", librdkafka::NAME)),
    }
    match kafka_perf::fetch() {
        Ok(generator) => run(bench, part, &subjects, &generator, 1000, bytes / 2),
        Err(error) => {
            part.note(format!("{} could not be had: {error}", kafka_perf::NAME));
            Ok(())
        }
    }
}

fn run(
    bench: &Bench,
    part: &mut Part,
    subjects: &[&Subject],
    generator: &dyn Generator,
    message_len: u64,
    bytes: u64,
) -> Outcome<()> {
    let samples = bench.scale.rounds.run(part, subjects, |subject, round| {
        let topic = format!("{}-{message_len}-{round}", generator.name());
        subject.create_topic(&topic, 1, Habit::PageCache)?;
        let messages = bytes / message_len;
        let load =
            Load { address: subject.broker.address, topic: topic.clone(), message_len, messages };
        let before = subject.broker.cpu_seconds()?;
        let produced = generator.produce(&load)?;
        let between = subject.broker.cpu_seconds()?;
        let consumed = generator.consume(&load)?;
        let after = subject.broker.cpu_seconds()?;
        subject.delete_topic(&topic)?;
        let gib = (messages * message_len) as f64 / GIB;
        let figures = |finished: &Finished, broker_cpu: f64| {
            let costs = [broker_cpu / gib, finished.cpu_seconds / gib];
            [&finished.figures[..], &costs].concat()
        };
        Ok(Measured {
            figures: [figures(&produced, between - before), figures(&consumed, after - between)]
                .concat(),
            control: produced.cpu_seconds + consumed.cpu_seconds,
        })
    })?;
    let mut figure = 0;
    for (work, rows) in
        [("produce", generator.produce_rows()), ("consume", generator.consume_rows())]
    {
        let costs = ["broker CPU s/GiB", "client CPU s/GiB (the control)"];
        let costs = costs.map(|cost| Row::cost(cost, Vec::new()));
        for row in rows.into_iter().chain(costs) {
            let name = format!("{}, {message_len} B, {work}: {}", generator.name(), row.figure);
            let values = of_figure(subjects, &samples, figure);
            part.row(Row { figure: name, values, ..row });
            figure += 1;
        }
    }
    Ok(())
}

/// Runs a client to its end; `read` finds its figures in what it printed.
fn finish(client: &Command, read: fn(&str) -> Option<Vec<f64>>) -> Outcome<Finished> {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE_SECONDS).arg(client.get_program()).args(client.get_args());
    let before = children_cpu_seconds()?;
    let printed = succeed(&mut command)?;
    let cpu_seconds = children_cpu_seconds()? - before;
    let last = printed.lines().last().unwrap_or_default();
    let figures = read(&printed).ok_or_else(|| format!("{client:?} printed no figures: {last}"))?;
    Ok(Finished { figures, cpu_seconds })
}

/// What all the children that have ended and were waited for have spent.
fn children_cpu_seconds() -> Outcome<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // `cutime` and `cstime`, 16 and 17, counted from the end of the name.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_was_waited_for_is_counted() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo 7"]);
        let read = |printed: &str| Some(vec![printed.trim().parse().ok()?]);
        let finished = finish(&busy, read).unwrap();
        assert_eq!(finished.figures, [7.0]);
        assert!(finished.cpu_seconds > 0.0);
    }

    #[test]
    fn a_client_without_figures_is_an_error() {
        let mut silent = Command::new("echo");
        silent.arg("nothing");
        assert!(finish(&silent, |_| None).is_err());
        assert!(finish(&Command::new("false"), |_| Some(vec![])).is_err());
    }
}
