//! Other systems that keep streams of records, beside ours, each at the load nearest to ours that its own
//! protocol knows. They promise different things; the notes say what.
//!
//! Every load is one connection that sends records of 1 KiB which were encoded before, with so many under way
//! as the system's own load generator has, and then another that reads them back. A peer that cannot be had
//! or does not run is told in a note and costs the others nothing.

mod nats;
mod rabbitmq;
mod tansu;

use crate::broker::Broker;
use crate::figures::Samples;
use crate::load::{Run, large};
use crate::report::{Part, Row};
use crate::rounds::Measured;
use crate::subjects::{Habit, KALDA, Subject, Who};
use crate::{Bench, Outcome};

const GIB: f64 = (1u64 << 30) as f64;
const RECORD_LEN: usize = large::RECORD_LEN;

/// One who keeps records.
trait Peer {
    /// Its name in a report.
    fn name(&self) -> &'static str;
    fn broker(&self) -> &Broker;
    /// Whether its load costs the generator enough to tell by it that the machine was disturbed.
    fn has_control(&self) -> bool {
        true
    }
    /// Makes a stream of this name and appends records of [`RECORD_LEN`] until they are `bytes` or a little
    /// more, each acknowledged.
    fn produce(&self, stream: &str, bytes: u64) -> Outcome<Done>;
    /// Reads them all.
    fn consume(&self, stream: &str, produced: &Done) -> Outcome<Done>;
    /// Deletes the stream.
    fn delete(&self, stream: &str) -> Outcome<()>;
}

/// What one direction of a load took; `run` counts bytes as the system frames them.
struct Done {
    records: u64,
    run: Run,
}

impl Done {
    /// Records a second, CPU seconds a GiB of the broker and of the generator.
    fn figures(&self, broker_cpu: f64) -> [f64; 3] {
        let gib = self.records as f64 * RECORD_LEN as f64 / GIB;
        let rate = self.records as f64 / self.run.seconds;
        [rate, broker_cpu / gib, self.run.own_cpu_seconds / gib]
    }
}

impl Peer for Subject {
    fn name(&self) -> &'static str {
        self.who.name()
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn produce(&self, stream: &str, bytes: u64) -> Outcome<Done> {
        self.create_topic(stream, 1, Habit::PageCache)?;
        produce_batches(&self.broker, stream, bytes)
    }

    fn consume(&self, stream: &str, produced: &Done) -> Outcome<Done> {
        fetch_batches(&self.broker, stream, produced)
    }

    fn delete(&self, stream: &str) -> Outcome<()> {
        self.delete_topic(stream)
    }
}

/// By the protocol of Kafka.
fn produce_batches(broker: &Broker, topic: &str, bytes: u64) -> Outcome<Done> {
    let run = large::produce(broker.address, topic, bytes)?;
    Ok(Done { records: run.requests * large::RECORDS as u64, run })
}

fn fetch_batches(broker: &Broker, topic: &str, produced: &Done) -> Outcome<Done> {
    let run = large::fetch(broker.address, topic, produced.run.bytes)?;
    Ok(Done { records: produced.records, run })
}

/// Starts a peer, its data in a directory of its own.
type Start = fn(bench: &Bench, part: &mut Part) -> Outcome<Box<dyn Peer>>;

const PEERS: &[(&str, Start)] =
    &[(nats::NAME, nats::start), (rabbitmq::NAME, rabbitmq::start), (tansu::NAME, tansu::start)];

/// All that can be had, by turns.
pub(crate) fn measure(bench: &Bench, part: &mut Part) -> Outcome<()> {
    let bytes = bench.scale.load_bytes;
    part.note(format!(
        "{} MiB a round of records of 1 KiB through one connection into one stream or partition of one copy, \
         then all of it back through another connection. CPU is by the GiB of record values. Every generator \
         sends frames that were made before and looks only at the heads of what it gets.",
        bytes >> 20
    ));
    part.note(
        "Kalda and Apache Kafka: batches of 63 records, 5 in flight, acks=all, acknowledged from the page cache; \
         fetched 1 MiB at a time.",
    );
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(Subject::start(bench, Who::Kalda, &[])?)];
    if bench.jars.is_some() {
        peers.push(Box::new(Subject::start(bench, Who::Kafka, &[])?));
        for (name, start) in PEERS {
            match start(bench, part).and_then(|peer| attempt(&*peer).map(|()| peer)) {
                Ok(peer) => peers.push(peer),
                Err(error) => part.note(format!("{name} was not measured: {error}")),
            }
        }
    } else {
        part.note("The peers were left out, as was asked for.");
    }
    let idle = resident("resident MiB before the load", &peers)?;
    let samples = rounds(bench, part, &mut peers)?;
    let of = |figure: usize| {
        let values = peers.iter().zip(&samples);
        values.map(|(peer, samples)| (peer.name(), samples[figure].clone())).collect()
    };
    part.row(Row::rate("in, records/s", of(0)));
    part.row(Row::cost("in, broker CPU s/GiB", of(1)));
    part.row(Row::cost("in, generator CPU s/GiB (the control)", of(2)));
    part.row(Row::rate("out, records/s", of(3)));
    part.row(Row::cost("out, broker CPU s/GiB", of(4)));
    part.row(Row::cost("out, generator CPU s/GiB (the control)", of(5)));
    part.row(idle);
    part.row(resident("resident MiB after the load", &peers)?);
    Ok(())
}

/// A little of everything, so that one that cannot do it is left out instead of ending a round of all.
fn attempt(peer: &dyn Peer) -> Outcome<()> {
    const BYTES: u64 = 1 << 20;
    let produced = peer.produce("attempt", BYTES)?;
    peer.consume("attempt", &produced)?;
    peer.delete("attempt")
}

/// The samples of each figure, for each of `peers`. One that fails in some round is noted and leaves them, and
/// the others start anew; if ours fails, all do.
fn rounds(
    bench: &Bench,
    part: &mut Part,
    peers: &mut Vec<Box<dyn Peer>>,
) -> Outcome<Vec<Vec<Samples>>> {
    let bytes = bench.scale.load_bytes;
    loop {
        let by_turns: Vec<&dyn Peer> = peers.iter().map(|peer| &**peer).collect();
        let mut failed = KALDA;
        let outcome = bench.scale.rounds.run(part, &by_turns, |peer, round| {
            // Whoever was cut off has left its stream.
            let stream = format!("stream-{}-{round}", by_turns.len());
            turn(peer, &stream, bytes).inspect_err(|_| failed = peer.name())
        });
        match outcome {
            Err(error) if failed != KALDA => {
                part.note(format!("{failed} was not measured: it failed under load: {error}"));
                peers.retain(|peer| peer.name() != failed);
            }
            outcome => return outcome,
        }
    }
}

fn turn(peer: &dyn Peer, stream: &str, bytes: u64) -> Outcome<Measured> {
    let before = peer.broker().cpu_seconds()?;
    let produced = peer.produce(stream, bytes)?;
    let between = peer.broker().cpu_seconds()?;
    let consumed = peer.consume(stream, &produced)?;
    let after = peer.broker().cpu_seconds()?;
    peer.delete(stream)?;
    let [produce, consume] =
        [produced.figures(between - before), consumed.figures(after - between)];
    let control = if peer.has_control() { produce[2] + consume[2] } else { 0.0 };
    Ok(Measured { figures: [produce, consume].concat(), control })
}

fn resident(figure: &str, peers: &[Box<dyn Peer>]) -> Outcome<Row> {
    let values = peers
        .iter()
        .map(|peer| Ok((peer.name(), [peer.broker().resident_mib()?].into_iter().collect())));
    Ok(Row::cost(figure, values.collect::<Outcome<_>>()?))
}

/// Random bytes, which nothing makes smaller.
fn value() -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..RECORD_LEN).map(|_| byte()).collect()
}
