//! `cluster list-endpoints`: the brokers or the controllers, one a line.

use kalda_client::admin::BrokerEndpoint;
use serde_json::{Value, json};

use crate::connect::{admin_client, block_on};
use crate::failure::{Failure, Outcome};
use crate::options::{Format, Parsed};
use crate::output::print_line;

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Brokers,
    Controllers,
}

/// Lists them.
pub(super) fn list(parsed: &Parsed) -> Outcome {
    let format = Format::of(parsed)?;
    let kind = match parsed.has("bootstrap-controller") {
        true => Kind::Controllers,
        false => Kind::Brokers,
    };
    let with_fenced = parsed.has("include-fenced-brokers");
    if with_fenced && kind == Kind::Controllers {
        return Err(Failure::usage(
            "The option --include-fenced-brokers is only supported with --bootstrap-server option",
        ));
    }
    let admin = admin_client(parsed, "adminclient-1")?.admin();
    let told = block_on(async { Ok(admin.endpoints(with_fenced).await?) })?;
    match format {
        Format::Text => Ok(print_line(&lines(kind, &told.nodes))?),
        Format::Json => Ok(print_line(&to_json(kind, &told.nodes).to_string())?),
    }
}

fn state(endpoint: &BrokerEndpoint) -> &'static str {
    if endpoint.is_fenced { "fenced" } else { "unfenced" }
}

fn lines(kind: Kind, nodes: &[BrokerEndpoint]) -> String {
    let hosts = nodes.iter().map(|it| it.node.address.host.len()).max().unwrap_or(100);
    let racks = nodes.iter().filter_map(|it| it.node.rack.as_ref().map(String::len));
    let racks = racks.max().unwrap_or(10);
    let row = |cells: [&str; 6]| {
        let [id, host, port, rack, state, kind_name] = cells;
        let start = format!("{id:<10} {host:<hosts$} {port:<10} {rack:<racks$} ");
        match kind {
            Kind::Brokers => format!("{start}{state:<10} {kind_name:<15}"),
            Kind::Controllers => format!("{start}{kind_name:<15}"),
        }
    };
    let mut lines = vec![row(["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"])];
    let name = match kind {
        Kind::Brokers => "broker",
        Kind::Controllers => "controller",
    };
    for endpoint in nodes {
        let node = &endpoint.node;
        let (id, port) = (node.id.to_string(), node.address.port.to_string());
        let rack = node.rack.as_deref().unwrap_or("null");
        lines.push(row([&id, &node.address.host, &port, rack, state(endpoint), name]));
    }
    lines.join("\n")
}

fn to_json(kind: Kind, nodes: &[BrokerEndpoint]) -> Value {
    let one = |endpoint: &BrokerEndpoint| {
        let node = &endpoint.node;
        let mut value = json!({
            "id": node.id.0,
            "host": node.address.host,
            "port": node.address.port,
            "rack": node.rack,
        });
        if kind == Kind::Brokers {
            value["state"] = json!(state(endpoint));
        }
        value
    };
    nodes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_client::{HostPort, Node};
    use kalda_model::BrokerId;

    #[test]
    fn columns_are_kafkas() {
        let endpoint = |id, host: &str, rack: Option<&str>| BrokerEndpoint {
            node: Node {
                id: BrokerId(id),
                address: HostPort { host: host.to_owned(), port: 9092 },
                rack: rack.map(str::to_owned),
            },
            is_fenced: id == 2,
        };
        let nodes = [endpoint(1, "127.0.0.1", None), endpoint(2, "b", Some("rack0"))];
        assert_eq!(
            lines(Kind::Brokers, &nodes),
            "ID         HOST      PORT       RACK  STATE      ENDPOINT_TYPE  \n\
             1          127.0.0.1 9092       null  unfenced   broker         \n\
             2          b         9092       rack0 fenced     broker         "
        );
        assert_eq!(
            lines(Kind::Controllers, &nodes[..1]),
            "ID         HOST      PORT       RACK       ENDPOINT_TYPE  \n\
             1          127.0.0.1 9092       null       controller     "
        );
        assert_eq!(to_json(Kind::Brokers, &nodes)[1]["state"], json!("fenced"));
    }
}
