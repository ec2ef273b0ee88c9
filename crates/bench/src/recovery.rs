//! What a broker does with what it has on disk: recovering after a kill, and serving who lags behind.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use crate::figures::Samples;
use crate::load::{batch, large, paced, produce_frame, topics};
use crate::report::{Part, Row};
use crate::subjects::{Habit, KAFKA, Subject, Who};
use crate::throughput::start_all;
use crate::wire::Connection;
use crate::{Bench, Outcome, idle};

const GIB: f64 = (1u64 << 30) as f64;
/// Partitions that what is to be recovered lies in, one topic each.
const TOPICS: usize = 10;

/// `kill -9` with many bytes in logs that were never closed, to the first record that is acknowledged.
pub(crate) fn after_kill(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let bytes = bench.scale.recovered_bytes;
    part.note(format!(
        "{} MiB in {TOPICS} partitions, written through the page cache, then `kill -9` and a start on the same \
         directory: to ready, and to a record that is acknowledged by each partition. {} kills.",
        bytes >> 20,
        bench.scale.kills
    ));
    let (mut ready, mut produced) = (Vec::new(), Vec::new());
    for who in idle::brokers(bench) {
        let mut subject = Subject::start(bench, who, &[])?;
        let names: Vec<String> = (0..TOPICS).map(|topic| format!("recovered-{topic}")).collect();
        for name in &names {
            subject.create_topic(name, 1, Habit::PageCache)?;
            large::produce(subject.broker.address, name, bytes / TOPICS as u64)?;
        }
        let (mut to_ready, mut to_produced) = (Samples::default(), Samples::default());
        for _ in 0..bench.scale.kills {
            subject.broker.kill()?;
            let begun = Instant::now();
            subject.respawn(bench, &[])?;
            to_ready.push_ms(
                subject.broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?,
            );
            for name in &names {
                await_acknowledged(&subject, name)?;
            }
            to_produced.push_ms(begun.elapsed());
        }
        subject.stop()?;
        ready.push((who.name(), to_ready));
        produced.push((who.name(), to_produced));
    }
    part.row(Row::cost("kill to ready, ms", ready));
    part.row(Row::cost("kill to a record in every partition, ms", produced).goal(KAFKA, 0.05));
    Ok(())
}

/// Sends one record again and again until it is taken.
fn await_acknowledged(subject: &Subject, topic: &str) -> Outcome<()> {
    let frame = produce_frame(topic, batch(1, 100)?)?;
    let begun = Instant::now();
    let mut connection = Connection::open(subject.broker.address)?;
    loop {
        connection.send(&frame)?;
        match crate::load::await_produced(&mut connection) {
            Ok(()) => return Ok(()),
            Err(error) if begun.elapsed() > Duration::from_secs(120) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A reader far behind, whose records are no longer in memory, beside a producer that is in time.
pub(crate) fn lagging(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let bytes = bench.scale.lag_bytes;
    let pace = paced::Pace { rate: 1_000, ..bench.scale.pace };
    part.note(format!(
        "{} MiB are written, synced and dropped from the page cache, then fetched from the start, 1 MiB at a time, \
         while another topic takes 1,000 records/s; {} rounds.",
        bytes >> 20,
        bench.scale.kills
    ));
    let subjects = start_all(bench, &[])?;
    let (mut rate, mut cpu, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for subject in &subjects {
        let (mut rates, mut cpus) = (Samples::default(), Samples::default());
        let mut latencies = Samples::default();
        for round in 0..bench.scale.kills {
            let topic = format!("lagging-{round}");
            subject.create_topic(&topic, 1, Habit::PageCache)?;
            large::produce(subject.broker.address, &topic, bytes)?;
            drop_from_cache(subject.directory.path())?;
            let before = subject.broker.cpu_seconds()?;
            let fetched = large::fetch(subject.broker.address, &topic, bytes)?;
            let spent = subject.broker.cpu_seconds()? - before;
            rates.push(fetched.rate());
            cpus.push(spent / (fetched.bytes as f64 / GIB));
            if subject.who != Who::Ceiling {
                drop_from_cache(subject.directory.path())?;
                latencies.push(paced_beside(subject, &topic, bytes, round, pace)?);
            }
            subject.delete_topic(&topic)?;
        }
        rate.push((subject.who.name(), rates));
        cpu.push((subject.who.name(), cpus));
        if subject.who != Who::Ceiling {
            beside.push((subject.who.name(), latencies));
        }
    }
    part.row(Row::rate("cold fetch, MB/s", rate));
    part.row(Row::cost("cold fetch, broker CPU s/GiB", cpu));
    part.row(Row::cost("who is in time meanwhile, p99 ms end to end", beside));
    Ok(())
}

/// The p99 of records at a fixed rate while somebody reads cold data, over and over until they are done.
fn paced_beside(
    subject: &Subject,
    cold: &str,
    bytes: u64,
    round: usize,
    pace: paced::Pace,
) -> Outcome<f64> {
    let topic = format!("in-time-{round}");
    subject.create_topic(&topic, 1, Habit::PageCache)?;
    let address = subject.broker.address;
    let run = std::thread::scope(|scope| {
        let paced = scope.spawn(|| paced::run(address, &topic, pace).map_err(|e| e.to_string()));
        while !paced.is_finished() {
            drop_from_cache(subject.directory.path())?;
            large::fetch(address, cold, bytes)?;
        }
        Ok::<_, Box<dyn std::error::Error>>(paced.join().map_err(|_| "the producer panicked")??)
    })?;
    topics::delete_topic(&mut Connection::open(address)?, &topic)?;
    Ok(run.percentile_ms(0.99))
}

/// Has the kernel write and forget the pages of every file of at least 1 MiB.
fn drop_from_cache(directory: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            drop_from_cache(&entry.path())?;
        } else if entry.metadata()?.len() >= 1 << 20 {
            let file = File::open(entry.path())?;
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
