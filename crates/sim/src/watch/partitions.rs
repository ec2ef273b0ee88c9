//! The partitions' logs: one leader per epoch, watermarks that do not go back, and committed records
//! that are on the disk of everybody who is trusted to have them.

use std::collections::BTreeMap;

use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_server::ObservedPartition;

use super::committed::{Committed, Held};
use crate::disk::View;
use crate::machine::{DATA, Machine};

/// A topic and the number of a partition.
type At = (String, i32);

/// What is known of the partitions.
#[derive(Debug, Default)]
pub(crate) struct PartitionWatch {
    logs: BTreeMap<At, Committed>,
    leaders: BTreeMap<(At, LeaderEpoch), Leader>,
    /// Up to which byte a log was compared, by machine, its life, and what of its disk.
    compared: BTreeMap<(At, String, u64, View), usize>,
    /// How often each machine got an empty disk, and where it is still thought to have its records; with its
    /// epoch of then, under which it may also be let into another ISR.
    wipes: BTreeMap<String, u64>,
    exempt: BTreeMap<(At, BrokerId), Option<BrokerEpoch>>,
    pub(crate) looks: u64,
}

/// Who leads in an epoch, and what it said last.
#[derive(Debug)]
struct Leader {
    node: i32,
    high_watermark: Offset,
    last_stable_offset: Offset,
}

impl PartitionWatch {
    /// What the nodes say of their partitions agrees.
    pub(crate) fn look(&mut self, machines: &[Machine]) {
        for machine in machines.iter().filter(|machine| machine.place.is_broker()) {
            let Some(observer) = machine.observer() else { continue };
            for seen in observer.partitions() {
                self.looks += 1;
                let at: At = (seen.topic.to_string(), seen.index);
                if seen.is_leader {
                    self.on_leader(machine, &at, &seen);
                }
                self.on_high_watermark(machine, &at, seen.high_watermark.0);
            }
        }
    }

    /// Whoever is in sync or eligible has all that is committed on its disk, whatever happens next.
    pub(crate) fn look_at_trusted(&mut self, machines: &[Machine], image: &Image) {
        self.exempt_wiped(machines, image);
        for topic in image.topics.iter() {
            for (index, partition) in &topic.partitions {
                let at: At = (topic.name.to_string(), *index);
                let trusted: Vec<BrokerId> =
                    partition.isr.iter().chain(&partition.elr).copied().collect();
                self.exempt.retain(|(of, broker), epoch| {
                    *of != at || trusted.contains(broker) || *epoch == epoch_of(image, *broker)
                });
                for broker in trusted {
                    let is_exempt = self.exempt.contains_key(&(at.clone(), broker));
                    let machine = machines.iter().find(|machine| machine.place.number == broker.0);
                    if let Some(machine) = machine.filter(|_| !is_exempt) {
                        let end = self.logs.get(&at).map_or(0, Committed::end);
                        self.compare(machine, &at, View::Durable, end);
                    }
                }
            }
        }
    }

    /// Compares everything from the begin the next time.
    pub(crate) fn forget_compared(&mut self) {
        self.compared.clear();
    }

    /// Whether all that is appended is committed, and no transaction is in anybody's way.
    pub(crate) fn look_at_rest(&self, machines: &[Machine]) -> Result<(), String> {
        for machine in machines.iter().filter(|machine| machine.place.is_broker()) {
            let observer = machine.observer().ok_or_else(|| format!("{} is away", machine.name))?;
            for seen in observer.partitions().iter().filter(|seen| seen.is_leader) {
                let ends = [seen.high_watermark, seen.last_stable_offset];
                if ends != [seen.log_end_offset; 2] {
                    return Err(format!("{}: {seen:?}", machine.name));
                }
            }
        }
        Ok(())
    }

    /// Every replica has the same on its disk, and nothing but that.
    pub(crate) fn look_at_end(&mut self, machines: &[Machine], image: &Image) {
        self.compared.clear();
        for topic in image.topics.iter() {
            for (index, partition) in &topic.partitions {
                let at: At = (topic.name.to_string(), *index);
                let end = self.logs.get(&at).map_or(0, Committed::end);
                for replica in &partition.replicas {
                    let of = machines.iter().find(|machine| machine.place.number == replica.0);
                    let machine = of.expect("brokers are machines");
                    self.compare(machine, &at, View::Durable, end);
                    let dir = directory(&at);
                    let len = machine.platter.with_log(&dir, View::Now, |_, bytes| bytes.len());
                    let committed = self.logs.get(&at).map_or(0, |log| log.position(end));
                    let name = &machine.name;
                    assert_eq!(len.unwrap_or(0), committed, "bytes of {dir} of {name}");
                }
            }
        }
        assert!(self.looks > 1000, "there were only {} looks at partitions", self.looks);
    }

    /// An empty disk lacks what it is trusted to have, until the controller knows.
    fn exempt_wiped(&mut self, machines: &[Machine], image: &Image) {
        for machine in machines {
            let wipes = machine.platter.wipes();
            let known = self.wipes.insert(machine.name.clone(), wipes);
            if known.unwrap_or_default() != wipes {
                let broker = BrokerId(machine.place.number);
                let epoch = epoch_of(image, broker);
                self.exempt.extend(self.logs.keys().map(|at| ((at.clone(), broker), epoch)));
            }
        }
    }

    fn on_leader(&mut self, machine: &Machine, at: &At, seen: &ObservedPartition) {
        let node = machine.place.number;
        let leader = self.leaders.entry((at.clone(), seen.leader_epoch)).or_insert(Leader {
            node,
            high_watermark: Offset::ZERO,
            last_stable_offset: Offset::ZERO,
        });
        assert_eq!(leader.node, node, "two lead: {seen:?}");
        let is_on = seen.high_watermark >= leader.high_watermark
            && seen.last_stable_offset >= leader.last_stable_offset;
        assert!(is_on, "n{node}: {leader:?} went back: {seen:?}");
        leader.high_watermark = seen.high_watermark;
        leader.last_stable_offset = seen.last_stable_offset;
    }

    /// A node says what is committed; it has that, and it is what everybody else has.
    fn on_high_watermark(&mut self, machine: &Machine, at: &At, end: i64) {
        let log = self.logs.entry(at.clone()).or_default();
        if end > log.end() {
            let grown = machine.platter.with_log(&directory(at), View::Now, |base, bytes| {
                log.grow(end, Held { base, bytes })
            });
            if let Some(Err(why)) = grown {
                panic!("{at:?} at {}: {why}", machine.name);
            }
        }
        self.compare(machine, at, View::Now, end);
    }

    fn compare(&mut self, machine: &Machine, at: &At, view: View, end: i64) {
        let Some(log) = self.logs.get(at) else { return };
        let to = log.position(end);
        let key = (at.clone(), machine.name.clone(), machine.lives(), view);
        let from = self.compared.get(&key).copied().unwrap_or(0);
        if to == 0 {
            return;
        }
        // Bytes that were compared may be gone: the last of them is looked for every time.
        let from = if to <= from { to - 1 } else { from };
        let compared = machine.platter.with_log(&directory(at), view, |base, bytes| {
            log.check(Held { base, bytes }, from, to)
        });
        if let Err(why) = compared.unwrap_or_else(|| Err("there is no log".to_owned())) {
            let name = &machine.name;
            panic!(
                "{at:?} is committed up to {end}, and {name} lacks some of it ({view:?}): {why}"
            );
        }
        self.compared.insert(key, to);
    }
}

fn epoch_of(image: &Image, broker: BrokerId) -> Option<BrokerEpoch> {
    image.brokers.get(&broker).map(|known| known.epoch)
}

fn directory((topic, index): &At) -> String {
    format!("{DATA}/{topic}-{index}")
}
