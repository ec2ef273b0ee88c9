//! The tables agree with themselves, and refusals read as Kafka's.

use super::*;

fn tables() -> [&'static [ConfigKey]; 5] {
    [topic_keys(), broker_keys(), throttle_keys(), group_keys(), client_metrics_keys()]
}

#[test]
fn every_table_is_in_order_documented_and_allows_its_defaults() {
    for keys in tables() {
        assert!(keys.is_sorted_by(|one, next| one.name < next.name));
        for key in keys {
            assert!(!key.doc.is_empty(), "{} has no documentation", key.name);
            if let Some(default) = key.default.filter(|default| !default.is_empty()) {
                key.validate(default).unwrap();
            }
        }
    }
}

#[test]
fn tools_can_set_throttles_on_a_broker() {
    let key = broker_key("leader.replication.throttled.rate").unwrap();
    assert_eq!((key.update, key.validate("1000").is_ok()), (UpdateMode::PerBroker, true));
    assert!(key.validate("-1").is_err());
}

#[test]
fn every_synonym_of_a_topic_setting_is_a_broker_setting() {
    for key in topic_keys() {
        for (synonym, _) in key.synonyms {
            assert!(broker_key(synonym).is_some(), "{} falls back to {synonym}", key.name);
        }
    }
}

#[test]
fn refusals_read_as_kafkas() {
    let refusal =
        |name: &str, value: &str| topic_key(name).unwrap().validate(value).unwrap_err().to_string();
    assert_eq!(
        refusal("retention.ms", "soon"),
        "Invalid value soon for configuration retention.ms: Not a number of type LONG"
    );
    assert_eq!(
        refusal("segment.bytes", "1"),
        "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"
    );
    assert_eq!(
        refusal("cleanup.policy", "shred"),
        "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete"
    );
    assert!(topic_key("cleanup.policy").unwrap().validate("compact,delete").is_ok());
}
