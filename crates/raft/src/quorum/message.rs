//! What replicas say to each other, without the wire's form of it.
//!
//! The shell turns these into Kafka's messages (keys 1, 52 to 55, 59, 80 to 82) and back.

use bytes::Bytes;
use kalda_model::{BrokerId, LeaderEpoch, Offset};

use super::log_view::OffsetAndEpoch;
use super::voters::{ReplicaKey, Voter, VoterSet};
use crate::snapshot::SnapshotId;

/// A batch of the metadata log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Batch {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// How many offsets it takes, at least one.
    pub record_count: i64,
    /// The epoch of the leader that wrote it.
    pub epoch: LeaderEpoch,
    /// What it holds.
    pub body: Body,
    /// A batch of the quorum's own records as its leader wrote it, so that it lies on every disk in
    /// the same bytes; none if this node leads and has yet to write it.
    pub encoded: Option<Bytes>,
}

/// What a batch holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// Records of the controller, which the quorum does not look into.
    Data(Bytes),
    /// Records of the quorum itself, one offset each.
    Control(Vec<Control>),
}

/// A record of the quorum itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Control {
    /// The first record of every epoch.
    LeaderChange {
        /// Who leads.
        leader: BrokerId,
        /// Who votes.
        voters: Vec<ReplicaKey>,
        /// Who voted for the leader.
        granting: Vec<BrokerId>,
    },
    /// The voters from here on.
    Voters(VoterSet),
    /// The `kraft.version` from here on.
    KRaftVersion(i16),
}

impl Batch {
    /// The offset behind its last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(self.record_count)
    }
}

/// A question to another replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// For a vote, or whether it would be given.
    Vote(VoteRequest),
    /// "I lead this epoch."
    BeginQuorumEpoch {
        /// Whom it is meant for.
        voter: ReplicaKey,
        /// The leader.
        leader: BrokerId,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// "I no longer lead this epoch."
    EndQuorumEpoch {
        /// The leader that was.
        leader: BrokerId,
        /// Its epoch.
        epoch: LeaderEpoch,
        /// The other voters, those with the longest logs first.
        preferred_successors: Vec<ReplicaKey>,
    },
    /// For records.
    Fetch(FetchRequest),
    /// For a piece of a snapshot.
    FetchSnapshot(FetchSnapshotRequest),
    /// To add a voter.
    AddVoter {
        /// The voter; it has followed as an observer up to now.
        voter: Voter,
        /// How long it may take until it has caught up.
        timeout_ms: i64,
    },
    /// To remove a voter.
    RemoveVoter {
        /// Which one.
        voter: ReplicaKey,
    },
    /// A voter's own endpoints and versions.
    UpdateVoter {
        /// The epoch that the voter knows.
        epoch: LeaderEpoch,
        /// The voter as it is now.
        voter: Voter,
    },
}

/// See [`Request::Vote`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VoteRequest {
    /// Whom it is meant for.
    pub voter: ReplicaKey,
    /// Who asks.
    pub candidate: ReplicaKey,
    /// The epoch that it is a candidate of; with `pre_vote`, the one that it knows.
    pub epoch: LeaderEpoch,
    /// The end of its log.
    pub last: OffsetAndEpoch,
    /// It only wants to know whether it would win (KIP-996).
    pub pre_vote: bool,
}

/// See [`Request::Fetch`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FetchRequest {
    /// Who fetches.
    pub replica: ReplicaKey,
    /// The epoch that it knows.
    pub epoch: LeaderEpoch,
    /// The end of its log, all of it on its disk.
    pub end: OffsetAndEpoch,
    /// Its high watermark: the answer does not wait while the leader's is higher.
    pub high_watermark: Offset,
    /// How long the answer may wait for something to tell.
    pub wait_ms_max: i64,
}

/// See [`Request::FetchSnapshot`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FetchSnapshotRequest {
    /// Who fetches.
    pub replica: ReplicaKey,
    /// The epoch that it knows.
    pub epoch: LeaderEpoch,
    /// Which snapshot.
    pub id: SnapshotId,
    /// From which byte on.
    pub position: u64,
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// `FENCED_LEADER_EPOCH`: the sender's epoch is over.
    FencedLeaderEpoch,
    /// `UNKNOWN_LEADER_EPOCH`: the sender knows a newer epoch.
    UnknownLeaderEpoch,
    /// `NOT_LEADER_OR_FOLLOWER`.
    NotLeader,
    /// `INVALID_REQUEST`.
    InvalidRequest,
    /// `INVALID_VOTER_KEY`: it was meant for another replica.
    InvalidVoterKey,
    /// `SNAPSHOT_NOT_FOUND`.
    SnapshotNotFound,
    /// `POSITION_OUT_OF_RANGE`: the shell answers it, who knows the file.
    PositionOutOfRange,
    /// `REQUEST_TIMED_OUT`: not now; another change is under way, or the replica is not ready.
    RequestTimedOut,
    /// `DUPLICATE_VOTER`.
    DuplicateVoter,
    /// `VOTER_NOT_FOUND`.
    VoterNotFound,
    /// `UNSUPPORTED_VERSION`: the voters are static, or the voter does not know `kraft.version`.
    UnsupportedVersion,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Response {
    /// Why not, if not.
    pub refusal: Option<Refusal>,
    /// The newest epoch that the answering replica knows.
    pub epoch: LeaderEpoch,
    /// Its leader, if known.
    pub leader: Option<BrokerId>,
    /// What was asked for.
    pub body: ResponseBody,
}

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ResponseBody {
    /// To a vote: whether it is given.
    Vote {
        /// Whether it is given.
        granted: bool,
    },
    /// To everything that has no more to say than the head of the answer.
    Plain,
    /// To a fetch.
    Fetch(FetchResponse),
    /// To a fetch of a snapshot.
    FetchSnapshot(FetchSnapshotResponse),
}

/// See [`ResponseBody::Fetch`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FetchResponse {
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The follower's log is not the leader's: cut back to here at most and fetch again.
    pub diverging: Option<OffsetAndEpoch>,
    /// Records are gone from the log; fetch this snapshot instead.
    pub snapshot: Option<SnapshotId>,
    /// Whole batches from the fetched offset on.
    pub batches: Vec<Batch>,
}

/// See [`ResponseBody::FetchSnapshot`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FetchSnapshotResponse {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Where in it `bytes` lie.
    pub position: u64,
    /// Its length.
    pub size: u64,
    /// A piece of it.
    pub bytes: Bytes,
}
