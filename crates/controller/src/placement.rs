//! Where the replicas of new partitions go (`StripedReplicaPlacer`).
//!
//! Racks take turns, from a random start; inside a rack brokers take turns, unfenced ones first;
//! each partition starts one broker further, so that leaders spread evenly.

use std::collections::BTreeMap;

use kalda_env::Rng;
use kalda_metadata::Image;
use kalda_model::{BrokerId, DirectoryId, Uuid};

use crate::Refusal;
use kalda_protocol::ErrorCode;

struct Rack {
    unfenced: Vec<BrokerId>,
    fenced: Vec<BrokerId>,
}

impl Rack {
    /// The `nth` broker of this rack for a partition that starts at `turn`.
    fn nth(&self, nth: usize, turn: usize) -> Option<BrokerId> {
        let rotated = |brokers: &[BrokerId], nth: usize| brokers[(turn + nth) % brokers.len()];
        match nth.checked_sub(self.unfenced.len()) {
            None => Some(rotated(&self.unfenced, nth)),
            Some(nth) if nth < self.fenced.len() => Some(rotated(&self.fenced, nth)),
            Some(_) => None,
        }
    }
}

/// Places `partitions` partitions with `replication_factor` replicas each.
pub(crate) fn place(
    image: &Image,
    rng: &dyn Rng,
    partitions: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let usable: Vec<_> =
        image.brokers.values().filter(|broker| !broker.in_controlled_shutdown).collect();
    if usable.iter().all(|broker| broker.fenced) {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {replication_factor} time(s): All brokers are currently fenced or have all their log directories cordoned."
            ),
        ));
    }
    if replication_factor > usable.len() {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {replication_factor} time(s): The target replication factor of {replication_factor} cannot be reached because only {} broker(s) are registered.",
                usable.len()
            ),
        ));
    }
    let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
    for broker in &usable {
        let new = || Rack { unfenced: Vec::new(), fenced: Vec::new() };
        let rack = racks.entry(broker.rack.as_deref()).or_insert_with(new);
        if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced }.push(broker.id);
    }
    let racks: Vec<Rack> = racks.into_values().collect();
    let below = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap_or(0);
    let first_rack = below(racks.len());
    let first_turn = below(usable.len());
    Ok((0..partitions)
        .map(|partition| {
            one_partition(
                &racks,
                first_rack + partition,
                first_turn + partition,
                replication_factor,
            )
        })
        .collect())
}

fn one_partition(
    racks: &[Rack],
    first_rack: usize,
    turn: usize,
    replication_factor: usize,
) -> Vec<BrokerId> {
    let count = racks.len();
    let mut taken = vec![0; count];
    let mut replicas = Vec::with_capacity(replication_factor);
    let mut rack = first_rack % count;
    // The preferred leader must be able to lead: skip racks where every broker is fenced.
    while racks[rack].unfenced.is_empty() {
        rack = (rack + 1) % count;
    }
    while replicas.len() < replication_factor {
        if let Some(broker) = racks[rack].nth(taken[rack], turn) {
            taken[rack] += 1;
            replicas.push(broker);
        }
        rack = (rack + 1) % count;
    }
    replicas
}

/// The log directory of each replica.
pub(crate) fn directories(image: &Image, replicas: &[BrokerId]) -> Vec<DirectoryId> {
    replicas.iter().map(|id| directory_of_new_replica(image, *id)).collect()
}

/// The log directory of one replica: a broker with one directory is assigned it at once, one with
/// several chooses when it makes the log and reports it.
pub(crate) fn directory_of_new_replica(image: &Image, id: BrokerId) -> DirectoryId {
    match image.brokers.get(&id).map(|broker| broker.log_dirs.as_slice()) {
        Some([only]) => *only,
        // DirectoryId.UNASSIGNED
        _ => Uuid::ONE,
    }
}
