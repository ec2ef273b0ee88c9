//! `metadata-quorum`: shows the quorum of the metadata and changes who votes, as
//! `kafka-metadata-quorum` does.

mod controller_file;

use kalda_client::admin::{QuorumDescription, QuorumReplica, VoterEndpoint};
use kalda_client::{Admin, Properties};
use kalda_env::{Clock as _, SystemClock};
use kalda_model::{BrokerId, Uuid};
use serde_json::{Value, json};

use crate::connect::{admin_client, block_on, client};
use crate::failure::{Failure, Outcome};
use crate::options::{
    Arg, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Chosen, Commands, Format, Grammar,
    Parsed, Show,
};
use crate::output::print_line;
use crate::table::print_table;
use crate::tool::Call;
use controller_file::Controller;
pub(crate) use controller_file::controller_endpoints;

const TOOL: Commands = Commands {
    grammar: Grammar {
        about: "usage: kafka-metadata-quorum (--bootstrap-server HOST:PORT | --bootstrap-controller HOST:PORT) {describe,add-controller,remove-controller}",
        options: &[
            BOOTSTRAP_SERVER,
            BOOTSTRAP_CONTROLLER,
            COMMAND_CONFIG,
            (
                "controller-directory-id",
                Arg::Text("id"),
                "remove-controller: the directory id of the controller.",
                Show::Yes,
            ),
            (
                "controller-id",
                Arg::Int("id"),
                "remove-controller: the node id of the controller.",
                Show::Yes,
            ),
            ("dry-run", Arg::None, "Say what would be done, and do not do it.", Show::Yes),
            Format::OPTION,
            Format::JSON,
            (
                "human-readable",
                Arg::None,
                "describe --replication: times as how long ago they were.",
                Show::Yes,
            ),
            ("replication", Arg::None, "describe: how far every replica is.", Show::Yes),
            ("status", Arg::None, "describe: the quorum in short.", Show::Yes),
        ],
    },
    names: &["describe", "add-controller", "remove-controller"],
    shorts: &[("-i", "--controller-id"), ("-d", "--controller-directory-id")],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some(Chosen { command, parsed, .. }) = TOOL.parse(call)? else { return Ok(()) };
    TOOL.check_servers(&call.name, &parsed)?;
    match command {
        "describe" => describe(&parsed),
        "add-controller" => add_controller(&parsed),
        _ => {
            let needed = ["controller-id", "controller-directory-id"];
            TOOL.require(&call.name, &parsed, &needed)?;
            remove_controller(&parsed)
        }
    }
}

fn admin(parsed: &Parsed) -> Outcome<Admin> {
    Ok(admin_client(parsed, "adminclient-1")?.admin())
}

fn describe(parsed: &Parsed) -> Outcome {
    let refuse = |message: &str| Err(Failure::usage(message));
    let format = Format::of(parsed)?;
    match (parsed.has("status"), parsed.has("replication")) {
        // As JSON there is but one answer.
        _ if format == Format::Json => {}
        (true, true) => {
            return refuse(
                "Only one of --status or --replication should be specified with describe sub-command",
            );
        }
        (false, false) => {
            return refuse(
                "One of --status or --replication must be specified with describe sub-command",
            );
        }
        (true, false) if parsed.has("human-readable") => {
            return refuse(
                "The option --human-readable is only supported along with --replication",
            );
        }
        _ => {}
    }
    let admin = admin(parsed)?;
    let (cluster, quorum) = block_on(async {
        let cluster = admin.endpoints(false).await?.cluster_id;
        Ok((cluster, admin.describe_quorum().await?))
    })?;
    if format == Format::Json {
        return Ok(print_line(&to_json(&cluster, &quorum).to_string())?);
    }
    if parsed.has("status") {
        return Ok(print_line(&status(&cluster, &quorum))?);
    }
    let now_ms = parsed.has("human-readable").then(|| SystemClock::new().wall_ms());
    let headers = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    print_table(&headers, &rows(&quorum, now_ms))
}

/// By how much a replica is behind the leader.
pub(crate) fn lag(quorum: &QuorumDescription, replica: &QuorumReplica) -> i64 {
    let end = quorum.leader_replica().map_or(quorum.high_watermark, |it| it.log_end_offset);
    end - replica.log_end_offset
}

/// The leader first, then those who follow, then those who do not vote.
fn in_order(quorum: &QuorumDescription) -> impl Iterator<Item = (&QuorumReplica, &'static str)> {
    let leader = quorum.leader_replica().into_iter().map(|it| (it, "Leader"));
    let others = quorum.voters.iter().filter(|voter| voter.id != quorum.leader);
    let observers = quorum.observers.iter().map(|it| (it, "Observer"));
    leader.chain(others.map(|it| (it, "Follower"))).chain(observers)
}

fn rows(quorum: &QuorumDescription, now_ms: Option<i64>) -> Vec<Vec<String>> {
    let moment = |at: Option<i64>| match (at, now_ms) {
        (None, _) => "-1".to_owned(),
        (Some(at), None) => at.to_string(),
        // Clocks of two machines differ: what is said to be yet to come was just now.
        (Some(at), Some(now)) => format!("{} ms ago", (now - at).max(0)),
    };
    let row = |(replica, status): (&QuorumReplica, &str)| {
        vec![
            replica.id.to_string(),
            replica.directory.to_string(),
            replica.log_end_offset.to_string(),
            lag(quorum, replica).to_string(),
            moment(replica.last_fetch_ms),
            moment(replica.last_caught_up_ms),
            status.to_owned(),
        ]
    };
    in_order(quorum).map(row).collect()
}

/// The voter that is furthest behind: by how many records, and for how long it has been.
fn furthest_behind(quorum: &QuorumDescription) -> (i64, i64) {
    let Some(last) = quorum.voters.iter().min_by_key(|voter| voter.log_end_offset) else {
        return (0, 0);
    };
    let leader = quorum.leader_replica();
    let time = match leader {
        Some(leader) if leader.log_end_offset == last.log_end_offset => 0,
        Some(leader) => match (leader.last_caught_up_ms, last.last_caught_up_ms) {
            (Some(leader), Some(last)) => leader - last,
            _ => -1,
        },
        None => -1,
    };
    (lag(quorum, last), time)
}

fn status(cluster: &str, quorum: &QuorumDescription) -> String {
    let (lag, lag_ms) = furthest_behind(quorum);
    let lines = [
        ("ClusterId", cluster.to_owned()),
        ("LeaderId", quorum.leader.to_string()),
        ("LeaderEpoch", quorum.leader_epoch.to_string()),
        ("HighWatermark", quorum.high_watermark.to_string()),
        ("MaxFollowerLag", lag.to_string()),
        ("MaxFollowerLagTimeMs", lag_ms.to_string()),
        ("CurrentVoters", replicas(quorum, &quorum.voters)),
        ("CurrentObservers", replicas(quorum, &quorum.observers)),
    ];
    let lines = lines.map(|(name, value)| format!("{:<24}{value}", format!("{name}:")));
    lines.join("\n")
}

/// `[{"id": 1, "directoryId": "…", "endpoints": ["CONTROLLER://host:9093"]}]`, with Kafka's blanks.
fn replicas(quorum: &QuorumDescription, replicas: &[QuorumReplica]) -> String {
    let one = |replica: &QuorumReplica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if !replica.directory.is_zero() {
            text.push_str(&format!(", \"directoryId\": \"{}\"", replica.directory));
        }
        let endpoints = quorum.endpoints.get(&replica.id.0).map_or(&[][..], Vec::as_slice);
        if !endpoints.is_empty() {
            let endpoints: Vec<String> =
                endpoints.iter().map(|it| format!("\"{}\"", endpoint(it))).collect();
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text.push('}');
        text
    };
    let all: Vec<String> = replicas.iter().map(one).collect();
    format!("[{}]", all.join(", "))
}

fn endpoint(endpoint: &VoterEndpoint) -> String {
    let VoterEndpoint { listener, host, port } = endpoint;
    if host.contains(':') {
        format!("{listener}://[{host}]:{port}")
    } else {
        format!("{listener}://{host}:{port}")
    }
}

fn to_json(cluster: &str, quorum: &QuorumDescription) -> Value {
    let (max_lag, max_lag_ms) = furthest_behind(quorum);
    let replicas: Vec<Value> = in_order(quorum)
        .map(|(replica, status)| {
            let endpoints = quorum.endpoints.get(&replica.id.0).map_or(&[][..], Vec::as_slice);
            let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
            json!({
                "id": replica.id.0,
                "directoryId": (!replica.directory.is_zero()).then(|| replica.directory.to_string()),
                "status": status,
                "logEndOffset": replica.log_end_offset,
                "lag": lag(quorum, replica),
                "lastFetchTimestamp": replica.last_fetch_ms,
                "lastCaughtUpTimestamp": replica.last_caught_up_ms,
                "endpoints": endpoints,
            })
        })
        .collect();
    json!({
        "clusterId": cluster,
        "leaderId": quorum.leader.0,
        "leaderEpoch": quorum.leader_epoch,
        "highWatermark": quorum.high_watermark,
        "maxFollowerLag": max_lag,
        "maxFollowerLagTimeMs": max_lag_ms,
        "replicas": replicas,
    })
}

fn add_controller(parsed: &Parsed) -> Outcome {
    let Some(file) = parsed.value("command-config")? else {
        return Err(Failure::usage(
            "You must supply the configuration file of the controller you are adding when using add-controller.",
        ));
    };
    let Controller { id, directory, endpoints } = Controller::read(file)?;
    let is_dry = parsed.has("dry-run");
    if !is_dry {
        // The settings in that file are a server's.
        let admin = client(parsed, Properties::default(), "adminclient-1")?.admin();
        block_on(async { Ok(admin.add_voter(id, directory, &endpoints).await?) })?;
    }
    let verb = if is_dry { "DRY RUN of adding" } else { "Added" };
    let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
    let endpoints = endpoints.join(", ");
    Ok(print_line(&format!(
        "{verb} controller {id} with directory id {directory} and endpoints: {endpoints}"
    ))?)
}

fn remove_controller(parsed: &Parsed) -> Outcome {
    let id = parsed.number::<i32>("controller-id")?.unwrap_or_default();
    if id < 0 {
        return Err(Failure::usage(format!("Invalid negative --controller-id: {id}")));
    }
    let text = parsed.value("controller-directory-id")?.unwrap_or_default();
    let directory: Uuid = text.parse().map_err(|_| {
        Failure::usage(format!("Failed to parse --controller-directory-id: {text} is not an id"))
    })?;
    let is_dry = parsed.has("dry-run");
    if !is_dry {
        let admin = admin(parsed)?;
        block_on(async { Ok(admin.remove_voter(BrokerId(id), directory).await?) })?;
    }
    // Kafka's words end in a blank of their own.
    let verb = if is_dry { "DRY RUN of removing " } else { "Removed " };
    Ok(print_line(&format!("{verb} KRaft controller {id} with directory id {directory}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum() -> QuorumDescription {
        let replica = |id, end, at| QuorumReplica {
            id: BrokerId(id),
            directory: if id == 3 { Uuid::ZERO } else { Uuid::ONE },
            log_end_offset: end,
            last_fetch_ms: at,
            last_caught_up_ms: at,
        };
        let endpoint = |host: &str| VoterEndpoint {
            listener: "CONTROLLER".to_owned(),
            host: host.to_owned(),
            port: 9093,
        };
        QuorumDescription {
            leader: BrokerId(2),
            leader_epoch: 7,
            high_watermark: 95,
            voters: vec![replica(1, 90, Some(900)), replica(2, 100, Some(1000))],
            observers: vec![replica(3, -1, None)],
            endpoints: [(1, vec![endpoint("a")]), (2, vec![endpoint("::1"), endpoint("b")])].into(),
        }
    }

    #[test]
    fn the_status_is_kafkas() {
        assert_eq!(
            status("4L6g3nShT-eMCtK--X86sw", &quorum()),
            "ClusterId:              4L6g3nShT-eMCtK--X86sw
LeaderId:               2
LeaderEpoch:            7
HighWatermark:          95
MaxFollowerLag:         10
MaxFollowerLagTimeMs:   100
CurrentVoters:          [{\"id\": 1, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\", \"endpoints\": [\"CONTROLLER://a:9093\"]}, {\"id\": 2, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\", \"endpoints\": [\"CONTROLLER://[::1]:9093\", \"CONTROLLER://b:9093\"]}]
CurrentObservers:       [{\"id\": 3}]"
        );
    }

    #[test]
    fn the_leader_stands_first_and_observers_last() {
        let rows = rows(&quorum(), None);
        let statuses: Vec<&str> = rows.iter().map(|row| row[6].as_str()).collect();
        assert_eq!(statuses, ["Leader", "Follower", "Observer"]);
        assert_eq!(rows[1][..6], ["1", "AAAAAAAAAAAAAAAAAAAAAQ", "90", "10", "900", "900"]);
        assert_eq!(rows[2][4], "-1");
        assert_eq!(super::rows(&quorum(), Some(1500))[1][4], "600 ms ago");
    }

    #[test]
    fn a_voter_that_never_fetched_has_no_lag_time() {
        let mut quorum = quorum();
        quorum.voters[0].last_caught_up_ms = None;
        assert_eq!(furthest_behind(&quorum), (10, -1));
        quorum.voters.remove(0);
        assert_eq!(furthest_behind(&quorum), (0, 0));
    }
}
