//! The options of `consumer-groups`, and what goes together.

use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Grammar, Parsed, Show};
use crate::output::complain;

pub(super) const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
    options: &[
        ("all-groups", Arg::None, "Act on all consumer groups.", Show::Yes),
        (
            "all-topics",
            Arg::None,
            "With --reset-offsets: all topics that the group has committed.",
            Show::Yes,
        ),
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED (but for --validate-regex): The brokers to start from.",
            Show::Yes,
        ),
        (
            "by-duration",
            Arg::Text("duration"),
            "Reset to what was sent that long ago: PnDTnHnMnS.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("command config property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("delete", Arg::None, "Delete groups that have no members.", Show::Yes),
        (
            "delete-offsets",
            Arg::None,
            "Delete what one group has committed for the topics given.",
            Show::Yes,
        ),
        (
            "describe",
            Arg::None,
            "Describe groups: their offsets and lag, or --members, or --state.",
            Show::Yes,
        ),
        ("dry-run", Arg::None, "With --reset-offsets: only show what would be done.", Show::Yes),
        ("execute", Arg::None, "With --reset-offsets: do it.", Show::Yes),
        ("export", Arg::None, "With --reset-offsets: print the result as CSV.", Show::Yes),
        (
            "from-file",
            Arg::Text("path to CSV file"),
            "Reset to the offsets in a file of lines topic,partition,offset, or of several groups group,topic,partition,offset.",
            Show::Yes,
        ),
        ("group", Arg::Text("consumer group"), "The group; may be given often.", Show::Yes),
        ("list", Arg::None, "List all consumer groups.", Show::Yes),
        ("members", Arg::None, "With --describe: the members.", Show::Yes),
        (
            "offsets",
            Arg::None,
            "With --describe: the offsets of all partitions. (default)",
            Show::Yes,
        ),
        (
            "reset-offsets",
            Arg::None,
            "Commit other offsets for groups without members. Needs one of --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset, and a scope: --all-topics or --topic.",
            Show::Yes,
        ),
        (
            "shift-by",
            Arg::Long("number-of-offsets"),
            "Reset to so many records later; earlier if negative.",
            Show::Yes,
        ),
        (
            "state",
            Arg::Maybe("states"),
            "With --describe: the state of the group. With --list: also print states, or only list groups in the states given.",
            Show::Yes,
        ),
        ("timeout", Arg::Long("timeout (ms)"), "How long to try. (default: 30000)", Show::Yes),
        ("to-current", Arg::None, "Reset to the committed offset.", Show::Yes),
        (
            "to-datetime",
            Arg::Text("datetime"),
            "Reset to what was sent at that time: YYYY-MM-DDThh:mm:ss.sss.",
            Show::Yes,
        ),
        ("to-earliest", Arg::None, "Reset to the first record.", Show::Yes),
        ("to-latest", Arg::None, "Reset to the end.", Show::Yes),
        ("to-offset", Arg::Long("offset"), "Reset to that offset.", Show::Yes),
        (
            "topic",
            Arg::Text("topic"),
            "The topic, or some of its partitions as topic:0,1; may be given often.",
            Show::Yes,
        ),
        (
            "type",
            Arg::Maybe("types"),
            "With --list: also print types, or only list groups of the types given: classic, consumer.",
            Show::Yes,
        ),
        (
            "validate-regex",
            Arg::Text("regex"),
            "Only say whether a pattern of topics is valid.",
            Show::Yes,
        ),
        ("verbose", Arg::None, "With --describe: more columns.", Show::Yes),
    ],
};

/// The actions, of which a call has one.
const ACTIONS: &[&str] =
    &["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

/// The ways to say to which offsets groups are reset.
pub(super) const SCENARIOS: &[&str] = &[
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "shift-by",
    "from-file",
];

/// Options that mean something beside certain actions only.
const COMPANIONS: &[(&str, &[&str])] = &[
    ("members", &["describe"]),
    ("offsets", &["describe"]),
    ("verbose", &["describe"]),
    ("state", &["describe", "list"]),
    ("type", &["list"]),
];

const DRY_RUN_WARNING: &str = "WARN: No action will be performed as the --execute option is missing. In a future major release, the default behavior of this command will be to prompt the user before executing the reset rather than doing a dry run. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.";

/// Checks in Kafka's order and with Kafka's texts.
pub(super) fn check(parsed: &Parsed) -> Outcome {
    for (option, actions) in COMPANIONS {
        if parsed.has(option) && !actions.iter().any(|action| parsed.has(action)) {
            let message = format!(
                "Option(s) [{option}] are unavailable given other options on the command line"
            );
            return Err(GRAMMAR.usage(message));
        }
    }
    if !parsed.has("validate-regex") {
        GRAMMAR.require(parsed, &["bootstrap-server"])?;
    }
    check_describe(parsed)?;
    check_delete(parsed)?;
    check_reset(parsed)?;
    GRAMMAR.forbid(parsed, "group", &["all-groups"])?;
    GRAMMAR.forbid(parsed, "group", &["list"])?;
    GRAMMAR.forbid(parsed, "topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| parsed.has(action)).count() != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
        let message = format!("Command must include exactly one action: {}", actions.join(", "));
        return Err(GRAMMAR.usage(message));
    }
    Ok(())
}

fn has_groups(parsed: &Parsed) -> bool {
    parsed.has("group") || parsed.has("all-groups")
}

fn lacks_groups(action: &str) -> Failure {
    GRAMMAR.usage(format!("Option [{action}] takes one of these options: [all-groups], [group]"))
}

fn check_describe(parsed: &Parsed) -> Outcome {
    if !parsed.has("describe") {
        return Ok(());
    }
    if !has_groups(parsed) {
        return Err(lacks_groups("describe"));
    }
    let views = ["members", "offsets", "state"].iter().filter(|view| parsed.has(view));
    if views.count() > 1 {
        return Err(GRAMMAR.usage(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        ));
    }
    if parsed.value("state")?.is_some() {
        return Err(GRAMMAR.usage("Option [describe] does not take a value for [state]"));
    }
    Ok(())
}

fn check_delete(parsed: &Parsed) -> Outcome {
    if parsed.has("delete") && !has_groups(parsed) {
        return Err(lacks_groups("delete"));
    }
    if parsed.has("delete") && parsed.has("topic") {
        return Err(GRAMMAR.usage(
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        ));
    }
    if parsed.has("delete-offsets") && !(parsed.has("group") && parsed.has("topic")) {
        return Err(
            GRAMMAR.usage("Option [delete-offsets] takes the following options: [topic], [group]")
        );
    }
    Ok(())
}

fn check_reset(parsed: &Parsed) -> Outcome {
    if !parsed.has("reset-offsets") {
        return Ok(());
    }
    match (parsed.has("dry-run"), parsed.has("execute")) {
        (true, true) => {
            return Err(
                GRAMMAR.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
            );
        }
        (false, false) => complain!("{DRY_RUN_WARNING}"),
        _ => {}
    }
    if !has_groups(parsed) {
        return Err(lacks_groups("reset-offsets"));
    }
    for scenario in SCENARIOS {
        let others: Vec<&str> =
            SCENARIOS.iter().copied().filter(|other| other != scenario).collect();
        GRAMMAR.forbid(parsed, scenario, &others)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Asked;
    use crate::tool::Call;

    fn refusal(line: &str) -> Option<String> {
        let args = line.split_whitespace().map(str::to_owned).collect();
        let call = Call { name: "kafka-consumer-groups".to_owned(), args };
        let Ok(Asked::Run(parsed)) = GRAMMAR.parse(&call) else { panic!("{line} parses") };
        match check(&parsed) {
            Ok(()) => None,
            Err(Failure::Usage { message, .. }) => Some(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_are_kafkas() {
        for (line, text) in [
            ("--list", "Missing required argument \"[bootstrap-server]\""),
            (
                "--bootstrap-server s --describe",
                "Option [describe] takes one of these options: [all-groups], [group]",
            ),
            (
                "--bootstrap-server s --describe --group g --members --state",
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ),
            (
                "--bootstrap-server s --describe --group g --state Stable",
                "Option [describe] does not take a value for [state]",
            ),
            (
                "--bootstrap-server s --list --members",
                "Option(s) [members] are unavailable given other options on the command line",
            ),
            (
                "--bootstrap-server s --delete --group g --topic t",
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ),
            (
                "--bootstrap-server s --delete-offsets --group g",
                "Option [delete-offsets] takes the following options: [topic], [group]",
            ),
            (
                "--bootstrap-server s --reset-offsets --group g --dry-run --execute",
                "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
            ),
            (
                "--bootstrap-server s --reset-offsets --group g --dry-run --to-latest --to-earliest",
                "Option \"[to-earliest]\" can't be used with option \"[to-latest]\"",
            ),
            (
                "--bootstrap-server s --describe --group g --all-groups",
                "Option \"[group]\" can't be used with option \"[all-groups]\"",
            ),
            (
                "--bootstrap-server s --all-groups",
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex",
            ),
        ] {
            assert_eq!(refusal(line).as_deref(), Some(text), "{line}");
        }
    }

    #[test]
    fn complete_calls_pass() {
        for line in [
            "--validate-regex a.*",
            "--bootstrap-server s --list --state --type classic",
            "--bootstrap-server s --describe --group a --group b --members --verbose",
            "--bootstrap-server s --reset-offsets --group g --topic t:0,1 --shift-by -1 --execute",
            "--bootstrap-server s --delete --all-groups",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }
}
