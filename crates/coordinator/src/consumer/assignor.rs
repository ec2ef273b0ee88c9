//! The server's assignors. Pure plans: who shall have what, given who wants what and who had what.

use std::collections::BTreeMap;

use kalda_metadata::Image;

use super::state::{ConsumerState, Partitions};

/// Spreads partitions as evenly as subscriptions allow, and moves as few as it can.
pub(super) const UNIFORM: &str = "uniform";
/// Gives each member a range of every topic, so that equal partitions of topics come together.
pub(super) const RANGE: &str = "range";

pub(super) type Plan = BTreeMap<String, Partitions>;

/// The assignor that most members ask for; uniform if none asks.
pub(super) fn preferred(state: &ConsumerState) -> &'static str {
    let asked = |name: &str| {
        let members = state.members.values();
        members.filter(|member| member.metadata.server_assignor.as_deref() == Some(name)).count()
    };
    if asked(RANGE) > asked(UNIFORM) { RANGE } else { UNIFORM }
}

pub(super) fn plan(state: &ConsumerState, image: &Image) -> Plan {
    let mut plan: Plan = state.members.keys().map(|id| (id.clone(), Partitions::new())).collect();
    if preferred(state) == RANGE {
        range(state, image, &mut plan);
    } else {
        uniform(state, image, &mut plan);
    }
    plan
}

fn range(state: &ConsumerState, image: &Image, plan: &mut Plan) {
    for topic in state.topics(image) {
        let mut members: Vec<&str> = state.subscribers(&topic.name).collect();
        // Static members keep their place in the order when they come back under another id.
        members.sort_by_key(|id| {
            let instance = state.members.get(*id).and_then(|m| m.metadata.instance_id.as_deref());
            (instance.is_none(), instance.unwrap_or(id))
        });
        if members.is_empty() {
            continue;
        }
        let share = topic.partitions.len() / members.len();
        let longer = topic.partitions.len() % members.len();
        let mut partitions = topic.partitions.keys();
        for (index, member) in members.iter().enumerate() {
            let size = share + usize::from(index < longer);
            let taken = partitions.by_ref().take(size).map(|partition| (topic.id, *partition));
            if let Some(owned) = plan.get_mut(*member) {
                owned.extend(taken);
            }
        }
    }
}

fn uniform(state: &ConsumerState, image: &Image, plan: &mut Plan) {
    let mut owners: BTreeMap<(kalda_model::TopicId, i32), &str> = BTreeMap::new();
    for (member, target) in &state.targets {
        owners.extend(target.iter().map(|partition| (*partition, member.as_str())));
    }
    let mut open = Vec::new();
    for topic in state.topics(image) {
        let members: Vec<&str> = state.subscribers(&topic.name).collect();
        if members.is_empty() {
            continue;
        }
        for partition in topic.partitions.keys() {
            let partition = (topic.id, *partition);
            match owners.get(&partition).filter(|owner| members.contains(owner)) {
                Some(owner) => {
                    plan.entry((*owner).to_owned()).or_default().insert(partition);
                }
                None => open.push((partition, topic.name.clone())),
            }
        }
    }
    for (partition, topic) in open {
        if let Some(member) = least_loaded(state, &topic, plan) {
            plan.entry(member).or_default().insert(partition);
        }
    }
    level(state, image, plan);
}

fn load(plan: &Plan, member: &str) -> usize {
    plan.get(member).map_or(0, Partitions::len)
}

fn least_loaded(state: &ConsumerState, topic: &str, plan: &Plan) -> Option<String> {
    state.subscribers(topic).min_by_key(|id| (load(plan, id), *id)).map(str::to_owned)
}

/// Moves partitions from members with more to members with at least two fewer, until there is no
/// such pair. Each move makes the spread of loads smaller, so this ends.
fn level(state: &ConsumerState, image: &Image, plan: &mut Plan) {
    loop {
        let mut moved = false;
        let owners: Vec<String> = plan.keys().cloned().collect();
        for owner in owners {
            let owned: Vec<_> = plan.get(&owner).into_iter().flatten().copied().rev().collect();
            for partition in owned {
                let lightest = plan.values().map(Partitions::len).min().unwrap_or(0);
                if load(plan, &owner) <= lightest + 1 {
                    break;
                }
                let Some(topic) = image.topics.by_id(partition.0) else { continue };
                let Some(taker) = least_loaded(state, &topic.name, plan) else { continue };
                if load(plan, &owner) > load(plan, &taker) + 1 {
                    plan.entry(owner.clone()).or_default().remove(&partition);
                    plan.entry(taker).or_default().insert(partition);
                    moved = true;
                }
            }
        }
        if !moved {
            return;
        }
    }
}
