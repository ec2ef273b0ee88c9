//! Takes typed values out of [`Properties`] and remembers which keys were known.
//!
//! Used by the three configurations. The texts of refusals are those of Kafka's `ConfigDef`.

use std::collections::BTreeSet;

use kalda_records::Compression;

use super::{ConfigError, Properties};

/// Keys of Java clients that mean nothing here, or not yet, and deserve no warning.
const KNOWN_PREFIXES: &[&str] = &[
    "ssl.",
    "sasl.",
    "metric",
    "auto.commit.",
    "compression.",
    "client.dns.lookup",
    "connections.max.idle.ms",
    "enable.auto.commit",
    "enable.metrics.push",
    "exclude.internal.topics",
    "group.",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "key.",
    "max.poll.interval.ms",
    "metadata.",
    "partition",
    "receive.buffer.bytes",
    "security.",
    "send.buffer.bytes",
    "session.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "transaction",
    "value.",
    "acks",
    "batch.size",
    "linger.ms",
    "fetch.",
    "isolation.level",
];

/// A reading of properties.
pub(crate) struct Reader<'a> {
    properties: &'a Properties,
    asked: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(properties: &'a Properties) -> Self {
        Self { properties, asked: BTreeSet::new() }
    }

    /// The keys that were set and that no client knows.
    pub(crate) fn unknown_keys(&self) -> Vec<String> {
        let is_known = |key: &str| KNOWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        let keys = self.properties.iter().map(|(key, _)| key);
        keys.filter(|key| !self.asked.contains(key) && !is_known(key)).map(str::to_owned).collect()
    }

    fn value(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.insert(key);
        self.properties.get(key).map(str::trim)
    }

    pub(crate) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.value(key).unwrap_or(default).to_owned()
    }

    pub(crate) fn boolean(
        &mut self,
        key: &'static str,
        default: bool,
    ) -> Result<bool, ConfigError> {
        match self.value(key) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => {
                let why = "Expected value to be either true or false";
                Err(ConfigError::value(key, text, why))
            }
        }
    }

    pub(crate) fn int(
        &mut self,
        key: &'static str,
        default: i32,
        least: i32,
    ) -> Result<i32, ConfigError> {
        let Some(text) = self.value(key) else { return Ok(default) };
        let number =
            text.parse().map_err(|_| ConfigError::value(key, text, "Not a number of type INT"))?;
        if number < least {
            let why = format!("Value must be at least {least}");
            return Err(ConfigError::value(key, text, &why));
        }
        Ok(number)
    }

    /// A number that is not negative: milliseconds or bytes.
    fn long(&mut self, key: &'static str, default: u64) -> Result<u64, ConfigError> {
        let Some(text) = self.value(key) else { return Ok(default) };
        let number: i64 =
            text.parse().map_err(|_| ConfigError::value(key, text, "Not a number of type LONG"))?;
        u64::try_from(number).map_err(|_| ConfigError::value(key, text, "Value must be at least 0"))
    }

    pub(crate) fn millis(&mut self, key: &'static str, default: u64) -> Result<u64, ConfigError> {
        self.long(key, default)
    }

    pub(crate) fn size(&mut self, key: &'static str, default: u64) -> Result<usize, ConfigError> {
        Ok(usize::try_from(self.long(key, default)?).unwrap_or(usize::MAX))
    }

    pub(crate) fn one_of(
        &mut self,
        key: &'static str,
        default: &str,
        choices: &[&str],
    ) -> Result<String, ConfigError> {
        let text = self.text(key, default);
        if choices.contains(&text.as_str()) {
            return Ok(text);
        }
        let why = format!("String must be one of: {}", choices.join(", "));
        Err(ConfigError::value(key, &text, &why))
    }

    pub(crate) fn transactional_id(&mut self) -> Result<Option<String>, ConfigError> {
        match self.value("transactional.id") {
            Some("") => {
                let why = "String must be non-empty";
                Err(ConfigError::value("transactional.id", "", why))
            }
            id => Ok(id.map(str::to_owned)),
        }
    }

    pub(crate) fn compression(&mut self) -> Result<Compression, ConfigError> {
        let names = Compression::ALL.map(Compression::name);
        let name = self.one_of("compression.type", "none", &names)?;
        Ok(Compression::from_name(&name).unwrap_or_default())
    }

    pub(crate) fn compression_level(
        &mut self,
        codec: Compression,
    ) -> Result<Option<i32>, ConfigError> {
        let (key, levels) = match (codec, codec.levels()) {
            (Compression::Gzip, Some(levels)) => ("compression.gzip.level", levels),
            (Compression::Lz4, Some(levels)) => ("compression.lz4.level", levels),
            (Compression::Zstd, Some(levels)) => ("compression.zstd.level", levels),
            _ => return Ok(None),
        };
        let Some(text) = self.value(key) else { return Ok(None) };
        let level: i32 =
            text.parse().map_err(|_| ConfigError::value(key, text, "Not a number of type INT"))?;
        if !levels.contains(&level) {
            let why = format!("Value must be between {} and {}", levels.start(), levels.end());
            return Err(ConfigError::value(key, text, &why));
        }
        Ok(Some(level))
    }
}
