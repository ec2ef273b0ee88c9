//! A group as it will be once the records of a decision are replayed.

use kalda_metadata::Image;
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;

use super::records::consumer_record;
use super::state::{Change, ConsumerState, Current, MemberState, Partitions, ResolvedRegex};
use super::subscription::metadata_hash;
use crate::decision::CoordinatorRecord;

/// A copy of the group to work on; what changes is noted as records.
pub(crate) struct Draft<'a> {
    group: &'a str,
    pub(super) state: ConsumerState,
    records: Vec<CoordinatorRecord>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(group: &'a str, state: &ConsumerState) -> Self {
        Self { group, state: state.clone(), records: Vec::new() }
    }

    /// A draft that brings the group into being as it is in `state`.
    pub(crate) fn creating(group: &'a str, state: ConsumerState) -> Self {
        let mut draft = Self::new(group, &ConsumerState::default());
        for (id, member) in &state.members {
            draft.put_member(id, member.metadata.clone());
        }
        draft.write(Change::Epoch(Some((state.epoch, state.metadata_hash))));
        for (id, target) in state.targets {
            draft.put_target(&id, target);
        }
        draft.put_target_epoch(state.target_epoch);
        for (id, member) in state.members {
            draft.put_current(&id, member.current);
        }
        draft
    }

    pub(crate) fn into_records(self) -> Vec<CoordinatorRecord> {
        self.records
    }

    fn write(&mut self, change: Change) {
        self.records.push(consumer_record(self.group, &change));
        self.state.apply(change);
    }

    pub(super) fn put_member(&mut self, id: &str, metadata: ConsumerGroupMemberMetadataValue) {
        self.write(Change::Member(id.to_owned(), Some(metadata)));
    }

    pub(super) fn put_current(&mut self, id: &str, current: Current) {
        self.write(Change::Current(id.to_owned(), Some(current)));
    }

    pub(super) fn put_target(&mut self, id: &str, target: Partitions) {
        self.write(Change::Target(id.to_owned(), Some(target)));
    }

    pub(super) fn put_target_epoch(&mut self, epoch: i32) {
        self.write(Change::TargetEpoch(Some(epoch)));
    }

    pub(super) fn put_regex(&mut self, regex: String, resolved: ResolvedRegex) {
        self.write(Change::Regex(regex, Some(resolved)));
    }

    fn remove_member(&mut self, id: &str) {
        self.write(Change::Current(id.to_owned(), None));
        self.write(Change::Target(id.to_owned(), None));
        self.write(Change::Member(id.to_owned(), None));
    }

    /// Takes members out, and begins a new epoch without them.
    pub(crate) fn fence(&mut self, members: &[String], image: &Image) {
        for id in members {
            self.remove_member(id);
        }
        self.drop_unused_regexes();
        self.bump_epoch(image);
    }

    /// Nobody subscribes to them any more.
    pub(super) fn drop_unused_regexes(&mut self) {
        let used = self.state.subscribed_regexes();
        let known = self.state.regexes.keys();
        let unused: Vec<String> =
            known.filter(|regex| !used.contains(regex.as_str())).cloned().collect();
        for regex in unused {
            self.write(Change::Regex(regex, None));
        }
    }

    /// A new static member takes over what the old one of the instance had.
    pub(super) fn replace_member(&mut self, old: &str, new: &str) {
        let Some(member) = self.state.members.get(old).cloned() else { return };
        let target = self.state.target_of(old);
        self.remove_member(old);
        self.put_member(new, member.metadata);
        self.put_target(new, target);
        let current = Current {
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            revoking: Partitions::new(),
            ..member.current
        };
        self.put_current(new, current);
    }

    pub(super) fn bump_epoch(&mut self, image: &Image) {
        let hash = metadata_hash(&self.state, image);
        let epoch = self.state.epoch.saturating_add(1);
        self.write(Change::Epoch(Some((epoch, hash))));
    }

    /// Ends the group.
    pub(crate) fn delete(&mut self) {
        let members: Vec<String> = self.state.members.keys().cloned().collect();
        for id in &members {
            self.write(Change::Current(id.clone(), None));
        }
        for id in &members {
            self.write(Change::Target(id.clone(), None));
        }
        self.write(Change::TargetEpoch(None));
        for id in members {
            self.write(Change::Member(id, None));
        }
        self.drop_unused_regexes();
        self.write(Change::Epoch(None));
    }
}
