//! Snappy in the framing of `snappy-java`: a magic, two versions, then blocks with their lengths.
//! Some clients (old librdkafka, Go) write one raw block instead; both are read.

use std::io::{self, Read};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
/// The block size of Java's client, in bytes before compression.
const BLOCK_BYTES: usize = 32 * 1024;
/// Snappy cannot make more than this out of a byte (a 2-byte copy yields at most 64 bytes), so a
/// block that claims more lies.
const EXPANSION_MAX: usize = 64;

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(input.len()))];
    for chunk in input.chunks(BLOCK_BYTES) {
        let len = encoder.compress(chunk, &mut block).map_err(io::Error::other)?;
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(&block[..len]);
    }
    Ok(())
}

/// Decompresses block by block.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        let framed = payload.len() >= HEADER_LEN && payload.starts_with(&MAGIC);
        Self { rest: payload, framed, block: Vec::new(), at: 0 }
    }

    /// The next compressed block, or `None` at the end.
    fn take_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.framed {
            let block = std::mem::take(&mut self.rest);
            return Ok((!block.is_empty()).then_some(block));
        }
        // Streams may be joined, each with its header.
        while self.rest.len() >= HEADER_LEN && self.rest.starts_with(&MAGIC) {
            self.rest = &self.rest[HEADER_LEN..];
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (len, after) =
            self.rest.split_first_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
        let (block, after) = after
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.rest = after;
        Ok(Some(block))
    }

    fn fill(&mut self) -> io::Result<bool> {
        let Some(compressed) = self.take_block()? else { return Ok(false) };
        let len = snap::raw::decompress_len(compressed).map_err(io::Error::other)?;
        if len > compressed.len().saturating_mul(EXPANSION_MAX) {
            return Err(io::Error::other("a snappy block claims more than it can hold"));
        }
        self.block.resize(len, 0);
        self.at = 0;
        snap::raw::Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(io::Error::other)?;
        Ok(true)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let len = out.len().min(self.block.len() - self.at);
        out[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
