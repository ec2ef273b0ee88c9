//! Tells the controller in which log directory a replica of this broker lives, where it does not know
//! (AssignReplicasToDirs, KIP-858): when a log was made on a broker of several directories, and when
//! it was moved. Without that a directory that fails would take leaders with it that nobody misses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_model::{DirectoryId, TopicId};
use kalda_protocol::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, RequestDirectoryData, RequestPartitionData, RequestTopicData,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::broker::Broker;

/// Most replicas of one request (`MAX_ASSIGNMENTS_PER_REQUEST`).
const REPLICAS_PER_REQUEST_MAX: usize = 2250;
/// The pause after the controller refused.
const RETRY: Duration = Duration::from_millis(500);

/// What the controller is to be told.
#[derive(Debug, Default)]
pub(crate) struct DirectoryAssignments {
    waiting: Mutex<BTreeMap<(TopicId, i32), DirectoryId>>,
    has_new: Notify,
}

impl DirectoryAssignments {
    /// The replica lives in `directory`. Told once more if it moves before the controller heard of it.
    pub(crate) fn add(&self, topic: TopicId, index: i32, directory: DirectoryId) {
        self.waiting.lock().insert((topic, index), directory);
        self.has_new.notify_one();
    }

    fn next(&self) -> BTreeMap<(TopicId, i32), DirectoryId> {
        let waiting = self.waiting.lock();
        waiting.iter().take(REPLICAS_PER_REQUEST_MAX).map(|(key, id)| (*key, *id)).collect()
    }

    /// The controller knows these, unless they moved on meanwhile.
    fn told(&self, assigned: &BTreeMap<(TopicId, i32), DirectoryId>) {
        self.waiting.lock().retain(|key, id| assigned.get(key) != Some(id));
    }
}

/// Runs until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let assigned = broker.directory_assignments.next();
        if assigned.is_empty() {
            tokio::select! {
                biased;
                () = broker.stopping() => return,
                () = broker.directory_assignments.has_new.notified() => continue,
            }
        }
        let request = request(&broker, &assigned);
        let answer = tokio::select! {
            biased;
            () = broker.stopping() => return,
            answer = broker.controller_channel.call(&broker, &request) => answer,
        };
        match answer {
            Ok(answer) if answer.error_code == 0 => broker.directory_assignments.told(&assigned),
            Ok(_) | Err(_) => sleep(RETRY).await,
        }
    }
}

fn request(
    broker: &Broker,
    assigned: &BTreeMap<(TopicId, i32), DirectoryId>,
) -> AssignReplicasToDirsRequest {
    let mut by_directory: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<i32>>> = BTreeMap::new();
    for ((topic, index), directory) in assigned {
        by_directory.entry(*directory).or_default().entry(*topic).or_default().push(*index);
    }
    let directories = by_directory.into_iter().map(|(id, topics)| RequestDirectoryData {
        id,
        topics: topics
            .into_iter()
            .map(|(topic_id, indexes)| RequestTopicData {
                topic_id,
                partitions: indexes
                    .into_iter()
                    .map(|partition_index| RequestPartitionData { partition_index })
                    .collect(),
            })
            .collect(),
    });
    AssignReplicasToDirsRequest {
        broker_id: broker.node.0,
        broker_epoch: broker.epoch().0,
        directories: directories.collect(),
    }
}
