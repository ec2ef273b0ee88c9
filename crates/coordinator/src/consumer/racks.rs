//! Where the replicas of partitions stand. Read by the assignors and the hash of the metadata.

use std::collections::BTreeSet;

use kalda_metadata::{Image, TopicImage};

/// The racks of the brokers that hold a partition; those without a rack do not count.
pub(super) fn racks_of<'a>(
    topic: &TopicImage,
    partition: i32,
    image: &'a Image,
) -> BTreeSet<&'a str> {
    let replicas = topic.partitions.get(&partition).into_iter().flat_map(|at| &at.replicas);
    replicas.filter_map(|id| image.brokers.get(id)?.rack.as_deref()).collect()
}

/// Whether any broker says where it stands.
pub(super) fn are_known(image: &Image) -> bool {
    image.brokers.values().any(|broker| broker.rack.is_some())
}
