//! Who a controller is, from its own configuration file and its metadata directory.

use std::path::Path;

use kalda_client::admin::VoterEndpoint;
use kalda_model::{BrokerId, Uuid};
use kalda_server::{AdvertisedHost, BrokerConfig};
use kalda_storage::MetaProperties;

use crate::failure::{Failure, Outcome};

/// A controller that is to vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Controller {
    pub(super) id: BrokerId,
    pub(super) directory: Uuid,
    pub(super) endpoints: Vec<VoterEndpoint>,
}

impl Controller {
    /// Reads the file, and the `meta.properties` of the directory that it names: the controller runs,
    /// so that directory is locked and only looked at.
    pub(super) fn read(file: &str) -> Outcome<Self> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Message(format!("{file} cannot be read: {error}")))?;
        let (config, _) = BrokerConfig::load(Some(&text), [], &[])
            .map_err(|error| Failure::Message(format!("{file}: {error}")))?;
        if !config.values.contains_key("node.id") {
            return Err(Failure::usage(format!(
                "node.id not found in configuration file {file}. Is this a valid controller configuration file?"
            )));
        }
        if !config.roles.controller {
            return Err(Failure::usage(format!(
                "process.roles did not contain 'controller' in configuration file {file}. Is this a valid controller configuration file?"
            )));
        }
        let directory = directory_id(&config.metadata_log_dir)?;
        let endpoints = controller_endpoints(&config);
        if endpoints.is_empty() {
            return Err(Failure::usage(format!(
                "Cannot find information about controller listener name: {} in {file}",
                config.quorum.listener_names.join(",")
            )));
        }
        Ok(Self { id: config.node_id, directory, endpoints })
    }
}

fn directory_id(dir: &Path) -> Outcome<Uuid> {
    let path = dir.join("meta.properties");
    let failed = |why: String| {
        Failure::Message(format!("Unable to read meta.properties from {}: {why}", dir.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let meta = MetaProperties::parse(&text).map_err(|error| failed(error.to_string()))?;
    meta.directory_id
        .ok_or_else(|| Failure::Message(format!("No directory id found in {}", dir.display())))
}

/// Where a controller is reached by others, in the order of `controller.listener.names`.
pub(crate) fn controller_endpoints(config: &BrokerConfig) -> Vec<VoterEndpoint> {
    let names = config.quorum.listener_names.iter();
    let found = names.filter_map(|name| {
        let listener = config.listeners.iter().find(|listener| listener.name == *name)?;
        let (host, port) = match &listener.advertised {
            AdvertisedHost::Fixed { host, port: 0 } => (host.clone(), listener.port),
            AdvertisedHost::Fixed { host, port } => (host.clone(), *port),
            AdvertisedHost::AsDialled => (listener.host.clone(), listener.port),
        };
        let is_any = host.is_empty() || host == "0.0.0.0" || host == "::";
        let host = if is_any { "localhost".to_owned() } else { host };
        Some(VoterEndpoint { listener: name.clone(), host, port })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Controller, String> {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let meta = "version=1\nnode.id=4\ncluster.id=x\ndirectory.id=07R5amHmR32VDA6jHkGbTA\n";
        std::fs::write(data.join("meta.properties"), meta).unwrap();
        let file = dir.path().join("c.properties");
        std::fs::write(&file, format!("{text}\nlog.dirs={}\n", data.display())).unwrap();
        Controller::read(&file.display().to_string()).map_err(|failure| match failure {
            Failure::Usage { message, .. } | Failure::Message(message) => message,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_controllers_file_says_who_it_is() {
        let controller = read(
            "node.id=4\nprocess.roles=controller\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=a:9093,b:9093\n",
        )
        .unwrap();
        assert_eq!(controller.id, BrokerId(4));
        assert_eq!(controller.directory.to_string(), "07R5amHmR32VDA6jHkGbTA");
        let endpoint = &controller.endpoints[0];
        assert_eq!(
            (&*endpoint.listener, &*endpoint.host, endpoint.port),
            ("CONTROLLER", "localhost", 9093)
        );
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let broker = "node.id=4\nprocess.roles=broker\nlisteners=PLAINTEXT://:9092\ncontroller.quorum.bootstrap.servers=a:9093\n";
        assert!(read(broker).unwrap_err().starts_with("process.roles did not contain"));
    }
}
