//! The grammar of the tools' options: `--x v`, `--x=v`, no abbreviations, Kafka's error texts.
//!
//! A tool declares its options as a table; parsing checks names and types, the tool what goes
//! together. The texts are those of joptsimple and of Kafka's `CommandLineUtils`.

mod commands;
mod format;
mod table;

use std::collections::BTreeMap;

use crate::failure::{Failure, Outcome};
use crate::output::complain;
use crate::tool::Call;

pub(crate) use commands::{Chosen, Commands};
pub(crate) use format::Format;

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arg {
    /// Nothing.
    None,
    /// A text; the name stands in the help.
    Text(&'static str),
    /// A text that may be left out.
    Maybe(&'static str),
    /// A 32-bit number.
    Int(&'static str),
    /// A 64-bit number.
    Long(&'static str),
}

/// Whether an option is shown in the help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Show {
    /// It is.
    Yes,
    /// It is not: an old spelling that is still taken.
    Old,
}

/// An option of a tool: name, argument, help, visibility.
pub(crate) type Opt = (&'static str, Arg, &'static str, Show);

/// A tool's options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    /// What the tool is for: the first line of the help.
    pub(crate) about: &'static str,
    /// Its options but for those that every tool has.
    pub(crate) options: &'static [Opt],
}

/// The brokers to start from.
pub(crate) const BOOTSTRAP_SERVER: Opt =
    ("bootstrap-server", Arg::Text("HOST:PORT,..."), "The brokers to start from.", Show::Yes);

/// The controllers to start from instead.
pub(crate) const BOOTSTRAP_CONTROLLER: Opt = (
    "bootstrap-controller",
    Arg::Text("HOST:PORT,..."),
    "The controllers to start from, in place of brokers.",
    Show::Yes,
);

/// The client's settings.
pub(crate) const COMMAND_CONFIG: Opt = (
    "command-config",
    Arg::Text("file"),
    "A properties file with settings of the client.",
    Show::Yes,
);

/// What every tool takes besides its own.
const COMMON: &[Opt] = &[
    ("help", Arg::None, "Print this help.", Show::Yes),
    ("version", Arg::None, "Print the version of Kafka that the tools follow.", Show::Yes),
];

/// The version of Kafka that the tools follow: `--version` prints it, as scripts expect.
const KAFKA_VERSION: &str = "4.1.2";

/// The options that a call gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parsed {
    values: BTreeMap<&'static str, Vec<Option<String>>>,
}

/// What a call asks for.
pub(crate) enum Asked {
    /// The tool's work.
    Run(Parsed),
    /// The version, which has been printed.
    Version,
}

impl Grammar {
    fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().chain(COMMON).find(|(option, ..)| *option == name)
    }

    /// The table of options.
    pub(crate) fn table(&self) -> String {
        table::render(self.options.iter().chain(COMMON))
    }

    /// An error that is followed by the table of options.
    pub(crate) fn usage(&self, message: impl Into<String>) -> Failure {
        Failure::Usage { message: message.into(), table: self.table() }
    }

    /// Reads a call. Without arguments, and with `--help`, the failure is the help.
    pub(crate) fn parse(&self, call: &Call) -> Outcome<Asked> {
        if call.args.is_empty() {
            return Err(self.usage(self.about));
        }
        let is_zookeeper = |arg: &String| arg == "--zookeeper" || arg.starts_with("--zookeeper=");
        if self.find("bootstrap-server").is_some() && call.args.iter().any(is_zookeeper) {
            return Err(Failure::usage(without_zookeeper(call)));
        }
        let parsed = self.parse_args(call)?;
        if parsed.has("help") {
            return Err(self.usage(self.about));
        }
        if parsed.has("version") {
            crate::output::print_line(KAFKA_VERSION)?;
            return Ok(Asked::Version);
        }
        Ok(Asked::Run(parsed))
    }

    fn parse_args(&self, call: &Call) -> Outcome<Parsed> {
        let mut parsed = Parsed::default();
        let mut args = call.args.iter().peekable();
        while let Some(arg) = args.next() {
            let Some(word) = arg.strip_prefix("--").filter(|word| !word.is_empty()) else {
                // Words that belong to no option are ignored, as joptsimple ignores them.
                continue;
            };
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word, None),
            };
            let name = self.alias(name);
            let Some((option, takes, ..)) = self.find(name) else {
                return Err(self.unknown(name));
            };
            let looks_like_option = |next: &&String| next.starts_with("--");
            let value = match takes {
                Arg::None if inline.is_some() => {
                    let message = format!("Option {option} does not take an argument");
                    return Err(Failure::usage(message));
                }
                Arg::None => None,
                Arg::Maybe(_) => {
                    inline.or_else(|| args.next_if(|next| !looks_like_option(next)).cloned())
                }
                Arg::Text(_) | Arg::Int(_) | Arg::Long(_) => {
                    let value = inline
                        .or_else(|| args.next_if(|next| self.find_option(next).is_none()).cloned());
                    let missing =
                        || Failure::usage(format!("Option {option} requires an argument"));
                    Some(value.ok_or_else(missing)?)
                }
            };
            check_type(option, *takes, value.as_deref())?;
            parsed.values.entry(option).or_default().push(value);
        }
        Ok(parsed)
    }

    /// The option that a word is, so that `--partitions --create` is not read as a value.
    fn find_option(&self, word: &str) -> Option<&'static Opt> {
        let word = word.strip_prefix("--")?;
        self.find(word.split_once('=').map_or(word, |(name, _)| name))
    }

    /// The old name that every tool with `--bootstrap-server` still takes.
    fn alias<'a>(&self, name: &'a str) -> &'a str {
        let is_old = name == "broker-list" && self.find(name).is_none();
        if !is_old || self.find("bootstrap-server").is_none() {
            return name;
        }
        complain!("--broker-list is the old name of --bootstrap-server");
        "bootstrap-server"
    }

    fn unknown(&self, name: &str) -> Failure {
        let visible = self.options.iter().chain(COMMON).filter(|(.., show)| *show == Show::Yes);
        let mut message = format!("{name} is not a recognized option");
        if let Some(near) = nearest(name, visible.map(|(name, ..)| *name)) {
            message.push_str(&format!("; did you mean --{near}?"));
        }
        Failure::usage(message)
    }

    /// Checks that options are there; the error is Kafka's.
    pub(crate) fn require(&self, parsed: &Parsed, names: &[&str]) -> Outcome {
        match names.iter().find(|name| !parsed.has(name)) {
            Some(missing) => Err(self.usage(format!("Missing required argument \"[{missing}]\""))),
            None => Ok(()),
        }
    }

    /// Checks that with `used` none of `others` is there; the error is Kafka's.
    pub(crate) fn forbid(&self, parsed: &Parsed, used: &str, others: &[&str]) -> Outcome {
        if !parsed.has(used) {
            return Ok(());
        }
        match others.iter().find(|other| parsed.has(other)) {
            Some(other) => {
                Err(self
                    .usage(format!("Option \"[{used}]\" can't be used with option \"[{other}]\"")))
            }
            None => Ok(()),
        }
    }
}

fn check_type(option: &str, takes: Arg, value: Option<&str>) -> Outcome {
    let Some(value) = value else { return Ok(()) };
    let fits = match takes {
        Arg::Int(_) => value.parse::<i32>().is_ok(),
        Arg::Long(_) => value.parse::<i64>().is_ok(),
        Arg::None | Arg::Text(_) | Arg::Maybe(_) => true,
    };
    let message = || format!("Cannot parse argument '{value}' of option {option}");
    if fits { Ok(()) } else { Err(Failure::usage(message())) }
}

/// The command that does without ZooKeeper what the call wanted.
fn without_zookeeper(call: &Call) -> String {
    let mut rest = Vec::new();
    let mut host = "localhost".to_owned();
    let mut args = call.args.iter();
    while let Some(arg) = args.next() {
        let value = match arg.strip_prefix("--zookeeper") {
            Some("") => args.next().cloned().unwrap_or_default(),
            Some(inline) if inline.starts_with('=') => inline[1..].to_owned(),
            _ => {
                rest.push(arg.clone());
                continue;
            }
        };
        if let Some((first, _)) = value.split_once(':') {
            host = first.to_owned();
        }
    }
    let server = if rest.iter().any(|arg| arg.starts_with("--bootstrap-server")) {
        String::new()
    } else {
        format!(" --bootstrap-server {host}:9092")
    };
    let (name, rest) = (&call.name, rest.join(" "));
    format!("--zookeeper was removed in Kafka 4.0. Try: {name}{server} {rest}")
}

/// The candidate that a mistyped word most likely meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let distances = candidates.map(|name| (strsim::damerau_levenshtein(word, name), name));
    let (distance, name) = distances.min()?;
    let is_part = name.starts_with(word) && word.len() >= 3;
    (distance <= 2.max(word.len() / 4) || is_part).then_some(name)
}

impl Parsed {
    /// Whether an option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of an option that is given at most once.
    pub(crate) fn value(&self, name: &str) -> Outcome<Option<&str>> {
        match self.values.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => Ok(value.as_deref()),
            Some(_) => Err(Failure::usage(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            ))),
        }
    }

    /// All values of an option that may be given often.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.get(name).into_iter().flatten().filter_map(Option::as_deref)
    }

    /// The value of a number option.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        let message = || Failure::usage(format!("Cannot parse argument '{text}' of option {name}"));
        text.parse().map(Some).map_err(|_| message())
    }
}

#[cfg(test)]
mod tests;
