//! Records of the metadata log, of the quorum and of groups as JSON, as Kafka's converters write it:
//! fields in the order of the schema, tagged ones only where they are not their default.
//!
//! The structs of the protocol have no reflection but `Debug`, so their debug form is read back as a
//! tree. It only feeds eyes and scripts of this tool; nothing is ever built from it.

use std::iter::Peekable;
use std::str::Chars;

use bytes::Bytes;
use kalda_protocol::stored::MetadataRecord;
use kalda_protocol::stored::raft::ControlRecord;
use kalda_records::ControlType;
use serde_json::{Map, Value, json};

/// Fields that a record has from some version on: record, field, version.
const SINCE: &[(&str, &str, i16)] = &[
    ("RegisterBrokerRecord", "inControlledShutdown", 1),
    ("RegisterBrokerRecord", "isMigratingZkBroker", 2),
    ("PartitionRecord", "directories", 1),
    ("Voter", "voterDirectoryId", 1),
];

/// Tagged fields: record, fields, all of which are left out when they hold their default.
const TAGGED: &[(&str, &[&str])] = &[
    ("AbortTransactionRecord", &["reason"]),
    ("BeginTransactionRecord", &["name"]),
    ("BrokerRegistrationChangeRecord", &["fenced", "inControlledShutdown", "logDirs"]),
    ("PartitionRecord", &["leaderRecoveryState", "eligibleLeaderReplicas", "lastKnownElr"]),
    (
        "PartitionChangeRecord",
        &[
            "isr",
            "leader",
            "replicas",
            "removingReplicas",
            "addingReplicas",
            "leaderRecoveryState",
            "directories",
            "eligibleLeaderReplicas",
            "lastKnownElr",
        ],
    ),
    ("RegisterBrokerRecord", &["logDirs"]),
    ("ConsumerGroupMemberMetadataValue", &["classicMemberMetadata"]),
    ("ConsumerGroupMetadataValue", &["metadataHash"]),
];

/// The JSON of a metadata record's value; what does not decode is said instead.
pub(super) fn record(value: &[u8]) -> String {
    // Frame version, type and version are one byte each below 128.
    let version = i16::from(value.get(2).copied().unwrap_or_default());
    match MetadataRecord::decode_value(Bytes::copy_from_slice(value)) {
        Ok(record) => {
            let name = record.type_name();
            let data = Reader::new(&format!("{record:?}"), version).read_variant();
            json!({ "type": screaming(name), "version": version, "data": data }).to_string()
        }
        Err(error) => format!("Error at {} bytes, skipping. {error}", value.len()),
    }
}

/// The JSON of a control record's value; what does not decode is said instead.
pub(super) fn control(kind: ControlType, value: &[u8]) -> String {
    let key = Bytes::copy_from_slice(&kind.to_key());
    match ControlRecord::decode(key, Bytes::copy_from_slice(value)) {
        Ok(record) => {
            let version = value.first_chunk().map_or(0, |version| i16::from_be_bytes(*version));
            // Only the voters of a leader change differ between versions.
            let version = if kind == ControlType::LeaderChange { version } else { i16::MAX };
            Reader::new(&format!("{record:?}"), version).read_variant().to_string()
        }
        Err(error) => error.to_string(),
    }
}

/// The JSON of the struct within an enum's variant, from its debug form.
pub(super) fn variant(debug: &str) -> Value {
    Reader::new(debug, i16::MAX).read_variant()
}

/// The JSON of a struct, from its debug form.
pub(super) fn structure(debug: &str) -> Value {
    Reader::new(debug, i16::MAX).read()
}

/// `RegisterBrokerRecord` as `REGISTER_BROKER_RECORD`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(char.to_ascii_uppercase());
    }
    text
}

/// `min_supported_version` as `minSupportedVersion`.
fn camel(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("kraft_version") {
        return format!("kRaftVersion{}", if rest.is_empty() { "" } else { "Feature" });
    }
    let mut text = String::new();
    for (index, word) in name.split('_').enumerate() {
        let mut chars = word.chars();
        match chars.next() {
            Some(first) if index > 0 => text.push(first.to_ascii_uppercase()),
            Some(first) => text.push(first),
            None => {}
        }
        text.extend(chars);
    }
    text
}

fn is_left_out(record: &str, field: &str, value: &Value, version: i16) -> bool {
    let is_later =
        |(of, name, since): &(&str, &str, i16)| *of == record && *name == field && version < *since;
    let is_tagged = TAGGED.iter().any(|(of, fields)| *of == record && fields.contains(&field));
    let default = match (record, field) {
        ("PartitionChangeRecord", "leader") => json!(-2),
        ("PartitionChangeRecord", "leaderRecoveryState") => json!(-1),
        (_, "fenced" | "inControlledShutdown" | "leaderRecoveryState" | "metadataHash") => {
            json!(0)
        }
        (_, "logDirs") => json!([]),
        _ => Value::Null,
    };
    SINCE.iter().any(is_later) || is_tagged && *value == default
}

/// Reads a debug form.
struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    version: i16,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, version: i16) -> Self {
        Self { chars: text.chars().peekable(), version }
    }

    /// The struct within an enum's variant: `Topic(TopicRecord { … })`.
    fn read_variant(&mut self) -> Value {
        self.word();
        self.chars.next();
        self.read()
    }

    fn skip(&mut self, chars: &[char]) {
        while self.chars.next_if(|char| chars.contains(char)).is_some() {}
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(char) = self
            .chars
            .next_if(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.'))
        {
            word.push(char);
        }
        word
    }

    fn read(&mut self) -> Value {
        match self.chars.peek() {
            Some('[') => {
                self.chars.next();
                let mut elements = Vec::new();
                while self.chars.peek().is_some_and(|char| *char != ']') {
                    elements.push(self.read());
                    self.skip(&[',', ' ']);
                }
                self.chars.next();
                Value::Array(elements)
            }
            Some('"') => Value::String(self.text()),
            _ => self.named(),
        }
    }

    /// A struct, an `Option`, a number, a truth value, an id, or bytes.
    fn named(&mut self) -> Value {
        let word = self.word();
        match (word.as_str(), self.chars.peek()) {
            ("None", _) => Value::Null,
            ("true", _) => Value::Bool(true),
            ("false", _) => Value::Bool(false),
            ("b", Some('"')) => Value::String(self.text()),
            (_, Some('(')) => {
                self.chars.next();
                let inner = self.read();
                self.chars.next();
                inner
            }
            (name, _) if name.starts_with(|char: char| char.is_ascii_digit() || char == '-') => {
                name.parse::<i64>().map_or_else(|_| Value::String(word.clone()), Value::from)
            }
            (name, Some(' ')) if name.starts_with(|char: char| char.is_ascii_uppercase()) => {
                self.skip(&[' ']);
                if self.chars.peek() == Some(&'{') { self.fields(name) } else { json!(name) }
            }
            // A struct without fields; an id has 22 characters.
            (name, _) if name.ends_with("Record") && name.len() != 22 => Value::Object(Map::new()),
            (name, _) => json!(name),
        }
    }

    fn fields(&mut self, record: &str) -> Value {
        self.skip(&['{', ' ']);
        let mut fields = Map::new();
        while self.chars.peek().is_some_and(|char| *char != '}') {
            let name = camel(&self.word());
            self.skip(&[':', ' ']);
            let value = self.read();
            if !is_left_out(record, &name, &value, self.version) {
                fields.insert(name, value);
            }
            self.skip(&[',', ' ']);
            if self.chars.peek().is_none() {
                break;
            }
        }
        self.chars.next();
        Value::Object(fields)
    }

    /// A quoted text with Rust's escapes.
    fn text(&mut self) -> String {
        self.chars.next();
        let mut text = String::new();
        while let Some(char) = self.chars.next() {
            match char {
                '"' => break,
                '\\' => match self.chars.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some('u') => {
                        self.chars.next();
                        let digits: String =
                            std::iter::from_fn(|| self.chars.next_if(|char| *char != '}'))
                                .collect();
                        self.chars.next();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        text.extend(code.and_then(char::from_u32));
                    }
                    Some(other) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_protocol::stored::metadata::{
        BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, NoOpRecord,
        PartitionChangeRecord,
    };
    use kalda_protocol::stored::raft::{KRaftVersionRecord, LeaderChangeMessage};

    fn of(record: impl Into<MetadataRecord>) -> String {
        super::record(&record.into().encode_value().unwrap())
    }

    #[test]
    fn records_look_as_kafka_prints_them() {
        let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 27 };
        assert_eq!(
            of(feature),
            r#"{"type":"FEATURE_LEVEL_RECORD","version":0,"data":{"name":"metadata.version","featureLevel":27}}"#
        );
        assert_eq!(of(NoOpRecord {}), r#"{"type":"NO_OP_RECORD","version":0,"data":{}}"#);
        let change = BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: 11,
            fenced: -1,
            ..Default::default()
        };
        assert_eq!(
            of(change),
            r#"{"type":"BROKER_REGISTRATION_CHANGE_RECORD","version":0,"data":{"brokerId":1,"brokerEpoch":11,"fenced":-1}}"#
        );
    }

    #[test]
    fn texts_nulls_and_defaults_survive() {
        let config = ConfigRecord {
            resource_type: 2,
            resource_name: "a \"b\" {c}".into(),
            name: "n\\\n".into(),
            value: None,
        };
        let json: Value = serde_json::from_str(&of(config)).unwrap();
        assert_eq!(json["data"]["resourceName"], "a \"b\" {c}");
        assert_eq!(json["data"]["name"], "n\\\n");
        assert_eq!(json["data"]["value"], Value::Null);
        let change = PartitionChangeRecord { leader: 0, isr: Some(vec![]), ..Default::default() };
        let json: Value = serde_json::from_str(&of(change)).unwrap();
        assert_eq!((&json["data"]["leader"], &json["data"]["isr"]), (&json!(0), &json!([])));
        assert_eq!(json["data"].get("replicas"), None);
    }

    #[test]
    fn quorum_records_look_as_kafka_prints_them() {
        let kraft =
            ControlRecord::KRaftVersion(KRaftVersionRecord { version: 0, kraft_version: 1 });
        let value = kraft.encode_value().unwrap();
        let text = control(ControlType::KRaftVersion, &value);
        assert_eq!(text, r#"{"version":0,"kRaftVersion":1}"#);
        let change = LeaderChangeMessage { leader_id: 1, ..Default::default() };
        let value = ControlRecord::LeaderChange(change).encode_value().unwrap();
        let text = control(ControlType::LeaderChange, &value);
        assert_eq!(text, r#"{"version":0,"leaderId":1,"voters":[],"grantingVoters":[]}"#);
    }

    #[test]
    fn damage_is_said_not_thrown() {
        assert!(super::record(&[1, 99, 0]).contains("skipping"));
    }
}
