//! How often the hot paths allocate, per request, against a stored baseline: an allocation that creeps into
//! one of them fails here, whatever the machine is doing. `KALDA_REWRITE=1` writes the baseline anew.
//!
//! A process of its own, since every allocation of every thread counts: one broker, one client that sends
//! the same bytes over and over and keeps none of what it is answered, and one load at a time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kalda_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kalda_protocol::{Request, RequestHeader};
use kalda_records::{BatchBuilder, BatchOptions};
use kalda_server::{BrokerConfig, Server};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: usize = 300;
const REQUESTS: usize = 700;
/// The broker's own tasks allocate too, now and then; the quietest of some runs has least of that.
const RUNS: usize = 4;
/// What grows by doubling, such as an index, allocates now and then.
const TOLERANCE: f64 = 0.2;
const PARTITIONS: i32 = 100;
const PAGE_CACHE: &str = "page-cache";
const FSYNC: &str = "fsync";

#[test]
fn the_hot_paths_allocate_no_more_than_they_did() {
    let home = tempfile::tempdir().unwrap();
    let settings = [
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs".to_owned(), home.path().display().to_string()),
    ];
    let (config, _) = BrokerConfig::load(None, [], &settings).unwrap();
    let server = Server::start(config).unwrap();
    let address = server.addresses()[0];
    create(address, PAGE_CACHE, Some(("flush.messages", "9223372036854775807")));
    create(address, FSYNC, None);

    let one = batch(1, 100);
    let large = batch(63, 1024);
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let loads = [
        ("produce of one record, page cache", produce(PAGE_CACHE, &[0], &one)),
        ("produce of one record, fsync", produce(FSYNC, &[0], &one)),
        ("produce of 64 KiB, page cache", produce(PAGE_CACHE, &[1], &large)),
        ("produce to 100 partitions, page cache", produce(PAGE_CACHE, &all, &one)),
        ("fetch of one batch of one record", fetch(PAGE_CACHE, &[0], 100)),
        ("fetch of 1 MiB", fetch(PAGE_CACHE, &[1], 1 << 20)),
        ("fetch of 100 partitions, one batch each", fetch(PAGE_CACHE, &all, 100)),
    ];
    let mut found = String::new();
    for (name, frame) in loads {
        writeln!(found, "{name}: {:.1}", allocations(address, &frame)).unwrap();
    }
    server.stop();
    server.wait().unwrap();
    compare(&found);
}

/// Allocations for each request, of the whole process.
fn allocations(address: SocketAddr, frame: &[u8]) -> f64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = vec![0; 2 << 20];
    let mut ask = || {
        stream.write_all(frame).unwrap();
        stream.read_exact(&mut answer[..4]).unwrap();
        let len = u32::from_be_bytes(answer[..4].try_into().unwrap()) as usize;
        stream.read_exact(&mut answer[..len]).unwrap();
    };
    (0..WARM_UP).for_each(|_| ask());
    let runs = (0..RUNS).map(|_| {
        let region = Region::new(ALLOCATOR);
        (0..REQUESTS).for_each(|_| ask());
        let stats = region.change();
        stats.allocations + stats.reallocations
    });
    runs.min().unwrap() as f64 / REQUESTS as f64
}

fn compare(found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/allocations/baseline.txt");
    if std::env::var_os("KALDA_REWRITE").is_some() {
        return std::fs::write(path, found).unwrap();
    }
    let baseline = std::fs::read_to_string(path).unwrap();
    assert_eq!(found.lines().count(), baseline.lines().count(), "{found}");
    for (now, before) in found.lines().zip(baseline.lines()) {
        let count = |line: &str| line.rsplit_once(": ").unwrap().1.parse::<f64>().unwrap();
        assert_eq!(now.rsplit_once(": ").unwrap().0, before.rsplit_once(": ").unwrap().0);
        let change = count(now) - count(before);
        assert!(
            change <= TOLERANCE,
            "allocates more than before\n  before: {before}\n  now:    {now}"
        );
        assert!(
            change >= -TOLERANCE,
            "allocates less; keep it so with KALDA_REWRITE=1\n  before: {before}\n  now:    {now}"
        );
    }
}

fn create(address: SocketAddr, name: &str, config: Option<(&str, &str)>) {
    let configs = config.map(|(name, value)| CreatableTopicConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    });
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        configs: configs.into_iter().collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 60_000,
        ..CreateTopicsRequest::default()
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&frame(&request, 5)).unwrap();
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
}

fn batch(records: usize, len: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.append(1_700_000_000_000, None, Some(&vec![7; len]), &[]);
    }
    builder.build().unwrap()
}

fn produce(topic: &str, partitions: &[i32], batch: &Bytes) -> Bytes {
    let data = |index: &i32| PartitionProduceData { index: *index, records: Some(batch.clone()) };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: partitions.iter().map(data).collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 60_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    frame(&request, 9)
}

fn fetch(topic: &str, partitions: &[i32], len_max: i32) -> Bytes {
    let partition = |index: &i32| FetchPartition {
        partition: *index,
        partition_max_bytes: len_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: partitions.iter().map(partition).collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(&request, 11)
}

fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id: 1,
        client_id: Some("allocations".to_owned()),
    };
    let mut frame = BytesMut::from(&[0; 4][..]);
    header.encode(&mut frame).unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame.freeze()
}
