//! The cluster and its brokers: who they are, what they speak, what their disks hold.

use std::collections::BTreeMap;

use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::ApiKey;
use kalda_protocol::messages::describe_cluster::DescribeClusterRequest;
use kalda_protocol::messages::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResult};

use super::Admin;
use crate::cluster::{AutoCreate, Node};
use crate::versions::ApiVersionTable;
use crate::{Error, Result};

/// The cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterDescription {
    /// Its id, if the brokers tell.
    pub cluster_id: Option<String>,
    /// The active controller, or who forwards to it.
    pub controller: Option<BrokerId>,
    /// Its brokers.
    pub nodes: Vec<Node>,
}

/// A broker, and the versions it offers or why it does not tell.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerVersions {
    /// The broker.
    pub node: Node,
    /// What it offers.
    pub versions: Result<ApiVersionTable>,
}

/// A directory of a broker.
#[derive(Clone, PartialEq, Debug)]
pub struct LogDir {
    /// Its path.
    pub path: String,
    /// What is wrong with it, if anything.
    pub error: Option<Error>,
    /// What lies in it, in the broker's order.
    pub replicas: Vec<LogDirReplica>,
}

/// A replica in a directory.
#[derive(Clone, PartialEq, Debug)]
pub struct LogDirReplica {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Its bytes.
    pub size: i64,
    /// How far it is behind the high watermark, or behind the current replica.
    pub offset_lag: i64,
    /// Whether it is on its way to replace the current replica.
    pub is_future: bool,
}

impl Admin {
    /// The cluster's id, controller and brokers.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.with_retries("listNodes", async || {
            let connection = self.cluster.any().await?;
            self.cluster.refresh(Some(Vec::new()), AutoCreate::Forbidden).await?;
            let nodes =
                self.cluster.with_metadata(|metadata| metadata.nodes.values().cloned().collect());
            if connection.versions().pick(ApiKey::DescribeCluster, i16::MAX).is_some() {
                let endpoint_type = self.endpoint_type();
                let request = DescribeClusterRequest { endpoint_type, ..Default::default() };
                let answer = connection.call(&request).await?;
                Error::check(answer.error_code, answer.error_message)?;
                return Ok(ClusterDescription {
                    cluster_id: Some(answer.cluster_id),
                    controller: Some(BrokerId(answer.controller_id)).filter(|id| id.0 >= 0),
                    nodes,
                });
            }
            Ok(self.cluster.with_metadata(|metadata| ClusterDescription {
                cluster_id: metadata.cluster_id.clone(),
                controller: metadata.controller_id.map(BrokerId),
                nodes,
            }))
        })
        .await
    }

    /// What each broker offers.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn api_versions(&self) -> Result<Vec<BrokerVersions>> {
        let mut all = Vec::new();
        for node in self.nodes().await? {
            let connection = self.cluster.node(node.id).await;
            let versions = connection.map(|connection| connection.versions().clone());
            all.push(BrokerVersions { node, versions });
        }
        Ok(all)
    }

    /// The directories of each broker named.
    ///
    /// # Errors
    /// A broker does not answer in time.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[BrokerId],
    ) -> Result<BTreeMap<BrokerId, Vec<LogDir>>> {
        let mut all = BTreeMap::new();
        for &broker in brokers {
            let dirs = self.with_retries("describeLogDirs", async || {
                let connection = self.cluster.node(broker).await?;
                let request = DescribeLogDirsRequest { topics: None };
                let response = connection.call(&request).await?;
                Error::check(response.error_code, None)?;
                Ok(response.results.into_iter().map(log_dir).collect())
            });
            all.insert(broker, dirs.await?);
        }
        Ok(all)
    }
}

fn log_dir(result: DescribeLogDirsResult) -> LogDir {
    let replicas = result.topics.into_iter().flat_map(|topic| {
        topic.partitions.into_iter().map(move |partition| LogDirReplica {
            partition: TopicPartition::new(topic.name.as_str(), partition.partition_index),
            size: partition.partition_size,
            offset_lag: partition.offset_lag,
            is_future: partition.is_future_key,
        })
    });
    LogDir {
        path: result.log_dir,
        error: Error::from_code(result.error_code, None),
        replicas: replicas.collect(),
    }
}
