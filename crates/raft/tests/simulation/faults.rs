//! What happens to a quorum: all that the seed says, then nothing any more.

use std::collections::BTreeSet;

use kalda_model::Offset;
use kalda_raft::SnapshotId;
use kalda_raft::quorum::{Input, Quorum, Request};

use crate::disk::{Disk, Snapshot};
use crate::names::voter;
use crate::world::{Event, World};

impl World {
    /// Some tens of seconds of trouble.
    pub(crate) fn run_with_faults(&mut self) {
        let end = self.now + self.chance.between(4_000, 25_000);
        while self.now < end {
            let pause = self.chance.between(20, 600);
            self.run_for(pause);
            for _ in 0..self.chance.below(3) {
                self.write_somewhere();
            }
            self.trouble();
        }
    }

    /// No more trouble: the quorum must come back, and then stay as it is.
    pub(crate) fn heal_and_settle(&mut self) {
        self.heal_network();
        self.network.loss_percent = 0;
        self.network.double_percent = 0;
        self.network.delay_ms_max = 10;
        self.network.flush_ms_max = 10;
        for index in 0..self.nodes.len() {
            self.nodes[index].is_doomed = false;
            if self.nodes[index].live.is_none() {
                self.start(index);
            }
        }
        self.settle();
        let leader = self.leader().unwrap();
        let epoch = self.epoch_of(leader);
        self.run_for(5_000);
        let now = (self.leader(), self.epoch_of(leader));
        let is_removed = !self.is_voter(leader);
        assert!(is_removed || now == (Some(leader), epoch), "unrest: {}", self.states());
        self.settle();
        for node in &self.nodes {
            self.oracle.assert_whole(&node.disk);
        }
    }

    fn trouble(&mut self) {
        let index = self.chance.index(self.nodes.len());
        if self.is_restless && self.chance.percent(60) {
            for _ in 0..self.chance.below(3) {
                self.ask_all_leaders(index);
            }
            return;
        }
        // Only voters that were static once can become records.
        let kinds = if self.kraft_version == 0 { 26 } else { 24 };
        match self.chance.below(kinds) {
            0..=2 => self.part(),
            3..=5 => self.heal_network(),
            6 => self.network.loss_percent = self.chance.below(30),
            7 => self.network.double_percent = self.chance.below(30),
            8 => self.network.delay_ms_max = [5, 50, 800][self.chance.index(3)],
            9 => self.network.flush_ms_max = [5, 50, 1500][self.chance.index(3)],
            10..=11 => self.crash_for_a_while(index),
            12..=13 => self.nodes[index].is_doomed = true,
            14 => self.crash_many(),
            15..=16 => self.take_snapshot(index),
            17 => self.resign(index),
            18..=19 => self.add_any_voter(),
            20 => self.remove_voter(index),
            21 => self.update_voter(index),
            22 => self.wipe_at_random(index),
            24..=25 => self.upgrade(index),
            _ => {
                self.network.loss_percent = 0;
                self.network.delay_ms_max = 10;
            }
        }
        self.restart_the_dead();
    }

    fn write_somewhere(&mut self) {
        // Leaders of the past write too; what they write must not be mistaken for the truth.
        for index in 0..self.nodes.len() {
            self.write(index);
        }
    }

    fn restart_the_dead(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].live.is_none() {
                let at = self.now + self.chance.between(1, 4000);
                self.push(index, at, Event::Start);
            }
        }
    }

    fn crash_for_a_while(&mut self, index: usize) {
        if self.nodes[index].live.is_some() {
            self.crash(index);
        }
    }

    /// The power of a room, or of the house.
    fn crash_many(&mut self) {
        for index in 0..self.nodes.len() {
            if self.chance.percent(70) {
                self.crash_for_a_while(index);
            }
        }
    }

    fn part(&mut self) {
        self.oracle.counts.partitions += 1;
        self.network.cut.clear();
        let count = self.nodes.len();
        let sides: Vec<u64> = (0..count).map(|_| self.chance.below(2)).collect();
        let shape = self.chance.below(4);
        let bridge = self.chance.index(count);
        for from in 0..count {
            for to in 0..count {
                let is_cut = match shape {
                    // Two sides.
                    0 => sides[from] != sides[to],
                    // Two sides, of which only one hears the other.
                    1 => sides[from] < sides[to],
                    // Two sides, and one node that hears both.
                    2 => sides[from] != sides[to] && from != bridge && to != bridge,
                    // Any link, in any direction.
                    _ => self.chance.percent(30),
                };
                if is_cut && from != to {
                    self.network.cut.insert((from, to));
                }
            }
        }
    }

    pub(crate) fn isolate(&mut self, index: usize) {
        for other in 0..self.nodes.len() {
            self.network.cut.extend([(index, other), (other, index)]);
        }
    }

    pub(crate) fn heal_network(&mut self) {
        self.network.cut.clear();
    }

    fn take_snapshot(&mut self, index: usize) {
        let node = &self.nodes[index];
        let Some(quorum) = &node.live else { return };
        let (start, committed) = (node.disk.start_offset(), quorum.high_watermark());
        let ends: Vec<_> = node
            .disk
            .batches
            .iter()
            .filter(|batch| batch.end_offset() <= committed && batch.end_offset() > start)
            .map(|batch| SnapshotId { end_offset: batch.end_offset(), epoch: batch.epoch })
            .collect();
        let Some(snapshot_id) = ends.get(self.chance.index(ends.len().max(1))).copied() else {
            return;
        };
        self.oracle.counts.snapshots_taken += 1;
        let end: Offset = snapshot_id.end_offset;
        let snapshot = Snapshot {
            id: snapshot_id,
            voters: quorum.log().voters_at(end).clone(),
            kraft_version: quorum.log().kraft_version_at(end),
            digest: self.oracle.digest_at(end),
        };
        self.oracle.on_snapshot(&snapshot);
        let node = &mut self.nodes[index];
        node.disk.snapshot_at(snapshot);
        let quorum = node.live.as_mut().unwrap();
        let effects = quorum.handle(Input::SnapshotTaken(snapshot_id), self.now, &self.chance);
        self.perform(index, effects);
    }

    fn add_any_voter(&mut self) {
        let count = self.nodes.len();
        let outside: Vec<_> = (0..count).filter(|index| !self.is_voter(*index)).collect();
        if let Some(index) = outside.get(self.chance.index(outside.len().max(1))) {
            self.add_voter(*index);
        }
    }

    /// Operators ask whoever calls itself leader, also those of the past.
    fn ask_all_leaders(&mut self, index: usize) {
        for leader in 0..self.nodes.len() {
            let directory = Some(self.nodes[index].disk.directory);
            let request = if self.is_voter(index) {
                Request::RemoveVoter { voter: self.wiped.unwrap_or_else(|| self.key(index)) }
            } else {
                Request::AddVoter { voter: voter(index, directory), timeout_ms: 1000 }
            };
            self.ask(leader, request);
        }
    }

    fn add_voter(&mut self, index: usize) {
        let Some(leader) = self.leader() else { return };
        if self.is_voter(index) || self.nodes[index].live.is_none() {
            return;
        }
        let directory = Some(self.nodes[index].disk.directory);
        let end = self.nodes[leader].disk.end_offset();
        self.ask(leader, Request::AddVoter { voter: voter(index, directory), timeout_ms: 1000 });
        self.oracle.counts.voters_added += u64::from(self.nodes[leader].disk.end_offset() > end);
    }

    fn remove_voter(&mut self, index: usize) {
        let Some(leader) = self.leader() else { return };
        // With a disk gone for good, no other voter may be missing too: only that one is removed.
        let voter = self.wiped.unwrap_or_else(|| self.key(index));
        let end = self.nodes[leader].disk.end_offset();
        self.ask(leader, Request::RemoveVoter { voter });
        self.oracle.counts.voters_removed += u64::from(self.nodes[leader].disk.end_offset() > end);
    }

    fn update_voter(&mut self, index: usize) {
        let Some(leader) = self.leader() else { return };
        let directory = Some(self.nodes[index].disk.directory);
        let epoch = self.epoch_of(leader);
        self.ask(leader, Request::UpdateVoter { epoch, voter: voter(index, directory) });
    }

    /// Operators raise the version at whoever calls itself leader.
    fn upgrade(&mut self, index: usize) {
        let Some(quorum) = &mut self.nodes[index].live else { return };
        let before = quorum.log().kraft_version();
        if let Ok((_, effects)) = quorum.upgrade(1, self.now, &self.chance) {
            let has_risen = quorum.log().kraft_version() > before;
            self.oracle.counts.upgrades += u64::from(has_risen);
            self.perform(index, effects);
        }
    }

    /// One voter may lose its disk in a run, if the others can do without it: while a change of the
    /// voters is under way, a replica that is a voter to some only may be the one that they need; and
    /// of static voters with empty disks nobody can say whether they ever had anything.
    fn wipe_at_random(&mut self, index: usize) {
        let live = self.nodes.iter().filter_map(|node| node.live.as_ref());
        let on_disk: Vec<_> = self.nodes.iter().map(|node| node.disk.view()).collect();
        let known = on_disk.iter().chain(live.map(Quorum::log)).map(|log| log.voters());
        let keys: BTreeSet<Vec<_>> =
            known.map(|voters| voters.iter().map(|voter| voter.key).collect()).collect();
        // A disk that is formatted for static voters would not know that they are records by now.
        let is_upgraded = on_disk.iter().any(|log| log.kraft_version() > self.kraft_version);
        let has_enough = keys.len() == 1 && keys.iter().all(|voters| voters.len() >= 3);
        let is_written = self.nodes.iter().all(|node| node.disk.flushed == node.disk.batches.len());
        let can_do_without = has_enough && is_written && !is_upgraded;
        let is_settled = |disk: &Disk| {
            let is_newcomer = disk.quorum_state.is_none_or(|state| state.is_newcomer);
            !is_newcomer && (disk.flushed > 0 || disk.snapshot.is_some())
        };
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
        let are_settled = others.map(|(_, node)| &node.disk).all(is_settled);
        if (self.kraft_version > 0 || are_settled) && self.wiped.is_none() && can_do_without {
            self.wipe(index);
        }
    }

    pub(crate) fn wipe(&mut self, index: usize) {
        self.oracle.counts.wipes += 1;
        self.wiped = Some(self.key(index));
        self.crash_for_a_while(index);
        let formatted = self.nodes[index].disk.formatted.clone();
        let directory = self.next_directory();
        let new = Disk::new(directory, formatted);
        self.lost_disk = Some(std::mem::replace(&mut self.nodes[index].disk, new));
        // What was sent to the old one does not reach the new one.
        self.queue.retain(|_, (to, _, event)| *to != index || matches!(event, Event::Start));
        self.start(index);
    }

    pub(crate) fn replace_wiped(&mut self, index: usize) {
        let voter = self.wiped.unwrap();
        let leader = self.leader().unwrap();
        self.ask(leader, Request::RemoveVoter { voter });
        self.run_for(1_000);
        self.add_voter(index);
        self.run_for(1_000);
    }
}
