//! Fetch sessions (KIP-227): a client names its partitions once, then sends and gets only changes.
//!
//! Only partitions that have something to tell are looked at ([`FetchSignals`]): those that the request names
//! anew, that went on since, that were left with unread records, or whose last answer was an error. The sessions are bounded by `max.incremental.fetch.session.cache.slots`; a client without one is
//! answered in full every time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use kalda_env::Rng;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest};
use parking_lot::Mutex;

use super::{Fetched, TopicRef, Wanted, replica};
use crate::hosted::{FetchSignals, Watch};

/// A session younger than this is not evicted for another
/// (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_MS_MIN: i64 = 120_000;
/// The session epoch that asks for no session.
const NO_SESSION: i32 = -1;
/// The session epoch that opens a session.
const INITIAL: i32 = 0;

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

type Key = (TopicRef, i32);

/// What a session's partition was told last.
#[derive(Clone, PartialEq, Debug)]
struct Told {
    high_watermark: i64,
    log_start_offset: i64,
    had_error: bool,
}

impl Told {
    fn of(fetched: &Fetched) -> Self {
        Self {
            high_watermark: fetched.records.high_watermark.0,
            log_start_offset: fetched.records.log_start_offset.0,
            had_error: fetched.error != ErrorCode::None,
        }
    }
}

#[derive(Debug)]
struct Remembered {
    wanted: Wanted,
    told: Option<Told>,
    watch: Arc<Watch>,
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.watch.end();
    }
}

/// What stays the same for a session's life.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// Whether its topics are named by id; a client that changes its mind must start over.
    by_topic_id: bool,
    is_of_replica: bool,
}

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must carry.
    next_epoch: i32,
    kind: Kind,
    partitions: IndexMap<Key, Remembered>,
    /// Where the next answer begins, so that every partition gets its turn.
    first: usize,
    used_ms: i64,
    signals: Arc<FetchSignals>,
}

/// All sessions of this broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    rng: Arc<dyn Rng>,
    by_id: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
}

/// What a request's session fields came to.
pub(super) enum Opening {
    Refused(ErrorCode),
    Opened { session: SessionHandle, wanted: Vec<Wanted> },
}

/// The session of one request, if it has one.
#[derive(Debug)]
pub(super) struct SessionHandle {
    id: i32,
    session: Option<Arc<Mutex<Session>>>,
    signals: Option<Arc<FetchSignals>>,
    /// Only what changed is answered.
    is_incremental: bool,
    /// What was looked at and not told yet: it is looked at again if it never is.
    looked_at: Vec<Arc<Watch>>,
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.looked_at.iter().for_each(Watch::mark);
    }
}

impl FetchSessions {
    pub(crate) fn new(slots: usize, rng: Arc<dyn Rng>) -> Self {
        Self { slots, rng, by_id: Mutex::default() }
    }

    /// Finds, opens or closes the session that a request speaks of, and lists what is to be read.
    pub(super) fn open(&self, request: &FetchRequest, version: i16, now_ms: i64) -> Opening {
        let named = || wanted(request, version);
        if request.session_epoch == NO_SESSION || request.session_epoch == INITIAL {
            if request.session_id != 0 {
                self.by_id.lock().remove(&request.session_id);
            }
            let mut wanted = named();
            let is_asked = request.session_epoch == INITIAL && version >= 7;
            let by_topic_id = version >= TOPIC_IDS;
            let kind = Kind { by_topic_id, is_of_replica: replica(request, version).is_some() };
            let made = if is_asked { self.make(&mut wanted, kind, now_ms) } else { None };
            let (id, session) = made.map_or((0, None), |(id, session)| (id, Some(session)));
            let signals = session.as_ref().map(|session| Arc::clone(&session.lock().signals));
            // All of them are looked at now.
            let looked_at = signals.as_ref().map(|signals| signals.take_marked());
            let looked_at = looked_at.unwrap_or_default();
            let session = SessionHandle { id, session, signals, is_incremental: false, looked_at };
            return Opening::Opened { session, wanted };
        }
        let Some(session) = self.by_id.lock().get(&request.session_id).cloned() else {
            return Opening::Refused(ErrorCode::FetchSessionIdNotFound);
        };
        let mut held = session.lock();
        if held.next_epoch != request.session_epoch {
            return Opening::Refused(ErrorCode::InvalidFetchSessionEpoch);
        }
        if held.kind.by_topic_id != (version >= TOPIC_IDS) {
            return Opening::Refused(ErrorCode::FetchSessionTopicIdError);
        }
        held.next_epoch = held.next_epoch.checked_add(1).unwrap_or(1);
        held.used_ms = now_ms;
        for want in named() {
            let key = (want.topic.clone(), want.partition);
            held.remember(key, want);
        }
        for forgotten in &request.forgotten_topics_data {
            let topic = topic_ref(&forgotten.topic, forgotten.topic_id, version);
            for partition in &forgotten.partitions {
                held.partitions.shift_remove(&(topic.clone(), *partition));
            }
        }
        let signals = Arc::clone(&held.signals);
        drop(held);
        let mut session = SessionHandle {
            id: request.session_id,
            session: Some(session),
            signals: Some(signals),
            is_incremental: true,
            looked_at: Vec::new(),
        };
        let mut wanted = Vec::new();
        session.add_marked(&mut wanted);
        Opening::Opened { session, wanted }
    }

    fn make(
        &self,
        wanted: &mut [Wanted],
        kind: Kind,
        now_ms: i64,
    ) -> Option<(i32, Arc<Mutex<Session>>)> {
        if wanted.is_empty() {
            return None;
        }
        let mut by_id = self.by_id.lock();
        if by_id.len() >= self.slots {
            let used = |(id, session): (&i32, &Arc<Mutex<Session>>)| {
                let session = session.lock();
                (session.kind.is_of_replica, session.used_ms, *id)
            };
            // A replica's session matters more than that of any consumer.
            match by_id.iter().map(used).min() {
                Some((is_of_replica, used_ms, id))
                    if now_ms - used_ms >= EVICTION_MS_MIN
                        || kind.is_of_replica && !is_of_replica =>
                {
                    by_id.remove(&id)
                }
                _ => return None,
            };
        }
        let mut session = Session {
            next_epoch: 1,
            kind,
            partitions: IndexMap::new(),
            first: 0,
            used_ms: now_ms,
            signals: FetchSignals::new(kind.is_of_replica),
        };
        for want in wanted {
            let key = (want.topic.clone(), want.partition);
            want.watch = Some(session.remember(key, want.clone()));
        }
        let session = Arc::new(Mutex::new(session));
        loop {
            let id = i32::try_from(self.rng.below(i32::MAX as u64)).unwrap_or(0);
            if id > 0 && !by_id.contains_key(&id) {
                by_id.insert(id, Arc::clone(&session));
                return Some((id, session));
            }
        }
    }
}

impl Session {
    /// Takes a partition in, or what the client now wants of one that is in already. Either way it is looked
    /// at next.
    fn remember(&mut self, key: Key, mut wanted: Wanted) -> Arc<Watch> {
        if let Some(known) = self.partitions.get_mut(&key) {
            wanted.watch = Some(Arc::clone(&known.watch));
            known.wanted = wanted;
            known.watch.mark();
            return Arc::clone(&known.watch);
        }
        let watch = self.signals.watch(key.0.clone(), key.1);
        wanted.watch = Some(Arc::clone(&watch));
        let remembered = Remembered { wanted, told: None, watch: Arc::clone(&watch) };
        self.partitions.insert(key, remembered);
        watch
    }
}

impl SessionHandle {
    /// Through which the session's partitions tell what they have.
    pub(super) fn signals(&self) -> Option<&Arc<FetchSignals>> {
        self.signals.as_ref()
    }

    /// Whether there is anything that can be waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.lock().partitions.is_empty())
    }

    /// Adds to what is read whatever was marked since it was last taken, so that every partition gets its
    /// turn.
    pub(super) fn add_marked(&mut self, wanted: &mut Vec<Wanted>) {
        let (Some(session), Some(signals)) = (&self.session, &self.signals) else { return };
        let session = session.lock();
        let count = session.partitions.len();
        let known: HashSet<*const Watch> =
            wanted.iter().flat_map(|known| &known.watch).map(Arc::as_ptr).collect();
        let mut added = Vec::new();
        for watch in signals.take_marked() {
            if known.contains(&Arc::as_ptr(&watch)) {
                continue;
            }
            let found = session.partitions.get_full(&(watch.topic.clone(), watch.partition));
            let Some((index, _, known)) = found else { continue };
            added.push(((index + count - session.first % count) % count, known.wanted.clone()));
            self.looked_at.push(watch);
        }
        added.sort_unstable_by_key(|(turn, _)| *turn);
        wanted.extend(added.into_iter().map(|(_, wanted)| wanted));
    }

    /// The id to answer with; 0 without a session.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// Whether the client has been told of another high watermark or log start than what was found.
    pub(super) fn has_news(&self, fetched: &[Fetched]) -> bool {
        let Some(session) = &self.session else { return false };
        let session = session.lock();
        fetched.iter().any(|one| {
            let known = session.partitions.get(&(one.topic.clone(), one.partition));
            known.is_some_and(|known| known.told.as_ref() != Some(&Told::of(one)))
        })
    }

    /// Notes what the client is told, and leaves out what it knows already.
    pub(super) fn answer(&mut self, fetched: Vec<Fetched>, now_ms: i64) -> Vec<Fetched> {
        let Some(session) = &self.session else { return fetched };
        self.looked_at.clear();
        let mut session = session.lock();
        session.used_ms = now_ms;
        let mut last_with_records = None;
        let mut answered = Vec::with_capacity(fetched.len());
        for one in fetched {
            let telling = Told::of(&one);
            let found = session.partitions.get_full_mut(&(one.topic.clone(), one.partition));
            let Some((index, _, known)) = found else { continue };
            let has_records = one.records.len() > 0
                || one.records.diverging.is_some()
                || one.records.preferred_read_replica.is_some();
            if has_records {
                last_with_records = Some(index);
            }
            let is_news = has_records || telling.had_error || known.told.as_ref() != Some(&telling);
            // The client may come back without having used what it got, or for what did not fit.
            if has_records
                || telling.had_error
                || known.wanted.fetch_offset < one.records.readable_end.0
            {
                known.watch.mark();
            }
            known.told = Some(telling);
            if is_news || !self.is_incremental {
                answered.push(one);
            }
        }
        if let Some(index) = last_with_records {
            session.first = index + 1;
        }
        answered
    }
}

fn topic_ref(name: &str, id: kalda_model::Uuid, version: i16) -> TopicRef {
    if version >= TOPIC_IDS { TopicRef::Id(id) } else { TopicRef::Name(name.into()) }
}

fn wanted(request: &FetchRequest, version: i16) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let reference = topic_ref(&topic.topic, topic.topic_id, version);
        wanted.extend(topic.partitions.iter().map(|partition| want(&reference, partition)));
    }
    wanted
}

fn want(topic: &TopicRef, partition: &FetchPartition) -> Wanted {
    Wanted {
        topic: topic.clone(),
        partition: partition.partition,
        current_leader_epoch: partition.current_leader_epoch,
        fetch_offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch,
        log_start_offset: partition.log_start_offset,
        max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        watch: None,
    }
}

#[cfg(test)]
mod tests {
    use kalda_env::OsRng;
    use kalda_protocol::messages::fetch::FetchTopic;

    use super::*;
    use crate::hosted::FetchedRecords;

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions.iter().map(|partition| FetchPartition {
            partition: *partition,
            partition_max_bytes: 100,
            ..FetchPartition::default()
        });
        let topic = FetchTopic {
            topic: "t".into(),
            partitions: partitions.collect(),
            ..FetchTopic::default()
        };
        FetchRequest { session_id, session_epoch, topics: vec![topic], ..FetchRequest::default() }
    }

    fn opened(opening: Opening) -> (SessionHandle, Vec<i32>) {
        match opening {
            Opening::Opened { session, wanted } => {
                (session, wanted.into_iter().map(|want| want.partition).collect())
            }
            Opening::Refused(error) => panic!("refused: {error:?}"),
        }
    }

    fn fetched(partition: i32, high_watermark: i64) -> Fetched {
        let mut records = FetchedRecords::default();
        records.high_watermark = kalda_model::Offset(high_watermark);
        records.readable_end = records.high_watermark;
        Fetched { topic: TopicRef::Name("t".into()), partition, error: ErrorCode::None, records }
    }

    #[test]
    fn a_session_remembers_its_partitions_and_tells_only_news() {
        let sessions = FetchSessions::new(10, Arc::new(OsRng));
        let (mut session, wanted) = opened(sessions.open(&request(0, 0, &[0, 1]), 12, 0));
        assert_eq!(wanted, [0, 1]);
        let id = session.id();
        assert!(id > 0);
        assert_eq!(session.answer(vec![fetched(0, 5), fetched(1, 5)], 0).len(), 2);
        let (mut session, wanted) = opened(sessions.open(&request(id, 1, &[]), 12, 0));
        assert_eq!(wanted, [0, 1]);
        let answered = session.answer(vec![fetched(0, 5), fetched(1, 6)], 0);
        assert_eq!(answered.iter().map(|one| one.partition).collect::<Vec<_>>(), [1]);
        let mut forget = request(id, 2, &[2]);
        forget.forgotten_topics_data = vec![kalda_protocol::messages::fetch::ForgottenTopic {
            topic: "t".into(),
            partitions: vec![0],
            ..Default::default()
        }];
        let (_, wanted) = opened(sessions.open(&forget, 12, 0));
        assert_eq!(wanted, [1, 2]);
    }

    #[test]
    fn only_what_was_marked_is_looked_at_and_what_was_not_told_stays_marked() {
        let sessions = FetchSessions::new(10, Arc::new(OsRng));
        let (mut session, _) = opened(sessions.open(&request(0, 0, &[0, 1, 2]), 12, 0));
        let id = session.id();
        // Nothing is unread but in partition 2.
        let first = vec![fetched(0, 0), fetched(1, 0), fetched(2, 3)];
        assert_eq!(session.answer(first, 0).len(), 3);
        let (mut session, wanted) = opened(sessions.open(&request(id, 1, &[]), 12, 0));
        assert_eq!(wanted, [2]);
        session.answer(vec![fetched(2, 0)], 0);
        let (session, wanted) = opened(sessions.open(&request(id, 2, &[1]), 12, 0));
        assert_eq!(wanted, [1]);
        // Its client is gone before it was answered.
        drop(session);
        let (mut session, wanted) = opened(sessions.open(&request(id, 3, &[]), 12, 0));
        assert_eq!(wanted, [1]);
        session.answer(vec![fetched(1, 0)], 0);
        let (session, wanted) = opened(sessions.open(&request(id, 4, &[]), 12, 0));
        assert!(wanted.is_empty());
        assert!(!session.is_empty());
        let watch = Arc::clone(&session.session.as_ref().unwrap().lock().partitions[0].watch);
        watch.mark();
        watch.mark();
        let (mut session, mut wanted) = (session, Vec::new());
        session.add_marked(&mut wanted);
        session.add_marked(&mut wanted);
        assert_eq!(wanted.iter().map(|want| want.partition).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn wrong_ids_and_epochs_are_refused_with_the_code_that_makes_clients_start_over() {
        let sessions = FetchSessions::new(10, Arc::new(OsRng));
        let (session, _) = opened(sessions.open(&request(0, 0, &[0]), 12, 0));
        let refused = |opening| match opening {
            Opening::Refused(error) => error,
            Opening::Opened { .. } => ErrorCode::None,
        };
        let wrong_epoch = sessions.open(&request(session.id(), 7, &[]), 12, 0);
        assert_eq!(refused(wrong_epoch), ErrorCode::InvalidFetchSessionEpoch);
        let by_id = sessions.open(&request(session.id(), 1, &[]), 13, 0);
        assert_eq!(refused(by_id), ErrorCode::FetchSessionTopicIdError);
        let closed = sessions.open(&request(session.id(), -1, &[0]), 12, 0);
        assert_eq!(opened(closed).0.id(), 0);
        let gone = sessions.open(&request(session.id(), 1, &[]), 12, 0);
        assert_eq!(refused(gone), ErrorCode::FetchSessionIdNotFound);
    }

    #[test]
    fn without_a_free_slot_a_client_goes_without_a_session_until_one_is_old() {
        let sessions = FetchSessions::new(1, Arc::new(OsRng));
        assert!(opened(sessions.open(&request(0, 0, &[0]), 12, 0)).0.id() > 0);
        assert_eq!(opened(sessions.open(&request(0, 0, &[0]), 12, 1000)).0.id(), 0);
        assert!(opened(sessions.open(&request(0, 0, &[0]), 12, 120_000)).0.id() > 0);
    }
}
