//! What goes wrong, chosen by chance.

use kalda_model::BrokerId;
use kalda_replication::Durability;

use crate::world::{Event, World};

const CHAOS_MS: i64 = 3000;
const FAULT_EVERY_MS: i64 = 60;

impl World {
    pub(crate) fn run_with_faults(&mut self) {
        while self.now < CHAOS_MS {
            self.run_until(self.now + FAULT_EVERY_MS);
            self.fault();
        }
    }

    fn fault(&mut self) {
        let index = self.chance.index(self.nodes.len());
        match self.chance.index(16) {
            0 => self.kill(index),
            1 => self.power_cut(index),
            2 if self.chance.percent(30) => {
                for index in 0..self.nodes.len() {
                    self.power_cut(index);
                }
            }
            3 => self.wipe(index),
            4 => self.nodes[index].is_cut_off = true,
            5 | 6 => {
                self.nodes.iter_mut().for_each(|node| node.is_cut_off = false);
                for index in 0..self.nodes.len() {
                    self.unfence(index);
                }
            }
            7 => {
                // The controller hears nothing of it, whatever the reason.
                let is_silent = self.nodes[index].live.is_none() || self.nodes[index].is_cut_off;
                if is_silent || self.chance.percent(20) {
                    self.oracle.counts.fenced += 1;
                    self.controller.fence(self.nodes[index].id);
                }
            }
            8 | 9 => self.unfence(index),
            10 => {
                self.oracle.counts.shutdowns += 1;
                self.controller.begin_shutdown(self.nodes[index].id);
                self.kill(index);
            }
            11 => self.reassign(),
            12 | 13 => {
                self.oracle.counts.moved += 1;
                self.controller.elect_other();
            }
            _ => {}
        }
    }

    fn restart_later(&mut self, index: usize) {
        let delay = self.chance.between(1, 500);
        self.post(index, delay, Event::Start);
    }

    fn kill(&mut self, index: usize) {
        if self.nodes[index].live.is_some() {
            self.say(|| format!("{index} is killed"));
            self.oracle.counts.kills += 1;
            self.stop(index);
            self.restart_later(index);
        }
    }

    /// Only where the disk was promised.
    fn power_cut(&mut self, index: usize) {
        if self.nodes[index].live.is_none() || self.durability == Durability::PageCache {
            return;
        }
        self.say(|| format!("{index} loses power"));
        self.oracle.counts.power_cuts += 1;
        self.stop(index);
        if self.nodes[index].disk.power_cut(&mut self.chance) {
            self.oracle.counts.cuts_undone += 1;
        }
        self.restart_later(index);
    }

    /// A disk is lost, when others have all that it has: more than that nobody promises.
    fn wipe(&mut self, index: usize) {
        let view = &self.controller.view;
        let id = self.nodes[index].id;
        let safe = |other: &&BrokerId| **other != id;
        let others = view.isr.iter().filter(safe).count();
        let is_anyone_else = self.nodes.iter().any(|node| node.has_lost_data);
        if self.nodes[index].live.is_none() || others == 0 || is_anyone_else {
            return;
        }
        self.say(|| format!("{index} loses its disk"));
        self.oracle.counts.wipes += 1;
        self.stop(index);
        let node = &mut self.nodes[index];
        node.disk =
            crate::disk::Disk { generation: node.disk.generation + 1, ..Default::default() };
        node.has_lost_data = true;
        if self.controller.min_isr == 1 {
            // With one replica enough, the last one in the ISR may be this one before it is back:
            // no loss of a disk is promised to be survived, unless it is noticed at once.
            self.controller.forget(id);
        }
        self.restart_later(index);
    }

    fn reassign(&mut self) {
        if self.controller.view.target.is_some() {
            return;
        }
        let mut all: Vec<BrokerId> = self.nodes.iter().map(|node| node.id).collect();
        while all.len() > 3 {
            let gone = self.chance.index(all.len());
            all.remove(gone);
        }
        self.oracle.counts.reassigned += 1;
        self.controller.reassign(all);
    }
}
