//! Kafka's own generators, as `kafka-producer-perf-test` and `kafka-consumer-perf-test` start them.

use std::process::Command;

use super::{Finished, Generator, Load, finish};
use crate::downloads::class_path;
use crate::report::Row;
use crate::{Outcome, apache};

/// As it is named in notes.
pub(super) const NAME: &str = "Kafka's ProducerPerformance and ConsumerPerformance";
/// In ms: a consumer that gets nothing for so long gives up.
const TIMEOUT_MS: &str = "60000";

/// The class path of the tools.
pub(super) struct KafkaPerf {
    class_path: String,
}

/// Fetches them unless they are there. The broker's own class path stays as it is: a longer one starts later.
pub(super) fn fetch() -> Outcome<KafkaPerf> {
    let directory = format!("kafka-tools-{}", apache::VERSION);
    let class_path = class_path(&directory, "org.apache.kafka", "kafka-tools", apache::VERSION)?;
    Ok(KafkaPerf { class_path })
}

impl KafkaPerf {
    /// With the heap that Kafka's scripts give its tools.
    fn command(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args([
            "-Xmx512M",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-cp",
            &self.class_path,
        ]);
        command.arg(format!("org.apache.kafka.tools.{class}"));
        command
    }
}

impl Generator for KafkaPerf {
    fn name(&self) -> &'static str {
        "kafka-perf-test"
    }

    fn produce_rows(&self) -> Vec<Row> {
        vec![
            Row::rate("records/s", Vec::new()),
            Row::rate("MiB/s", Vec::new()),
            Row::cost("average latency, ms", Vec::new()),
            Row::cost("p99 latency, ms", Vec::new()),
        ]
    }

    fn consume_rows(&self) -> Vec<Row> {
        vec![
            Row::rate("records/s, without joining the group", Vec::new()),
            Row::rate("MiB/s, without joining the group", Vec::new()),
        ]
    }

    fn produce(&self, load: &Load) -> Outcome<Finished> {
        let mut command = self.command("ProducerPerformance");
        command.args(["--topic", &load.topic, "--throughput", "-1"]);
        command.args(["--num-records", &load.messages.to_string()]);
        command.args(["--record-size", &load.message_len.to_string(), "--producer-props"]);
        command
            .arg(format!("bootstrap.servers={}", load.address))
            .args(["acks=all", "linger.ms=5"]);
        finish(&command, produced)
    }

    fn consume(&self, load: &Load) -> Outcome<Finished> {
        let mut command = self.command("ConsumerPerformance");
        command.args(["--bootstrap-server", &load.address.to_string(), "--topic", &load.topic]);
        command.args(["--messages", &load.messages.to_string(), "--timeout", TIMEOUT_MS]);
        finish(&command, consumed)
    }
}

/// Records and MiB a second, average and p99 latency in ms, of the producer's last line.
fn produced(printed: &str) -> Option<Vec<f64>> {
    let line = printed.lines().rev().find(|line| line.contains(" 99.9th."))?;
    let fields: Vec<&str> = line.split(", ").collect();
    let [_, rate, average, _, _, _, p99, _] = fields[..] else { return None };
    let (records, rest) = rate.split_once(" records/sec (")?;
    let mib = rest.split_once(" MB/sec)")?.0;
    let average = average.strip_suffix(" ms avg latency")?;
    let p99 = p99.strip_suffix(" ms 99th")?;
    [records, mib, average, p99].iter().map(|figure| figure.parse().ok()).collect()
}

/// Records and MiB a second while fetching, of the consumer's line below its head.
fn consumed(printed: &str) -> Option<Vec<f64>> {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("start.time"));
    let head: Vec<&str> = lines.next()?.split(", ").collect();
    let values: Vec<&str> = lines.next()?.split(", ").collect();
    let figure = |name| values.get(head.iter().position(|head| *head == name)?)?.parse().ok();
    Some(vec![figure("fetch.nMsg.sec")?, figure("fetch.MB.sec")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_producer() {
        let printed = "100000 records sent, 20000.0 records/sec (19.07 MB/sec), 3.1 ms avg latency, 9.0 ms max latency.\n\
            200000 records sent, 49987.5 records/sec (47.67 MB/sec), 537.61 ms avg latency, 883.00 ms max latency, \
            514 ms 50th, 811 ms 95th, 868 ms 99th, 880 ms 99.9th.\n";
        assert_eq!(produced(printed), Some(vec![49_987.5, 47.67, 537.61, 868.0]));
        assert_eq!(produced("100 records sent, 20.0 records/sec (0.07 MB/sec)"), None);
    }

    #[test]
    fn figures_of_a_consumer() {
        let printed = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-01-21 06:50:38:289, 2026-01-21 06:50:42:285, 190.7349, 47.7314, 200000, 50050.0501, 3316, 680, \
            280.4924, 294117.6471\n";
        assert_eq!(consumed(printed), Some(vec![294_117.647_1, 280.492_4]));
        assert_eq!(
            consumed("WARNING: Exiting before consuming the expected number of messages\n"),
            None
        );
    }
}
