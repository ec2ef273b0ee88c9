//! Shards come and go with the leadership of their partitions. Called by the metadata publisher once
//! everybody can see what changed, and by requests that are ahead of it.

use std::sync::Arc;

use kalda_metadata::{Changes, TopicChange, TopicImage};
use kalda_protocol::ErrorCode;

use super::{Hosted, LiveShard, Shards, led_partition, topic};
use crate::broker::Broker;

/// Loads what this broker leads since `changes`, and closes what it leads no more. To be called
/// after the image that they lead to is published, from within an event loop.
pub(crate) fn on_metadata(broker: &Arc<Broker>, changes: &Changes) {
    broker.groups.on_metadata(broker, changes);
    broker.transactions.on_metadata(broker, changes);
}

impl<C: Hosted> Shards<C> {
    fn on_metadata(&self, broker: &Arc<Broker>, changes: &Changes) {
        let image = broker.image();
        for (id, change) in &changes.topics {
            let topic = image.topics.by_id(*id).filter(|topic| &*topic.name == C::TOPIC.name);
            match (change, topic) {
                (TopicChange::Changed(indexes), Some(topic)) => {
                    for index in indexes {
                        self.on_leadership(broker, topic, *index);
                    }
                }
                (TopicChange::Removed(topic), _) if &*topic.name == C::TOPIC.name => {
                    self.close_if(broker, |shard| shard.partition().topic_id == *id);
                }
                _ => {}
            }
        }
        self.metadata_changed.notify_waiters();
    }

    /// What the metadata says of one partition of the topic.
    fn on_leadership(&self, broker: &Arc<Broker>, topic: &TopicImage, index: i32) {
        let Some(registration) = topic.partitions.get(&index) else { return };
        let epoch = registration.leader_epoch;
        // What an epoch says that is not newer than the shard's, the shard was loaded knowing.
        self.close_if(broker, |shard| {
            shard.partition().index == index && shard.leader_epoch() < epoch
        });
        if registration.leader == broker.node {
            // If it cannot be, whoever asks for it is told why.
            let _not_hosted = self.shard(broker, index);
        }
    }

    /// Begins to load every shard that this broker leads: what they left undone when they were last
    /// here goes on, although nobody asks.
    pub(super) fn load_led(&self, broker: &Arc<Broker>) {
        let Ok(topic) = topic::<C>(broker, ErrorCode::NotCoordinator) else { return };
        for index in topic.partitions.keys() {
            self.on_leadership(broker, &topic, *index);
        }
    }

    /// The shard of a partition that this broker leads. If its turn to be loaded has not come yet, it
    /// is now.
    pub(crate) fn shard(
        &self,
        broker: &Arc<Broker>,
        index: i32,
    ) -> Result<Arc<LiveShard<C>>, ErrorCode> {
        let topic = topic::<C>(broker, ErrorCode::NotCoordinator)?;
        let (hosted, epoch) = led_partition(broker, &topic, index)?;
        let mut live = self.live.lock();
        if let Some(shard) = live.get(&index)
            && shard.is_of(&hosted)
        {
            if shard.leader_epoch() == epoch {
                return Ok(Arc::clone(shard));
            }
            if shard.leader_epoch() > epoch {
                // Whoever asks has looked before this broker led again.
                return Err(ErrorCode::NotCoordinator);
            }
        }
        let shard = LiveShard::load(broker, hosted, epoch);
        let before = live.insert(index, Arc::clone(&shard));
        drop(live);
        if let Some(before) = before {
            before.close(broker);
        }
        self.timers_changed.notify_one();
        Ok(shard)
    }

    /// Loads a shard again whose log was written to by another.
    pub(super) fn reload(&self, broker: &Arc<Broker>, stale: &Arc<LiveShard<C>>) {
        self.close_if(broker, |shard| std::ptr::eq(shard, &**stale));
        let index = stale.partition().index;
        // It may be led elsewhere by now.
        let _moved = self.shard(broker, index);
    }

    /// Answers everybody who waits: the broker stops.
    pub(super) fn close_all(&self, broker: &Broker) {
        self.close_if(broker, |_| true);
    }

    fn close_if(&self, broker: &Broker, is_meant: impl Fn(&LiveShard<C>) -> bool) {
        let mut closed = Vec::new();
        self.live.lock().retain(|_, shard| {
            let closes = is_meant(shard);
            if closes {
                closed.push(Arc::clone(shard));
            }
            !closes
        });
        for shard in closed {
            shard.close(broker);
        }
    }
}
