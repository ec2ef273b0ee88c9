//! Which partition of a coordinator's topic holds a group or a transactional id. Called by the server
//! for FindCoordinator and for every request; must give what Kafka gives, or two brokers would both
//! own a group.

/// The partition that holds `group_id`: Java's `String.hashCode`, made positive as Kafka does it, by
/// the number of partitions. `partitions` must be positive.
#[must_use]
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    let hash = group_id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's abs sends the one number without a positive twin to zero.
    hash.checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE, "hello" 99162322, "ü😀" counts the
        // two units of the surrogate pair: (252 * 31 + 55357) * 31 + 56832.
        for (group, expected) in [
            ("", 0),
            ("polygenelubricants", 0),
            ("hello", 99_162_322 % 50),
            ("ü😀", ((252 * 31 + 55_357) * 31 + 56_832) % 50),
        ] {
            assert_eq!(partition_for(group, 50), expected, "{group}");
        }
    }
}
