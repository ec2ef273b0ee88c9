//! Tools with commands, as `cluster cluster-id`: options may stand before the command or behind it,
//! some have a short name, and help is no error, as with argparse4j.

use super::{Asked, Grammar, Parsed};
use crate::failure::{Failure, Outcome};
use crate::output::print_line;
use crate::tool::Call;

/// A tool's commands and all their options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commands {
    /// The options of all commands. The first line of help is its `about`.
    pub(crate) grammar: Grammar,
    /// The commands.
    pub(crate) names: &'static [&'static str],
    /// Short names of options, as `-i` for `--id`.
    pub(crate) shorts: &'static [(&'static str, &'static str)],
}

/// What a call of such a tool asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chosen {
    /// One of the commands.
    pub(crate) command: &'static str,
    /// The word behind the command, if it is no option.
    pub(crate) operand: Option<String>,
    /// The options.
    pub(crate) parsed: Parsed,
}

impl Commands {
    /// Reads a call; `None` if help or version was asked for and has been printed.
    pub(crate) fn parse(&self, call: &Call) -> Outcome<Option<Chosen>> {
        let mut args: Vec<String> = call.args.iter().map(|arg| self.long(arg)).collect();
        if args.iter().any(|arg| arg == "--help") {
            let help = format!("{}\n\n{}", self.grammar.about, self.grammar.table().trim_end());
            print_line(&help)?;
            return Ok(None);
        }
        let is_name = |arg: &String| self.names.iter().position(|name| name == arg);
        let found = args.iter().enumerate().find_map(|(at, arg)| Some((at, is_name(arg)?)));
        let Some((at, index)) = found else { return self.without_command(call, args) };
        args.remove(at);
        let has_operand = args.get(at).is_some_and(|next| !next.starts_with('-'));
        let operand = has_operand.then(|| args.remove(at));
        let command = self.names[index];
        if args.is_empty() {
            return Ok(Some(Chosen { command, operand, parsed: Parsed::default() }));
        }
        match self.grammar.parse(&Call { name: call.name.clone(), args })? {
            Asked::Run(parsed) => Ok(Some(Chosen { command, operand, parsed })),
            Asked::Version => Ok(None),
        }
    }

    fn without_command(&self, call: &Call, args: Vec<String>) -> Outcome<Option<Chosen>> {
        if args.iter().any(|arg| arg == "--version") {
            return self.grammar.parse(&Call { name: call.name.clone(), args }).map(|_| None);
        }
        let names: Vec<String> = self.names.iter().map(|name| format!("'{name}'")).collect();
        let names = names.join(", ");
        let first = args.first().filter(|arg| !arg.starts_with('-'));
        let message = match first {
            Some(word) => {
                format!("{}: error: invalid choice: '{word}' (choose from {names})", call.name)
            }
            None => format!("{}: error: a command is needed: one of {names}", call.name),
        };
        Err(Failure::usage(format!("{}\n{message}", self.grammar.about)))
    }

    fn long(&self, arg: &str) -> String {
        let (name, value) = arg.split_once('=').map_or((arg, None), |(n, v)| (n, Some(v)));
        let of_tool = self.shorts.iter().find(|(short, _)| *short == name).map(|(_, long)| *long);
        let Some(long) = of_tool.or((name == "-h").then_some("--help")) else {
            return arg.to_owned();
        };
        value.map_or_else(|| long.to_owned(), |value| format!("{long}={value}"))
    }

    /// An error as argparse4j writes it.
    pub(crate) fn refuse(&self, name: &str, message: &str) -> Failure {
        Failure::usage(format!("{}\n{name}: error: {message}", self.grammar.about))
    }

    /// Checks that there are brokers or controllers to start from, and not both.
    pub(crate) fn check_servers(&self, name: &str, parsed: &Parsed) -> Outcome {
        match (parsed.has("bootstrap-server"), parsed.has("bootstrap-controller")) {
            (true, true) => Err(self.refuse(
                name,
                "argument --bootstrap-controller: not allowed with argument --bootstrap-server",
            )),
            (false, false) => Err(self.refuse(
                name,
                "one of the arguments --bootstrap-server --bootstrap-controller is required",
            )),
            _ => Ok(()),
        }
    }

    /// Checks that options are there.
    pub(crate) fn require(&self, name: &str, parsed: &Parsed, options: &[&str]) -> Outcome {
        match options.iter().find(|option| !parsed.has(option)) {
            Some(missing) => Err(self.refuse(name, &format!("argument --{missing} is required"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Arg, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, Show};

    const TOOL: Commands = Commands {
        grammar: Grammar {
            about: "usage: kafka-thing COMMAND",
            options: &[
                BOOTSTRAP_SERVER,
                BOOTSTRAP_CONTROLLER,
                ("id", Arg::Int("id"), "Which.", Show::Yes),
            ],
        },
        names: &["show", "drop"],
        shorts: &[("-i", "--id")],
    };

    fn parse(line: &str) -> Outcome<Option<Chosen>> {
        let args = line.split_whitespace().map(str::to_owned).collect();
        TOOL.parse(&Call { name: "kafka-thing".to_owned(), args })
    }

    #[test]
    fn options_stand_on_both_sides_of_the_command() {
        let chosen = parse("--bootstrap-server a:1 drop -i 3").unwrap().unwrap();
        assert_eq!((chosen.command, chosen.operand.as_deref()), ("drop", None));
        assert_eq!(chosen.parsed.number::<i32>("id").unwrap(), Some(3));
        let chosen = parse("drop 4 -i=5").unwrap().unwrap();
        assert_eq!(chosen.operand.as_deref(), Some("4"));
        assert_eq!(chosen.parsed.number::<i32>("id").unwrap(), Some(5));
        assert_eq!(parse("show").unwrap().unwrap().command, "show");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |outcome: Outcome<Option<Chosen>>| match outcome {
            Err(Failure::Usage { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            message(parse("nope")),
            "usage: kafka-thing COMMAND\nkafka-thing: error: invalid choice: 'nope' (choose from 'show', 'drop')"
        );
        assert!(message(parse("")).ends_with("one of 'show', 'drop'"));
        let chosen = parse("show").unwrap().unwrap();
        let error = TOOL.check_servers("kafka-thing", &chosen.parsed).unwrap_err();
        let Failure::Usage { message, .. } = error else { panic!("a usage error") };
        assert!(message.ends_with(
            "error: one of the arguments --bootstrap-server --bootstrap-controller is required"
        ));
    }
}
