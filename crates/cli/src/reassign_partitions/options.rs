//! The options of `reassign-partitions`, and which of them go together.

use crate::failure::Outcome;
use crate::options::{
    Arg, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Format, Grammar, Parsed, Show,
};

pub(super) const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to move topic partitions between replicas.",
    options: &[
        (
            "additional",
            Arg::None,
            "Start this besides what is being moved already; also changes the throttle of a move under way.",
            Show::Yes,
        ),
        BOOTSTRAP_CONTROLLER,
        BOOTSTRAP_SERVER,
        (
            "broker-list",
            Arg::Text("brokerlist"),
            "The brokers to spread the topics over, as 0,1,2; for --generate.",
            Show::Yes,
        ),
        ("cancel", Arg::None, "End the moves of the file.", Show::Yes),
        COMMAND_CONFIG,
        ("disable-rack-aware", Arg::None, "Do not look at racks.", Show::Yes),
        (
            "disallow-replication-factor-change",
            Arg::None,
            "Refuse to give a partition more or fewer replicas.",
            Show::Yes,
        ),
        ("execute", Arg::None, "Start the moves of the file.", Show::Yes),
        Format::OPTION,
        ("generate", Arg::None, "Propose where partitions should be; nothing is moved.", Show::Yes),
        Format::JSON,
        ("list", Arg::None, "List all moves under way.", Show::Yes),
        ("preserve-throttles", Arg::None, "Leave throttles as they are.", Show::Yes),
        (
            "reassignment-json-file",
            Arg::Text("file"),
            "Where partitions shall be: {\"partitions\":[{\"topic\":\"foo\",\"partition\":1,\"replicas\":[1,2,3],\"log_dirs\":[\"any\",\"any\",\"/dir\"]}],\"version\":1}; log_dirs may be left out.",
            Show::Yes,
        ),
        (
            "replica-alter-log-dirs-throttle",
            Arg::Long("bytes/s"),
            "The speed of moves between directories of a broker.",
            Show::Yes,
        ),
        ("throttle", Arg::Long("bytes/s"), "The speed of moves between brokers.", Show::Yes),
        (
            "timeout",
            Arg::Long("ms"),
            "How long is waited for moves between directories to begin. (default: 10000)",
            Show::Yes,
        ),
        (
            "topics-to-move-json-file",
            Arg::Text("file"),
            "The topics for --generate: {\"topics\":[{\"topic\":\"foo\"}],\"version\":1}",
            Show::Yes,
        ),
        (
            "verify",
            Arg::None,
            "Show how far the moves of the file are; end throttles when all is done.",
            Show::Yes,
        ),
    ],
};

const ACTIONS: [&str; 5] = ["generate", "execute", "verify", "cancel", "list"];

/// What an action needs, and what it may have besides servers and their settings.
fn options_of(action: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match action {
        "generate" => (&["topics-to-move-json-file", "broker-list"], &["disable-rack-aware"]),
        "execute" => (
            &["reassignment-json-file"],
            &[
                "additional",
                "throttle",
                "replica-alter-log-dirs-throttle",
                "timeout",
                "disallow-replication-factor-change",
            ],
        ),
        "verify" => (&["reassignment-json-file"], &["preserve-throttles"]),
        "cancel" => (
            &["reassignment-json-file"],
            &["preserve-throttles", "timeout", "bootstrap-controller"],
        ),
        _ => (&[], &["format", "json", "bootstrap-controller"]),
    }
}

/// The one action asked for.
pub(super) fn check(parsed: &Parsed) -> Outcome<&'static str> {
    let mut asked = ACTIONS.into_iter().filter(|action| parsed.has(action));
    let (Some(action), None) = (asked.next(), asked.next()) else {
        let all = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(GRAMMAR.usage(format!("Command must include exactly one action: {all}")));
    };
    match (parsed.has("bootstrap-server"), parsed.has("bootstrap-controller")) {
        (true, true) => {
            return Err(GRAMMAR
                .usage("Please don't specify both --bootstrap-server and --bootstrap-controller"));
        }
        (false, false) => {
            return Err(
                GRAMMAR.usage("Please specify either --bootstrap-server or --bootstrap-controller")
            );
        }
        _ => {}
    }
    let (needed, allowed) = options_of(action);
    GRAMMAR.require(parsed, needed)?;
    let always = ["bootstrap-server", "command-config", action];
    for (option, ..) in GRAMMAR.options {
        let is_fine = [&always[..], needed, allowed].iter().any(|list| list.contains(option));
        if parsed.has(option) && !is_fine {
            return Err(GRAMMAR
                .usage(format!("Option \"[{option}]\" can't be used with action \"[{action}]\"")));
        }
    }
    Format::of(parsed)?;
    Ok(action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::options::Asked;
    use crate::tool::Call;

    fn checked(line: &str) -> Result<&'static str, String> {
        let args = line.split_whitespace().map(str::to_owned).collect();
        let call = Call { name: "kafka-reassign-partitions".to_owned(), args };
        let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
        check(&parsed).map_err(|failure| match failure {
            Failure::Usage { message, .. } => message,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn refusals_are_kafkas() {
        for (line, text) in [
            (
                "--execute --list",
                "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
            ),
            ("--list", "Please specify either --bootstrap-server or --bootstrap-controller"),
            (
                "--bootstrap-server a:1 --execute",
                "Missing required argument \"[reassignment-json-file]\"",
            ),
            (
                "--bootstrap-server a:1 --list --throttle 4",
                "Option \"[throttle]\" can't be used with action \"[list]\"",
            ),
            (
                "--bootstrap-controller a:1 --verify --reassignment-json-file f",
                "Option \"[bootstrap-controller]\" can't be used with action \"[verify]\"",
            ),
        ] {
            assert_eq!(checked(line), Err(text.to_owned()), "{line}");
        }
        assert_eq!(checked("--bootstrap-controller a:1 --list"), Ok("list"));
        let line =
            "--bootstrap-server a:1 --generate --topics-to-move-json-file f --broker-list 1,2";
        assert_eq!(checked(line), Ok("generate"));
    }
}
