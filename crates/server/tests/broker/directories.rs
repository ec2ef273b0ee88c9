//! Several log directories: where partitions go, and how they move while they are used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kalda_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kalda_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;

use crate::client::{Batch, Client, batch};
use crate::rig::Rig;

/// The partitions of each directory, by the directory's last name.
fn layout(client: &mut Client) -> Vec<(String, Vec<(String, i32)>)> {
    let response = client.call(4, &DescribeLogDirsRequest { topics: None });
    let dirs = response.results.into_iter().map(|dir| {
        assert_eq!(dir.error_code, 0);
        assert!(dir.total_bytes > 0 && dir.usable_bytes > 0);
        let name = dir.log_dir.rsplit('/').next().unwrap().to_owned();
        let topics = dir.topics.into_iter().flat_map(|topic| {
            let indexes = topic.partitions.into_iter().map(|one| one.partition_index);
            indexes.map(move |index| (topic.name.clone(), index)).collect::<Vec<_>>()
        });
        (name, topics.collect())
    });
    dirs.collect()
}

fn home_of(client: &mut Client, topic: &str, index: i32) -> String {
    let wanted = (topic.to_owned(), index);
    let mut homes =
        layout(client).into_iter().filter(|(_, partitions)| partitions.contains(&wanted));
    let home = homes.next().expect("it is somewhere").0;
    assert_eq!(homes.next(), None, "and nowhere else");
    home
}

fn ask_to_move(client: &mut Client, path: String, topic: &str, index: i32) -> i16 {
    let topic = AlterReplicaLogDirTopic { name: topic.to_owned(), partitions: vec![index] };
    let dir = AlterReplicaLogDir { path, topics: vec![topic] };
    let request = AlterReplicaLogDirsRequest { dirs: vec![dir] };
    client.call(2, &request).results.remove(0).partitions.remove(0).error_code
}

/// Moves a partition to the directory `to` and waits until it is there.
fn move_to(rig: &Rig, topic: &str, index: i32, to: &str) {
    let mut client = rig.client();
    assert_eq!(ask_to_move(&mut client, rig.path(to).display().to_string(), topic, index), 0);
    let deadline = Instant::now() + Duration::from_secs(45);
    let wanted = (topic.to_owned(), index);
    // While it moves one look may find it in both: the directories are asked one after the other.
    while !layout(&mut client).iter().any(|(dir, has)| dir == to && has.contains(&wanted)) {
        assert!(Instant::now() < deadline, "{topic}-{index} did not arrive in {to}");
    }
    assert_eq!(home_of(&mut client, topic, index), to);
}

#[test]
fn partitions_spread_over_the_directories() {
    let rig = Rig::start_on(&["a", "b", "c"], &[]);
    let mut client = rig.client();
    client.create("t", 9, &[]);
    assert!(layout(&mut client).iter().all(|(_, partitions)| partitions.len() == 3));
    for index in 0..9 {
        client.produce_ok("t", index, batch([format!("{index}")]));
    }
    let before = layout(&mut client);
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(layout(&mut client), before);
    for index in 0..9 {
        assert_eq!(client.read_all("t", index, 0)[0].value, format!("{index}").as_bytes());
    }
}

#[test]
fn a_move_is_refused_where_it_cannot_be() {
    let rig = Rig::start_on(&["a", "b"], &[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let nowhere = ask_to_move(&mut client, "/nowhere".into(), "t", 0);
    assert_eq!(nowhere, ErrorCode::LogDirNotFound.code());
    let to = || rig.path("b").display().to_string();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(ask_to_move(&mut client, to(), "u", 0), unknown);
    assert_eq!(ask_to_move(&mut client, to(), "t", 5), unknown);
}

#[test]
fn a_partition_moves_under_load_and_loses_nothing() {
    let rig = Rig::start_on(&["a", "b"], &[]);
    let mut client = rig.client();
    client.create("t", 1, &[("segment.bytes", "1048576")]);
    let id = client.producer_id();
    let is_over = AtomicBool::new(false);
    let (rig_ref, over) = (&rig, &is_over);
    let sent = std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut client = rig_ref.client();
            let mut next = 0;
            while !over.load(Ordering::Relaxed) {
                let mut value = format!("{next} ").into_bytes();
                value.resize(30_000, b'x');
                let produced = client.produce("t", 0, Batch::of(id, 0, next).build([value]));
                assert_eq!((produced.error_code, produced.base_offset), (0, i64::from(next)));
                next += 1;
            }
            next
        });
        let reader = scope.spawn(move || {
            let mut client = rig_ref.client();
            let mut next = 0;
            while !over.load(Ordering::Relaxed) {
                next += client.read_all("t", 0, next).len() as i64;
            }
        });
        for round in 0..6 {
            let to = if home_of(&mut rig.client(), "t", 0) == "a" { "b" } else { "a" };
            move_to(&rig, "t", 0, to);
            if round == 3 {
                let partition = DeleteRecordsPartition { partition_index: 0, offset: 5 };
                let topic = DeleteRecordsTopic { name: "t".into(), partitions: vec![partition] };
                let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 };
                assert_eq!(client.call(2, &request).topics[0].partitions[0].error_code, 0);
            }
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        producer.join().unwrap()
    });
    let check = |rig: &Rig| {
        let read = rig.client().read_all("t", 0, 5);
        assert_eq!(read.len() as i32, sent - 5);
        for (record, n) in read.iter().zip(5..) {
            assert!(record.value.starts_with(format!("{n} ").as_bytes()));
        }
    };
    check(&rig);
    let home = home_of(&mut client, "t", 0);
    let rig = rig.restart_killed();
    assert_eq!(home_of(&mut rig.client(), "t", 0), home);
    check(&rig);
    assert_eq!(rig.client().list_offset("t", 0, -2).offset, 5, "the start moved along");
    let again = Batch::of(id, 0, sent - 1).build(["again"]);
    assert_eq!(rig.client().produce_ok("t", 0, again), i64::from(sent - 1), "so did the producer");
}

#[test]
fn a_topic_may_be_deleted_while_it_moves() {
    let rig = Rig::start_on(&["a", "b"], &[]);
    let mut client = rig.client();
    for round in 0..20 {
        client.create("t", 1, &[]);
        client.produce_ok("t", 0, batch([vec![b'x'; 500_000]]));
        let to = if home_of(&mut client, "t", 0) == "a" { "b" } else { "a" };
        assert_eq!(ask_to_move(&mut client, rig.path(to).display().to_string(), "t", 0), 0);
        let topic = DeleteTopicState { name: Some("t".into()), ..DeleteTopicState::default() };
        let delete = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
        assert_eq!(client.call(6, &delete).responses[0].error_code, 0);
        client.create("t", 1, &[]);
        let value = format!("round {round}");
        assert_eq!(client.produce_ok("t", 0, batch([&value])), 0);
        assert_eq!(client.read_all("t", 0, 0)[0].value, value.as_bytes());
        assert_eq!(client.call(6, &delete).responses[0].error_code, 0);
    }
    client.create("t", 1, &[]);
    client.produce_ok("t", 0, batch(["last"]));
    assert_eq!(rig.restart().client().read_all("t", 0, 0)[0].value, b"last");
}

#[test]
fn a_partition_that_a_crash_left_in_two_directories_is_served_from_the_fuller() {
    for longer in ["a", "b"] {
        let shorter = if longer == "a" { "b" } else { "a" };
        let rig = Rig::start_on(&["a", "b"], &[]);
        let mut client = rig.client();
        client.create("t", 1, &[]);
        client.produce_ok("t", 0, batch(["first"]));
        move_to(&rig, "t", 0, shorter);
        let stale = rig.path("stale");
        std::fs::create_dir(&stale).unwrap();
        for file in std::fs::read_dir(rig.path(shorter).join("t-0")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), stale.join(file.file_name())).unwrap();
        }
        move_to(&rig, "t", 0, longer);
        client.produce_ok("t", 0, batch(["second"]));
        std::fs::rename(&stale, rig.path(shorter).join("t-0")).unwrap();
        let rig = rig.restart_killed();
        let mut client = rig.client();
        assert_eq!(home_of(&mut client, "t", 0), longer);
        assert_eq!(client.read_all("t", 0, 0).len(), 2);
        let aside = std::fs::read_dir(rig.path(shorter)).unwrap();
        let aside = aside.filter(|entry| {
            entry.as_ref().unwrap().file_name().to_str().unwrap().ends_with("-stray")
        });
        assert_eq!(aside.count(), 1, "set aside, not removed");
    }
}
