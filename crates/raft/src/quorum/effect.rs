//! What goes into the core and what comes out of it.

use bytes::Bytes;
use kalda_model::{BrokerId, LeaderEpoch, Offset};

use super::log_view::{LogView, OffsetAndEpoch};
use super::message::{Batch, Request, Response};
use super::voters::ReplicaKey;
use crate::quorum_state::QuorumState;
use crate::snapshot::SnapshotId;

/// The shell's name for a request that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// The core's name for a request that it sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Correlation(pub u64);

/// Something happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed; due at [`super::Quorum::wake_at`].
    Tick,
    /// A replica, or a tool, asks.
    Request {
        /// To be named in the answer.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// A replica answers.
    Response {
        /// Who.
        from: BrokerId,
        /// To what.
        correlation: Correlation,
        /// How.
        response: Response,
    },
    /// A request cannot be answered any more: the connection broke.
    SendFailed {
        /// To whom it went.
        to: BrokerId,
        /// Which one.
        correlation: Correlation,
    },
    /// The node refuses connections: its process is no more. Who follows it need not wait for its
    /// silence to become long; that others agree is what a pre-vote finds out.
    Gone(BrokerId),
    /// Everything up to here is on disk; the end of the log as it was when the flush began.
    Flushed(OffsetAndEpoch),
    /// The state up to here, which is committed, is on disk as a snapshot; the log begins there now.
    SnapshotTaken(SnapshotId),
    /// The fetched snapshot is whole and on disk, and this is the log that begins behind it.
    SnapshotInstalled(LogView),
    /// The fetched snapshot was damaged, and is deleted.
    SnapshotUnusable(SnapshotId),
    /// This node wants to lead no more: it ends, or its controller failed.
    Resign,
}

/// What the shell has to do, in this order, each before the next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Replace `quorum-state`, durably: all that follows may tell of it.
    Persist(QuorumState),
    /// Append to the log and flush it, then report [`Input::Flushed`]; the flush may take its time.
    Append(Vec<Batch>),
    /// Cut the log, durably before anything is appended again.
    Truncate(Offset),
    /// Write a piece of a snapshot that is being fetched. When it was the last one, verify it,
    /// make it durable, replace the log and report [`Input::SnapshotInstalled`].
    WriteSnapshot {
        /// Which one.
        id: SnapshotId,
        /// Where in the file.
        position: u64,
        /// What.
        bytes: Bytes,
        /// Whether the file is whole now.
        is_last: bool,
    },
    /// Send a request.
    Send {
        /// To whom.
        to: BrokerId,
        /// To be named with the answer.
        correlation: Correlation,
        /// What.
        request: Request,
    },
    /// Answer a request.
    Answer {
        /// Which one.
        request: RequestId,
        /// How.
        response: Response,
    },
    /// Answer a fetch, after filling in whole batches from `read_from` on, as many as fit.
    AnswerRecords {
        /// Which one.
        request: RequestId,
        /// How; its batches are empty.
        response: Response,
        /// The first offset to read.
        read_from: Offset,
    },
    /// Answer a fetch of a snapshot, after filling in size and bytes.
    AnswerSnapshot {
        /// Which one.
        request: RequestId,
        /// How; size and bytes are not filled in.
        response: Response,
    },
    /// Everything below is committed.
    HighWatermark(Offset),
    /// This node leads. Appends of the controller may begin.
    BecameLeader {
        /// Which epoch.
        epoch: LeaderEpoch,
        /// The offset of its first record.
        epoch_start: Offset,
    },
    /// This node led and does no more: what it appended above the high watermark may be lost.
    Resigned {
        /// Which epoch.
        epoch: LeaderEpoch,
    },
    /// This node follows.
    Following {
        /// Whom.
        leader: BrokerId,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
    /// What a peer said cannot be true if nobody lost what was committed. Nothing of it was done;
    /// the process must stop or be looked at.
    Fault(Fault),
}

/// See [`Effect::Fault`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Fault {
    /// Following the leader would drop committed records.
    #[error("cutting the log at {to} would drop records below the high watermark {high_watermark}")]
    BelowHighWatermark {
        /// Where the leader wants the log to end.
        to: Offset,
        /// What is committed.
        high_watermark: Offset,
    },
    /// Two nodes claim one epoch.
    #[error("epoch {epoch} is claimed by node {claimant}, but is led by {leader}")]
    TwoLeaders {
        /// Which one.
        epoch: LeaderEpoch,
        /// Who leads it as far as known.
        leader: BrokerId,
        /// Who claims it too.
        claimant: BrokerId,
    },
}

/// Why nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AppendRefused {
    /// Another epoch has begun, or this node does not lead.
    #[error("this node does not lead epoch {0}")]
    NotLeader(LeaderEpoch),
    /// The writer decided on another state than that of the log's end.
    #[error("the log ends at {end}, and not at {expected}")]
    OtherEnd {
        /// What the writer thought.
        expected: Offset,
        /// What is.
        end: Offset,
    },
    /// A batch without records takes no offset.
    #[error("a batch needs at least one record")]
    NoRecords,
}

/// How far a replica is, for DescribeQuorum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReplicaProgress {
    /// Which one.
    pub replica: ReplicaKey,
    /// Whether it votes.
    pub is_voter: bool,
    /// The end of its log, if it fetched in this epoch.
    pub end_offset: Option<Offset>,
    /// When it fetched last, in the core's time.
    pub last_fetch_ms: Option<i64>,
    /// When it last had everything that the leader had.
    pub last_caught_up_ms: Option<i64>,
}
