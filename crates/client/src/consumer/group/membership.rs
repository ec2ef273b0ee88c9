//! A consumer's membership in a classic group, as a pure state machine.
//!
//! Driven by one task, which asks for the next [`Step`], takes it, and reports what came of it; there
//! is never more than one step at a time. Time comes in as milliseconds of any clock that does not
//! go back. Nothing here waits or speaks to anybody.

use bytes::Bytes;
use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::heartbeat::HeartbeatRequest;
use kalda_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use kalda_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kalda_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kalda_protocol::stored::consumer_protocol::assignment::TopicPartition as AssignedTopic;
use kalda_protocol::stored::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kalda_protocol::stored::{decode_versioned_lenient, encode_versioned};

use super::assignor::{Assignor, PartitionCounts, Subscriber};
use crate::config::GroupConfig;
use crate::group_offsets::{Committer, group_by_topic};
use crate::{Error, Result};

/// What consumers speak among themselves.
const PROTOCOL_TYPE: &str = "consumer";
/// The version of subscriptions and assignments that we write; readers take what they know.
const BLOB_VERSION: i16 = 3;
/// No generation: not in the group.
const NO_GENERATION: i32 = -1;
/// How soon the leader looks again for a topic that is not there yet.
const ABSENT_TOPIC_RECHECK_MS: i64 = 1000;

/// What has to be done next.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    /// Find the coordinator: [`Membership::on_found`].
    Find,
    /// Ask to be in the group: [`Membership::on_joined`].
    Join(JoinGroupRequest),
    /// Count the partitions of these topics: [`Membership::on_counts`].
    Count(Vec<String>),
    /// Give and get assignments: [`Membership::on_synced`].
    Sync(SyncGroupRequest),
    /// Say that we are alive: [`Membership::on_heartbeat`].
    Heartbeat(HeartbeatRequest),
    /// Have the consumer give up its partitions, and go on meanwhile: [`Membership::on_revoked`].
    Revoke(Revocation),
    /// Have the consumer read these partitions; no answer is awaited.
    Assign(Vec<TopicPartition>),
    /// Leave, because nobody polls any more; no answer is awaited.
    Leave(LeaveGroupRequest),
    /// Wait as long as after so many failures.
    Rest(u32),
    /// Nothing until that time.
    Wait(i64),
    /// Nothing more at all: the membership has ended with this.
    Fail(Error),
}

/// How partitions are given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Revocation {
    /// They are still ours: positions can be committed first.
    InOrder,
    /// Somebody else may read them already.
    Lost,
}

#[derive(Clone, PartialEq, Debug)]
enum Phase {
    /// Nobody polls; joins again when somebody does.
    Idle,
    /// Has to join.
    Joining,
    /// Leads, and has to know partitions before it can assign.
    Counting(Vec<Subscriber>, Assignor),
    /// Has to sync, with these assignments if it leads.
    Syncing(Vec<SyncGroupRequestAssignment>),
    /// Has an assignment that the consumer has not been told of.
    Assigning(Vec<TopicPartition>),
    /// In the group, reading.
    Stable,
    /// Has to tell the consumer to give up.
    MustRevoke(Revocation),
    /// The consumer has been told.
    Revoking,
    /// Over.
    Failed(Error),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Membership {
    config: GroupConfig,
    topics: Vec<String>,
    rack: Option<String>,
    metadata_max_age_ms: i64,
    phase: Phase,
    has_coordinator: bool,
    member_id: String,
    generation: i32,
    protocol: Option<String>,
    /// When the next heartbeat is due.
    heartbeat_at: i64,
    /// When the application polled last.
    polled_at: i64,
    /// What the last assignment that we made counted on, and when to look again; `None` for members
    /// that do not lead.
    counted: Option<(Vec<String>, PartitionCounts, i64)>,
    /// Failures in a row, and whether the rest after the last is still to be taken.
    failures: u32,
    owes_rest: bool,
}

impl Membership {
    pub(super) fn new(
        config: GroupConfig,
        topics: Vec<String>,
        rack: Option<String>,
        metadata_max_age_ms: u64,
    ) -> Self {
        Self {
            config,
            topics,
            rack,
            metadata_max_age_ms: i64::try_from(metadata_max_age_ms).unwrap_or(i64::MAX),
            phase: Phase::Joining,
            has_coordinator: false,
            member_id: String::new(),
            generation: NO_GENERATION,
            protocol: None,
            heartbeat_at: 0,
            polled_at: 0,
            counted: None,
            failures: 0,
            owes_rest: false,
        }
    }

    /// As whom the consumer commits.
    pub(super) fn committer(&self) -> Committer {
        Committer {
            generation: self.generation,
            member_id: self.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: i64) -> Step {
        if let Phase::Failed(error) = &self.phase {
            return Step::Fail(error.clone());
        }
        if self.owes_rest {
            self.owes_rest = false;
            return Step::Rest(self.failures);
        }
        if self.phase == Phase::Idle {
            return Step::Wait(i64::MAX);
        }
        if !self.has_coordinator {
            return Step::Find;
        }
        match &self.phase {
            Phase::Idle | Phase::Failed(_) => Step::Wait(i64::MAX),
            Phase::Joining => match self.join_request() {
                Ok(request) => Step::Join(request),
                Err(error) => self.fail(error),
            },
            Phase::Counting(members, _) => Step::Count(topics_of(members)),
            Phase::Syncing(assignments) => Step::Sync(self.sync_request(assignments.clone())),
            Phase::Assigning(partitions) => {
                let partitions = partitions.clone();
                self.phase = Phase::Stable;
                Step::Assign(partitions)
            }
            Phase::MustRevoke(revocation) => {
                let revocation = *revocation;
                self.phase = Phase::Revoking;
                Step::Revoke(revocation)
            }
            Phase::Stable => self.next_while_stable(now),
            Phase::Revoking => self.next_heartbeat(now),
        }
    }

    fn next_while_stable(&mut self, now: i64) -> Step {
        let allowed = i64::try_from(self.config.max_poll_interval_ms).unwrap_or(i64::MAX);
        if now.saturating_sub(self.polled_at) > allowed {
            return self.go_idle();
        }
        if let Some((topics, _, recheck_at)) = &self.counted
            && now >= *recheck_at
        {
            return Step::Count(topics.clone());
        }
        let poll_deadline = self.polled_at.saturating_add(allowed).saturating_add(1);
        let recheck_at = self.counted.as_ref().map_or(i64::MAX, |(.., at)| *at);
        match self.next_heartbeat(now) {
            Step::Wait(until) => Step::Wait(until.min(recheck_at).min(poll_deadline)),
            step => step,
        }
    }

    /// Gives the place up until somebody polls again. A static member only falls silent: its place
    /// is kept until the session times out.
    fn go_idle(&mut self) -> Step {
        self.phase = Phase::Idle;
        self.generation = NO_GENERATION;
        self.counted = None;
        if self.config.instance_id.is_some() {
            return Step::Wait(i64::MAX);
        }
        let request = self.leave_request("consumer poll timeout has expired.");
        self.member_id.clear();
        Step::Leave(request)
    }

    /// Whether only a poll can go on with anything.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    fn next_heartbeat(&self, now: i64) -> Step {
        // Without a generation there is nothing to keep alive.
        if self.generation == NO_GENERATION {
            return Step::Wait(i64::MAX);
        }
        if now < self.heartbeat_at {
            return Step::Wait(self.heartbeat_at);
        }
        Step::Heartbeat(HeartbeatRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
        })
    }

    /// The application polls, or did so last at that time.
    pub(super) fn on_poll(&mut self, at: i64) {
        if self.phase == Phase::Idle && at > self.polled_at {
            // What was read before is lost: somebody else may have it by now.
            self.phase = Phase::MustRevoke(Revocation::Lost);
        }
        self.polled_at = self.polled_at.max(at);
    }

    /// Whether the coordinator was found.
    pub(super) fn on_found(&mut self, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.has_coordinator = true,
            Err(error) if error.is_retriable() => self.rest(),
            Err(error) => drop(self.fail(error)),
        }
    }

    /// The answer to a join.
    pub(super) fn on_joined(&mut self, now: i64, outcome: Result<JoinGroupResponse>) {
        let response = match outcome.and_then(|response| match ErrorCode::MemberIdRequired {
            required if response.error_code == required.code() => Ok(response),
            _ => Error::check(response.error_code, None).map(|()| response),
        }) {
            Ok(response) => response,
            Err(error) => return self.on_refused(error),
        };
        self.member_id = response.member_id;
        if response.error_code != 0 {
            // With the id that we have now, the coordinator knows us again (KIP-394).
            return;
        }
        self.failures = 0;
        self.generation = response.generation_id;
        self.protocol = response.protocol_name;
        self.heartbeat_at = now.saturating_add(self.heartbeat_ms());
        self.counted = None;
        let leads = response.leader == self.member_id && !response.skip_assignment;
        self.phase = if leads {
            let assignor = self.protocol.as_deref().and_then(Assignor::from_name);
            match (assignor, subscribers(response.members)) {
                (Some(assignor), Ok(members)) => Phase::Counting(members, assignor),
                (None, _) => {
                    let what = "the group has agreed on an assignor that this client lacks";
                    Phase::Failed(Error::Protocol(what.to_owned()))
                }
                (_, Err(error)) => Phase::Failed(error),
            }
        } else {
            Phase::Syncing(Vec::new())
        };
    }

    /// How many partitions the topics have that were asked for.
    pub(super) fn on_counts(&mut self, now: i64, outcome: Result<PartitionCounts>) {
        let counts = match outcome {
            Ok(counts) => counts,
            Err(error) if error.is_retriable() => return self.rest(),
            Err(error) => return drop(self.fail(error)),
        };
        self.failures = 0;
        match std::mem::replace(&mut self.phase, Phase::Stable) {
            Phase::Counting(members, assignor) => {
                let topics = topics_of(&members);
                let assignments = assignor.assign(&members, &counts).into_iter();
                let encoded: Result<Vec<_>> = assignments.map(encode_assignment).collect();
                self.remember_counts(now, topics, counts);
                match encoded {
                    Ok(assignments) => self.phase = Phase::Syncing(assignments),
                    Err(error) => drop(self.fail(error)),
                }
            }
            Phase::Stable => {
                let Some((topics, before, _)) = self.counted.take() else { return };
                if before != counts {
                    self.phase = Phase::MustRevoke(Revocation::InOrder);
                }
                self.remember_counts(now, topics, counts);
            }
            other => self.phase = other,
        }
    }

    fn remember_counts(&mut self, now: i64, topics: Vec<String>, counts: PartitionCounts) {
        let is_whole = topics.iter().all(|topic| counts.contains_key(topic));
        let wait = if is_whole { self.metadata_max_age_ms } else { ABSENT_TOPIC_RECHECK_MS };
        self.counted = Some((topics, counts, now.saturating_add(wait)));
    }

    /// The answer to a sync: our assignment.
    pub(super) fn on_synced(&mut self, now: i64, outcome: Result<Bytes>) {
        match outcome.and_then(decode_assignment) {
            Ok(partitions) => {
                self.failures = 0;
                self.heartbeat_at = now.saturating_add(self.heartbeat_ms());
                self.phase = Phase::Assigning(partitions);
            }
            Err(Error::Api { code: ErrorCode::RebalanceInProgress, .. }) => {
                self.phase = Phase::Joining;
            }
            Err(error) => {
                self.phase = Phase::Joining;
                self.on_refused(error);
            }
        }
    }

    /// The answer to a heartbeat.
    pub(super) fn on_heartbeat(&mut self, now: i64, outcome: Result<()>) {
        self.heartbeat_at = now.saturating_add(self.heartbeat_ms());
        let is_revoking = self.phase == Phase::Revoking;
        match outcome {
            Ok(()) => self.failures = 0,
            Err(Error::Api { code: ErrorCode::RebalanceInProgress, .. }) => {
                if !is_revoking {
                    self.phase = Phase::MustRevoke(Revocation::InOrder);
                }
            }
            Err(error) => {
                let was_member = self.generation != NO_GENERATION;
                self.on_refused(error);
                let has_lost = was_member && self.generation == NO_GENERATION;
                let can_go_on = !matches!(self.phase, Phase::Failed(_));
                if has_lost && can_go_on && !is_revoking {
                    self.phase = Phase::MustRevoke(Revocation::Lost);
                }
            }
        }
    }

    /// The consumer has given up its partitions.
    pub(super) fn on_revoked(&mut self) {
        if self.phase == Phase::Revoking {
            self.phase = Phase::Joining;
        }
    }

    /// What a refusal means, whatever was asked.
    fn on_refused(&mut self, error: Error) {
        match error.code() {
            Some(ErrorCode::UnknownMemberId) => {
                self.member_id.clear();
                self.generation = NO_GENERATION;
            }
            Some(ErrorCode::IllegalGeneration) => self.generation = NO_GENERATION,
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                self.has_coordinator = false;
                self.rest();
            }
            Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::RebalanceInProgress) => {
                self.rest();
            }
            _ if error.is_retriable() => {
                self.has_coordinator = false;
                self.rest();
            }
            _ => drop(self.fail(error)),
        }
    }

    fn rest(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.owes_rest = true;
    }

    fn fail(&mut self, error: Error) -> Step {
        self.phase = Phase::Failed(error.clone());
        Step::Fail(error)
    }

    fn heartbeat_ms(&self) -> i64 {
        i64::try_from(self.config.heartbeat_interval_ms).unwrap_or(i64::MAX)
    }

    fn join_request(&self) -> Result<JoinGroupRequest> {
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.clone(),
            user_data: None,
            rack_id: self.rack.clone(),
            ..Default::default()
        };
        let metadata = encode_versioned(&subscription, BLOB_VERSION)?;
        let protocol = |assignor: &Assignor| JoinGroupRequestProtocol {
            name: assignor.name().to_owned(),
            metadata: metadata.clone(),
        };
        let wire_ms = |ms: u64| i32::try_from(ms).unwrap_or(i32::MAX);
        Ok(JoinGroupRequest {
            group_id: self.config.group_id.clone(),
            session_timeout_ms: wire_ms(self.config.session_timeout_ms),
            rebalance_timeout_ms: wire_ms(self.config.max_poll_interval_ms),
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: self.config.assignors.iter().map(protocol).collect(),
            reason: None,
        })
    }

    fn sync_request(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: self.protocol.clone(),
            assignments,
        }
    }

    /// What takes us out of the group; `None` for who is not in it and for static members, whose
    /// place is kept until the session times out.
    pub(super) fn leave(&self) -> Option<LeaveGroupRequest> {
        let is_member = !self.member_id.is_empty() && self.config.instance_id.is_none();
        is_member.then(|| self.leave_request("the consumer is being closed"))
    }

    fn leave_request(&self, reason: &str) -> LeaveGroupRequest {
        LeaveGroupRequest {
            group_id: self.config.group_id.clone(),
            member_id: self.member_id.clone(),
            members: vec![MemberIdentity {
                member_id: self.member_id.clone(),
                group_instance_id: self.config.instance_id.clone(),
                reason: Some(reason.to_owned()),
            }],
        }
    }
}

fn topics_of(members: &[Subscriber]) -> Vec<String> {
    let mut topics: Vec<String> =
        members.iter().flat_map(|member| member.topics.iter().cloned()).collect();
    topics.sort();
    topics.dedup();
    topics
}

fn subscribers(members: Vec<JoinGroupResponseMember>) -> Result<Vec<Subscriber>> {
    let read = |member: JoinGroupResponseMember| {
        let told: ConsumerProtocolSubscription = decode_versioned_lenient(member.metadata)?;
        Ok(Subscriber {
            member_id: member.member_id,
            instance_id: member.group_instance_id,
            topics: told.topics,
        })
    };
    members.into_iter().map(read).collect()
}

fn encode_assignment(
    (member_id, partitions): (String, Vec<TopicPartition>),
) -> Result<SyncGroupRequestAssignment> {
    let topic = |(topic, partitions)| AssignedTopic { topic, partitions };
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: group_by_topic(&partitions).into_iter().map(topic).collect(),
        user_data: None,
    };
    let assignment = encode_versioned(&assignment, BLOB_VERSION)?;
    Ok(SyncGroupRequestAssignment { member_id, assignment })
}

fn decode_assignment(bytes: Bytes) -> Result<Vec<TopicPartition>> {
    // A leader may leave a member out.
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let told: ConsumerProtocolAssignment = decode_versioned_lenient(bytes)?;
    let mut partitions = Vec::new();
    for topic in told.assigned_partitions {
        let partition = |partition| TopicPartition::new(topic.topic.as_str(), partition);
        partitions.extend(topic.partitions.into_iter().map(partition));
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests;
