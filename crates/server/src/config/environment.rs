//! Settings from environment variables, as the image `apache/kafka` maps them:
//! `KAFKA_LOG_RETENTION_HOURS` is `log.retention.hours`, `__` is an underscore, `___` a dash.

/// Variables of that image that begin like settings and are none.
const NOT_SETTINGS: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_PORT",
    "KAFKA_HOME",
];

/// The setting that a variable stands for.
#[must_use]
pub(crate) fn setting_name(variable: &str) -> Option<String> {
    if NOT_SETTINGS.contains(&variable) {
        return None;
    }
    let name = variable.strip_prefix("KAFKA_")?.to_ascii_lowercase();
    Some(name.replace("___", "-").replace("__", "\u{0}").replace('_', ".").replace('\u{0}', "_"))
}

#[cfg(test)]
mod tests {
    use super::setting_name;

    #[test]
    fn names_map_as_in_the_image() {
        let name = |variable| setting_name(variable).unwrap_or_default();
        assert_eq!(name("KAFKA_LOG_RETENTION_HOURS"), "log.retention.hours");
        assert_eq!(name("KAFKA_A__B___C"), "a_b-c");
        assert_eq!(name("KAFKA_HEAP_OPTS"), "");
        assert_eq!(name("PATH"), "");
    }
}
