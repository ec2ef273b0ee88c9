//! `cluster`: the cluster's id, its nodes, ending a broker's registration, as `kafka-cluster` does,
//! and, beyond Kafka, whether all is well.

mod endpoints;
mod health;

use kalda_client::Error;
use kalda_model::BrokerId;

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{
    Arg, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Chosen, Commands, Format, Grammar,
    Parsed, Show,
};
use crate::output::print_line;
use crate::tool::Call;

const TOOL: Commands = Commands {
    grammar: Grammar {
        about: "usage: kafka-cluster {cluster-id,unregister,list-endpoints,health} (--bootstrap-server HOST:PORT | --bootstrap-controller HOST:PORT)",
        options: &[
            BOOTSTRAP_SERVER,
            BOOTSTRAP_CONTROLLER,
            COMMAND_CONFIG,
            Format::OPTION,
            Format::JSON,
            ("id", Arg::Int("id"), "unregister: the broker's id.", Show::Yes),
            (
                "include-fenced-brokers",
                Arg::None,
                "list-endpoints: brokers that are fenced too.",
                Show::Yes,
            ),
        ],
    },
    names: &["cluster-id", "unregister", "list-endpoints", "health"],
    shorts: &[
        ("-b", "--bootstrap-server"),
        ("-C", "--bootstrap-controller"),
        ("-c", "--command-config"),
        ("--config", "--command-config"),
        ("-i", "--id"),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some(Chosen { command, parsed, .. }) = TOOL.parse(call)? else { return Ok(()) };
    TOOL.check_servers(&call.name, &parsed)?;
    match command {
        "cluster-id" => cluster_id(&parsed),
        "unregister" => {
            TOOL.require(&call.name, &parsed, &["id"])?;
            unregister(&parsed)
        }
        "list-endpoints" => endpoints::list(&parsed),
        _ => health::run(&parsed),
    }
}

fn cluster_id(parsed: &Parsed) -> Outcome {
    let admin = admin_client(parsed, "adminclient-1")?.admin();
    let described = block_on(async { Ok(admin.describe_cluster().await?) })?;
    match described.cluster_id {
        Some(id) => Ok(print_line(&format!("Cluster ID: {id}"))?),
        None => Err(Failure::Message(
            "No cluster ID found. The Kafka version is probably too old.".to_owned(),
        )),
    }
}

fn unregister(parsed: &Parsed) -> Outcome {
    let id = parsed.number::<i32>("id")?.unwrap_or_default();
    let admin = admin_client(parsed, "adminclient-1")?.admin();
    let outcome = block_on(async { Ok(admin.unregister_broker(BrokerId(id)).await) })?;
    match outcome {
        Ok(()) => Ok(print_line(&format!("Broker {id} is no longer registered."))?),
        Err(Error::UnsupportedApi { .. }) => Err(Failure::Message(
            "The target cluster does not support the broker unregistration API.".to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}
