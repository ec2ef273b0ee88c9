//! AlterReplicaLogDirs (key 34, v0–2, KIP-113): moves replicas between the directories of this
//! broker. The answer says whether the move was taken on; DescribeLogDirs shows where they are.

use kalda_protocol::ErrorCode;
use kalda_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use crate::dispatch::{Handle, RequestContext};
use crate::tasks::directory_move;

impl Handle for AlterReplicaLogDirsRequest {
    async fn handle(self, cx: &RequestContext) -> AlterReplicaLogDirsResponse {
        let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
        for dir in &self.dirs {
            for topic in &dir.topics {
                let moved = topic.partitions.iter().map(|index| {
                    let error = match start_move(cx, &dir.path, &topic.name, *index) {
                        Ok(()) => ErrorCode::None,
                        Err(error) => error,
                    };
                    let error_code = error.code();
                    AlterReplicaLogDirPartitionResult { partition_index: *index, error_code }
                });
                results.push(AlterReplicaLogDirTopicResult {
                    topic_name: topic.name.clone(),
                    partitions: moved.collect(),
                });
            }
        }
        AlterReplicaLogDirsResponse { results, ..AlterReplicaLogDirsResponse::default() }
    }
}

fn start_move(cx: &RequestContext, path: &str, topic: &str, index: i32) -> Result<(), ErrorCode> {
    let absolute = std::path::absolute(path).map_err(|_| ErrorCode::LogDirNotFound)?;
    let mut directories = cx.broker.directories.iter();
    let target = directories
        .find(|directory| std::path::Path::new(directory.shown_path()) == absolute)
        .ok_or(ErrorCode::LogDirNotFound)?;
    if target.storage.is_offline() {
        return Err(ErrorCode::KafkaStorageError);
    }
    let image = cx.broker.image();
    let topic = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let hosted = cx.broker.partitions.find(topic.id, index);
    let hosted = hosted.ok_or_else(|| cx.broker.why_not_hosted(topic, index))?;
    directory_move::start(&cx.broker, &hosted, target);
    Ok(())
}
