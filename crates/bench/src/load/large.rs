//! Much data: one connection that sends batches of 64 KiB, some always under way, and fetches them back.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Run, await_produced, batch, fetch_frame, fetched, own_cpu_seconds, produce_frame};
use crate::Outcome;
use crate::wire::Connection;

/// `max.in.flight.requests.per.connection`.
const IN_FLIGHT: usize = 5;
/// 1 KiB each with its framing, together just below 64 KiB.
pub(crate) const RECORDS: usize = 63;
pub(crate) const RECORD_LEN: usize = 1024;
/// `max.partition.fetch.bytes`.
pub(crate) const FETCH_LEN: i32 = 1024 * 1024;
const WAIT_MS: i32 = 30_000;

/// Sends batches to partition 0 until they are `bytes`.
pub(crate) fn produce(address: SocketAddr, topic: &str, bytes: u64) -> Outcome<Run> {
    let batch = batch(RECORDS, RECORD_LEN)?;
    let size = batch.len() as u64;
    let count = bytes.div_ceil(size);
    let frame = produce_frame(topic, batch)?;
    let mut connection = Connection::open(address)?;
    let mut under_way: VecDeque<Instant> = VecDeque::new();
    let mut latencies_ms = Vec::new();
    let (begun, own_before) = (Instant::now(), own_cpu_seconds());
    let mut sent = 0;
    while sent < count || !under_way.is_empty() {
        if sent < count && under_way.len() < IN_FLIGHT {
            under_way.push_back(Instant::now());
            connection.send(&frame)?;
            sent += 1;
            continue;
        }
        await_produced(&mut connection)?;
        let asked = under_way.pop_front();
        latencies_ms.extend(asked.map(|asked| asked.elapsed().as_secs_f64() * 1e3));
    }
    let run = Run {
        bytes: count * size,
        requests: count,
        seconds: begun.elapsed().as_secs_f64(),
        own_cpu_seconds: own_cpu_seconds() - own_before,
        latencies_ms,
    };
    Ok(run.sort())
}

/// Fetches partition 0 from its start until `bytes` have come, 1 MiB at a time.
pub(crate) fn fetch(address: SocketAddr, topic: &str, bytes: u64) -> Outcome<Run> {
    let mut connection = Connection::open(address)?;
    let mut run = Run::default();
    let mut answer = Vec::new();
    let mut offset = 0;
    let (begun, own_before) = (Instant::now(), own_cpu_seconds());
    while run.bytes < bytes {
        let asked = Instant::now();
        connection.send(&fetch_frame(topic, offset, FETCH_LEN, WAIT_MS)?)?;
        connection.receive_into(&mut answer)?;
        run.latencies_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        let fetched = fetched(&answer, topic)?;
        offset = fetched.next_offset.ok_or("a fetch that brought nothing")?;
        run.bytes += fetched.bytes;
        run.requests += 1;
    }
    run.seconds = begun.elapsed().as_secs_f64();
    run.own_cpu_seconds = own_cpu_seconds() - own_before;
    Ok(run.sort())
}
