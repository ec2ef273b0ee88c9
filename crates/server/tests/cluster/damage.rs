//! A bit flips in the log of one replica while its broker runs.

use std::os::unix::fs::FileExt;
use std::path::Path;

use kalda_protocol::ErrorCode;

use crate::client::{batch, records};
use crate::replicas::{await_leader, create_on, in_sync, produce, read_near};
use crate::rig::{Cluster, await_some};

/// How many batches each log has, of one record and of one size each.
const BATCHES: usize = 10;
/// The one that is damaged.
const DAMAGED: i64 = 4;

fn with_records(cluster: &Cluster, replicas: &[i32]) -> usize {
    create_on(cluster, "t", replicas, &[("min.insync.replicas", "1")]);
    let leader = await_leader(cluster, 0, "t", replicas.len());
    for number in 0..BATCHES {
        let produced = produce(&mut cluster.client(leader), "t", -1, batch([format!("v{number}")]));
        assert_eq!(produced, (ErrorCode::None, i64::try_from(number).unwrap()));
    }
    leader
}

/// Flips a bit of a record, behind the broker's back.
fn flip(log: &Path) {
    let bytes = std::fs::read(log).unwrap();
    let len = bytes.len() / BATCHES;
    let at = len * usize::try_from(DAMAGED).unwrap() + len - 2;
    let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

/// Waits until all replicas are in sync and have what was written, and the damaged batch is kept beside.
fn assert_healed(cluster: &Cluster, damaged: usize) {
    await_some("the replica to be copied again", || {
        (in_sync(cluster, 0, "t") == [1, 2, 3]).then_some(())
    });
    let whole = std::fs::read(cluster.log_file((damaged + 1) % 3, "t-0")).unwrap();
    await_some("the same bytes on the replica", || {
        let healed = std::fs::read(cluster.log_file(damaged, "t-0")).unwrap();
        (healed == whole).then_some(())
    });
    let kept = cluster.log_file(damaged, "t-0").with_extension(format!("log.{DAMAGED}.quarantine"));
    assert_eq!(std::fs::read(kept).unwrap().len(), whole.len() / BATCHES);
}

#[test]
fn a_leader_whose_log_is_damaged_gives_up_and_is_copied_again() {
    let cluster = Cluster::start(3, &[]);
    let damaged = with_records(&cluster, &[2, 1, 3]);
    flip(&cluster.log_file(damaged, "t-0"));
    await_some("another leader", || {
        cluster.client(damaged).fetch("t", 0, DAMAGED);
        (await_leader(&cluster, 0, "t", in_sync(&cluster, 0, "t").len()) != damaged).then_some(())
    });
    let leader = await_leader(&cluster, 0, "t", in_sync(&cluster, 0, "t").len());
    let found = await_some("all records", || {
        let found = cluster.client(leader).fetch("t", 0, 0);
        (found.error_code == 0).then_some(found)
    });
    assert_eq!(records(&found.records.unwrap()).len(), BATCHES);
    assert_healed(&cluster, damaged);
}

#[test]
fn a_follower_whose_log_is_damaged_is_copied_again_when_somebody_reads_it() {
    let cluster = Cluster::start(3, &[]);
    let leader = with_records(&cluster, &[1, 2, 3]);
    let damaged = (leader + 1) % 3;
    flip(&cluster.log_file(damaged, "t-0"));
    await_some("the damage to be noticed", || {
        let found = read_near(&mut cluster.client(damaged), "t", DAMAGED, "nowhere");
        (found.error_code != 0).then_some(())
    });
    assert_healed(&cluster, damaged);
    assert_eq!(await_leader(&cluster, 0, "t", 3), leader, "the leader stays");
}

#[test]
fn the_only_replica_serves_what_lies_before_the_damage_and_says_so() {
    let cluster = Cluster::start(3, &[]);
    let only = with_records(&cluster, &[2]);
    flip(&cluster.log_file(only, "t-0"));
    let mut client = cluster.client(only);
    await_some("the damage to be noticed", || {
        let found = client.fetch("t", 0, DAMAGED);
        (found.error_code == ErrorCode::CorruptMessage.code()).then_some(())
    });
    let found = client.fetch("t", 0, 0);
    assert_eq!(found.error_code, 0);
    assert_eq!(records(&found.records.unwrap()).len(), usize::try_from(DAMAGED).unwrap());
    assert_eq!(await_leader(&cluster, 0, "t", 1), only, "there is nobody who has more");
    let written = i64::try_from(BATCHES).unwrap();
    assert_eq!(produce(&mut client, "t", -1, batch(["v"])), (ErrorCode::None, written));
}
