//! DescribeLogDirs (key 35, v0–4, KIP-113): the directories of this broker, what lies in them, and,
//! from v4 on, the room of their file systems (KIP-827).

use std::collections::BTreeMap;

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::directory::DataDirectory;
use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeLogDirsRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeLogDirsResponse {
        let directories = cx.broker.directories.iter();
        let results = directories.map(|directory| describe(directory, self.topics.as_deref()));
        let results = results.collect();
        DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
    }
}

fn describe(
    directory: &DataDirectory,
    wanted: Option<&[DescribableLogDirTopic]>,
) -> DescribeLogDirsResult {
    let log_dir = directory.shown_path().to_owned();
    let space = directory.storage.space();
    let (false, Ok(space)) = (directory.storage.is_offline(), space) else {
        return DescribeLogDirsResult {
            error_code: ErrorCode::KafkaStorageError.code(),
            log_dir,
            ..DescribeLogDirsResult::default()
        };
    };
    let is_wanted = |topic: &str, index: i32| match wanted {
        None => true,
        Some(wanted) => {
            wanted.iter().any(|named| named.topic == topic && named.partitions.contains(&index))
        }
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in directory.hosted() {
        if !is_wanted(&partition.topic, partition.index) {
            continue;
        }
        let Ok((size, lag)) = partition.with_log(|log, state| {
            (log.size_bytes(), log.log_end_offset().0 - state.high_watermark().0)
        }) else {
            continue;
        };
        topics.entry(partition.topic.to_string()).or_default().push(DescribeLogDirsPartition {
            partition_index: partition.index,
            partition_size: i64::try_from(size).unwrap_or(i64::MAX),
            offset_lag: lag.max(0),
            is_future_key: false,
        });
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic { name, partitions }
    });
    DescribeLogDirsResult {
        error_code: ErrorCode::None.code(),
        log_dir,
        topics: topics.collect(),
        total_bytes: i64::try_from(space.total).unwrap_or(i64::MAX),
        usable_bytes: i64::try_from(space.usable).unwrap_or(i64::MAX),
    }
}
