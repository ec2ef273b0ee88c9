//! How soon a broker on an empty directory serves, and what it takes while nobody asks for anything.

use std::thread;
use std::time::Duration;

use super::broker::Kalda;
use super::figures::{Samples, Table};
use super::{Outcome, Scale};

const IDLE: Duration = Duration::from_secs(2);

/// Starts it many times, each on a directory of its own.
pub(crate) fn measure(kalda: &Kalda, scale: Scale, table: &mut Table) -> Outcome<()> {
    let (mut ready, mut stop) = (Samples::default(), Samples::default());
    for _ in 0..scale.starts {
        let directory = tempfile::tempdir()?;
        let mut broker = kalda.start(directory.path())?;
        ready.push_ms(broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?);
        stop.push_ms(broker.stop()?);
    }
    let how = format!(
        "exec of `kalda start` on an empty directory to the first answer of ApiVersions and \
         Metadata that names the broker, {} starts",
        scale.starts
    );
    table.row("start, empty directory, ms", ready, &how);
    table.row("stop after SIGTERM, ms", stop, "signal to exit, same processes");

    let directory = tempfile::tempdir()?;
    let mut broker = kalda.start(directory.path())?;
    broker.await_ready(|_, metadata| Ok(!metadata.brokers.is_empty()))?;
    thread::sleep(IDLE);
    let before = broker.cpu_seconds()?;
    table.row(
        "idle, resident MiB",
        format!("{:.1}", broker.resident_mib()?),
        "VmRSS 2 s after start",
    );
    thread::sleep(IDLE);
    let spent = broker.cpu_seconds()? - before;
    table.row("idle, CPU ms", format!("{:.0}", spent * 1e3), "over the next 2 s");
    broker.stop()?;
    Ok(())
}
