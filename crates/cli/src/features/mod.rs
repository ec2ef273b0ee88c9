//! `features`: shows the features of the cluster and changes their levels, as `kafka-features` does.

mod levels;

use std::collections::BTreeMap;

use kalda_client::Admin;
use kalda_client::admin::{FeatureUpdate, Features};
use serde_json::{Value, json};

use crate::connect::{admin_client, block_on};
use crate::failure::{Blame, Failure, Outcome};
use crate::options::{
    Arg, BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Chosen, Commands, Format, Grammar,
    Parsed, Show,
};
use crate::output::{complain, print_line};
use crate::tool::Call;
pub(crate) use levels::{METADATA_VERSION, Release, dependencies, parse_level, version_mapping};

const TOOL: Commands = Commands {
    grammar: Grammar {
        about: "usage: kafka-features (--bootstrap-server HOST:PORT | --bootstrap-controller HOST:PORT) {describe,upgrade,downgrade,disable,version-mapping,feature-dependencies}",
        options: &[
            BOOTSTRAP_SERVER,
            BOOTSTRAP_CONTROLLER,
            COMMAND_CONFIG,
            ("dry-run", Arg::None, "Check the change, and do not make it.", Show::Yes),
            (
                "feature",
                Arg::Text("feature=level"),
                "A feature and its level, such as transaction.version=2; disable takes the name alone. May be repeated.",
                Show::Yes,
            ),
            Format::OPTION,
            Format::JSON,
            ("metadata", Arg::Text("release"), "The old name of --release-version.", Show::Old),
            (
                "release-version",
                Arg::Text("release"),
                "Set all features as that release has them, such as 4.1 or 4.1-IV1.",
                Show::Yes,
            ),
            ("unsafe", Arg::None, "downgrade, disable: even if metadata is lost by it.", Show::Yes),
        ],
    },
    names: &[
        "describe",
        "upgrade",
        "downgrade",
        "disable",
        "version-mapping",
        "feature-dependencies",
    ],
    shorts: &[],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Some(Chosen { command, parsed, .. }) = TOOL.parse(call)? else { return Ok(()) };
    match command {
        // Neither asks anybody; Kafka's tool demands servers all the same.
        "version-mapping" => return Ok(print_line(&version_mapping(release(&parsed)?)?)?),
        "feature-dependencies" => {
            TOOL.require(&call.name, &parsed, &["feature"])?;
            return print_dependencies(&parsed);
        }
        _ => TOOL.check_servers(&call.name, &parsed)?,
    }
    let admin = admin_client(&parsed, "adminclient-1")?.admin();
    match command {
        "describe" => describe(&admin, &parsed),
        "upgrade" => {
            let levels = wanted(&parsed, FeatureUpdate::Upgrade)?;
            update(
                &admin,
                &parsed,
                Change { verb: "upgrade", levels, update: FeatureUpdate::Upgrade },
            )
        }
        "downgrade" => {
            let update_type = downgrade(&parsed);
            let levels = wanted(&parsed, update_type)?;
            update(&admin, &parsed, Change { verb: "downgrade", levels, update: update_type })
        }
        _ => {
            let mut levels = BTreeMap::new();
            for feature in parsed.values("feature") {
                once(levels.insert(feature.to_owned(), 0), feature)?;
            }
            update(&admin, &parsed, Change { verb: "disable", levels, update: downgrade(&parsed) })
        }
    }
}

fn downgrade(parsed: &Parsed) -> FeatureUpdate {
    match parsed.has("unsafe") {
        true => FeatureUpdate::UnsafeDowngrade,
        false => FeatureUpdate::SafeDowngrade,
    }
}

fn release(parsed: &Parsed) -> Outcome<Option<&str>> {
    parsed.value("release-version")
}

fn once(before: Option<i16>, feature: &str) -> Outcome {
    match before {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("Feature {feature} was specified more than once."))),
    }
}

/// The levels that `--release-version`, `--metadata` or `--feature` ask for.
fn wanted(parsed: &Parsed, update: FeatureUpdate) -> Outcome<BTreeMap<String, i16>> {
    let unknown = |name: &str| {
        Failure::usage(format!(
            "Unknown metadata.version {name}. Supported metadata.version are {}",
            levels::names().join(", ")
        ))
    };
    if let Some(name) = release(parsed)? {
        if parsed.has("metadata") || parsed.has("feature") {
            return Err(Failure::usage(
                "Can not specify `release-version` with other feature flags.",
            ));
        }
        let release = Release::named(name).ok_or_else(|| unknown(name))?;
        let mut levels = BTreeMap::from([(METADATA_VERSION.to_owned(), release.level)]);
        // Nothing is upgraded to 0.
        let rest =
            release.features().filter(|(_, level)| update != FeatureUpdate::Upgrade || *level > 0);
        levels.extend(rest.map(|(name, level)| (name.to_owned(), level)));
        return Ok(levels);
    }
    let mut levels = BTreeMap::new();
    if let Some(name) = parsed.value("metadata")? {
        print_line(" `metadata` flag is deprecated and may be removed in a future release.")?;
        let release = Release::named(name).ok_or_else(|| unknown(name))?;
        levels.insert(METADATA_VERSION.to_owned(), release.level);
    }
    for feature in parsed.values("feature") {
        let (name, level) = parse_level(feature).map_err(Failure::usage)?;
        once(levels.insert(name.to_owned(), level), name)?;
    }
    Ok(levels)
}

fn describe(admin: &Admin, parsed: &Parsed) -> Outcome {
    let format = Format::of(parsed)?;
    let features = block_on(async { Ok(admin.describe_features().await?) })?;
    match format {
        Format::Json => Ok(print_line(&to_json(&features).to_string())?),
        Format::Text => {
            for line in lines(&features) {
                print_line(&line)?;
            }
            Ok(())
        }
    }
}

/// A level as Kafka shows it: the metadata version by its name.
fn shown(feature: &str, level: i16) -> String {
    if feature != METADATA_VERSION {
        return level.to_string();
    }
    Release::of_level(level).map_or_else(|| format!("UNKNOWN {level}"), |it| it.name.to_owned())
}

fn lines(features: &Features) -> Vec<String> {
    let epoch = features.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
    let line = |it: &kalda_client::admin::Feature| {
        format!(
            "Feature: {}\tSupportedMinVersion: {}\tSupportedMaxVersion: {}\tFinalizedVersionLevel: {}\tEpoch: {epoch}",
            it.name,
            shown(&it.name, it.min),
            shown(&it.name, it.max),
            shown(&it.name, it.finalized),
        )
    };
    features.features.iter().map(line).collect()
}

fn to_json(features: &Features) -> Value {
    let all: Vec<Value> = features
        .features
        .iter()
        .map(|it| {
            json!({
                "feature": it.name,
                "supportedMin": it.min,
                "supportedMax": it.max,
                "finalized": it.finalized,
            })
        })
        .collect();
    json!({ "epoch": features.epoch, "features": all })
}

/// What is to be done.
struct Change {
    verb: &'static str,
    levels: BTreeMap<String, i16>,
    update: FeatureUpdate,
}

fn update(admin: &Admin, parsed: &Parsed, change: Change) -> Outcome {
    if change.levels.is_empty() {
        let verb = change.verb;
        return Err(Failure::usage(format!("You must specify at least one feature to {verb}")));
    }
    let is_dry = parsed.has("dry-run");
    let outcomes = block_on(async {
        Ok(match is_dry {
            true => admin.check_feature_update(&change.levels, change.update).await?,
            false => admin.update_features(&change.levels, change.update).await?,
        })
    })?;
    let mut failed = 0;
    for (feature, outcome) in &outcomes {
        let level = change.levels.get(feature).copied().unwrap_or_default();
        failed += usize::from(outcome.is_err());
        print_line(&outcome_line(change.verb, is_dry, (feature, level), outcome))?;
    }
    if failed > 0 {
        complain!("{failed} out of {} operation(s) failed.", change.levels.len());
        return Err(Failure::Reported(Blame::Refused));
    }
    Ok(())
}

fn outcome_line(
    verb: &str,
    is_dry: bool,
    (feature, level): (&str, i16),
    outcome: &kalda_client::Result<()>,
) -> String {
    let is_disable = verb == "disable";
    match outcome {
        Ok(()) => {
            let did = if is_dry { "can be" } else { "was" };
            let what =
                if is_disable { "disabled.".to_owned() } else { format!("{verb}d to {level}.") };
            format!("{feature} {did} {what}")
        }
        Err(error) => {
            let not = if is_dry { "Can not" } else { "Could not" };
            let to = if is_disable { String::new() } else { format!(" to {level}") };
            format!("{not} {verb} {feature}{to}. {error}")
        }
    }
}

fn print_dependencies(parsed: &Parsed) -> Outcome {
    for feature in parsed.values("feature") {
        print_line(&dependencies(feature)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_client::admin::Feature;
    use kalda_protocol::ErrorCode;

    #[test]
    fn lines_are_kafkas() {
        let feature = |name: &str, min, max, finalized| Feature {
            name: name.to_owned(),
            min,
            max,
            finalized,
        };
        let features = Features {
            features: vec![feature("group.version", 0, 1, 1), feature(METADATA_VERSION, 7, 99, 27)],
            epoch: Some(42),
        };
        assert_eq!(
            lines(&features),
            [
                "Feature: group.version\tSupportedMinVersion: 0\tSupportedMaxVersion: 1\tFinalizedVersionLevel: 1\tEpoch: 42",
                "Feature: metadata.version\tSupportedMinVersion: 3.3-IV3\tSupportedMaxVersion: UNKNOWN 99\tFinalizedVersionLevel: 4.1-IV1\tEpoch: 42",
            ]
        );
    }

    #[test]
    fn outcomes_are_kafkas() {
        let line = |verb, is_dry| outcome_line(verb, is_dry, ("x", 2), &Ok(()));
        assert_eq!(line("upgrade", false), "x was upgraded to 2.");
        assert_eq!(line("downgrade", true), "x can be downgraded to 2.");
        assert_eq!(line("disable", false), "x was disabled.");
        let error = Err(ErrorCode::FeatureUpdateFailed.into());
        let line = outcome_line("upgrade", false, ("x", 2), &error);
        assert!(line.starts_with("Could not upgrade x to 2. "));
        assert!(outcome_line("disable", true, ("x", 0), &error).starts_with("Can not disable x. "));
    }
}
