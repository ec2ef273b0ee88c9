//! Records of `__consumer_offsets` as JSON, as Kafka's converters write it: a key with its type, a
//! value with its version, and what consumers told each other decoded.

use std::fmt::Debug;

use bytes::Bytes;
use kalda_protocol::stored::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kalda_protocol::stored::group::group_metadata::MemberMetadata;
use kalda_protocol::stored::group::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue, GroupKey,
    GroupMetadataValue, OffsetCommitValue,
};
use kalda_protocol::stored::{decode_versioned, decode_versioned_lenient};
use kalda_protocol::{DecodeError, Message};
use kalda_records::RecordView;
use serde_json::{Map, Value, json};

/// The texts that stand for a record's key and value; none where nothing is printed.
pub(super) type Texts = (String, Option<String>);

/// The texts of a record of `__consumer_offsets`.
pub(super) fn record(record: &RecordView<'_>) -> Texts {
    texts(record, GroupKey::decode, key_json, value_json)
}

/// The texts of a record of a coordinator, given how its key and value are read.
pub(super) fn texts<K>(
    record: &RecordView<'_>,
    decode_key: impl FnOnce(Bytes) -> Result<K, DecodeError>,
    key_json: impl FnOnce(&K) -> Value,
    value_json: impl FnOnce(&K, Bytes, i16) -> Result<Value, DecodeError>,
) -> Texts {
    let offset = record.offset;
    let failed = |error: DecodeError| match error {
        DecodeError::UnknownRecordType { record_type, .. } => {
            (format!("Unknown record type {record_type} at offset {offset}, skipping."), None)
        }
        other => (format!("Error at offset {offset}, skipping. {other}"), None),
    };
    let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
    let record_type = leading_number(&key);
    let decoded = match decode_key(key) {
        Ok(decoded) => decoded,
        Err(error) => return failed(error),
    };
    let data = key_json(&decoded);
    let key = json!({ "type": record_type.to_string(), "data": data }).to_string();
    let Some(value) = record.value else { return (key, Some("<DELETE>".to_owned())) };
    let value = Bytes::copy_from_slice(value);
    let version = leading_number(&value);
    match value_json(&decoded, value, version) {
        Ok(data) => {
            (key, Some(json!({ "version": version.to_string(), "data": data }).to_string()))
        }
        Err(error) => failed(error),
    }
}

fn leading_number(bytes: &[u8]) -> i16 {
    bytes.first_chunk().map_or(-1, |number| i16::from_be_bytes(*number))
}

fn key_json(key: &GroupKey) -> Value {
    match key {
        GroupKey::OffsetCommit(key) => {
            json!({ "group": key.group, "topic": key.topic, "partition": key.partition })
        }
        GroupKey::GroupMetadata(key) => json!({ "group": key.group }),
        other => super::metadata_json::variant(&format!("{other:?}")),
    }
}

fn value_json(key: &GroupKey, value: Bytes, version: i16) -> Result<Value, DecodeError> {
    match key {
        GroupKey::LegacyOffsetCommit(_) | GroupKey::OffsetCommit(_) => {
            Ok(offset_json(&decode_versioned(value)?, version))
        }
        GroupKey::GroupMetadata(_) => Ok(group_json(&decode_versioned(value)?, version)),
        GroupKey::ConsumerGroupMetadata(_) => plain::<ConsumerGroupMetadataValue>(value),
        GroupKey::ConsumerGroupMemberMetadata(_) => consumer_member_json(value),
        GroupKey::ConsumerGroupTargetAssignmentMetadata(_) => {
            plain::<ConsumerGroupTargetAssignmentMetadataValue>(value)
        }
        GroupKey::ConsumerGroupTargetAssignmentMember(_) => {
            plain::<ConsumerGroupTargetAssignmentMemberValue>(value)
        }
        GroupKey::ConsumerGroupCurrentMemberAssignment(_) => {
            plain::<ConsumerGroupCurrentMemberAssignmentValue>(value)
        }
        GroupKey::ConsumerGroupRegularExpression(_) => {
            plain::<ConsumerGroupRegularExpressionValue>(value)
        }
        // Share and streams groups have no reading here yet: their bytes are shown.
        _ => Ok(Value::String(base64(&value))),
    }
}

/// A value without bytes in it.
fn plain<V: Message + Debug>(value: Bytes) -> Result<Value, DecodeError> {
    let value: V = decode_versioned(value)?;
    Ok(super::metadata_json::structure(&format!("{value:?}")))
}

fn consumer_member_json(value: Bytes) -> Result<Value, DecodeError> {
    let member: ConsumerGroupMemberMetadataValue = decode_versioned(value)?;
    let mut json = super::metadata_json::structure(&format!("{member:?}"));
    let Some(classic) = &member.classic_member_metadata else { return Ok(json) };
    // What members of the classic protocol tell each other is bytes, which have no debug form to read.
    let protocols = classic.supported_protocols.iter();
    let protocols = protocols
        .map(|protocol| json!({ "name": protocol.name, "metadata": base64(&protocol.metadata) }));
    json["classicMemberMetadata"] = json!({
        "sessionTimeoutMs": classic.session_timeout_ms,
        "supportedProtocols": protocols.collect::<Vec<_>>(),
    });
    Ok(json)
}

fn offset_json(value: &OffsetCommitValue, version: i16) -> Value {
    let mut data = Map::new();
    data.insert("offset".to_owned(), json!(value.offset));
    if version >= 3 {
        data.insert("leaderEpoch".to_owned(), json!(value.leader_epoch));
    }
    data.insert("metadata".to_owned(), json!(value.metadata));
    data.insert("commitTimestamp".to_owned(), json!(value.commit_timestamp));
    if version == 1 {
        data.insert("expireTimestamp".to_owned(), json!(value.expire_timestamp));
    }
    if version >= 4 && value.topic_id != kalda_model::Uuid::ZERO {
        data.insert("topicId".to_owned(), json!(value.topic_id.to_string()));
    }
    Value::Object(data)
}

fn group_json(value: &GroupMetadataValue, version: i16) -> Value {
    let mut data = Map::new();
    data.insert("protocolType".to_owned(), json!(value.protocol_type));
    data.insert("generation".to_owned(), json!(value.generation));
    data.insert("protocol".to_owned(), json!(value.protocol));
    data.insert("leader".to_owned(), json!(value.leader));
    if version >= 2 {
        data.insert("currentStateTimestamp".to_owned(), json!(value.current_state_timestamp));
    }
    let is_of_consumers = value.protocol_type == "consumer";
    let members = value.members.iter().map(|member| member_json(member, version, is_of_consumers));
    data.insert("members".to_owned(), members.collect());
    Value::Object(data)
}

fn member_json(member: &MemberMetadata, version: i16, is_consumer: bool) -> Value {
    let mut data = Map::new();
    data.insert("memberId".to_owned(), json!(member.member_id));
    if version >= 3 {
        data.insert("groupInstanceId".to_owned(), json!(member.group_instance_id));
    }
    data.insert("clientId".to_owned(), json!(member.client_id));
    data.insert("clientHost".to_owned(), json!(member.client_host));
    if version >= 1 {
        data.insert("rebalanceTimeout".to_owned(), json!(member.rebalance_timeout));
    }
    data.insert("sessionTimeout".to_owned(), json!(member.session_timeout));
    // What does not decode is shown as it is, as are the blobs of other protocols.
    let read = |blob: &Bytes, decode: fn(&Bytes) -> Option<Value>| {
        let decoded = if is_consumer { decode(blob) } else { None };
        decoded.unwrap_or_else(|| Value::String(base64(blob)))
    };
    data.insert("subscription".to_owned(), read(&member.subscription, subscription_json));
    data.insert("assignment".to_owned(), read(&member.assignment, assignment_json));
    Value::Object(data)
}

fn subscription_json(blob: &Bytes) -> Option<Value> {
    let version = leading_number(blob);
    let told: ConsumerProtocolSubscription = decode_versioned_lenient(blob.clone()).ok()?;
    let mut data = Map::new();
    data.insert("topics".to_owned(), json!(told.topics));
    data.insert("userData".to_owned(), user_data(told.user_data.as_ref()));
    if version >= 1 {
        let owned = told.owned_partitions.iter();
        let owned = owned.map(|of| json!({ "topic": of.topic, "partitions": of.partitions }));
        data.insert("ownedPartitions".to_owned(), owned.collect());
    }
    if version >= 2 {
        data.insert("generationId".to_owned(), json!(told.generation_id));
    }
    if version >= 3 {
        data.insert("rackId".to_owned(), json!(told.rack_id));
    }
    Some(Value::Object(data))
}

fn assignment_json(blob: &Bytes) -> Option<Value> {
    let told: ConsumerProtocolAssignment = decode_versioned_lenient(blob.clone()).ok()?;
    let assigned = told.assigned_partitions.iter();
    let assigned = assigned.map(|of| json!({ "topic": of.topic, "partitions": of.partitions }));
    let assigned: Vec<Value> = assigned.collect();
    Some(json!({
        "assignedPartitions": assigned,
        "userData": user_data(told.user_data.as_ref()),
    }))
}

fn user_data(bytes: Option<&Bytes>) -> Value {
    bytes.map_or(Value::Null, |bytes| Value::String(base64(bytes)))
}

/// RFC 4648's base64 with padding, as Jackson writes bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let is_padding = digit > chunk.len();
            text.push(if is_padding { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_model::Offset;
    use kalda_protocol::stored::consumer_protocol::assignment::TopicPartition;
    use kalda_protocol::stored::group::{GroupMetadataKey, OffsetCommitKey};
    use kalda_protocol::stored::{encode_key, encode_versioned};
    use kalda_records::{BatchBuilder, BatchOptions, BatchView, RecordIter};

    fn texts(key: &[u8], value: Option<&[u8]>) -> (String, Option<String>) {
        let options = BatchOptions { base_offset: Offset(7), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.append(0, Some(key), value, &[]);
        let bytes = builder.build().unwrap();
        let batch = BatchView::new(&bytes).unwrap();
        let only = RecordIter::new(batch.payload(), &batch.header()).next().unwrap().unwrap();
        record(&only)
    }

    fn offset_key() -> Bytes {
        let (group, topic) = ("g1".to_owned(), "foo".to_owned());
        encode_key(&OffsetCommitKey { group, topic, partition: 0 }).unwrap()
    }

    #[test]
    fn commits_look_as_kafka_prints_them() {
        let value = OffsetCommitValue {
            offset: 4,
            leader_epoch: 0,
            commit_timestamp: 1_795_223_968_984,
            ..Default::default()
        };
        let (key, payload) = texts(&offset_key(), Some(&encode_versioned(&value, 4).unwrap()));
        assert_eq!(key, r#"{"type":"1","data":{"group":"g1","topic":"foo","partition":0}}"#);
        assert_eq!(
            payload.unwrap(),
            r#"{"version":"4","data":{"offset":4,"leaderEpoch":0,"metadata":"","commitTimestamp":1795223968984}}"#
        );
        assert_eq!(texts(&offset_key(), None).1.unwrap(), "<DELETE>");
    }

    #[test]
    fn groups_show_what_their_members_told_each_other() {
        let subscription =
            ConsumerProtocolSubscription { topics: vec!["foo".into()], ..Default::default() };
        let topic = TopicPartition { topic: "foo".into(), partitions: vec![0, 1] };
        let assignment =
            ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
        let member = MemberMetadata {
            member_id: "m".into(),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout: 3,
            session_timeout: 4,
            subscription: encode_versioned(&subscription, 3).unwrap(),
            assignment: encode_versioned(&assignment, 3).unwrap(),
            ..Default::default()
        };
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 1,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            current_state_timestamp: 5,
            members: vec![member],
        };
        let key = encode_key(&GroupMetadataKey { group: "g1".into() }).unwrap();
        let (key, payload) = texts(&key, Some(&encode_versioned(&value, 3).unwrap()));
        assert_eq!(key, r#"{"type":"2","data":{"group":"g1"}}"#);
        assert_eq!(
            payload.unwrap(),
            r#"{"version":"3","data":{"protocolType":"consumer","generation":1,"protocol":"range","leader":"m","currentStateTimestamp":5,"members":[{"memberId":"m","groupInstanceId":null,"clientId":"c","clientHost":"/h","rebalanceTimeout":3,"sessionTimeout":4,"subscription":{"topics":["foo"],"userData":null,"ownedPartitions":[],"generationId":-1,"rackId":null},"assignment":{"assignedPartitions":[{"topic":"foo","partitions":[0,1]}],"userData":null}}]}}"#
        );
    }

    #[test]
    fn what_is_unknown_or_damaged_is_said() {
        let unknown = ("Unknown record type 99 at offset 7, skipping.".to_owned(), None);
        assert_eq!(texts(&[0, 99, 0], Some(b"x")), unknown);
        let (key, payload) = texts(&offset_key(), Some(&[0, 4, 1]));
        assert!(key.starts_with("Error at offset 7, skipping. "), "{key}");
        assert_eq!(payload, None);
    }

    #[test]
    fn bytes_are_base64() {
        let coded = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
