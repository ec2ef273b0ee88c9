//! Who the nodes of a cluster on one machine are: ids, addresses, directories, settings. Looks at
//! directories only for the id of a cluster that is there already.

use std::path::PathBuf;

use kalda_storage::MetaProperties;

use crate::start::StartArgs;
use crate::storage::random_uuid;

/// Where the first node serves clients, unless `--base-port` says otherwise; each node has the port
/// after it for the controllers, and the next node begins two further.
const BASE_PORT: u16 = 9092;
/// Where data goes, unless `log.dirs` is given.
const BASE_DIR: &str = "kalda-data";
/// How many nodes vote; the others only hold partitions.
const VOTERS_MAX: usize = 5;
/// More processes than that are a mistake.
const NODES_MAX: u16 = 32;
/// What every node has one of its own.
const OWN_KEYS: &[&str] = &[
    "node.id",
    "broker.id",
    "process.roles",
    "listeners",
    "advertised.listeners",
    "controller.listener.names",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
    "metadata.log.dir",
];

/// The cluster.
pub(super) struct Layout {
    pub(super) cluster_id: String,
    pub(super) nodes: Vec<Node>,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) id: u16,
    pub(super) port: u16,
    pub(super) dirs: Vec<PathBuf>,
    pub(super) log: PathBuf,
}

impl Node {
    pub(super) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub(super) fn log_dirs(&self) -> String {
        let dirs: Vec<String> = self.dirs.iter().map(|dir| dir.display().to_string()).collect();
        dirs.join(",")
    }

    fn controller_port(&self) -> u16 {
        self.port + 1
    }
}

impl Layout {
    /// The nodes that a line asks for.
    pub(super) fn new(args: &StartArgs, count: u16) -> Result<Self, String> {
        let nodes = nodes(args, count)?;
        Ok(Self { cluster_id: cluster_id(&nodes)?, nodes })
    }

    /// Those that are controllers too.
    pub(super) fn voters(&self) -> &[Node] {
        &self.nodes[..self.nodes.len().min(VOTERS_MAX)]
    }

    /// The settings of one node: what suits so many nodes, what was given, what only it has.
    pub(super) fn settings(
        &self,
        node: &Node,
        given: &[(String, String)],
    ) -> Vec<(String, String)> {
        let pair = |key: &str, value: String| (key.to_owned(), value);
        let replicas = self.nodes.len().min(3);
        let mut settings = vec![
            pair("default.replication.factor", replicas.to_string()),
            pair("offsets.topic.replication.factor", replicas.to_string()),
            pair("transaction.state.log.replication.factor", replicas.to_string()),
            pair("transaction.state.log.min.isr", replicas.div_ceil(2).to_string()),
        ];
        settings.extend(given.iter().filter(|(key, _)| key != "log.dirs").cloned());
        let voters = self.voters();
        let votes = voters.contains(node);
        let addresses: Vec<String> = voters
            .iter()
            .map(|voter| format!("{}@localhost:{}", voter.id, voter.controller_port()))
            .collect();
        let for_clients = format!("PLAINTEXT://localhost:{}", node.port);
        let listeners = match votes {
            true => format!("{for_clients},CONTROLLER://localhost:{}", node.controller_port()),
            false => for_clients,
        };
        settings.extend([
            pair("node.id", node.id.to_string()),
            pair("process.roles", if votes { "broker,controller" } else { "broker" }.to_owned()),
            pair("listeners", listeners),
            pair("controller.listener.names", "CONTROLLER".to_owned()),
            pair("controller.quorum.voters", addresses.join(",")),
            pair("log.dirs", node.log_dirs()),
        ]);
        settings
    }
}

fn nodes(args: &StartArgs, count: u16) -> Result<Vec<Node>, String> {
    if !(1..=NODES_MAX).contains(&count) {
        return Err(format!("--nodes takes 1 to {NODES_MAX}, not {count}"));
    }
    if let Some((key, _)) = args.overrides.iter().find(|(key, _)| OWN_KEYS.contains(&&**key)) {
        return Err(format!(
            "{key} cannot be given together with --nodes: every node has its own; --base-port and log.dirs can"
        ));
    }
    let base = args.base_port.unwrap_or(BASE_PORT);
    if base.checked_add(2 * count).is_none() || base == 0 {
        return Err(format!("--base-port {base} leaves no room for {count} nodes"));
    }
    let dirs = args.overrides.iter().rev().find(|(key, _)| key == "log.dirs");
    let dirs = dirs.map_or(BASE_DIR, |(_, dirs)| dirs);
    let dirs: Vec<&str> = dirs.split(',').map(str::trim).filter(|dir| !dir.is_empty()).collect();
    if dirs.is_empty() {
        return Err("log.dirs: name at least one directory".to_owned());
    }
    let node = |id: u16| {
        let dirs: Vec<PathBuf> =
            dirs.iter().map(|dir| PathBuf::from(dir).join(id.to_string())).collect();
        let log = dirs[0].join("kalda.log");
        Node { id, port: base + 2 * (id - 1), dirs, log }
    };
    Ok((1..=count).map(node).collect())
}

/// The id that the directories have, else the one of the environment, else a new one.
fn cluster_id(nodes: &[Node]) -> Result<String, String> {
    let mut found: Option<(String, PathBuf)> = None;
    for path in nodes.iter().flat_map(|node| &node.dirs) {
        let file = path.join("meta.properties");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
        };
        let meta =
            MetaProperties::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        match &found {
            Some((id, first)) if *id != meta.cluster_id => {
                return Err(format!(
                    "{} is of cluster {} and {} is of cluster {id}: they are not nodes of one cluster",
                    path.display(),
                    meta.cluster_id,
                    first.display()
                ));
            }
            Some(_) => {}
            None => found = Some((meta.cluster_id, path.clone())),
        }
    }
    let given = std::env::var("CLUSTER_ID").ok().filter(|id| !id.is_empty());
    Ok(found.map(|(id, _)| id).or(given).unwrap_or_else(|| random_uuid().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(dir: &str) -> StartArgs {
        StartArgs {
            overrides: vec![("log.dirs".to_owned(), dir.to_owned())],
            ..StartArgs::default()
        }
    }

    #[test]
    fn nodes_have_their_own_ports_and_directories() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().display().to_string();
        let layout = Layout::new(&args(&base), 3).unwrap();
        let ports: Vec<u16> = layout.nodes.iter().map(|node| node.port).collect();
        assert_eq!(ports, [9092, 9094, 9096]);
        let given = [("num.partitions".to_owned(), "4".to_owned())];
        let settings = layout.settings(&layout.nodes[1], &given);
        let value = |key: &str| &*settings.iter().find(|(name, _)| name == key).unwrap().1;
        assert_eq!(value("listeners"), "PLAINTEXT://localhost:9094,CONTROLLER://localhost:9095");
        assert_eq!(
            value("controller.quorum.voters"),
            "1@localhost:9093,2@localhost:9095,3@localhost:9097"
        );
        assert_eq!(value("log.dirs"), format!("{base}/2"));
        assert_eq!(value("offsets.topic.replication.factor"), "3");
        assert_eq!((value("num.partitions"), value("node.id")), ("4", "2"));
    }

    #[test]
    fn at_most_five_vote() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&args(&dir.path().display().to_string()), 7).unwrap();
        let settings = layout.settings(&layout.nodes[6], &[]);
        let value = |key: &str| &*settings.iter().find(|(name, _)| name == key).unwrap().1;
        assert_eq!(
            (value("process.roles"), value("listeners")),
            ("broker", "PLAINTEXT://localhost:9104")
        );
        assert_eq!(value("controller.quorum.voters").split(',').count(), 5);
    }

    #[test]
    fn the_cluster_that_is_there_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().display().to_string();
        let write = |node: &str, cluster: &str| {
            std::fs::create_dir_all(dir.path().join(node)).unwrap();
            let text = format!("version=1\nnode.id={node}\ncluster.id={cluster}\n");
            std::fs::write(dir.path().join(node).join("meta.properties"), text).unwrap();
        };
        write("2", "abc");
        assert_eq!(Layout::new(&args(&base), 3).unwrap().cluster_id, "abc");
        write("3", "other");
        assert!(
            Layout::new(&args(&base), 3).is_err_and(|error| error.contains("not nodes of one"))
        );
    }

    #[test]
    fn what_every_node_has_of_its_own_cannot_be_given() {
        let mut args = args("x");
        args.overrides.push(("listeners".to_owned(), "PLAINTEXT://:1".to_owned()));
        assert!(Layout::new(&args, 3).is_err_and(|error| error.starts_with("listeners cannot")));
        let args = StartArgs { base_port: Some(65_535), ..StartArgs::default() };
        assert!(nodes(&args, 2).is_err_and(|error| error.contains("no room")));
        assert!(nodes(&StartArgs::default(), 0).is_err());
    }
}
