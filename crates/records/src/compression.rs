//! The five codecs of a payload, each in the framing that Java's client reads and writes.
//!
//! Decompression always has an output limit: a few kilobytes can claim gigabytes. LZ4 is written at
//! one speed (`lz4_flex` has no levels); its configured level is accepted and has no effect.

use std::fmt;
use std::io::{self, Read, Write};

mod snappy;

/// A codec, as the attribute bits of a batch name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// The records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of `snappy-java` ("xerial"); raw blocks are read too.
    Snappy,
    /// An LZ4 frame.
    Lz4,
    /// A Zstandard frame (KIP-110).
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with Kafka's number `id`.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Kafka's number.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Kafka's name, as `compression.type` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of that name. The topic config says `uncompressed` where the producer says `none`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "uncompressed" {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The levels that `compression.<codec>.level` may take; `None` where there are none.
    #[must_use]
    pub fn levels(self) -> Option<std::ops::RangeInclusive<i32>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(-1..=9),
            Self::Lz4 => Some(1..=17),
            Self::Zstd => Some(-131_072..=22),
        }
    }
}

/// What a topic wants of its batches (`compression.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CompressionType {
    /// Whatever the producer chose (`producer`).
    #[default]
    Producer,
    /// This codec; batches that come in another one are encoded again.
    Codec {
        /// The codec.
        codec: Compression,
        /// Its level; `None` is the codec's default.
        level: Option<i32>,
    },
}

/// Why a payload could not be decompressed, or compressed.
#[derive(Debug)]
pub enum CompressionError {
    /// The bytes are not what the codec writes.
    Corrupt(io::Error),
    /// More would come out than the limit allows.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(error) => write!(f, "Failed to decompress record stream: {error}"),
            Self::TooLarge { limit } => {
                write!(f, "the records take more than {limit} bytes when decompressed")
            }
        }
    }
}

impl std::error::Error for CompressionError {}

/// Appends `input`, compressed, to `out`. `level` outside of [`Compression::levels`] is clamped.
///
/// # Errors
/// The codec refused; none does so for memory.
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let level =
        level.zip(codec.levels()).map(|(level, range)| level.clamp(*range.start(), *range.end()));
    match codec {
        Compression::None => out.extend_from_slice(input),
        Compression::Gzip => {
            let level = level
                .and_then(|level| u32::try_from(level).ok())
                .map_or(flate2::Compression::default(), flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(input)?;
            encoder.finish()?;
        }
        Compression::Snappy => snappy::compress(input, out)?,
        Compression::Lz4 => {
            // 64 KiB independent blocks without checksums: what Java's client writes.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, out);
            encoder.write_all(input)?;
            encoder.finish().map_err(io::Error::other)?;
        }
        Compression::Zstd => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
            encoder.write_all(input)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

/// Decompresses `payload` whole.
///
/// # Errors
/// Bytes that are not the codec's, or more than `limit` bytes of output.
pub fn decompress(
    codec: Compression,
    payload: &[u8],
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    let mut reader = Decompressor::new(codec, payload, limit)?;
    let mut chunk = [0; 16 * 1024];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(out),
            read => out.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A payload being decompressed piece by piece, in bounded memory.
pub struct Decompressor<'a> {
    reader: Box<dyn Read + 'a>,
    left: usize,
    limit: usize,
}

impl<'a> Decompressor<'a> {
    /// Over `payload`, giving at most `limit` bytes.
    ///
    /// # Errors
    /// The codec refused the first bytes.
    pub fn new(
        codec: Compression,
        payload: &'a [u8],
        limit: usize,
    ) -> Result<Self, CompressionError> {
        let reader: Box<dyn Read + 'a> = match codec {
            Compression::None => Box::new(payload),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(payload)),
            Compression::Snappy => Box::new(snappy::Reader::new(payload)),
            Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(payload)),
            Compression::Zstd => Box::new(
                zstd::stream::read::Decoder::with_buffer(payload)
                    .map_err(CompressionError::Corrupt)?,
            ),
        };
        Ok(Self { reader, left: limit, limit })
    }

    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// Bytes that are not the codec's, or the limit passed.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, CompressionError> {
        loop {
            match self.reader.read(out) {
                Ok(read) if read > self.left => {
                    return Err(CompressionError::TooLarge { limit: self.limit });
                }
                Ok(read) => {
                    self.left -= read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CompressionError::Corrupt(error)),
            }
        }
    }
}

impl fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
