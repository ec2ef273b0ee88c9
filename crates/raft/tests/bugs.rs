//! Bugs that other quorums had, each with a test of its name. `docs/reliability.md` lists them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bugs {
    mod newcomers;
    pub(crate) mod one;
    mod static_voters;
}

use std::collections::BTreeSet;

use bugs::one::{One, key, static_voters, voters};
use bytes::Bytes;
use kalda_env::FsDisk;
use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_raft::quorum::{
    Batch, Body, Control, Effect, Fault, FetchRequest, FetchResponse, FetchSnapshotRequest, Input,
    LogView, OffsetAndEpoch, Refusal, Request, Response, ResponseBody, RoleName, VoteRequest,
};
use kalda_raft::{QuorumState, SnapshotId};

fn data(base_offset: i64, record_count: i64, epoch: i32) -> Batch {
    Batch {
        base_offset: Offset(base_offset),
        record_count,
        epoch: LeaderEpoch(epoch),
        body: Body::Data(Bytes::from_static(b"x")),
        encoded: None,
    }
}

fn end(offset: i64, epoch: i32) -> OffsetAndEpoch {
    OffsetAndEpoch { offset: Offset(offset), epoch: LeaderEpoch(epoch) }
}

fn fetch(id: i32, epoch: i32, end: OffsetAndEpoch) -> Request {
    Request::Fetch(FetchRequest {
        replica: key(id),
        epoch: LeaderEpoch(epoch),
        end,
        high_watermark: Offset::ZERO,
        wait_ms_max: 500,
    })
}

fn vote(from: i32, to: i32, epoch: i32, last: OffsetAndEpoch, pre_vote: bool) -> Request {
    let (voter, candidate) = (key(to), key(from));
    Request::Vote(VoteRequest { voter, candidate, epoch: LeaderEpoch(epoch), last, pre_vote })
}

fn high_watermarks(effects: &[Effect]) -> Vec<i64> {
    let of = |effect: &Effect| match effect {
        Effect::HighWatermark(offset) => Some(offset.0),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn fetched(one: &mut One, leader: i32, epoch: i32, body: FetchResponse) -> Vec<Effect> {
    one.respond(leader, epoch, Some(leader), ResponseBody::Fetch(body))
}

fn begin(leader: i32, to: i32, epoch: i32) -> Request {
    let (voter, leader, epoch) = (key(to), BrokerId(leader), LeaderEpoch(epoch));
    Request::BeginQuorumEpoch { voter, leader, epoch }
}

#[test]
fn kafka_17067_and_17333_from_every_role_a_newer_epoch_is_taken() {
    type Prepare = fn(&mut One);
    let roles: [(&str, Prepare); 6] = [
        ("unattached", |_| {}),
        ("prospective", |one| one.wait_for_election()),
        ("candidate", |one| {
            one.wait_for_election();
            one.grant(2);
        }),
        ("follower", |one| {
            one.request(begin(2, 1, 1));
        }),
        ("leader", One::elect),
        ("resigned", |one| {
            one.elect();
            one.input(Input::Resign);
        }),
    ];
    let mut seen = BTreeSet::new();
    for (name, prepare) in roles {
        for leader in [None, Some(BrokerId(3))] {
            let mut one = One::new(1, voters(3));
            prepare(&mut one);
            seen.insert(one.quorum.role());
            let was_leader = one.quorum.role() == RoleName::Leader;
            let epoch = one.quorum.epoch().0 + 5;
            let effects = match leader {
                Some(leader) => one.request(begin(leader.0, 1, epoch)),
                None => one.request(vote(3, 1, epoch, end(0, 0), true)),
            };
            assert_eq!(one.quorum.epoch(), LeaderEpoch(epoch), "{name}");
            let followed = if leader.is_some() { RoleName::Follower } else { RoleName::Unattached };
            assert_eq!(one.quorum.role(), followed, "{name}");
            assert_eq!(one.quorum.leader(), leader, "{name}");
            let told = effects.iter().any(|effect| matches!(effect, Effect::Resigned { .. }));
            assert_eq!(told, was_leader, "{name}: the controller hears of it");
        }
    }
    assert_eq!(seen.len(), 6, "every role was tried: {seen:?}");
}

#[test]
fn kafka_18345_a_lost_candidate_waits_for_a_time_of_its_own() {
    let mut one = One::new(1, voters(3));
    one.wait_for_election();
    one.grant(2);
    assert_eq!(one.quorum.role(), RoleName::Candidate);
    let (epoch, begun) = (one.quorum.epoch(), one.now);
    one.reject(2);
    one.reject(3);
    assert_eq!(one.quorum.role(), RoleName::Candidate);
    assert!(one.quorum.wake_at() >= begun + 1000, "no new election at once");
    let sent = one.tick_at(begun + 900);
    assert!(sent.is_empty(), "a lost election is not canvassed for: {sent:?}");
    one.tick_at(begun + 2000);
    assert_eq!((one.quorum.role(), one.quorum.epoch()), (RoleName::Prospective, epoch));
}

#[test]
fn kafka_16530_a_leader_that_is_removed_does_not_count_itself() {
    let mut one = One::new(1, voters(4));
    one.elect();
    one.flush();
    for id in [2, 3] {
        one.request(fetch(id, 1, end(3, 1)));
    }
    assert_eq!(one.quorum.high_watermark(), Offset(3));
    one.request(Request::RemoveVoter { voter: key(1) });
    assert_eq!(one.quorum.log().end_offset(), Offset(4));
    one.flush();
    let first = one.request(fetch(2, 1, end(4, 1)));
    assert_eq!(high_watermarks(&first), [0; 0], "one of three others");
    let second = one.request(fetch(3, 1, end(4, 1)));
    assert_eq!(high_watermarks(&second), [4], "two of three others");
    assert_eq!(one.quorum.role(), RoleName::Resigned, "its removal is committed");
}

#[test]
fn openraft_1802_five_voters_commit_with_three_in_any_order() {
    // Every row is an order in which the four followers fetch; ends are 2, 3, 4 and 5.
    for order in [[2, 3, 4, 5], [5, 4, 3, 2], [3, 5, 2, 4], [4, 2, 5, 3], [2, 5, 3, 4]] {
        let mut one = One::new(1, voters(5));
        one.elect();
        one.write(4);
        one.flush();
        let mut ends = vec![5];
        for id in order {
            one.request(fetch(id, 1, end(i64::from(id), 1)));
            ends.push(i64::from(id));
            ends.sort_unstable_by(|a, b| b.cmp(a));
            let expected = ends.get(2).copied().unwrap_or(0);
            assert_eq!(one.quorum.high_watermark(), Offset(expected), "{order:?}, after {id}");
        }
    }
}

#[test]
fn raft_figure_8_what_others_wrote_is_committed_with_a_record_of_its_own() {
    let mut log = LogView::new(voters(3), 1);
    log.restore(&data(0, 3, 1));
    let mut one = One::restored(1, log);
    one.elect();
    one.flush();
    let theirs = one.request(fetch(2, 2, end(3, 1)));
    assert_eq!(high_watermarks(&theirs), [0; 0], "a majority has it, another leader may not");
    let own = one.request(fetch(2, 2, end(4, 2)));
    assert_eq!(high_watermarks(&own), [4]);
}

#[test]
fn kafka_15100_a_fetch_that_waits_is_answered_once_though_the_leader_is_gone() {
    let mut one = One::new(1, voters(3));
    one.elect();
    one.flush();
    one.request(fetch(2, 1, end(3, 1)));
    let parked = one.request(Request::Fetch(FetchRequest {
        replica: key(3),
        epoch: LeaderEpoch(1),
        end: end(3, 1),
        high_watermark: Offset(3),
        wait_ms_max: 500,
    }));
    assert_eq!(one.answers(&parked).len(), 0);
    let gone = one.input(Input::Resign);
    let refusals: Vec<_> = one.answers(&gone).iter().map(|answer| answer.refusal).collect();
    assert!(refusals.contains(&Some(Refusal::NotLeader)), "{refusals:?}");
    let late = one.tick_at(one.now + 600);
    assert_eq!(one.answers(&late).len(), 0, "its time is over, and it was answered");
}

#[test]
fn kafka_14618_and_15076_the_newest_snapshot_is_served_and_its_end_is_exclusive() {
    let mut one = One::new(1, voters(3));
    one.elect();
    one.write(9);
    one.flush();
    one.request(fetch(2, 1, end(10, 1)));
    assert_eq!(one.quorum.high_watermark(), Offset(10));
    let newest = SnapshotId { end_offset: Offset(8), epoch: LeaderEpoch(1) };
    for id in [SnapshotId { end_offset: Offset(4), epoch: LeaderEpoch(1) }, newest] {
        one.input(Input::SnapshotTaken(id));
    }
    let snapshot_for = |one: &mut One, end: OffsetAndEpoch| {
        let effects = one.request(fetch(3, 1, end));
        match &one.answers(&effects).last().unwrap().body {
            ResponseBody::Fetch(body) => body.snapshot,
            body => panic!("{body:?}"),
        }
    };
    assert_eq!(snapshot_for(&mut one, end(0, 0)), Some(newest));
    assert_eq!(snapshot_for(&mut one, end(7, 1)), Some(newest), "one record is missing");
    assert_eq!(snapshot_for(&mut one, end(8, 1)), None, "it continues where the snapshot ends");
    let old = SnapshotId { end_offset: Offset(4), epoch: LeaderEpoch(1) };
    let effects = one.request(Request::FetchSnapshot(FetchSnapshotRequest {
        replica: key(3),
        epoch: LeaderEpoch(1),
        id: old,
        position: 0,
    }));
    assert_eq!(one.answers(&effects)[0].refusal, Some(Refusal::SnapshotNotFound));
}

#[test]
fn kafka_12460_nothing_is_cut_below_the_high_watermark() {
    let mut one = One::new(1, voters(3));
    one.request(begin(2, 1, 1));
    let body = FetchResponse {
        high_watermark: Offset(3),
        batches: vec![data(0, 3, 1), data(3, 2, 1)],
        ..FetchResponse::default()
    };
    fetched(&mut one, 2, 1, body);
    one.flush();
    assert_eq!(one.quorum.high_watermark(), Offset(3));
    let below = FetchResponse { diverging: Some(end(2, 1)), ..FetchResponse::default() };
    let effects = fetched(&mut one, 2, 1, below);
    let fault = Fault::BelowHighWatermark { to: Offset(2), high_watermark: Offset(3) };
    assert!(effects.contains(&Effect::Fault(fault)), "{effects:?}");
    assert_eq!(one.quorum.log().end_offset(), Offset(5), "nothing was cut");
    one.tick_at(one.now + 20);
    let above = FetchResponse { diverging: Some(end(3, 1)), ..FetchResponse::default() };
    let effects = fetched(&mut one, 2, 1, above);
    assert!(effects.contains(&Effect::Truncate(Offset(3))), "{effects:?}");
}

#[test]
fn kafka_18723_batches_of_a_later_epoch_than_the_leaders_are_not_taken() {
    let mut one = One::new(1, voters(3));
    one.request(begin(2, 1, 1));
    let batches = vec![data(0, 1, 1), data(1, 1, 2)];
    fetched(&mut one, 2, 1, FetchResponse { batches, ..FetchResponse::default() });
    assert_eq!(one.quorum.log().end(), end(1, 1));
}

#[test]
fn kafka_15412_a_quorum_state_of_an_unknown_version_stops_the_process() {
    let dir = tempfile::tempdir().unwrap();
    for (version, is_known) in [(0, true), (1, true), (2, false), (-1, false)] {
        let text =
            format!(r#"{{"leaderId":-1,"leaderEpoch":3,"votedId":-1,"data_version":{version}}}"#);
        std::fs::write(dir.path().join("quorum-state"), text).unwrap();
        let loaded = QuorumState::load(&FsDisk, dir.path());
        assert_eq!(loaded.is_ok(), is_known, "version {version}: {loaded:?}");
    }
}

#[test]
fn kafka_19605_an_observer_that_finds_no_leader_asks_at_a_measured_pace() {
    let mut one = One::new(9, voters(3));
    let mut sent = 0;
    let begun = one.now;
    while one.now < begun + 10_000 {
        let refused = Response {
            refusal: Some(Refusal::NotLeader),
            epoch: one.quorum.epoch(),
            leader: None,
            body: ResponseBody::Plain,
        };
        for (to, correlation, _) in one.take_sent() {
            sent += 1;
            one.input(Input::Response { from: to, correlation, response: refused.clone() });
        }
        let wake_at = one.quorum.wake_at();
        assert!(wake_at > one.now, "it would spin");
        one.tick_at(wake_at);
    }
    assert!((50..=200).contains(&sent), "{sent} requests in ten seconds");
}

/// A request that was given up, beside one that is under way, was taken for what is to be waited for.
#[test]
fn an_observer_whom_nobody_answers_does_not_spin() {
    let mut one = One::new(9, voters(3));
    one.request(begin(2, 9, 1));
    let mut asked = BTreeSet::new();
    let begun = one.now;
    while one.now < begun + 20_000 {
        asked.extend(one.take_sent().into_iter().map(|(to, _, _)| to));
        // Something else happens meanwhile.
        one.tick_at(one.now + 10);
        let wake_at = one.quorum.wake_at();
        assert!(wake_at > one.now, "it would spin");
        one.tick_at(wake_at);
    }
    assert_eq!(asked, BTreeSet::from([BrokerId(1), BrokerId(2)]), "the leader, and another one");
}

#[test]
fn kafka_16926_who_fetches_is_not_told_again_who_leads() {
    let mut one = One::new(1, voters(3));
    one.elect();
    one.flush();
    one.take_sent();
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        one.request(fetch(2, 1, end(1, 1)));
        one.tick_at(one.now + 100);
        for (to, correlation, request) in one.take_sent() {
            assert!(matches!(request, Request::BeginQuorumEpoch { .. }));
            told.insert(to);
            one.input(Input::SendFailed { to, correlation });
        }
    }
    assert_eq!(told, BTreeSet::from([BrokerId(3)]));
}

#[test]
fn redpanda_30817_a_follower_that_only_cuts_its_log_hears_its_leader_too() {
    let mut log = LogView::new(voters(3), 1);
    for epoch in 1..=9 {
        log.restore(&data(i64::from(epoch) - 1, 1, epoch));
    }
    let mut one = One::restored(1, log);
    one.request(begin(2, 1, 20));
    for step in 0..8 {
        one.tick_at(one.now + 1500);
        let diverging = Some(end(8 - step, 9 - i32::try_from(step).unwrap()));
        fetched(&mut one, 2, 20, FetchResponse { diverging, ..FetchResponse::default() });
        assert_eq!(one.quorum.role(), RoleName::Follower, "step {step}");
    }
    assert!(one.quorum.log().end_offset() < Offset(9));
}

/// It may be a voter in the log of the candidate, who needs it.
#[test]
fn an_observer_that_hears_its_leader_no_more_lets_others_stand() {
    let mut one = One::new(9, voters(3));
    one.request(begin(1, 9, 1));
    fetched(&mut one, 1, 1, FetchResponse::default());
    let is_granted = |one: &mut One| {
        let effects = one.request(vote(2, 9, 1, end(0, 0), true));
        one.answers(&effects)[0].body == ResponseBody::Vote { granted: true }
    };
    assert!(!is_granted(&mut one), "it hears its leader");
    one.tick_at(one.now + 1999);
    assert!(!is_granted(&mut one), "its leader may still be there");
    one.tick_at(one.now + 1);
    assert!(is_granted(&mut one), "nobody can be elected without it");
}

#[test]
fn hashicorp_661_epoch_and_vote_are_one_write_before_anyone_hears_of_it() {
    let mut one = One::new(1, voters(3));
    let effects = one.request(vote(3, 1, 7, end(0, 0), false));
    let answered = effects.iter().position(|effect| matches!(effect, Effect::Answer { .. }));
    let persisted = effects.iter().rposition(|effect| match effect {
        Effect::Persist(state) => {
            state.epoch == LeaderEpoch(7) && state.voted.is_some_and(|(id, _)| id == BrokerId(3))
        }
        _ => false,
    });
    assert!(persisted.unwrap() < answered.unwrap(), "{effects:?}");
    // After a restart it remembers.
    let mut again = one.restart();
    let effects = again.request(vote(2, 1, 7, end(0, 0), false));
    let answer = again.answers(&effects).remove(0);
    assert_eq!(answer.body, ResponseBody::Vote { granted: false });
    let effects = again.request(vote(3, 1, 7, end(0, 0), false));
    let answer = again.answers(&effects).remove(0);
    assert_eq!(answer.body, ResponseBody::Vote { granted: true }, "the same one again");
}

#[test]
fn openraft_cecb5de8_a_flush_of_what_was_cut_is_no_acknowledgement() {
    let mut one = One::new(1, voters(3));
    one.request(begin(2, 1, 1));
    let batches = vec![data(0, 4, 1)];
    fetched(&mut one, 2, 1, FetchResponse { batches, ..FetchResponse::default() });
    let flushing = one.quorum.log().end();
    // Another leader has the log cut and lengthened before that flush is over.
    one.request(begin(3, 1, 2));
    one.input(Input::Flushed(end(0, 0)));
    assert!(one.take_sent().is_empty(), "what is not on disk is not told");
    one.input(Input::Flushed(flushing));
    let diverging = Some(end(0, 0));
    fetched(&mut one, 3, 2, FetchResponse { diverging, ..FetchResponse::default() });
    let batches = vec![data(0, 4, 2)];
    fetched(&mut one, 3, 2, FetchResponse { batches, ..FetchResponse::default() });
    one.take_sent();
    one.input(Input::Flushed(flushing));
    assert_eq!(one.quorum.log().flushed_offset(), Offset::ZERO, "that was another record");
    assert!(one.take_sent().is_empty());
    one.flush();
    assert_eq!(one.quorum.log().flushed_offset(), Offset(4));
    assert_eq!(one.take_sent().len(), 1);
}

/// On a busy disk flushes took seconds, and the quorum lost its leader without a fault.
#[test]
fn a_follower_whose_flush_takes_its_time_gives_signs_of_life() {
    let mut one = One::new(1, voters(3));
    one.request(begin(2, 1, 1));
    let batches = vec![data(0, 4, 1)];
    let body = FetchResponse { high_watermark: Offset(4), batches, ..FetchResponse::default() };
    fetched(&mut one, 2, 1, FetchResponse { high_watermark: Offset::ZERO, ..body.clone() });
    assert!(one.take_sent().is_empty(), "there is nothing to ask for yet");
    let (begun, mut signs) = (one.now, 0);
    while one.now < begun + 10_000 {
        one.tick_at(one.quorum.wake_at());
        for (from, correlation, request) in one.take_sent() {
            let Request::Fetch(sign) = request else { panic!("{request:?}") };
            assert_eq!(sign.end, end(0, 0), "what is not on disk is not told");
            // The answer fits to what was told, and says nothing of what is there.
            let response = Response {
                refusal: None,
                epoch: LeaderEpoch(1),
                leader: Some(BrokerId(2)),
                body: ResponseBody::Fetch(body.clone()),
            };
            one.input(Input::Response { from, correlation, response });
            signs += 1;
        }
        assert_eq!(one.quorum.role(), RoleName::Follower);
    }
    assert!((15..=25).contains(&signs), "{signs} signs in ten seconds");
    assert_eq!(one.quorum.log().end_offset(), Offset(4));
    assert_eq!(one.quorum.high_watermark(), Offset::ZERO);
    one.flush();
    let (_, _, request) = one.take_sent().remove(0);
    assert!(matches!(request, Request::Fetch(fetch) if fetch.end == end(4, 1)));
}

#[test]
fn openraft_2091_the_removed_voter_that_alone_has_the_record_leads_once_more() {
    let mut one = One::new(1, voters(2));
    one.elect();
    one.flush();
    one.request(fetch(2, 1, end(3, 1)));
    one.request(Request::RemoveVoter { voter: key(1) });
    one.flush();
    one.input(Input::Resign);
    let mut again = one.restart();
    assert!(!again.quorum.is_voter());
    // Node 2, whose log is shorter, gets no vote here; so this one has to stand.
    let effects = again.request(vote(2, 1, 2, end(3, 1), false));
    assert_eq!(again.answers(&effects)[0].body, ResponseBody::Vote { granted: false });
    again.wait_for_election();
    again.grant(2);
    again.grant(2);
    assert_eq!(again.quorum.role(), RoleName::Leader);
    again.flush();
    again.request(fetch(2, again.quorum.epoch().0, again.quorum.log().end()));
    assert_eq!(again.quorum.role(), RoleName::Resigned, "now it is committed");
}

#[test]
fn one_change_of_voters_at_a_time_and_only_where_they_are_records() {
    let refusal = |one: &mut One, request: Request| {
        let effects = one.request(request);
        one.answers(&effects).first().map(|answer| answer.refusal)
    };
    let mut one = One::new(1, static_voters(3));
    one.elect();
    let remove = |id: i32| Request::RemoveVoter { voter: key(id) };
    assert_eq!(refusal(&mut one, remove(2)), Some(Some(Refusal::UnsupportedVersion)));
    let mut one = One::new(1, voters(3));
    one.elect();
    one.flush();
    let early = refusal(&mut one, remove(2));
    assert_eq!(early, Some(Some(Refusal::RequestTimedOut)), "nothing of its epoch is committed");
    one.request(fetch(2, 1, end(3, 1)));
    assert_eq!(refusal(&mut one, remove(9)), Some(Some(Refusal::VoterNotFound)));
    assert_eq!(refusal(&mut one, remove(3)), None, "it waits for the commit");
    assert_eq!(refusal(&mut one, remove(2)), Some(Some(Refusal::RequestTimedOut)), "one at a time");
    one.flush();
    let committed = one.request(fetch(2, 1, end(4, 1)));
    let refusals: Vec<_> = one.answers(&committed).iter().map(|answer| answer.refusal).collect();
    assert!(refusals.contains(&None), "the removal is answered: {refusals:?}");
    assert_eq!(one.quorum.log().voters().len(), 2);
}

#[test]
fn a_vote_is_given_to_a_disk_and_not_to_a_node() {
    let mut one = One::new(1, voters(3));
    one.request(vote(3, 1, 7, end(0, 0), false));
    for (directory, granted) in [(key(4).directory, false), (key(3).directory, true)] {
        let Request::Vote(mut again) = vote(3, 1, 7, end(0, 0), false) else { unreachable!() };
        again.candidate.directory = directory;
        let effects = one.request(Request::Vote(again));
        assert_eq!(one.answers(&effects)[0].body, ResponseBody::Vote { granted });
    }
    // Nor does a wiped node answer for the disk that it had.
    let Request::Vote(mut old) = vote(2, 1, 8, end(0, 0), false) else { unreachable!() };
    old.voter.directory = key(4).directory;
    let effects = one.request(Request::Vote(old));
    assert_eq!(one.answers(&effects)[0].refusal, Some(Refusal::InvalidVoterKey));
}

/// A voter of a static set comes back with an empty disk: it counts as it is now, and is shown so.
#[test]
fn a_static_voter_with_a_new_disk_is_the_voter_now() {
    let mut one = One::new(1, static_voters(3));
    one.elect();
    one.write(9);
    one.flush();
    one.request(fetch(2, 1, end(4, 1)));
    one.now += 1;
    let Request::Fetch(mut again) = fetch(2, 1, end(10, 1)) else { unreachable!() };
    // Sorted after the one that it had, and before it.
    for directory in [key(9).directory, key(0).directory] {
        again.replica.directory = directory;
        one.request(Request::Fetch(again.clone()));
        let shown = one.quorum.describe();
        let second = shown.iter().find(|it| it.replica.id == key(2).id).unwrap();
        assert_eq!((second.replica.directory, second.is_voter), (directory, true));
        assert_eq!(second.end_offset, Some(Offset(10)));
        one.now += 1;
    }
    assert_eq!(one.quorum.high_watermark(), Offset(10), "two of three have it");
}

#[test]
fn voters_hold_when_appended_and_are_reverted_when_cut() {
    let mut one = One::new(1, voters(3));
    one.request(begin(2, 1, 1));
    let body = Body::Control(vec![Control::Voters(voters(4))]);
    let batches = vec![data(0, 2, 1), Batch { body, ..data(2, 1, 1) }];
    fetched(&mut one, 2, 1, FetchResponse { batches, ..FetchResponse::default() });
    one.flush();
    assert_eq!(one.quorum.log().voters(), &voters(4), "before it is committed");
    one.request(begin(3, 1, 2));
    let diverging = Some(end(2, 1));
    fetched(&mut one, 3, 2, FetchResponse { diverging, ..FetchResponse::default() });
    assert_eq!(one.quorum.log().voters(), &voters(3));
}

#[test]
fn a_fetch_of_another_epoch_acknowledges_nothing() {
    let mut one = One::new(1, voters(3));
    one.elect();
    one.flush();
    let fences = [(0, Refusal::FencedLeaderEpoch), (2, Refusal::UnknownLeaderEpoch)];
    for (epoch, refusal) in fences {
        let effects = one.request(fetch(2, epoch, end(1, 1)));
        assert_eq!(one.answers(&effects)[0].refusal, Some(refusal));
        assert_eq!(one.quorum.high_watermark(), Offset::ZERO);
    }
    one.request(fetch(2, 1, end(1, 1)));
    assert_eq!(one.quorum.high_watermark(), Offset(1));
}

#[test]
fn a_fetch_that_waits_is_answered_when_its_replica_asks_again() {
    let mut one = One::new(1, voters(3));
    one.elect();
    one.flush();
    one.request(fetch(2, 1, end(3, 1)));
    let waits = FetchRequest {
        replica: key(3),
        epoch: LeaderEpoch(1),
        end: end(3, 1),
        high_watermark: Offset(3),
        wait_ms_max: 500,
    };
    let first = one.request(Request::Fetch(waits.clone()));
    assert_eq!(one.answers(&first).len(), 0);
    let second = one.request(Request::Fetch(waits));
    assert_eq!(one.answers(&second).len(), 1, "the first of the two");
}
