//! Decisions as lines of text, for scripts.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::consumer_protocol::assignment::TopicPartition as Assigned;
use kalda_protocol::stored::consumer_protocol::subscription::TopicPartition as Owned;
use kalda_protocol::stored::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kalda_protocol::stored::{decode_versioned, encode_versioned};

use crate::consumer::{Change, Partitions};
use crate::records::{self, Replayed};
use crate::{CoordinatorRecord, GroupResponse};

pub(super) fn error(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("?", ErrorCode::name)
}

/// `@a+b` is a consumer's subscription to topics a and b, `@a/a-0.a-1` of one that owns two
/// partitions, `#a-0.a-1` an assignment of these, anything else itself.
pub(super) fn metadata(text: &str) -> Bytes {
    if let Some(subscription) = text.strip_prefix('@') {
        let (topics, owned) = subscription.split_once('/').unwrap_or((subscription, ""));
        let topics = topics.split('+').map(str::to_owned).collect();
        let owned = by_topic(owned).map(|(topic, partitions)| Owned { topic, partitions });
        let owned_partitions = owned.collect();
        let subscription = ConsumerProtocolSubscription {
            topics,
            owned_partitions,
            ..ConsumerProtocolSubscription::default()
        };
        encode_versioned(&subscription, 1).unwrap()
    } else if let Some(partitions) = text.strip_prefix('#') {
        let assigned =
            by_topic(partitions).map(|(topic, partitions)| Assigned { topic, partitions });
        let assigned_partitions = assigned.collect();
        let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
        encode_versioned(&assignment, 1).unwrap()
    } else {
        Bytes::from(text.to_owned())
    }
}

fn by_topic(partitions: &str) -> impl Iterator<Item = (String, Vec<i32>)> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions.split('.').filter_map(|item| item.rsplit_once('-')) {
        topics.entry(topic.to_owned()).or_default().push(partition.parse().unwrap());
    }
    topics.into_iter()
}

fn blob(bytes: &Bytes) -> String {
    let listed = |topic: &str, partitions: &[i32]| {
        let one = |partition: &i32| format!("{topic}-{partition}");
        partitions.iter().map(one).collect::<Vec<_>>().join(".")
    };
    // A subscription does not read as an assignment, which the other way round may happen.
    if let Ok(assignment) = decode_versioned::<ConsumerProtocolAssignment>(bytes.clone()) {
        let topics = assignment.assigned_partitions.iter();
        let topics: Vec<String> = topics.map(|at| listed(&at.topic, &at.partitions)).collect();
        return format!("#{}", topics.join("."));
    }
    match decode_versioned::<ConsumerProtocolSubscription>(bytes.clone()) {
        Ok(subscription) => {
            let owned = subscription.owned_partitions.iter();
            let owned: Vec<String> = owned.map(|at| listed(&at.topic, &at.partitions)).collect();
            let owned =
                if owned.is_empty() { String::new() } else { format!("/{}", owned.join(".")) };
            format!("@{}{owned}", subscription.topics.join("+"))
        }
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

pub(super) fn record(record: &CoordinatorRecord) -> String {
    match records::decode(record).unwrap() {
        Replayed::Offset { key, value: None } => {
            format!("offset {} {}-{} deleted", key.group, key.topic, key.partition)
        }
        Replayed::Offset { key, value: Some(value) } => {
            let mut line = format!(
                "offset {} {}-{} = {} epoch={} at={}",
                key.group,
                key.topic,
                key.partition,
                value.offset,
                value.leader_epoch,
                value.commit_timestamp
            );
            if !value.metadata.is_empty() {
                line += &format!(" metadata={}", value.metadata);
            }
            if value.expire_timestamp != -1 {
                line += &format!(" expires={}", value.expire_timestamp);
            }
            line
        }
        Replayed::Group { group, value: None } => format!("group {group} deleted"),
        Replayed::Group { group, value: Some(value) } => {
            let members: Vec<String> = value
                .members
                .iter()
                .map(|member| {
                    let id = named(&member.member_id, member.group_instance_id.as_deref());
                    format!("{id}={}>{}", blob(&member.subscription), blob(&member.assignment))
                })
                .collect();
            format!(
                "group {group} type={} generation={} protocol={} leader={} since={} members=[{}]",
                value.protocol_type,
                value.generation,
                value.protocol.as_deref().unwrap_or("-"),
                value.leader.as_deref().unwrap_or("-"),
                value.current_state_timestamp,
                members.join(" ")
            )
        }
        Replayed::Consumer { group, change } => {
            format!("consumer {group} {}", change_words(&change))
        }
        Replayed::Skipped => "skipped".to_owned(),
    }
}

fn partitions(partitions: &Partitions) -> String {
    let one = |(topic, partition): &(kalda_model::TopicId, i32)| {
        format!("{}-{partition}", topic.0.to_be_bytes()[0])
    };
    format!("[{}]", partitions.iter().map(one).collect::<Vec<_>>().join(" "))
}

fn change_words(change: &Change) -> String {
    match change {
        Change::Epoch(Some((epoch, _))) => format!("epoch={epoch}"),
        Change::Epoch(None) => "deleted".to_owned(),
        Change::Member(id, Some(member)) => {
            let mut line =
                format!("member {id} topics={}", member.subscribed_topic_names.join("+"));
            if let Some(instance) = &member.instance_id {
                line += &format!(" instance={instance}");
            }
            if let Some(regex) = &member.subscribed_topic_regex {
                line += &format!(" regex={regex}");
            }
            if let Some(classic) = &member.classic_member_metadata {
                let names = classic.supported_protocols.iter().map(|protocol| &*protocol.name);
                line += &format!(" classic={}", names.collect::<Vec<_>>().join("+"));
            }
            line
        }
        Change::TargetEpoch(epoch) => format!("target epoch={epoch:?}"),
        Change::Target(id, Some(target)) => format!("target {id} {}", partitions(target)),
        Change::Current(id, Some(current)) => format!(
            "current {id} {:?} epoch={} previous={} {} revoking={}",
            current.state,
            current.epoch,
            current.previous_epoch,
            partitions(&current.assigned),
            partitions(&current.revoking)
        ),
        Change::Regex(regex, Some(resolved)) => {
            let topics: Vec<&str> = resolved.topics.iter().map(String::as_str).collect();
            format!("regex {regex} [{}]", topics.join(" "))
        }
        Change::Regex(regex, None) => format!("regex {regex} deleted"),
        Change::Member(id, None) => format!("member {id} deleted"),
        Change::Target(id, None) => format!("target {id} deleted"),
        Change::Current(id, None) => format!("current {id} deleted"),
    }
}

fn named(member_id: &str, instance: Option<&str>) -> String {
    match instance {
        Some(instance) => format!("{member_id}({instance})"),
        None => member_id.to_owned(),
    }
}

pub(super) fn response(response: &GroupResponse) -> String {
    match response {
        GroupResponse::Join(join) => {
            let members: Vec<String> = join
                .members
                .iter()
                .map(|member| {
                    let id = named(&member.member_id, member.group_instance_id.as_deref());
                    format!("{id}={}", blob(&member.metadata))
                })
                .collect();
            let mut line = format!(
                "join {} member={} generation={} protocol={:?} leader={} members=[{}]",
                error(join.error_code),
                join.member_id,
                join.generation_id,
                join.protocol_name.as_deref().unwrap_or("null"),
                join.leader,
                members.join(" ")
            );
            if join.skip_assignment {
                line += " skip_assignment";
            }
            line
        }
        GroupResponse::Sync(sync) => {
            let protocol = sync.protocol_name.as_deref().unwrap_or("null");
            let assignment = blob(&sync.assignment);
            format!("sync {} protocol={protocol} assignment={assignment}", error(sync.error_code))
        }
        GroupResponse::Heartbeat(heartbeat) => format!("heartbeat {}", error(heartbeat.error_code)),
        GroupResponse::Leave(leave) => {
            let members: Vec<String> = leave
                .members
                .iter()
                .map(|member| {
                    let id = named(&member.member_id, member.group_instance_id.as_deref());
                    format!("{id}:{}", error(member.error_code))
                })
                .collect();
            format!("leave {} members=[{}]", error(leave.error_code), members.join(" "))
        }
        other => offset_response(other),
    }
}

fn offset_response(response: &GroupResponse) -> String {
    let parts: Vec<String> = match response {
        GroupResponse::OffsetCommit(commit) => commit
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)))
            .map(|(topic, at)| {
                format!("{}-{}:{}", topic.name, at.partition_index, error(at.error_code))
            })
            .collect(),
        GroupResponse::TxnOffsetCommit(commit) => commit
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)))
            .map(|(topic, at)| {
                format!("{}-{}:{}", topic.name, at.partition_index, error(at.error_code))
            })
            .collect(),
        GroupResponse::OffsetFetch(fetch) => std::iter::once(error(fetch.error_code).to_owned())
            .chain(fetch.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |at| {
                    format!(
                        "{}-{}={}/{}/{:?}:{}",
                        topic.name,
                        at.partition_index,
                        at.committed_offset,
                        at.committed_leader_epoch,
                        at.metadata.as_deref().unwrap_or("null"),
                        error(at.error_code)
                    )
                })
            }))
            .collect(),
        GroupResponse::OffsetDelete(delete) => std::iter::once(error(delete.error_code).to_owned())
            .chain(delete.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |at| {
                    format!("{}-{}:{}", topic.name, at.partition_index, error(at.error_code))
                })
            }))
            .collect(),
        other => return admin_response(other),
    };
    format!("offsets {}", parts.join(" "))
}

fn admin_response(response: &GroupResponse) -> String {
    match response {
        GroupResponse::Describe(groups) => groups
            .iter()
            .map(|group| {
                let members: Vec<String> = group
                    .members
                    .iter()
                    .map(|member| {
                        let id = named(&member.member_id, member.group_instance_id.as_deref());
                        let given = blob(&member.member_assignment);
                        format!(
                            "{id}{}={}>{given}",
                            member.client_host,
                            blob(&member.member_metadata)
                        )
                    })
                    .collect();
                format!(
                    "described {} {} {} type={} protocol={} message={:?} members=[{}]",
                    group.group_id,
                    error(group.error_code),
                    group.group_state,
                    group.protocol_type,
                    group.protocol_data,
                    group.error_message.as_deref().unwrap_or("null"),
                    members.join(" ")
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
        GroupResponse::List(Err(refused)) => format!("list {}", error(refused.code())),
        GroupResponse::List(Ok(groups)) => {
            let row = |group: &kalda_protocol::messages::list_groups::ListedGroup| {
                format!(
                    "{}/{}/{}/{}",
                    group.group_id, group.protocol_type, group.group_state, group.group_type
                )
            };
            format!("list [{}]", groups.iter().map(row).collect::<Vec<_>>().join(" "))
        }
        GroupResponse::Delete(groups) => {
            let results: Vec<String> = groups
                .iter()
                .map(|group| format!("{}:{}", group.group_id, error(group.error_code)))
                .collect();
            format!("delete {}", results.join(" "))
        }
        GroupResponse::ConsumerGroupHeartbeat(heartbeat) => {
            let assignment = heartbeat.assignment.as_ref().map(|assignment| {
                let topics = assignment.topic_partitions.iter();
                let all = topics.flat_map(|topic| {
                    topic.partitions.iter().map(move |partition| (topic.topic_id, *partition))
                });
                partitions(&all.collect())
            });
            format!(
                "consumer {} member={} epoch={} assignment={}",
                error(heartbeat.error_code),
                heartbeat.member_id.as_deref().unwrap_or("null"),
                heartbeat.member_epoch,
                assignment.as_deref().unwrap_or("null")
            ) + &heartbeat.error_message.iter().map(|text| format!(" {text}")).collect::<String>()
        }
        GroupResponse::ConsumerGroupDescribe(groups) => groups
            .iter()
            .map(|group| {
                let member =
                    |member: &kalda_protocol::messages::consumer_group_describe::Member| {
                        let regex = member.subscribed_topic_regex.iter();
                        let regex: String = regex.map(|regex| format!("~{regex}")).collect();
                        let kind = if member.member_type == 0 { "/classic" } else { "" };
                        format!("{}@{}{regex}{kind}", member.member_id, member.member_epoch)
                    };
                format!(
                    "described {} {} {} epoch={}/{} {} members=[{}]",
                    group.group_id,
                    error(group.error_code),
                    group.group_state,
                    group.group_epoch,
                    group.assignment_epoch,
                    group.assignor_name,
                    group.members.iter().map(member).collect::<Vec<_>>().join(" ")
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
        other => format!("{other:?}"),
    }
}
