//! `cluster cluster-id`: prints the cluster's id.

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Show};
use crate::output::print_line;
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "usage: kafka-cluster cluster-id --bootstrap-server HOST:PORT",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("config file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("config", Arg::Text("config file"), "", Show::Old),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some((command, args)) = call.args.split_first() else {
        return Err(GRAMMAR.usage(GRAMMAR.about));
    };
    if command != "cluster-id" {
        return Err(GRAMMAR.usage(format!(
            "{}: error: argument command: invalid choice: '{command}' (choose from 'cluster-id')",
            call.name
        )));
    }
    let call = Call { name: format!("{} {command}", call.name), args: args.to_vec() };
    let Asked::Run(parsed) = GRAMMAR.parse(&call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    let described = block_on(async { Ok(admin.describe_cluster().await?) })?;
    match described.cluster_id {
        Some(id) => Ok(print_line(&format!("Cluster ID: {id}"))?),
        None => Err(Failure::Message(
            "No cluster ID found. The Kafka version is probably too old.".to_owned(),
        )),
    }
}
