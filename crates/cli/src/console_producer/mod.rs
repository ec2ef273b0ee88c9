//! `console-producer`: sends each line of the standard input as a record.
//!
//! Lines are sent as they come; at the end, and on Ctrl-C, what was read is delivered first. As in
//! Kafka, a record that cannot be delivered is logged and does not change the exit code, but with
//! `--sync`.

mod options;
mod reader;

use std::io::{IsTerminal, Write};

use kalda_client::{Client, Delivery, Error, Producer};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use crate::connect::{block_on, client};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::Asked;
use crate::tool::Call;

use options::GRAMMAR;
use reader::LineReader;

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["topic", "bootstrap-server"])?;
    options::check_line_reader(&parsed)?;
    let topic = parsed.value("topic")?.unwrap_or_default();
    let reader = LineReader::new(topic, &options::reader_properties(&parsed)?)
        .map_err(|message| Failure::Message(exception(&message)))?;
    let client = client(&parsed, options::producer_properties(&parsed)?, "console-producer")?;
    block_on(produce(&client, reader, parsed.has("sync")))
}

fn exception(message: &str) -> String {
    format!("org.apache.kafka.common.KafkaException: {message}")
}

/// A delivery to be watched, with the sizes that an error line names.
struct Sent {
    outcome: Result<Delivery, Error>,
    key: Option<usize>,
    value: Option<usize>,
}

async fn produce(client: &Client, reader: LineReader, is_sync: bool) -> Outcome {
    let producer = client.producer()?;
    let topic = reader.topic().to_owned();
    let (sent, watched) = mpsc::unbounded_channel();
    let watcher = tokio::spawn(watch(topic, watched));
    let interrupted = async {
        // Without a handler for the signal, the process just ends.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let outcome = tokio::select! {
        outcome = send_lines(&producer, reader, is_sync, &sent) => outcome,
        () = interrupted => Ok(()),
    };
    drop(sent);
    producer.close().await;
    if watcher.await.is_err() {
        return Err(Failure::Message("the deliveries could not be watched".to_owned()));
    }
    outcome
}

async fn send_lines(
    producer: &Producer,
    mut reader: LineReader,
    is_sync: bool,
    sent: &mpsc::UnboundedSender<Sent>,
) -> Outcome {
    let is_terminal = std::io::stdin().is_terminal();
    let mut input = BufReader::with_capacity(64 * 1024, tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        if is_terminal {
            let mut prompt = std::io::stdout();
            prompt.write_all(b">")?;
            prompt.flush()?;
        }
        line.clear();
        let read = input.read_until(b'\n', &mut line).await;
        let read = read.map_err(|error| {
            Failure::Message(format!("the standard input cannot be read: {error}"))
        })?;
        if read == 0 {
            return Ok(());
        }
        let record =
            reader.parse(&line).map_err(|message| Failure::Message(exception(&message)))?;
        let (key, value) = (record.key.as_ref(), record.value.as_ref());
        let (key, value) = (key.map(|key| key.len()), value.map(|value| value.len()));
        let outcome = producer.send(record).await;
        if is_sync {
            outcome?.await?;
        } else if sent.send(Sent { outcome, key, value }).is_err() {
            return Err(Failure::Reported(Blame::Refused));
        }
    }
}

/// Logs what could not be delivered.
async fn watch(topic: String, mut watched: mpsc::UnboundedReceiver<Sent>) {
    while let Some(Sent { outcome, key, value }) = watched.recv().await {
        let outcome = match outcome {
            Ok(delivery) => delivery.await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            let bytes = |size: Option<usize>| {
                size.map_or_else(|| "null".to_owned(), |size| format!("{size} bytes"))
            };
            tracing::error!(
                "Error when sending message to topic {topic} with key: {}, value: {} with error: {}: {error}",
                bytes(key),
                bytes(value),
                error.exception_name()
            );
        }
    }
}
