//! `storage`: formats the log directories of a node, looks at them, and makes ids, as
//! `kafka-storage` does.
//!
//! A single node and a fixed set of controllers need no formatting: `kalda start` makes their
//! directories ready. A set of controllers that can change is named here first.

mod format;
mod info;
mod voters;

use kalda_env::{OsRng, random_uuid_bytes};
use kalda_model::Uuid;
use kalda_server::BrokerConfig;

use crate::failure::{Failure, Outcome};
use crate::features;
use crate::options::{Arg, Chosen, Commands, Grammar, Parsed, Show};
use crate::output::print_line;
use crate::tool::Call;

const TOOL: Commands = Commands {
    grammar: Grammar {
        about: "usage: kafka-storage {info,format,version-mapping,feature-dependencies,random-uuid}\nA node alone and controllers named in controller.quorum.voters need no formatting: `kalda start` does it.",
        options: &[
            ("add-scram", Arg::Text("credential"), "", Show::Old),
            ("cluster-id", Arg::Text("id"), "format: REQUIRED: The cluster's id.", Show::Yes),
            (
                "config",
                Arg::Text("file"),
                "format, info: REQUIRED: The node's configuration file.",
                Show::Yes,
            ),
            (
                "feature",
                Arg::Text("feature=level"),
                "A feature and its level; may be repeated.",
                Show::Yes,
            ),
            (
                "ignore-formatted",
                Arg::None,
                "format: Leave directories as they are that have been formatted.",
                Show::Yes,
            ),
            (
                "initial-controllers",
                Arg::Text("id@host:port:dir,..."),
                "format: The first controllers of a set that can change. Give the same to all nodes.",
                Show::Yes,
            ),
            (
                "no-initial-controllers",
                Arg::None,
                "format: A node that will find the controllers through controller.quorum.bootstrap.servers.",
                Show::Yes,
            ),
            (
                "release-version",
                Arg::Text("release"),
                "The release whose features the cluster begins with, such as 4.1.",
                Show::Yes,
            ),
            (
                "standalone",
                Arg::None,
                "format: This controller alone is the first of a set that can change.",
                Show::Yes,
            ),
        ],
    },
    names: &["info", "format", "version-mapping", "feature-dependencies", "random-uuid"],
    shorts: &[
        ("-c", "--config"),
        ("-t", "--cluster-id"),
        ("-S", "--add-scram"),
        ("-g", "--ignore-formatted"),
        ("-r", "--release-version"),
        ("-f", "--feature"),
        ("-s", "--standalone"),
        ("-N", "--no-initial-controllers"),
        ("-I", "--initial-controllers"),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some(Chosen { command, parsed, .. }) = TOOL.parse(call)? else { return Ok(()) };
    let require = |options: &[&str]| TOOL.require(&call.name, &parsed, options);
    match command {
        "random-uuid" => Ok(print_line(&random_uuid().to_string())?),
        "version-mapping" => {
            Ok(print_line(&features::version_mapping(parsed.value("release-version")?)?)?)
        }
        "feature-dependencies" => {
            require(&["feature"])?;
            for feature in parsed.values("feature") {
                print_line(&features::dependencies(feature)?)?;
            }
            Ok(())
        }
        "info" => {
            require(&["config"])?;
            info::run(&config(&parsed)?)
        }
        _ => {
            require(&["config", "cluster-id"])?;
            let kinds = ["standalone", "no-initial-controllers", "initial-controllers"];
            let mut given = kinds.iter().filter(|kind| parsed.has(kind));
            if let (Some(first), Some(second)) = (given.next(), given.next()) {
                let why = format!("argument --{second}: not allowed with argument --{first}");
                return Err(TOOL.refuse(&call.name, &why));
            }
            format::run(&parsed, &config(&parsed)?)
        }
    }
}

fn config(parsed: &Parsed) -> Outcome<BrokerConfig> {
    let file = parsed.value("config")?.unwrap_or_default();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Message(format!("{file} cannot be read: {error}")))?;
    let (config, _) = BrokerConfig::load(Some(&text), [], &[])
        .map_err(|error| Failure::Message(format!("{file}: {error}")))?;
    Ok(config)
}

/// An id that no cluster, directory or topic has.
pub(crate) fn random_uuid() -> Uuid {
    loop {
        if let Some(id) = Uuid::from_random(random_uuid_bytes(&OsRng)) {
            return id;
        }
    }
}
