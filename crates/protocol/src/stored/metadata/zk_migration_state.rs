//! ZkMigrationStateRecord (metadata record 21, versions 0):

use crate::Message;

/// ZkMigrationStateRecord
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ZkMigrationStateRecord {
    pub zk_migration_state: i8,
}
