//! librdkafka's `rdkafka_performance`, an example program of its source tree. That tree lies whole in the
//! crate `rdkafka-sys`, which is where it comes from.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Finished, Generator, Load, finish};
use crate::Outcome;
use crate::downloads::{once, succeed};
use crate::report::Row;

/// As it is named in notes.
pub(super) const NAME: &str = "librdkafka 2.12.1";
const DIRECTORY: &str = "librdkafka-2.12.1";
const MANIFEST: &str = "[package]\nname = \"source\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                        [dependencies]\nrdkafka-sys = \"=4.10.0\"\n\n[workspace]\n";
/// None of it is used by an uncompressed, unencrypted connection; without them it needs only libc.
const CONFIGURE: &[&str] = &[
    "--disable-ssl",
    "--disable-gssapi",
    "--disable-curl",
    "--disable-zlib",
    "--disable-zstd",
    "--disable-lz4-ext",
];

/// The program, built.
pub(super) struct Librdkafka {
    program: PathBuf,
}

/// Builds it unless it is there.
pub(super) fn fetch() -> Outcome<Librdkafka> {
    let tree = "vendor/rdkafka-sys/librdkafka";
    let directory = once(DIRECTORY, |directory| {
        fs::create_dir_all(directory.join("src"))?;
        fs::write(directory.join("src/lib.rs"), "")?;
        fs::write(directory.join("Cargo.toml"), MANIFEST)?;
        succeed(Command::new("cargo").args(["vendor", "vendor"]).current_dir(directory))?;
        let tree = directory.join(tree);
        succeed(Command::new("./configure").args(CONFIGURE).current_dir(&tree))?;
        for arguments in [["-C", "src", "librdkafka.a"], ["-C", "examples", "rdkafka_performance"]]
        {
            succeed(Command::new("make").args(arguments).current_dir(&tree))?;
        }
        Ok(())
    })?;
    Ok(Librdkafka { program: directory.join(tree).join("examples/rdkafka_performance") })
}

impl Librdkafka {
    fn command(&self, role: &str, load: &Load) -> Command {
        let mut command = Command::new(&self.program);
        command.args([role, "-q", "-p", "0", "-t", &load.topic, "-b", &load.address.to_string()]);
        command.args(["-c", &load.messages.to_string()]);
        command
    }
}

impl Generator for Librdkafka {
    fn name(&self) -> &'static str {
        "librdkafka"
    }

    fn produce_rows(&self) -> Vec<Row> {
        vec![Row::rate("messages/s", Vec::new()), Row::rate("MB/s", Vec::new())]
    }

    fn consume_rows(&self) -> Vec<Row> {
        self.produce_rows()
    }

    fn produce(&self, load: &Load) -> Outcome<Finished> {
        let mut command = self.command("-P", load);
        command.args(["-s", &load.message_len.to_string(), "-a", "-1", "-X", "linger.ms=5"]);
        finish(&command, produced)
    }

    fn consume(&self, load: &Load) -> Outcome<Finished> {
        let mut command = self.command("-C", load);
        command.args(["-o", "beginning"]);
        finish(&command, consumed)
    }
}

/// Messages and MB a second of the producer's last line, if every message was delivered.
fn produced(printed: &str) -> Option<Vec<f64>> {
    let line = printed.lines().rev().find(|line| line.contains(" messages produced "))?;
    let (_, delivered) = line.split_once("), ")?;
    if !delivered.contains(", 0 failed)") || !delivered.contains(" 0 in queue") {
        return None;
    }
    let (_, rates) = delivered.split_once("ms: ")?;
    let (messages, rest) = rates.split_once(" msgs/s and ")?;
    Some(vec![messages.parse().ok()?, rest.split_once(" MB/s")?.0.parse().ok()?])
}

/// Messages and MB a second of the consumer's last line.
fn consumed(printed: &str) -> Option<Vec<f64>> {
    let line = printed.lines().rev().find(|line| line.contains(" consumed in "))?;
    let (_, rates) = line.split_once("ms: ")?;
    let (messages, rest) = rates.split_once(" msgs/s (")?;
    Some(vec![messages.parse().ok()?, rest.split_once(" MB/s)")?.0.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_a_producer() {
        let printed = "% Sending 100000 messages of size 1000 bytes\n\
            % 100000 messages produced (100000000 bytes), 100000 delivered (offset 99999, 0 failed) in 113ms: \
            878333 msgs/s and 878.33 MB/s, 0 produce failures, 0 in queue, no compression\n";
        assert_eq!(produced(printed), Some(vec![878_333.0, 878.33]));
        assert_eq!(produced(&printed.replace("0 failed", "3 failed")), None);
        assert_eq!(produced(&printed.replace("0 in queue", "10 in queue")), None);
        assert_eq!(produced("% Broker is down\n"), None);
    }

    #[test]
    fn rates_of_a_consumer() {
        let printed = "% 200000 messages (110000000 bytes) consumed in 82ms: 2432764 msgs/s (1338.02 MB/s)\n\
                       % Average application fetch latency: 2us\n";
        assert_eq!(consumed(printed), Some(vec![2_432_764.0, 1338.02]));
        assert_eq!(consumed("% Consume error\n"), None);
    }
}
