//! A broker as a process of its own: started, waited for, ended in every way, and heard out.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kalda_protocol::messages::api_versions::ApiVersionsRequest;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running process.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
    output: PathBuf,
}

/// What a process that ended has said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

impl Ended {
    /// The lines that tell of an error: the last word of the process and what it logged as such.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let is_error = |line: &&str| line.starts_with("kalda: ") || line.contains(" ERROR ");
        self.output.lines().filter(is_error).collect()
    }

    /// Asserts that it failed with code 1 and one line on why, which has all of `words`.
    pub(crate) fn assert_failed_saying(&self, words: &[&str]) {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "one line says why: {}", self.output);
        for word in words {
            assert!(errors[0].contains(word), "{word:?} is missing: {}", errors[0]);
        }
        assert!(!self.output.contains("panicked"), "{}", self.output);
    }
}

/// A port that nobody has at the moment, and that no outgoing connection is given either: those
/// come from 32768 on.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id().wrapping_mul(97).wrapping_add(next)) % 12_000;
        let port = u16::try_from(port).expect("it is below 32000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Broker {
    /// Starts a process on these log directories. It may not be ready yet.
    pub(crate) fn spawn(log_dirs: &str, output: &Path, settings: &[(&str, &str)]) -> Self {
        Self::spawn_at(free_port(), log_dirs, output, settings)
    }

    pub(crate) fn spawn_at(
        port: u16,
        log_dirs: &str,
        output: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalda"));
        let listeners = format!("PLAINTEXT://127.0.0.1:{port}");
        let fixed = [("listeners", &*listeners), ("log.dirs", log_dirs)];
        command.arg("start");
        for (key, value) in fixed.iter().chain(settings) {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        Self::run(command, (Ipv4Addr::LOCALHOST, port).into(), output)
    }

    /// Runs a command that starts a broker at this address.
    pub(crate) fn run(mut command: Command, address: SocketAddr, output: &Path) -> Self {
        let file = File::create(output).expect("the output's file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle"));
        let child = command.stderr(file).spawn().expect("the binary runs");
        Self { child, address, output: output.to_owned() }
    }

    /// Starts a process and waits until it serves.
    pub(crate) fn start(log_dirs: &str, output: &Path, settings: &[(&str, &str)]) -> Self {
        let mut broker = Self::spawn(log_dirs, output, settings);
        broker.wait_until_ready();
        broker
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut client) = Client::try_connect(self.address)
                && client.try_call(0, &ApiVersionsRequest::default()).is_ok()
            {
                return;
            }
            let ended = self.child.try_wait().expect("it is our child");
            assert_eq!(ended, None, "it ended: {}", self.said());
            assert!(Instant::now() < deadline, "it does not serve: {}", self.said());
            pause(Duration::from_millis(5));
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("it is our child");
        self.wait()
    }

    /// SIGTERM.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Ended { status, output: self.said() };
            }
            if Instant::now() > deadline {
                let _ended_meanwhile = self.child.kill();
                panic!("it does not end: {}", self.said());
            }
            pause(Duration::from_millis(5));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).expect("the output's file")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ended already, in most cases.
        let _ended: io::Result<()> = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Lets time pass where another process has to get on.
pub(crate) fn pause(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _timed_out = receiver.recv_timeout(time);
}

/// A stream of numbers that a seed decides (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Checks every log file below `dir`: whole batches, good checksums, offsets that grow. Answers how
/// many batches there are.
pub(crate) fn check_logs(dir: &Path) -> usize {
    let mut batches = 0;
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            batches += check_logs(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let bytes = std::fs::read(&path).expect("a log file");
            let base = path.file_stem().and_then(|name| name.to_str());
            let mut next: i64 = base.and_then(|name| name.parse().ok()).expect("an offset");
            for batch in kalda_records::BatchIter::new(&bytes) {
                let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(batch.is_intact(), "{} at {}", path.display(), batch.base_offset());
                assert_eq!(batch.base_offset().0, next, "{}", path.display());
                next = batch.next_offset().0;
                batches += 1;
            }
        }
    }
    batches
}
