//! `console-consumer`: prints the records of a topic.
//!
//! With `--group` it is a member of that group, which divides the partitions, notices new ones, and
//! keeps how far was read. Otherwise it assigns itself the partitions it reads: without `--partition`
//! all that the topics have when it starts.

mod deserializer;
mod formatter;
mod options;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use kalda_client::{Client, ConsumedRecord, Consumer, Error, GroupConsumer, Seek};
use kalda_model::TopicPartition;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::connect::{block_on, client};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::Asked;
use crate::output::{Output, complain, stdout};
use crate::tool::Call;
use crate::topic_filter::TopicFilter;

use formatter::Formatter;
use options::{GRAMMAR, Plan, Topics};

/// The wait of a poll when no `--timeout-ms` is given; then polling just goes on.
const POLL_WAIT: Duration = Duration::from_secs(3600);
/// What a process ends with when a signal ended it: this and the signal's number.
const SIGNAL_CODE: u8 = 128;

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    let plan = Plan::from_options(&parsed)?;
    let formatter = Formatter::from_options(&parsed)?;
    let client =
        client(&parsed, options::consumer_properties(&parsed, &plan)?, "console-consumer")?;
    let mut run = Run { plan, formatter, output: stdout(), count: 0 };
    let outcome = block_on(run.go(&client));
    // Kafka prints this line whatever the end was, but nothing to a pipe that nobody reads.
    if !matches!(outcome, Err(Failure::Output(_))) {
        complain!("Processed a total of {} messages", run.count);
    }
    outcome
}

struct Run {
    plan: Plan,
    formatter: Formatter,
    output: Output,
    count: u64,
}

/// Why reading ended.
enum End {
    /// As many records as wanted.
    Enough,
    /// None came in time.
    TimedOut,
    /// A signal, by number.
    Signal(u8),
}

/// Ctrl-C and the polite kill.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

impl Run {
    async fn go(&mut self, client: &Client) -> Outcome {
        let mut signals = Signals::new()
            .map_err(|error| Failure::Message(format!("signals cannot be caught: {error}")))?;
        let end = if self.plan.in_group {
            self.read_in_group(client, &mut signals).await
        } else {
            tokio::select! {
                end = self.read(client) => end,
                signal = signals.next() => Ok(End::Signal(signal)),
            }
        };
        self.output.flush()?;
        match end {
            Ok(End::Enough) => Ok(()),
            Ok(End::TimedOut) => {
                log_end("org.apache.kafka.common.errors.TimeoutException");
                Ok(())
            }
            Ok(End::Signal(number)) => Err(Failure::Code(SIGNAL_CODE + number)),
            Err(Failure::Client(error)) => {
                log_end(&format!("{}: {error}", error.exception_name()));
                Err(Failure::Reported(Blame::of(&error)))
            }
            Err(other) => Err(other),
        }
    }

    async fn read(&mut self, client: &Client) -> Outcome<End> {
        if self.plan.max_messages == Some(0) {
            return Ok(End::Enough);
        }
        let wait = self.plan.timeout.unwrap_or(POLL_WAIT);
        let mut consumer = client.consumer()?;
        let Ok(partitions) = timeout(wait, self.partitions(client, &consumer)).await else {
            return Ok(End::TimedOut);
        };
        let partitions = partitions?;
        consumer.assign(partitions.iter().cloned());
        for partition in &partitions {
            consumer.seek(partition, self.plan.seek)?;
        }
        loop {
            let records = consumer.poll(wait).await?;
            if records.is_empty() && self.plan.timeout.is_some() {
                return Ok(End::TimedOut);
            }
            for record in &records {
                self.print(record)?;
                if self.plan.max_messages.is_some_and(|max| self.count >= max) {
                    return Ok(End::Enough);
                }
            }
            self.output.flush()?;
        }
    }

    /// Reads as a member of a group, and leaves it whatever the end was.
    async fn read_in_group(&mut self, client: &Client, signals: &mut Signals) -> Outcome<End> {
        if self.plan.max_messages == Some(0) {
            return Ok(End::Enough);
        }
        let topics = match &self.plan.topics {
            Topics::Named(topic) | Topics::Partition(topic, _) => vec![topic.clone()],
            Topics::Matching(pattern) => matching(client, pattern).await?,
        };
        let mut consumer = client.group_consumer(topics)?;
        let end = tokio::select! {
            end = self.read_from(&mut consumer) => end,
            signal = signals.next() => Ok(End::Signal(signal)),
        };
        let closed = consumer.close().await;
        let end = end?;
        closed?;
        Ok(end)
    }

    async fn read_from(&mut self, consumer: &mut GroupConsumer) -> Outcome<End> {
        let wait = self.plan.timeout.unwrap_or(POLL_WAIT);
        loop {
            let records = consumer.poll(wait).await?;
            if records.is_empty() && self.plan.timeout.is_some() {
                return Ok(End::TimedOut);
            }
            for (index, record) in records.iter().enumerate() {
                self.print(record)?;
                if self.plan.max_messages.is_some_and(|max| self.count >= max) {
                    give_back(consumer, &records[index + 1..])?;
                    return Ok(End::Enough);
                }
            }
            self.output.flush()?;
        }
    }

    async fn partitions(
        &self,
        client: &Client,
        consumer: &Consumer,
    ) -> Outcome<Vec<TopicPartition>> {
        match &self.plan.topics {
            Topics::Partition(topic, partition) => {
                Ok(vec![TopicPartition::new(topic.as_str(), *partition)])
            }
            Topics::Named(topic) => Ok(consumer.partitions_of(topic).await?),
            Topics::Matching(pattern) => {
                let mut partitions = Vec::new();
                for topic in matching(client, pattern).await? {
                    partitions.extend(consumer.partitions_of(&topic).await?);
                }
                Ok(partitions)
            }
        }
    }

    fn print(&mut self, record: &ConsumedRecord) -> Outcome {
        self.count += 1;
        // Into memory first, so that a record that cannot be printed prints nothing.
        let mut line = Vec::new();
        match self.formatter.write(record, &mut line) {
            Ok(()) => Ok(self.output.write_all(&line)?),
            Err(message) if self.plan.skips_errors => {
                tracing::error!("Error processing message, skipping this message: {message}");
                Ok(())
            }
            Err(message) => Err(Error::CorruptRecord(message).into()),
        }
    }
}

/// The topics that match; none is an error.
async fn matching(client: &Client, pattern: &str) -> Outcome<Vec<String>> {
    let listed = client.admin().list_topics().await?;
    let topics = TopicFilter::new(Some(pattern))?.select(&listed, false);
    if topics.is_empty() {
        return Err(Failure::Message(format!("No topic matches {pattern}")));
    }
    Ok(topics)
}

/// Lets the group read on with the records that were fetched and not printed.
fn give_back(consumer: &mut GroupConsumer, unread: &[ConsumedRecord]) -> Outcome {
    let mut firsts = BTreeMap::new();
    for record in unread {
        firsts.entry(&record.partition).or_insert(record.offset);
    }
    for (partition, first) in firsts {
        consumer.seek(partition, Seek::Offset(first.0))?;
    }
    Ok(())
}

/// The two lines that Kafka logs when reading ends early.
fn log_end(exception: &str) {
    tracing::error!("Error processing message, terminating consumer process: ");
    complain!("{exception}");
}
