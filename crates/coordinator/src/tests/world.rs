//! A shard with a log in memory, time that is set by hand, and a caller that keeps the protocol:
//! append, replay, commit, answer.

use std::cell::Cell;
use std::collections::BTreeSet;

use kalda_metadata::{Delta, Image};
use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::MetadataRecord;
use kalda_protocol::stored::metadata::{PartitionRecord, TopicRecord};

use crate::{
    Caller, Context, CoordinatorRecord, Decision, GroupRequest, GroupResponse, GroupSettings,
    GroupShard, Token,
};

/// What stands in the log.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Plain(CoordinatorRecord),
    Transactional(ProducerId, CoordinatorRecord),
    Marker(ProducerId, bool),
}

pub(super) struct World {
    pub(super) settings: GroupSettings,
    pub(super) shard: GroupShard,
    pub(super) log: Vec<Entry>,
    pub(super) now_ms: i64,
    /// How far the wall clock is ahead of it.
    pub(super) wall_ahead_ms: i64,
    /// The topics that there are: the number that their id is made of, name, partitions.
    pub(super) topics: Vec<(u8, String, i32)>,
    pub(super) image: Image,
    /// The error of the next append.
    pub(super) fail_next: Option<ErrorCode>,
    member_ids: Cell<u32>,
    /// Requests without an answer.
    pub(super) unanswered: BTreeSet<Token>,
}

impl World {
    pub(super) fn new(settings: GroupSettings, topics: &[(&str, i32)]) -> Self {
        let mut shard = GroupShard::new(settings.clone());
        shard.on_loaded(0);
        let topics = (1..).zip(topics).map(|(id, (name, count))| (id, (*name).to_owned(), *count));
        let topics: Vec<_> = topics.collect();
        Self {
            settings,
            shard,
            log: Vec::new(),
            now_ms: 0,
            wall_ahead_ms: 0,
            image: image(&topics, 1),
            topics,
            fail_next: None,
            member_ids: Cell::new(0),
            unanswered: BTreeSet::new(),
        }
    }

    /// The metadata moves on to these topics.
    pub(super) fn set_topics(&mut self, topics: Vec<(u8, String, i32)>) {
        self.image = image(&topics, self.image.end_offset.0 + 1);
        self.topics = topics;
    }

    /// A topic of that name comes, or is there with more partitions.
    pub(super) fn put_topic(&mut self, name: &str, partitions: i32) {
        let mut topics = self.topics.clone();
        match topics.iter_mut().find(|(_, known, _)| known == name) {
            Some(known) => known.2 = partitions,
            None => {
                let id = topics.iter().map(|(id, ..)| *id).max().unwrap_or(0) + 1;
                topics.push((id, name.to_owned(), partitions));
            }
        }
        self.set_topics(topics);
    }

    /// A topic goes, and the coordinator hears of that.
    pub(super) fn delete_topic(&mut self, name: &str) -> Decision {
        let topics = self.topics.iter().filter(|(_, known, _)| known != name).cloned().collect();
        self.set_topics(topics);
        let names = [name.to_owned()];
        let decision = self.event(|shard, _| shard.on_topic_deleted(&names));
        self.append(&decision, None);
        decision
    }

    /// Runs an event of the shard, and everything that follows from it.
    pub(super) fn event(
        &mut self,
        event: impl FnOnce(&mut GroupShard, &Context<'_>) -> Decision,
    ) -> Decision {
        let ids = &self.member_ids;
        let new_member_id = || {
            ids.set(ids.get() + 1);
            ids.get().to_string()
        };
        let cx = Context {
            now_ms: self.now_ms,
            wall_ms: self.now_ms + self.wall_ahead_ms,
            image: &self.image,
            new_member_id: &new_member_id,
        };
        let decision = event(&mut self.shard, &cx);
        match self.fail_next.take_if(|_| !decision.records.is_empty()) {
            Some(error) => self.shard.on_append_failed(decision, error, &cx),
            None => decision,
        }
    }

    pub(super) fn request(
        &mut self,
        token: Token,
        caller: &Caller,
        request: GroupRequest,
    ) -> Decision {
        assert!(self.unanswered.insert(token), "a token is used once");
        let producer = match &request {
            GroupRequest::TxnOffsetCommit(request) => Some(ProducerId(request.producer_id)),
            _ => None,
        };
        let decision = self.event(|shard, cx| shard.handle(token, caller, request, cx));
        self.append(&decision, producer);
        decision
    }

    /// Lets the time pass until `now_ms`; timers fire when they are due, not later.
    pub(super) fn pass_until(&mut self, now_ms: i64, mut observe: impl FnMut(i64, &Decision)) {
        let mut fired = 0;
        while let Some(at_ms) = self.shard.next_timer_ms().filter(|at_ms| *at_ms <= now_ms) {
            fired = if at_ms > self.now_ms { 0 } else { fired + 1 };
            assert!(fired < 100, "a timer does what it is there for, and then is over");
            self.now_ms = self.now_ms.max(at_ms);
            let decision = self.event(GroupShard::on_timer);
            self.append(&decision, None);
            observe(self.now_ms, &decision);
        }
        self.now_ms = now_ms;
    }

    pub(super) fn append(&mut self, decision: &Decision, producer: Option<ProducerId>) {
        for record in &decision.records {
            self.append_entry(match producer {
                Some(producer) => Entry::Transactional(producer, record.clone()),
                None => Entry::Plain(record.clone()),
            });
        }
        self.answered(&decision.answers);
    }

    pub(super) fn append_entry(&mut self, entry: Entry) {
        replay(&mut self.shard, self.log.len(), &entry);
        self.log.push(entry);
    }

    pub(super) fn answered(&mut self, answers: &[(Token, GroupResponse)]) {
        for (token, _) in answers {
            assert!(self.unanswered.remove(token), "{token:?} is answered once, and was asked");
        }
    }

    /// What another broker has after it has loaded the log.
    pub(super) fn reloaded(&self) -> GroupShard {
        let mut shard = GroupShard::new(self.settings.clone());
        for (index, entry) in self.log.iter().enumerate() {
            replay(&mut shard, index, entry);
        }
        shard.on_loaded(self.now_ms);
        shard
    }

    /// The contract of a coordinator: what is logged is a function of the log.
    pub(super) fn assert_reload_equals_live(&self) {
        let reloaded = self.reloaded();
        assert_eq!(self.shard.offsets, reloaded.offsets);
        let live: Vec<_> = self.shard.logged_groups().collect();
        let loaded: Vec<_> = reloaded.logged_groups().collect();
        assert_eq!(live, loaded);
        let consumers = |shard: &GroupShard| {
            let states = shard.consumers.iter();
            states.map(|(id, group)| (id.clone(), group.state.clone())).collect::<Vec<_>>()
        };
        assert_eq!(consumers(&self.shard), consumers(&reloaded));
    }
}

fn replay(shard: &mut GroupShard, index: usize, entry: &Entry) {
    let offset = Offset(index as i64);
    match entry {
        Entry::Plain(record) => shard.replay(offset, record).unwrap(),
        Entry::Transactional(producer, record) => {
            shard.replay_transactional(*producer, offset, record).unwrap();
        }
        Entry::Marker(producer, commit) => {
            shard.replay_marker(*producer, ProducerEpoch(0), *commit, offset);
        }
    }
}

fn image(topics: &[(u8, String, i32)], end_offset: i64) -> Image {
    let mut delta = Delta::new(&Image::default());
    for (id, name, partitions) in topics {
        let topic_id = Uuid::from_bytes([*id; 16]);
        let topic = TopicRecord { name: name.clone(), topic_id };
        delta.replay(&MetadataRecord::Topic(topic)).unwrap();
        for partition_id in 0..*partitions {
            let partition =
                PartitionRecord { partition_id, topic_id, ..PartitionRecord::default() };
            delta.replay(&MetadataRecord::Partition(partition)).unwrap();
        }
    }
    delta.finish(Offset(end_offset), LeaderEpoch(1)).0
}
