//! Bugs of other implementations, each under its name (`docs/reliability.md`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};
use kalda_replication::{
    Acks, AlterAnswer, AlterRefused, BrokerState, Brokers, Durability, Effects, Metadata, NewRole,
    NextStep, OutOfRange, Partition, Reader, Refused, ReplicaFetch, Settings,
};
use kalda_storage::EpochCache;

const ME: BrokerId = BrokerId(1);
const B: BrokerId = BrokerId(2);
const C: BrokerId = BrokerId(3);

#[derive(Clone, Default)]
struct Registry(BTreeMap<BrokerId, BrokerState>);

impl Registry {
    fn all() -> Self {
        let active = |id: BrokerId| {
            (id, BrokerState { epoch: BrokerEpoch(i64::from(id.0) * 10), is_active: true })
        };
        Self([ME, B, C].into_iter().map(active).collect())
    }

    fn with(mut self, id: BrokerId, epoch: i64, is_active: bool) -> Self {
        self.0.insert(id, BrokerState { epoch: BrokerEpoch(epoch), is_active });
        self
    }
}

impl Brokers for Registry {
    fn state(&self, id: BrokerId) -> Option<BrokerState> {
        self.0.get(&id).copied()
    }
}

fn settings(min_insync_replicas: usize) -> Settings {
    Settings {
        durability: Durability::PageCache,
        min_insync_replicas,
        unclean_leader_election: false,
        lag_time_max_ms: 1000,
    }
}

fn word(leader: BrokerId, epoch: i32, version: i32, isr: &[BrokerId]) -> Metadata<'_> {
    Metadata {
        leader,
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(version),
        replicas: &[ME, B, C],
        isr,
        is_recovering: false,
    }
}

/// A leader of a log of `end` records with `isr`, that has appended nothing itself.
fn leader(min_isr: usize, end: i64, isr: &[BrokerId]) -> Partition {
    let mut partition = Partition::new(ME, settings(min_isr), Offset(end), Offset(0));
    let effects = partition.on_metadata(&word(ME, 1, 1, isr), 0);
    assert_eq!(effects.new_role, Some(NewRole::Leader(LeaderEpoch(1))));
    partition
}

fn follower(end: i64, high_watermark: i64) -> Partition {
    let mut partition = Partition::new(ME, settings(1), Offset(end), Offset(high_watermark));
    partition.on_metadata(&word(B, 1, 1, &[B, ME]), 0);
    partition
}

fn fetch(partition: &mut Partition, id: BrokerId, offset: i64, now_ms: i64) -> Effects {
    fetch_under(partition, id, i64::from(id.0) * 10, offset, now_ms, &Registry::all())
}

fn fetch_under(
    partition: &mut Partition,
    replica: BrokerId,
    epoch: i64,
    offset: i64,
    now_ms: i64,
    brokers: &Registry,
) -> Effects {
    let fetch = ReplicaFetch {
        replica,
        broker_epoch: BrokerEpoch(epoch),
        offset: Offset(offset),
        log_start: Some(Offset(0)),
    };
    partition.on_replica_fetch(fetch, brokers, now_ms)
}

fn cache(entries: &[(i32, i64)]) -> EpochCache {
    EpochCache::new(entries.iter().map(|(e, o)| (LeaderEpoch(*e), Offset(*o))).collect())
}

/// Fetches as the follower `partition` with `own` epochs; the leader answers with `diverging`.
fn diverge(
    partition: &mut Partition,
    own: &EpochCache,
    end: i64,
    diverging: (i32, i64),
) -> NextStep {
    let asked = partition.fetch_position(own.latest()).unwrap();
    let diverging = (LeaderEpoch(diverging.0), Offset(diverging.1));
    let own_end = |epoch| own.end_offset_for(epoch, Offset(end));
    partition.on_fetched(&asked, own.latest(), Some(diverging), own_end).unwrap()
}

#[test]
fn kip_101_a_follower_is_not_cut_to_its_high_watermark() {
    // It has 10 records and knows of 4 that they are committed: its leader has them all.
    let mut partition = follower(10, 4);
    let own = cache(&[(0, 0)]);
    let asked = partition.fetch_position(own.latest()).unwrap();
    assert_eq!(asked.offset, Offset(10));
    let step = partition.on_fetched(&asked, own.latest(), None, |_| None).unwrap();
    assert_eq!(step, NextStep::Append);
}

#[test]
fn kip_279_a_follower_is_cut_where_histories_part_after_a_fast_fail_over() {
    // The leader of epoch 3 never saw epoch 2, of which this one has records.
    let mut partition = follower(20, 5);
    let own = cache(&[(1, 0), (2, 10)]);
    assert_eq!(diverge(&mut partition, &own, 20, (1, 15)), NextStep::Truncate(Offset(10)));
    // An epoch that only the leader has: what lies before it is compared next.
    let mut partition = follower(20, 0);
    let own = cache(&[(1, 0), (4, 8)]);
    assert_eq!(diverge(&mut partition, &own, 20, (3, 12)), NextStep::Truncate(Offset(8)));
}

#[test]
fn kip_320_epochs_fence_replicas_both_ways() {
    let partition = leader(1, 10, &[ME, B]);
    let check =
        |epoch| partition.check_replica(LeaderEpoch(epoch), B, BrokerEpoch(20), &Registry::all());
    assert_eq!(check(1), Ok(()));
    assert_eq!(check(0), Err(Refused::FencedLeaderEpoch));
    assert_eq!(check(2), Err(Refused::UnknownLeaderEpoch));
}

#[test]
fn kip_320_who_is_not_assigned_is_told_to_wait_for_its_metadata() {
    let partition = leader(1, 10, &[ME]);
    let check =
        |epoch| partition.check_replica(epoch, BrokerId(9), BrokerEpoch(90), &Registry::all());
    assert_eq!(check(LeaderEpoch(1)), Err(Refused::UnknownLeaderEpoch));
    assert_eq!(check(LeaderEpoch::UNKNOWN), Err(Refused::NotLeader));
}

#[test]
fn kip_903_who_lost_its_disk_does_not_join_by_a_fetch_of_its_former_life() {
    let brokers = Registry::all().with(B, 21, true);
    let mut partition = leader(1, 10, &[ME]);
    let old = partition.check_replica(LeaderEpoch(1), B, BrokerEpoch(20), &brokers);
    assert_eq!(old, Err(Refused::NotLeader));
    // It was registered anew after its fetch came, and before the leader heard of it.
    let effects = fetch_under(&mut partition, B, 20, 10, 5, &brokers);
    assert!(!effects.has_proposal);
    let effects = fetch_under(&mut partition, B, 21, 10, 6, &brokers);
    assert!(effects.has_proposal);
    let proposal = partition.take_proposal(BrokerEpoch(10)).unwrap();
    assert_eq!(proposal.isr, [(ME, BrokerEpoch(10)), (B, BrokerEpoch(21))]);
}

#[test]
fn kafka_13916_a_fenced_or_stopping_replica_does_not_join() {
    let brokers = Registry::all().with(B, 20, false);
    let mut partition = leader(1, 10, &[ME]);
    assert!(!fetch_under(&mut partition, B, 20, 10, 5, &brokers).has_proposal);
    assert!(!partition.on_tick(&brokers, 10).has_proposal);
    // It is let in when the metadata changes, without another fetch.
    assert!(partition.on_tick(&Registry::all(), 20).has_proposal);
}

#[test]
fn kafka_15583_the_high_watermark_rests_while_too_few_are_in_sync() {
    let mut partition = leader(2, 0, &[ME]);
    let effects = partition.on_append(Offset(5));
    assert_eq!(effects.high_watermark, None);
    let effects = fetch(&mut partition, B, 5, 5);
    assert_eq!(effects.high_watermark, None, "it is proposed, and not yet in the ISR");
    let number = partition.take_proposal(BrokerEpoch(10)).unwrap().number;
    let answer = AlterAnswer::Altered {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(2),
        isr: vec![ME, B],
    };
    let effects = partition.on_alter_answer(number, &answer);
    assert_eq!(effects.high_watermark, Some(Offset(5)));
}

#[test]
fn kafka_14704_an_answer_that_diverges_moves_nothing_but_the_end() {
    let mut partition = follower(10, 4);
    let own = cache(&[(0, 0)]);
    assert_eq!(diverge(&mut partition, &own, 10, (0, 6)), NextStep::Truncate(Offset(6)));
    assert_eq!(partition.high_watermark(), Offset(4));
    partition.on_truncated(Offset(6), Offset(6));
    assert_eq!(partition.high_watermark(), Offset(4));
}

#[test]
fn kafka_18991_an_answer_to_an_earlier_epoch_cuts_nothing() {
    let mut partition = follower(10, 4);
    let own = cache(&[(0, 0)]);
    let asked = partition.fetch_position(own.latest()).unwrap();
    partition.on_metadata(&word(B, 2, 2, &[B, ME]), 0);
    let diverging = Some((LeaderEpoch(0), Offset(4)));
    let step = partition.on_fetched(&asked, own.latest(), diverging, |_| None).unwrap();
    assert_eq!(step, NextStep::Stale);
    // Nor does one to another place in the same epoch.
    let asked = partition.fetch_position(own.latest()).unwrap();
    partition.on_append(Offset(12));
    let step = partition.on_fetched(&asked, own.latest(), diverging, |_| None).unwrap();
    assert_eq!(step, NextStep::Stale);
}

#[test]
fn kafka_10706_what_an_epoch_without_records_left_is_no_history() {
    let mut own = cache(&[(0, 0), (3, 10)]);
    own.truncate_from_end(Offset(10));
    assert_eq!(own.latest(), Some(LeaderEpoch(0)));
}

#[test]
fn kafka_9491_a_replica_that_starts_over_knows_what_is_committed() {
    let mut partition = follower(10, 4);
    let asked = partition.fetch_position(None).unwrap();
    let found = OutOfRange { leader_start: Offset(50), leader_end: Offset(90) };
    let step = partition.on_out_of_range(&asked, None, found).unwrap();
    assert_eq!(step, NextStep::StartOver(Offset(50)));
    partition.on_started_over(Offset(50));
    assert_eq!(partition.high_watermark(), Offset(50));
    assert_eq!(partition.fetch_position(None).unwrap().offset, Offset(50));
}

#[test]
fn kafka_12153_and_10706_the_end_is_known_before_anything_else_is_asked() {
    let mut partition = follower(10, 10);
    partition.on_metadata(&word(C, 2, 2, &[C]), 0);
    let asked = partition.fetch_position(Some(LeaderEpoch(1))).unwrap();
    assert_eq!((asked.offset, asked.last_fetched_epoch), (Offset(10), LeaderEpoch(1)));
    assert_eq!(asked.leader, C);
}

#[test]
fn kafka_13091_the_answer_about_the_isr_moves_the_high_watermark() {
    let mut partition = leader(1, 0, &[ME, B]);
    partition.on_append(Offset(5));
    assert!(partition.on_tick(&Registry::all(), 2000).has_proposal, "B never fetched");
    let proposal = partition.take_proposal(BrokerEpoch(10)).unwrap();
    assert_eq!(partition.high_watermark(), Offset(0), "it may be in the ISR still");
    let answer = AlterAnswer::Altered {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(2),
        isr: vec![ME],
    };
    let effects = partition.on_alter_answer(proposal.number, &answer);
    assert_eq!(effects.high_watermark, Some(Offset(5)));
}

#[test]
fn kafka_14372_readers_are_sent_only_to_whom_has_their_records() {
    let mut partition = leader(1, 10, &[ME, B]);
    let rack = |id: BrokerId| Some(if id == ME { "a" } else { "b" });
    let nearest = |partition: &Partition, offset| {
        partition.nearest(&Reader { rack: "b", offset: Offset(offset) }, rack)
    };
    assert_eq!(nearest(&partition, 3), None, "B has not fetched yet");
    fetch(&mut partition, B, 5, 1);
    fetch(&mut partition, C, 10, 1);
    assert_eq!(nearest(&partition, 3), Some(B));
    assert_eq!(nearest(&partition, 8), None, "C has it and is not in the ISR");
    assert_eq!(partition.nearest(&Reader { rack: "a", offset: Offset(3) }, rack), None);
}

#[test]
fn kafka_9672_a_member_of_the_isr_that_is_not_assigned_holds_the_high_watermark() {
    let mut partition = Partition::new(ME, settings(1), Offset(0), Offset(0));
    let metadata = Metadata { replicas: &[ME], ..word(ME, 1, 1, &[ME, B]) };
    partition.on_metadata(&metadata, 0);
    assert_eq!(partition.on_append(Offset(5)).high_watermark, None);
}

#[test]
fn kip_497_nobody_counts_on_an_isr_before_its_outcome_is_known() {
    // Taken in: it counts from the proposal on, whatever becomes of it.
    let mut partition = leader(1, 0, &[ME]);
    fetch(&mut partition, B, 0, 1);
    let proposal = partition.take_proposal(BrokerEpoch(10)).unwrap();
    assert_eq!(partition.on_append(Offset(5)).high_watermark, None);
    assert_eq!(partition.take_proposal(BrokerEpoch(10)), None, "one at a time");
    let unknown = AlterAnswer::Refused(AlterRefused::Unknown);
    assert!(partition.on_alter_answer(proposal.number, &unknown).has_proposal, "it is asked again");
    assert_eq!(partition.high_watermark(), Offset(0));
    let proposal = partition.take_proposal(BrokerEpoch(10)).unwrap();
    let superseded = AlterAnswer::Refused(AlterRefused::Superseded);
    assert_eq!(partition.on_alter_answer(proposal.number, &superseded), Effects::default());
    assert_eq!(partition.high_watermark(), Offset(0), "only the metadata tells");
    partition.on_metadata(&word(ME, 1, 2, &[ME]), 2000);
    partition.on_tick(&Registry::all(), 2000);
    assert_eq!(partition.on_append(Offset(6)).high_watermark, Some(Offset(6)));
}

#[test]
fn an_answer_to_another_proposal_is_nothing() {
    let mut partition = leader(1, 0, &[ME]);
    fetch(&mut partition, B, 0, 1);
    let proposal = partition.take_proposal(BrokerEpoch(10)).unwrap();
    partition.on_metadata(&word(ME, 1, 2, &[ME, C]), 2);
    let late = AlterAnswer::Altered {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(3),
        isr: vec![ME],
    };
    partition.on_alter_answer(proposal.number, &late);
    assert_eq!(partition.isr(), [ME, C]);
}

#[test]
fn an_older_leader_does_not_take_in_who_lacks_what_an_earlier_one_committed() {
    // The high watermark that it knows is old: up to the begin of its epoch all may be committed.
    let mut partition = leader(1, 10, &[ME, C]);
    assert_eq!(partition.high_watermark(), Offset(0));
    assert!(!fetch(&mut partition, B, 9, 1).has_proposal);
    assert!(fetch(&mut partition, B, 10, 2).has_proposal);
}

#[test]
fn a_replica_that_keeps_up_with_a_growing_log_is_in_sync() {
    let mut partition = leader(1, 0, &[ME, B]);
    for round in 1..20 {
        partition.on_append(Offset(round * 10));
        // It always has what there was when it fetched before.
        fetch(&mut partition, B, (round - 1) * 10, round * 400);
        assert!(!partition.on_tick(&Registry::all(), round * 400 + 100).has_proposal);
    }
    assert!(partition.on_tick(&Registry::all(), 20 * 400 + 1000).has_proposal);
}

#[test]
fn an_idle_replica_is_not_late_at_once_when_records_come() {
    let mut partition = leader(1, 0, &[ME, B]);
    fetch(&mut partition, B, 0, 10);
    assert!(!partition.on_tick(&Registry::all(), 900_000).has_proposal);
    partition.on_append(Offset(5));
    assert!(!partition.on_tick(&Registry::all(), 900_100).has_proposal);
    assert!(partition.on_tick(&Registry::all(), 901_200).has_proposal);
}

#[test]
fn aphyr_2013_what_only_a_lone_leader_has_is_not_acknowledged() {
    let mut partition = leader(2, 0, &[ME, B]);
    partition.on_append(Offset(5));
    let effects = partition.on_metadata(&word(ME, 1, 2, &[ME]), 10);
    assert_eq!(effects.waits_refused, Some(Refused::NotEnoughReplicas));
    assert!(!partition.is_acknowledged(Offset(5), Acks::All));
    assert_eq!(partition.check_append(Acks::All), Err(Refused::NotEnoughReplicas));
}

#[test]
fn a_leader_without_what_was_committed_is_not_followed() {
    // Its disk was wiped and it claims its old id.
    let mut partition = follower(10, 8);
    let asked = partition.fetch_position(None).unwrap();
    let found = OutOfRange { leader_start: Offset(0), leader_end: Offset(0) };
    assert!(partition.on_out_of_range(&asked, None, found).is_err());
    assert!(partition.is_stopped());
    assert_eq!(partition.fetch_position(None), None);
    // With the next election it looks again; one that was unclean is obeyed.
    let metadata = Metadata { is_recovering: true, ..word(C, 2, 2, &[C]) };
    partition.on_metadata(&metadata, 0);
    let asked = partition.fetch_position(None).unwrap();
    let step = partition.on_out_of_range(&asked, None, found).unwrap();
    assert_eq!(step, NextStep::Truncate(Offset(0)));
}

#[test]
fn a_follower_says_that_it_has_only_what_is_on_its_disk() {
    let settings = Settings { durability: Durability::Fsync, ..settings(1) };
    let mut partition = Partition::new(ME, settings, Offset(0), Offset(0));
    partition.on_metadata(&word(B, 1, 1, &[B, ME]), 0);
    partition.on_append(Offset(5));
    assert_eq!(partition.fetch_position(None), None, "a flush is under way");
    partition.on_flushed(Offset(5));
    assert_eq!(partition.fetch_position(None).unwrap().offset, Offset(5));
}

#[test]
fn a_leader_counts_only_what_is_on_its_own_disk() {
    let settings = Settings { durability: Durability::Fsync, ..settings(2) };
    let mut partition = Partition::new(ME, settings, Offset(0), Offset(0));
    partition.on_metadata(&word(ME, 1, 1, &[ME, B]), 0);
    partition.on_append(Offset(5));
    assert_eq!(fetch(&mut partition, B, 5, 1).high_watermark, None);
    assert_eq!(partition.on_flushed(Offset(3)).high_watermark, Some(Offset(3)));
    assert_eq!(partition.on_flushed(Offset(5)).high_watermark, Some(Offset(5)));
}

#[test]
fn the_low_watermark_is_that_of_the_replicas_that_are_alive() {
    let mut partition = leader(1, 10, &[ME, B]);
    fetch(&mut partition, B, 10, 1);
    let brokers = Registry::all().with(C, 30, false);
    assert_eq!(partition.low_watermark(Offset(7), &brokers), Offset(0));
    let at_seven = ReplicaFetch {
        replica: B,
        broker_epoch: BrokerEpoch(20),
        offset: Offset(10),
        log_start: Some(Offset(7)),
    };
    partition.on_replica_fetch(at_seven, &brokers, 2);
    assert_eq!(partition.low_watermark(Offset(7), &brokers), Offset(7));
    assert_eq!(partition.low_watermark(Offset(7), &Registry::all()), Offset(-1), "C never said");
}

#[test]
fn a_re_elected_leader_knows_what_others_have() {
    let mut partition = leader(1, 0, &[ME, B]);
    partition.on_append(Offset(5));
    fetch(&mut partition, B, 5, 1);
    assert_eq!(partition.high_watermark(), Offset(5));
    partition.on_append(Offset(8));
    partition.on_metadata(&word(ME, 2, 2, &[ME, B]), 10);
    assert_eq!(partition.epoch_start(), Some(Offset(8)));
    assert_eq!(partition.high_watermark(), Offset(5));
    assert_eq!(fetch(&mut partition, B, 8, 11).high_watermark, Some(Offset(8)));
}

/// Found by the simulation: another led in between, and the others were cut to its history.
#[test]
fn a_leader_that_missed_the_reign_of_another_knows_nothing_of_what_others_have() {
    let settings = Settings { durability: Durability::Fsync, ..settings(1) };
    let mut partition = Partition::new(ME, settings, Offset(0), Offset(0));
    partition.on_metadata(&word(ME, 1, 1, &[ME, B]), 0);
    partition.on_append(Offset(5));
    // B has all of it on its disk before this one has.
    assert_eq!(fetch(&mut partition, B, 5, 1).high_watermark, None);
    let mut elected_anew = partition.clone();
    // In epoch 2 a third led, who had nothing of it; B was cut.
    partition.on_metadata(&word(ME, 3, 3, &[ME, B]), 10);
    assert_eq!(partition.on_flushed(Offset(5)).high_watermark, None);
    assert_eq!(fetch(&mut partition, B, 5, 11).high_watermark, Some(Offset(5)));
    // Where nobody else led, what it knows still holds.
    elected_anew.on_metadata(&word(ME, 2, 2, &[ME, B]), 10);
    assert_eq!(elected_anew.on_flushed(Offset(5)).high_watermark, Some(Offset(5)));
}
