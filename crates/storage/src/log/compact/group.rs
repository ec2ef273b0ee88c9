//! Which segments become one: together they are no larger than a segment may be.

use std::ops::Range;

use crate::config::LogConfig;

use super::plan::Source;

/// Bytes of an entry of the offset index.
const ENTRY_BYTES: u64 = 8;

/// The sources that begin below `end`, cut into runs.
pub(super) fn groups(sources: &[Source], end: i64, config: &LogConfig) -> Vec<Range<usize>> {
    let bytes_max = config.segment_bytes.min(i32::MAX as u64);
    let index_bytes = |bytes: u64| (bytes / config.index_interval_bytes.max(1) + 1) * ENTRY_BYTES;
    let count = sources.partition_point(|source| source.base < end);
    let mut groups = Vec::new();
    let mut first = 0;
    let mut bytes = 0;
    for (index, source) in sources[..count].iter().enumerate() {
        let together = bytes + source.size;
        let fits = together <= bytes_max
            && index_bytes(together) <= config.segment_index_bytes
            && source.end - 1 - sources[first].base <= i64::from(i32::MAX);
        if index > first && !fits {
            groups.push(first..index);
            first = index;
            bytes = 0;
        }
        bytes += source.size;
    }
    if first < count {
        groups.push(first..count);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(base: i64, size: u64, end: i64) -> Source {
        Source { base, size, end }
    }

    #[test]
    fn runs_fit_a_segment_by_bytes_and_by_offsets() {
        let config = LogConfig { segment_bytes: 100, ..LogConfig::default() };
        let far = i64::from(i32::MAX);
        let sources = [
            source(0, 60, 10),
            source(10, 40, 20),
            source(20, 1, 30),
            source(30, 500, 40),
            source(40, 1, 50),
            source(50, 1, far + 41),
            source(far + 41, 1, far + 60),
        ];
        let cut = |end, config: &LogConfig| -> Vec<(usize, usize)> {
            groups(&sources, end, config).into_iter().map(|run| (run.start, run.end)).collect()
        };
        let of = |end| cut(end, &config);
        assert_eq!(of(i64::MAX), [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]);
        assert_eq!(of(15), [(0, 2)], "a segment that is mapped in part is rewritten too");
        assert_eq!(of(10), [(0, 1)]);
        assert_eq!(of(0), []);
        let config = LogConfig { segment_index_bytes: 8, ..config };
        assert_eq!(cut(20, &config), [(0, 2)], "below one interval: one entry");
        let config = LogConfig { index_interval_bytes: 50, ..config };
        assert_eq!(cut(20, &config), [(0, 1), (1, 2)]);
    }
}
