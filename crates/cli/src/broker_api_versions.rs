//! `broker-api-versions`: shows which APIs the brokers speak, as `kafka-broker-api-versions` does.

use std::io::Write;

use kalda_client::ApiVersionTable;
use kalda_protocol::ApiKey;

use crate::connect::{admin_client, block_on};
use crate::failure::Outcome;
use crate::options::{Arg, Asked, Grammar, Show};
use crate::output::stdout;
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to retrieve broker version information.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("server(s) to use for bootstrapping"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("command config property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
    ],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    let brokers = block_on(async { Ok(admin.api_versions().await?) })?;
    let mut output = stdout();
    for broker in brokers {
        let node = &broker.node;
        let rack = node.rack.as_deref().unwrap_or("null");
        write!(output, "{} (id: {} rack: {rack} isFenced: false) -> ", node.address, node.id)?;
        match broker.versions {
            Ok(versions) => writeln!(output, "(\n{}\n)", lines(&versions).join(",\n"))?,
            Err(error) => writeln!(output, "ERROR: {}: {error}", error.exception_name())?,
        }
    }
    Ok(output.flush()?)
}

/// The APIs that clients may use, and those of the broker that we do not know.
fn lines(table: &ApiVersionTable) -> Vec<String> {
    let mut lines: Vec<(i16, String)> = ApiKey::ALL
        .iter()
        .filter(|key| is_for_clients(**key))
        .map(|&key| (key.value(), format!("\t{key}({}): {}", key.value(), usable(table, key))))
        .collect();
    for &(key, min, max) in table.offered() {
        if ApiKey::from_i16(key).is_none() {
            lines.push((key, format!("\tUNKNOWN({key}): {}", range(min, max))));
        }
    }
    lines.sort_by_key(|(key, _)| *key);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn usable(table: &ApiVersionTable, key: ApiKey) -> String {
    let Some((min, max)) = table.range(key) else { return "UNSUPPORTED".to_owned() };
    let usable = table.pick(key, i16::MAX);
    let usable = usable.map_or_else(|| "UNSUPPORTED".to_owned(), |version| version.to_string());
    format!("{} [usable: {usable}]", range(min, max))
}

fn range(min: i16, max: i16) -> String {
    if min == max { min.to_string() } else { format!("{min} to {max}") }
}

/// Whether brokers serve an API on the listeners of clients; the others are between controllers.
fn is_for_clients(key: ApiKey) -> bool {
    !matches!(
        key,
        ApiKey::Vote
            | ApiKey::BeginQuorumEpoch
            | ApiKey::EndQuorumEpoch
            | ApiKey::AlterPartition
            | ApiKey::Envelope
            | ApiKey::FetchSnapshot
            | ApiKey::BrokerRegistration
            | ApiKey::BrokerHeartbeat
            | ApiKey::AllocateProducerIds
            | ApiKey::ControllerRegistration
            | ApiKey::AssignReplicasToDirs
            | ApiKey::UpdateRaftVoter
    )
}
