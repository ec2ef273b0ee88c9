//! A fixed rate, whatever the broker does: how long each record takes from when it was due to when a
//! consumer has it. A broker that stalls is charged for every record that waits meanwhile.

use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{Batches, Run, await_produced, fetch_frame, fetched, own_cpu_seconds, produce_frame};
use crate::Outcome;
use crate::wire::Connection;

/// `max.in.flight.requests.per.connection`; what is due meanwhile goes into the next batch.
const IN_FLIGHT: usize = 5;
const RECORD_LEN: usize = 100;
/// Most records of one batch, for whom falls behind.
const RECORDS_MAX: usize = 1000;
const FETCH_LEN: i32 = 1024 * 1024;
const FETCH_WAIT_MS: i32 = 500;

/// A rate that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Records a second.
    pub(crate) rate: u32,
    /// For how long.
    pub(crate) time: Duration,
    /// What is not counted at its begin.
    pub(crate) warm_up: Duration,
}

impl Pace {
    fn due(self, offset: u64) -> Duration {
        Duration::from_secs_f64(offset as f64 / f64::from(self.rate))
    }

    fn records(self) -> u64 {
        (f64::from(self.rate) * (self.time + self.warm_up).as_secs_f64()) as u64
    }

    fn first_counted(self) -> u64 {
        (f64::from(self.rate) * self.warm_up.as_secs_f64()) as u64
    }
}

/// One producer with `linger.ms=0` and one consumer with `fetch.min.bytes=1`, on partition 0 of an empty
/// topic. The latencies are those of records, end to end.
pub(crate) fn run(address: SocketAddr, topic: &str, pace: Pace) -> Outcome<Run> {
    let mut connection = Connection::open(address)?;
    let acknowledgements = connection.duplicate()?;
    let consumer = Connection::open(address)?;
    let mut batches = Batches::default();
    // The clock starts a moment later, when all are at their places.
    let begun = Instant::now() + Duration::from_millis(20);
    let own_before = own_cpu_seconds();
    let consumer = {
        let topic = topic.to_owned();
        thread::spawn(move || consume(consumer, &topic, begun, pace).map_err(|e| e.to_string()))
    };
    let (sent, under_way) = sync_channel::<()>(IN_FLIGHT);
    let acknowledged = thread::spawn(move || -> Result<u64, String> {
        let mut connection = acknowledgements;
        let mut count = 0;
        while under_way.recv().is_ok() {
            await_produced(&mut connection).map_err(|error| error.to_string())?;
            count += 1;
        }
        Ok(count)
    });
    let mut offset = 0;
    while offset < pace.records() {
        thread::sleep((begun + pace.due(offset)).saturating_duration_since(Instant::now()));
        // Blocks while enough is under way.
        if sent.send(()).is_err() {
            break;
        }
        let due = (begun.elapsed().as_secs_f64() * f64::from(pace.rate)) as u64 + 1;
        let records = due.min(pace.records()).saturating_sub(offset).clamp(1, RECORDS_MAX as u64);
        let batch = batches.of(records as usize, RECORD_LEN)?;
        connection.send(&produce_frame(topic, batch)?)?;
        offset += records;
    }
    drop(sent);
    let requests = acknowledged.join().map_err(|_| "the thread of answers panicked")??;
    let latencies_ms = consumer.join().map_err(|_| "the consumer panicked")??;
    let run = Run {
        bytes: offset * RECORD_LEN as u64,
        requests,
        seconds: begun.elapsed().as_secs_f64(),
        own_cpu_seconds: own_cpu_seconds() - own_before,
        latencies_ms,
    };
    Ok(run.sort())
}

/// Offsets count the records in the order in which they were due, so the offset tells when one was.
fn consume(
    mut connection: Connection,
    topic: &str,
    begun: Instant,
    pace: Pace,
) -> Outcome<Vec<f64>> {
    let mut latencies_ms = Vec::new();
    let mut answer = Vec::new();
    let mut offset = 0;
    while offset < pace.records() {
        connection.send(&fetch_frame(topic, offset.cast_signed(), FETCH_LEN, FETCH_WAIT_MS)?)?;
        connection.receive_into(&mut answer)?;
        let now = begun.elapsed();
        let Some(next) = fetched(&answer, topic)?.next_offset else { continue };
        for record in offset.max(pace.first_counted())..next.cast_unsigned() {
            latencies_ms.push((now.as_secs_f64() - pace.due(record).as_secs_f64()) * 1e3);
        }
        offset = next.cast_unsigned();
    }
    Ok(latencies_ms)
}
