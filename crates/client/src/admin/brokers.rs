//! The brokers and controllers by their addresses, fenced ones included, and the end of a broker's
//! registration.

use kalda_model::BrokerId;
use kalda_protocol::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest};
use kalda_protocol::messages::unregister_broker::UnregisterBrokerRequest;

use super::Admin;
use crate::bootstrap::HostPort;
use crate::cluster::{CONTROLLERS, Node};
use crate::config::Bootstrap;
use crate::{Error, Result};

/// `EndpointType.BROKER` of DescribeCluster.
const BROKERS: i8 = 1;

/// The nodes that can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterEndpoints {
    /// The cluster's id.
    pub cluster_id: String,
    /// The active controller, or a broker that passes requests on to it.
    pub controller: Option<BrokerId>,
    /// Brokers, or with `bootstrap.controllers` controllers.
    pub nodes: Vec<BrokerEndpoint>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerEndpoint {
    /// Who and where.
    pub node: Node,
    /// Whether the controllers keep it from serving: it does not answer their heartbeats.
    pub is_fenced: bool,
}

impl Admin {
    /// What DescribeCluster is asked for: those whom the client started from.
    pub(super) fn endpoint_type(&self) -> i8 {
        match self.cluster.config().bootstrap {
            Bootstrap::Brokers => BROKERS,
            Bootstrap::Controllers => CONTROLLERS,
        }
    }

    /// The brokers, or with `bootstrap.controllers` the controllers. Fenced brokers are told of
    /// only when asked for, by clusters that know the question (KIP-1073).
    ///
    /// # Errors
    /// Nobody answers in time, or the answering node is too old.
    pub async fn endpoints(&self, include_fenced_brokers: bool) -> Result<ClusterEndpoints> {
        let request = DescribeClusterRequest {
            endpoint_type: self.endpoint_type(),
            include_fenced_brokers,
            include_cluster_authorized_operations: false,
        };
        self.with_retries("listNodes", async || {
            let answer = self.cluster.any().await?.call(&request).await?;
            Error::check(answer.error_code, answer.error_message)?;
            Ok(ClusterEndpoints {
                cluster_id: answer.cluster_id,
                controller: Some(BrokerId(answer.controller_id)).filter(|id| id.0 >= 0),
                nodes: answer.brokers.into_iter().map(endpoint).collect(),
            })
        })
        .await
    }

    /// Ends the registration of a broker that will not come back.
    ///
    /// # Errors
    /// As the controller says.
    pub async fn unregister_broker(&self, broker: BrokerId) -> Result<()> {
        let request = UnregisterBrokerRequest { broker_id: broker.0 };
        self.with_retries("unregisterBroker", async || {
            let connection = self.cluster.any_broker_or_active_controller().await?;
            let answer = connection.call(&request).await?;
            Error::check(answer.error_code, answer.error_message)
        })
        .await
    }
}

fn endpoint(told: DescribeClusterBroker) -> BrokerEndpoint {
    let address = HostPort { host: told.host, port: u16::try_from(told.port).unwrap_or(0) };
    let node = Node { id: BrokerId(told.broker_id), address, rack: told.rack };
    BrokerEndpoint { node, is_fenced: told.is_fenced }
}
