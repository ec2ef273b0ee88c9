//! Records of the metadata log that this version keeps but does not act on.
//!
//! A directory that Kafka left may hold ACLs, quotas and credentials. They are carried from
//! snapshot to snapshot untouched, so that nothing an operator once said is lost.

use std::collections::BTreeMap;

use kalda_protocol::stored::metadata::MetadataRecord;

/// The kept records, each under a key that names the thing it speaks of.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct OpaqueRecords {
    by_key: BTreeMap<String, MetadataRecord>,
}

impl OpaqueRecords {
    /// Keeps, replaces or removes; `false` when the record is not of an opaque kind.
    pub(crate) fn replay(&mut self, record: &MetadataRecord) -> bool {
        use MetadataRecord as R;
        let (key, keep) = match record {
            R::ClientQuota(quota) => {
                (format!("quota/{:?}/{}", quota.entity, quota.key), !quota.remove)
            }
            R::UserScramCredential(scram) => {
                (format!("scram/{}/{}", scram.name, scram.mechanism), true)
            }
            R::RemoveUserScramCredential(scram) => {
                (format!("scram/{}/{}", scram.name, scram.mechanism), false)
            }
            R::AccessControlEntry(acl) => (format!("acl/{}", acl.id), true),
            R::RemoveAccessControlEntry(acl) => (format!("acl/{}", acl.id), false),
            R::DelegationToken(token) => (format!("token/{}", token.token_id), true),
            R::RemoveDelegationToken(token) => (format!("token/{}", token.token_id), false),
            _ => return false,
        };
        if keep {
            self.by_key.insert(key, record.clone());
        } else {
            self.by_key.remove(&key);
        }
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &MetadataRecord> {
        self.by_key.values()
    }
}
