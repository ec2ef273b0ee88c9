//! Calls in, options or Kafka's texts out.

use super::*;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to test.",
    options: &[
        ("bootstrap-server", Arg::Text("server"), "REQUIRED: Where.", Show::Yes),
        ("topic", Arg::Text("topic"), "Which.", Show::Yes),
        ("partitions", Arg::Int("count"), "How many.", Show::Yes),
        ("config", Arg::Text("name=value"), "A setting.", Show::Yes),
        ("compression-codec", Arg::Maybe("codec"), "How.", Show::Yes),
        ("list", Arg::None, "List.", Show::Yes),
        ("property", Arg::Text("prop"), "Old.", Show::Old),
    ],
};

fn call(line: &str) -> Call {
    let args = line.split_whitespace().map(str::to_owned).collect();
    Call { name: "kafka-topics".to_owned(), args }
}

fn parse(line: &str) -> Parsed {
    match GRAMMAR.parse(&call(line)) {
        Ok(Asked::Run(parsed)) => parsed,
        _ => panic!("{line} should parse"),
    }
}

fn refusal(line: &str) -> String {
    match GRAMMAR.parse(&call(line)) {
        Err(Failure::Usage { message, .. }) => message,
        _ => panic!("{line} should be refused"),
    }
}

#[test]
fn values_follow_or_are_joined() {
    let parsed = parse("--topic a --config x=1 --config=y=2 --partitions=3 --list stray");
    assert_eq!(parsed.value("topic").unwrap(), Some("a"));
    assert_eq!(parsed.values("config").collect::<Vec<_>>(), ["x=1", "y=2"]);
    assert_eq!(parsed.number::<i32>("partitions").unwrap(), Some(3));
    assert!(parsed.has("list") && !parsed.has("help"));
}

#[test]
fn an_optional_value_may_be_left_out() {
    let parsed = parse("--compression-codec --list");
    assert!(parsed.has("compression-codec"));
    assert_eq!(parsed.value("compression-codec").unwrap(), None);
    assert_eq!(parse("--compression-codec lz4").value("compression-codec").unwrap(), Some("lz4"));
}

#[test]
fn a_negative_number_is_a_value() {
    assert_eq!(parse("--partitions -1").number::<i32>("partitions").unwrap(), Some(-1));
}

#[test]
fn errors_are_joptsimples() {
    assert_eq!(refusal("--topic"), "Option topic requires an argument");
    assert_eq!(refusal("--topic --list"), "Option topic requires an argument");
    assert_eq!(refusal("--partitions x"), "Cannot parse argument 'x' of option partitions");
    assert_eq!(refusal("--nothinglike 1"), "nothinglike is not a recognized option");
    assert_eq!(refusal("--topics a"), "topics is not a recognized option; did you mean --topic?");
    let twice = parse("--topic a --topic b");
    let Err(Failure::Usage { message, .. }) = twice.value("topic") else { panic!("refused") };
    assert_eq!(message, "Found multiple arguments for option topic, but you asked for only one");
}

#[test]
fn zookeeper_is_answered_with_the_command_that_works() {
    for (line, rest) in [
        ("--list --zookeeper localhost:2181", "--list"),
        (
            "--create --zookeeper=localhost:2181 --topic first --partitions 1",
            "--create --topic first --partitions 1",
        ),
    ] {
        let expected = format!(
            "--zookeeper was removed in Kafka 4.0. Try: kafka-topics --bootstrap-server localhost:9092 {rest}"
        );
        assert_eq!(refusal(line), expected);
    }
}

#[test]
fn the_old_name_of_bootstrap_server_is_taken() {
    let parsed = parse("--broker-list localhost:9092 --topic test");
    assert_eq!(parsed.value("bootstrap-server").unwrap(), Some("localhost:9092"));
}

#[test]
fn help_shows_everything_but_old_spellings() {
    let Err(Failure::Usage { message, table }) = GRAMMAR.parse(&call("--help")) else {
        panic!("help is a usage text")
    };
    assert_eq!(message, "This tool helps to test.");
    assert!(table.starts_with("Option                                   Description\n"));
    assert!(table.contains("--bootstrap-server <String: server>      REQUIRED: Where.\n"));
    assert!(!table.contains("--property"));
    assert!(table.lines().all(|line| line.len() <= 80));
}

#[test]
fn what_is_missing_or_contradicts_is_named() {
    let parsed = parse("--list --topic a");
    let text = |outcome: Outcome| match outcome {
        Err(Failure::Usage { message, .. }) => message,
        _ => panic!("refused"),
    };
    let missing = text(GRAMMAR.require(&parsed, &["topic", "partitions"]));
    assert_eq!(missing, "Missing required argument \"[partitions]\"");
    let clash = text(GRAMMAR.forbid(&parsed, "topic", &["config", "list"]));
    assert_eq!(clash, "Option \"[topic]\" can't be used with option \"[list]\"");
}
