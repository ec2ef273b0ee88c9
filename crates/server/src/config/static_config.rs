//! The settings that hold from start to stop: read, checked and typed once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kalda_metadata::config::{ConfigKey, broker_key, broker_keys};
use kalda_model::BrokerId;

use super::environment::setting_name;
use super::listeners::{Address, AdvertisedHost, Listener, parse_addresses, parse_protocol_map};
use super::properties;
use super::quorum::QuorumConfig;
use crate::broker::RACK_AWARE_SELECTOR;

/// Where data goes when nobody says.
const DEFAULT_LOG_DIR: &str = "kalda-data";
/// Who a node is when nobody says.
const DEFAULT_NODE_ID: &str = "1";

/// A setting that cannot be used: one line that says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A setting that is of no use, said once at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning(pub String);

/// What a broker was told before it started.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `log.dirs`, absolute or relative to the working directory.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, the first of the log directories by default.
    pub metadata_log_dir: PathBuf,
    /// What this node does (`process.roles`).
    pub roles: Roles,
    /// Where clients connect, and other nodes.
    pub listeners: Vec<Listener>,
    /// How the controllers are found.
    pub quorum: QuorumConfig,
    /// The listener on which brokers reach each other (`inter.broker.listener.name`).
    pub inter_broker_listener: String,
    /// `CLUSTER_ID`, taken only when the directories do not name one yet.
    pub cluster_id: Option<String>,
    /// Every setting that was given, by its name: what DescribeConfigs calls static.
    pub values: BTreeMap<String, String>,
}

/// What a node does (`process.roles`); both when nobody says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// It holds partitions and serves clients.
    pub broker: bool,
    /// It holds the metadata log and may lead the cluster.
    pub controller: bool,
}

impl BrokerConfig {
    /// Puts together the file's text, the environment and the command line, in rising precedence.
    ///
    /// # Errors
    /// A value that its setting does not allow, or a combination that makes no sense.
    pub fn load(
        file: Option<&str>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut values = BTreeMap::new();
        let mut warnings = Vec::new();
        let mut cluster_id = None;
        values.extend(properties::parse(file.unwrap_or_default()));
        for (variable, value) in environment {
            if variable == "CLUSTER_ID" {
                cluster_id = Some(value);
            } else if let Some(name) = setting_name(&variable) {
                values.insert(name, value);
            }
        }
        values.extend(overrides.iter().cloned());
        check(&mut values, &mut warnings)?;
        Self::typed(values, cluster_id).map(|config| (config, warnings)).map_err(ConfigError)
    }

    fn typed(
        mut values: BTreeMap<String, String>,
        cluster_id: Option<String>,
    ) -> Result<Self, String> {
        let node_id = node_id(&mut values)?;
        let dirs = values.get("log.dirs").or_else(|| values.get("log.dir"));
        let dirs = dirs.cloned().unwrap_or_else(|| DEFAULT_LOG_DIR.to_owned());
        values.entry("log.dirs".to_owned()).or_insert_with(|| dirs.clone());
        let mut log_dirs: Vec<PathBuf> = Vec::new();
        for dir in dirs.split(',').map(str::trim).filter(|dir| !dir.is_empty()) {
            if log_dirs.contains(&PathBuf::from(dir)) {
                return Err(format!("log.dirs: `{dir}` is named twice"));
            }
            log_dirs.push(dir.into());
        }
        let first = log_dirs.first().ok_or("log.dirs: name at least one directory")?;
        let metadata_log_dir = values.get("metadata.log.dir").map_or(first.clone(), PathBuf::from);
        if !log_dirs.contains(&metadata_log_dir) {
            return Err("metadata.log.dir: must be one of log.dirs".to_owned());
        }
        let roles = roles(&values);
        let quorum = QuorumConfig::read(&values, node_id, roles)?;
        let listeners = listeners(&values, roles, &quorum)?;
        let inter_broker_listener = inter_broker_listener(&values, roles, &listeners)?;
        check_selector(&values)?;
        Ok(Self {
            node_id,
            log_dirs,
            metadata_log_dir,
            roles,
            listeners,
            quorum,
            inter_broker_listener,
            cluster_id,
            values,
        })
    }

    /// Whether nobody said that there are other nodes.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let is_whole = self.roles.broker && self.roles.controller;
        is_whole && !self.quorum.names_others() && !self.bootstraps_elsewhere()
    }

    /// Whether the quorum is to be found at an address that is not known to be this node's own: one
    /// that votes alone while it should have joined would be a second cluster.
    fn bootstraps_elsewhere(&self) -> bool {
        let own: Vec<&Listener> = self.listeners.iter().filter(|it| it.is_controllers).collect();
        let is_own = |server: &kalda_client::HostPort| {
            let is_loopback = matches!(&*server.host, "localhost" | "127.0.0.1" | "::1");
            own.iter().any(|listener| {
                let advertised = match &listener.advertised {
                    AdvertisedHost::Fixed { host, .. } => host.as_str(),
                    AdvertisedHost::AsDialled => "",
                };
                let is_host = [listener.host.as_str(), advertised].contains(&server.host.as_str());
                server.port == listener.port && (is_loopback || is_host)
            })
        };
        // Without a controller's listener nobody but this node can be meant.
        !own.is_empty() && !self.quorum.bootstrap.iter().all(is_own)
    }

    /// A setting's value: what was given, else its default.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let given = self.values.get(name).map(String::as_str);
        given.or_else(|| broker_key(name).and_then(|key| key.default))
    }

    /// A number, within what its setting allows (checked at load).
    ///
    /// # Panics
    /// `name` is no number setting with a default.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        let value = self.text(name).and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| panic!("`{name}` is a number with a default"))
    }

    /// A switch.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }
}

fn node_id(values: &mut BTreeMap<String, String>) -> Result<BrokerId, String> {
    let old = values.get("broker.id").cloned();
    let new = values.get("node.id").cloned();
    if let (Some(old), Some(new)) = (&old, &new)
        && old != new
    {
        return Err(format!(
            "You must set `node.id` to the same value as `broker.id`: {new} and {old} differ"
        ));
    }
    let id = new.or(old).unwrap_or_else(|| DEFAULT_NODE_ID.to_owned());
    values.insert("node.id".to_owned(), id.clone());
    match id.trim().parse() {
        Ok(id) if id >= 0 => Ok(BrokerId(id)),
        _ => Err(format!("node.id: `{id}` is not a number of 0 or more")),
    }
}

/// Checks every value against its setting, and names what is not known.
fn check(
    values: &mut BTreeMap<String, String>,
    warnings: &mut Vec<Warning>,
) -> Result<(), ConfigError> {
    for (name, value) in values.iter() {
        if name.starts_with("zookeeper.") {
            let text = format!("`{name}` is ignored: there is no ZooKeeper, the metadata is KRaft");
            warnings.push(Warning(text));
        } else if matches!(&**name, "inter.broker.protocol.version" | "log.message.format.version")
        {
            warnings
                .push(Warning(format!("`{name}` is ignored: it has no meaning since Kafka 4.0")));
        } else if let Some(key) = broker_key(name) {
            let is_unset = value.is_empty() && key.default.is_none_or(str::is_empty);
            if !is_unset {
                key.validate(value).map_err(|invalid| ConfigError(invalid.to_string()))?;
            }
        } else if !name.starts_with("listener.name.") {
            warnings.push(unknown(name));
        }
    }
    values.retain(|name, _| broker_key(name).is_some());
    Ok(())
}

fn unknown(name: &str) -> Warning {
    let distance = |key: &&ConfigKey| strsim::damerau_levenshtein(key.name, name);
    let nearest = broker_keys().iter().min_by_key(distance).filter(|key| distance(key) <= 4);
    Warning(match nearest {
        Some(key) => format!("`{name}` is not a setting; did you mean `{}`?", key.name),
        None => format!("`{name}` is not a setting and has no effect"),
    })
}

fn roles(values: &BTreeMap<String, String>) -> Roles {
    let named = values.get("process.roles").map(String::as_str).unwrap_or_default();
    let has = |role: &str| named.split(',').any(|named| named.trim() == role);
    match (has("broker"), has("controller")) {
        (false, false) => Roles { broker: true, controller: true },
        (broker, controller) => Roles { broker, controller },
    }
}

fn listeners(
    values: &BTreeMap<String, String>,
    roles: Roles,
    quorum: &QuorumConfig,
) -> Result<Vec<Listener>, String> {
    let is_controllers = |name: &str| quorum.listener_names.iter().any(|other| other == name);
    let given = values.get("listeners");
    let bound = parse_addresses("listeners", given.map_or("PLAINTEXT://:9092", String::as_str))?;
    let advertised = values.get("advertised.listeners").map(String::as_str).unwrap_or_default();
    let advertised = parse_addresses("advertised.listeners", advertised)?;
    for address in &advertised {
        if address.host == "0.0.0.0" || address.host == "::" {
            return Err(format!(
                "advertised.listeners cannot use the nonroutable meta-address {}. Use a routable IP address.",
                address.host
            ));
        }
        if !bound.iter().any(|other| other.name == address.name) {
            return Err(format!(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners: {} is not there",
                address.name
            ));
        }
    }
    let protocols = values.get("listener.security.protocol.map");
    let protocols = protocols.map(|map| parse_protocol_map(map)).unwrap_or_default();
    let mut listeners = Vec::new();
    for address in bound {
        let is_controllers = is_controllers(&address.name);
        let by_default = if is_controllers { "PLAINTEXT" } else { &*address.name };
        let protocol = protocols.get(&address.name).map_or(by_default, String::as_str);
        if protocol != "PLAINTEXT" {
            return Err(format!(
                "listeners: {address} needs {protocol}, which this version does not speak; use PLAINTEXT, or map the name in listener.security.protocol.map"
            ));
        }
        let fixed = advertised.iter().find(|other| other.name == address.name);
        let advertised = match fixed {
            Some(fixed) => AdvertisedHost::Fixed { host: fixed.host.clone(), port: fixed.port },
            None if matches!(&*address.host, "" | "0.0.0.0" | "::") => AdvertisedHost::AsDialled,
            None => AdvertisedHost::Fixed { host: address.host.clone(), port: address.port },
        };
        let Address { name, host, port } = address;
        listeners.push(Listener { name, host, port, advertised, is_controllers });
    }
    let has = |wanted: bool| listeners.iter().any(|listener| listener.is_controllers == wanted);
    if roles.broker && !has(false) {
        return Err("listeners: name at least one listener for clients".to_owned());
    }
    if !roles.broker && has(false) {
        return Err("listeners: a node that is only a controller has no listener for clients; name all of them in controller.listener.names".to_owned());
    }
    if !roles.controller && has(true) {
        return Err("listeners: a node that is only a broker must not open the listeners of controller.listener.names".to_owned());
    }
    if roles.controller && !has(true) && (!roles.broker || quorum.names_others()) {
        return Err("listeners: a controller that others are to reach needs a listener that is named in controller.listener.names, such as CONTROLLER://:9093".to_owned());
    }
    Ok(listeners)
}

/// There are no plugins: the selectors are those that are built in.
fn check_selector(values: &BTreeMap<String, String>) -> Result<(), String> {
    let class = values.get("replica.selector.class").map_or("", |class| class.trim());
    if class.is_empty() || class == RACK_AWARE_SELECTOR {
        return Ok(());
    }
    Err(format!(
        "replica.selector.class: `{class}` is not known; leave it empty, so that consumers read from leaders, or set {RACK_AWARE_SELECTOR}"
    ))
}

/// Where brokers reach each other: `inter.broker.listener.name`, else the listener that has the
/// protocol of `security.inter.broker.protocol`.
fn inter_broker_listener(
    values: &BTreeMap<String, String>,
    roles: Roles,
    listeners: &[Listener],
) -> Result<String, String> {
    let named = values.get("inter.broker.listener.name").map(|name| name.to_ascii_uppercase());
    let protocol = values.get("security.inter.broker.protocol").map(String::as_str);
    if named.is_some() && protocol.is_some() {
        return Err("Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.".to_owned());
    }
    let for_clients: Vec<_> =
        listeners.iter().filter(|listener| !listener.is_controllers).collect();
    let is_there = |name: &str| for_clients.iter().any(|listener| listener.name == name);
    match (named, &for_clients[..]) {
        (Some(name), _) if roles.broker && !is_there(&name) => Err(format!(
            "inter.broker.listener.name must be a listener name defined in listeners: {name} is not there"
        )),
        (Some(name), _) => Ok(name),
        (None, [first, ..]) if !is_there("PLAINTEXT") => Ok(first.name.clone()),
        (None, _) => Ok("PLAINTEXT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str) -> Result<(BrokerConfig, Vec<Warning>), ConfigError> {
        BrokerConfig::load(Some(file), [], &[])
    }

    #[test]
    fn without_any_setting_there_is_a_broker() {
        let (config, warnings) = BrokerConfig::load(None, [], &[]).unwrap();
        assert_eq!(config.node_id, BrokerId(1));
        assert_eq!(config.log_dirs, [PathBuf::from("kalda-data")]);
        assert_eq!(config.listeners[0].advertised, AdvertisedHost::AsDialled);
        assert_eq!(config.listeners[0].port, 9092);
        assert_eq!(config.number("num.partitions"), 1);
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_node_that_is_to_find_its_quorum_elsewhere_is_not_alone() {
        let is_alone = |servers: &str| {
            let file = format!(
                "listeners=PLAINTEXT://:9092,CONTROLLER://b:9093\ncontroller.quorum.bootstrap.servers={servers}\n"
            );
            load(&file).unwrap().0.is_alone()
        };
        assert!(is_alone("localhost:9093") && is_alone("b:9093") && is_alone(""));
        assert!(!is_alone("a:9093") && !is_alone("localhost:9095") && !is_alone("a:9093,b:9093"));
    }

    #[test]
    fn an_unknown_selector_of_replicas_is_refused() {
        let of = |class: &str| load(&format!("replica.selector.class={class}\n")).map(|_| ());
        assert_eq!(of(""), Ok(()));
        assert_eq!(of(RACK_AWARE_SELECTOR), Ok(()));
        let error = of("com.example.Nearest").unwrap_err().0;
        assert!(error.starts_with("replica.selector.class: `com.example.Nearest` is not known"));
    }

    #[test]
    fn the_stock_file_of_kafka_4_is_taken() {
        let stock = "process.roles=broker,controller\nnode.id=1\n\
            controller.quorum.bootstrap.servers=localhost:9093\n\
            listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
            inter.broker.listener.name=PLAINTEXT\n\
            advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
            controller.listener.names=CONTROLLER\n\
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
            num.network.threads=3\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n\
            offsets.topic.replication.factor=1\nlog.retention.hours=168\n";
        let (config, warnings) = load(stock).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(config.listeners.len(), 2);
        assert!(config.listeners[1].is_controllers);
        let fixed = AdvertisedHost::Fixed { host: "localhost".into(), port: 9092 };
        assert_eq!(config.listeners[0].advertised, fixed);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_neighbour_and_an_old_one_with_its_fate() {
        let (_, warnings) = load("log.retention.hour=1\nzookeeper.connect=x:2181\n").unwrap();
        assert_eq!(
            warnings[0].0,
            "`log.retention.hour` is not a setting; did you mean `log.retention.hours`?"
        );
        assert!(warnings[1].0.starts_with("`zookeeper.connect` is ignored"));
    }

    #[test]
    fn precedence_is_file_then_environment_then_command_line() {
        let environment = [("KAFKA_NUM_PARTITIONS".to_owned(), "2".to_owned())];
        let file = Some("num.partitions=1\nnode.id=7");
        let (config, _) = BrokerConfig::load(file, environment.clone(), &[]).unwrap();
        assert_eq!((config.number("num.partitions"), config.node_id), (2, BrokerId(7)));
        let overrides = [("num.partitions".to_owned(), "3".to_owned())];
        let (config, _) = BrokerConfig::load(file, environment, &overrides).unwrap();
        assert_eq!(config.number("num.partitions"), 3);
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        for (file, says) in [
            (
                "num.partitions=many",
                "Invalid value many for configuration num.partitions: Not a number of type INT",
            ),
            (
                "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0.",
            ),
            ("listeners=SSL://:9093", "listeners: SSL://:9093 needs SSL"),
            ("node.id=1\nbroker.id=2", "You must set `node.id` to the same value as `broker.id`"),
            (
                "process.roles=broker",
                "controller.quorum.bootstrap.servers: a node that is only a broker",
            ),
            ("process.roles=controller", "listeners: a node that is only a controller"),
            (
                "controller.quorum.voters=1@a:9093,2@b:9093",
                "listeners: a controller that others are to reach needs a listener",
            ),
            (
                "controller.quorum.voters=2@b:9093",
                "controller.quorum.voters: node 1 has the controller role",
            ),
            ("inter.broker.listener.name=X", "inter.broker.listener.name must be a listener name"),
            ("log.dirs=/a,/a", "log.dirs: `/a` is named twice"),
        ] {
            let error = load(file).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert!(!error.contains('\n'));
        }
    }
}
