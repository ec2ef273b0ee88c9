//! Events in, steps out.

use super::*;

fn membership() -> Membership {
    let config = GroupConfig {
        group_id: "g".to_owned(),
        instance_id: None,
        session_timeout_ms: 45_000,
        heartbeat_interval_ms: 3000,
        max_poll_interval_ms: 300_000,
        auto_commit_interval_ms: Some(5000),
        assignors: vec![Assignor::Range],
    };
    Membership::new(config, vec!["t".to_owned()], None, 60_000)
}

fn refusal<T>(code: ErrorCode) -> Result<T> {
    Err(Error::from(code))
}

fn joined(member: &str, leader: &str, members: &[&str]) -> JoinGroupResponse {
    let subscription =
        ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
    let metadata = encode_versioned(&subscription, 1).unwrap();
    JoinGroupResponse {
        generation_id: 1,
        protocol_name: Some("range".to_owned()),
        leader: leader.to_owned(),
        member_id: member.to_owned(),
        members: members
            .iter()
            .map(|id| JoinGroupResponseMember {
                member_id: (*id).to_owned(),
                group_instance_id: None,
                metadata: metadata.clone(),
            })
            .collect(),
        ..Default::default()
    }
}

fn assignment(partitions: &[i32]) -> Bytes {
    let partitions = partitions.iter().map(|index| TopicPartition::new("t", *index)).collect();
    encode_assignment(("m".to_owned(), partitions)).unwrap().assignment
}

fn counts(count: i32) -> PartitionCounts {
    [("t".to_owned(), count)].into()
}

/// A follower that reads `t-0` since time 0.
fn stable() -> Membership {
    let mut member = membership();
    assert_eq!(member.next(0), Step::Find);
    member.on_found(Ok(()));
    assert!(matches!(member.next(0), Step::Join(_)));
    member.on_joined(0, Ok(joined("m", "other", &[])));
    assert!(matches!(member.next(0), Step::Sync(_)));
    member.on_synced(0, Ok(assignment(&[0])));
    assert_eq!(member.next(0), Step::Assign(vec![TopicPartition::new("t", 0)]));
    member
}

/// A leader of two that has assigned three partitions at time 0.
fn leading() -> Membership {
    let mut member = membership();
    member.on_found(Ok(()));
    member.on_joined(0, Ok(joined("m", "m", &["m", "n"])));
    assert_eq!(member.next(0), Step::Count(vec!["t".to_owned()]));
    member.on_counts(0, Ok(counts(3)));
    member
}

#[test]
fn a_new_member_joins_again_with_the_id_it_is_given() {
    let mut member = membership();
    member.on_found(Ok(()));
    let Step::Join(first) = member.next(0) else { panic!("a join comes first") };
    assert_eq!((first.member_id.as_str(), first.protocol_type.as_str()), ("", "consumer"));
    assert_eq!(first.protocols[0].name, "range");
    let mut answer = joined("m-1", "", &[]);
    answer.error_code = ErrorCode::MemberIdRequired.code();
    member.on_joined(0, Ok(answer));
    let Step::Join(second) = member.next(0) else { panic!("it joins again at once") };
    assert_eq!(second.member_id, "m-1");
}

#[test]
fn the_leader_counts_and_assigns_for_all() {
    let mut member = leading();
    let Step::Sync(request) = member.next(0) else { panic!("it syncs") };
    assert_eq!((request.generation_id, request.member_id.as_str()), (1, "m"));
    let assigned: Vec<_> = request
        .assignments
        .iter()
        .map(|one| (one.member_id.as_str(), decode_assignment(one.assignment.clone()).unwrap()))
        .collect();
    let partition = |index| TopicPartition::new("t", index);
    assert_eq!(assigned, [("m", vec![partition(0), partition(1)]), ("n", vec![partition(2)])]);
}

#[test]
fn more_partitions_make_the_leader_join_again() {
    let mut member = leading();
    member.on_synced(0, Ok(assignment(&[0, 1])));
    assert!(matches!(member.next(0), Step::Assign(_)));
    member.on_poll(60_000);
    assert_eq!(member.next(60_000), Step::Count(vec!["t".to_owned()]));
    member.on_counts(60_000, Ok(counts(3)));
    assert!(matches!(member.next(60_000), Step::Heartbeat(_)));
    member.on_heartbeat(60_000, Ok(()));
    assert_eq!(member.next(120_000), Step::Count(vec!["t".to_owned()]));
    member.on_counts(120_000, Ok(counts(4)));
    assert_eq!(member.next(120_000), Step::Revoke(Revocation::InOrder));
}

#[test]
fn a_topic_that_is_not_there_yet_is_looked_for_soon() {
    let mut member = membership();
    member.on_found(Ok(()));
    member.on_joined(0, Ok(joined("m", "m", &["m"])));
    member.on_counts(0, Ok(PartitionCounts::new()));
    member.on_synced(0, Ok(assignment(&[])));
    assert_eq!(member.next(0), Step::Assign(vec![]));
    assert_eq!(member.next(0), Step::Wait(1000));
    assert_eq!(member.next(1000), Step::Count(vec!["t".to_owned()]));
}

#[test]
fn heartbeats_come_in_their_time() {
    let mut member = stable();
    assert_eq!(member.next(0), Step::Wait(3000));
    let Step::Heartbeat(request) = member.next(3000) else { panic!("it is due") };
    assert_eq!((request.generation_id, request.member_id.as_str()), (1, "m"));
    member.on_heartbeat(3010, Ok(()));
    assert_eq!(member.next(3010), Step::Wait(6010));
}

#[test]
fn a_rebalance_is_joined_after_partitions_are_given_up_in_order() {
    let mut member = stable();
    member.on_heartbeat(3000, refusal(ErrorCode::RebalanceInProgress));
    assert_eq!(member.next(3000), Step::Revoke(Revocation::InOrder));
    // While the consumer commits, heartbeats keep the place.
    assert_eq!(member.next(3000), Step::Wait(6000));
    assert!(matches!(member.next(6000), Step::Heartbeat(_)));
    member.on_heartbeat(6000, refusal(ErrorCode::RebalanceInProgress));
    assert_eq!(member.committer().generation, 1);
    member.on_revoked();
    let Step::Join(request) = member.next(6000) else { panic!("it joins") };
    assert_eq!(request.member_id, "m");
}

#[test]
fn a_member_that_is_forgotten_has_lost_its_partitions() {
    let mut member = stable();
    member.on_heartbeat(3000, refusal(ErrorCode::UnknownMemberId));
    assert_eq!(member.next(3000), Step::Revoke(Revocation::Lost));
    // Nothing is left to be kept alive.
    assert_eq!(member.next(9000), Step::Wait(i64::MAX));
    member.on_revoked();
    let Step::Join(request) = member.next(9000) else { panic!("it joins") };
    assert_eq!(request.member_id, "");
    let mut late = stable();
    late.on_heartbeat(3000, refusal(ErrorCode::IllegalGeneration));
    assert_eq!(late.next(3000), Step::Revoke(Revocation::Lost));
    late.on_revoked();
    let Step::Join(request) = late.next(3000) else { panic!("it joins") };
    assert_eq!(request.member_id, "m");
}

#[test]
fn a_coordinator_that_moved_is_found_again_after_a_rest() {
    let mut member = stable();
    member.on_heartbeat(3000, refusal(ErrorCode::NotCoordinator));
    assert_eq!(member.next(3000), Step::Rest(1));
    assert_eq!(member.next(3100), Step::Find);
    member.on_found(refusal(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(member.next(3100), Step::Rest(2));
    member.on_found(Ok(()));
    assert!(matches!(member.next(6000), Step::Heartbeat(_)));
    member.on_heartbeat(6000, Ok(()));
    assert_eq!(member.next(6000), Step::Wait(9000));
}

#[test]
fn a_sync_that_comes_too_late_joins_again() {
    let mut member = leading();
    member.on_synced(10, refusal(ErrorCode::RebalanceInProgress));
    assert!(matches!(member.next(10), Step::Join(_)));
}

#[test]
fn what_cannot_be_mended_ends_the_membership() {
    let mut member = stable();
    member.on_heartbeat(3000, refusal(ErrorCode::FencedInstanceId));
    assert_eq!(member.next(3000), Step::Fail(ErrorCode::FencedInstanceId.into()));
    let mut stranger = membership();
    stranger.on_found(Ok(()));
    stranger.on_joined(0, refusal(ErrorCode::InconsistentGroupProtocol));
    assert_eq!(stranger.next(0), Step::Fail(ErrorCode::InconsistentGroupProtocol.into()));
}

#[test]
fn who_does_not_poll_leaves_and_comes_back_with_the_next_poll() {
    let mut member = stable();
    member.on_poll(10);
    let Step::Leave(request) = member.next(300_011) else { panic!("the time is over") };
    assert_eq!(request.members[0].member_id, "m");
    assert_eq!(member.next(300_011), Step::Wait(i64::MAX));
    member.on_poll(10);
    assert_eq!(member.next(400_000), Step::Wait(i64::MAX));
    member.on_poll(400_001);
    assert_eq!(member.next(400_001), Step::Revoke(Revocation::Lost));
    member.on_revoked();
    assert!(matches!(member.next(400_001), Step::Join(_)));
}

#[test]
fn static_members_keep_their_place_when_they_close() {
    let mut member = stable();
    assert_eq!(member.leave().map(|request| request.member_id), Some("m".to_owned()));
    member.config.instance_id = Some("i".to_owned());
    assert_eq!(member.leave(), None);
    assert_eq!(membership().leave(), None);
}
