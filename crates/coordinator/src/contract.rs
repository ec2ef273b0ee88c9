//! What every coordinator is to the server that runs it: a state machine over the log of one
//! partition. Implemented by the group shard and the transaction shard; driven by the server's one
//! runtime for both.

use std::fmt::Debug;

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;

use crate::decision::{Context, CoordinatorRecord, Decision, Token};
use crate::records::ReplayError;
use crate::request::Caller;

/// A coordinator of one partition. The events decide on the current state; only replaying changes
/// what is logged.
pub trait Coordinator: Debug + Send + Sized + 'static {
    /// What it is asked.
    type Request: Debug + Send + 'static;
    /// What it answers.
    type Response: Debug + Send + 'static;

    /// Decides on a request; the answer comes with this decision or a later one.
    fn handle(
        &mut self,
        token: Token,
        caller: &Caller,
        request: Self::Request,
        cx: &Context<'_>,
    ) -> Decision<Self::Response>;

    /// Applies a plain record of the log.
    ///
    /// # Errors
    /// The record does not decode; the coordinator must then not serve.
    fn replay(&mut self, offset: Offset, record: &CoordinatorRecord) -> Result<(), ReplayError>;

    /// Applies a record that stands in a producer's transaction.
    ///
    /// # Errors
    /// As [`Self::replay`].
    fn replay_transactional(
        &mut self,
        producer_id: ProducerId,
        offset: Offset,
        record: &CoordinatorRecord,
    ) -> Result<(), ReplayError>;

    /// Applies the marker that ends a producer's transaction. The log has checked the epoch.
    fn replay_marker(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        commit: bool,
        offset: Offset,
    );

    /// The log is replayed, and the coordinator may serve.
    fn on_loaded(&mut self, cx: &Context<'_>) -> Decision<Self::Response>;

    /// When [`Self::on_timer`] is due, as [`Context::now_ms`] counts.
    fn next_timer_ms(&self) -> Option<i64>;

    /// Does what is due by now.
    fn on_timer(&mut self, cx: &Context<'_>) -> Decision<Self::Response>;

    /// The records of a decision could not be appended; what comes back are its answers as refusals,
    /// and what has to follow.
    fn on_append_failed(
        &mut self,
        failed: Decision<Self::Response>,
        error: ErrorCode,
        cx: &Context<'_>,
    ) -> Decision<Self::Response>;

    /// Another broker leads the partition now: everybody who waits goes there.
    fn unload(&mut self) -> Vec<(Token, Self::Response)>;

    /// The same answer turned into a refusal: for a decision that was never carried out.
    fn refuse(response: Self::Response, error: ErrorCode) -> Self::Response;
}

/// What clients are told of a log that does not take records, or does not commit them.
#[must_use]
pub fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower
        | ErrorCode::KafkaStorageError
        // The log is not where this coordinator left it.
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::UnknownLeaderEpoch
        | ErrorCode::OffsetOutOfRange => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}
