//! Where a log begins and ends, by place, by time and by leader epoch; and who is fenced.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::client::{Batch, Client, NOON, batch, fetch_request, only};
use crate::rig::Rig;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

#[test]
fn every_place_and_time_is_found() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let found = |client: &mut Client, timestamp| {
        let found = client.list_offset("t", 0, timestamp);
        assert_eq!(found.error_code, 0);
        (found.offset, found.timestamp)
    };
    for empty in [LATEST, EARLIEST, EARLIEST_LOCAL] {
        assert_eq!(found(&mut client, empty), (0, -1));
    }
    for nothing in [MAX_TIMESTAMP, LATEST_TIERED, 0, NOON] {
        assert_eq!(found(&mut client, nothing), (-1, -1));
    }
    let at = |first_timestamp| Batch { first_timestamp, ..Batch::default() };
    client.produce_ok("t", 0, at(NOON).build(["0", "1", "2"]));
    client.produce_ok("t", 0, at(NOON + 1000).build(["3", "4"]));
    client.produce_ok("t", 0, at(NOON + 500).build(["5", "6"]));
    for (timestamp, expected) in [
        (LATEST, (7, -1)),
        (EARLIEST, (0, -1)),
        (EARLIEST_LOCAL, (0, -1)),
        (MAX_TIMESTAMP, (4, NOON + 1001)),
        (LATEST_TIERED, (-1, -1)),
        (0, (0, NOON)),
        (NOON, (0, NOON)),
        (NOON + 2, (2, NOON + 2)),
        (NOON + 3, (3, NOON + 1000)),
        (NOON + 600, (3, NOON + 1000)),
        (NOON + 1001, (4, NOON + 1001)),
        (NOON + 1002, (-1, -1)),
    ] {
        assert_eq!(found(&mut client, timestamp), expected, "{timestamp}");
    }
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(found(&mut client, MAX_TIMESTAMP), (4, NOON + 1001));
}

fn delete_before(client: &mut Client, offset: i64) -> (i16, i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 1000,
    };
    let deleted = client.call(2, &request).topics.remove(0).partitions.remove(0);
    (deleted.error_code, deleted.low_watermark)
}

#[test]
fn deleted_records_stay_deleted() {
    let mut rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    for n in 0..10 {
        client.produce_ok("t", 0, batch([format!("{n}")]));
    }
    let out_of_range = ErrorCode::OffsetOutOfRange.code();
    assert_eq!(delete_before(&mut client, 11), (out_of_range, -1));
    assert_eq!(delete_before(&mut client, -2), (out_of_range, -1));
    assert_eq!(delete_before(&mut client, 4), (0, 4));
    assert_eq!(delete_before(&mut client, 2), (0, 4), "never backwards");
    for killed in [true, false, true] {
        rig = if killed { rig.restart_killed() } else { rig.restart() };
        let mut client = rig.client();
        assert_eq!(client.list_offset("t", 0, EARLIEST).offset, 4);
        assert_eq!(client.fetch("t", 0, 3).error_code, out_of_range);
        let fetched = client.fetch("t", 0, 4);
        assert_eq!((fetched.log_start_offset, fetched.high_watermark), (4, 10));
        let read = client.read_all("t", 0, 4);
        assert_eq!(read.iter().map(|one| one.offset).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    }
    let mut client = rig.client();
    assert_eq!(delete_before(&mut client, -1), (0, 10), "-1 is all of it");
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(client.list_offset("t", 0, EARLIEST).offset, 10);
    assert_eq!(client.produce_ok("t", 0, batch(["next"])), 10);
}

#[test]
fn records_are_deleted_by_many_at_once_and_none_is_forgotten() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 8, &[]);
    for index in 0..8 {
        for n in 0..20 {
            client.produce_ok("t", index, batch([format!("{n}")]));
        }
    }
    std::thread::scope(|scope| {
        for index in 0..8 {
            let rig = &rig;
            scope.spawn(move || {
                let mut client = rig.client();
                for offset in 1..=20 {
                    let request = DeleteRecordsRequest {
                        topics: vec![DeleteRecordsTopic {
                            name: "t".into(),
                            partitions: vec![DeleteRecordsPartition {
                                partition_index: index,
                                offset,
                            }],
                        }],
                        timeout_ms: 1000,
                    };
                    let deleted = client.call(2, &request).topics.remove(0).partitions.remove(0);
                    assert_eq!((deleted.error_code, deleted.low_watermark), (0, offset));
                }
            });
        }
    });
    let rig = rig.restart_killed();
    let mut client = rig.client();
    for index in 0..8 {
        assert_eq!(client.list_offset("t", index, EARLIEST).offset, 20);
    }
}

fn end_of(client: &mut Client, current_leader_epoch: i32, leader_epoch: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
    let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    client.call(4, &request).topics.remove(0).partitions.remove(0)
}

#[test]
fn a_crash_that_may_cost_records_begins_a_leader_epoch_and_fences_who_missed_it() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("safe", 1, &[]);
    client.produce_ok("safe", 0, batch(["a"]));
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(client.leader_epoch("safe"), 0, "nothing that anybody saw can be lost");
    client.create("t", 1, &[("flush.messages", "1000000")]);
    client.produce_ok("t", 0, batch(["a", "b", "c"]));
    let first = client.leader_epoch("t");
    let rig = rig.restart();
    let mut client = rig.client();
    assert_eq!(client.leader_epoch("t"), first, "a clean restart changes nothing");
    let rig = rig.restart_killed();
    let mut client = rig.client();
    let second = client.leader_epoch("t");
    assert!(second > first, "{second} {first}");
    client.produce_ok("t", 0, batch(["d", "e"]));

    let ends = [(first, 3), (second, 5)];
    for (epoch, end) in ends {
        let found = end_of(&mut client, second, epoch);
        assert_eq!((found.error_code, found.leader_epoch, found.end_offset), (0, epoch, end));
    }
    let unknown = end_of(&mut client, -1, second + 5);
    assert_eq!((unknown.error_code, unknown.leader_epoch, unknown.end_offset), (0, -1, -1));
    assert_eq!(client.list_offset("t", 0, EARLIEST).leader_epoch, first);
    assert_eq!(client.list_offset("t", 0, LATEST).leader_epoch, second);

    for (known, error) in [
        (first, ErrorCode::FencedLeaderEpoch),
        (second + 1, ErrorCode::UnknownLeaderEpoch),
        (second, ErrorCode::None),
        (-1, ErrorCode::None),
    ] {
        assert_eq!(end_of(&mut client, known, first).error_code, error.code());
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = known;
        assert_eq!(only(client.call(12, &request)).error_code, error.code());
        let partition = ListOffsetsPartition {
            partition_index: 0,
            current_leader_epoch: known,
            timestamp: LATEST,
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }],
            ..ListOffsetsRequest::default()
        };
        let listed = client.call(6, &request).topics.remove(0).partitions.remove(0);
        assert_eq!(listed.error_code, error.code());
    }
    // A consumer that read more in the first epoch than is left of it is told where it ends.
    let mut request = fetch_request("t", 0, 4);
    request.topics[0].partitions[0].last_fetched_epoch = first;
    let diverging = only(client.call(12, &request)).diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (first, 3));
}
