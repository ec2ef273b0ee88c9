//! Voters of a static set with empty disks.

use kalda_model::{BrokerId, Offset};
use kalda_raft::quorum::{Batch, FetchResponse, OffsetAndEpoch, Request, ResponseBody, RoleName};

use super::one::{One, static_voters};
use crate::{begin, data, end, fetched, vote};

fn is_granted(one: &mut One, from: i32, epoch: i32, last: OffsetAndEpoch, pre_vote: bool) -> bool {
    let effects = one.request(vote(from, 3, epoch, last, pre_vote));
    one.answers(&effects)[0].body == ResponseBody::Vote { granted: true }
}

/// It may have acknowledged what the candidate lacks; in Kafka it elects it.
#[test]
fn an_empty_disk_elects_nobody_who_may_lack_what_it_had_acknowledged() {
    let mut one = One::new(3, static_voters(3));
    assert!(!is_granted(&mut one, 2, 7, end(50, 3), true));
    assert!(!is_granted(&mut one, 2, 8, end(50, 3), false));
    let mut one = one.restart();
    assert!(!is_granted(&mut one, 2, 9, end(50, 3), false), "it is one after a restart too");
    // Now it hears of a longer log, and whoever has that one has all that was committed.
    assert!(is_granted(&mut one, 1, 9, end(100, 3), true));
    assert!(!is_granted(&mut one, 2, 10, end(50, 3), true));
    assert!(!is_granted(&mut one, 1, 9, end(100, 3), false), "voter 2 may have had its vote");
    assert!(is_granted(&mut one, 1, 11, end(100, 3), false));
    assert!(!is_granted(&mut one, 2, 12, end(50, 3), false), "that vote made it no other");
}

/// What the leader answers, with all that it sends on the disk at once.
fn follow(one: &mut One, epoch: i32, batches: Vec<Batch>, high_watermark: i64) {
    let high_watermark = Offset(high_watermark);
    fetched(one, 1, epoch, FetchResponse { batches, high_watermark, ..FetchResponse::default() });
    one.flush();
}

#[test]
fn a_new_disk_votes_as_ever_once_it_has_all_that_a_leader_of_today_has_committed() {
    let mut one = One::new(3, static_voters(3));
    one.request(begin(1, 3, 4));
    follow(&mut one, 4, vec![data(0, 60, 4)], 100);
    assert!(!is_granted(&mut one, 2, 5, end(60, 4), false), "40 records are missing");
    one.tick_at(one.now + 60_000);
    assert_eq!(one.quorum.role(), RoleName::Unattached, "nor does it stand for election");
    one.request(begin(1, 3, 6));
    follow(&mut one, 6, vec![data(60, 40, 4), data(100, 1, 6)], 100);
    assert!(!is_granted(&mut one, 2, 7, end(101, 6), false), "that may be a leader of the past");
    one.request(begin(1, 3, 8));
    follow(&mut one, 8, vec![data(101, 1, 8)], 101);
    follow(&mut one, 8, Vec::new(), 102);
    let sent = one.take_sent();
    let is_nameless = |request: &Request| matches!(request, Request::Fetch(fetch) if fetch.replica.id == BrokerId::NONE);
    assert!(sent.iter().any(|(_, _, request)| is_nameless(request)), "nothing counts on it");
    one.tick_at(one.now + 2000);
    follow(&mut one, 8, vec![data(102, 1, 8)], 103);
    let mut one = one.restart();
    assert!(is_granted(&mut one, 2, 9, end(103, 8), false));
    one.wait_for_election();
}

#[test]
fn at_a_first_start_two_of_three_make_a_leader_again_and_again() {
    let mut one = One::new(3, static_voters(3));
    assert!(is_granted(&mut one, 1, 1, end(0, 0), false));
    // The first leader wrote a record that nobody else has, and came back.
    assert!(is_granted(&mut one, 1, 2, end(1, 1), false));
}
