//! When each broker was last heard of (`BrokerHeartbeatManager`).
//!
//! Soft state of the active controller: it is not in the log, begins anew with every controller
//! ([`BrokerSessions::on_became_active`]), and only ever delays or allows a decision. Times are
//! those that the caller passes in; none is read here.

use std::collections::BTreeMap;

use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, Offset};

/// What a broker last said, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Session {
    /// The life of the broker that it belongs to.
    epoch: BrokerEpoch,
    last_contact_ms: i64,
    /// When the broker was looked for last because its heartbeat was late.
    looked_for_ms: i64,
    /// Whether the broker itself was heard by this controller, or only assumed to live.
    is_heard: bool,
    /// Whether the connection that it speaks through is up, as far as is known.
    is_connected: bool,
    /// Ended sessions are neither valid nor do they expire.
    has_ended: bool,
    /// The last offset of the metadata log that the broker has applied, -1 before it says.
    metadata_offset: i64,
    /// Where its registration lies in the log: who has applied it knows of itself.
    registration_offset: i64,
    /// What every active broker must have applied before this one may stop.
    shutdown_offset: Option<i64>,
}

/// The sessions of all registered brokers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSessions {
    session_timeout_ms: i64,
    /// After so long a heartbeat is late.
    late_ms: i64,
    by_broker: BTreeMap<BrokerId, Session>,
}

/// How much later than its interval a heartbeat may always come.
const LATE_MS_MIN: i64 = 250;

impl BrokerSessions {
    /// No broker is known; `session_timeout_ms` is `broker.session.timeout.ms`.
    #[must_use]
    pub fn new(session_timeout_ms: i64) -> Self {
        Self { session_timeout_ms, late_ms: i64::MAX, by_broker: BTreeMap::new() }
    }

    /// Brokers that are not heard of for a good deal longer than `interval_ms`, which is
    /// `broker.heartbeat.interval.ms`, are to be looked for.
    #[must_use]
    pub fn with_heartbeats_every(mut self, interval_ms: i64) -> Self {
        self.late_ms = interval_ms.saturating_add(LATE_MS_MIN.max(interval_ms / 4));
        self
    }

    /// This controller became the active one: every registered broker, fenced or not, gets a whole
    /// session from now on (KAFKA-18138: who was not tracked was never fenced).
    pub fn on_became_active(&mut self, image: &Image, now_ms: i64) {
        self.by_broker = image
            .brokers
            .values()
            .map(|broker| (broker.id, Session::new(broker.epoch, broker.epoch.0, now_ms)))
            .collect();
    }

    /// When the next silent broker is to be fenced; `None` while none can be.
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<i64> {
        let running = self.by_broker.values().filter(|session| !session.has_ended);
        running.map(|session| session.last_contact_ms.saturating_add(self.session_timeout_ms)).min()
    }

    /// When the next heartbeat is late; `None` while none can be.
    #[must_use]
    pub fn next_late_ms(&self) -> Option<i64> {
        let running = self.by_broker.values().filter(|session| !session.has_ended);
        running.map(|session| self.late_at_ms(session)).min()
    }

    /// The brokers whose heartbeat is late. Perhaps they are no more, and their connection broke unnoticed;
    /// they are told again when as much time has passed once more.
    pub fn take_late(&mut self, now_ms: i64) -> Vec<BrokerId> {
        let is_late = |session: &Session| !session.has_ended && self.late_at_ms(session) <= now_ms;
        let late = self.by_broker.iter().filter(|(_, session)| is_late(session));
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        for id in &late {
            if let Some(session) = self.by_broker.get_mut(id) {
                session.looked_for_ms = now_ms;
            }
        }
        late
    }

    /// When `broker` was last heard, if this controller heard it at all.
    #[must_use]
    pub fn last_contact_ms(&self, broker: BrokerId) -> Option<i64> {
        let session = self.by_broker.get(&broker).filter(|session| session.is_heard)?;
        Some(session.last_contact_ms)
    }

    /// The last offset that `broker` said it has applied.
    #[must_use]
    pub fn metadata_offset(&self, broker: BrokerId) -> Option<Offset> {
        let offset = self.by_broker.get(&broker)?.metadata_offset;
        (offset >= 0).then_some(Offset(offset))
    }

    /// The connection of a broker broke. It may live and come back; but if it ended, its next life need
    /// not wait until this one is silent for a whole session.
    pub fn on_connection_lost(&mut self, broker: BrokerId, epoch: BrokerEpoch) {
        if let Some(session) = self.by_broker.get_mut(&broker).filter(|it| it.epoch == epoch) {
            session.is_connected = false;
        }
    }

    /// Whether another process with this id must be assumed to live: this controller heard it, and its
    /// connection and its session hold.
    pub(crate) fn is_valid(&self, broker: BrokerId, now_ms: i64) -> bool {
        let session = self.by_broker.get(&broker);
        session.is_some_and(|session| {
            session.is_heard
                && session.is_connected
                && !session.has_ended
                && !self.is_over(session, now_ms)
        })
    }

    /// Whether the broker itself was heard by this controller.
    pub(crate) fn is_heard(&self, broker: BrokerId) -> bool {
        self.by_broker.get(&broker).is_some_and(|session| session.is_heard)
    }

    /// The brokers whose session ran out; they are not told again.
    pub(crate) fn take_expired(&mut self, now_ms: i64) -> Vec<BrokerId> {
        let timeout_ms = self.session_timeout_ms;
        let mut expired = Vec::new();
        for (id, session) in &mut self.by_broker {
            let is_over = now_ms >= session.last_contact_ms.saturating_add(timeout_ms);
            if !session.has_ended && is_over {
                session.has_ended = true;
                session.shutdown_offset = None;
                expired.push(*id);
            }
        }
        expired
    }

    /// A broker registered; its record will lie at `offset`.
    pub(crate) fn on_registered(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
        offset: Offset,
        now_ms: i64,
    ) {
        let mut session = Session::new(epoch, offset.0, now_ms);
        session.is_heard = true;
        if let Some(before) = self.by_broker.get(&broker).filter(|before| before.epoch == epoch) {
            session.metadata_offset = before.metadata_offset;
            session.shutdown_offset = before.shutdown_offset;
        }
        self.by_broker.insert(broker, session);
    }

    /// A heartbeat of a registered broker. Answers where its registration lies.
    pub(crate) fn on_heartbeat(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
        metadata_offset: i64,
        now_ms: i64,
    ) -> i64 {
        let new = Session::new(epoch, epoch.0, now_ms);
        let session = self.by_broker.entry(broker).or_insert(new);
        if session.epoch != epoch {
            *session = new;
        }
        session.is_heard = true;
        session.has_ended = false;
        session.is_connected = true;
        session.last_contact_ms = now_ms;
        session.metadata_offset = metadata_offset;
        session.registration_offset
    }

    /// A broker was fenced or is gone: another process may take its id at once.
    pub(crate) fn end(&mut self, broker: BrokerId) {
        if let Some(session) = self.by_broker.get_mut(&broker) {
            session.has_ended = true;
            session.shutdown_offset = None;
        }
    }

    /// The offset that the others must have applied before `broker` may stop: `now_at` the first
    /// time that it is asked for.
    pub(crate) fn shutdown_offset(&mut self, broker: BrokerId, now_at: i64) -> i64 {
        match self.by_broker.get_mut(&broker) {
            Some(session) => *session.shutdown_offset.get_or_insert(now_at),
            None => now_at,
        }
    }

    /// The lowest offset that an active broker has applied; `i64::MAX` without one.
    pub(crate) fn lowest_active_offset(&self, image: &Image) -> i64 {
        let active = image.brokers.values().filter(|broker| broker.is_active());
        let offsets = active.map(|broker| {
            self.by_broker.get(&broker.id).map_or(-1, |session| session.metadata_offset)
        });
        offsets.min().unwrap_or(i64::MAX)
    }

    fn late_at_ms(&self, session: &Session) -> i64 {
        session.last_contact_ms.max(session.looked_for_ms).saturating_add(self.late_ms)
    }

    fn is_over(&self, session: &Session, now_ms: i64) -> bool {
        now_ms >= session.last_contact_ms.saturating_add(self.session_timeout_ms)
    }
}

impl Session {
    fn new(epoch: BrokerEpoch, registration_offset: i64, now_ms: i64) -> Self {
        Self {
            epoch,
            last_contact_ms: now_ms,
            looked_for_ms: now_ms,
            is_heard: false,
            is_connected: true,
            has_ended: false,
            metadata_offset: -1,
            registration_offset,
            shutdown_offset: None,
        }
    }
}
