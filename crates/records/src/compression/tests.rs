//! Round trips, foreign framings and bombs.

use super::*;

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * index / 7) as u8).collect()
}

#[test]
fn every_codec_round_trips_with_and_without_a_level() {
    for codec in Compression::ALL {
        for len in [0, 1, 100, 32 * 1024, 300_000] {
            for level in [None, Some(1), Some(9), Some(1000)] {
                let mut packed = Vec::new();
                compress(codec, level, &sample(len), &mut packed).unwrap();
                let unpacked = decompress(codec, &packed, len).unwrap();
                assert_eq!(unpacked, sample(len), "{codec:?} {len} {level:?}");
            }
        }
    }
}

#[test]
fn one_byte_over_the_limit_is_refused() {
    for codec in Compression::ALL {
        let mut packed = Vec::new();
        compress(codec, None, &sample(50_000), &mut packed).unwrap();
        let refused = decompress(codec, &packed, 49_999);
        assert!(matches!(refused, Err(CompressionError::TooLarge { limit: 49_999 })), "{codec:?}");
    }
}

#[test]
fn cut_payloads_are_refused_or_shorter_but_never_a_panic() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut packed = Vec::new();
        compress(codec, None, &sample(70_000), &mut packed).unwrap();
        for cut in 0..packed.len().min(200) {
            if let Ok(bytes) = decompress(codec, &packed[..cut], 1 << 20) {
                assert!(bytes.len() < 70_000, "{codec:?} {cut}");
            }
        }
    }
}

#[test]
fn raw_snappy_and_joined_streams_are_read() {
    let raw = snap::raw::Encoder::new().compress_vec(&sample(9_000)).unwrap();
    assert_eq!(decompress(Compression::Snappy, &raw, 1 << 20).unwrap(), sample(9_000));

    let mut joined = Vec::new();
    compress(Compression::Snappy, None, b"one ", &mut joined).unwrap();
    compress(Compression::Snappy, None, b"two", &mut joined).unwrap();
    assert_eq!(decompress(Compression::Snappy, &joined, 100).unwrap(), b"one two");
}

#[test]
fn a_snappy_block_that_claims_gigabytes_takes_no_memory() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let refused = decompress(Compression::Snappy, &claim, usize::MAX);
    assert!(matches!(refused, Err(CompressionError::Corrupt(_))));
}

#[test]
fn lz4_frames_with_linked_blocks_and_checksums_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new()
        .block_size(BlockSize::Max4MB)
        .block_mode(BlockMode::Linked)
        .block_checksums(true)
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample(200_000)).unwrap();
    let frame = encoder.finish().unwrap();
    assert_eq!(decompress(Compression::Lz4, &frame, 200_000).unwrap(), sample(200_000));
}

#[test]
fn names_and_numbers_are_kafkas() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec = Compression::from_id(id as u8).unwrap();
        assert_eq!((codec.id(), codec.name()), (id as u8, name));
        assert_eq!(Compression::from_name(name), Some(codec));
    }
    assert_eq!(Compression::from_id(5), None);
    assert_eq!(Compression::from_name("uncompressed"), Some(Compression::None));
}
