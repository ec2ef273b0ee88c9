//! What the server must do after an event, and why a request is refused.

use kalda_model::{LeaderEpoch, Offset};

/// Why this replica does not serve a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Another broker leads, or none.
    NotLeader,
    /// The client's leader epoch is older than ours: it must refresh its metadata.
    FencedLeaderEpoch,
    /// The client's leader epoch is newer than ours: we have yet to hear of it.
    UnknownLeaderEpoch,
    /// Fewer replicas are in sync than `min.insync.replicas` asks for.
    NotEnoughReplicas,
}

/// The part that a replica begins to play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewRole {
    /// It leads from now on: the epoch must be noted in the log before anything is served.
    Leader(LeaderEpoch),
    /// It follows another leader, or waits for one.
    Follower,
}

/// What the server must do after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// The high watermark moved here: wake consumers, and producers with `acks=all`.
    pub high_watermark: Option<Offset>,
    /// The leader's own copy now counts as written up to here: wake producers with `acks=1`.
    pub local_end: Option<Offset>,
    /// A leader epoch begins for this replica.
    pub new_role: Option<NewRole>,
    /// A change of the ISR waits to be proposed: [`crate::Partition::take_proposal`].
    pub has_proposal: bool,
    /// Producers that still wait cannot be answered as they hoped: all of them if this replica does not lead
    /// any more, or those with `acks=all` if too few replicas are left in sync.
    pub waits_refused: Option<Refused>,
}
