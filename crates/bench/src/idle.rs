//! What a broker takes before anybody asks for anything, and what is held costs: the start, idling, many
//! partitions, many connections.

use std::thread;
use std::time::{Duration, Instant};

use kalda_protocol::messages::metadata::MetadataResponse;

use crate::figures::Samples;
use crate::load::connections;
use crate::load::topics::{LIST_OFFSETS, create_topic, latest_offsets};
use crate::report::{Part, Row};
use crate::subjects::{KAFKA, Subject, Who};
use crate::wire::Connection;
use crate::{Bench, Outcome};

/// A broker settles before it is looked at.
const SETTLE: Duration = Duration::from_secs(3);
const PER_TOPIC: i32 = 1000;

/// Ours, and Kafka if it was asked for.
pub(crate) fn brokers(bench: &Bench) -> Vec<Who> {
    let theirs = bench.jars.is_some().then_some(Who::Kafka);
    [Some(Who::Kalda), theirs].into_iter().flatten().collect()
}

/// From the start of the process to the first answer of ApiVersions and Metadata.
pub(crate) fn start(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let starts = bench.scale.starts;
    part.note(format!(
        "{starts} starts on a directory that holds nothing but its format (ours none at all), from the exec of the \
         process to answers of ApiVersions and Metadata that name the broker; then SIGTERM to its end."
    ));
    let (mut ready, mut stop) = (Vec::new(), Vec::new());
    for who in brokers(bench) {
        let (mut to_ready, mut to_stop) = (Samples::default(), Samples::default());
        for _ in 0..starts {
            let subject = Subject::start(bench, who, &[])?;
            to_ready.push_ms(subject.ready);
            to_stop.push_ms(subject.broker.stop()?);
        }
        ready.push((who.name(), to_ready));
        stop.push((who.name(), to_stop));
    }
    part.row(Row::cost("start to ready, ms", ready).goal(KAFKA, 1.0 / 20.0));
    part.row(Row::cost("clean stop, ms", stop));
    Ok(())
}

/// Resident memory and idle CPU: empty, with partitions, with connections.
pub(crate) fn held(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let (partitions, held) = (bench.scale.partitions, bench.scale.connections);
    part.note(format!(
        "Resident memory is VmRSS; idle CPU is what the process spent in {} s in which nobody asked for anything. \
         Partitions are created {PER_TOPIC} a request. Connections have asked for ApiVersions once. Kafka's heap \
         is that of its start script, 1 GiB.",
        bench.scale.idle.as_secs()
    ));
    let mut columns = Vec::new();
    for who in brokers(bench) {
        columns.push((who.name(), one(bench, who, partitions, held)?));
    }
    let of = |figure: usize| -> Vec<(&'static str, Samples)> {
        columns.iter().map(|(name, found)| (*name, [found[figure]].into_iter().collect())).collect()
    };
    let resident = |what: String, figure| Row::cost(format!("resident MiB, {what}"), of(figure));
    part.row(resident("idle".to_owned(), 0).goal(KAFKA, 1.0 / 15.0));
    part.row(resident(format!("{held} connections"), 2).goal(KAFKA, 1.0 / 15.0));
    part.row(resident(format!("{PER_TOPIC} partitions"), 4));
    part.row(resident(format!("{partitions} partitions"), 6).goal(KAFKA, 1.0 / 15.0));
    part.row(Row::cost("CPU ms while idle, empty", of(1)));
    part.row(Row::cost(format!("CPU ms while idle, {held} connections"), of(3)));
    part.row(Row::cost(format!("CPU ms while idle, {partitions} partitions"), of(7)));
    part.row(Row::cost(format!("create {partitions} partitions, all served, s"), of(8)));
    part.row(Row::cost(format!("clean stop with {partitions} partitions, s"), of(9)));
    part.row(Row::cost(format!("start with {partitions} partitions, all served, s"), of(10)));
    Ok(())
}

fn one(bench: &Bench, who: Who, partitions: usize, held: usize) -> Outcome<Vec<f64>> {
    let mut subject = Subject::start(bench, who, &[])?;
    let mut found = look(bench, &subject)?;
    let connections = connections::open(subject.broker.address, held)?;
    found.extend(look(bench, &subject)?);
    drop(connections);
    let topics = partitions.div_ceil(PER_TOPIC as usize);
    let begun = Instant::now();
    let mut connection = Connection::open(subject.broker.address)?;
    for topic in 0..topics {
        create_topic(&mut connection, &name(topic), PER_TOPIC, &[])?;
        if topic == 0 {
            let all = |connection: &mut Connection, metadata: &MetadataResponse| {
                serves_all(connection, metadata, 1)
            };
            subject.broker.await_ready(all)?;
            found.extend(look(bench, &subject)?);
        }
    }
    subject.broker.await_ready(|connection, metadata| serves_all(connection, metadata, topics))?;
    // The look in between is not part of the creation.
    let created = begun.elapsed().saturating_sub(SETTLE + bench.scale.idle).as_secs_f64();
    found.extend(look(bench, &subject)?);
    found.push(created);
    found.push(subject.stop()?.as_secs_f64());
    subject.respawn(bench, &[])?;
    let reopened = subject
        .broker
        .await_ready(|connection, metadata| serves_all(connection, metadata, topics))?;
    found.push(reopened.as_secs_f64());
    subject.stop()?;
    Ok(found)
}

/// Resident MiB, and ms of CPU while nothing is asked.
fn look(bench: &Bench, subject: &Subject) -> Outcome<Vec<f64>> {
    thread::sleep(SETTLE);
    let before = subject.broker.cpu_seconds()?;
    thread::sleep(bench.scale.idle);
    let spent = (subject.broker.cpu_seconds()? - before) * 1e3;
    Ok(vec![subject.broker.resident_mib()?, spent])
}

fn name(topic: usize) -> String {
    format!("many-{topic}")
}

/// Whether each partition has a leader, and that leader its log.
fn serves_all(
    connection: &mut Connection,
    metadata: &MetadataResponse,
    topics: usize,
) -> Outcome<bool> {
    let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    let led = partitions.filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
    if led.count() < topics * PER_TOPIC as usize {
        return Ok(false);
    }
    let request = latest_offsets((0..topics).map(|topic| (name(topic), PER_TOPIC)));
    let answer = connection.call(&request, LIST_OFFSETS)?;
    let mut answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(answered.all(|partition| partition.error_code == 0))
}
