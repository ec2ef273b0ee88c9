//! The fetch session that a fetcher has with its leader (KIP-227): what the leader knows of what is asked, so that
//! a fetch names only what changed since the last one.

use std::collections::BTreeMap;

use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};

use super::Key;
use crate::hosted::ToFetch;

/// The epoch that opens a session.
const INITIAL: i32 = 0;

/// One session, from the asking side.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// 0 before the leader gave one, or if it gives none.
    id: i32,
    epoch: i32,
    /// What the leader was told last of each partition.
    told: BTreeMap<Key, ToFetch>,
    /// What is to be told with the next fetch.
    news: BTreeMap<Key, ToFetch>,
    forgotten: Vec<Key>,
}

impl Session {
    /// From the next fetch on all is told anew; the leader drops what it has.
    pub(super) fn begin_anew(&mut self) {
        self.epoch = INITIAL;
        self.told.clear();
        self.news.clear();
        self.forgotten.clear();
    }

    /// Whether the next fetch tells all anew.
    pub(super) fn is_new(&self) -> bool {
        self.epoch == INITIAL
    }

    /// Whether nothing is asked at all.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Asks this of a partition from now on.
    pub(super) fn ask(&mut self, key: Key, to_fetch: ToFetch) {
        if self.told.get(&key) != Some(&to_fetch) {
            self.told.insert(key, to_fetch);
            self.news.insert(key, to_fetch);
        }
    }

    /// Asks nothing of it.
    pub(super) fn forget(&mut self, key: Key) {
        self.news.remove(&key);
        if self.told.remove(&key).is_some() && !self.is_new() {
            self.forgotten.push(key);
        }
    }

    /// What was asked of it.
    pub(super) fn asked(&self, key: Key) -> Option<&ToFetch> {
        self.told.get(&key)
    }

    /// Fills in what the next fetch tells. `name` is a topic's name, for leaders who know no ids.
    pub(super) fn fill(
        &mut self,
        request: &mut FetchRequest,
        max_bytes: i32,
        name: impl Fn(Key) -> String,
    ) {
        request.session_id = self.id;
        request.session_epoch = self.epoch;
        for (key, to_fetch) in std::mem::take(&mut self.news) {
            let partition = FetchPartition {
                partition: key.1,
                current_leader_epoch: to_fetch.position.leader_epoch.0,
                fetch_offset: to_fetch.position.offset.0,
                last_fetched_epoch: to_fetch.position.last_fetched_epoch.0,
                log_start_offset: to_fetch.log_start.0,
                partition_max_bytes: max_bytes,
                ..FetchPartition::default()
            };
            match request.topics.last_mut().filter(|topic| topic.topic_id == key.0) {
                Some(topic) => topic.partitions.push(partition),
                None => request.topics.push(FetchTopic {
                    topic: name(key),
                    topic_id: key.0,
                    partitions: vec![partition],
                }),
            }
        }
        // What was forgotten and is asked again was named above: it is not to be forgotten after that.
        let told = &self.told;
        self.forgotten.retain(|key| !told.contains_key(key));
        for key in std::mem::take(&mut self.forgotten) {
            request.forgotten_topics_data.push(ForgottenTopic {
                topic: name(key),
                topic_id: key.0,
                partitions: vec![key.1],
            });
        }
    }

    /// The leader answered in the session `id`, 0 if it has none for us.
    pub(super) fn on_answer(&mut self, id: i32) {
        if id == 0 {
            self.id = 0;
            return self.begin_anew();
        }
        self.id = id;
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
    }

    /// The leader has lost it.
    pub(super) fn on_lost(&mut self) {
        self.id = 0;
        self.begin_anew();
    }
}

#[cfg(test)]
mod tests {
    use kalda_model::{BrokerId, LeaderEpoch, Offset, Uuid};
    use kalda_replication::FetchPosition;

    use super::*;

    const A: Key = (Uuid::from_bytes([1; 16]), 0);
    const B: Key = (Uuid::from_bytes([1; 16]), 1);

    fn at(offset: i64) -> ToFetch {
        let position = FetchPosition {
            leader: BrokerId(1),
            leader_epoch: LeaderEpoch(1),
            offset: Offset(offset),
            last_fetched_epoch: LeaderEpoch(1),
        };
        ToFetch { position, log_start: Offset(0) }
    }

    fn next(session: &mut Session) -> (i32, Vec<(i32, i64)>, usize) {
        let mut request = FetchRequest::default();
        session.fill(&mut request, 100, |_| "t".to_owned());
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        let asked = partitions.map(|one| (one.partition, one.fetch_offset)).collect();
        (request.session_epoch, asked, request.forgotten_topics_data.len())
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut session = Session::default();
        session.ask(A, at(0));
        session.ask(B, at(0));
        assert_eq!(next(&mut session), (0, vec![(0, 0), (1, 0)], 0));
        session.on_answer(7);
        session.ask(A, at(0));
        session.ask(B, at(5));
        assert_eq!(next(&mut session), (1, vec![(1, 5)], 0));
        session.on_answer(7);
        session.forget(A);
        assert_eq!(next(&mut session), (2, vec![], 1));
        session.on_answer(7);
        session.forget(B);
        session.ask(B, at(5));
        assert_eq!(next(&mut session), (3, vec![(1, 5)], 0), "not told and forgotten at once");
    }

    #[test]
    fn without_a_session_all_is_told_each_time() {
        let mut session = Session::default();
        session.ask(A, at(0));
        next(&mut session);
        session.on_answer(0);
        assert!(session.is_new() && session.is_empty());
        session.ask(A, at(0));
        assert_eq!(next(&mut session), (0, vec![(0, 0)], 0));
    }
}
