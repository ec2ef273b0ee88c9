//! `storage random-uuid`: makes an id for a cluster or a directory.

use kalda_env::OsRng;
use kalda_env::random_uuid_bytes;
use kalda_model::Uuid;

use crate::failure::{Failure, Outcome};
use crate::output::print_line;
use crate::tool::Call;

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    match call.args.first().map(String::as_str) {
        Some("random-uuid") => Ok(print_line(&random_uuid().to_string())?),
        Some(other) => Err(Failure::usage(format!(
            "{}: error: argument command: invalid choice: '{other}' (choose from 'random-uuid')",
            call.name
        ))),
        None => Err(Failure::usage(format!(
            "usage: {} random-uuid\nA log directory needs no formatting: `kalda start` makes it ready.",
            call.name
        ))),
    }
}

fn random_uuid() -> Uuid {
    loop {
        if let Some(id) = Uuid::from_random(random_uuid_bytes(&OsRng)) {
            return id;
        }
    }
}
