//! FindCoordinator (key 10, v0–6): which broker coordinates a group or a transactional id. v1 adds the
//! kind of key, v4 many keys at once (KIP-699), v6 share groups. These are not served yet: the answer
//! for them is COORDINATOR_NOT_AVAILABLE, which clients retry.

use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::dispatch::{Handle, RequestContext};

/// The kind of key that names a group (`CoordinatorType.GROUP`).
const GROUP: i8 = 0;
/// The one that names a transactional id (`CoordinatorType.TRANSACTION`).
const TRANSACTION: i8 = 1;
/// First version with many keys.
const MANY_KEYS: i16 = 4;

impl Handle for FindCoordinatorRequest {
    async fn handle(self, cx: &RequestContext) -> FindCoordinatorResponse {
        if cx.version < MANY_KEYS {
            let found = find(cx, self.key_type, self.key).await;
            return FindCoordinatorResponse {
                error_code: found.error_code,
                error_message: found.error_message,
                node_id: found.node_id,
                host: found.host,
                port: found.port,
                ..FindCoordinatorResponse::default()
            };
        }
        let mut coordinators = Vec::with_capacity(self.coordinator_keys.len());
        for key in self.coordinator_keys {
            coordinators.push(find(cx, self.key_type, key).await);
        }
        FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
    }
}

async fn find(cx: &RequestContext, kind: i8, key: String) -> Coordinator {
    let found = match kind {
        GROUP => cx.broker.groups.coordinator_of(&cx.broker, &key).await,
        TRANSACTION if key.is_empty() => Err(ErrorCode::InvalidRequest),
        TRANSACTION => cx.broker.transactions.coordinator_of(&cx.broker, &key).await,
        _ => Err(ErrorCode::CoordinatorNotAvailable),
    };
    let image = cx.broker.image();
    let endpoint = found.and_then(|id| {
        let broker = image.brokers.get(&id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let endpoint = cx.broker.endpoint_for(&cx.peer, broker);
        endpoint.map(|(host, port)| (id, host, port)).ok_or(ErrorCode::CoordinatorNotAvailable)
    });
    match endpoint {
        Ok((id, host, port)) => Coordinator {
            key,
            node_id: id.0,
            host,
            port: i32::from(port),
            error_code: ErrorCode::None.code(),
            error_message: None,
        },
        Err(error) => Coordinator {
            key,
            node_id: BrokerId::NONE.0,
            host: String::new(),
            port: -1,
            error_code: error.code(),
            error_message: Some(error.message().to_owned()),
        },
    }
}
