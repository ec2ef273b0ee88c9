//! A whole node on the event loop of its caller, in a world of the caller's: how a simulator runs many
//! of them in one thread. All but the threads is as in [`super::Server`].

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Observer, Prepared, StartError, run_first, stop};
use crate::broker::{Broker, World};
use crate::config::BrokerConfig;
use crate::quorum::SharedMetadataLog;
use crate::shard::Shard;

/// A node that runs as tasks of its caller's `LocalSet`.
pub struct Node {
    broker: Arc<Broker>,
    metadata_log: Arc<SharedMetadataLog>,
    shard: JoinHandle<()>,
}

impl Node {
    /// Starts a node, and returns once it serves. `on_begin` gets somebody who can look at it from
    /// its first moment on.
    ///
    /// # Errors
    /// As for [`super::Server::start`].
    pub async fn start(
        config: BrokerConfig,
        world: World,
        on_begin: impl FnOnce(Observer),
    ) -> Result<Self, StartError> {
        let Prepared { broker, metadata_log, first } = super::prepare(config, world)?;
        on_begin(Observer::of(&broker));
        let (handle, shard) = Shard::new();
        let (tell, told) = oneshot::channel();
        let ready = Box::new(move |begun| drop(tell.send(begun)));
        tokio::task::spawn_local(run_first(Arc::clone(&broker), first, vec![handle], ready));
        let mut shard = tokio::task::spawn_local(shard.run(Arc::clone(&broker)));
        let begun = tokio::select! {
            biased;
            begun = told => begun,
            _ = &mut shard => {
                let line = broker.stop.failure();
                let line = line.unwrap_or_else(|| "asked to stop while starting".to_owned());
                return Err(StartError(line));
            }
        };
        let node = Self { broker, metadata_log, shard };
        match begun {
            Ok(Ok(())) => Ok(node),
            Ok(Err(StartError(line))) => {
                // A disk that failed has said so already, and better.
                node.broker.stop.ask(Some(line.clone()));
                Err(StartError(node.broker.stop.failure().unwrap_or(line)))
            }
            Err(_) => Err(StartError("the start of the node panicked".to_owned())),
        }
    }

    /// Has others take over what this node leads, and asks it to stop, as SIGTERM does.
    pub async fn stop(&self) {
        stop::hand_over(&self.broker).await;
        self.broker.stop.ask(None);
    }

    /// Waits until the node has stopped, and closes everything.
    ///
    /// # Errors
    /// It had to stop, or could not close clean: the line says why.
    pub async fn wait(self) -> Result<(), StartError> {
        if self.shard.await.is_err() {
            self.broker.stop.ask(Some("the event loop of the node panicked".to_owned()));
        }
        let closed = stop::close(&self.broker, &self.metadata_log);
        match self.broker.stop.failure() {
            Some(line) => Err(StartError(line)),
            None => closed.map_err(|error| StartError(error.to_string())),
        }
    }

    /// Waits until it is on its way to its end.
    pub async fn stopping(&self) {
        self.broker.stopping().await;
    }
}
