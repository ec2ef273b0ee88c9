//! What the quorum wants done, done: to the disk here, and the rest handed on.

use bytes::Bytes;
use kalda_model::{BrokerId, LeaderEpoch, Offset};
use kalda_storage::{AppendError, StorageError};

use super::batches::{concatenate, encode};
use super::{MetadataLog, OpenError};
use crate::quorum::{
    Batch, Body, Control, Correlation, Effect, Fault, Input, Request, RequestId, Response,
    ResponseBody,
};
use crate::quorum_state::QuorumStateError;

/// Most bytes of a snapshot in one answer (`FetchSnapshotRequest.MaxBytes` is another bound).
const SNAPSHOT_PIECE_LEN: usize = 8 * 1024 * 1024;
/// Most bytes of batches in one answer.
const FETCH_LEN_MAX: usize = 8 * 1024 * 1024;

/// What is left to be done by who owns sockets and the controller, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Send a request.
    Send {
        /// To whom.
        to: BrokerId,
        /// To be named with the answer.
        correlation: Correlation,
        /// What.
        request: Request,
    },
    /// Answer a request.
    Answer {
        /// Which one.
        request: RequestId,
        /// How; the pieces of a snapshot are filled in.
        response: Response,
        /// The batches that go with the answer to a fetch.
        records: Bytes,
    },
    /// Something was appended: it is to be flushed.
    Appended,
    /// The log was cut. Its recovery point on disk has to be as low before anything is appended: a recovery
    /// takes for lost what lies below that and is not there.
    Truncated,
    /// Give this to the quorum.
    Report(Input),
    /// See [`Effect::BecameLeader`].
    BecameLeader {
        /// Which epoch.
        epoch: LeaderEpoch,
        /// The offset of its first record.
        epoch_start: Offset,
    },
    /// See [`Effect::Resigned`].
    Resigned {
        /// Which epoch.
        epoch: LeaderEpoch,
    },
    /// See [`Effect::Following`].
    Following {
        /// Whom.
        leader: BrokerId,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
    /// See [`Effect::Fault`].
    Fault(Fault),
}

/// Why an effect could not be carried out. The replica cannot go on: it may have promised what it
/// has not.
#[derive(Debug, thiserror::Error)]
pub enum CarryOutError {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A batch could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// `quorum-state` could not be written.
    #[error(transparent)]
    QuorumState(#[from] QuorumStateError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] OpenError),
}

impl CarryOutError {
    /// The disk error that it was.
    ///
    /// # Errors
    /// It was none: its text.
    pub fn into_storage(self) -> Result<StorageError, String> {
        match self {
            Self::Storage(error)
            | Self::Append(AppendError::Storage(error))
            | Self::Read(OpenError::Storage(error)) => Ok(error),
            Self::QuorumState(QuorumStateError::Disk(path, source)) => {
                Ok(StorageError::Disk { path: path.into(), source })
            }
            other => Err(other.to_string()),
        }
    }
}

impl MetadataLog {
    /// Carries out what concerns the disk, in order; answers what is left to do.
    ///
    /// # Errors
    /// The disk failed. What follows the effect that failed is not done.
    pub fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        now_ms: i64,
    ) -> Result<Vec<Outcome>, CarryOutError> {
        let mut outcomes = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Persist(state) => state.store(&*self.disk, self.log.dir())?,
                Effect::Append(batches) => {
                    self.append(&batches, now_ms)?;
                    outcomes.push(Outcome::Appended);
                }
                Effect::Truncate(to) => {
                    self.log.truncate_to(to, now_ms)?;
                    self.log.flush()?;
                    outcomes.push(Outcome::Truncated);
                }
                Effect::WriteSnapshot { id, position, bytes, is_last } => {
                    let installed = self.write_fetched(id, position, &bytes, is_last, now_ms)?;
                    outcomes.extend(match installed {
                        Some(view) => Some(Outcome::Report(Input::SnapshotInstalled(view))),
                        None if is_last => Some(Outcome::Report(Input::SnapshotUnusable(id))),
                        None => None,
                    });
                }
                Effect::AnswerRecords { request, response, read_from } => {
                    let records = self.read(read_from, Offset(i64::MAX), FETCH_LEN_MAX)?;
                    outcomes.push(Outcome::Answer { request, response, records });
                }
                Effect::AnswerSnapshot { request, response } => {
                    let response = self.fill_in(response)?;
                    outcomes.push(Outcome::Answer { request, response, records: Bytes::new() });
                }
                Effect::Answer { request, response } => {
                    outcomes.push(Outcome::Answer { request, response, records: Bytes::new() });
                }
                Effect::Send { to, correlation, request } => {
                    outcomes.push(Outcome::Send { to, correlation, request });
                }
                // Who wants to know it asks the quorum.
                Effect::HighWatermark(_) => {}
                Effect::BecameLeader { epoch, epoch_start } => {
                    outcomes.push(Outcome::BecameLeader { epoch, epoch_start });
                }
                Effect::Resigned { epoch } => outcomes.push(Outcome::Resigned { epoch }),
                Effect::Following { leader, epoch } => {
                    outcomes.push(Outcome::Following { leader, epoch });
                }
                Effect::Fault(fault) => outcomes.push(Outcome::Fault(fault)),
            }
        }
        Ok(outcomes)
    }

    fn append(&mut self, batches: &[Batch], now_ms: i64) -> Result<(), CarryOutError> {
        let mut encoded = Vec::with_capacity(batches.len());
        for batch in batches {
            if let Body::Control(records) = &batch.body {
                let version = records.iter().rev().find_map(|record| match record {
                    Control::KRaftVersion(version) => Some(*version),
                    _ => None,
                });
                self.is_dynamic = version.map_or(self.is_dynamic, |version| version > 0);
            }
            let bytes = encode(batch, self.is_dynamic, now_ms);
            encoded.push(bytes.map_err(|error| self.disk_error(error))?);
        }
        let bytes = concatenate(&encoded);
        self.bytes_since_snapshot += bytes.len() as u64;
        self.log.append_as_follower(&bytes, now_ms)?;
        Ok(())
    }

    fn fill_in(&self, mut response: Response) -> Result<Response, StorageError> {
        let ResponseBody::FetchSnapshot(piece) = &mut response.body else { return Ok(response) };
        let read = self.read_snapshot(piece.id, piece.position, SNAPSHOT_PIECE_LEN)?;
        match read {
            Some((size, bytes)) if piece.position < size => {
                piece.size = size;
                piece.bytes = bytes;
            }
            Some(_) => response.refusal = Some(crate::quorum::Refusal::PositionOutOfRange),
            None => response.refusal = Some(crate::quorum::Refusal::SnapshotNotFound),
        }
        Ok(response)
    }
}
