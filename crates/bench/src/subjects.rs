//! Those who are measured: ours, Apache Kafka, the bare ceiling; each a process with a directory of its own.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::broker::{Broker, free_address};
use crate::load::topics;
use crate::wire::Connection;
use crate::{Bench, Outcome, apache};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Kalda,
    Kafka,
    /// [`crate::ceiling`].
    Ceiling,
}

/// The name of ours in a report.
pub(crate) const KALDA: &str = "Kalda";
/// The name of Kafka in a report.
pub(crate) const KAFKA: &str = "Apache Kafka";
/// The name of the ceiling in a report.
pub(crate) const CEILING: &str = "bare ceiling";

impl Who {
    /// Its name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kalda => KALDA,
            Self::Kafka => KAFKA,
            Self::Ceiling => CEILING,
        }
    }
}

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// When it is on disk: the default of ours, and Kafka with `flush.messages=1`.
    Fsync,
    /// When the operating system has it: Kafka's default, and ours with `flush.messages` at its largest.
    PageCache,
}

impl Habit {
    /// Its name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::PageCache => "page cache",
        }
    }

    /// The settings of a topic that has it.
    pub(crate) fn configs(self, who: Who) -> &'static [(&'static str, &'static str)] {
        match (self, who) {
            (Self::PageCache, Who::Kalda) => &[("flush.messages", "9223372036854775807")],
            (Self::Fsync, Who::Kafka) => &[("flush.messages", "1")],
            _ => &[],
        }
    }
}

/// One that runs.
pub(crate) struct Subject {
    pub(crate) who: Who,
    pub(crate) broker: Broker,
    pub(crate) directory: TempDir,
    /// From the first start of its process to its first answers.
    pub(crate) ready: Duration,
}

impl Subject {
    /// Starts it on an empty directory and waits until it serves.
    pub(crate) fn start(bench: &Bench, who: Who, settings: &[&str]) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let broker = spawn(bench, who, &directory, settings)?;
        let mut subject = Self { who, broker, directory, ready: Duration::ZERO };
        subject.ready = subject.await_ready()?;
        Ok(subject)
    }

    /// Starts it again on its directory, after it was stopped or killed.
    pub(crate) fn respawn(&mut self, bench: &Bench, settings: &[&str]) -> Outcome<()> {
        self.broker = spawn(bench, self.who, &self.directory, settings)?;
        Ok(())
    }

    /// Asks it to end, and waits; it may be started again.
    pub(crate) fn stop(&mut self) -> Outcome<Duration> {
        self.broker.stop_process()
    }

    fn await_ready(&mut self) -> Outcome<Duration> {
        match self.who {
            Who::Ceiling => self.broker.await_listening(),
            _ => self.broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty())),
        }
    }

    /// Creates a topic that has this habit. The ceiling makes one when it is written to.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, habit: Habit) -> Outcome<()> {
        if self.who == Who::Ceiling {
            return Ok(());
        }
        let mut connection = Connection::open(self.broker.address)?;
        topics::create_topic(&mut connection, name, partitions, habit.configs(self.who))
    }

    /// Deletes it.
    pub(crate) fn delete_topic(&self, name: &str) -> Outcome<()> {
        if self.who == Who::Ceiling {
            return Ok(());
        }
        topics::delete_topic(&mut Connection::open(self.broker.address)?, name)
    }
}

fn spawn(bench: &Bench, who: Who, directory: &TempDir, settings: &[&str]) -> Outcome<Broker> {
    let path = directory.path();
    match who {
        Who::Kalda => bench.kalda.start_with(path, settings),
        Who::Kafka => {
            let jars = bench.jars.as_deref().ok_or("Apache Kafka was not fetched")?;
            let settings: Vec<&str> =
                settings.iter().copied().chain(["offsets.topic.replication.factor=1"]).collect();
            apache::start_with(jars, path, &settings)
        }
        Who::Ceiling => {
            let address = free_address()?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["ceiling", &address.to_string()]).arg(path);
            Broker::spawn(command, address, path)
        }
    }
}
