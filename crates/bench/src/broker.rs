//! Brokers as processes: started, watched through `/proc`, stopped.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kalda_protocol::messages::api_versions::ApiVersionsRequest;
use kalda_protocol::messages::metadata::{MetadataRequest, MetadataResponse};

use super::Outcome;
use super::wire::Connection;

const METADATA: i16 = 9;
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at whether a broker is there.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// The binary that is measured.
pub(crate) struct Kalda {
    /// `target/release/kalda`.
    pub(crate) binary: PathBuf,
}

impl Kalda {
    /// `kalda start` on a free port, as the child of `wrapper` if that is not empty.
    pub(crate) fn command(&self, address: SocketAddr, data: &Path, wrapper: &[&str]) -> Command {
        let listeners = format!("listeners=PLAINTEXT://{address}");
        let log_dirs = format!("log.dirs={}", data.display());
        let mut command = match wrapper {
            [] => Command::new(&self.binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        command.args(["start", "--override", &listeners, "--override", &log_dirs]);
        command
    }

    /// Starts it with some settings, each `key=value`.
    pub(crate) fn start_with(&self, directory: &Path, settings: &[&str]) -> Outcome<Broker> {
        let address = free_address()?;
        let mut command = self.command(address, &directory.join("data"), &[]);
        for setting in settings {
            command.args(["--override", setting]);
        }
        Broker::spawn(command, address, directory)
    }

    /// Starts it below a wrapper that becomes the broker by itself, such as `strace -D`.
    pub(crate) fn start_in(&self, directory: &Path, wrapper: &[&str]) -> Outcome<Broker> {
        let address = free_address()?;
        let command = self.command(address, &directory.join("data"), wrapper);
        Broker::spawn(command, address, directory)
    }
}

/// A running broker. Dropping it kills it.
pub(crate) struct Broker {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    process: Child,
    output: PathBuf,
    started: Instant,
}

impl Broker {
    /// Starts a process that will listen there, its output going to a file in `directory`.
    pub(crate) fn spawn(
        mut command: Command,
        address: SocketAddr,
        directory: &Path,
    ) -> Outcome<Self> {
        let output = directory.join("broker.log");
        let log = File::options().create(true).append(true).open(&output)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(directory);
        let started = Instant::now();
        let process = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { address, process, output, started })
    }

    /// Waits until ApiVersions and Metadata are answered and `is_ready` likes the answer. Tells how
    /// long that took from the start.
    pub(crate) fn await_ready(
        &mut self,
        mut is_ready: impl FnMut(&mut Connection, &MetadataResponse) -> Outcome<bool>,
    ) -> Outcome<Duration> {
        loop {
            if let Some(status) = self.process.try_wait()? {
                let output = fs::read_to_string(&self.output)?;
                return Err(format!("the broker ended with {status}\n{output}").into());
            }
            // Until it is there, it refuses connections or answers with errors.
            if let Ok((mut connection, metadata)) = look(self.address)
                && is_ready(&mut connection, &metadata)?
            {
                return Ok(self.started.elapsed());
            }
            if self.started.elapsed() > READY_WITHIN {
                return Err(format!("the broker was not ready after {READY_WITHIN:?}").into());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until somebody listens, for one that knows no Metadata.
    pub(crate) fn await_listening(&mut self) -> Outcome<Duration> {
        while Connection::open(self.address).is_err() {
            if self.process.try_wait()?.is_some() || self.started.elapsed() > READY_WITHIN {
                return Err(format!("nobody listens: {}", fs::read_to_string(&self.output)?).into());
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(self.started.elapsed())
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> Outcome<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits. Tells how long that took.
    pub(crate) fn stop(mut self) -> Outcome<Duration> {
        self.stop_process()
    }

    /// The same, for one that is started again.
    pub(crate) fn stop_process(&mut self) -> Outcome<Duration> {
        let asked = Instant::now();
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status()?;
        let status = self.process.wait()?;
        // Java ends with 143 after the signal, when all went well.
        if !killed.success() || !is_good_end(status) {
            return Err(format!("the broker ended with {status}").into());
        }
        Ok(asked.elapsed())
    }

    /// `VmRSS`, in MiB.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("VmRSS is missing")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// User and system time of all its threads so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name, in parentheses, may hold blanks; times 14 and 15 are counted from its end.
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
        let ticks: Vec<u64> =
            fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        const TICKS_PER_SECOND: f64 = 100.0;
        Ok(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_good_end(status: ExitStatus) -> bool {
    status.success() || status.code() == Some(143)
}

fn look(address: SocketAddr) -> Outcome<(Connection, MetadataResponse)> {
    let mut connection = Connection::open(address)?;
    let versions = connection.call(&ApiVersionsRequest::default(), 0)?;
    if versions.error_code != 0 {
        return Err("ApiVersions was refused".into());
    }
    let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let metadata = connection.call(&all, METADATA)?;
    Ok((connection, metadata))
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
