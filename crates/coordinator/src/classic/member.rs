//! One member of a classic group. Owned by its group.

use bytes::Bytes;
use kalda_protocol::messages::join_group::JoinGroupRequestProtocol;

use crate::decision::Token;

/// A JoinGroup that waits for the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitingJoin {
    pub(crate) token: Token,
    /// Decides how the answer looks.
    pub(crate) api_version: i16,
}

/// A member and where it stands in the rebalance.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// `group.instance.id` of a static member.
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// The assignors that it offers, best first, each with its metadata.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// What the leader gave it at the last sync.
    pub(crate) assignment: Bytes,
    /// In its first join, which it may have abandoned without our seeing it.
    pub(crate) is_new: bool,
    pub(crate) waiting_join: Option<WaitingJoin>,
    pub(crate) waiting_sync: Option<Token>,
    /// When it is taken for gone unless it shows itself.
    pub(crate) session_deadline_ms: i64,
}

impl Member {
    /// When the session ends, if nothing happens. While a member waits for us it cannot heartbeat, so
    /// its session stands still, except in its first join, of which it may know nothing any more.
    pub(crate) fn expires_at_ms(&self) -> Option<i64> {
        let waits = self.waiting_join.is_some() || self.waiting_sync.is_some();
        (self.is_new || !waits).then_some(self.session_deadline_ms)
    }

    pub(crate) fn renew_session(&mut self, now_ms: i64) {
        self.session_deadline_ms = now_ms.saturating_add(i64::from(self.session_timeout_ms));
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Its metadata for the protocol; empty if it does not offer it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let offered = self.protocols.iter().find(|(name, _)| name == protocol);
        offered.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether a join offers what the member has offered before.
    pub(crate) fn offers(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|((name, metadata), offer)| *name == offer.name && *metadata == offer.metadata)
    }

    pub(crate) fn offer(&mut self, protocols: &[JoinGroupRequestProtocol]) {
        self.protocols = protocols
            .iter()
            .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
            .collect();
    }
}
