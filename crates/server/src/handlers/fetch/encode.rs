//! The answer's bytes: heads from memory, records from their files.
//!
//! Written by hand because the derived codec would copy every record once more. Partitions of one
//! topic that follow each other share its entry, as the request had them.

use bytes::{BufMut as _, BytesMut};
use kalda_model::BrokerId;
use kalda_protocol::messages::fetch::FetchResponse;
use kalda_protocol::{EncodeError, ErrorCode, Message as _, wire};

use super::{Fetched, TopicRef};
use crate::connection::{Answer, Piece};

/// First version with tagged fields and compact lengths.
const FLEXIBLE: i16 = 12;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// The tag of `diverging_epoch` of a partition.
const DIVERGING_EPOCH_TAG: u32 = 0;

/// An answer that carries an error of the session and nothing else.
pub(super) fn refusal(
    version: i16,
    error: ErrorCode,
    mut out: BytesMut,
) -> Result<Answer, EncodeError> {
    let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
    response.encode(&mut out, version)?;
    Ok(Answer::from_encoded(out))
}

/// The answer to a fetch; `out` holds a gap for the length, then the header.
pub(super) fn response(
    version: i16,
    session_id: i32,
    fetched: &[Fetched],
    out: BytesMut,
) -> Result<Answer, EncodeError> {
    let mut writer = Writer { version, out, pieces: Vec::new() };
    writer.out.put_i32(0); // throttle_time_ms
    if version >= 7 {
        writer.out.put_i16(ErrorCode::None.code());
        writer.out.put_i32(session_id);
    }
    let topics: Vec<&[Fetched]> = fetched.chunk_by(|one, next| one.topic == next.topic).collect();
    writer.array_len(topics.len());
    for topic in topics {
        writer.topic(topic);
    }
    writer.no_tags();
    Ok(writer.finish())
}

struct Writer {
    version: i16,
    out: BytesMut,
    pieces: Vec<Piece>,
}

impl Writer {
    fn topic(&mut self, partitions: &[Fetched]) {
        match &partitions[0].topic {
            TopicRef::Id(id) => {
                debug_assert!(self.version >= TOPIC_IDS);
                self.out.put_slice(&id.to_bytes());
            }
            TopicRef::Name(name) => {
                if self.version >= FLEXIBLE {
                    self.uvarint(name.len() + 1);
                } else {
                    self.out.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
                }
                self.out.put_slice(name.as_bytes());
            }
        }
        self.array_len(partitions.len());
        for partition in partitions {
            self.partition(partition);
        }
        self.no_tags();
    }

    fn partition(&mut self, fetched: &Fetched) {
        let records = &fetched.records;
        self.out.put_i32(fetched.partition);
        self.out.put_i16(fetched.error.code());
        self.out.put_i64(records.high_watermark.0);
        self.out.put_i64(records.last_stable_offset.0);
        if self.version >= 5 {
            self.out.put_i64(records.log_start_offset.0);
        }
        match &records.aborted_transactions {
            None if self.version >= FLEXIBLE => self.uvarint(0),
            None => self.out.put_i32(-1),
            Some(aborted) => {
                self.array_len(aborted.len());
                for (producer_id, first_offset) in aborted {
                    self.out.put_i64(producer_id.0);
                    self.out.put_i64(first_offset.0);
                    self.no_tags();
                }
            }
        }
        if self.version >= 11 {
            self.out.put_i32(records.preferred_read_replica.unwrap_or(BrokerId::NONE).0);
        }
        self.records(fetched);
        self.partition_tags(fetched);
    }

    /// Never null, not even with an error: librdkafka cannot read it (KAFKA-18646).
    fn records(&mut self, fetched: &Fetched) {
        let len = fetched.records.len();
        if self.version >= FLEXIBLE {
            self.uvarint(len + 1);
        } else {
            self.out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
        }
        match fetched.records.piece() {
            None => {}
            Some(Piece::Bytes(bytes)) => self.out.put_slice(&bytes),
            Some(file @ Piece::File { .. }) => {
                let head = self.out.split().freeze();
                self.pieces.extend([Piece::Bytes(head), file]);
            }
        }
    }

    fn partition_tags(&mut self, fetched: &Fetched) {
        let Some((epoch, end_offset)) = fetched.records.diverging else { return self.no_tags() };
        if self.version < FLEXIBLE {
            return;
        }
        let mut field = BytesMut::with_capacity(16);
        field.put_i32(epoch.0);
        field.put_i64(end_offset.0);
        field.put_u8(0);
        self.uvarint(1);
        wire::write_uvarint(DIVERGING_EPOCH_TAG, &mut self.out);
        self.uvarint(field.len());
        self.out.put_slice(&field);
    }

    fn array_len(&mut self, len: usize) {
        if self.version >= FLEXIBLE {
            self.uvarint(len + 1);
        } else {
            self.out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
        }
    }

    fn no_tags(&mut self) {
        if self.version >= FLEXIBLE {
            self.out.put_u8(0);
        }
    }

    fn uvarint(&mut self, value: usize) {
        wire::write_uvarint(u32::try_from(value).unwrap_or(u32::MAX), &mut self.out);
    }

    /// Puts the length in front, now that it is known.
    fn finish(mut self) -> Answer {
        let tail = self.out.freeze();
        self.pieces.push(Piece::Bytes(tail));
        let total: u64 = self.pieces.iter().map(Piece::len).sum();
        let len = i32::try_from(total - 4).unwrap_or(i32::MAX).to_be_bytes();
        if let Some(Piece::Bytes(head)) = self.pieces.first_mut() {
            let mut with_len = BytesMut::from(&head[..]);
            with_len[..4].copy_from_slice(&len);
            *head = with_len.freeze();
        }
        Answer { pieces: self.pieces }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kalda_model::{LeaderEpoch, Offset, ProducerId, Uuid};
    use kalda_protocol::messages::fetch::FetchRequest;

    use super::*;
    use crate::hosted::FetchedRecords;

    fn fetched(topic: TopicRef, partition: i32) -> Fetched {
        let mut records = FetchedRecords::of_bytes(Bytes::from_static(b"records"));
        records.high_watermark = Offset(9);
        records.last_stable_offset = Offset(8);
        records.log_start_offset = Offset(1);
        Fetched { topic, partition, error: ErrorCode::None, records }
    }

    /// The derived decoder is the oracle of the hand-written encoder, for every version.
    #[test]
    fn what_is_written_by_hand_is_read_by_the_derived_codec() {
        for version in FetchRequest::VERSIONS {
            let topic = |id: u8| match version >= TOPIC_IDS {
                true => TopicRef::Id(Uuid::from_bytes([id; 16])),
                false => TopicRef::Name(format!("topic{id}").into()),
            };
            let mut all = vec![fetched(topic(1), 0), fetched(topic(1), 3), fetched(topic(2), 1)];
            all[1].records.diverging = (version >= FLEXIBLE).then_some((LeaderEpoch(4), Offset(5)));
            all[2].records.aborted_transactions = Some(vec![(ProducerId(7), Offset(2))]);
            let out = BytesMut::from(&[0; 4][..]);
            let answer = response(version, 77, &all, out).unwrap();
            let mut bytes = BytesMut::new();
            for piece in answer.pieces {
                match piece {
                    Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
                    Piece::File { .. } => panic!("no files here"),
                }
            }
            let mut bytes = bytes.freeze();
            let len = bytes.split_to(4);
            assert_eq!(i32::from_be_bytes(len[..].try_into().unwrap()), bytes.len() as i32);
            let decoded = FetchResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "v{version}");
            assert_eq!(decoded.responses.len(), 2);
            assert_eq!(decoded.session_id, if version >= 7 { 77 } else { 0 });
            let first = &decoded.responses[0].partitions;
            assert_eq!(first.iter().map(|p| p.partition_index).collect::<Vec<_>>(), [0, 3]);
            assert_eq!(first[0].records.as_deref(), Some(&b"records"[..]));
            assert_eq!(first[0].high_watermark, 9);
            assert_eq!(first[1].diverging_epoch.epoch, if version >= FLEXIBLE { 4 } else { -1 });
            let aborted = decoded.responses[1].partitions[0].aborted_transactions.as_ref();
            assert_eq!(aborted.unwrap()[0].producer_id, 7);
        }
    }
}
