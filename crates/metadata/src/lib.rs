//! What every node knows of the cluster: an immutable [`Image`], made by replaying the records of
//! the metadata log one [`Delta`] at a time (KIP-500, Kafka's `org.apache.kafka.image`).
//!
//! Called by the controller, which decides on it, and by the broker, which acts on its changes.
//! It performs no IO: records come in, images go out.

mod brokers;
mod chunks;
pub mod config;
mod configs;
mod controllers;
mod delta;
mod image;
mod loader;
mod opaque;
mod topics;

pub use brokers::{BrokerRegistration, Endpoint, SupportedFeature};
pub use configs::{ConfigMap, ConfigResource, ConfigsImage, ResourceType};
pub use controllers::ControllerRegistration;
pub use delta::{Changes, Delta, ReplayError, TopicChange};
pub use image::Image;
pub use loader::MetadataLoader;
pub use topics::{PartitionRegistration, TopicImage, TopicsImage};
