//! A client's settings: Kafka's keys, types and defaults, from `key=value` pairs.
//!
//! Read by the builder and by the tools. A wrong value is an error with Kafka's text; an unknown
//! key is only reported.

mod group;
mod properties;
mod reader;

use std::fmt;

use kalda_records::Compression;

pub use group::GroupConfig;
pub use properties::Properties;
pub(crate) use reader::Reader;

use crate::backoff::Backoff;
use crate::bootstrap::{HostPort, parse_servers};

/// A setting is wrong; the text is Kafka's where Kafka has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError(String);

impl ConfigError {
    /// With that text.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A value that a key cannot take.
    pub(crate) fn value(key: &str, value: &str, why: &str) -> Self {
        Self(format!("Invalid value {value} for configuration {key}: {why}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Who listens where a client starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bootstrap {
    /// Brokers: `bootstrap.servers`.
    Brokers,
    /// Controllers: `bootstrap.controllers` (KIP-919). Only calls that administrate can be made.
    Controllers,
}

/// What producer, consumer and admin have in common.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientConfig {
    /// `bootstrap.servers` or `bootstrap.controllers`.
    pub bootstrap_servers: Vec<HostPort>,
    /// Which of the two.
    pub bootstrap: Bootstrap,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`: the wait for one answer.
    pub request_timeout_ms: u64,
    /// `default.api.timeout.ms`: the wait for a call, retries included.
    pub default_api_timeout_ms: u64,
    /// `metadata.max.age.ms`: after it, metadata is asked for again.
    pub metadata_max_age_ms: u64,
    /// `socket.connection.setup.timeout.ms`.
    pub connection_setup_timeout_ms: u64,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub(crate) retry_backoff: Backoff,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
    pub(crate) reconnect_backoff: Backoff,
}

impl ClientConfig {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ConfigError> {
        let protocol = reader.text("security.protocol", "PLAINTEXT");
        if protocol != "PLAINTEXT" {
            let why = "This client speaks PLAINTEXT only so far";
            return Err(ConfigError::value("security.protocol", &protocol, why));
        }
        let brokers = reader.text("bootstrap.servers", "");
        let controllers = reader.text("bootstrap.controllers", "");
        let (servers, bootstrap) = match (brokers.is_empty(), controllers.is_empty()) {
            (false, false) => {
                let why = "You cannot set both bootstrap.servers and bootstrap.controllers";
                return Err(ConfigError::new(why));
            }
            (true, false) => (controllers, Bootstrap::Controllers),
            _ => (brokers, Bootstrap::Brokers),
        };
        Ok(Self {
            bootstrap_servers: parse_servers(&servers)?,
            bootstrap,
            client_id: reader.text("client.id", "kalda"),
            request_timeout_ms: reader.millis("request.timeout.ms", 30_000)?,
            default_api_timeout_ms: reader.millis("default.api.timeout.ms", 60_000)?,
            metadata_max_age_ms: reader.millis("metadata.max.age.ms", 300_000)?,
            connection_setup_timeout_ms: reader
                .millis("socket.connection.setup.timeout.ms", 10_000)?,
            retry_backoff: Backoff {
                first_ms: reader.millis("retry.backoff.ms", 100)?,
                max_ms: reader.millis("retry.backoff.max.ms", 1000)?,
            },
            reconnect_backoff: Backoff {
                first_ms: reader.millis("reconnect.backoff.ms", 50)?,
                max_ms: reader.millis("reconnect.backoff.max.ms", 1000)?,
            },
        })
    }

    /// Reads the settings of an admin client; also returns the keys that nobody knows.
    ///
    /// # Errors
    /// A value that its key cannot take.
    pub fn from_properties(properties: &Properties) -> Result<(Self, Vec<String>), ConfigError> {
        let mut reader = Reader::new(properties);
        let config = Self::read(&mut reader)?;
        Ok((config, reader.unknown_keys()))
    }
}

/// How many replicas must have a record before the broker answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// `0`: no answer at all.
    None,
    /// `1`: the leader.
    Leader,
    /// `all` or `-1`: every in-sync replica.
    All,
}

impl Acks {
    /// Its number on the wire.
    #[must_use]
    pub fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// A producer's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct ProducerConfig {
    /// The common ones.
    pub client: ClientConfig,
    /// `acks`.
    pub acks: Acks,
    /// `batch.size`: a batch is closed before it would pass it.
    pub batch_size: usize,
    /// `linger.ms`: how long a batch waits for more.
    pub linger_ms: u64,
    /// `buffer.memory`: the bytes that may wait to be sent.
    pub buffer_memory: usize,
    /// `max.block.ms`: how long a send may wait for metadata and for buffer.
    pub max_block_ms: u64,
    /// `max.request.size`: the largest request, and the largest record.
    pub max_request_size: usize,
    /// `compression.type`.
    pub compression: Compression,
    /// `compression.<codec>.level`, if set for the codec chosen.
    pub compression_level: Option<i32>,
    /// `enable.idempotence`.
    pub idempotence: bool,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// `retries`.
    pub retries: u32,
    /// `delivery.timeout.ms`: from send to the answer, retries included.
    pub delivery_timeout_ms: u64,
    /// `transactional.id`; with it, records are only sent in transactions.
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`: after it, the coordinator aborts an open transaction.
    pub transaction_timeout_ms: i32,
}

/// With more requests in flight the broker could no longer tell duplicates from new batches.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

impl ProducerConfig {
    /// Reads a producer's settings; also returns the keys that nobody knows.
    ///
    /// # Errors
    /// A value that its key cannot take, or values that contradict each other.
    pub fn from_properties(properties: &Properties) -> Result<(Self, Vec<String>), ConfigError> {
        let mut reader = Reader::new(properties);
        let compression = reader.compression()?;
        let acks = match reader.one_of("acks", "all", &["all", "-1", "0", "1"])?.as_str() {
            "0" => Acks::None,
            "1" => Acks::Leader,
            _ => Acks::All,
        };
        let mut config = Self {
            client: ClientConfig::read(&mut reader)?,
            acks,
            batch_size: reader.size("batch.size", 16_384)?,
            linger_ms: reader.millis("linger.ms", 5)?,
            buffer_memory: reader.size("buffer.memory", 32 * 1024 * 1024)?,
            max_block_ms: reader.millis("max.block.ms", 60_000)?,
            max_request_size: reader.size("max.request.size", 1024 * 1024)?,
            compression,
            compression_level: reader.compression_level(compression)?,
            idempotence: reader.boolean("enable.idempotence", true)?,
            in_flight_max: reader.int("max.in.flight.requests.per.connection", 5, 1)? as usize,
            retries: reader.int("retries", i32::MAX, 0)? as u32,
            delivery_timeout_ms: reader.millis("delivery.timeout.ms", 120_000)?,
            transactional_id: reader.transactional_id()?,
            transaction_timeout_ms: reader.int("transaction.timeout.ms", 60_000, 0)?,
        };
        config.settle_idempotence(properties)?;
        if config.transactional_id.is_some() && !config.idempotence {
            let why = "Cannot set a transactional.id without also enabling idempotence.";
            return Err(ConfigError::new(why));
        }
        config.settle_delivery_timeout(properties)?;
        Ok((config, reader.unknown_keys()))
    }

    /// Idempotence is the default, and gives way to what it cannot live with unless it was asked for.
    fn settle_idempotence(&mut self, properties: &Properties) -> Result<(), ConfigError> {
        if !self.idempotence {
            return Ok(());
        }
        let conflict = if self.acks != Acks::All {
            Some(
                "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.",
            )
        } else if self.retries == 0 {
            Some("Must set retries to non-zero when using the idempotent producer.")
        } else if self.in_flight_max > IDEMPOTENT_IN_FLIGHT_MAX {
            Some(
                "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
            )
        } else {
            None
        };
        match conflict {
            Some(why) if properties.get("enable.idempotence").is_some() => {
                Err(ConfigError::new(why))
            }
            Some(_) => {
                self.idempotence = false;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn settle_delivery_timeout(&mut self, properties: &Properties) -> Result<(), ConfigError> {
        let least = self.linger_ms.saturating_add(self.client.request_timeout_ms);
        if self.delivery_timeout_ms >= least {
            return Ok(());
        }
        if properties.get("delivery.timeout.ms").is_some() {
            let why = "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms";
            return Err(ConfigError::new(why));
        }
        self.delivery_timeout_ms = least;
        Ok(())
    }
}

/// Whether a consumer sees records of transactions that are open or were aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsolationLevel {
    /// It does.
    ReadUncommitted,
    /// It does not.
    ReadCommitted,
}

/// Where a consumer starts when it has no valid position (`auto.offset.reset`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetReset {
    /// At the first record.
    Earliest,
    /// At the end.
    Latest,
    /// Nowhere: the caller is told.
    None,
}

/// A consumer's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumerConfig {
    /// The common ones.
    pub client: ClientConfig,
    /// `fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_max_wait_ms: i32,
    /// `max.partition.fetch.bytes`.
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`.
    pub max_poll_records: usize,
    /// `isolation.level`.
    pub isolation_level: IsolationLevel,
    /// `auto.offset.reset`.
    pub auto_offset_reset: OffsetReset,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `client.rack`.
    pub client_rack: String,
    /// `allow.auto.create.topics`.
    pub allow_auto_create_topics: bool,
}

impl ConsumerConfig {
    /// Reads a consumer's settings; also returns the keys that nobody knows.
    ///
    /// # Errors
    /// A value that its key cannot take.
    pub fn from_properties(properties: &Properties) -> Result<(Self, Vec<String>), ConfigError> {
        let mut reader = Reader::new(properties);
        let isolation = ["read_committed", "read_uncommitted"];
        let isolation = reader.one_of("isolation.level", "read_uncommitted", &isolation)?;
        let reset = ["latest", "earliest", "none"];
        let config = Self {
            client: ClientConfig::read(&mut reader)?,
            fetch_min_bytes: reader.int("fetch.min.bytes", 1, 0)?,
            fetch_max_bytes: reader.int("fetch.max.bytes", 50 * 1024 * 1024, 0)?,
            fetch_max_wait_ms: reader.int("fetch.max.wait.ms", 500, 0)?,
            max_partition_fetch_bytes: reader.int("max.partition.fetch.bytes", 1024 * 1024, 0)?,
            max_poll_records: reader.int("max.poll.records", 500, 1)? as usize,
            isolation_level: match isolation.as_str() {
                "read_committed" => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::ReadUncommitted,
            },
            auto_offset_reset: match reader.one_of("auto.offset.reset", "latest", &reset)?.as_str()
            {
                "earliest" => OffsetReset::Earliest,
                "none" => OffsetReset::None,
                _ => OffsetReset::Latest,
            },
            check_crcs: reader.boolean("check.crcs", true)?,
            client_rack: reader.text("client.rack", ""),
            allow_auto_create_topics: reader.boolean("allow.auto.create.topics", true)?,
        };
        Ok((config, reader.unknown_keys()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[&str]) -> Properties {
        let mut properties = Properties::default();
        properties.set("bootstrap.servers", "localhost:9092");
        for pair in pairs {
            properties.set_pair(pair).unwrap();
        }
        properties
    }

    #[test]
    fn defaults_are_javas() {
        let (config, unknown) = ProducerConfig::from_properties(&properties(&[])).unwrap();
        assert_eq!((config.acks, config.linger_ms, config.batch_size), (Acks::All, 5, 16_384));
        assert_eq!((config.delivery_timeout_ms, config.retries), (120_000, i32::MAX as u32));
        assert!(config.idempotence);
        assert!(unknown.is_empty());
    }

    #[test]
    fn idempotence_gives_way_unless_it_was_asked_for() {
        let weaker = properties(&["acks=1"]);
        assert!(!ProducerConfig::from_properties(&weaker).unwrap().0.idempotence);
        let asked = properties(&["acks=1", "enable.idempotence=true"]);
        let error = ProducerConfig::from_properties(&asked).unwrap_err();
        assert!(error.to_string().starts_with("Must set acks to all"), "{error}");
    }

    #[test]
    fn a_transactional_id_needs_idempotence() {
        let (config, _) =
            ProducerConfig::from_properties(&properties(&["transactional.id=a"])).unwrap();
        assert_eq!((config.transactional_id.as_deref(), config.acks), (Some("a"), Acks::All));
        assert_eq!(config.transaction_timeout_ms, 60_000);
        for weaker in ["acks=1", "enable.idempotence=false", "retries=0"] {
            let set = properties(&["transactional.id=a", weaker]);
            let error = ProducerConfig::from_properties(&set).unwrap_err();
            let text = "Cannot set a transactional.id without also enabling idempotence.";
            assert_eq!(error.to_string(), text, "{weaker}");
        }
    }

    #[test]
    fn wrong_values_have_kafkas_text() {
        for (pair, text) in [
            (
                "compression.type=nope",
                "Invalid value nope for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd",
            ),
            (
                "linger.ms=abc",
                "Invalid value abc for configuration linger.ms: Not a number of type LONG",
            ),
            (
                "linger.ms=-1",
                "Invalid value -1 for configuration linger.ms: Value must be at least 0",
            ),
            (
                "acks=2",
                "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1",
            ),
        ] {
            let error = ProducerConfig::from_properties(&properties(&[pair])).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn unknown_keys_are_reported_and_known_ones_of_others_are_not() {
        let set = properties(&["ssl.truststore.location=/x", "lingerms=5"]);
        let (_, unknown) = ProducerConfig::from_properties(&set).unwrap();
        assert_eq!(unknown, ["lingerms"]);
    }
}
