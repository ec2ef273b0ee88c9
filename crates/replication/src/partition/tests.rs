//! One replica alone, and what both roles share.

use super::*;

const ME: BrokerId = BrokerId(1);

fn settings(durability: Durability, min_insync_replicas: usize) -> Settings {
    Settings {
        durability,
        min_insync_replicas,
        unclean_leader_election: false,
        lag_time_max_ms: 30_000,
    }
}

fn metadata(leader: BrokerId, epoch: i32, version: i32, replicas: &[BrokerId]) -> Metadata<'_> {
    Metadata {
        leader,
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(version),
        replicas,
        isr: &replicas[..1],
        is_recovering: false,
    }
}

fn leading(durability: Durability) -> Partition {
    let mut partition = Partition::new(ME, settings(durability, 1), Offset(0), Offset(0));
    partition.on_metadata(&metadata(ME, 3, 0, &[ME]), 0);
    partition
}

#[test]
fn the_high_watermark_waits_for_the_disk() {
    let mut partition = leading(Durability::Fsync);
    assert_eq!(partition.on_append(Offset(10)).high_watermark, None);
    assert!(!partition.is_acknowledged(Offset(10), Acks::All));
    assert!(!partition.is_acknowledged(Offset(10), Acks::Leader));
    assert_eq!(partition.on_flushed(Offset(6)).high_watermark, Some(Offset(6)));
    assert_eq!(partition.on_flushed(Offset(10)).high_watermark, Some(Offset(10)));
    assert!(partition.is_acknowledged(Offset(10), Acks::All));
}

#[test]
fn in_page_cache_mode_an_append_is_enough() {
    let mut partition = leading(Durability::PageCache);
    assert_eq!(partition.on_append(Offset(10)).high_watermark, Some(Offset(10)));
}

#[test]
fn a_late_flush_report_moves_nothing_back() {
    let mut partition = leading(Durability::Fsync);
    partition.on_append(Offset(10));
    partition.on_flushed(Offset(10));
    assert_eq!(partition.on_flushed(Offset(4)).high_watermark, None);
    assert_eq!(partition.high_watermark(), Offset(10));
}

#[test]
fn epochs_fence_both_ways() {
    let partition = leading(Durability::Fsync);
    assert_eq!(partition.check_leader(LeaderEpoch(3)), Ok(()));
    assert_eq!(partition.check_leader(LeaderEpoch::UNKNOWN), Ok(()));
    assert_eq!(partition.check_leader(LeaderEpoch(2)), Err(Refused::FencedLeaderEpoch));
    assert_eq!(partition.check_leader(LeaderEpoch(4)), Err(Refused::UnknownLeaderEpoch));
}

#[test]
fn without_leadership_nothing_is_appended() {
    let mut partition = leading(Durability::Fsync);
    let effects = partition.on_metadata(&metadata(BrokerId::NONE, 4, 1, &[ME]), 0);
    assert_eq!(effects.new_role, Some(NewRole::Follower));
    assert_eq!(effects.waits_refused, Some(Refused::NotLeader));
    assert_eq!(partition.check_append(Acks::Leader), Err(Refused::NotLeader));
}

#[test]
fn too_few_in_sync_refuse_only_those_who_wait_for_all() {
    let mut partition = leading(Durability::Fsync);
    partition.on_settings(settings(Durability::Fsync, 2));
    let replicas = [ME, BrokerId(2)];
    let effects = partition.on_metadata(&metadata(ME, 3, 1, &replicas), 0);
    assert_eq!(effects.waits_refused, Some(Refused::NotEnoughReplicas));
    assert_eq!(partition.check_append(Acks::All), Err(Refused::NotEnoughReplicas));
    assert_eq!(partition.check_append(Acks::Leader), Ok(()));
}

#[test]
fn an_older_word_of_the_controller_is_ignored() {
    let mut partition = leading(Durability::Fsync);
    partition.on_metadata(&metadata(BrokerId(2), 9, -1, &[ME]), 0);
    assert_eq!(partition.leader_epoch(), LeaderEpoch(3));
}

#[test]
fn what_was_known_to_be_committed_is_known_after_a_restart() {
    let settings = settings(Durability::Fsync, 1);
    let partition = Partition::new(ME, settings, Offset(10), Offset(7));
    assert_eq!(partition.high_watermark(), Offset(7));
    let partition = Partition::new(ME, settings, Offset(10), Offset(70));
    assert_eq!(partition.high_watermark(), Offset(10), "the log ends before its checkpoint");
}
