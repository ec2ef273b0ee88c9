//! `--format`: Kafka's lines, or JSON for programs.

use super::{Arg, Opt, Parsed, Show};
use crate::failure::{Failure, Outcome};

/// How the output looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Lines.
    Text,
    /// One JSON value.
    Json,
}

impl Format {
    /// The option.
    pub(crate) const OPTION: Opt = (
        "format",
        Arg::Text("text or json"),
        "How the output is printed. (default: text)",
        Show::Yes,
    );
    /// Short for `--format json`.
    pub(crate) const JSON: Opt = ("json", Arg::None, "The same as --format json.", Show::Yes);

    /// What a call asks for.
    pub(crate) fn of(parsed: &Parsed) -> Outcome<Self> {
        if parsed.has("json") {
            return Ok(Self::Json);
        }
        match parsed.value("format")? {
            None | Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(Failure::usage(format!("--format takes text or json, not {other}"))),
        }
    }
}
