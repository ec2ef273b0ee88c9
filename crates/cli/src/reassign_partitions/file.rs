//! The files of `reassign-partitions`: reading them, checking them, writing one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kalda_model::TopicPartition;
use serde_json::{Value, json};

use super::{Replicas, joined};

/// Stands for whichever directory the broker chooses.
const ANY: &str = "any";

/// Where a partition shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Assignment {
    pub(super) partition: TopicPartition,
    pub(super) replicas: Vec<i32>,
    /// The directory of each replica, or [`ANY`].
    pub(super) directories: Vec<String>,
}

/// A whole file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) assignments: Vec<Assignment>,
}

/// A replica, in the order in which Kafka shows them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Replica {
    pub(super) broker: i32,
    pub(super) partition: TopicPartition,
}

impl std::fmt::Display for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.partition, self.broker)
    }
}

fn parse(text: &str) -> Result<Value, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("The input string is not a valid JSON: {error}"))?;
    match json.get("version").map(Value::as_i64) {
        None | Some(Some(1)) => Ok(json),
        Some(_) => Err(format!("Not supported version field value {}", json["version"])),
    }
}

fn entries<'a>(json: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match json.get(key) {
        None => Ok(&[]),
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err(format!("\"{key}\" must be a list")),
    }
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

impl Plan {
    /// Reads `{"partitions":[{"topic":…,"partition":…,"replicas":[…],"log_dirs":[…]}],"version":1}`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json = parse(text)?;
        let assignments = entries(&json, "partitions")?.iter().map(assignment);
        Ok(Self { assignments: assignments.collect::<Result<_, _>>()? })
    }

    /// Whether it can be carried out.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.assignments.is_empty() {
            return Err("Partition reassignment list cannot be empty".to_owned());
        }
        if self.assignments.iter().any(|assignment| assignment.replicas.is_empty()) {
            return Err("Partition replica list cannot be empty".to_owned());
        }
        let twice = duplicates(self.assignments.iter().map(|assignment| &assignment.partition));
        if !twice.is_empty() {
            let twice = joined(twice, ",");
            return Err(format!(
                "Partition reassignment contains duplicate topic partitions: {twice}"
            ));
        }
        let doubled = self.assignments.iter().filter_map(|assignment| {
            let twice = duplicates(&assignment.replicas);
            (!twice.is_empty()).then(|| {
                let partition = &assignment.partition;
                format!("{partition} contains multiple entries for {}", joined(twice, ","))
            })
        });
        let doubled = joined(doubled, ". ");
        if !doubled.is_empty() {
            return Err(format!(
                "Partition replica lists may not contain duplicate entries: {doubled}"
            ));
        }
        Ok(())
    }

    /// The topics that it names.
    pub(super) fn topics(&self) -> BTreeSet<String> {
        self.assignments.iter().map(|it| it.partition.topic.to_string()).collect()
    }

    /// The brokers of each partition.
    pub(super) fn replicas(&self) -> impl Iterator<Item = (TopicPartition, Vec<i32>)> {
        self.assignments.iter().map(|it| (it.partition.clone(), it.replicas.clone()))
    }

    /// The directories that it names, by replica.
    pub(super) fn directories(&self) -> BTreeMap<Replica, String> {
        let replicas = self.assignments.iter().flat_map(|assignment| {
            let partition = &assignment.partition;
            assignment.replicas.iter().zip(&assignment.directories).map(|(broker, dir)| {
                (Replica { broker: *broker, partition: partition.clone() }, dir.clone())
            })
        });
        replicas.filter(|(_, dir)| dir != ANY).collect()
    }
}

fn assignment(entry: &Value) -> Result<Assignment, String> {
    let wrong = || format!("a partition needs topic, partition and replicas: {entry}");
    let topic = entry.get("topic").and_then(Value::as_str).ok_or_else(wrong)?;
    let index = entry.get("partition").and_then(number).ok_or_else(wrong)?;
    let replicas = entry.get("replicas").and_then(Value::as_array).ok_or_else(wrong)?;
    let replicas: Option<Vec<i32>> = replicas.iter().map(number).collect();
    let replicas = replicas.ok_or_else(wrong)?;
    let partition = TopicPartition::new(topic, index);
    let directories = match entry.get("log_dirs") {
        None => replicas.iter().map(|_| ANY.to_owned()).collect(),
        Some(dirs) => {
            let dirs = dirs.as_array().ok_or_else(wrong)?;
            let dirs: Option<Vec<String>> =
                dirs.iter().map(|dir| dir.as_str().map(str::to_owned)).collect();
            dirs.ok_or_else(wrong)?
        }
    };
    if replicas.len() != directories.len() {
        return Err(format!(
            "Size of replicas list [{}] is different from size of log dirs list [{}] for partition {partition}",
            joined(&replicas, ", "),
            joined(&directories, ", ")
        ));
    }
    Ok(Assignment { partition, replicas, directories })
}

/// Reads `{"topics":[{"topic":…}],"version":1}`.
pub(super) fn parse_topics(text: &str) -> Result<BTreeSet<String>, String> {
    let json = parse(text)?;
    let mut topics = Vec::new();
    for entry in entries(&json, "topics")? {
        let topic = entry.get("topic").and_then(Value::as_str);
        topics.push(topic.ok_or_else(|| format!("a topic needs a name: {entry}"))?.to_owned());
    }
    let twice = duplicates(&topics);
    if !twice.is_empty() {
        return Err(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            joined(twice, ", ")
        ));
    }
    Ok(topics.into_iter().collect())
}

/// What stands in a list more than once.
pub(super) fn duplicates<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for item in items {
        if let Some(first) = seen.replace(item) {
            twice.insert(first);
        }
    }
    twice
}

/// A file that puts partitions where they are told to be.
pub(super) fn to_json(replicas: &Replicas) -> String {
    let partitions = replicas.iter().map(|(partition, replicas)| {
        json!({
            "topic": &*partition.topic,
            "partition": partition.partition,
            "replicas": replicas,
            "log_dirs": vec![ANY; replicas.len()],
        })
    });
    json!({ "version": 1, "partitions": partitions.collect::<Value>() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"version":1,"partitions":[{"topic":"foo","partition":1,"replicas":[2,3],"log_dirs":["any","/d"]}]}"#;

    #[test]
    fn a_plan_is_read_and_written() {
        let plan = Plan::parse(ONE).unwrap();
        plan.check().unwrap();
        let foo = TopicPartition::new("foo", 1);
        let replica = Replica { broker: 3, partition: foo.clone() };
        assert_eq!(replica.to_string(), "foo-1-3");
        assert_eq!(plan.directories(), [(replica, "/d".to_owned())].into());
        assert_eq!(plan.replicas().collect::<Vec<_>>(), [(foo, vec![2, 3])]);
        let written = to_json(&plan.replicas().collect());
        assert_eq!(written, ONE.replace("/d", "any"));
    }

    #[test]
    fn contradictions_are_named_as_kafka_names_them() {
        let error = |text: &str| Plan::parse(text).and_then(|plan| plan.check()).unwrap_err();
        let part = |index: i32, replicas: &str| {
            format!(r#"{{"topic":"foo","partition":{index},"replicas":{replicas}}}"#)
        };
        let file = |parts: &[String]| format!(r#"{{"partitions":[{}]}}"#, parts.join(","));
        assert_eq!(error(r#"{"partitions":[]}"#), "Partition reassignment list cannot be empty");
        assert_eq!(error(&file(&[part(0, "[]")])), "Partition replica list cannot be empty");
        assert_eq!(
            error(&file(&[part(0, "[1]"), part(0, "[2]")])),
            "Partition reassignment contains duplicate topic partitions: foo-0"
        );
        assert_eq!(
            error(&file(&[part(0, "[1,1]")])),
            "Partition replica lists may not contain duplicate entries: foo-0 contains multiple entries for 1"
        );
        assert_eq!(error(r#"{"version":2}"#), "Not supported version field value 2");
        assert!(error(&file(&[part(0, r#"["x"]"#)])).starts_with("a partition needs"));
        assert!(error("{").starts_with("The input string is not a valid JSON"));
        let dirs = r#"{"partitions":[{"topic":"foo","partition":0,"replicas":[1],"log_dirs":[]}]}"#;
        assert_eq!(
            error(dirs),
            "Size of replicas list [1] is different from size of log dirs list [] for partition foo-0"
        );
    }

    #[test]
    fn topics_to_move_are_read() {
        let topics =
            parse_topics(r#"{"topics":[{"topic":"b"},{"topic":"a"}],"version":1}"#).unwrap();
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            parse_topics(r#"{"topics":[{"topic":"a"},{"topic":"a"}]}"#).unwrap_err(),
            "List of topics to reassign contains duplicate entries: [a]"
        );
    }
}
