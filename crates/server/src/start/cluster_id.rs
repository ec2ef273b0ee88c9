//! Which cluster a node with empty directories belongs to.

use std::time::Duration;

use kalda_client::config::ClientConfig;
use kalda_client::{Connection, HostPort, Properties};
use kalda_model::ClusterId;
use kalda_net::Net;
use kalda_protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};

use tokio::time::Instant;

use super::StartError;
use crate::config::BrokerConfig;

/// The pause after nobody answered.
const RETRY: Duration = Duration::from_millis(500);
/// How often who waits is told so.
const STILL_WAITING: Duration = Duration::from_secs(5);
/// How long one controller may take to answer.
const ASK_TIMEOUT_MS: &str = "2000";
/// `EndpointType.CONTROLLER`.
const CONTROLLERS: i8 = 2;

/// What to do where no directory and no `CLUSTER_ID` says it. A node that was told of nobody else makes a
/// cluster of its own (`None`); a broker asks the controllers. Controllers that know of each other must be
/// told: each of them would make another cluster.
pub(super) fn of_new_node(
    config: &BrokerConfig,
    net: &dyn Net,
) -> Result<Option<ClusterId>, StartError> {
    if config.is_alone() {
        return Ok(None);
    }
    if config.roles.controller {
        return Err(StartError(
            "the controllers must agree on a cluster id: set CLUSTER_ID to the same value on all of them (`kalda storage random-uuid` makes one), or run `kalda storage format` on each".to_owned(),
        ));
    }
    from_controllers(config, net).map(Some)
}

fn from_controllers(config: &BrokerConfig, net: &dyn Net) -> Result<ClusterId, StartError> {
    let controllers = config.quorum.voters.values().chain(&config.quorum.bootstrap);
    let controllers: Vec<_> = controllers.cloned().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError(format!("no event loop: {error}")))?;
    let timeout_ms = config.number("initial.broker.registration.timeout.ms");
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let (begin, mut told) = (Instant::now(), Instant::now());
    runtime.block_on(async {
        loop {
            let mut why = String::new();
            for controller in &controllers {
                match ask(net, controller).await {
                    Ok(answer) if !answer.cluster_id.is_empty() => return Ok(answer.cluster_id),
                    Ok(_) => why = format!("{controller} does not know its cluster yet"),
                    Err(error) => why = error.to_string(),
                }
            }
            if begin.elapsed() >= timeout {
                return Err(StartError(format!(
                    "no controller says which cluster this is ({why}): start them first, or look at controller.quorum.bootstrap.servers"
                )));
            }
            if told.elapsed() >= STILL_WAITING {
                told = Instant::now();
                tracing::info!("waiting for a controller to say which cluster this is: {why}");
            }
            tokio::time::sleep(RETRY).await;
        }
    })
}

async fn ask(
    net: &dyn Net,
    controller: &HostPort,
) -> kalda_client::Result<DescribeClusterResponse> {
    let mut properties = Properties::default();
    properties.set("bootstrap.servers", controller.to_string());
    properties.set("request.timeout.ms", ASK_TIMEOUT_MS);
    properties.set("socket.connection.setup.timeout.ms", ASK_TIMEOUT_MS);
    let (config, _) = ClientConfig::from_properties(&properties)?;
    let connection = Connection::open(net, controller, &config).await?;
    let request =
        DescribeClusterRequest { endpoint_type: CONTROLLERS, ..DescribeClusterRequest::default() };
    connection.call(&request).await
}
