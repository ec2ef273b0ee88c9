//! Transactions from a socket to the disk and back: who may write, what is seen, and what a restart
//! finds. The state machine's own tests are the scripts of the coordinator.

use std::time::{Duration, Instant};

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_transactions::DescribeTransactionsRequest;
use kalda_protocol::messages::fetch::PartitionData;
use kalda_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::client::{Client, batch, fetch_request, only, records};
use crate::rig::Rig;
use crate::transaction_probes::Transactional;

/// Produce and EndTxn of the older protocol, and of the one where every transaction has an epoch.
const NAMED: (i16, i16) = (11, 4);
const IMPLICIT: (i16, i16) = (12, 5);

#[test]
fn only_what_is_committed_is_seen_by_who_asks_for_that() {
    for (produce, end) in [NAMED, IMPLICIT] {
        let rig = Rig::start(&[]);
        let mut client = rig.client();
        client.create("t", 1, &[]);
        let mut producer = Transactional::init(&mut client, "a", 60_000);
        client.produce_ok("t", 0, batch(["plain"]));

        begin(&mut client, &producer, produce);
        assert_eq!(producer.produce(&mut client, produce, "t", 0, "aborted"), (0, 1));
        assert_eq!(producer.produce(&mut client, produce, "t", 1, "too"), (0, 2));
        let fetched = fetch_committed(&mut client, 0);
        assert_eq!((fetched.high_watermark, fetched.last_stable_offset), (3, 1));
        assert_eq!(values(&fetched), ["plain"]);
        let ended = producer.end(&mut client, end, false);
        assert_eq!(ended.error_code, 0);
        producer.follow(end, ended.producer_id, ended.producer_epoch);
        let fetched = await_stable(&mut client, 4);
        let aborted = fetched.aborted_transactions.unwrap();
        assert_eq!((aborted.len(), aborted[0].first_offset), (1, 1));

        begin(&mut client, &producer, produce);
        let first = if end == IMPLICIT.1 { 0 } else { 2 };
        assert_eq!(producer.produce(&mut client, produce, "t", first, "committed"), (0, 4));
        assert_eq!(producer.end(&mut client, end, true).error_code, 0);
        await_stable(&mut client, 6);
        // What is in the log, markers included, for who wants all of it.
        assert_eq!(client.fetch("t", 0, 0).high_watermark, 6);

        // A restart, clean or not, changes nothing of this.
        let rig = rig.restart_killed();
        let check = |rig: &Rig| {
            let fetched = fetch_committed(&mut rig.client(), 0);
            assert_eq!(fetched.last_stable_offset, 6);
            assert_eq!(fetched.aborted_transactions.unwrap().len(), 1);
        };
        check(&rig);
        check(&rig.restart());
    }
}

#[test]
fn a_batch_of_no_transaction_is_not_let_in() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    client.create("other", 1, &[]);
    let producer = Transactional::init(&mut client, "a", 60_000);
    let code = |error: ErrorCode| (error.code(), -1);
    // Its partition was not named: clients are told as well as they understand.
    let unnamed = producer.produce(&mut client, 10, "t", 0, "x");
    assert_eq!(unnamed, code(ErrorCode::InvalidTxnState));
    let unnamed = producer.produce(&mut client, 11, "t", 0, "x");
    assert_eq!(unnamed, code(ErrorCode::TransactionAbortable));
    assert_eq!(producer.add(&mut client, 3, "other", 0), [0]);
    let unnamed = producer.produce(&mut client, 11, "t", 0, "x");
    assert_eq!(unnamed, code(ErrorCode::TransactionAbortable));
    // KAFKA-19690: a fenced producer hears that it is fenced.
    let newer = Transactional::init(&mut client, "a", 60_000);
    assert_eq!(newer.epoch, producer.epoch + 2);
    let fenced = producer.produce(&mut client, 11, "t", 0, "x");
    assert_eq!(fenced, code(ErrorCode::InvalidProducerEpoch));
    // Somebody else's id; no id.
    let stranger = Transactional { transactional_id: "nobody".to_owned(), ..newer.clone() };
    let refused = stranger.produce(&mut client, 12, "t", 0, "x");
    assert_eq!(refused, code(ErrorCode::InvalidProducerIdMapping));
    let nameless = client.produce("t", 0, newer.batch(0, "x"));
    assert_eq!(nameless.error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
    // The first batch of a transaction under its own epoch has sequence 0.
    let gap = newer.produce(&mut client, 12, "t", 3, "x");
    assert_eq!(gap, code(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(newer.produce(&mut client, 12, "t", 0, "x"), (0, 0));
    // Plain records of a producer whose transaction is open are a mistake of it.
    assert_eq!(client.fetch("t", 0, 0).high_watermark, 1);
}

#[test]
fn the_next_transaction_may_begin_while_the_markers_of_the_last_are_written() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let mut producer = Transactional::init(&mut client, "a", 60_000);
    for count in 0..50 {
        // Without a look at anything in between.
        assert_eq!(producer.produce(&mut client, 12, "t", 0, "x"), (0, 2 * count));
        find_group(&mut client, "g");
        assert_eq!(producer.commit_offset(&mut client, 5, "g", "t", 0, count), 0);
        let ended = producer.end(&mut client, 5, true);
        assert_eq!(ended.error_code, 0);
        producer.follow(5, ended.producer_id, ended.producer_epoch);
    }
}

#[test]
fn a_late_marker_does_not_end_the_next_transaction() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let mut producer = Transactional::init(&mut client, "a", 60_000);
    assert_eq!(producer.produce(&mut client, 12, "t", 0, "one"), (0, 0));
    let ended = producer.end(&mut client, 5, true);
    producer.follow(5, ended.producer_id, ended.producer_epoch);
    await_stable(&mut client, 2);
    assert_eq!(producer.produce(&mut client, 12, "t", 0, "two"), (0, 2));
    // Of a coordinator before this one, or an epoch before this one.
    let before = Transactional { epoch: producer.epoch - 1, ..producer.clone() };
    let stale = before.mark(&mut client, 1, "t", 0, true);
    assert_eq!(stale, [ErrorCode::InvalidProducerEpoch.code()]);
    assert_eq!(fetch_committed(&mut client, 0).last_stable_offset, 2);
    assert_eq!(producer.end(&mut client, 5, true).error_code, 0);
    await_stable(&mut client, 4);
}

#[test]
fn offsets_hold_once_the_transaction_commits() {
    for version in [2, 3, 4, 5] {
        let rig = Rig::start(&[]);
        let mut client = rig.client();
        client.create("t", 1, &[]);
        let mut producer = Transactional::init(&mut client, "a", 60_000);
        let end = if version == 5 { 5 } else { 3 };
        for (committed, expected) in [(false, -1), (true, 7)] {
            if version < 5 {
                let unnamed = producer.commit_offset(&mut client, version, "g", "t", 0, 7);
                assert_ne!(unnamed, 0, "v{version} names the group first");
                assert_eq!(producer.add_offsets(&mut client, 3, "g"), 0);
            } else {
                // The group is new: nobody has looked for its coordinator.
                find_group(&mut client, "g");
            }
            assert_eq!(producer.commit_offset(&mut client, version, "g", "t", 0, 7), 0);
            // Not yet, and who must not read behind it is told to wait.
            assert_eq!(committed_offset(&mut client, "g", false), (-1, 0));
            let unstable = ErrorCode::UnstableOffsetCommit.code();
            assert_eq!(committed_offset(&mut client, "g", true), (-1, unstable));
            let ended = producer.end(&mut client, end, committed);
            assert_eq!(ended.error_code, 0);
            producer.follow(end, ended.producer_id, ended.producer_epoch);
            let deadline = Instant::now() + Duration::from_secs(30);
            while committed_offset(&mut client, "g", true) != (expected, 0) {
                assert!(Instant::now() < deadline, "v{version}: the markers arrive");
            }
        }
        let rig = rig.restart_killed();
        assert_eq!(committed_offset(&mut rig.client(), "g", true), (7, 0));
    }
}

#[test]
fn offsets_are_there_when_the_marker_is_answered() {
    let rig = Rig::start(&[("offsets.topic.num.partitions", "1")]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let producer = Transactional::init(&mut client, "a", 60_000);
    find_group(&mut client, "g");
    assert_eq!(producer.commit_offset(&mut client, 5, "g", "t", 0, 7), 0);
    // As a coordinator on another broker would: what it logs next is that the transaction is complete.
    assert_eq!(producer.mark(&mut client, 1, "__consumer_offsets", 0, true), [0]);
    assert_eq!(committed_offset(&mut client, "g", true), (7, 0));
}

#[test]
fn an_open_transaction_survives_a_restart_and_ends_by_its_time() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let committing = Transactional::init(&mut client, "a", 60_000);
    assert_eq!(committing.produce(&mut client, 12, "t", 0, "one"), (0, 0));
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(fetch_committed(&mut client, 0).last_stable_offset, 0);
    // A new leader knows the last stable offset, although it lies before the leader's epoch.
    let listed = client.list_offset_at(1, "t", 0, -1);
    assert_eq!((listed.error_code, listed.offset), (0, 0));
    assert_eq!(committing.produce(&mut client, 12, "t", 1, "two"), (0, 1));
    assert_eq!(committing.end(&mut client, 5, true).error_code, 0);
    await_stable(&mut client, 3);

    // The producer is never heard of again, and the broker is away when its time is over.
    let silent = Transactional::init(&mut client, "b", 300);
    assert_eq!(silent.produce(&mut client, 12, "t", 0, "lost"), (0, 3));
    let rig = rig.restart();
    let mut client = rig.client();
    let fetched = await_stable(&mut client, 5);
    assert_eq!(fetched.aborted_transactions.unwrap().len(), 1);
    await_state(&mut client, "b", "CompleteAbort");
    let late = silent.end(&mut client, 5, true);
    assert_eq!(late.error_code, ErrorCode::InvalidTxnState.code());
}

#[test]
fn a_transaction_ends_although_a_topic_of_it_is_gone() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    client.create("gone", 1, &[]);
    let producer = Transactional::init(&mut client, "a", 60_000);
    assert_eq!(producer.produce(&mut client, 12, "t", 0, "one"), (0, 0));
    assert_eq!(producer.produce(&mut client, 12, "gone", 0, "one"), (0, 0));
    let request = kalda_protocol::messages::delete_topics::DeleteTopicsRequest {
        topic_names: vec!["gone".to_owned()],
        ..Default::default()
    };
    assert_eq!(client.call(5, &request).responses[0].error_code, 0);
    assert_eq!(producer.end(&mut client, 5, true).error_code, 0);
    await_stable(&mut client, 2);
    await_state(&mut client, "a", "CompleteCommit");
}

#[test]
fn a_reader_of_committed_records_wakes_when_the_transaction_ends() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let producer = Transactional::init(&mut client, "a", 60_000);
    assert_eq!(producer.produce(&mut client, 12, "t", 0, "a record of some length"), (0, 0));
    let mut reader = rig.client();
    let mut request = fetch_request("t", 0, 0);
    request.isolation_level = 1;
    request.max_wait_ms = 30_000;
    // More than the marker alone brings.
    request.min_bytes = 100;
    let began = Instant::now();
    reader.send(12, &request).unwrap();
    assert_eq!(producer.end(&mut client, 5, true).error_code, 0);
    let response = reader.receive::<kalda_protocol::messages::fetch::FetchRequest>(12).unwrap();
    assert_eq!(only(response).last_stable_offset, 2);
    assert!(began.elapsed() < Duration::from_secs(20), "not by its own time");
}

impl Transactional {
    /// From version 5 on, the end of a transaction tells what the next one is produced under.
    fn follow(&mut self, end_version: i16, id: i64, epoch: i16) {
        if end_version >= 5 {
            (self.id, self.epoch) = (id, epoch);
        }
    }
}

/// Names the partition, where the client has to.
fn begin(client: &mut Client, producer: &Transactional, produce_version: i16) {
    if produce_version == NAMED.0 {
        assert_eq!(producer.add(client, 3, "t", 0), [0]);
    }
}

fn fetch_committed(client: &mut Client, offset: i64) -> PartitionData {
    let mut request = fetch_request("t", 0, offset);
    request.isolation_level = 1;
    only(client.call(12, &request))
}

/// The end of a transaction is answered before its markers are written.
fn await_stable(client: &mut Client, offset: i64) -> PartitionData {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let fetched = fetch_committed(client, 0);
        if fetched.last_stable_offset == offset {
            return fetched;
        }
        assert!(fetched.last_stable_offset < offset && Instant::now() < deadline, "{fetched:?}");
    }
}

fn values(fetched: &PartitionData) -> Vec<String> {
    let read = records(fetched.records.as_ref().unwrap());
    read.into_iter().map(|record| String::from_utf8(record.value).unwrap()).collect()
}

fn await_state(client: &mut Client, id: &str, expected: &str) {
    let request = DescribeTransactionsRequest { transactional_ids: vec![id.to_owned()] };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let described = client.call(0, &request).transaction_states.remove(0);
        if described.transaction_state == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{described:?}");
    }
}

fn find_group(client: &mut Client, group: &str) {
    let request = kalda_protocol::messages::find_coordinator::FindCoordinatorRequest {
        key: group.to_owned(),
        ..Default::default()
    };
    assert_eq!(client.call(3, &request).error_code, 0);
}

fn committed_offset(client: &mut Client, group: &str, require_stable: bool) -> (i64, i16) {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".to_owned(),
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable,
        ..OffsetFetchRequest::default()
    };
    let partition = client.call(8, &request).groups.remove(0).topics.remove(0).partitions.remove(0);
    (partition.committed_offset, partition.error_code)
}
