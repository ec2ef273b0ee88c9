//! `broker drain` and `broker decommission`, beyond Kafka: take a broker's leaders away before it is
//! worked on, or all that it has before it goes for good.
//!
//! Both say how far they are, can be interrupted, and go on where they were when called again: what
//! is to be done is worked out anew from the cluster each time.

mod drain;
mod plan;

use kalda_model::BrokerId;

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{Arg, BOOTSTRAP_SERVER, COMMAND_CONFIG, Chosen, Commands, Grammar, Show};
use crate::tool::Call;

const TOOL: Commands = Commands {
    grammar: Grammar {
        about: "usage: kalda broker {drain,decommission} ID --bootstrap-server HOST:PORT\n\n  drain         moves every leader away from the broker; it keeps its replicas\n  decommission  moves every replica away from the broker, and ends its registration",
        options: &[
            BOOTSTRAP_SERVER,
            COMMAND_CONFIG,
            (
                "batch",
                Arg::Int("count"),
                "decommission: how many partitions are moved at a time. (default: 50)",
                Show::Yes,
            ),
            ("dry-run", Arg::None, "Say what would be done, and do not do it.", Show::Yes),
            ("id", Arg::Int("id"), "The broker, if it does not follow the command.", Show::Yes),
        ],
    },
    names: &["drain", "decommission"],
    shorts: &[("-b", "--bootstrap-server"), ("-i", "--id")],
};

/// How many partitions are moved at a time unless `--batch` says otherwise.
const BATCH: usize = 50;

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some(Chosen { command, operand, parsed }) = TOOL.parse(call)? else { return Ok(()) };
    TOOL.require(&call.name, &parsed, &["bootstrap-server"])?;
    let id = match (operand, parsed.number::<i32>("id")?) {
        (Some(word), None) => word.parse().ok(),
        (None, Some(id)) => Some(id),
        _ => None,
    };
    let Some(id) = id.filter(|id| *id >= 0) else {
        return Err(TOOL.refuse(&call.name, &format!("name the broker: {command} ID")));
    };
    let batch = match parsed.number::<i32>("batch")? {
        None => BATCH,
        Some(count) => usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
            Failure::usage(format!("--batch: {count} partitions cannot be moved at a time"))
        })?,
    };
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    let work = drain::Work { admin, broker: BrokerId(id), batch, is_dry: parsed.has("dry-run") };
    block_on(async {
        match command {
            "drain" => work.drain().await,
            _ => work.decommission().await,
        }
    })
}
