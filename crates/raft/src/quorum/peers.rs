//! Which node owes an answer: one request at a time to each, and a pause after a failure.

use std::collections::BTreeMap;

use kalda_model::BrokerId;

use super::effect::Correlation;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Peer {
    Waiting { correlation: Correlation, deadline: i64 },
    Ready { at: i64 },
}

/// The nodes that requests went to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Peers {
    last: u64,
    peers: BTreeMap<BrokerId, Peer>,
}

impl Peers {
    /// When the next request may go to `id`: not while one is out and in time.
    pub(super) fn ready_at(&self, id: BrokerId) -> i64 {
        match self.peers.get(&id) {
            None => i64::MIN,
            Some(Peer::Waiting { deadline, .. }) => *deadline,
            Some(Peer::Ready { at }) => *at,
        }
    }

    pub(super) fn has_any_in_flight(&self, now: i64) -> bool {
        let waits = |peer: &Peer| matches!(peer, Peer::Waiting { deadline, .. } if *deadline > now);
        self.peers.values().any(waits)
    }

    /// The earliest time at which a request that is out and in time is given up.
    pub(super) fn next_deadline(&self, now: i64) -> i64 {
        let of = |peer: &Peer| match peer {
            Peer::Waiting { deadline, .. } if *deadline > now => *deadline,
            Peer::Waiting { .. } | Peer::Ready { .. } => i64::MAX,
        };
        self.peers.values().map(of).min().unwrap_or(i64::MAX)
    }

    pub(super) fn on_sent(&mut self, id: BrokerId, deadline: i64) -> Correlation {
        self.last += 1;
        let correlation = Correlation(self.last);
        self.peers.insert(id, Peer::Waiting { correlation, deadline });
        correlation
    }

    /// Whether the answer is to the request that is out; others come too late and mean nothing.
    pub(super) fn on_answer(&mut self, id: BrokerId, answered: Correlation, ready_at: i64) -> bool {
        let is_awaited = matches!(self.peers.get(&id),
            Some(Peer::Waiting { correlation, .. }) if *correlation == answered);
        if is_awaited {
            self.peers.insert(id, Peer::Ready { at: ready_at });
        }
        is_awaited
    }

    /// The next request to `id` waits until `at`.
    pub(super) fn pause(&mut self, id: BrokerId, at: i64) {
        self.peers.insert(id, Peer::Ready { at });
    }

    /// The state changed: answers to what was asked before do not matter any more.
    pub(super) fn reset(&mut self) {
        self.peers.clear();
    }
}
