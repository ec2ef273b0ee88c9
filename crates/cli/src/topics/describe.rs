//! What `topics --describe` prints, from what the brokers told. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use kalda_client::admin::{PartitionDescription, Reassignment, TopicDescription};
use kalda_model::TopicPartition;
use serde_json::{Value, json};

use crate::options::Parsed;

/// Which lines are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Report {
    /// All.
    Everything,
    /// Topic lines of those with configs of their own.
    Overrides,
    /// Partition lines of some partitions.
    Partitions(Filter),
}

/// Which partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    UnderReplicated,
    Unavailable,
    UnderMinIsr,
    AtMinIsr,
}

impl Report {
    pub(super) fn from_options(parsed: &Parsed) -> Self {
        for (option, filter) in [
            ("under-replicated-partitions", Filter::UnderReplicated),
            ("unavailable-partitions", Filter::Unavailable),
            ("under-min-isr-partitions", Filter::UnderMinIsr),
            ("at-min-isr-partitions", Filter::AtMinIsr),
        ] {
            if parsed.has(option) {
                return Self::Partitions(filter);
            }
        }
        if parsed.has("topics-with-overrides") { Self::Overrides } else { Self::Everything }
    }
}

type Configs = Vec<(String, String)>;

/// What the brokers told.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) topics: &'a [TopicDescription],
    /// The configs of each topic that are not Kafka's defaults.
    pub(super) overrides: &'a BTreeMap<String, Configs>,
    pub(super) moving: &'a BTreeMap<TopicPartition, Reassignment>,
}

impl View<'_> {
    /// Kafka's lines.
    pub(super) fn text(&self, report: Report) -> String {
        let mut text = String::new();
        for topic in self.topics {
            let configs = self.configs(topic);
            if report == Report::Everything || report == Report::Overrides && !configs.is_empty() {
                self.topic_line(&mut text, topic, configs);
            }
            for partition in self.partitions(topic, report) {
                self.partition_line(&mut text, topic, partition);
            }
        }
        text
    }

    /// The same as one JSON array.
    pub(super) fn json(&self, report: Report) -> Value {
        let topics = self.topics.iter().filter_map(|topic| {
            let partitions: Vec<Value> = self
                .partitions(topic, report)
                .map(|partition| self.partition_json(topic, partition))
                .collect();
            let configs = self.configs(topic);
            let is_wanted = match report {
                Report::Everything => true,
                Report::Overrides => !configs.is_empty(),
                Report::Partitions(_) => !partitions.is_empty(),
            };
            let configs: serde_json::Map<String, Value> =
                configs.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            is_wanted.then(|| {
                json!({
                    "topic": topic.name,
                    "topicId": topic.id.to_string(),
                    "internal": topic.is_internal,
                    "partitionCount": topic.partitions.len(),
                    "replicationFactor": replication_factor(topic),
                    "configs": configs,
                    "partitions": partitions,
                })
            })
        });
        Value::Array(topics.collect())
    }

    fn configs(&self, topic: &TopicDescription) -> &[(String, String)] {
        self.overrides.get(&topic.name).map_or(&[], Vec::as_slice)
    }

    fn min_insync_replicas(&self, topic: &TopicDescription) -> usize {
        let set = self.configs(topic).iter().find(|(key, _)| key == "min.insync.replicas");
        set.and_then(|(_, value)| value.parse().ok()).unwrap_or(1)
    }

    fn moving(&self, topic: &TopicDescription, index: i32) -> Option<&Reassignment> {
        self.moving.get(&TopicPartition::new(topic.name.as_str(), index))
    }

    fn partitions<'t>(
        &self,
        topic: &'t TopicDescription,
        report: Report,
    ) -> impl Iterator<Item = &'t PartitionDescription> {
        topic.partitions.iter().filter(move |partition| match report {
            Report::Everything => true,
            Report::Overrides => false,
            Report::Partitions(filter) => self.passes(topic, partition, filter),
        })
    }

    fn passes(
        &self,
        topic: &TopicDescription,
        partition: &PartitionDescription,
        filter: Filter,
    ) -> bool {
        let in_sync = partition.isr.len();
        match filter {
            // Replicas that are still to come are not missing yet.
            Filter::UnderReplicated => {
                let adding = self.moving(topic, partition.index).map_or(0, |it| it.adding.len());
                in_sync < partition.replicas.len().saturating_sub(adding)
            }
            Filter::Unavailable => partition.leader.is_none(),
            Filter::UnderMinIsr => in_sync < self.min_insync_replicas(topic),
            Filter::AtMinIsr => in_sync == self.min_insync_replicas(topic),
        }
    }

    fn topic_line(
        &self,
        text: &mut String,
        topic: &TopicDescription,
        configs: &[(String, String)],
    ) {
        let configs: Vec<String> =
            configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "Topic: {}", topic.name);
        if !topic.id.is_zero() {
            let _ = write!(text, "\tTopicId: {}", topic.id);
        }
        let _ = writeln!(
            text,
            "\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            topic.partitions.len(),
            replication_factor(topic),
            configs.join(",")
        );
    }

    fn partition_line(
        &self,
        text: &mut String,
        topic: &TopicDescription,
        partition: &PartitionDescription,
    ) {
        let leader = partition.leader.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let _ = write!(
            text,
            "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            topic.name,
            partition.index,
            joined(&partition.replicas),
            joined(&partition.isr)
        );
        if let Some(moving) = self.moving(topic, partition.index) {
            let (adding, removing) = (joined(&moving.adding), joined(&moving.removing));
            let _ = write!(text, "\tAdding Replicas: {adding}\tRemoving Replicas: {removing}");
        }
        let _ = writeln!(
            text,
            "\tElr: {}\tLastKnownElr: {}",
            joined_or_unknown(partition.elr.as_deref()),
            joined_or_unknown(partition.last_known_elr.as_deref())
        );
    }

    fn partition_json(&self, topic: &TopicDescription, partition: &PartitionDescription) -> Value {
        let mut value = json!({
            "partition": partition.index,
            "leader": partition.leader,
            "replicas": partition.replicas,
            "isr": partition.isr,
            "elr": partition.elr,
            "lastKnownElr": partition.last_known_elr,
        });
        if let Some(moving) = self.moving(topic, partition.index) {
            value["addingReplicas"] = json!(moving.adding);
            value["removingReplicas"] = json!(moving.removing);
        }
        value
    }
}

fn replication_factor(topic: &TopicDescription) -> usize {
    topic.partitions.first().map_or(0, |partition| partition.replicas.len())
}

fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn joined_or_unknown(ids: Option<&[i32]>) -> String {
    ids.map_or_else(|| "N/A".to_owned(), joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicDescription {
        let partition = |index, leader, isr: &[i32]| PartitionDescription {
            index,
            leader,
            replicas: vec![1, 2],
            isr: isr.to_vec(),
            elr: Some(vec![]),
            last_known_elr: Some(vec![]),
        };
        TopicDescription {
            name: "web_log".into(),
            id: "R_qpg8-DRtCmawIs78pgwQ".parse().unwrap(),
            is_internal: false,
            partitions: vec![partition(0, Some(1), &[1, 2]), partition(1, None, &[2])],
        }
    }

    fn text(report: Report) -> String {
        let configs = [("min.insync.replicas", "1"), ("segment.bytes", "1073741824")];
        let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let overrides = BTreeMap::from([("web_log".to_owned(), configs.to_vec())]);
        let moving = BTreeMap::new();
        View { topics: &[topic()], overrides: &overrides, moving: &moving }.text(report)
    }

    const TOPIC: &str = "Topic: web_log\tTopicId: R_qpg8-DRtCmawIs78pgwQ\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: min.insync.replicas=1,segment.bytes=1073741824\n";
    const FIRST: &str = "\tTopic: web_log\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: \tLastKnownElr: \n";
    const SECOND: &str = "\tTopic: web_log\tPartition: 1\tLeader: none\tReplicas: 1,2\tIsr: 2\tElr: \tLastKnownElr: \n";

    #[test]
    fn lines_are_kafkas() {
        assert_eq!(text(Report::Everything), [TOPIC, FIRST, SECOND].concat());
        assert_eq!(text(Report::Overrides), TOPIC);
    }

    #[test]
    fn reports_print_partition_lines_only() {
        assert_eq!(text(Report::Partitions(Filter::UnderReplicated)), SECOND);
        assert_eq!(text(Report::Partitions(Filter::Unavailable)), SECOND);
        assert_eq!(text(Report::Partitions(Filter::AtMinIsr)), SECOND);
        assert_eq!(text(Report::Partitions(Filter::UnderMinIsr)), "");
    }

    #[test]
    fn what_an_old_broker_does_not_tell_and_moves_are_shown() {
        let mut topic = topic();
        topic.partitions.truncate(1);
        topic.partitions[0].elr = None;
        topic.partitions[0].last_known_elr = None;
        let moving = Reassignment { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        let moving = BTreeMap::from([(TopicPartition::new("web_log", 0), moving)]);
        let overrides = BTreeMap::new();
        let view = View { topics: &[topic], overrides: &overrides, moving: &moving };
        let text = view.text(Report::Everything);
        assert!(text.ends_with(
            "Isr: 1,2\tAdding Replicas: 3\tRemoving Replicas: 1\tElr: N/A\tLastKnownElr: N/A\n"
        ));
        assert_eq!(view.json(Report::Everything)[0]["partitions"][0]["addingReplicas"], json!([3]));
    }
}
