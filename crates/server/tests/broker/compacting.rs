//! Compaction while clients write and read, through restarts and kills.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kalda_model::{ProducerEpoch, ProducerId};
use kalda_records::{BatchBuilder, BatchOptions, Producer};

use crate::client::{Client, NOON};
use crate::rig::Rig;

const KEYS: usize = 10;

/// Small segments, compacted as soon as they are closed.
const SETTINGS: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.01"),
];

/// One record for each key, 100 kB in all.
fn round(number: usize, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
    for key in 0..KEYS {
        let value = format!("{number:010000}");
        builder.append(NOON, Some(format!("{key}").as_bytes()), Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}

fn idempotent(id: i64, number: usize) -> Producer {
    let base_sequence = (number * KEYS) as i32;
    Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence }
}

fn log_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
    // One that was swapped away between the listing and the look counts nothing.
    logs.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn wait_until_smaller_than(client: &mut Client, dir: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(45);
    while log_bytes(dir) >= bytes {
        assert!(Instant::now() < deadline, "{} bytes are left", log_bytes(dir));
        // A round trip is as good a pause as any.
        client.describe("t");
    }
}

#[test]
fn a_compacted_topic_keeps_the_last_value_of_each_key_and_its_producers() {
    let mut rig = Rig::start(&[("log.cleaner.backoff.ms", "50")]);
    let mut client = rig.client();
    client.create("t", 1, &SETTINGS);
    let id = client.producer_id();
    let mut end = 0;
    for number in 0..60 {
        let base = client.produce_ok("t", 0, round(number, idempotent(id, number)));
        assert_eq!(base, end);
        end += KEYS as i64;
    }
    let dir = rig.path("a/t-0");
    wait_until_smaller_than(&mut client, &dir, 3_000_000);
    for restart in 0..3 {
        let mut client = rig.client();
        let read = client.read_all("t", 0, 0);
        assert!(read.is_sorted_by_key(|record| record.offset));
        assert!(read.len() < 60 * KEYS / 2, "restart {restart}");
        let last: Vec<_> = read[read.len() - KEYS..].iter().map(|one| one.offset).collect();
        assert_eq!(last, (end - KEYS as i64..end).collect::<Vec<_>>());
        assert!(
            read[read.len() - KEYS..]
                .iter()
                .all(|one| one.value == format!("{:010000}", 59).as_bytes())
        );
        let again = client.produce_ok("t", 0, round(59, idempotent(id, 59)));
        assert_eq!(again, end - KEYS as i64, "a duplicate is known, restart {restart}");
        rig = if restart == 0 { rig.restart() } else { rig.restart_killed() };
    }
    let point = std::fs::read_to_string(rig.path("a/cleaner-offset-checkpoint")).unwrap();
    assert!(point.lines().any(|line| line.starts_with("t 0 ")), "{point}");
}

#[test]
fn the_cleaner_leaves_alone_what_is_not_to_be_compacted_and_stops_when_asked() {
    // So slow that the stop comes in the midst of it.
    let slow = [("log.cleaner.backoff.ms", "20"), ("log.cleaner.io.max.bytes.per.second", "1000")];
    let rig = Rig::start(&slow);
    let mut client = rig.client();
    client.create("compacted", 1, &SETTINGS);
    client.create("kept", 1, &[("segment.bytes", "1048576")]);
    for number in 0..25 {
        client.produce_ok("compacted", 0, round(number, Producer::NONE));
        client.produce_ok("kept", 0, round(number, Producer::NONE));
    }
    let stopped = Instant::now();
    let rig = rig.restart();
    assert!(stopped.elapsed() < Duration::from_secs(30));
    let mut client = rig.client();
    assert_eq!(client.read_all("kept", 0, 0).len(), 25 * KEYS);
    assert_eq!(client.read_all("compacted", 0, 0).len(), 25 * KEYS);
}
