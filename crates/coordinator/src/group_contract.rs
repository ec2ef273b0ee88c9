//! The group shard as the server's runtime drives it.

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;

use crate::contract::Coordinator;
use crate::decision::{Context, CoordinatorRecord, Decision, Token};
use crate::records::ReplayError;
use crate::request::{Caller, GroupRequest, GroupResponse};
use crate::shard::GroupShard;

impl Coordinator for GroupShard {
    type Request = GroupRequest;
    type Response = GroupResponse;

    fn handle(
        &mut self,
        token: Token,
        caller: &Caller,
        request: GroupRequest,
        cx: &Context<'_>,
    ) -> Decision {
        Self::handle(self, token, caller, request, cx)
    }

    fn replay(&mut self, offset: Offset, record: &CoordinatorRecord) -> Result<(), ReplayError> {
        Self::replay(self, offset, record)
    }

    fn replay_transactional(
        &mut self,
        producer_id: ProducerId,
        offset: Offset,
        record: &CoordinatorRecord,
    ) -> Result<(), ReplayError> {
        Self::replay_transactional(self, producer_id, offset, record)
    }

    fn replay_marker(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        commit: bool,
        offset: Offset,
    ) {
        Self::replay_marker(self, producer_id, producer_epoch, commit, offset);
    }

    fn on_loaded(&mut self, cx: &Context<'_>) -> Decision {
        Self::on_loaded(self, cx.now_ms);
        Decision::default()
    }

    fn next_timer_ms(&self) -> Option<i64> {
        Self::next_timer_ms(self)
    }

    fn on_timer(&mut self, cx: &Context<'_>) -> Decision {
        Self::on_timer(self, cx)
    }

    fn on_append_failed(
        &mut self,
        failed: Decision,
        error: ErrorCode,
        cx: &Context<'_>,
    ) -> Decision {
        Self::on_append_failed(self, failed, error, cx)
    }

    fn unload(&mut self) -> Vec<(Token, GroupResponse)> {
        Self::unload(self)
    }

    fn refuse(response: GroupResponse, error: ErrorCode) -> GroupResponse {
        response.into_error(error)
    }
}
