//! The names of the files of a partition's directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kalda_env::Disk;

use crate::error::StorageError;

pub(crate) const LOG: &str = "log";
pub(crate) const INDEX: &str = "index";
pub(crate) const TIME_INDEX: &str = "timeindex";
pub(crate) const TXN_INDEX: &str = "txnindex";
pub(crate) const SNAPSHOT: &str = "snapshot";
pub(crate) const DELETED_SUFFIX: &str = ".deleted";
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
pub(crate) const SWAP_SUFFIX: &str = ".swap";
pub(crate) const TMP_SUFFIX: &str = ".tmp";
pub(crate) const QUARANTINE_SUFFIX: &str = ".quarantine";
pub(crate) const CUT_SUFFIX: &str = ".cut";
pub(crate) const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// Where a partition lives.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
}

/// One file of a segment. Its path is only built when it is opened, or when it fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) home: &'a Home,
    base: i64,
    kind: &'static str,
}

impl At<'_> {
    pub(crate) fn path(&self) -> PathBuf {
        self.home.path(self.base, self.kind)
    }

    pub(crate) fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Disk { path: self.path(), source }
    }
}

impl Home {
    /// The file of `kind` of the segment that begins at `base`.
    pub(crate) fn at(&self, base: i64, kind: &'static str) -> At<'_> {
        At { home: self, base, kind }
    }

    /// The file of the segment that begins at `base`.
    pub(crate) fn path(&self, base: i64, kind: &str) -> PathBuf {
        self.dir.join(file_name(base, kind))
    }
}

/// `00000000000000000042.log` and the like.
pub(crate) fn file_name(base: i64, kind: &str) -> String {
    format!("{base:020}.{kind}")
}

/// The offset that the name of a file of `kind` carries.
pub(crate) fn parse(name: &str, kind: &str) -> Option<i64> {
    let digits = name.strip_suffix(kind)?.strip_suffix('.')?;
    let is_offset = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_offset.then(|| digits.parse().ok())?
}

/// `path` with `suffix` appended to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(file_name(42, LOG), "00000000000000000042.log");
        assert_eq!(parse("00000000000000000042.log", LOG), Some(42));
        for name in ["00000000000000000042.log.deleted", "x.log", ".log", "42.timeindex", "-1.log"]
        {
            assert_eq!(parse(name, LOG), None, "{name}");
        }
        assert_eq!(parse("00000000000000000007.timeindex", INDEX), None);
    }
}
