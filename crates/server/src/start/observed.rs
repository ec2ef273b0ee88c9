//! What an onlooker sees of a node from outside, at one moment: how a simulator checks what must hold
//! between nodes. Nothing in here changes anything.

use std::sync::{Arc, Weak};

use kalda_metadata::Image;
use kalda_model::{LeaderEpoch, Offset};

use crate::broker::Broker;
use crate::peer::Active;

/// One who looks at a node as long as it is there.
#[derive(Clone, Debug)]
pub struct Observer {
    broker: Weak<Broker>,
}

/// A partition as one node has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// Which of its partitions.
    pub index: i32,
    /// Whether this node takes itself for the leader.
    pub is_leader: bool,
    /// Under which epoch it leads or follows.
    pub leader_epoch: LeaderEpoch,
    /// What it takes for committed.
    pub high_watermark: Offset,
    /// Below it no transaction is open.
    pub last_stable_offset: Offset,
    /// The end of its log.
    pub log_end_offset: Offset,
}

impl Observer {
    pub(super) fn of(broker: &Arc<Broker>) -> Self {
        Self { broker: Arc::downgrade(broker) }
    }

    /// The committed metadata that the node acts on; none when it is gone.
    #[must_use]
    pub fn image(&self) -> Option<Arc<Image>> {
        Some(self.broker.upgrade()?.image())
    }

    /// The epoch under which the node's controller is the active one, if it is.
    #[must_use]
    pub fn active_controller(&self) -> Option<LeaderEpoch> {
        match self.broker.upgrade()?.active_controller.get() {
            Active::Here(epoch) => Some(epoch),
            Active::Unknown | Active::At(..) => None,
        }
    }

    /// The partitions that the node hosts and serves, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<ObservedPartition> {
        let Some(broker) = self.broker.upgrade() else { return Vec::new() };
        let hosted = broker.partitions.all();
        let mut seen: Vec<_> = hosted.iter().filter_map(|partition| partition.observe()).collect();
        seen.sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
        seen
    }
}
