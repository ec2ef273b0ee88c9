//! The settings of a consumer in a group.

use super::{ConfigError, Properties, Reader};
use crate::consumer::Assignor;

/// A group member's settings, beside those of every consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.id`.
    pub group_id: String,
    /// `group.instance.id`: makes the member a static one (KIP-345).
    pub instance_id: Option<String>,
    /// `session.timeout.ms`: after it, the coordinator gives a silent member up.
    pub session_timeout_ms: u64,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u64,
    /// `max.poll.interval.ms`: who does not poll for so long leaves; also how long a rebalance waits.
    pub max_poll_interval_ms: u64,
    /// `auto.commit.interval.ms`; `None` if `enable.auto.commit` is off.
    pub auto_commit_interval_ms: Option<u64>,
    /// `partition.assignment.strategy`, the preferred one first.
    pub assignors: Vec<Assignor>,
}

const STRATEGY: &str = "partition.assignment.strategy";

impl GroupConfig {
    /// Reads a member's settings.
    ///
    /// # Errors
    /// There is no `group.id`, or a value that its key cannot take.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(properties);
        let group_id = reader.text("group.id", "");
        if group_id.is_empty() {
            let why = "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.";
            return Err(ConfigError::new(why));
        }
        if reader.one_of("group.protocol", "classic", &["classic", "consumer"])? == "consumer" {
            let why = "This client speaks the classic protocol only so far";
            return Err(ConfigError::value("group.protocol", "consumer", why));
        }
        let auto_commit = reader.boolean("enable.auto.commit", true)?;
        let interval_ms = reader.millis("auto.commit.interval.ms", 5000)?;
        let config = Self {
            group_id,
            instance_id: Some(reader.text("group.instance.id", "")).filter(|id| !id.is_empty()),
            session_timeout_ms: reader.millis("session.timeout.ms", 45_000)?,
            heartbeat_interval_ms: reader.millis("heartbeat.interval.ms", 3000)?,
            max_poll_interval_ms: reader.millis("max.poll.interval.ms", 300_000)?,
            auto_commit_interval_ms: auto_commit.then_some(interval_ms),
            assignors: assignors(&reader.text(STRATEGY, "range"))?,
        };
        if config.heartbeat_interval_ms >= config.session_timeout_ms {
            let why = "Heartbeat must be set lower than the session timeout";
            return Err(ConfigError::new(why));
        }
        Ok(config)
    }
}

fn assignors(text: &str) -> Result<Vec<Assignor>, ConfigError> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name| {
        let why = "This client has the assignors range and roundrobin";
        Assignor::from_name(name).ok_or_else(|| ConfigError::value(STRATEGY, name, why))
    };
    let assignors: Vec<Assignor> = names.map(known).collect::<Result<_, _>>()?;
    if assignors.is_empty() {
        return Err(ConfigError::value(STRATEGY, text, "there must be one"));
    }
    Ok(assignors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[&str]) -> Result<GroupConfig, String> {
        let mut properties = Properties::default();
        for pair in pairs {
            properties.set_pair(pair).unwrap();
        }
        GroupConfig::from_properties(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_javas() {
        let config = config(&["group.id=g"]).unwrap();
        let times = (config.session_timeout_ms, config.heartbeat_interval_ms);
        assert_eq!(times, (45_000, 3000));
        assert_eq!(config.max_poll_interval_ms, 300_000);
        assert_eq!(config.auto_commit_interval_ms, Some(5000));
        assert_eq!((config.assignors, config.instance_id), (vec![Assignor::Range], None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(config(&[]).unwrap_err().contains("valid group.id"));
        let sticky = ["group.id=g", "partition.assignment.strategy=range,sticky"];
        assert!(config(&sticky).unwrap_err().starts_with("Invalid value sticky"));
        assert!(config(&["group.id=g", "heartbeat.interval.ms=45000"]).is_err());
        assert!(config(&["group.id=g", "group.protocol=consumer"]).is_err());
        let manual = config(&["group.id=g", "enable.auto.commit=false"]).unwrap();
        assert_eq!(manual.auto_commit_interval_ms, None);
    }
}
