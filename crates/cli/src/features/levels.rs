//! Which features and levels each release of Kafka has, and what a level needs. Pure.

use crate::failure::{Failure, Outcome};

/// The feature that versions the metadata records themselves.
pub(crate) const METADATA_VERSION: &str = "metadata.version";

/// A `metadata.version`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Release {
    /// As `4.1-IV1`.
    pub(crate) name: &'static str,
    /// As 27.
    pub(crate) level: i16,
}

const fn release(level: i16, name: &'static str) -> Release {
    Release { name, level }
}

const RELEASES: &[Release] = &[
    release(7, "3.3-IV3"),
    release(8, "3.4-IV0"),
    release(9, "3.5-IV0"),
    release(10, "3.5-IV1"),
    release(11, "3.5-IV2"),
    release(12, "3.6-IV0"),
    release(13, "3.6-IV1"),
    release(14, "3.6-IV2"),
    release(15, "3.7-IV0"),
    release(16, "3.7-IV1"),
    release(17, "3.7-IV2"),
    release(18, "3.7-IV3"),
    release(19, "3.7-IV4"),
    release(20, "3.8-IV0"),
    release(21, "3.9-IV0"),
    release(22, "4.0-IV0"),
    release(23, "4.0-IV1"),
    release(24, "4.0-IV2"),
    release(25, "4.0-IV3"),
    release(26, "4.1-IV0"),
    release(27, "4.1-IV1"),
];

/// A level of a feature: from which `metadata.version` on it is the default, or never; and which
/// one it needs.
struct Level {
    level: i16,
    default_from: Option<i16>,
    needs: Option<i16>,
}

const fn level(level: i16, default_from: Option<i16>, needs: Option<i16>) -> Level {
    Level { level, default_from, needs }
}

/// In the order in which Kafka lists them. Level 0 is off.
const FEATURES: &[(&str, &[Level])] = &[
    ("kraft.version", &[level(1, Some(21), None)]),
    ("transaction.version", &[level(1, None, None), level(2, Some(24), None)]),
    ("group.version", &[level(1, Some(22), None)]),
    ("eligible.leader.replicas.version", &[level(1, Some(26), Some(23))]),
    ("share.version", &[level(1, None, None)]),
    ("streams.version", &[level(1, None, None)]),
];

/// The names of all releases.
pub(crate) fn names() -> Vec<&'static str> {
    RELEASES.iter().map(|release| release.name).collect()
}

impl Release {
    /// The newest.
    pub(crate) fn newest() -> Self {
        RELEASES[RELEASES.len() - 1]
    }

    /// `4.1-IV1`, or the newest that `4.1` or `4.1.2` stands for.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let exact = RELEASES.iter().find(|release| release.name == name);
        if exact.is_some() || name.contains('-') {
            return exact.copied();
        }
        let mut parts = name.split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        let prefix = format!("{major}.{minor}-");
        RELEASES.iter().rev().find(|release| release.name.starts_with(&prefix)).copied()
    }

    /// The one of that level.
    pub(crate) fn of_level(level: i16) -> Option<Self> {
        RELEASES.iter().find(|release| release.level == level).copied()
    }

    /// The features beside `metadata.version` that a new cluster of this release has, 0 for off.
    pub(crate) fn features(self) -> impl Iterator<Item = (&'static str, i16)> {
        FEATURES.iter().map(move |(name, levels)| {
            let has = |it: &&Level| it.default_from.is_some_and(|from| self.level >= from);
            (*name, levels.iter().rev().find(has).map_or(0, |it| it.level))
        })
    }
}

/// What `version-mapping` prints.
pub(crate) fn version_mapping(name: Option<&str>) -> Outcome<String> {
    let newest = Release::newest();
    let name = name.unwrap_or(newest.name);
    let release = Release::named(name).ok_or_else(|| {
        Failure::usage(format!(
            "Unknown release version '{name}'. Supported versions are: {} to {}",
            RELEASES[0].name, newest.name
        ))
    })?;
    let mut lines = vec![format!("{METADATA_VERSION}={} ({name})", release.level)];
    lines.extend(release.features().map(|(name, level)| format!("{name}={level}")));
    Ok(lines.join("\n"))
}

/// Reads `feature=level`.
pub(crate) fn parse_level(text: &str) -> Result<(&str, i16), String> {
    let wrong = |why: &str| format!("Can't parse feature=level string {text}: {why}");
    let (name, level) = text.split_once('=').ok_or_else(|| wrong("equals sign not found."))?;
    let (name, level) = (name.trim(), level.trim());
    let number = level.parse().map_err(|_| wrong(&format!("unable to parse {level} as a short.")));
    Ok((name, number?))
}

/// What `feature-dependencies` prints of one feature.
pub(crate) fn dependencies(text: &str) -> Outcome<String> {
    let (name, level) = parse_level(text).map_err(Failure::usage)?;
    if name == METADATA_VERSION {
        let release = Release::of_level(level)
            .ok_or_else(|| Failure::usage(format!("Unknown {METADATA_VERSION} {level}")))?;
        return Ok(format!("{name}={level} ({}) has no dependencies.", release.name));
    }
    let (_, levels) = FEATURES
        .iter()
        .find(|(feature, _)| *feature == name)
        .ok_or_else(|| Failure::usage(format!("Unknown feature: {name}")))?;
    let known = levels.iter().find(|it| it.level == level);
    if known.is_none() && level != 0 {
        return Err(Failure::usage(format!("No feature:{name} with feature level {level}")));
    }
    Ok(match known.and_then(|it| it.needs).and_then(Release::of_level) {
        None => format!("{name}={level} has no dependencies."),
        Some(needed) => format!(
            "{name}={level} requires:\n    {METADATA_VERSION}={} ({})",
            needed.level, needed.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(name: &str) -> String {
        version_mapping(Some(name)).unwrap().replace('\n', " ")
    }

    #[test]
    fn releases_have_kafkas_features() {
        assert_eq!(
            mapping("3.9-IV0"),
            "metadata.version=21 (3.9-IV0) kraft.version=1 transaction.version=0 group.version=0 eligible.leader.replicas.version=0 share.version=0 streams.version=0"
        );
        assert_eq!(
            mapping("4.1"),
            "metadata.version=27 (4.1) kraft.version=1 transaction.version=2 group.version=1 eligible.leader.replicas.version=1 share.version=0 streams.version=0"
        );
        assert!(mapping("4.0-IV2").contains("transaction.version=2"));
        assert!(mapping("4.0-IV1").contains("transaction.version=0"));
        assert!(mapping("3.6.1").starts_with("metadata.version=14 (3.6.1)"));
        assert!(version_mapping(Some("3.0")).is_err());
    }

    #[test]
    fn dependencies_are_kafkas() {
        for (feature, text) in [
            ("metadata.version=27", "metadata.version=27 (4.1-IV1) has no dependencies."),
            ("group.version=1", "group.version=1 has no dependencies."),
            ("transaction.version=0", "transaction.version=0 has no dependencies."),
            (
                "eligible.leader.replicas.version=1",
                "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)",
            ),
        ] {
            assert_eq!(dependencies(feature).unwrap(), text);
        }
        for (feature, error) in [
            ("metadata.version=99", "Unknown metadata.version 99"),
            ("nope=1", "Unknown feature: nope"),
            ("group.version=9", "No feature:group.version with feature level 9"),
            (
                "group.version",
                "Can't parse feature=level string group.version: equals sign not found.",
            ),
            (
                "group.version=x",
                "Can't parse feature=level string group.version=x: unable to parse x as a short.",
            ),
        ] {
            let Err(Failure::Usage { message, .. }) = dependencies(feature) else {
                panic!("{feature}")
            };
            assert_eq!(message, error);
        }
    }
}
