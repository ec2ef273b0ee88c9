//! Produce by hand: the request read where it lies, the response written as it becomes known.
//!
//! Called by the server's hot path, which has no time to make structs of a request that only passes
//! through, and by nobody else: the derived codec of [`crate::messages::produce`] is the reference, and
//! tests hold both against each other for every version.

use bytes::BytesMut;
use kalda_model::Uuid;

use crate::messages::produce::{NodeEndpoint, PartitionProduceResponse, ProduceRequest};
use crate::wire::{self, Field as _, Sink as _, Version, Versioned as _};
use crate::{ApiKey, DecodeError, EncodeError, ErrorCode, request_header_version};

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// First version whose response may name leaders' endpoints.
const ENDPOINTS: i16 = 10;
/// The longest string of the protocol.
const STRING_LEN_MAX: usize = i16::MAX as usize;

const CLASSIC: Version = Version { number: 0, flexible: false };

/// What follows the header of a Produce request.
///
/// # Errors
/// As [`crate::RequestHeader::decode`].
pub fn body(frame: &[u8], version: i16) -> Result<&[u8], DecodeError> {
    let mut rest = Cursor { bytes: frame };
    // Key, version, correlation id: whoever calls this has seen them.
    rest.array::<8>()?;
    rest.nullable_string(CLASSIC)?;
    let number = request_header_version(ApiKey::Produce, version);
    rest.skip_tags(Version { number, flexible: number >= 2 })?;
    Ok(rest.bytes)
}

/// A Produce request, borrowed. It was walked to its end when it was read, so what its parts say of
/// themselves is known to be there.
#[derive(Clone, Copy, Debug)]
pub struct ProduceView<'a> {
    /// The id of the transaction, if there is one.
    pub transactional_id: Option<&'a str>,
    /// 0, 1, or -1 for all.
    pub acks: i16,
    /// How long the replicas may take, in ms.
    pub timeout_ms: i32,
    topics: Items<'a>,
}

/// One topic of a [`ProduceView`].
#[derive(Clone, Copy, Debug)]
pub struct ProduceTopicView<'a> {
    /// Its name; empty from v13 on.
    pub name: &'a str,
    /// Its id; zero before v13.
    pub id: Uuid,
    partitions: Items<'a>,
}

/// One partition of a [`ProduceTopicView`].
#[derive(Clone, Copy, Debug)]
pub struct ProducePartitionView<'a> {
    /// Its number.
    pub index: i32,
    /// Its batches, as they came.
    pub records: Option<&'a [u8]>,
}

/// The elements of an array, not read yet.
#[derive(Clone, Copy, Debug)]
struct Items<'a> {
    count: usize,
    rest: Cursor<'a>,
    version: Version,
}

impl<'a> ProduceView<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// As the derived codec: the bytes end early, or a length or text is not valid.
    pub fn read(body: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        let version =
            ProduceRequest::SCHEMA.version(version).ok_or(DecodeError::UnsupportedVersion {
                message: ProduceRequest::SCHEMA.name,
                version,
            })?;
        let mut rest = Cursor { bytes: body };
        let transactional_id = rest.nullable_string(version)?;
        let acks = i16::from_be_bytes(rest.array()?);
        let timeout_ms = i32::from_be_bytes(rest.array()?);
        let topics = Items::read(&mut rest, version)?;
        for _ in 0..topics.count {
            let topic = rest.topic_head(version)?;
            rest.skip_partitions(&topic)?;
        }
        rest.skip_tags(version)?;
        Ok(Self { transactional_id, acks, timeout_ms, topics })
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.count
    }

    /// The topics, in their order.
    pub fn topics(&self) -> impl Iterator<Item = ProduceTopicView<'a>> + use<'a> {
        let Items { mut count, mut rest, version } = self.topics;
        std::iter::from_fn(move || {
            count = count.checked_sub(1)?;
            let topic = rest.topic_head(version).ok()?;
            // What follows the last one is of no interest any more.
            if count > 0 {
                rest.skip_partitions(&topic).ok()?;
            }
            Some(topic)
        })
    }
}

impl<'a> ProduceTopicView<'a> {
    /// How many partitions there are.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.count
    }

    /// The partitions, in their order.
    pub fn partitions(&self) -> impl Iterator<Item = ProducePartitionView<'a>> + use<'a> {
        let Items { mut count, mut rest, version } = self.partitions;
        std::iter::from_fn(move || {
            count = count.checked_sub(1)?;
            rest.partition(version).ok()
        })
    }
}

impl<'a> Items<'a> {
    fn read(from: &mut Cursor<'a>, version: Version) -> Result<Self, DecodeError> {
        let count = from.length(version)?.ok_or(DecodeError::Null)?;
        // Every element takes a byte at least.
        if count > from.bytes.len() {
            let remaining = from.bytes.len();
            return Err(DecodeError::Truncated { needed: count, remaining });
        }
        Ok(Self { count, rest: *from, version })
    }
}

/// Bytes that are consumed from their front.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A topic up to its first partition.
    fn topic_head(&mut self, version: Version) -> Result<ProduceTopicView<'a>, DecodeError> {
        let (name, id) = if version.number >= TOPIC_IDS {
            ("", Uuid::from_bytes(self.array()?))
        } else {
            (self.nullable_string(version)?.ok_or(DecodeError::Null)?, Uuid::default())
        };
        let partitions = Items::read(self, version)?;
        Ok(ProduceTopicView { name, id, partitions })
    }

    /// The partitions of a topic whose head was read, and what ends it.
    fn skip_partitions(&mut self, topic: &ProduceTopicView<'a>) -> Result<(), DecodeError> {
        let version = topic.partitions.version;
        for _ in 0..topic.partitions.count {
            self.partition(version)?;
        }
        self.skip_tags(version)
    }

    #[inline]
    fn partition(&mut self, version: Version) -> Result<ProducePartitionView<'a>, DecodeError> {
        let index = i32::from_be_bytes(self.array()?);
        let records = match self.length(version)? {
            Some(length) => Some(self.take(length)?),
            None => None,
        };
        self.skip_tags(version)?;
        Ok(ProducePartitionView { index, records })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let truncated = DecodeError::Truncated { needed: length, remaining: self.bytes.len() };
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let truncated = DecodeError::Truncated { needed: N, remaining: self.bytes.len() };
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(truncated)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// Nearly all of them are of one byte or two.
    #[inline(always)]
    fn uvarint(&mut self) -> Result<u32, DecodeError> {
        match self.bytes {
            [byte @ ..0x80, rest @ ..] => {
                self.bytes = rest;
                Ok(u32::from(*byte))
            }
            [low @ 0x80..=0xff, high @ ..0x80, rest @ ..] => {
                self.bytes = rest;
                Ok(u32::from(low & 0x7f) | u32::from(*high) << 7)
            }
            _ => self.long_uvarint(),
        }
    }

    #[cold]
    fn long_uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for index in 0..5 {
            let [byte] = self.array()?;
            if index == 4 && byte > 0x0f {
                return Err(DecodeError::Varint);
            }
            value |= u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// The length of a blob or an array; `None` is null.
    #[inline]
    fn length(&mut self, version: Version) -> Result<Option<usize>, DecodeError> {
        if version.flexible {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        Ok(usize::try_from(i32::from_be_bytes(self.array()?)).ok())
    }

    fn nullable_string(&mut self, version: Version) -> Result<Option<&'a str>, DecodeError> {
        let length = if version.flexible {
            self.length(version)?
        } else {
            usize::try_from(i16::from_be_bytes(self.array()?)).ok()
        };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_LEN_MAX {
            return Err(DecodeError::StringLength { length });
        }
        str::from_utf8(self.take(length)?).map(Some).map_err(|_| DecodeError::Utf8)
    }

    #[inline]
    fn skip_tags(&mut self, version: Version) -> Result<(), DecodeError> {
        if !version.flexible {
            return Ok(());
        }
        match self.bytes {
            [0, rest @ ..] => {
                self.bytes = rest;
                Ok(())
            }
            _ => self.skip_some_tags(),
        }
    }

    #[cold]
    fn skip_some_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let length = self.uvarint()? as usize;
            self.take(length)?;
        }
        Ok(())
    }
}

/// Where a partition's answer stands in an encoded response, so that it can be changed into a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionAnswer(usize);

impl PartitionAnswer {
    /// Turns the answer into an error; `encoded` is the buffer that it was written to.
    pub fn fail(self, encoded: &mut [u8], error: ErrorCode) {
        // The index stands first, then the error and the base offset.
        let at = self.0 + 4;
        encoded[at..at + 2].copy_from_slice(&error.code().to_be_bytes());
        encoded[at + 2..at + 10].copy_from_slice(&(-1_i64).to_be_bytes());
    }

    /// The same answer in a buffer that begins later by `offset`.
    #[must_use]
    pub fn moved_up(self, offset: usize) -> Self {
        Self(self.0 - offset)
    }
}

/// Writes the response in the order of the request.
#[derive(Debug)]
pub struct ProduceWriter {
    version: Version,
}

impl ProduceWriter {
    /// Opens the response.
    ///
    /// # Errors
    /// There is no such version, or there are too many topics.
    pub fn begin(
        out: &mut BytesMut,
        version: i16,
        topic_count: usize,
    ) -> Result<Self, EncodeError> {
        let version =
            ProduceRequest::SCHEMA.version(version).ok_or(EncodeError::UnsupportedVersion {
                message: ProduceRequest::SCHEMA.name,
                version,
            })?;
        wire::write_length(Some(topic_count), out, version)?;
        Ok(Self { version })
    }

    /// Opens a topic.
    ///
    /// # Errors
    /// The name is too long, or there are too many partitions.
    pub fn topic(
        &mut self,
        out: &mut BytesMut,
        topic: &ProduceTopicView<'_>,
    ) -> Result<(), EncodeError> {
        if self.version.number >= TOPIC_IDS {
            out.put(&topic.id.to_bytes());
        } else if self.version.flexible {
            wire::write_length(Some(topic.name.len()), out, self.version)?;
            out.put(topic.name.as_bytes());
        } else {
            out.put(&(topic.name.len() as u16).to_be_bytes());
            out.put(topic.name.as_bytes());
        }
        wire::write_length(Some(topic.partition_count()), out, self.version)
    }

    /// Adds a partition to the topic.
    ///
    /// # Errors
    /// A text in it is too long.
    pub fn partition(
        &mut self,
        out: &mut BytesMut,
        answer: &PartitionProduceResponse,
    ) -> Result<PartitionAnswer, EncodeError> {
        let at = PartitionAnswer(out.len());
        answer.write(out, self.version)?;
        Ok(at)
    }

    /// Closes the topic.
    ///
    /// # Errors
    /// None; as all of these.
    pub fn end_topic(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        wire::write_no_tags(out, self.version)
    }

    /// Closes the response, naming where leaders are found instead.
    ///
    /// # Errors
    /// A text in it is too long.
    pub fn finish(
        self,
        out: &mut BytesMut,
        endpoints: &Vec<NodeEndpoint>,
    ) -> Result<(), EncodeError> {
        out.put(&0_i32.to_be_bytes()); // throttle_time_ms
        if endpoints.is_empty() || self.version.number < ENDPOINTS {
            return wire::write_no_tags(out, self.version);
        }
        wire::write_tag_count(&[true], out);
        wire::write_tag(0, endpoints, out, self.version)
    }
}
