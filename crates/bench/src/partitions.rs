//! Many partitions: created, closed, opened again.

use std::time::Instant;

use kalda_protocol::messages::metadata::MetadataResponse;

use super::broker::Kalda;
use super::figures::Table;
use super::load::{LIST_OFFSETS, create_topic, latest_offsets};
use super::wire::Connection;
use super::{Outcome, Scale};

/// Creates them all, stops the broker, starts it again.
pub(crate) fn measure(kalda: &Kalda, scale: Scale, table: &mut Table) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let all = scale.topics * scale.partitions_per_topic as usize;
    let mut broker = kalda.start(directory.path())?;
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    let mut connection = Connection::open(broker.address)?;
    let begun = Instant::now();
    for topic in 0..scale.topics {
        create_topic(&mut connection, &name(topic), scale.partitions_per_topic, &[])?;
    }
    broker.await_ready(|connection, metadata| serves_all(connection, metadata, scale))?;
    let per_request = scale.partitions_per_topic;
    table.row(
        &format!("{all} partitions: create, s"),
        format!("{:.2}", begun.elapsed().as_secs_f64()),
        &format!(
            "CreateTopics of {per_request} partitions each, one after the other, until all serve"
        ),
    );
    let resident = broker.resident_mib()?;
    table.row(&format!("{all} partitions: resident MiB"), format!("{resident:.1}"), "VmRSS then");
    let stopped = broker.stop()?.as_secs_f64();
    let how = "SIGTERM to exit";
    table.row(&format!("{all} partitions: clean stop, s"), format!("{stopped:.2}"), how);

    let mut broker = kalda.start(directory.path())?;
    let ready =
        broker.await_ready(|connection, metadata| serves_all(connection, metadata, scale))?;
    table.row(
        &format!("{all} partitions: reopen, s"),
        format!("{:.2}", ready.as_secs_f64()),
        "exec to Metadata with every leader and ListOffsets of every partition without an error",
    );
    broker.stop()?;
    Ok(())
}

fn name(topic: usize) -> String {
    format!("many-{topic}")
}

/// Whether each partition has a leader, and that leader its log.
fn serves_all(
    connection: &mut Connection,
    metadata: &MetadataResponse,
    scale: Scale,
) -> Outcome<bool> {
    let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    let led = partitions.filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
    if led.count() < scale.topics * scale.partitions_per_topic as usize {
        return Ok(false);
    }
    let topics = (0..scale.topics).map(|topic| (name(topic), scale.partitions_per_topic));
    let request = latest_offsets(topics);
    let answer = connection.call(&request, LIST_OFFSETS)?;
    let mut answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(answered.all(|partition| partition.error_code == 0))
}
