//! The state of one classic group, and the questions that its handlers ask of it.
//!
//! The steps of its life are in the files beside this one. `logged` changes only by
//! [`ClassicGroup::replay`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::join_group::JoinGroupRequestProtocol;
use kalda_protocol::stored::consumer_protocol::ConsumerProtocolSubscription;
use kalda_protocol::stored::decode_versioned_lenient;
use kalda_protocol::stored::group::GroupMetadataValue;
use kalda_protocol::stored::group::group_metadata::MemberMetadata;

use super::member::Member;
use crate::decision::CoordinatorRecord;
use crate::offsets::Expiry;
use crate::records;

/// The protocol type of Kafka's consumers: the only one whose metadata the broker reads.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group is in its life. A dead group is one that the shard no longer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GroupState {
    /// No members, perhaps offsets.
    Empty,
    /// Waiting for members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Everybody knows what to read.
    Stable,
}

impl GroupState {
    /// As tools show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who a request says it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) generation: i32,
}

/// When the join phase ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JoinTimer {
    /// The first join of an empty group: further members make it wait again while time remains.
    Initial { at_ms: i64, delay_ms: i32, remaining_ms: i32 },
    /// The rebalance timeout.
    Rebalance { at_ms: i64 },
}

/// A group of the classic protocol, or a "simple" one that only has offsets.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: String,
    /// What the log says.
    pub(super) logged: Option<GroupMetadataValue>,
    pub(super) state: GroupState,
    /// Whether the join phase started from Empty, and so with the initial delay.
    pub(super) joining_from_empty: bool,
    /// When the state was entered; `None` for a simple group and records too old to tell.
    pub(super) state_since_ms: Option<i64>,
    pub(super) generation: i32,
    /// Set by the first member; `None` for a simple group.
    pub(super) protocol_type: Option<String>,
    /// Chosen when the join phase ends.
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids by instance id.
    pub(super) static_members: BTreeMap<String, String>,
    /// Member ids given out that have not joined yet, and when they lapse.
    pub(super) pending_joins: BTreeMap<String, i64>,
    /// Members that know of the generation and have not asked for their assignment.
    pub(super) pending_syncs: BTreeSet<String>,
    pub(super) join_timer: Option<JoinTimer>,
    /// When members in `pending_syncs` are dropped.
    pub(super) sync_deadline_ms: Option<i64>,
    /// Whether somebody joined since the initial delay was last set.
    pub(super) new_member_added: bool,
    /// What the members read; `None` where their metadata does not tell.
    pub(super) subscribed_topics: Option<BTreeSet<String>>,
    /// The entry of this group in the shard's timers.
    pub(crate) armed_ms: Option<i64>,
}

impl ClassicGroup {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            logged: None,
            state: GroupState::Empty,
            joining_from_empty: false,
            state_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            join_timer: None,
            sync_deadline_ms: None,
            new_member_added: false,
            subscribed_topics: None,
            armed_ms: None,
        }
    }

    pub(crate) fn state(&self) -> GroupState {
        self.state
    }

    pub(crate) fn logged(&self) -> Option<&GroupMetadataValue> {
        self.logged.as_ref()
    }

    /// Whether anything but offsets keeps the group in memory.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == GroupState::Empty && self.pending_joins.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn member_ids(&self) -> impl Iterator<Item = &str> {
        self.members.keys().chain(self.pending_joins.keys()).map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// What holds between any two events.
    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) {
        let known = |id: &String| self.members.contains_key(id);
        assert!(self.leader.as_ref().is_none_or(known), "the leader is a member");
        assert!(self.pending_syncs.iter().all(known), "who owes a sync is a member");
        assert!(self.static_members.values().all(known), "an instance is a member");
        assert_eq!(self.state == GroupState::Empty, self.members.is_empty() && !self.is_joining());
        assert_eq!(self.join_timer.is_some(), self.is_joining(), "a join phase ends");
        for member in self.members.values() {
            assert!(member.waiting_join.is_none() || self.is_joining(), "joins are answered");
            let syncing = self.state == GroupState::CompletingRebalance;
            assert!(member.waiting_sync.is_none() || syncing, "syncs are answered");
        }
    }

    #[cfg(test)]
    fn is_joining(&self) -> bool {
        self.state == GroupState::PreparingRebalance
    }

    /// Whether no generation was ever formed, so that there is nothing to remember.
    pub(crate) fn has_no_history(&self) -> bool {
        self.generation == 0
    }

    pub(super) fn transition(&mut self, state: GroupState, wall_ms: i64) {
        self.state = state;
        self.state_since_ms = Some(wall_ms);
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The longest of its members' rebalance timeouts.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Whether the sender is who it says. A known instance under another member id has been replaced.
    pub(super) fn check_member(&self, who: Membership<'_>) -> Result<(), ErrorCode> {
        if let Some(instance) = who.instance_id {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(holder) if holder != who.member_id => {
                    return Err(ErrorCode::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(who.member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// [`Self::check_member`], and that the sender has not missed a rebalance.
    pub(super) fn check_generation(&self, who: Membership<'_>) -> Result<(), ErrorCode> {
        self.check_member(who)?;
        if who.generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Whether offsets may be committed in this name. Without one, only where there are no members
    /// to disturb; in a transaction also beside them, for old producers send no membership.
    pub(crate) fn check_commit(
        &self,
        who: Membership<'_>,
        kind: CommitKind,
    ) -> Result<(), ErrorCode> {
        if who.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if who.generation >= 0 || !who.member_id.is_empty() || who.instance_id.is_some() {
            self.check_generation(who)?;
        } else if kind == CommitKind::Plain {
            return Err(ErrorCode::UnknownMemberId);
        }
        // A valid member that commits before it has its assignment shall finish joining first.
        if kind == CommitKind::Plain && self.state == GroupState::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit shows that its member is alive.
    pub(crate) fn on_commit(&mut self, member_id: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.renew_session(now_ms);
        }
    }

    /// Whether a member with these protocols can live with the others.
    pub(super) fn supports(
        &self,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|offer| self.members.values().all(|member| member.supports(&offer.name)))
    }

    /// The protocol with the most votes among those that all members support. Each member votes for
    /// the first of these on its list; where votes are equal, the leader's list decides.
    pub(super) fn vote(&self) -> Option<String> {
        let common = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((choice, _)) = member.protocols.iter().find(|(name, _)| common(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().max().copied()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let preferred = leader
            .iter()
            .flat_map(|leader| &leader.protocols)
            .map(|(name, _)| name.as_str())
            .find(|name| votes.get(name) == Some(&most));
        let winner = preferred
            .or_else(|| votes.iter().find(|(_, count)| **count == most).map(|(name, _)| *name));
        winner.map(str::to_owned)
    }

    /// Reads what the members want, where they are consumers and say it in Kafka's format.
    pub(super) fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let subscription: ConsumerProtocolSubscription =
                decode_versioned_lenient(member.metadata(protocol)).ok()?;
            topics.extend(subscription.topics);
        }
        Some(topics)
    }

    /// Whether the group reads the topic; consumers that do not tell may read any.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether single offsets may be deleted: consumers tell us which ones they use, others do not.
    pub(crate) fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        if self.state == GroupState::Empty || self.is_consumer_group() {
            Ok(())
        } else {
            Err(ErrorCode::NonEmptyGroup)
        }
    }

    /// From when the retention of its offsets counts.
    pub(crate) fn expiry(&self) -> Expiry {
        if self.protocol_type.is_none() {
            return Expiry::SinceCommit;
        }
        match self.state {
            GroupState::Empty => {
                self.state_since_ms.map_or(Expiry::SinceCommit, Expiry::SinceEmpty)
            }
            GroupState::Stable if self.is_consumer_group() && self.subscribed_topics.is_some() => {
                Expiry::SinceCommit
            }
            _ => Expiry::Never,
        }
    }

    /// The record of the group as it is, with these assignments.
    pub(super) fn record(&self, assignment: impl Fn(&Member) -> Bytes) -> CoordinatorRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self
            .members
            .values()
            .map(|member| MemberMetadata {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout: member.rebalance_timeout_ms,
                session_timeout: member.session_timeout_ms,
                subscription: member.metadata(protocol),
                assignment: assignment(member),
            })
            .collect();
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since_ms.unwrap_or(-1),
            members,
        };
        records::group_record(&self.id, &value)
    }

    /// Takes over what the log says. Live, the members learn their assignments by it, and the group
    /// is stable if nothing has happened to the generation since.
    pub(crate) fn replay(&mut self, value: GroupMetadataValue) {
        let answers_sync = self.state == GroupState::CompletingRebalance
            && self.generation == value.generation
            && !value.members.is_empty();
        if answers_sync {
            for logged in &value.members {
                if let Some(member) = self.members.get_mut(&logged.member_id) {
                    member.assignment = logged.assignment.clone();
                }
            }
            self.state = GroupState::Stable;
        }
        self.logged = Some(value);
    }

    /// Makes the group live from what the log says, with a full session for every member.
    pub(crate) fn on_loaded(&mut self, now_ms: i64) {
        let Some(value) = &self.logged else { return };
        self.generation = value.generation;
        self.protocol_type = (!value.protocol_type.is_empty()).then(|| value.protocol_type.clone());
        self.protocol.clone_from(&value.protocol);
        self.leader.clone_from(&value.leader);
        self.state_since_ms =
            (value.current_state_timestamp >= 0).then_some(value.current_state_timestamp);
        let protocol = value.protocol.clone().unwrap_or_default();
        for logged in &value.members {
            let mut member = Member {
                id: logged.member_id.clone(),
                instance_id: logged.group_instance_id.clone(),
                client_id: logged.client_id.clone(),
                client_host: logged.client_host.clone(),
                // Records of the first version know one timeout for both.
                rebalance_timeout_ms: match logged.rebalance_timeout {
                    -1 => logged.session_timeout,
                    timeout => timeout,
                },
                session_timeout_ms: logged.session_timeout,
                protocols: vec![(protocol.clone(), logged.subscription.clone())],
                assignment: logged.assignment.clone(),
                is_new: false,
                waiting_join: None,
                waiting_sync: None,
                session_deadline_ms: 0,
            };
            member.renew_session(now_ms);
            if let Some(instance) = &member.instance_id {
                self.static_members.insert(instance.clone(), member.id.clone());
            }
            self.members.insert(member.id.clone(), member);
        }
        self.state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.subscribed_topics = self.subscriptions();
        if !self.members.is_empty() && self.leader.is_none() {
            self.resume_conversion(now_ms);
        }
    }
}

/// Which request commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommitKind {
    Plain,
    Transactional,
}
