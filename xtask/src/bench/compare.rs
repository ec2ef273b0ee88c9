//! Throughput and CPU of one producer and one consumer, ours and, in the same minutes and by the same
//! load, Apache Kafka's. Like is compared with like: fsync with fsync, page cache with page cache.

use std::path::Path;

use super::broker::{Broker, Kalda};
use super::figures::{Samples, Table};
use super::load::{Run, create_topic, delete_topic, fetch, produce};
use super::wire::Connection;
use super::{Outcome, Scale, apache};

const GIB: f64 = (1u64 << 30) as f64;

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// When it is on disk.
    Fsync,
    /// When the operating system has it.
    PageCache,
}

/// One broker under one habit, with what was measured.
struct Subject<'a> {
    name: &'static str,
    habit: Habit,
    /// Topic configs that make it so; for the broker's default there are none.
    configs: &'static [(&'static str, &'static str)],
    broker: &'a Broker,
    produced: Figures,
    fetched: Figures,
}

#[derive(Default)]
struct Figures {
    rate: Samples,
    cpu_per_gib: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
}

impl Figures {
    fn push(&mut self, run: &Run, cpu_seconds: f64) {
        self.rate.push(run.rate());
        self.cpu_per_gib.push(cpu_seconds / (run.bytes as f64 / GIB));
        self.p50_ms.push(run.percentile_ms(0.5));
        self.p99_ms.push(run.percentile_ms(0.99));
    }
}

/// Measures ours, and Kafka's if there are jars.
pub(crate) fn measure(
    kalda: &Kalda,
    jars: Option<&Path>,
    scale: Scale,
    table: &mut Table,
) -> Outcome<()> {
    let (our_directory, their_directory) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut ours = kalda.start(our_directory.path())?;
    ours.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    let mut theirs = jars.map(|jars| apache::start(jars, their_directory.path())).transpose()?;
    if let Some(theirs) = &mut theirs {
        let ready = theirs.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
        let how = "exec of java on a formatted directory to the first Metadata, once";
        table.row("Apache Kafka: start, ms", format!("{:.0}", ready.as_secs_f64() * 1e3), how);
    }
    let mut subjects = subjects(&ours, theirs.as_ref());
    for round in 0..scale.warm_up_rounds + scale.rounds {
        for at in 0..subjects.len() {
            // A B, then B A: whatever drifts, drifts for both.
            let at = if round % 2 == 0 { at } else { subjects.len() - 1 - at };
            round_of(&mut subjects[at], round, scale)?;
        }
    }
    for subject in &subjects {
        rows(subject, scale, table);
    }
    for pair in subjects.chunks(2) {
        if let [ours, theirs] = pair {
            ratios(ours, theirs, table);
        }
    }
    for (name, broker) in [("Kalda", Some(ours)), ("Apache Kafka", theirs)] {
        let Some(broker) = broker else { continue };
        let resident = broker.resident_mib()?;
        table.row(
            &format!("{name}: resident MiB"),
            format!("{resident:.0}"),
            "VmRSS after the load",
        );
        broker.stop()?;
    }
    Ok(())
}

/// In pairs, ours first.
fn subjects<'a>(ours: &'a Broker, theirs: Option<&'a Broker>) -> Vec<Subject<'a>> {
    const NEVER: &[(&str, &str)] = &[("flush.messages", "9223372036854775807")];
    const ALWAYS: &[(&str, &str)] = &[("flush.messages", "1")];
    let subject = |name, habit, configs, broker| Subject {
        name,
        habit,
        configs,
        broker,
        produced: Figures::default(),
        fetched: Figures::default(),
    };
    let mut subjects = Vec::new();
    for (habit, our_configs, their_configs) in
        [(Habit::Fsync, &[][..], ALWAYS), (Habit::PageCache, NEVER, &[][..])]
    {
        subjects.push(subject("Kalda", habit, our_configs, ours));
        if let Some(theirs) = theirs {
            subjects.push(subject("Apache Kafka", habit, their_configs, theirs));
        }
    }
    subjects
}

fn round_of(subject: &mut Subject<'_>, round: usize, scale: Scale) -> Outcome<()> {
    let topic = format!("load-{:?}-{round}", subject.habit);
    let broker = subject.broker;
    let mut connection = Connection::open(broker.address)?;
    create_topic(&mut connection, &topic, 1, subject.configs)?;
    let before = broker.cpu_seconds()?;
    let produced = produce(broker.address, &topic, scale.load_bytes)?;
    let between = broker.cpu_seconds()?;
    let fetched = fetch(broker.address, &topic, produced.bytes)?;
    let after = broker.cpu_seconds()?;
    if round >= scale.warm_up_rounds {
        subject.produced.push(&produced, between - before);
        subject.fetched.push(&fetched, after - between);
    }
    delete_topic(&mut connection, &topic)
}

fn rows(subject: &Subject<'_>, scale: Scale, table: &mut Table) {
    let Subject { name, habit, configs, produced, fetched, .. } = subject;
    let configs = match configs {
        [(key, value), ..] => format!("{key}={value}"),
        [] => "its default".to_owned(),
    };
    let load = format!(
        "{} MiB, batches of 64 KiB, 5 in flight, acks=all, {configs}, {} rounds",
        scale.load_bytes >> 20,
        scale.rounds
    );
    let case = format!("{name}, {habit:?}");
    table.row(&format!("{case}: produce, MB/s"), &produced.rate, &load);
    table.row(
        &format!("{case}: produce, broker CPU s/GiB"),
        &produced.cpu_per_gib,
        "/proc/PID/stat",
    );
    table.row(&format!("{case}: produce, p50 ms"), &produced.p50_ms, "sending to answer");
    table.row(&format!("{case}: produce, p99 ms"), &produced.p99_ms, "sending to answer");
    table.row(&format!("{case}: fetch, MB/s"), &fetched.rate, "the same bytes, 1 MiB a fetch");
    table.row(&format!("{case}: fetch, broker CPU s/GiB"), &fetched.cpu_per_gib, "/proc/PID/stat");
}

fn ratios(ours: &Subject<'_>, theirs: &Subject<'_>, table: &mut Table) {
    if ours.name == theirs.name {
        return;
    }
    let how = "round by round";
    for (what, ours_of, theirs_of) in
        [("produce", &ours.produced, &theirs.produced), ("fetch", &ours.fetched, &theirs.fetched)]
    {
        let case = format!("Kalda ÷ Apache Kafka, {:?}: {what}", ours.habit);
        table.row(&format!("{case}, MB/s"), ours_of.rate.by(&theirs_of.rate), how);
        table.row(&format!("{case}, CPU"), ours_of.cpu_per_gib.by(&theirs_of.cpu_per_gib), how);
    }
}
