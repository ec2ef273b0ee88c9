//! One member's next step towards its target: first it gives up what it may not keep, then it goes on
//! to the epoch of the target and takes what is free. So no partition ever has two owners.

use super::state::{ConsumerState, Current, MemberState, Partitions};

/// What the member shall hold now. `owned` is what it says it holds, if it says so.
pub(super) fn next(
    state: &ConsumerState,
    member_id: &str,
    owned: Option<&Partitions>,
) -> Option<Current> {
    let current = &state.members.get(member_id)?.current;
    let step = match current.state {
        MemberState::Stable if current.epoch == state.target_epoch => None,
        MemberState::Stable | MemberState::UnreleasedPartitions => {
            Some(step(state, member_id, current, owned))
        }
        MemberState::UnrevokedPartitions => {
            let released = owned.is_some_and(|owned| owned.is_disjoint(&current.revoking));
            released.then(|| step(state, member_id, current, owned))
        }
    };
    step.filter(|next| next != current)
}

fn step(
    state: &ConsumerState,
    member_id: &str,
    current: &Current,
    owned: Option<&Partitions>,
) -> Current {
    let target = state.target_of(member_id);
    let kept: Partitions = current.assigned.intersection(&target).copied().collect();
    let revoking: Partitions = current.assigned.difference(&target).copied().collect();
    let still_owned = owned.is_none_or(|owned| !owned.is_disjoint(&revoking));
    if !revoking.is_empty() && still_owned {
        // The epoch stays until it has: in the next one they may be somebody else's.
        return Current {
            epoch: current.epoch,
            previous_epoch: current.epoch,
            state: MemberState::UnrevokedPartitions,
            assigned: kept,
            revoking,
        };
    }
    let others = held_by_others(state, member_id);
    let wanted: Partitions = target.difference(&kept).copied().collect();
    let free: Partitions = wanted.difference(&others).copied().collect();
    let unreleased = free.len() < wanted.len();
    // Nothing but the wait goes on: the previous epoch stays what it was.
    let previous_epoch =
        if current.epoch == state.target_epoch { current.previous_epoch } else { current.epoch };
    Current {
        epoch: state.target_epoch,
        previous_epoch,
        state: if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable },
        assigned: kept.union(&free).copied().collect(),
        revoking: Partitions::new(),
    }
}

/// Partitions that another member holds or has yet to give up.
fn held_by_others(state: &ConsumerState, member_id: &str) -> Partitions {
    state
        .members
        .iter()
        .filter(|(id, _)| *id != member_id)
        .flat_map(|(_, member)| member.current.assigned.union(&member.current.revoking))
        .copied()
        .collect()
}
