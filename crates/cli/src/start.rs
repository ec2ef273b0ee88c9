//! `start`: the arguments of a broker's start line. Running the broker is the server's matter; with
//! `--nodes` there are several, each in a process of its own.

mod daemon;
mod nodes;

use std::process::ExitCode;

use kalda_server::{BrokerConfig, Server, Warning};

use crate::output::complain;

/// A start line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct StartArgs {
    /// Whether to go on in the background.
    pub(crate) is_daemon: bool,
    /// The properties file, if one was named.
    pub(crate) file: Option<String>,
    /// `key=value` settings that win over the file, in order.
    pub(crate) overrides: Vec<(String, String)>,
    /// How many nodes to start on this machine, if a cluster was asked for.
    pub(crate) nodes: Option<u16>,
    /// Where the first of them listens.
    pub(crate) base_port: Option<u16>,
    /// Whether the cluster is told of in JSON.
    pub(crate) is_json: bool,
}

/// Whether the properties file may be left out: not where scripts expect Kafka's own behaviour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum File {
    Optional,
    Required,
}

/// Runs a start line; `line[0]` is what was called.
pub(crate) fn run(line: &[String]) -> ExitCode {
    let (name, args) = line.split_first().map_or(("", &[][..]), |(name, args)| (&**name, args));
    let file = if name.starts_with("kafka-") { File::Required } else { File::Optional };
    match parse(name, file, args) {
        Ok(args) => serve(args),
        Err(message) => {
            complain!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Set for the process that `-daemon` leaves in the background: where it logs to.
const DAEMON_LOG: &str = "KALDA_DAEMON_LOG";

/// Runs the broker until it is stopped.
fn serve(args: StartArgs) -> ExitCode {
    let outcome = match args.nodes {
        Some(count) => nodes::run(&args, count),
        None if args.is_daemon => daemon::spawn(&args),
        None => run_here(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            complain!("kalda: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run_here(args: &StartArgs) -> Result<(), String> {
    let is_daemon = daemon::detach()?;
    let (config, warnings) = load(args)?;
    for Warning(line) in warnings {
        tracing::warn!("{line}");
    }
    let node = config.node_id;
    let dirs: Vec<_> = config.log_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let server = Server::start(config).map_err(|error| error.to_string())?;
    let version = env!("CARGO_PKG_VERSION");
    let cluster = server.cluster_id();
    tracing::info!(
        "kalda {version}, node {node} of cluster {cluster}, data in {}",
        dirs.join(", ")
    );
    for (listener, bound, dialled) in server.listeners() {
        tracing::info!("listening on {listener}://{bound}; clients connect to {dialled}");
    }
    if let Some(address) = server.controller_address() {
        tracing::info!("listening on {address} for brokers and other controllers");
    }
    // Scripts and test containers that start Kafka wait for these two lines.
    tracing::info!("[KafkaRaftServer nodeId={node}] Kafka Server started");
    if !server.addresses().is_empty() {
        tracing::info!(
            "[BrokerLifecycleManager id={node}] The broker has been unfenced. Transitioning from RECOVERY to RUNNING."
        );
    }
    if is_daemon {
        daemon::report_ready();
    }
    server.wait().map_err(|error| error.to_string())?;
    tracing::info!("stopped; everything is on disk");
    Ok(())
}

fn load(args: &StartArgs) -> Result<(BrokerConfig, Vec<Warning>), String> {
    let text = match &args.file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            format!("{path} cannot be read: {error}; name a server.properties file, or none")
        })?),
        None => None,
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    BrokerConfig::load(text.as_deref(), environment, &args.overrides)
        .map_err(|error| error.to_string())
}

fn parse(name: &str, file: File, args: &[String]) -> Result<StartArgs, String> {
    let of_kafka = file;
    let usage = || {
        let file = match file {
            File::Required => "server.properties",
            File::Optional => "[server.properties]",
        };
        let line = format!("USAGE: {name} [-daemon] {file} [--override property=value]*");
        match of_kafka {
            File::Required => line,
            File::Optional => format!(
                "{line}\n       {name} --nodes N [--base-port PORT] [--json] {file} [--override property=value]*"
            ),
        }
    };
    let mut parsed = StartArgs::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-daemon" | "--daemon" => parsed.is_daemon = true,
            "--help" | "-h" => return Err(usage()),
            "--json" => parsed.is_json = true,
            "--nodes" => parsed.nodes = Some(number("nodes", args.next())?),
            "--base-port" => parsed.base_port = Some(number("base-port", args.next())?),
            "--override" => {
                let pair = args.next().ok_or("Option override requires an argument")?;
                parsed.overrides.push(split_override(pair)?);
            }
            other => match other.strip_prefix("--override=") {
                Some(pair) => parsed.overrides.push(split_override(pair)?),
                None if other.starts_with('-') => {
                    let name = other.trim_start_matches('-');
                    return Err(format!("{name} is not a recognized option\n{}", usage()));
                }
                None if parsed.file.is_some() => {
                    return Err(format!("Found non argument parameters: {other}\n{}", usage()));
                }
                None => parsed.file = Some(other.to_owned()),
            },
        }
    }
    if parsed.file.is_none() && file == File::Required {
        return Err(usage());
    }
    if parsed.nodes.is_some() && parsed.is_daemon {
        return Err("--nodes and -daemon do not go together: the nodes end with the command".into());
    }
    if parsed.nodes.is_none() && (parsed.base_port.is_some() || parsed.is_json) {
        return Err("--base-port and --json belong to --nodes".to_owned());
    }
    Ok(parsed)
}

fn number(option: &str, value: Option<&String>) -> Result<u16, String> {
    let value = value.ok_or_else(|| format!("Option {option} requires an argument"))?;
    value.parse().map_err(|_| format!("Cannot parse argument '{value}' of option {option}"))
}

fn split_override(pair: &str) -> Result<(String, String), String> {
    match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("--override takes property=value, not {pair}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(file: File, line: &str) -> Result<StartArgs, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse("kafka-server-start.sh", file, &args)
    }

    #[test]
    fn a_whole_line_is_read() {
        let line = "-daemon config/server.properties --override a=b --override=c=d=e";
        let args = parsed(File::Required, line).unwrap();
        assert!(args.is_daemon);
        assert_eq!(args.file.as_deref(), Some("config/server.properties"));
        let pairs: Vec<_> = args.overrides.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(pairs, [("a", "b"), ("c", "d=e")]);
    }

    #[test]
    fn the_file_is_required_where_kafka_requires_it() {
        assert_eq!(parsed(File::Optional, ""), Ok(StartArgs::default()));
        let usage = parsed(File::Required, "-daemon").unwrap_err();
        assert_eq!(
            usage,
            "USAGE: kafka-server-start.sh [-daemon] server.properties [--override property=value]*"
        );
    }

    #[test]
    fn a_cluster_is_asked_for_by_the_number_of_its_nodes() {
        let args = parsed(File::Optional, "--nodes 3 --base-port 19092 --json").unwrap();
        assert_eq!((args.nodes, args.base_port, args.is_json), (Some(3), Some(19092), true));
        assert!(parsed(File::Optional, "--nodes").is_err());
        assert!(parsed(File::Optional, "--nodes x").is_err());
        assert!(parsed(File::Optional, "--nodes 3 -daemon").is_err());
        assert!(parsed(File::Optional, "--base-port 1").is_err());
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parsed(File::Optional, "--override").is_err());
        assert!(parsed(File::Optional, "--override x").unwrap_err().contains("not x"));
        assert!(parsed(File::Optional, "a b").unwrap_err().starts_with("Found non argument"));
        assert!(parsed(File::Optional, "--nope").unwrap_err().starts_with("nope is not"));
    }
}
