//! Records of `__transaction_state` as JSON, as Kafka's converters write it: a key with its type, a
//! value with its version; fields that a version carries only if they say something are left out if
//! they do not.

use kalda_protocol::stored::decode_versioned;
use kalda_protocol::stored::transaction::{TransactionKey, TransactionLogValue};
use serde_json::{Map, Value, json};

use super::group_json::{self, Texts};
use kalda_records::RecordView;

/// The texts that stand for a record's key and value.
pub(super) fn record(record: &RecordView<'_>) -> Texts {
    group_json::texts(record, TransactionKey::decode, key_json, |_, value, version| {
        Ok(value_json(&decode_versioned(value)?, version))
    })
}

fn key_json(key: &TransactionKey) -> Value {
    match key {
        TransactionKey::TransactionLog(key) => json!({ "transactionalId": key.transactional_id }),
    }
}

fn value_json(value: &TransactionLogValue, _version: i16) -> Value {
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| {
        data.insert(name.to_owned(), value);
    };
    put("producerId", json!(value.producer_id));
    if value.previous_producer_id != -1 {
        put("previousProducerId", json!(value.previous_producer_id));
    }
    if value.next_producer_id != -1 {
        put("nextProducerId", json!(value.next_producer_id));
    }
    put("producerEpoch", json!(value.producer_epoch));
    if value.next_producer_epoch != -1 {
        put("nextProducerEpoch", json!(value.next_producer_epoch));
    }
    put("transactionTimeoutMs", json!(value.transaction_timeout_ms));
    put("transactionStatus", json!(value.transaction_status));
    let partitions = value.transaction_partitions.as_ref().map(|topics| {
        let one = |entry: &kalda_protocol::stored::transaction::transaction_log::PartitionsSchema| {
            json!({ "topic": entry.topic, "partitionIds": entry.partition_ids })
        };
        topics.iter().map(one).collect::<Vec<_>>()
    });
    put("transactionPartitions", json!(partitions));
    put("transactionLastUpdateTimestampMs", json!(value.transaction_last_update_timestamp_ms));
    put("transactionStartTimestampMs", json!(value.transaction_start_timestamp_ms));
    if value.client_transaction_version != 0 {
        put("clientTransactionVersion", json!(value.client_transaction_version));
    }
    Value::Object(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out() {
        let value = TransactionLogValue { producer_id: 7, ..TransactionLogValue::default() };
        assert_eq!(
            value_json(&value, 1).to_string(),
            r#"{"producerId":7,"producerEpoch":0,"transactionTimeoutMs":0,"transactionStatus":0,"transactionPartitions":[],"transactionLastUpdateTimestampMs":0,"transactionStartTimestampMs":0}"#
        );
        let value = TransactionLogValue {
            previous_producer_id: 5,
            client_transaction_version: 2,
            transaction_partitions: None,
            ..value
        };
        let text = value_json(&value, 1).to_string();
        assert!(text.starts_with(r#"{"producerId":7,"previousProducerId":5,"#), "{text}");
        assert!(text.contains(r#""transactionPartitions":null"#), "{text}");
        assert!(text.ends_with(r#""clientTransactionVersion":2}"#), "{text}");
    }
}
