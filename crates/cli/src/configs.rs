//! `configs`: describes and changes configs of topics, brokers, groups and client metrics, as
//! `kafka-configs` does. Quotas and SCRAM credentials come with security.

use std::io::Write;

use kalda_client::Admin;
use kalda_client::admin::{
    AlterOp, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
};

use crate::connect::{admin_client, block_on, properties_file};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::output::{complain, print_line, stdout};
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
    options: &[
        (
            "add-config",
            Arg::Text("k1=v1,k2=[v2,v3]"),
            "Configs to set; square brackets hold values with commas.",
            Show::Yes,
        ),
        ("add-config-file", Arg::Text("file"), "A properties file of configs to set.", Show::Yes),
        ("all", Arg::None, "Describe all configs, not only those that were set.", Show::Yes),
        ("alter", Arg::None, "Change configs.", Show::Yes),
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED: The brokers to start from, as HOST:PORT,...",
            Show::Yes,
        ),
        ("broker", Arg::Text("id"), "A broker.", Show::Yes),
        ("broker-defaults", Arg::None, "The defaults of all brokers.", Show::Yes),
        ("broker-logger", Arg::Text("id"), "The log levels of a broker.", Show::Yes),
        ("client-metrics", Arg::Text("name"), "A client metrics subscription.", Show::Yes),
        (
            "command-config",
            Arg::Text("command config property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("delete-config", Arg::Text("k1,k2"), "Configs to take back.", Show::Yes),
        ("describe", Arg::None, "Show configs.", Show::Yes),
        ("entity-default", Arg::None, "The defaults of the entity type.", Show::Yes),
        ("entity-name", Arg::Text("name"), "The name of the entity.", Show::Yes),
        (
            "entity-type",
            Arg::Text("type"),
            "topics, brokers, broker-loggers, client-metrics or groups.",
            Show::Yes,
        ),
        ("force", Arg::None, "", Show::Old),
        ("group", Arg::Text("id"), "A group.", Show::Yes),
        ("topic", Arg::Text("topic"), "A topic.", Show::Yes),
    ],
};

/// Kind, `--entity-type`, short option, singular.
const KINDS: [(ResourceType, &str, &str, &str); 5] = [
    (ResourceType::Topic, "topics", "topic", "topic"),
    (ResourceType::Broker, "brokers", "broker", "broker"),
    (ResourceType::BrokerLogger, "broker-loggers", "broker-logger", "broker-logger"),
    (ResourceType::ClientMetrics, "client-metrics", "client-metrics", "client-metric"),
    (ResourceType::Group, "groups", "group", "group"),
];

/// Whose configs are meant; without a name, all of the kind, or the brokers' defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entity {
    kind: ResourceType,
    plural: &'static str,
    singular: &'static str,
    name: Option<String>,
}

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    if parsed.has("alter") == parsed.has("describe") {
        return Err(GRAMMAR.usage("Command must include exactly one action: --describe, --alter"));
    }
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let entity = entity(&parsed)?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    let outcome = if parsed.has("alter") {
        let changes = changes(&parsed, &entity)?;
        block_on(alter(&admin, &entity, changes))
    } else {
        block_on(describe(&admin, &entity, parsed.has("all")))
    };
    match outcome {
        Err(Failure::Client(error)) => {
            complain!("Error while executing config command with args '{}'", call.args.join(" "));
            complain!("{}: {error}", error.exception_name());
            Err(Failure::Reported(Blame::of(&error)))
        }
        outcome => outcome,
    }
}

fn entity(parsed: &Parsed) -> Outcome<Entity> {
    let of = |(kind, plural, _, singular), name| Entity { kind, plural, singular, name };
    if parsed.has("broker-defaults") {
        return Ok(of(KINDS[1], Some(String::new())));
    }
    for kind in KINDS {
        if let Some(name) = parsed.value(kind.2)? {
            return Ok(of(kind, Some(name.to_owned())));
        }
    }
    let Some(plural) = parsed.value("entity-type")? else {
        return Err(Failure::usage("At least one entity type must be specified"));
    };
    let Some(kind) = KINDS.into_iter().find(|kind| kind.1 == plural) else {
        return Err(Failure::usage(format!(
            "Invalid entity type {plural}, the entity type must be one of topics, brokers, broker-loggers, client-metrics, groups"
        )));
    };
    let name = match parsed.value("entity-name")? {
        Some(name) => Some(name.to_owned()),
        None => parsed.has("entity-default").then(String::new),
    };
    Ok(of(kind, name))
}

/// Splits `k1=v1,k2=[a,b]`; the brackets hold values with commas.
fn split_configs(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((value, next)) => (value, next),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim().is_empty() || key.contains(',') {
            return None;
        }
        pairs.push((key.trim().to_owned(), value.to_owned()));
        rest = next.trim_start().strip_prefix(',').unwrap_or(next).trim_start();
    }
    Some(pairs)
}

fn changes(parsed: &Parsed, entity: &Entity) -> Outcome<Vec<ConfigChange>> {
    if entity.name.is_none() {
        let plural = entity.plural;
        return Err(Failure::usage(format!(
            "An entity name must be specified with --alter of {plural}"
        )));
    }
    if !["add-config", "add-config-file", "delete-config"].iter().any(|name| parsed.has(name)) {
        return Err(Failure::usage(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ));
    }
    let set =
        |name: String, value: String| ConfigChange { name, value: Some(value), op: AlterOp::Set };
    let mut changes = Vec::new();
    if let Some(path) = parsed.value("add-config-file")? {
        let file = properties_file(path)?;
        changes.extend(file.iter().map(|(key, value)| set(key.to_owned(), value.to_owned())));
    }
    if let Some(text) = parsed.value("add-config")? {
        let pairs = split_configs(text).ok_or_else(|| {
            Failure::usage(
                "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.",
            )
        })?;
        changes.extend(pairs.into_iter().map(|(key, value)| set(key, value)));
    }
    for name in parsed.value("delete-config")?.unwrap_or_default().split(',') {
        let name = name.trim();
        if !name.is_empty() {
            changes.push(ConfigChange { name: name.to_owned(), value: None, op: AlterOp::Delete });
        }
    }
    Ok(changes)
}

/// Whether a value was set on the entity itself.
fn is_set_on(entity: &Entity, source: ConfigSource) -> bool {
    match (entity.kind, entity.name.as_deref()) {
        (ResourceType::Topic, _) => source == ConfigSource::DynamicTopic,
        (ResourceType::Broker, Some("")) => source == ConfigSource::DynamicDefaultBroker,
        (ResourceType::Broker, _) => source == ConfigSource::DynamicBroker,
        (ResourceType::BrokerLogger, _) => source == ConfigSource::DynamicBrokerLogger,
        (ResourceType::ClientMetrics, _) => source == ConfigSource::ClientMetrics,
        (ResourceType::Group, _) => source == ConfigSource::Group,
    }
}

async fn alter(admin: &Admin, entity: &Entity, changes: Vec<ConfigChange>) -> Outcome {
    let name = entity.name.clone().unwrap_or_default();
    let resource = ConfigResource { kind: entity.kind, name: name.clone() };
    let current = admin.describe_configs(&resource).await?;
    let is_set = |key: &str| {
        current.iter().any(|entry| entry.name == key && is_set_on(entity, entry.source))
    };
    let absent: Vec<&str> = changes
        .iter()
        .filter(|change| change.op == AlterOp::Delete && !is_set(&change.name))
        .map(|change| change.name.as_str())
        .collect();
    if !absent.is_empty() {
        return Err(Failure::usage(format!("Invalid config(s): {}", absent.join(","))));
    }
    admin.alter_configs(&resource, &changes).await?;
    let line = match name.as_str() {
        "" => format!("Completed updating default config for {} in the cluster.", entity.plural),
        name => format!("Completed updating config for {} {name}.", entity.singular),
    };
    Ok(print_line(&line)?)
}

async fn describe(admin: &Admin, entity: &Entity, all: bool) -> Outcome {
    let names = match (&entity.name, entity.kind) {
        (Some(name), _) => vec![name.clone()],
        (None, ResourceType::Topic) => {
            let listed = admin.list_topics().await?;
            listed.into_iter().map(|topic| topic.name).collect()
        }
        (None, ResourceType::Broker) => {
            let nodes = admin.nodes().await?;
            let ids = nodes.iter().map(|node| node.id.to_string());
            ids.chain([String::new()]).collect()
        }
        (None, _) => {
            let plural = entity.plural;
            return Err(Failure::usage(format!(
                "An entity name must be specified with --describe of {plural}"
            )));
        }
    };
    let known_topics = match entity.kind {
        ResourceType::Topic => Some(admin.list_topics().await?),
        _ => None,
    };
    let known_brokers = match entity.kind {
        ResourceType::Broker | ResourceType::BrokerLogger => Some(admin.nodes().await?),
        _ => None,
    };
    let mut output = stdout();
    for name in names {
        let is_known = match (&known_topics, &known_brokers) {
            (Some(topics), _) => topics.iter().any(|topic| topic.name == name),
            (_, Some(nodes)) => {
                name.is_empty() || nodes.iter().any(|node| node.id.to_string() == name)
            }
            _ => true,
        };
        if !is_known {
            let singular = entity.singular;
            writeln!(
                output,
                "The {singular} '{name}' doesn't exist and doesn't have dynamic config."
            )?;
            continue;
        }
        let entity = Entity { name: Some(name.clone()), ..entity.clone() };
        let resource = ConfigResource { kind: entity.kind, name: name.clone() };
        let entries = admin.describe_configs(&resource).await?;
        output.write_all(text(&entity, &entries, all).as_bytes())?;
    }
    Ok(output.flush()?)
}

fn text(entity: &Entity, entries: &[ConfigEntry], all: bool) -> String {
    let which = if all { "All" } else { "Dynamic" };
    let mut text = match entity.name.as_deref() {
        None | Some("") => format!("Default configs for {} in the cluster are:\n", entity.plural),
        Some(name) => format!("{which} configs for {} {name} are:\n", entity.singular),
    };
    let mut shown: Vec<&ConfigEntry> =
        entries.iter().filter(|entry| all || is_set_on(entity, entry.source)).collect();
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in shown {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|(source, key, set)| format!("{}:{key}={}", source.name(), value(set)))
            .collect();
        text.push_str(&format!(
            "  {}={} sensitive={} synonyms={{{}}}\n",
            entry.name,
            value(&entry.value),
            entry.is_sensitive,
            synonyms.join(", ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_commas() {
        let pairs = split_configs("retention.ms=1000,cleanup.policy=[compact,delete],a=").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(
            pairs,
            [("retention.ms", "1000"), ("cleanup.policy", "compact,delete"), ("a", "")]
        );
        assert_eq!(split_configs("retention.ms"), None);
        assert_eq!(split_configs("a=1,b"), None);
    }

    #[test]
    fn descriptions_are_kafkas() {
        let entity = Entity {
            kind: ResourceType::Topic,
            plural: "topics",
            singular: "topic",
            name: Some("web_log".to_owned()),
        };
        let entry = |name: &str, value: &str, source| ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
            is_sensitive: false,
            is_read_only: false,
            synonyms: vec![
                (source, name.to_owned(), Some(value.to_owned())),
                (ConfigSource::Default, format!("log.{name}"), Some("x".to_owned())),
            ],
        };
        let entries = [
            entry("segment.bytes", "5", ConfigSource::DynamicTopic),
            entry("flush.ms", "9", ConfigSource::Default),
        ];
        assert_eq!(
            text(&entity, &entries, false),
            "Dynamic configs for topic web_log are:\n  segment.bytes=5 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=5, DEFAULT_CONFIG:log.segment.bytes=x}\n"
        );
        assert!(
            text(&entity, &entries, true)
                .starts_with("All configs for topic web_log are:\n  flush.ms=9")
        );
    }
}
