//! Decisions as lines of text, for scripts.

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::consumer_protocol::ConsumerProtocolSubscription;
use kalda_protocol::stored::{decode_versioned, encode_versioned};

use crate::records::{self, Replayed};
use crate::{CoordinatorRecord, GroupResponse};

pub(super) fn error(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("?", ErrorCode::name)
}

/// `@a+b` is a consumer's subscription to topics a and b, anything else itself.
pub(super) fn metadata(text: &str) -> Bytes {
    match text.strip_prefix('@') {
        Some(topics) => {
            let topics = topics.split('+').map(str::to_owned).collect();
            let subscription =
                ConsumerProtocolSubscription { topics, ..ConsumerProtocolSubscription::default() };
            encode_versioned(&subscription, 1).unwrap()
        }
        None => Bytes::from(text.to_owned()),
    }
}

fn blob(bytes: &Bytes) -> String {
    match decode_versioned::<ConsumerProtocolSubscription>(bytes.clone()) {
        Ok(subscription) => format!("@{}", subscription.topics.join("+")),
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
        Replayed::Skipped => "skipped".to_owned(),
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
        GroupResponse::List(groups) => {
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
        other => format!("{other:?}"),
    }
}
