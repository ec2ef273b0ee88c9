//! From a tool's options to a client, and the runtime that it runs on.

use kalda_client::{Client, ClientBuilder, Properties};

use crate::failure::{Failure, Outcome};
use crate::options::Parsed;

/// Runs a tool's work on one thread; tools start in a few milliseconds and want no more.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Message(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(work);
    // A read of the standard input that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// Reads a properties file.
pub(crate) fn properties_file(path: &str) -> Outcome<Properties> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::Message(format!("{path} cannot be read: {error}")))?;
    Ok(Properties::parse(&String::from_utf8_lossy(&bytes)))
}

/// Settings from files, then from `key=value` arguments, which win. `names` are the options that
/// give files and those that give pairs.
pub(crate) fn gather(parsed: &Parsed, files: &[&str], pairs: &[&str]) -> Outcome<Properties> {
    let mut properties = Properties::default();
    for name in files {
        if let Some(path) = parsed.value(name)? {
            properties.extend(properties_file(path)?);
        }
    }
    for name in pairs {
        for pair in parsed.values(name) {
            // A key alone is taken as a key with an empty value, as Kafka does.
            if properties.set_pair(pair).is_err() {
                return Err(Failure::usage(format!(
                    "Invalid command line properties: --{name} {pair}"
                )));
            }
        }
    }
    Ok(properties)
}

/// The client of an administrating tool: `--bootstrap-server` or `--bootstrap-controller`, and
/// `--command-config`.
pub(crate) fn admin_client(parsed: &Parsed, client_id: &str) -> Outcome<Client> {
    let properties = gather(parsed, &["command-config", "admin.config"], &[])?;
    client(parsed, properties, client_id)
}

/// A client with `--bootstrap-server` or `--bootstrap-controller`; settings that nobody knows are
/// warned about.
pub(crate) fn client(parsed: &Parsed, properties: Properties, client_id: &str) -> Outcome<Client> {
    let mut all = Properties::default();
    all.set("client.id", client_id);
    all.extend(properties);
    match parsed.value("bootstrap-controller")? {
        Some(controllers) => {
            all.set("bootstrap.servers", "");
            all.set("bootstrap.controllers", controllers);
        }
        None => {
            all.set("bootstrap.servers", parsed.value("bootstrap-server")?.unwrap_or_default());
            all.set("bootstrap.controllers", "");
        }
    }
    let (_, mut unknown) = kalda_client::config::ClientConfig::from_properties(&all)?;
    let (_, of_producer) = kalda_client::config::ProducerConfig::from_properties(&all)?;
    let (_, of_consumer) = kalda_client::config::ConsumerConfig::from_properties(&all)?;
    unknown.retain(|key| of_producer.contains(key) && of_consumer.contains(key));
    for key in unknown {
        tracing::warn!("The configuration '{key}' was supplied but isn't a known config.");
    }
    Ok(ClientBuilder::default().properties(all).build()?)
}
