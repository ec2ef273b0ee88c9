//! The metadata log and its images: one history at all nodes, one leader per epoch, and changes that
//! follow the rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_metadata::{Image, MetadataLoader, PartitionRegistration, TopicChange};
use kalda_model::{BrokerEpoch, CLUSTER_METADATA_TOPIC, LeaderEpoch, Uuid};
use kalda_protocol::stored::metadata::MetadataRecord;
use kalda_protocol::stored::raft::ControlRecord;
use kalda_records::{BatchIter, BatchView};

use super::committed::{Committed, Held};
use crate::disk::View;
use crate::machine::{DATA, Machine};

/// Images that a node that lags behind is still compared with.
const IMAGES_MAX: usize = 300;

/// What is known of the metadata.
#[derive(Debug, Default)]
pub(crate) struct MetadataWatch {
    log: Committed,
    loader: MetadataLoader,
    /// The newest images, by their ends.
    images: BTreeMap<i64, Image>,
    /// Up to where the nodes follow, by name: which life of it, the end, and the byte up to which its
    /// log was compared.
    seen: BTreeMap<String, Seen>,
    /// Who leads the quorum, by epoch.
    leaders: BTreeMap<LeaderEpoch, i32>,
    /// Whose a broker epoch is: a node and its incarnation.
    lives: BTreeMap<BrokerEpoch, (i32, Uuid)>,
    pub(crate) batches: u64,
    pub(crate) compared_images: u64,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    life: u64,
    end: i64,
    compared: usize,
}

impl MetadataWatch {
    /// The newest committed state.
    pub(crate) fn image(&self) -> &Image {
        self.loader.image()
    }

    /// What a node acts on is committed, the same as everywhere, and on the disks of a majority. Answers
    /// whether there is more of it than before.
    pub(crate) fn look(&mut self, machines: &[Machine]) -> bool {
        let before = self.log.end();
        for machine in machines {
            let epoch = machine.observer().and_then(|observer| observer.active_controller());
            if let Some(epoch) = epoch {
                self.on_leader(epoch, machine.place.number, "says that it leads");
            }
            let Some(image) = machine.image() else { continue };
            let end = image.end_offset.0;
            let mut seen = self.seen.get(&machine.name).cloned().unwrap_or_default();
            if seen.life != machine.lives() {
                seen = Seen { life: machine.lives(), ..Seen::default() };
            }
            if end == seen.end {
                continue;
            }
            let name = &machine.name;
            assert!(end > seen.end, "{name}: its metadata went back from {} to {end}", seen.end);
            if end > self.log.end() {
                self.grow(machine, end);
                assert_is_on_majority(machines, &self.log);
            }
            let to = self.log.position(end);
            self.compare(machine, View::Now, (seen.compared, to));
            if let Some(known) = self.images.get(&end) {
                assert!(
                    *known == *image,
                    "{name}: the metadata at {end} is {image:?}, and elsewhere {known:?}"
                );
                self.compared_images += 1;
            }
            let seen = Seen { life: machine.lives(), end, compared: to };
            self.seen.insert(machine.name.clone(), seen);
        }
        self.log.end() > before
    }

    /// All that was ever committed is in every log that there is, from its begin to where it is.
    pub(crate) fn look_at_all(&self, machines: &[Machine]) {
        for machine in machines {
            let Some(seen) = self.seen.get(&machine.name) else { continue };
            if seen.life == machine.lives() && machine.observer().is_some() {
                self.compare(machine, View::Now, (0, seen.compared));
            }
        }
    }

    /// Whether all nodes have all of it, but for what comes by the second.
    pub(crate) fn look_at_rest(&self, machines: &[Machine]) -> Result<(), String> {
        for machine in machines {
            let image = machine.observer().and_then(|observer| observer.image());
            let end = image.ok_or_else(|| format!("{} is away", machine.name))?.end_offset.0;
            let newest = self.image().end_offset.0;
            if end + 10 < newest {
                return Err(format!("{} has {end} of {newest}", machine.name));
            }
        }
        // A leader may know that others have on disk what it has yet to sync itself.
        machines.iter().try_for_each(|machine| self.is_durable(machine))
    }

    fn is_durable(&self, machine: &Machine) -> Result<(), String> {
        let end = self.seen.get(&machine.name).map_or(0, |seen| seen.end);
        self.check(machine, View::Durable, (0, self.log.position(end)))
    }

    /// All logs of the metadata are the same, on every disk.
    pub(crate) fn look_at_end(&self, machines: &[Machine]) {
        for machine in machines {
            self.is_durable(machine).unwrap_or_else(|why| panic!("{why}"));
        }
        assert!(self.compared_images > 100, "only {} images were compared", self.compared_images);
    }

    fn compare(&self, machine: &Machine, view: View, range: (usize, usize)) {
        self.check(machine, view, range).unwrap_or_else(|why| panic!("{why}"));
    }

    fn check(&self, machine: &Machine, view: View, range: (usize, usize)) -> Result<(), String> {
        let (from, to) = range;
        let checked = machine.platter.with_log(&directory(), view, |base, bytes| {
            self.log.check(Held { base, bytes }, from, to)
        });
        let named = |why| format!("the metadata log of {}: {why}", machine.name);
        checked.unwrap_or(Ok(())).map_err(named)
    }

    fn grow(&mut self, machine: &Machine, end: i64) {
        let known = self.log.position(self.log.end());
        let grown = machine.platter.with_log(&directory(), View::Now, |base, bytes| {
            self.log.grow(end, Held { base, bytes })
        });
        if let Err(why) = grown.unwrap_or_else(|| Err("there is none".to_owned())) {
            panic!("the metadata log of {}: {why}", machine.name);
        }
        let new = self.log.from(known).to_vec();
        for batch in BatchIter::new(&new) {
            let batch = batch.expect("it was looked at when it was taken in");
            assert!(batch.is_intact(), "the metadata before {} is damaged", batch.next_offset());
            self.replay(&batch);
        }
    }

    fn replay(&mut self, batch: &BatchView<'_>) {
        self.batches += 1;
        let (end, epoch) = (batch.next_offset(), batch.leader_epoch());
        let before = self.image().clone();
        assert!(epoch >= before.epoch, "epoch {epoch} comes after {} in the log", before.epoch);
        let mut records = Vec::new();
        for record in batch.records() {
            let record = record.expect("the batch is intact");
            let part = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
            if batch.is_control() {
                let control = ControlRecord::decode(part(record.key), part(record.value));
                if let Ok(ControlRecord::LeaderChange(change)) = control {
                    self.on_leader(epoch, change.leader_id, "leads by the log");
                }
            } else {
                let decoded = MetadataRecord::decode_value(part(record.value));
                records.push(decoded.expect("it is a record of the metadata"));
            }
        }
        for record in &records {
            if let MetadataRecord::RegisterBroker(broker) = record {
                let (epoch, life) =
                    (BrokerEpoch(broker.broker_epoch), (broker.broker_id, broker.incarnation_id));
                let newest = self.lives.last_key_value().map(|(epoch, _)| *epoch);
                // The same life may say so again, and keeps its epoch.
                let is_right = match self.lives.insert(epoch, life) {
                    Some(known) => known == life,
                    None => newest < Some(epoch),
                };
                assert!(is_right, "{life:?} is registered as {epoch:?} after {newest:?}");
            }
        }
        let changes = self.loader.replay(&records, end, epoch).expect("it follows what was before");
        for (id, change) in changes.unwrap_or_default().topics {
            let TopicChange::Changed(indexes) = change else { continue };
            let after = self.image().topics.by_id(id).expect("it has changed");
            let of_before = before.topics.by_id(id);
            for index in indexes {
                let before = of_before.and_then(|topic| topic.partitions.get(&index));
                let at = format!("{}-{index} at {end}", after.name);
                check_change(&at, before.map(|before| &**before), &after.partitions[&index]);
            }
        }
        self.images.insert(end.0, self.image().clone());
        if self.images.len() > IMAGES_MAX {
            self.images.pop_first();
        }
    }

    fn on_leader(&mut self, epoch: LeaderEpoch, node: i32, how: &str) {
        let known = *self.leaders.entry(epoch).or_insert(node);
        assert_eq!(known, node, "{known} leads the quorum in epoch {epoch}, and {node} {how}");
    }
}

fn directory() -> String {
    format!("{DATA}/{CLUSTER_METADATA_TOPIC}-0")
}

/// Whoever tells of something that is committed, more than half of the voters have it on disk. A voter
/// whose disk was replaced may have told of what was there, and of nothing else; it counts with that
/// until the new disk has come as far.
fn assert_is_on_majority(machines: &[Machine], log: &Committed) {
    let voters: Vec<_> = machines.iter().filter(|machine| machine.place.is_controller()).collect();
    let (end, to) = (log.end(), log.position(log.end()));
    let from = to.saturating_sub(4096);
    let check =
        |base, bytes: &[u8]| base > end || log.check(Held { base, bytes }, from, to).is_ok();
    let has_it = |machine: &&&Machine| {
        let platter = &machine.platter;
        if platter.with_log(&directory(), View::Durable, check).unwrap_or(false) {
            platter.forget_lost();
            return true;
        }
        platter.with_lost_log(&directory(), check).unwrap_or(false)
    };
    let have = voters.iter().filter(has_it).count();
    let of = voters.len();
    assert!(have > of / 2, "metadata up to {end} is committed at {have} of {of}");
}

/// What may become of a partition in one step, where nobody may lead who lacks records.
fn check_change(at: &str, before: Option<&PartitionRegistration>, after: &PartitionRegistration) {
    let told = || format!("{at}: {before:?} became {after:?}");
    let has_leader = after.leader.0 >= 0;
    assert!(!has_leader || after.isr.contains(&after.leader), "{}", told());
    assert!(after.isr.iter().all(|member| after.replicas.contains(member)), "{}", told());
    assert!(after.elr.iter().all(|member| !after.isr.contains(member)), "{}", told());
    let Some(before) = before else { return };
    assert!(after.leader_epoch >= before.leader_epoch, "{}", told());
    assert!(after.partition_epoch > before.partition_epoch, "{}", told());
    if after.leader != before.leader {
        assert!(after.leader_epoch > before.leader_epoch, "{}", told());
        // With the last replica that a reassignment waits for its leader may have to go.
        let is_settled = before.leader.0 >= 0 && before.is_reassigning() && !after.is_reassigning();
        let may_lead = before.isr.contains(&after.leader) || before.elr.contains(&after.leader);
        assert!(!has_leader || may_lead || is_settled, "{}", told());
    }
    // Whom nobody knows to have all records stays out until a leader says otherwise.
    let is_known = |member| before.isr.contains(member) || before.elr.contains(member);
    let is_led = before.leader.0 >= 0;
    assert!(is_led || after.isr.iter().all(is_known), "{}", told());
}
