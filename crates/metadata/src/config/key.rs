//! One setting: what it is called, what it may be, and the text that refuses what it may not be.

use std::fmt;

/// The type of a setting's value, by its number on the wire (DescribeConfigs v3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// How a broker setting may be changed (`DynamicBrokerConfig`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateMode {
    /// Only in the file, with a restart.
    ReadOnly,
    /// At run time, for one broker.
    PerBroker,
    /// At run time, for one broker or for all.
    ClusterWide,
}

/// Which values of the type are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Valid {
    /// All.
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number between the two, both included.
    Between(i64, i64),
    /// A fraction between the two, both included.
    Fraction(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// -1 or more, or one of the ranges that a compression level may have.
    Level(&'static [i64], i64, i64),
    /// `*`, or a list of `partition:broker` pairs.
    Replicas,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Its name, as Kafka spells it.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigType,
    /// The value that applies when nobody sets one; `None` where there is none.
    pub default: Option<&'static str>,
    /// Which values are allowed.
    pub valid: Valid,
    /// How it may be changed; topics' settings are always dynamic.
    pub update: UpdateMode,
    /// For a topic's setting: the broker settings it falls back to, the first that is set winning,
    /// each with the factor that turns its unit into this one's.
    pub synonyms: &'static [(&'static str, i64)],
    /// What it does, in a sentence.
    pub doc: &'static str,
}

/// A value that its setting does not allow; the text is Kafka's (`ConfigException`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidConfig {
    /// The setting.
    pub name: String,
    /// The value that was refused.
    pub value: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, reason } = self;
        write!(f, "Invalid value {value} for configuration {name}")?;
        if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
    }
}

impl std::error::Error for InvalidConfig {}

impl ConfigKey {
    /// Whether the value must never be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// Checks that `value` is of the type and within the limits.
    ///
    /// # Errors
    /// The value is refused, with Kafka's words.
    pub fn validate(&self, value: &str) -> Result<(), InvalidConfig> {
        let invalid = |reason: String| InvalidConfig {
            name: self.name.to_owned(),
            value: value.to_owned(),
            reason,
        };
        let value = value.trim();
        let number = match self.kind {
            ConfigType::Boolean => {
                return match value.to_ascii_lowercase().as_str() {
                    "true" | "false" => Ok(()),
                    _ => Err(invalid("Expected value to be either true or false".into())),
                };
            }
            ConfigType::Int => value.parse::<i32>().map(i64::from).map_err(|_| "INT"),
            ConfigType::Short => value.parse::<i16>().map(i64::from).map_err(|_| "SHORT"),
            ConfigType::Long => value.parse::<i64>().map_err(|_| "LONG"),
            ConfigType::Double => {
                let fraction: f64 =
                    value.parse().map_err(|_| invalid("Not a number of type DOUBLE".into()))?;
                return self.check_fraction(fraction).map_err(invalid);
            }
            _ => return self.check_words(value).map_err(invalid),
        };
        match number {
            Ok(number) => self.check_number(number).map_err(invalid),
            Err(kind) => Err(invalid(format!("Not a number of type {kind}"))),
        }
    }

    fn check_number(&self, number: i64) -> Result<(), String> {
        let at_least = |min: i64| match number >= min {
            true => Ok(()),
            false => Err(format!("Value must be at least {min}")),
        };
        match self.valid {
            Valid::AtLeast(min) => at_least(min),
            Valid::Between(min, max) => {
                at_least(min)?;
                if number <= max {
                    Ok(())
                } else {
                    Err(format!("Value must be no more than {max}"))
                }
            }
            Valid::Level(also, min, max)
                if !also.contains(&number) && !(min..=max).contains(&number) =>
            {
                Err(format!("Value must be between {min} and {max} or equal to {}", also[0]))
            }
            _ => Ok(()),
        }
    }

    fn check_fraction(&self, fraction: f64) -> Result<(), String> {
        match self.valid {
            Valid::Fraction(min, _) if fraction < min => {
                Err(format!("Value must be at least {min}"))
            }
            Valid::Fraction(_, max) if fraction > max => {
                Err(format!("Value must be no more than {max}"))
            }
            _ => Ok(()),
        }
    }

    fn check_words(&self, value: &str) -> Result<(), String> {
        let unknown = |words: &[&str]| Err(format!("String must be one of: {}", words.join(", ")));
        match self.valid {
            Valid::OneOf(words) if !words.contains(&value) => unknown(words),
            Valid::ListOf(words) => {
                let mut items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
                if items.all(|item| words.contains(&item)) { Ok(()) } else { unknown(words) }
            }
            Valid::Replicas => {
                let is_number =
                    |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
                let is_pair = |item: &str| {
                    let pair = item.split_once(':');
                    item.is_empty() || pair.is_some_and(|(a, b)| is_number(a) && is_number(b))
                };
                if value == "*" || value.split(',').map(str::trim).all(is_pair) {
                    return Ok(());
                }
                Err(format!(
                    "{} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                ))
            }
            _ => Ok(()),
        }
    }
}
