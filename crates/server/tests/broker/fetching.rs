//! Fetch: limits, long polls, sessions, and partitions that go away meanwhile.

use std::time::{Duration, Instant};

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kalda_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic,
};

use crate::client::{Client, batch, fetch_request, only, records};
use crate::rig::Rig;

/// Far longer than anything here takes, and far shorter than the test's patience.
const LONG_WAIT_MS: i32 = 30_000;

#[test]
fn an_offset_within_a_batch_brings_the_whole_batch_and_the_limits_hold() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 2, &[]);
    for _ in 0..4 {
        client.produce_ok("t", 0, batch([vec![b'x'; 1000], vec![b'y'; 1000], vec![b'z'; 1000]]));
    }
    client.produce_ok("t", 1, batch([vec![b'p'; 1000]]));
    let offsets = |fetched: kalda_protocol::messages::fetch::PartitionData| -> Vec<i64> {
        records(&fetched.records.unwrap()).iter().map(|one| one.offset).collect()
    };
    assert_eq!(offsets(client.fetch("t", 0, 4)), (3..12).collect::<Vec<_>>());
    assert_eq!(client.fetch("t", 0, 12).records.unwrap().len(), 0);
    for outside in [-1, 13] {
        let fetched = client.fetch("t", 0, outside);
        assert_eq!(fetched.error_code, ErrorCode::OffsetOutOfRange.code());
    }
    // KIP-74: the first batch comes however small the limits are, and no more than that.
    for (partition_max, max) in [(1, 1 << 20), (1 << 20, 1), (0, 1 << 20)] {
        let mut request = fetch_request("t", 0, 3);
        request.max_bytes = max;
        request.topics[0].partitions[0].partition_max_bytes = partition_max;
        request.topics[0].partitions.push(FetchPartition {
            partition: 1,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        });
        let mut response = client.call(11, &request);
        let mut partitions = response.responses.remove(0).partitions;
        let second = partitions.remove(1).records.unwrap();
        let first = partitions.remove(0).records.unwrap();
        let whole: Vec<_> = records(&first).iter().map(|one| one.offset).collect();
        assert_eq!(whole, [3, 4, 5], "{partition_max} {max}");
        assert_eq!(second.is_empty(), max == 1, "the second only if there is room");
    }
    // Two batches and a bit: the client gets no more bytes than it asked for.
    let one = client.fetch("t", 0, 9).records.unwrap().len();
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].partitions[0].partition_max_bytes = 2 * one as i32 + 10;
    let fetched = only(client.call(11, &request)).records.unwrap();
    assert!(fetched.len() <= 2 * one + 10);
    assert_eq!(records(&fetched).len(), 6);
}

#[test]
fn large_answers_come_straight_from_the_files_and_whole() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[("segment.bytes", "1048576")]);
    for n in 0..30_u8 {
        client.produce_ok("t", 0, batch([vec![n; 100_000]]));
    }
    let read = client.read_all("t", 0, 0);
    assert_eq!(read.len(), 30);
    assert!(read.iter().zip(0..).all(|(one, n)| one.value == vec![n; 100_000]));
}

/// Parks a fetch, lets `event` happen, and answers what the fetch got and how long that took.
fn woken_by(
    rig: &Rig,
    version: i16,
    request: &FetchRequest,
    event: impl FnOnce(&mut Client),
) -> (FetchResponse, Duration) {
    let mut waiting = rig.client();
    let start = Instant::now();
    waiting.send(version, request).unwrap();
    let mut other = rig.client();
    event(&mut other);
    (waiting.receive::<FetchRequest>(version).unwrap(), start.elapsed())
}

fn parked(min_bytes: i32) -> FetchRequest {
    FetchRequest { max_wait_ms: LONG_WAIT_MS, min_bytes, ..fetch_request("t", 0, 0) }
}

#[test]
fn a_long_poll_ends_when_enough_bytes_are_there() {
    let rig = Rig::start(&[]);
    rig.client().create("t", 1, &[]);
    let limit = Duration::from_millis(LONG_WAIT_MS as u64 / 2);
    let (response, took) = woken_by(&rig, 11, &parked(1), |other| {
        other.produce_ok("t", 0, batch(["x"]));
    });
    assert_eq!(records(&only(response).records.unwrap()).len(), 1);
    assert!(took < limit, "{took:?}");
    let size = rig.client().fetch("t", 0, 0).records.unwrap().len() as i32;
    let (response, took) = woken_by(&rig, 11, &parked(3 * size), |other| {
        other.produce_ok("t", 0, batch(["y"]));
        other.produce_ok("t", 0, batch(["z"]));
    });
    assert_eq!(records(&only(response).records.unwrap()).len(), 3, "not before the third");
    assert!(took < limit, "{took:?}");
    // More than it may get is not waited for.
    let request = FetchRequest { max_bytes: size, min_bytes: 10 * size, ..parked(0) };
    let (response, took) = woken_by(&rig, 11, &request, |_| {});
    assert_eq!(records(&only(response).records.unwrap()).len(), 1);
    assert!(took < limit, "{took:?}");
    // And a wait has its end.
    let request = FetchRequest { max_wait_ms: 50, ..parked(1 << 20) };
    let (response, took) = woken_by(&rig, 11, &request, |_| {});
    assert_eq!(records(&only(response).records.unwrap()).len(), 3);
    assert!(took >= Duration::from_millis(50), "{took:?}");
}

#[test]
fn a_waiting_fetch_hears_at_once_that_its_topic_is_deleted() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    for version in [12, 13] {
        let id = client.create("t", 1, &[]);
        let mut request = parked(1);
        request.topics[0].topic_id = id;
        let (response, took) = woken_by(&rig, version, &request, |other| {
            let topic = DeleteTopicState { name: Some("t".into()), ..DeleteTopicState::default() };
            let delete = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
            assert_eq!(other.call(6, &delete).responses[0].error_code, 0);
        });
        let code = only(response).error_code;
        let is_by_id = version == 13 && code == ErrorCode::UnknownTopicId.code();
        assert!(is_by_id || code == ErrorCode::UnknownTopicOrPartition.code(), "{code}");
        assert!(took < Duration::from_millis(LONG_WAIT_MS as u64 / 2), "{took:?}");
    }
}

/// A fetch of these partitions within a session.
fn in_session(id: i32, epoch: i32, wanted: &[(i32, i64)]) -> FetchRequest {
    let partitions = wanted.iter().map(|(partition, fetch_offset)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topic =
        FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..FetchTopic::default() };
    FetchRequest {
        session_id: id,
        session_epoch: epoch,
        min_bytes: 1,
        topics: if wanted.is_empty() { Vec::new() } else { vec![topic] },
        ..FetchRequest::default()
    }
}

/// The partitions of an answer, each with its number of records.
fn told(response: &FetchResponse) -> Vec<(i32, usize)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let count =
        |records: &Option<bytes::Bytes>| records.as_ref().map_or(0, |all| self::records(all).len());
    let mut told: Vec<_> =
        partitions.map(|one| (one.partition_index, count(&one.records))).collect();
    told.sort_unstable();
    told
}

#[test]
fn a_session_tells_what_is_new_and_nothing_else() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 3, &[]);
    client.produce_ok("t", 1, batch(["x", "y"]));
    let full = client.call(12, &in_session(0, 0, &[(0, 0), (1, 0), (2, 0)]));
    let id = full.session_id;
    assert!(id > 0);
    assert_eq!(told(&full), [(0, 0), (1, 2), (2, 0)]);
    // The client says where it is now; nothing has changed otherwise.
    let next = client.call(12, &in_session(id, 1, &[(1, 2)]));
    assert_eq!((told(&next), next.session_id), (vec![], id));
    let idle = client.call(12, &in_session(id, 2, &[]));
    assert_eq!(told(&idle), []);
    client.produce_ok("t", 2, batch(["new"]));
    assert_eq!(told(&client.call(12, &in_session(id, 3, &[]))), [(2, 1)]);
    let mut forget = in_session(id, 4, &[]);
    forget.forgotten_topics_data.push(ForgottenTopic {
        topic: "t".into(),
        partitions: vec![2],
        ..ForgottenTopic::default()
    });
    assert_eq!(told(&client.call(12, &forget)), []);
    client.produce_ok("t", 0, batch(["new"]));
    assert_eq!(told(&client.call(12, &in_session(id, 5, &[]))), [(0, 1)]);
    // A session that waits is woken by the partitions that it remembers.
    let mut wait = in_session(id, 6, &[(0, 1)]);
    wait.max_wait_ms = LONG_WAIT_MS;
    let (woken, _) = woken_by(&rig, 12, &wait, |other| {
        other.produce_ok("t", 1, batch(["z"]));
    });
    assert_eq!(told(&woken), [(1, 1)]);
    let code = |response: FetchResponse| response.error_code;
    let wrong_epoch = client.call(12, &in_session(id, 99, &[]));
    assert_eq!(code(wrong_epoch), ErrorCode::InvalidFetchSessionEpoch.code());
    let wrong_id = client.call(12, &in_session(id ^ 1, 7, &[]));
    assert_eq!(code(wrong_id), ErrorCode::FetchSessionIdNotFound.code());
    let by_id = client.call(13, &in_session(id, 7, &[]));
    assert_eq!(code(by_id), ErrorCode::FetchSessionTopicIdError.code());
    let closed = client.call(12, &in_session(id, -1, &[(0, 0)]));
    assert_eq!((closed.session_id, told(&closed)), (0, vec![(0, 1)]));
    let gone = client.call(12, &in_session(id, 7, &[]));
    assert_eq!(code(gone), ErrorCode::FetchSessionIdNotFound.code());
}

/// A session looks only at partitions that told it something, so everything that can happen must be told.
#[test]
fn a_session_that_waits_is_told_of_deletion_and_of_a_topic_that_is_made_anew() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 3, &[]);
    let id = client.call(12, &in_session(0, 0, &[(0, 0), (1, 0), (2, 0)])).session_id;
    let mut wait = in_session(id, 1, &[]);
    wait.max_wait_ms = LONG_WAIT_MS;
    let delete = |other: &mut Client| {
        let topic = DeleteTopicState { name: Some("t".into()), ..DeleteTopicState::default() };
        let delete = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
        assert_eq!(other.call(6, &delete).responses[0].error_code, 0);
    };
    let (response, took) = woken_by(&rig, 12, &wait, delete);
    assert!(took < Duration::from_millis(LONG_WAIT_MS as u64 / 2), "{took:?}");
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    assert!(partitions.clone().count() > 0);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert!(partitions.clone().all(|partition| partition.error_code == unknown));
    // The new topic has the old name; its partitions tell the session as the old ones did.
    client.create("t", 3, &[]);
    let mut epoch = 2;
    let back = loop {
        let answer = client.call(12, &in_session(id, epoch, &[]));
        epoch += 1;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        if partitions.clone().all(|partition| partition.error_code == 0) {
            break partitions.count();
        }
    };
    assert!(back > 0);
    let mut wait = in_session(id, epoch, &[]);
    wait.max_wait_ms = LONG_WAIT_MS;
    let (woken, took) = woken_by(&rig, 12, &wait, |other| {
        other.produce_ok("t", 2, batch(["again"]));
    });
    assert!(took < Duration::from_millis(LONG_WAIT_MS as u64 / 2), "{took:?}");
    assert_eq!(told(&woken), [(2, 1)]);
}

#[test]
fn a_client_that_leaves_while_it_waits_takes_nothing_with_it() {
    let rig = Rig::start(&[]);
    rig.client().create("t", 1, &[]);
    for _ in 0..20 {
        rig.client().send(11, &parked(1)).unwrap();
    }
    assert_eq!(rig.client().produce_ok("t", 0, batch(["x"])), 0);
    assert_eq!(rig.client().read_all("t", 0, 0).len(), 1);
}
