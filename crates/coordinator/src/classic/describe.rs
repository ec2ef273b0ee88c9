//! DescribeGroups (v0–6) and the rows of ListGroups (v0–5).

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use kalda_protocol::messages::list_groups::ListedGroup;

use super::group::{ClassicGroup, GroupState};

/// The first version in which a group that is not there is an error (KIP-1043).
const NOT_FOUND_SINCE: i16 = 6;
const DEAD: &str = "Dead";
const TYPE: &str = "classic";

/// What is said of a group that is not there, or of another protocol.
pub(crate) fn describe_dead(group_id: &str, other_type: bool, api_version: i16) -> DescribedGroup {
    let mut described = DescribedGroup {
        group_id: group_id.to_owned(),
        group_state: DEAD.to_owned(),
        ..DescribedGroup::default()
    };
    if api_version >= NOT_FOUND_SINCE {
        described.error_code = ErrorCode::GroupIdNotFound.code();
        described.error_message = Some(if other_type {
            format!("Group {group_id} is not a classic group.")
        } else {
            format!("Group {group_id} not found.")
        });
    }
    described
}

/// The row of a group, if the filters let it through; empty filters let everything through.
pub(crate) fn listed(
    group: &ClassicGroup,
    states: &[String],
    types: &[String],
) -> Option<ListedGroup> {
    let state = group.state.name();
    let passes = |filter: &[String], name: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    (passes(states, state) && passes(types, TYPE)).then(|| ListedGroup {
        group_id: group.id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        group_state: state.to_owned(),
        group_type: TYPE.to_owned(),
    })
}

impl ClassicGroup {
    /// The group with its members. Only in Stable is there a protocol whose metadata could be shown.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let protocol = match self.state {
            GroupState::Stable => self.protocol.as_deref(),
            _ => None,
        };
        let members = self
            .members
            .values()
            .map(|member| DescribedGroupMember {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                member_metadata: protocol.map_or_else(Bytes::new, |name| member.metadata(name)),
                member_assignment: member.assignment.clone(),
            })
            .collect();
        DescribedGroup {
            error_code: ErrorCode::None.code(),
            group_id: self.id.clone(),
            group_state: self.state.name().to_owned(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol.unwrap_or_default().to_owned(),
            members,
            ..DescribedGroup::default()
        }
    }
}
