//! What the log says of a consumer group, and the changes that its records are. The same function
//! applies them to drafts, live and while loading.

use std::collections::{BTreeMap, BTreeSet};

use kalda_metadata::{Image, TopicImage};
use kalda_model::TopicId;
use kalda_protocol::stored::group::ConsumerGroupMemberMetadataValue;
use kalda_protocol::stored::group::consumer_group_member_metadata::ClassicMemberMetadata;

/// Partitions of any topics.
pub(crate) type Partitions = BTreeSet<(TopicId, i32)>;

/// Where a member is on the way to its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum MemberState {
    /// It has what it is to have in its epoch.
    #[default]
    Stable,
    /// It has to give partitions up before it may go on to the next epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up.
    UnreleasedPartitions,
}

/// What a member holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Partitions,
    pub(crate) revoking: Partitions,
}

/// One member.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ConsumerMember {
    pub(crate) metadata: ConsumerGroupMemberMetadataValue,
    pub(crate) current: Current,
}

impl ConsumerMember {
    /// What is known of a member that speaks the classic protocol; `None` for the others.
    pub(crate) fn classic(&self) -> Option<&ClassicMemberMetadata> {
        self.metadata.classic_member_metadata.as_ref()
    }

    /// The regular expression that it subscribes to, if any.
    pub(crate) fn regex(&self) -> Option<&str> {
        self.metadata.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty())
    }
}

/// The topics that a regular expression stood for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<String>,
    /// The end offset of the metadata that was looked through.
    pub(crate) version: i64,
    /// When that was.
    pub(crate) timestamp_ms: i64,
}

/// One group.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ConsumerState {
    /// Grows with each change of members, subscriptions or topics.
    pub(crate) epoch: i32,
    /// Of the topics subscribed to, as they were at that epoch.
    pub(crate) metadata_hash: i64,
    /// The epoch that `targets` were made for.
    pub(crate) target_epoch: i32,
    pub(crate) members: BTreeMap<String, ConsumerMember>,
    /// What each member shall have in the end.
    pub(crate) targets: BTreeMap<String, Partitions>,
    /// The regular expressions that members subscribe to. One that is missing matches nothing yet.
    pub(crate) regexes: BTreeMap<String, ResolvedRegex>,
}

/// A record of a consumer group; `None` is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Change {
    Epoch(Option<(i32, i64)>),
    Member(String, Option<ConsumerGroupMemberMetadataValue>),
    TargetEpoch(Option<i32>),
    Target(String, Option<Partitions>),
    Current(String, Option<Current>),
    Regex(String, Option<ResolvedRegex>),
}

impl ConsumerState {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(value) => {
                (self.epoch, self.metadata_hash) = value.unwrap_or_default();
            }
            Change::Member(id, Some(metadata)) => {
                self.members.entry(id).or_default().metadata = metadata;
            }
            Change::Member(id, None) => {
                self.members.remove(&id);
            }
            Change::TargetEpoch(value) => self.target_epoch = value.unwrap_or_default(),
            Change::Target(id, Some(partitions)) => {
                self.targets.insert(id, partitions);
            }
            Change::Target(id, None) => {
                self.targets.remove(&id);
            }
            // Compaction may leave this record before the one that makes the member.
            Change::Current(id, Some(current)) => {
                self.members.entry(id).or_default().current = current;
            }
            Change::Current(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.current = Current::default();
                }
            }
            Change::Regex(regex, Some(resolved)) => {
                self.regexes.insert(regex, resolved);
            }
            Change::Regex(regex, None) => {
                self.regexes.remove(&regex);
            }
        }
    }

    /// The member of that instance.
    pub(crate) fn instance(&self, instance: &str) -> Option<&str> {
        self.members
            .iter()
            .find(|(_, member)| member.metadata.instance_id.as_deref() == Some(instance))
            .map(|(id, _)| id.as_str())
    }

    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribers(topic).next().is_some()
    }

    /// The names that the member subscribes to, be it by an expression.
    pub(crate) fn subscription<'a>(
        &'a self,
        member: &'a ConsumerMember,
    ) -> impl Iterator<Item = &'a str> {
        let matched = member.regex().and_then(|regex| self.regexes.get(regex));
        let matched = matched.into_iter().flat_map(|resolved| &resolved.topics);
        member.metadata.subscribed_topic_names.iter().chain(matched).map(String::as_str)
    }

    fn wants(&self, member: &ConsumerMember, topic: &str) -> bool {
        let matched = member.regex().and_then(|regex| self.regexes.get(regex));
        matched.is_some_and(|resolved| resolved.topics.contains(topic))
            || member.metadata.subscribed_topic_names.iter().any(|name| name == topic)
    }

    /// Whether that member reads the topic.
    pub(crate) fn reads(&self, member_id: &str, topic: &str) -> bool {
        self.members.get(member_id).is_some_and(|member| self.wants(member, topic))
    }

    /// The topics that anybody reads and that there are, by name.
    pub(crate) fn topics<'a>(&self, image: &'a Image) -> Vec<&'a TopicImage> {
        let members = self.members.values();
        let names: BTreeSet<&str> = members.flat_map(|member| self.subscription(member)).collect();
        names.into_iter().filter_map(|name| image.topics.by_name(name)).map(AsRef::as_ref).collect()
    }

    pub(crate) fn subscribers<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a str> {
        self.members
            .iter()
            .filter(move |(_, member)| self.wants(member, topic))
            .map(|(id, _)| id.as_str())
    }

    /// The expressions that members subscribe to, resolved or not.
    pub(crate) fn subscribed_regexes(&self) -> BTreeSet<&str> {
        self.members.values().filter_map(ConsumerMember::regex).collect()
    }

    pub(crate) fn target_of(&self, member: &str) -> Partitions {
        self.targets.get(member).cloned().unwrap_or_default()
    }

    /// Whether everybody has all that it shall have, by the newest plan.
    pub(crate) fn is_settled(&self) -> bool {
        self.are_settled(self.members.iter())
    }

    /// [`Self::is_settled`] for all but one.
    pub(crate) fn is_settled_without(&self, member_id: &str) -> bool {
        self.are_settled(self.members.iter().filter(|(id, _)| *id != member_id))
    }

    fn are_settled<'a>(
        &self,
        mut members: impl Iterator<Item = (&'a String, &'a ConsumerMember)>,
    ) -> bool {
        self.epoch == self.target_epoch
            && members.all(|(id, member)| {
                member.current.state == MemberState::Stable
                    && member.current.epoch == self.target_epoch
                    && self.targets.get(id).map_or(member.current.assigned.is_empty(), |target| {
                        *target == member.current.assigned
                    })
            })
    }

    /// As tools show it.
    pub(crate) fn name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.is_settled() {
            "Stable"
        } else {
            "Reconciling"
        }
    }
}
