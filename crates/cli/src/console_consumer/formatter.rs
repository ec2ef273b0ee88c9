//! A record as a line: which fields, in Kafka's order, with which separators. Pure.

use kalda_client::{ConsumedRecord, Properties};
use kalda_records::TimestampType;

use super::deserializer::Deserializer;
use crate::connect::gather;
use crate::failure::{Failure, Outcome};
use crate::options::Parsed;

/// How records are printed.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Formatter {
    /// Fields and separators.
    Default(Box<Fields>),
    /// The same, but as log lines on the standard error.
    Logging(Box<Fields>),
    /// Not at all.
    NoOp,
}

/// The settings of the default formatter.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fields {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

impl Formatter {
    /// From `--formatter` and its properties.
    pub(super) fn from_options(parsed: &Parsed) -> Outcome<Self> {
        let names = ["property", "formatter-property"];
        let mut properties = gather(parsed, &["formatter-config"], &names)?;
        for (option, key) in
            [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
        {
            if let Some(class) = parsed.value(option)? {
                properties.set(key, class);
            }
        }
        let fields = || Fields::new(&properties).map(Box::new).map_err(Failure::usage);
        let class = parsed.value("formatter")?.unwrap_or("DefaultMessageFormatter");
        match class.rsplit(['.', '$']).next().unwrap_or(class) {
            "DefaultMessageFormatter" => fields().map(Self::Default),
            "LoggingMessageFormatter" => fields().map(Self::Logging),
            "NoOpMessageFormatter" => Ok(Self::NoOp),
            _ => Err(Failure::usage(format!(
                "--formatter {class} is not there; Kalda has org.apache.kafka.tools.consumer.{{Default,Logging,NoOp}}MessageFormatter"
            ))),
        }
    }

    /// Appends what is to be printed of a record.
    pub(super) fn write(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::Default(fields) => fields.write(record, out),
            Self::Logging(fields) => {
                fields.write(record, out)?;
                let lossy = |bytes: Option<&bytes::Bytes>| {
                    bytes.map_or_else(
                        || "null".to_owned(),
                        |bytes| String::from_utf8_lossy(bytes).into_owned(),
                    )
                };
                let (key, value) = (lossy(record.key.as_ref()), lossy(record.value.as_ref()));
                let stamp = timestamp(record);
                tracing::warn!("{stamp}, key:{key}, value:{value}");
                Ok(())
            }
            Self::NoOp => Ok(()),
        }
    }
}

impl Fields {
    fn new(properties: &Properties) -> Result<Self, String> {
        let flag = |key: &str, default: bool| {
            let set = properties.get(key);
            set.map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text =
            |key: &str, default: &str| properties.get(key).unwrap_or(default).as_bytes().to_vec();
        let deserializer =
            |key: &str| properties.get(key).map_or(Ok(Deserializer::Raw), Deserializer::by_class);
        Ok(Self {
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            headers_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// Fields in Kafka's order, separators between them, and the line separator after the last. A
    /// line without any field stays empty, without even the separator.
    fn write(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut text = |is_wanted: bool, text: &dyn Fn() -> String| {
            if is_wanted {
                fields.push(text().into_bytes());
            }
        };
        text(self.timestamp, &|| timestamp(record));
        text(self.partition, &|| format!("Partition:{}", record.partition.partition));
        text(self.offset, &|| format!("Offset:{}", record.offset));
        // Only share consumers know how often a record was delivered, and the tool hands records
        // on without their epoch: Kafka 4.1 prints so, whatever the epoch is.
        text(self.delivery, &|| "Delivery:NOT_PRESENT".to_owned());
        text(self.epoch, &|| "Epoch:NOT_PRESENT".to_owned());
        if self.headers {
            fields.push(self.headers(record)?);
        }
        if self.key {
            fields.push(self.shown(self.key_deserializer, record.key.as_deref())?);
        }
        if self.value {
            fields.push(self.shown(self.value_deserializer, record.value.as_deref())?);
        }
        if !fields.is_empty() {
            out.extend(fields.join(&self.separator[..]));
            out.extend_from_slice(&self.line_separator);
        }
        Ok(())
    }

    fn headers(&self, record: &ConsumedRecord) -> Result<Vec<u8>, String> {
        if record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut shown = Vec::new();
        for (key, value) in &record.headers {
            let value = self.shown(self.headers_deserializer, value.as_deref())?;
            shown.push([&key[..], b":", &value].concat());
        }
        Ok(shown.join(&self.headers_separator[..]))
    }

    fn shown(&self, deserializer: Deserializer, bytes: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let Some(bytes) = bytes else { return Ok(self.null_literal.clone()) };
        let mut out = Vec::with_capacity(bytes.len());
        deserializer.write(bytes, &mut out)?;
        Ok(out)
    }
}

fn timestamp(record: &ConsumedRecord) -> String {
    match record.timestamp_type {
        TimestampType::CreateTime => format!("CreateTime:{}", record.timestamp),
        TimestampType::LogAppendTime => format!("LogAppendTime:{}", record.timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_model::{LeaderEpoch, Offset, TopicPartition};

    fn record(headers: &[(&str, Option<&str>)]) -> ConsumedRecord {
        let bytes = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
        ConsumedRecord {
            partition: TopicPartition::new("t", 3),
            offset: Offset(5),
            timestamp: 1_795_217_086_044,
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: LeaderEpoch(2),
            key: Some(bytes("key")),
            value: None,
            headers: headers.iter().map(|(k, v)| (bytes(k), v.map(bytes))).collect(),
        }
    }

    fn line(pairs: &[&str], record: &ConsumedRecord) -> String {
        let mut properties = Properties::default();
        for pair in pairs {
            properties.set_pair(pair).unwrap();
        }
        let mut out = Vec::new();
        Fields::new(&properties).unwrap().write(record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const ALL: [&str; 6] = [
        "print.timestamp=true",
        "print.partition=true",
        "print.offset=true",
        "print.epoch=true",
        "print.headers=true",
        "print.key=true",
    ];

    #[test]
    fn fields_have_kafkas_order() {
        assert_eq!(
            line(&ALL, &record(&[("h1", Some("v1")), ("h2", None)])),
            "CreateTime:1795217086044\tPartition:3\tOffset:5\tEpoch:NOT_PRESENT\th1:v1,h2:null\tkey\tnull\n"
        );
        assert!(line(&ALL, &record(&[])).contains("\tNO_HEADERS\tkey\t"));
    }

    #[test]
    fn separators_and_literals_can_be_chosen() {
        let pairs =
            ["print.key=true", "key.separator= -> ", "null.literal=NIL", "line.separator=|"];
        assert_eq!(line(&pairs, &record(&[])), "key -> NIL|");
        assert_eq!(line(&["print.key=true", "print.value=false"], &record(&[])), "key\n");
        assert_eq!(line(&["print.value=false"], &record(&[])), "");
    }

    #[test]
    fn a_deserializer_does_not_see_null() {
        let pairs = ["value.deserializer=org.apache.kafka.common.serialization.LongDeserializer"];
        assert_eq!(line(&pairs, &record(&[])), "null\n");
    }
}
