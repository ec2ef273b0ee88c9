//! Topics from making to deletion, and what their settings do to their logs.

use std::time::{Duration, Instant};

use kalda_env::{Clock as _, SystemClock};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use kalda_protocol::messages::create_topics::{CreatableReplicaAssignment, CreateTopicsRequest};
use kalda_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest,
};
use kalda_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use kalda_protocol::messages::fetch::FetchRequest;
use kalda_protocol::messages::metadata::MetadataRequest;
use kalda_protocol::messages::produce::ProduceRequest;

use crate::client::{Batch, Client, batch, fetch_request, new_topic, only, produce_request};
use crate::rig::Rig;

const EARLIEST: i64 = -2;

fn delete(client: &mut Client, topic: DeleteTopicState) -> DeletableTopicResult {
    let request = DeleteTopicsRequest { topics: vec![topic], ..DeleteTopicsRequest::default() };
    client.call(6, &request).responses.remove(0)
}

fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() }
}

/// Waits for what the broker does in its own time.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(45);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come to pass");
        std::thread::yield_now();
    }
}

#[test]
fn a_topic_is_checked_before_it_is_made() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    let mut request = CreateTopicsRequest { validate_only: true, ..Default::default() };
    request.topics.push(new_topic("only-checked", 3, &[("retention.ms", "1000")]));
    request.topics.push(new_topic("bad/name", 1, &[]));
    request.topics.push(new_topic("bad-setting", 1, &[("no.such.setting", "1")]));
    request.topics.push(new_topic("bad-value", 1, &[("retention.ms", "soon")]));
    request.topics.push(new_topic("no-partitions", 0, &[]));
    let mut too_many_replicas = new_topic("replicas", 1, &[]);
    too_many_replicas.replication_factor = 2;
    request.topics.push(too_many_replicas);
    let mut strange = new_topic("strange", -1, &[]);
    strange.replication_factor = -1;
    strange.assignments =
        vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![9] }];
    request.topics.push(strange);
    let response = client.call(7, &request);
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    let expected = [
        ErrorCode::None,
        ErrorCode::InvalidTopicException,
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidPartitions,
        ErrorCode::InvalidReplicationFactor,
        ErrorCode::InvalidReplicaAssignment,
    ];
    assert_eq!(codes, expected.map(|code| code.code()));
    assert_eq!(response.topics[0].num_partitions, 3);
    assert_eq!(client.describe("only-checked").error_code, 3, "checked is not made");

    let mut request = CreateTopicsRequest::default();
    let mut assigned = new_topic("assigned", -1, &[("segment.bytes", "2097152")]);
    assigned.replication_factor = -1;
    assigned.assignments = (0..2)
        .map(|partition_index| CreatableReplicaAssignment { partition_index, broker_ids: vec![1] })
        .collect();
    request.topics.push(assigned);
    let made = client.call(7, &request).topics.remove(0);
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 2, 1));
    let segment = made.configs.unwrap().into_iter().find(|one| one.name == "segment.bytes");
    assert_eq!(segment.unwrap().value.as_deref(), Some("2097152"));
    let again = client.try_create("assigned", 1, &[]).unwrap();
    assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code());
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(client.describe("assigned").partitions.len(), 2, "what was acknowledged is made");
}

/// kafkajs leaves out the replication factor in v3, and Kafka's brokers take that for the default.
#[test]
fn counts_left_out_mean_the_defaults_in_every_version() {
    let rig = Rig::start(&[("num.partitions", "3")]);
    let mut client = rig.client();
    for version in 0..=7 {
        let name = format!("defaults-{version}");
        let mut topic = new_topic(&name, -1, &[]);
        topic.replication_factor = -1;
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        assert_eq!(client.call(version, &request).topics[0].error_code, 0, "version {version}");
        assert_eq!(client.describe(&name).partitions.len(), 3, "version {version}");
    }
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_is_free_for_another() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    let first = client.create("t", 2, &[]);
    client.produce_ok("t", 1, batch(["old"]));
    assert_eq!(delete(&mut client, by_name("t")).topic_id, first);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(client.produce("t", 1, batch(["x"])).error_code, unknown);
    assert_eq!(client.fetch("t", 1, 0).error_code, unknown);
    assert_eq!(delete(&mut client, by_name("t")).error_code, unknown);
    let second = client.create("t", 2, &[]);
    assert_ne!(first, second);
    assert_eq!(client.produce_ok("t", 1, batch(["new"])), 0);
    let id_unknown = ErrorCode::UnknownTopicId.code();
    let mut fetch = fetch_request("t", 1, 0);
    fetch.topics[0].topic_id = first;
    assert_eq!(only(client.call::<FetchRequest>(13, &fetch)).error_code, id_unknown);
    let mut produce = produce_request("t", 1, -1, batch(["x"]));
    produce.topic_data[0].topic_id = first;
    let refused = client.call::<ProduceRequest>(13, &produce);
    assert_eq!(refused.responses[0].partition_responses[0].error_code, id_unknown);
    let of_first = DeleteTopicState { name: None, topic_id: first };
    assert_eq!(delete(&mut client, of_first).error_code, id_unknown);
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(client.read_all("t", 1, 0)[0].value, b"new");
    let of_second = DeleteTopicState { name: None, topic_id: second };
    assert_eq!(delete(&mut client, of_second).error_code, 0);
}

#[test]
fn a_partition_of_which_a_crash_left_no_id_gets_it_again() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    client.produce_ok("t", 0, batch(["x"]));
    let file = rig.path("a/t-0/partition.metadata");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "").unwrap();
    let rig = rig.restart_killed();
    assert_eq!(rig.client().read_all("t", 0, 0).len(), 1);
    let rig = rig.restart();
    assert_eq!(rig.client().read_all("t", 0, 0).len(), 1);
    assert_eq!(std::fs::read_to_string(rig.path("a/t-0/partition.metadata")).unwrap(), whole);
}

#[test]
fn a_topic_with_the_longest_name_can_be_deleted() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    let name = "n".repeat(249);
    client.create(&name, 1, &[]);
    client.produce_ok(&name, 0, batch(["x"]));
    assert_eq!(delete(&mut client, by_name(&name)).error_code, 0);
    client.create(&name, 1, &[]);
    assert_eq!(client.produce_ok(&name, 0, batch(["x"])), 0);
}

#[test]
fn a_name_is_deleted_and_made_anew_in_one_breath() {
    let rig = Rig::start(&[]);
    std::thread::scope(|scope| {
        let rig = &rig;
        for _ in 0..2 {
            scope.spawn(move || {
                let mut client = rig.client();
                for _ in 0..60 {
                    client.try_create("t", 2, &[]).unwrap();
                    delete(&mut client, by_name("t"));
                }
            });
            scope.spawn(move || {
                let mut client = rig.client();
                for n in 0..120 {
                    client.try_create("t", 2, &[]).unwrap();
                    client.produce("t", n % 2, batch(["x"]));
                }
            });
        }
    });
    let mut client = rig.client();
    delete(&mut client, by_name("t"));
    client.create("t", 2, &[]);
    for index in 0..2 {
        assert_eq!(client.produce_ok("t", index, batch(["whole"])), 0);
    }
    let rig = rig.restart_killed();
    let mut client = rig.client();
    for index in 0..2 {
        assert_eq!(client.read_all("t", index, 0)[0].value, b"whole");
    }
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let add = |name: &str, count, assignments: Option<&[i32]>, validate_only| {
        let assignments = assignments.map(|brokers| {
            let one = |id: &i32| CreatePartitionsAssignment { broker_ids: vec![*id] };
            brokers.iter().map(one).collect()
        });
        let topic = CreatePartitionsTopic { name: name.into(), count, assignments };
        let request =
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1000, validate_only };
        rig.client().call(3, &request).results.remove(0).error_code
    };
    assert_eq!(add("t", 3, None, true), 0);
    assert_eq!(client.describe("t").partitions.len(), 1, "checked is not made");
    assert_eq!(add("t", 3, None, false), 0);
    assert_eq!(add("t", 2, None, false), ErrorCode::InvalidPartitions.code());
    assert_eq!(add("t", 3, None, false), ErrorCode::InvalidPartitions.code());
    assert_eq!(add("t", 5, Some(&[1]), false), ErrorCode::InvalidReplicaAssignment.code());
    assert_eq!(add("u", 5, None, false), ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(add("t", 4, Some(&[1]), false), 0);
    assert_eq!(client.produce_ok("t", 3, batch(["x"])), 0);
    assert_eq!(rig.restart_killed().client().read_all("t", 3, 0).len(), 1);
}

#[test]
fn a_client_that_asks_for_a_missing_topic_gets_one_if_it_may() {
    let rig = Rig::start(&[("num.partitions", "3")]);
    let mut client = rig.client();
    assert_eq!(client.describe("t").error_code, 3);
    let ask = |name: &str| MetadataRequest {
        topics: Some(vec![kalda_protocol::messages::metadata::MetadataRequestTopic {
            name: Some(name.to_owned()),
            ..Default::default()
        }]),
        ..MetadataRequest::default()
    };
    let made = client.call(3, &ask("t")).topics.remove(0);
    assert_eq!((made.error_code, made.partitions.len()), (0, 3));
    assert_eq!(client.produce_ok("t", 2, batch(["x"])), 0, "and it is there at once");
    let refused = client.call(3, &ask("../t")).topics.remove(0);
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
    let rig = Rig::start(&[("auto.create.topics.enable", "false")]);
    assert_eq!(rig.client().call(3, &ask("t")).topics.remove(0).error_code, 3);
}

/// Fast housekeeping.
const EAGER: [(&str, &str); 1] = [("log.retention.check.interval.ms", "100")];

#[test]
fn old_and_surplus_segments_go_and_the_rest_stays() {
    let rig = Rig::start(&EAGER);
    let mut client = rig.client();
    let settings =
        [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0"), ("retention.ms", "-1")];
    client.create("by-size", 1, &settings);
    client.create("by-time", 1, &settings);
    client.create("kept", 1, &settings);
    let old = Batch::default();
    let now_ms = SystemClock::new().wall_ms();
    let new = Batch { first_timestamp: now_ms, ..Batch::default() };
    for n in 0..24 {
        for topic in ["by-size", "by-time", "kept"] {
            let batch = if n < 12 { old } else { new };
            client.produce_ok(topic, 0, batch.build([vec![b'x'; 400_000]]));
        }
    }
    client.alter("by-size", &[("retention.bytes", "3000000")]);
    client.alter("by-time", &[("retention.ms", "3600000")]);
    eventually("retention by size", || client.list_offset("by-size", 0, EARLIEST).offset > 0);
    eventually("retention by time", || client.list_offset("by-time", 0, EARLIEST).offset >= 12);
    let start = client.list_offset("by-size", 0, EARLIEST).offset;
    assert!((1..=18).contains(&start), "at least three megabytes are left, not {start} on");
    let start = client.list_offset("by-time", 0, EARLIEST).offset;
    assert!(start <= 13, "nothing new goes: {start}");
    assert_eq!(client.list_offset("kept", 0, EARLIEST).offset, 0);
    let segments = |topic: &str| {
        let files = std::fs::read_dir(rig.path(&format!("a/{topic}-0"))).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "log"))
            .count()
    };
    eventually("the files go", || segments("by-time") < segments("kept"));
    let before = client.list_offset("by-size", 0, EARLIEST).offset;
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert!(client.list_offset("by-size", 0, EARLIEST).offset >= before);
    assert_eq!(client.read_all("kept", 0, 0).len(), 24);
}

#[test]
fn settings_that_were_altered_hold_and_are_told_with_their_source() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[("retention.ms", "1000")]);
    client.alter("t", &[("segment.bytes", "1048576")]);
    for _ in 0..4 {
        client.produce_ok("t", 0, batch([vec![b'x'; 600_000]]));
    }
    let files = std::fs::read_dir(rig.path("a/t-0")).unwrap();
    let logs =
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "log"));
    assert_eq!(logs.count(), 4, "each batch has a segment of its own now");
    let rig = rig.restart_killed();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let described = rig.client().call(4, &request).results.remove(0);
    let of = |name: &str| {
        let found = described.configs.iter().find(|config| config.name == name).unwrap();
        (found.value.clone().unwrap(), found.config_source)
    };
    assert_eq!(of("retention.ms"), ("1000".to_owned(), 1));
    assert_eq!(of("segment.bytes"), ("1048576".to_owned(), 1));
    assert_eq!(of("cleanup.policy"), ("delete".to_owned(), 5));
}
