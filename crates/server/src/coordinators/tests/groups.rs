//! Groups whose coordinator moves.

use std::sync::mpsc;

use kalda_coordinator::{GroupRequest, GroupResponse, GroupShard};
use kalda_protocol::messages::describe_groups::DescribedGroup;
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use kalda_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kalda_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kalda_records::{BatchBuilder, BatchOptions, ValidBatch};
use kalda_replication::Acks;

use super::*;
use crate::groups::OFFSETS_TOPIC;
use crate::hosted::{Appending, ProduceWaits};

/// Joins are answered at once where no test waits for them.
const AT_ONCE: (&str, &str) = ("group.initial.rebalance.delay.ms", "0");

pub(super) async fn ask(
    rig: &Rig,
    request: GroupRequest,
    version: i16,
) -> Result<GroupResponse, ErrorCode> {
    rig.broker.groups.ask(&rig.broker, "g", &caller(version), request).await
}

fn commit_request(offset: i64) -> GroupRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        ..OffsetCommitRequestPartition::default()
    };
    GroupRequest::OffsetCommit(OffsetCommitRequest {
        group_id: "g".to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    })
}

fn committed_code(answer: Result<GroupResponse, ErrorCode>) -> ErrorCode {
    match answer {
        Ok(GroupResponse::OffsetCommit(response)) => {
            code(response.topics[0].partitions[0].error_code)
        }
        Ok(_) => unreachable!(),
        Err(error) => error,
    }
}

pub(super) async fn commit(rig: &Rig, offset: i64) -> ErrorCode {
    committed_code(ask(rig, commit_request(offset), 9).await)
}

async fn commit_at(rig: &Rig, shard: &Arc<LiveShard<GroupShard>>, offset: i64) -> ErrorCode {
    committed_code(shard.ask(&rig.broker, &caller(9), commit_request(offset), None).await)
}

pub(super) async fn committed(rig: &Rig) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics {
        name: "t".to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = GroupRequest::OffsetFetch { group, require_stable: true };
    rig.broker.groups.confirm_reign(&rig.broker, "g").await?;
    match ask(rig, request, 9).await? {
        GroupResponse::OffsetFetch(response) => match code(response.error_code) {
            ErrorCode::None => Ok(response.topics[0].partitions[0].committed_offset),
            error => Err(error),
        },
        _ => unreachable!(),
    }
}

fn join_request(member_id: &str) -> GroupRequest {
    GroupRequest::Join(JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            ..JoinGroupRequestProtocol::default()
        }],
        ..JoinGroupRequest::default()
    })
}

/// In the version that lets a newcomer in at once.
pub(super) async fn join(rig: &Rig, member_id: &str) -> Result<JoinGroupResponse, ErrorCode> {
    match ask(rig, join_request(member_id), 3).await? {
        GroupResponse::Join(response) => Ok(response),
        _ => unreachable!(),
    }
}

pub(super) async fn sync(rig: &Rig, joined: &JoinGroupResponse) -> ErrorCode {
    let assignment = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: vec![1, 2, 3].into(),
    };
    let request = GroupRequest::Sync(SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![assignment],
        ..SyncGroupRequest::default()
    });
    match ask(rig, request, 3).await {
        Ok(GroupResponse::Sync(response)) => code(response.error_code),
        Ok(_) => unreachable!(),
        Err(error) => error,
    }
}

pub(super) async fn heartbeat(rig: &Rig, joined: &JoinGroupResponse) -> ErrorCode {
    let request = GroupRequest::Heartbeat(HeartbeatRequest {
        group_id: "g".to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..HeartbeatRequest::default()
    });
    match ask(rig, request, 3).await {
        Ok(GroupResponse::Heartbeat(response)) => code(response.error_code),
        Ok(_) => unreachable!(),
        Err(error) => error,
    }
}

pub(super) async fn describe(rig: &Rig) -> DescribedGroup {
    match ask(rig, GroupRequest::Describe(vec!["g".to_owned()]), 5).await.unwrap() {
        GroupResponse::Describe(mut groups) => groups.remove(0),
        _ => unreachable!(),
    }
}

async fn find(rig: &Rig) {
    rig.make_topic("t").await;
    let found = rig.broker.groups.coordinator_of(&rig.broker, "g").await;
    assert_eq!(found, Ok(rig.broker.node));
}

#[test]
fn what_is_loaded_is_what_was_live() {
    let rig = Rig::start(&[AT_ONCE]);
    run(async {
        find(&rig).await;
        let joined = join(&rig, "").await.unwrap();
        assert_eq!((joined.error_code, sync(&rig, &joined).await), (0, ErrorCode::None));
        let before = describe(&rig).await;
        assert_eq!((before.group_state.as_str(), before.members.len()), ("Stable", 1));
        let log_end = || rig.hosted(OFFSETS_TOPIC).with_log(|log, _| log.log_end_offset());
        let end = log_end();
        for _ in 0..3 {
            rig.move_to::<GroupShard>(NOBODY).await;
            assert_eq!(heartbeat(&rig, &joined).await, ErrorCode::NotCoordinator);
            assert_eq!(committed(&rig).await, Err(ErrorCode::NotCoordinator));
            let led = rig.broker.groups.leader_of(&rig.broker, "g");
            assert_eq!(led, Err(ErrorCode::CoordinatorNotAvailable));
            rig.move_to::<GroupShard>(rig.broker.node.0).await;
            assert_eq!(describe(&rig).await, before);
            assert_eq!(heartbeat(&rig, &joined).await, ErrorCode::None);
        }
        assert_eq!(log_end(), end, "nothing is logged because a coordinator moves");
    });
}

/// KAFKA-20634: who waits is told at once, and what was to happen to the group in time does not
/// happen where its coordinator is no longer.
#[test]
fn who_waits_in_a_closed_shard_is_sent_on_and_its_timers_are_gone() {
    let rig = Rig::start(&[("group.initial.rebalance.delay.ms", "60000")]);
    run(async {
        find(&rig).await;
        assert_eq!(committed(&rig).await, Ok(-1));
        let shard = rig.live::<GroupShard>();
        assert!(shard.next_timer_ms().is_some());
        let waiting = join(&rig, "");
        let moving = rig.move_to::<GroupShard>(NOBODY);
        let (joined, ()) = tokio::join!(biased; waiting, moving);
        let told = joined.map(|joined| code(joined.error_code));
        assert!(
            matches!(told, Ok(ErrorCode::NotCoordinator) | Err(ErrorCode::NotCoordinator)),
            "{told:?}"
        );
        assert!(shard.is_closed());
        assert_eq!(shard.next_timer_ms(), None);
        shard.on_timer(&rig.broker);
        assert_eq!(commit_at(&rig, &shard, 1).await, ErrorCode::NotCoordinator);
        rig.move_to::<GroupShard>(rig.broker.node.0).await;
        assert!(shard.is_closed(), "a shard never comes back");
        assert_eq!(committed(&rig).await, Ok(-1));
    });
}

/// KAFKA-20635, KAFKA-15784: of two owners the older one writes nothing, and keeps nothing of what it
/// could not write.
#[test]
fn an_owner_of_an_older_epoch_appends_nothing() {
    let rig = Rig::start(&[]);
    run(async {
        find(&rig).await;
        assert_eq!(commit(&rig, 5).await, ErrorCode::None);
        let hosted = rig.hosted(OFFSETS_TOPIC);
        let epoch = rig.epoch(OFFSETS_TOPIC);
        // It does not hear that the epoch is over.
        let old = LiveShard::<GroupShard>::load(&rig.broker, Arc::clone(&hosted), epoch);
        old.loaded().await;
        rig.move_away_and_back::<GroupShard>().await;
        let end = hosted.with_log(|log, _| log.log_end_offset());
        assert_eq!(commit_at(&rig, &old, 6).await, ErrorCode::NotCoordinator);
        assert_eq!(hosted.with_log(|log, _| log.log_end_offset()), end);
        assert_eq!(committed(&rig).await, Ok(5));
        assert_eq!(commit(&rig, 7).await, ErrorCode::None);
        assert_eq!(committed(&rig).await, Ok(7));
        // Not even what it once knew is answered for.
        let list = GroupRequest::List { states: Vec::new(), types: Vec::new() };
        let listed = old.ask(&rig.broker, &caller(5), list, None).await;
        assert_eq!(listed, Ok(GroupResponse::List(Err(ErrorCode::NotCoordinator))));
    });
}

#[test]
fn an_owner_that_does_not_know_the_whole_log_loads_it_again() {
    let rig = Rig::start(&[]);
    run(async {
        find(&rig).await;
        assert_eq!(commit(&rig, 5).await, ErrorCode::None);
        let (hosted, epoch) = (rig.hosted(OFFSETS_TOPIC), rig.epoch(OFFSETS_TOPIC));
        let other = LiveShard::<GroupShard>::load(&rig.broker, hosted, epoch);
        assert_eq!(commit_at(&rig, &other, 6).await, ErrorCode::None);
        let stale = rig.live::<GroupShard>();
        assert_eq!(commit(&rig, 4).await, ErrorCode::NotCoordinator);
        stale.closed().await;
        assert_eq!(committed(&rig).await, Ok(6));
        assert_eq!(commit(&rig, 7).await, ErrorCode::None);
    });
}

#[test]
fn while_it_is_loaded_clients_are_told_so() {
    let rig = Rig::start(&[]);
    run(async {
        find(&rig).await;
        assert_eq!(commit(&rig, 5).await, ErrorCode::None);
        // Every thread that loads is busy.
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(parking_lot::Mutex::new(released));
        for _ in 0..8 {
            let released = Arc::clone(&released);
            rig.broker.groups.loads.submit(&*rig.broker.threads, move || {
                let _released = released.lock().recv();
            });
        }
        rig.move_away_and_back::<GroupShard>().await;
        assert_eq!(committed(&rig).await, Err(ErrorCode::CoordinatorLoadInProgress));
        assert_eq!(commit(&rig, 6).await, ErrorCode::CoordinatorLoadInProgress);
        let list = GroupRequest::List { states: Vec::new(), types: Vec::new() };
        let listed = rig.broker.groups.ask_all(&rig.broker, &caller(5), &list).await;
        assert_eq!(listed, [Err(ErrorCode::CoordinatorLoadInProgress)]);
        // What happens meanwhile is not forgotten.
        let names = ["t".into()];
        rig.broker.groups.on_topics_deleted(&rig.broker, &names);
        drop(release);
        rig.live::<GroupShard>().loaded().await;
        assert_eq!(committed(&rig).await, Ok(-1));
    });
}

/// KAFKA-18672, at a coordinator that moves.
#[test]
fn a_load_that_fails_stays_failed_until_another_leads() {
    let rig = Rig::start(&[]);
    run(async {
        find(&rig).await;
        assert_eq!(commit(&rig, 5).await, ErrorCode::None);
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(1, Some(b"\0\x02\0\x01g"), Some(b"\0\x63what will be"), &[]);
        let waits = ProduceWaits::default();
        let appending = Appending {
            acks: Acks::All,
            now_ms: 1,
            is_zstd_allowed: true,
            waits: &waits,
            slot: 0,
            guard: None,
        };
        let batch = ValidBatch::own(builder.build().unwrap()).unwrap();
        rig.hosted(OFFSETS_TOPIC).append_valid(batch, &appending).unwrap();
        for _ in 0..2 {
            rig.move_away_and_back::<GroupShard>().await;
            rig.live::<GroupShard>().loaded().await;
            assert_eq!(committed(&rig).await, Err(ErrorCode::CoordinatorNotAvailable));
            assert_eq!(commit(&rig, 6).await, ErrorCode::CoordinatorNotAvailable);
        }
        rig.move_to::<GroupShard>(NOBODY).await;
        assert_eq!(commit(&rig, 6).await, ErrorCode::NotCoordinator);
    });
}

#[test]
fn too_few_replicas_are_a_coordinator_that_is_not_available() {
    let rig = Rig::start(&[AT_ONCE]);
    run(async {
        find(&rig).await;
        assert_eq!(commit(&rig, 5).await, ErrorCode::None);
        let us = rig.broker.node.0;
        set_min_isr(&rig, OFFSETS_TOPIC, "2").await;
        let two = PartitionChangeRecord {
            replicas: Some(vec![us, us + 1]),
            ..PartitionChangeRecord::default()
        };
        rig.change(OFFSETS_TOPIC, two).await;
        let refused = ErrorCode::CoordinatorNotAvailable;
        assert_eq!(commit(&rig, 6).await, refused);
        let joined = join(&rig, "").await.unwrap();
        // The group is formed in memory; what would be logged is not.
        assert_eq!(sync(&rig, &joined).await, refused);
        set_min_isr(&rig, OFFSETS_TOPIC, "1").await;
        assert_eq!(committed(&rig).await, Ok(5));
        assert_eq!(commit(&rig, 6).await, ErrorCode::UnknownMemberId);
    });
}
