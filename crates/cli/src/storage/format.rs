//! `storage format`: an identity for every log directory, the first records of the cluster, and,
//! where the controllers can change, who they are at first.
//!
//! `meta.properties` is written last: a directory that has it is formatted whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kalda_env::{Clock as _, Disk, FsDisk, SystemClock};
use kalda_protocol::stored::metadata::{FeatureLevelRecord, MetadataRecord};
use kalda_raft::quorum::{ReplicaKey, VoterEndpoint, VoterSet};
use kalda_server::{BrokerConfig, SUPPORTED_FEATURES};
use kalda_storage::{LogDirectory, MetaProperties, StorageError};

use super::random_uuid;
use super::voters::{parse_voters, voter};
use crate::failure::{Failure, Outcome};
use crate::features::{METADATA_VERSION, Release, parse_level};
use crate::metadata_quorum::controller_endpoints;
use crate::options::Parsed;
use crate::output::print_line;

const KRAFT_VERSION: &str = "kraft.version";

/// Formats the directories of a node.
pub(super) fn run(parsed: &Parsed, config: &BrokerConfig) -> Outcome {
    if parsed.has("add-scram") {
        return Err(Failure::usage("--add-scram: there is no SCRAM authentication yet"));
    }
    let cluster_id = parsed.value("cluster-id")?.unwrap_or_default().trim();
    if cluster_id.is_empty() {
        return Err(Failure::usage(
            "--cluster-id: name one; `kalda storage random-uuid` makes one",
        ));
    }
    let voters = initial_voters(parsed, config)?;
    let has_fixed_voters = !config.quorum.voters.is_empty();
    if voters.is_some() && has_fixed_voters {
        return Err(Failure::usage(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.",
        ));
    }
    let is_undecided = voters.is_none() && !parsed.has("no-initial-controllers");
    if config.roles.controller && !has_fixed_voters && is_undecided {
        return Err(Failure::usage(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.",
        ));
    }
    let features = Features::wanted(parsed, voters.is_some())?;
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let plan = Formatting { config, cluster_id, voters, features, disk };
    plan.run(parsed.has("ignore-formatted"))
}

fn initial_voters(parsed: &Parsed, config: &BrokerConfig) -> Outcome<Option<VoterSet>> {
    if let Some(text) = parsed.value("initial-controllers")? {
        let listener = &config.quorum.listener_names[0];
        return parse_voters(text, listener).map(Some).map_err(Failure::usage);
    }
    if !parsed.has("standalone") {
        return Ok(None);
    }
    if !config.roles.controller {
        return Err(Failure::usage("You can only use --standalone on a controller."));
    }
    let endpoint = controller_endpoints(config).into_iter().next();
    let endpoint = endpoint.ok_or_else(|| {
        Failure::usage(
            "No controller listeners found: name one in listeners and in controller.listener.names",
        )
    })?;
    let key = ReplicaKey { id: config.node_id, directory: Some(random_uuid()) };
    let (listener, host, port) = (endpoint.listener, endpoint.host, endpoint.port);
    Ok(Some(VoterSet::new([voter(key, VoterEndpoint { listener, host, port })])))
}

/// What a new cluster runs.
struct Features {
    release: Release,
    levels: BTreeMap<String, i16>,
}

impl Features {
    /// As `--release-version` and `--feature` say; only what this binary can run.
    fn wanted(parsed: &Parsed, is_dynamic: bool) -> Outcome<Self> {
        let named = parsed.value("release-version")?;
        let mut release = match named {
            None => Release::newest(),
            Some(name) => Release::named(name)
                .ok_or_else(|| Failure::usage(format!("Version {name} is not a valid version")))?,
        };
        let mut given = BTreeMap::new();
        for feature in parsed.values("feature") {
            let (name, level) = parse_level(feature).map_err(Failure::usage)?;
            if given.insert(name, level).is_some() {
                return Err(Failure::usage(format!(
                    "Feature {name} was specified more than once."
                )));
            }
        }
        if let Some(level) = given.remove(METADATA_VERSION) {
            if named.is_some() {
                return Err(Failure::usage(
                    "Use --release-version or --feature metadata.version, not both",
                ));
            }
            release = Release::of_level(level).ok_or_else(|| {
                Failure::usage(format!("No {METADATA_VERSION} with feature level {level}"))
            })?;
        }
        check_kraft_version(given.remove(KRAFT_VERSION), is_dynamic)?;
        let mut levels = BTreeMap::from([(METADATA_VERSION.to_owned(), release.level)]);
        let defaults = release.features().filter(|(name, _)| is_known(name));
        levels.extend(defaults.map(|(name, level)| (name.to_owned(), level)));
        for (name, level) in given {
            let known = SUPPORTED_FEATURES.iter().find(|(known, ..)| *known == name);
            let Some((_, min, max)) = known else {
                let all: Vec<&str> = SUPPORTED_FEATURES.iter().map(|(name, ..)| *name).collect();
                return Err(Failure::usage(format!(
                    "Unsupported feature: {name}. Supported features are: {}",
                    all.join(", ")
                )));
            };
            if !(*min..=*max).contains(&level) {
                return Err(Failure::usage(format!(
                    "No feature:{name} with feature level {level}"
                )));
            }
            levels.insert(name.to_owned(), level);
        }
        levels.retain(|_, level| *level > 0);
        Ok(Self { release, levels })
    }

    fn records(&self) -> Vec<MetadataRecord> {
        let record = |(name, level): (&String, &i16)| {
            let record = FeatureLevelRecord { name: name.clone(), feature_level: *level };
            MetadataRecord::FeatureLevel(record)
        };
        // The version of the records stands before the records.
        let (first, rest): (Vec<_>, Vec<_>) =
            self.levels.iter().partition(|(name, _)| *name == METADATA_VERSION);
        first.into_iter().chain(rest).map(record).collect()
    }
}

/// Whether it is a feature of the metadata that this binary can run; that of the quorum is none.
fn is_known(feature: &str) -> bool {
    feature != KRAFT_VERSION && SUPPORTED_FEATURES.iter().any(|(name, ..)| *name == feature)
}

/// The level follows from who the voters are; it may be said, but not otherwise.
fn check_kraft_version(level: Option<i16>, is_dynamic: bool) -> Outcome {
    let refuse = |level: i16, when: &str| {
        Err(Failure::usage(format!(
            "Cannot set kraft.version to {level} {when} KIP-853 configuration is present. Try removing the --feature flag for kraft.version."
        )))
    };
    match level {
        Some(0) if is_dynamic => refuse(0, "if"),
        Some(1) if !is_dynamic => refuse(1, "unless"),
        None | Some(0 | 1) => Ok(()),
        Some(other) => {
            Err(Failure::usage(format!("No feature:kraft.version with feature level {other}")))
        }
    }
}

/// A formatting, checked.
struct Formatting<'a> {
    config: &'a BrokerConfig,
    cluster_id: &'a str,
    voters: Option<VoterSet>,
    features: Features,
    disk: Arc<dyn Disk>,
}

impl Formatting<'_> {
    fn run(&self, ignores_formatted: bool) -> Outcome {
        let mut empty = Vec::new();
        let mut formatted = None;
        for path in &self.config.log_dirs {
            let opened = LogDirectory::open(Arc::clone(&self.disk), path).map_err(unusable)?;
            match opened.meta_properties().map_err(unusable)? {
                None => empty.push(opened),
                Some(meta) => {
                    self.check_owner(path, &meta)?;
                    formatted.get_or_insert(path);
                }
            }
        }
        if let Some(path) = formatted.filter(|_| !ignores_formatted) {
            return Err(Failure::Message(format!(
                "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
                path.display()
            )));
        }
        if empty.is_empty() {
            return Ok(print_line("All of the log directories are already formatted.")?);
        }
        empty.iter().try_for_each(|directory| self.format(directory))
    }

    fn check_owner(&self, path: &Path, meta: &MetaProperties) -> Outcome {
        let node = self.config.node_id;
        let wrong = |what: &str, wanted: &str, found: &str| {
            Err(Failure::Message(format!(
                "Invalid {what} in: {}/meta.properties. Expected {wanted}, but read {found}",
                path.display()
            )))
        };
        if meta.cluster_id != self.cluster_id {
            return wrong("cluster.id", self.cluster_id, &meta.cluster_id);
        }
        if meta.node_id != node {
            return wrong("node.id", &node.to_string(), &meta.node_id.to_string());
        }
        Ok(())
    }

    fn format(&self, directory: &LogDirectory) -> Outcome {
        let path = directory.path();
        let is_metadata = path == self.config.metadata_log_dir;
        let voters = self.voters.as_ref().filter(|_| is_metadata);
        let own = voters.and_then(|voters| voters.voter(self.config.node_id));
        let what = match (is_metadata, voters, own) {
            (false, ..) => "data directory",
            (true, None, _) => "metadata directory",
            (true, Some(_), None) => "dynamic metadata directory",
            (true, Some(_), Some(_)) => "dynamic metadata voter directory",
        };
        print_line(&format!(
            "Formatting {what} {} with metadata.version {}.",
            path.display(),
            self.features.release.name
        ))?;
        let now_ms = SystemClock::new().wall_ms();
        kalda_raft::write_bootstrap(&*self.disk, path, self.features.records(), now_ms)
            .map_err(unusable)?;
        if let Some(voters) = voters {
            kalda_raft::format(&*self.disk, path, voters, now_ms).map_err(unusable)?;
        }
        let id = own.and_then(|voter| voter.key.directory).unwrap_or_else(random_uuid);
        let meta = MetaProperties {
            cluster_id: self.cluster_id.to_owned(),
            node_id: self.config.node_id,
            directory_id: Some(id),
        };
        directory.store_meta_properties(&meta).map_err(unusable)
    }
}

fn unusable(error: StorageError) -> Failure {
    Failure::Message(match error {
        StorageError::Locked { path } => {
            format!("{} is in use: stop the node that runs on it before formatting", path.display())
        }
        error => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Asked, Grammar};
    use crate::tool::Call;

    fn features(line: &str, is_dynamic: bool) -> Result<BTreeMap<String, i16>, String> {
        let grammar: &Grammar = &super::super::TOOL.grammar;
        let args = format!("--cluster-id x {line}").split_whitespace().map(str::to_owned).collect();
        let Ok(Asked::Run(parsed)) = grammar.parse(&Call { name: String::new(), args }) else {
            panic!("{line} parses")
        };
        Features::wanted(&parsed, is_dynamic).map(|features| features.levels).map_err(|failure| {
            match failure {
                Failure::Usage { message, .. } => message,
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn a_release_decides_and_features_win() {
        let newest = features("", true).unwrap();
        assert_eq!((newest[METADATA_VERSION], newest["transaction.version"]), (27, 2));
        assert!(!newest.contains_key(KRAFT_VERSION) && !newest.contains_key("share.version"));
        let old = features("--release-version 3.9 --feature group.version=1", false).unwrap();
        assert_eq!(
            old,
            [(METADATA_VERSION.to_owned(), 21), ("group.version".to_owned(), 1)].into()
        );
    }

    #[test]
    fn what_cannot_run_is_refused() {
        for (line, is_dynamic, error) in [
            ("--release-version 9.9", true, "Version 9.9 is not a valid version"),
            ("--feature group.version=9", true, "No feature:group.version with feature level 9"),
            (
                "--feature kraft.version=0",
                true,
                "Cannot set kraft.version to 0 if KIP-853 configuration is present. Try removing the --feature flag for kraft.version.",
            ),
            (
                "--feature kraft.version=1",
                false,
                "Cannot set kraft.version to 1 unless KIP-853 configuration is present. Try removing the --feature flag for kraft.version.",
            ),
        ] {
            assert_eq!(features(line, is_dynamic).unwrap_err(), error);
        }
        assert!(features("--feature nope=1", true).unwrap_err().starts_with("Unsupported feature"));
    }
}
