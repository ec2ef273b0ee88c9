//! `groups`: lists groups of every type, as `kafka-groups` does.

use std::io::Write;

use kalda_client::Admin;
use kalda_client::admin::GroupListing;

use crate::connect::{admin_client, block_on};
use crate::consumer_groups::columns::{row, width};
use crate::consumer_groups::list::type_name;
use crate::failure::Outcome;
use crate::options::{Arg, Asked, Grammar, Parsed, Show};
use crate::output::{print_line, stdout};
use crate::tool::Call;

const GRAMMAR: Grammar = Grammar {
    about: "This tool helps to list groups of all types.",
    options: &[
        (
            "bootstrap-server",
            Arg::Text("server to connect to"),
            "REQUIRED: The brokers to start from.",
            Show::Yes,
        ),
        (
            "command-config",
            Arg::Text("command config property file"),
            "A properties file with settings of the client.",
            Show::Yes,
        ),
        ("consumer", Arg::None, "Only groups of consumers.", Show::Yes),
        (
            "group-type",
            Arg::Text("type"),
            "Only groups of that type: classic, consumer, share or streams.",
            Show::Yes,
        ),
        ("list", Arg::None, "List the groups.", Show::Yes),
        ("protocol", Arg::Text("protocol"), "Only groups of that protocol.", Show::Yes),
        ("share", Arg::None, "Only share groups.", Show::Yes),
        ("streams", Arg::None, "Only streams groups.", Show::Yes),
    ],
};

/// Which groups are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Filter {
    group_type: Option<String>,
    protocol: Option<String>,
    of_consumers: bool,
}

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    if !parsed.has("list") {
        return Err(GRAMMAR.usage("Command must include exactly one action: --list."));
    }
    GRAMMAR.require(&parsed, &["bootstrap-server"])?;
    let filter = filter(&parsed)?;
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    block_on(list(&admin, &filter))
}

fn filter(parsed: &Parsed) -> Outcome<Filter> {
    GRAMMAR.forbid(parsed, "consumer", &["group-type", "protocol", "share", "streams"])?;
    GRAMMAR.forbid(parsed, "share", &["consumer", "group-type", "protocol", "streams"])?;
    GRAMMAR.forbid(parsed, "streams", &["consumer", "group-type", "protocol", "share"])?;
    let mut group_type = parsed.value("group-type")?.map(str::to_owned);
    let is_known = |name: &String| {
        ["classic", "consumer", "share", "streams"].iter().any(|t| t.eq_ignore_ascii_case(name))
    };
    if group_type.as_ref().is_some_and(|name| !is_known(name)) {
        let message = "--group-type must be a valid group type.";
        return Err(GRAMMAR.usage(message));
    }
    for shorthand in ["share", "streams"] {
        if parsed.has(shorthand) {
            group_type = Some(shorthand.to_owned());
        }
    }
    Ok(Filter {
        group_type,
        protocol: parsed.value("protocol")?.map(str::to_owned),
        of_consumers: parsed.has("consumer"),
    })
}

async fn list(admin: &Admin, filter: &Filter) -> Outcome {
    let groups = admin.list_groups().await?;
    match render(&groups, filter) {
        Some(table) => {
            let mut output = stdout();
            output.write_all(table.as_bytes())?;
            Ok(output.flush()?)
        }
        None => Ok(print_line("No groups.")?),
    }
}

fn render(groups: &[GroupListing], filter: &Filter) -> Option<String> {
    let fits = |wanted: &Option<String>, value: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let shown: Vec<&GroupListing> = groups
        .iter()
        .filter(|group| fits(&filter.group_type, &group.group_type))
        .filter(|group| fits(&filter.protocol, &group.protocol_type))
        .filter(|group| !filter.of_consumers || group.is_of_consumers())
        .collect();
    if shown.is_empty() {
        return None;
    }
    let widths = [width(20, shown.iter().map(|group| group.group_id.as_str())), 20, 20];
    let mut text = format!("{}\n", row(&widths, &["GROUP", "TYPE", "PROTOCOL"]));
    for group in shown {
        let cells = [group.group_id.as_str(), type_name(group), &group.protocol_type];
        // A blank follows the last column, but not that of the header, as in Kafka.
        text.push_str(&format!("{} \n", row(&widths, &cells)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, protocol: &str, kind: &str) -> GroupListing {
        GroupListing {
            group_id: id.into(),
            protocol_type: protocol.into(),
            state: String::new(),
            group_type: kind.into(),
        }
    }

    #[test]
    fn groups_are_listed_by_type_and_protocol() {
        let groups = [group("c", "connect", "classic"), group("g", "consumer", "classic")];
        let expected = format!(
            "{:<20} {:<20} {:<20}\n{:<20} {:<20} {:<20} \n",
            "GROUP", "TYPE", "PROTOCOL", "g", "Classic", "consumer"
        );
        let consumers = Filter { of_consumers: true, ..Filter::default() };
        assert_eq!(render(&groups, &consumers), Some(expected.clone()));
        let protocol = Filter { protocol: Some("consumer".into()), ..Filter::default() };
        assert_eq!(render(&groups, &protocol), Some(expected));
        let share = Filter { group_type: Some("share".into()), ..Filter::default() };
        assert_eq!(render(&groups, &share), None);
        assert_eq!(render(&groups, &Filter::default()).unwrap().lines().count(), 3);
    }
}
