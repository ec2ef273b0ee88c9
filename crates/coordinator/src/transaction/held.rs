//! Requests that wait until the markers of their transaction are written. Owned by the shard.

use std::collections::{BTreeMap, VecDeque};

use crate::decision::Token;
use crate::request::Caller;

use super::request::TransactionRequest;

/// A request with what it takes to decide on it later.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) token: Token,
    pub(super) caller: Caller,
    pub(super) request: TransactionRequest,
    /// When its producer has waited enough.
    pub(super) until_ms: i64,
}

/// Those that wait, by transactional id, and those that may go on.
#[derive(Debug, Default)]
pub(super) struct Held {
    waiting: BTreeMap<String, VecDeque<Request>>,
    released: VecDeque<Request>,
}

impl Held {
    pub(super) fn push(&mut self, id: String, request: Request) {
        self.waiting.entry(id).or_default().push_back(request);
    }

    /// The transaction is complete.
    pub(super) fn release(&mut self, id: &str) {
        self.released.extend(self.waiting.remove(id).unwrap_or_default());
    }

    /// When the next of them is due.
    pub(super) fn next_ms(&self) -> Option<i64> {
        if !self.released.is_empty() {
            return Some(i64::MIN);
        }
        self.waiting.values().filter_map(|queue| Some(queue.front()?.until_ms)).min()
    }

    /// One that may go on, or has waited enough.
    pub(super) fn take_due(&mut self, now_ms: i64) -> Option<Request> {
        if let Some(request) = self.released.pop_front() {
            return Some(request);
        }
        let is_due = |queue: &VecDeque<Request>| {
            queue.front().is_some_and(|request| request.until_ms <= now_ms)
        };
        let id = self.waiting.iter().find(|(_, queue)| is_due(queue))?.0.clone();
        let queue = self.waiting.get_mut(&id)?;
        let request = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&id);
        }
        request
    }

    pub(super) fn take_all(&mut self) -> Vec<Request> {
        let waiting = std::mem::take(&mut self.waiting).into_values().flatten();
        std::mem::take(&mut self.released).into_iter().chain(waiting).collect()
    }
}
