//! Replicas whose own log is damaged: given up, so that others lead, and healed from those.
//!
//! Told by `crates/server/src/hosted/damage.rs`. A damaged replica is reported to lie in a lost directory
//! (AssignReplicasToDirs, KIP-858): the controller takes it out of the ISR for good and has another one lead, and lets it back
//! in when it has a place again. It never does so while nobody else could lead.

use std::sync::Arc;
use std::time::Duration;

use kalda_model::DirectoryId;
use kalda_storage::Checkpoint;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::hosted::{HostedPartition, NextOfDamage};
use crate::tasks::housekeeping;

/// The pause between two looks at partitions that are damaged.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The partitions of this broker that are damaged.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    found: Mutex<Vec<Arc<HostedPartition>>>,
    wake: Notify,
}

impl Damages {
    /// Damage was found in this one. The caller holds its lock.
    pub(crate) fn add(&self, partition: Arc<HostedPartition>) {
        self.found.lock().push(partition);
        self.wake.notify_one();
    }
}

/// Runs until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    let mut damaged: Vec<Arc<HostedPartition>> = Vec::new();
    loop {
        for new in std::mem::take(&mut *broker.damages.found.lock()) {
            if !damaged.iter().any(|known| Arc::ptr_eq(known, &new)) {
                damaged.push(new);
            }
        }
        damaged.retain(|partition| see_to(&broker, partition));
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            () = broker.damages.wake.notified() => {}
            () = sleep(LOOK_AGAIN), if !damaged.is_empty() => {}
        }
    }
}

/// Does what can be done now. Answers whether it is to be looked at again.
fn see_to(broker: &Arc<Broker>, partition: &Arc<HostedPartition>) -> bool {
    let image = broker.image();
    let topic = image.topics.by_id(partition.topic_id);
    let Some(registration) = topic.and_then(|topic| topic.partitions.get(&partition.index)) else {
        return false;
    };
    let assign = |directory| {
        broker.directory_assignments.add(partition.topic_id, partition.index, directory);
    };
    match partition.next_of_damage(registration, broker.node, broker.clock.wall_ms()) {
        NextOfDamage::Wait => true,
        NextOfDamage::Nothing => {
            // It may have been reported as lost already.
            assign(partition.directory().id);
            false
        }
        NextOfDamage::GiveUp => {
            assign(DirectoryId::LOST_DIRECTORY);
            true
        }
        NextOfDamage::Failed(error) => {
            partition.on_disk_error(&error);
            false
        }
        NextOfDamage::Cut => {
            let directory = partition.directory();
            // Before anything is appended where it was cut: a recovery must look at all from there on.
            if let Err(error) =
                housekeeping::write_checkpoint(&directory, Checkpoint::RecoveryPoint)
            {
                directory.fail(&error);
                return false;
            }
            partition.on_cut_noted();
            partition.queue_flush();
            assign(directory.id);
            broker.fetchers.on_partitions_changed(broker, &[Arc::clone(partition)]);
            false
        }
    }
}
