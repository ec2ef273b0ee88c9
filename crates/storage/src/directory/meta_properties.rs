//! `meta.properties`: whose directory this is. Version 1, as KRaft writes it; version 0, as brokers
//! under ZooKeeper left it, is read.

use std::collections::BTreeMap;
use std::fmt;

use kalda_model::{BrokerId, ClusterId, DirectoryId};

/// The identity of a log directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: ClusterId,
    /// `node.id` (`broker.id` in version 0).
    pub node_id: BrokerId,
    /// `directory.id`; absent before KIP-858.
    pub directory_id: Option<DirectoryId>,
}

/// A `meta.properties` that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MalformedMeta {
    /// A key is missing.
    Missing(&'static str),
    /// A value is not what it should be.
    Value(&'static str, String),
}

impl fmt::Display for MalformedMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::Value(key, value) => write!(f, "`{key}` cannot be `{value}`"),
        }
    }
}

impl std::error::Error for MalformedMeta {}

impl MetaProperties {
    /// The file's content, version 1.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from("#\n");
        text.push_str(&format!("cluster.id={}\n", escape(&self.cluster_id)));
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={id}\n"));
        }
        text.push_str(&format!("node.id={}\nversion=1\n", self.node_id));
        text
    }

    /// Reads the file's content.
    ///
    /// # Errors
    /// A key is missing or its value impossible.
    pub fn parse(text: &str) -> Result<Self, MalformedMeta> {
        let values: BTreeMap<&str, String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with(['#', '!']))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), unescape(value.trim())))
            .collect();
        let value = |key: &'static str| values.get(key).ok_or(MalformedMeta::Missing(key));
        let bad = |key: &'static str, value: &str| MalformedMeta::Value(key, value.to_owned());
        let node_key = match value("version")?.as_str() {
            "0" => "broker.id",
            "1" => "node.id",
            other => return Err(bad("version", other)),
        };
        let node = value(node_key)?;
        let directory_id = match values.get("directory.id") {
            Some(id) => Some(id.parse().map_err(|_| bad("directory.id", id))?),
            None => None,
        };
        Ok(Self {
            cluster_id: value("cluster.id")?.clone(),
            node_id: BrokerId(node.parse().map_err(|_| bad(node_key, node))?),
            directory_id,
        })
    }
}

/// Java's `Properties` puts a backslash before these.
fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars() {
        if matches!(character, '=' | ':' | '#' | '!' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn unescape(value: &str) -> String {
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_reads_what_kafka_wrote() {
        let meta = MetaProperties {
            cluster_id: "a=b".to_owned(),
            node_id: BrokerId(3),
            directory_id: Some("mpav7dCVQWSJYovnmjBlpw".parse().unwrap()),
        };
        assert_eq!(MetaProperties::parse(&meta.to_text()), Ok(meta));

        let kafkas = "#\n#Fri Nov 20 10:00:00 UTC 2026\nnode.id=1\ndirectory.id=mpav7dCVQWSJYovnmjBlpw\nversion=1\ncluster.id=xyz\n";
        assert_eq!(MetaProperties::parse(kafkas).unwrap().node_id, BrokerId(1));
        let old = "version=0\nbroker.id=7\ncluster.id=xyz\n";
        assert_eq!(MetaProperties::parse(old).unwrap().directory_id, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(MetaProperties::parse(""), Err(MalformedMeta::Missing("version")));
        assert_eq!(
            MetaProperties::parse("version=1\nnode.id=x\ncluster.id=c"),
            Err(MalformedMeta::Value("node.id", "x".to_owned()))
        );
    }
}
