//! `cluster health`: one screen that says whether all is well, and an exit code for scripts: 0 if
//! so, 1 if something is missing and every partition still serves, 2 if something does not serve.

use std::collections::BTreeMap;

use kalda_client::Admin;
use kalda_client::admin::{
    BrokerEndpoint, PartitionDescription, QuorumDescription, Reassignment, TopicDescription,
};
use kalda_model::TopicPartition;
use serde_json::{Value, json};

use crate::connect::{block_on, client, gather};
use crate::failure::{Failure, Outcome};
use crate::options::{Format, Parsed};
use crate::output::{complain, print_line};

/// How many partitions of a kind are named.
const NAMED_MAX: usize = 5;
/// A controller that had everything this long ago is not behind.
const BEHIND_MS: i64 = 5000;
/// How long is waited for the cluster, unless a file of settings says otherwise.
const PATIENCE_MS: &str = "10000";

/// How a cluster is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Health {
    Healthy,
    Degraded,
    Unavailable,
}

impl Health {
    fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Unavailable => 2,
        }
    }
}

/// What the cluster told.
struct Seen {
    cluster_id: String,
    brokers: Vec<BrokerEndpoint>,
    /// Or why there is none.
    quorum: Result<QuorumDescription, String>,
    topics: Vec<TopicDescription>,
    moving: BTreeMap<TopicPartition, Reassignment>,
    min_insync: BTreeMap<String, usize>,
}

/// Looks, prints, and ends with the code.
pub(super) fn run(parsed: &Parsed) -> Outcome {
    let format = Format::of(parsed)?;
    if parsed.has("bootstrap-controller") {
        return Err(Failure::usage(
            "health asks brokers: give --bootstrap-server, not --bootstrap-controller",
        ));
    }
    let mut properties = gather(parsed, &["command-config"], &[])?;
    for key in ["default.api.timeout.ms", "request.timeout.ms"] {
        if properties.get(key).is_none() {
            properties.set(key, PATIENCE_MS);
        }
    }
    let admin = client(parsed, properties, "adminclient-1")?.admin();
    let seen = match block_on(look(&admin)) {
        Ok(seen) => seen,
        Err(Failure::Client(error)) => return unreachable(format, &error),
        Err(failure) => return Err(failure),
    };
    let report = Report::of(&seen);
    match format {
        Format::Text => print_line(&report.text(&seen))?,
        Format::Json => print_line(&report.json(&seen).to_string())?,
    }
    match report.health.code() {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

fn unreachable(format: Format, error: &kalda_client::Error) -> Outcome {
    let health = Health::Unavailable;
    match format {
        Format::Text => complain!("The cluster is {}: {error}", health.name()),
        Format::Json => {
            let reasons = [format!("no broker answers: {error}")];
            print_line(&json!({ "health": health.name(), "reasons": reasons }).to_string())?;
        }
    }
    Err(Failure::Code(health.code()))
}

async fn look(admin: &Admin) -> Outcome<Seen> {
    let endpoints = match admin.endpoints(true).await {
        // Clusters before 4.0 do not tell of fenced brokers.
        Err(kalda_client::Error::UnsupportedApi { .. }) => admin.endpoints(false).await?,
        told => told?,
    };
    let quorum = admin.describe_quorum().await.map_err(|error| error.to_string());
    let topics = admin.describe_all_topics().await?;
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let min_insync = admin.topic_config(&names, "min.insync.replicas").await?;
    // Without a controller nobody can tell what moves.
    let moving = match quorum {
        Ok(_) => admin.reassignments().await?,
        Err(_) => BTreeMap::new(),
    };
    let number = |(topic, value): (String, String)| Some((topic, value.parse().ok()?));
    Ok(Seen {
        cluster_id: endpoints.cluster_id,
        brokers: endpoints.nodes,
        quorum,
        topics,
        moving,
        min_insync: min_insync.into_iter().filter_map(number).collect(),
    })
}

/// What follows from it.
#[derive(Debug)]
struct Report {
    health: Health,
    /// Why it is not healthy, worst first.
    reasons: Vec<(Health, String)>,
    partitions: usize,
    leaderless: Vec<String>,
    under_min_isr: Vec<String>,
    under_replicated: Vec<String>,
}

impl Report {
    fn of(seen: &Seen) -> Self {
        let mut report = Self {
            health: Health::Healthy,
            reasons: Vec::new(),
            partitions: 0,
            leaderless: Vec::new(),
            under_min_isr: Vec::new(),
            under_replicated: Vec::new(),
        };
        for topic in &seen.topics {
            for partition in &topic.partitions {
                report.count(seen, topic, partition);
            }
        }
        report.judge(seen);
        report
    }

    fn count(&mut self, seen: &Seen, topic: &TopicDescription, partition: &PartitionDescription) {
        let name = TopicPartition::new(topic.name.as_str(), partition.index);
        let adding = seen.moving.get(&name).map_or(0, |moving| moving.adding.len());
        let min_insync = seen.min_insync.get(&topic.name).copied().unwrap_or(1);
        // A topic with fewer replicas than that never had more.
        let expected = min_insync.min(partition.replicas.len());
        self.partitions += 1;
        if partition.leader.is_none() {
            self.leaderless.push(name.to_string());
        }
        if partition.isr.len() < expected {
            self.under_min_isr.push(name.to_string());
        }
        if partition.isr.len() < partition.replicas.len().saturating_sub(adding) {
            self.under_replicated.push(name.to_string());
        }
    }

    fn judge(&mut self, seen: &Seen) {
        if let Err(error) = &seen.quorum {
            self.add(Health::Unavailable, format!("no active controller: {error}"));
        }
        if !self.leaderless.is_empty() {
            let names = some_of(&self.leaderless);
            self.add(Health::Unavailable, format!("partitions without a leader: {names}"));
        }
        if !self.under_min_isr.is_empty() {
            let names = some_of(&self.under_min_isr);
            self.add(Health::Degraded, format!("partitions under min.insync.replicas: {names}"));
        }
        for broker in seen.brokers.iter().filter(|broker| broker.is_fenced) {
            self.add(Health::Degraded, format!("broker {} is fenced", broker.node.id));
        }
        if let Ok(quorum) = &seen.quorum {
            for voter in &quorum.voters {
                if let Some(why) = behind(quorum, voter) {
                    self.add(Health::Degraded, format!("controller {} {why}", voter.id));
                }
            }
        }
        if !self.under_replicated.is_empty() {
            let names = some_of(&self.under_replicated);
            self.add(Health::Degraded, format!("under-replicated partitions: {names}"));
        }
    }

    fn add(&mut self, health: Health, reason: String) {
        self.health = self.health.max(health);
        self.reasons.push((health, reason));
    }

    fn text(&self, seen: &Seen) -> String {
        let live = seen.brokers.iter().filter(|broker| !broker.is_fenced).count();
        let fenced: Vec<String> = seen
            .brokers
            .iter()
            .filter(|broker| broker.is_fenced)
            .map(|broker| broker.node.id.to_string())
            .collect();
        let fenced = match fenced.is_empty() {
            true => String::new(),
            false => format!("; fenced: {}", fenced.join(", ")),
        };
        let topics = seen.topics.len();
        let mut lines = vec![
            format!("Cluster:                     {}", seen.cluster_id),
            format!("Health:                      {}", self.health.name()),
            format!("Brokers:                     {live} of {} up{fenced}", seen.brokers.len()),
            format!("Controllers:                 {}", controllers(&seen.quorum)),
            format!("Partitions:                  {} in {topics} topics", self.partitions),
            format!("  without a leader:          {}", self.leaderless.len()),
            format!("  under min.insync.replicas: {}", self.under_min_isr.len()),
            format!("  under-replicated:          {}", self.under_replicated.len()),
            format!("  being reassigned:          {}", seen.moving.len()),
        ];
        lines.extend(self.reasons.iter().map(|(health, why)| format!("{}: {why}", health.name())));
        lines.join("\n")
    }

    fn json(&self, seen: &Seen) -> Value {
        let brokers: Vec<Value> = seen
            .brokers
            .iter()
            .map(|it| {
                let node = &it.node;
                json!({ "id": node.id.0, "address": node.address.to_string(), "fenced": it.is_fenced })
            })
            .collect();
        let controllers: Vec<Value> = seen.quorum.iter().flat_map(controllers_json).collect();
        let reasons: Vec<&String> = self.reasons.iter().map(|(_, reason)| reason).collect();
        json!({
            "health": self.health.name(),
            "reasons": reasons,
            "clusterId": seen.cluster_id,
            "brokers": brokers,
            "activeController": seen.quorum.as_ref().ok().map(|quorum| quorum.leader.0),
            "controllers": controllers,
            "topics": seen.topics.len(),
            "partitions": self.partitions,
            "leaderless": self.leaderless,
            "underMinIsr": self.under_min_isr,
            "underReplicated": self.under_replicated,
            "reassigning": seen.moving.len(),
        })
    }
}

/// Why a voter does not count as one that could take over, if so.
fn behind(
    quorum: &QuorumDescription,
    voter: &kalda_client::admin::QuorumReplica,
) -> Option<String> {
    let now = quorum.leader_replica()?.last_caught_up_ms?;
    match voter.last_caught_up_ms {
        None => Some("has not been seen by the active one".to_owned()),
        Some(at) if now - at > BEHIND_MS => {
            Some(format!("is behind: it had everything {} s ago", (now - at) / 1000))
        }
        Some(_) => None,
    }
}

fn controllers(quorum: &Result<QuorumDescription, String>) -> String {
    let Ok(quorum) = quorum else { return "none is active".to_owned() };
    let one = |voter: &kalda_client::admin::QuorumReplica| {
        if voter.id == quorum.leader {
            return format!("{} (active)", voter.id);
        }
        format!("{} (lag {})", voter.id, crate::metadata_quorum::lag(quorum, voter))
    };
    let voters: Vec<String> = quorum.voters.iter().map(one).collect();
    voters.join(", ")
}

fn controllers_json(quorum: &QuorumDescription) -> Vec<Value> {
    let one = |voter: &kalda_client::admin::QuorumReplica| {
        json!({
            "id": voter.id.0,
            "active": voter.id == quorum.leader,
            "lag": crate::metadata_quorum::lag(quorum, voter),
            "behind": behind(quorum, voter).is_some(),
        })
    };
    quorum.voters.iter().map(one).collect()
}

fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED_MAX)].join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_client::admin::QuorumReplica;
    use kalda_client::{HostPort, Node};
    use kalda_model::{BrokerId, Uuid};

    fn seen() -> Seen {
        let broker = |id| BrokerEndpoint {
            node: Node {
                id: BrokerId(id),
                address: HostPort { host: "h".to_owned(), port: 9092 },
                rack: None,
            },
            is_fenced: false,
        };
        let voter = |id, end, at| QuorumReplica {
            id: BrokerId(id),
            directory: Uuid::ZERO,
            log_end_offset: end,
            last_fetch_ms: at,
            last_caught_up_ms: at,
        };
        let partition = |index| PartitionDescription {
            index,
            leader: Some(1),
            replicas: vec![1, 2],
            isr: vec![1, 2],
            ..PartitionDescription::default()
        };
        Seen {
            cluster_id: "c".to_owned(),
            brokers: vec![broker(1), broker(2)],
            quorum: Ok(QuorumDescription {
                leader: BrokerId(1),
                leader_epoch: 1,
                high_watermark: 9,
                voters: vec![voter(1, 10, Some(100_000)), voter(2, 9, Some(99_500))],
                observers: vec![],
                endpoints: BTreeMap::new(),
            }),
            topics: vec![TopicDescription {
                name: "foo".to_owned(),
                id: Uuid::ONE,
                is_internal: false,
                partitions: vec![partition(0), partition(1)],
            }],
            moving: BTreeMap::new(),
            min_insync: BTreeMap::from([("foo".to_owned(), 2)]),
        }
    }

    #[test]
    fn nothing_missing_is_healthy() {
        let seen = seen();
        let report = Report::of(&seen);
        assert_eq!(report.health, Health::Healthy, "{report:?}");
        assert_eq!(
            report.text(&seen),
            "Cluster:                     c
Health:                      healthy
Brokers:                     2 of 2 up
Controllers:                 1 (active), 2 (lag 1)
Partitions:                  2 in 1 topics
  without a leader:          0
  under min.insync.replicas: 0
  under-replicated:          0
  being reassigned:          0"
        );
        assert_eq!(report.json(&seen)["health"], json!("healthy"));
    }

    #[test]
    fn a_broker_down_is_degraded() {
        let mut seen = seen();
        seen.brokers[1].is_fenced = true;
        seen.topics[0].partitions[1].isr = vec![1];
        let report = Report::of(&seen);
        assert_eq!(report.health, Health::Degraded);
        assert_eq!(report.under_min_isr, ["foo-1"]);
        assert_eq!(report.under_replicated, ["foo-1"]);
        let text = report.text(&seen);
        assert!(text.contains("1 of 2 up; fenced: 2\n"), "{text}");
        assert!(text.contains("degraded: broker 2 is fenced\n"), "{text}");
    }

    #[test]
    fn what_does_not_serve_is_unavailable() {
        let mut seen = seen();
        seen.topics[0].partitions[0].leader = None;
        assert_eq!(Report::of(&seen).health, Health::Unavailable);
        let mut seen = self::seen();
        seen.quorum = Err("nobody leads".to_owned());
        let report = Report::of(&seen);
        assert_eq!(report.health.code(), 2);
        assert!(report.text(&seen).contains("Controllers:                 none is active\n"));
    }

    #[test]
    fn a_controller_that_lags_is_told_of() {
        let mut seen = seen();
        let quorum = seen.quorum.as_mut().unwrap();
        quorum.voters[1].last_caught_up_ms = Some(80_000);
        let report = Report::of(&seen);
        assert_eq!(report.health, Health::Degraded);
        assert_eq!(report.reasons[0].1, "controller 2 is behind: it had everything 20 s ago");
    }

    #[test]
    fn replicas_that_are_still_to_come_are_not_missing() {
        let mut seen = seen();
        seen.topics[0].partitions[0].replicas = vec![1, 2, 3];
        assert_eq!(Report::of(&seen).under_replicated, ["foo-0"]);
        let moving = Reassignment { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        seen.moving.insert(TopicPartition::new("foo", 0), moving);
        assert_eq!(Report::of(&seen).health, Health::Healthy);
    }
}
