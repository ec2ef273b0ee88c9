//! Zigzag variable-length integers, as the fields of a record are written.
//!
//! Reading stops at five (ten) bytes and refuses what does not fit, so that a stranger's bytes cannot
//! make it run on.

/// Appends `value` to `out`.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_u64(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends `value` to `out`.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_u64(out: &mut Vec<u8>, mut rest: u64) {
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The bytes that [`put_i64`] would append.
pub(crate) fn len_i64(value: i64) -> usize {
    let bits = 64 - (((value << 1) ^ (value >> 63)) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The bytes that [`put_i32`] would append.
pub(crate) fn len_i32(value: i32) -> usize {
    len_i64(i64::from(value))
}

/// Reads a 32-bit integer, taking bytes from `next`. `Ok(None)` when it does not fit.
pub(crate) fn read_i32<E>(next: impl FnMut() -> Result<u8, E>) -> Result<Option<i32>, E> {
    let Some(raw) = read_raw(next, 5)? else { return Ok(None) };
    let Ok(raw) = u32::try_from(raw) else { return Ok(None) };
    Ok(Some((raw >> 1) as i32 ^ -((raw & 1) as i32)))
}

/// Reads a 64-bit integer, taking bytes from `next`. `Ok(None)` when it does not fit.
pub(crate) fn read_i64<E>(next: impl FnMut() -> Result<u8, E>) -> Result<Option<i64>, E> {
    let Some(raw) = read_raw(next, 10)? else { return Ok(None) };
    Ok(Some((raw >> 1) as i64 ^ -((raw & 1) as i64)))
}

fn read_raw<E>(mut next: impl FnMut() -> Result<u8, E>, len_max: usize) -> Result<Option<u64>, E> {
    let mut value = 0u64;
    for index in 0..len_max {
        let byte = next()?;
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index;
        if shift == 63 && bits > 1 {
            return Ok(None);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(bytes: &[u8]) -> impl FnMut() -> Result<u8, ()> + '_ {
        let mut bytes = bytes.iter().copied();
        move || bytes.next().ok_or(())
    }

    #[test]
    fn both_widths_round_trip_at_their_edges() {
        for value in [0, 1, -1, 63, 64, -64, -65, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out.len(), len_i32(value), "{value}");
            assert_eq!(read_i32(from(&out)), Ok(Some(value)));
        }
        for value in [0, -1, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(out.len(), len_i64(value), "{value}");
            assert_eq!(read_i64(from(&out)), Ok(Some(value)));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read_i32(from(&[0xff; 6])), Ok(None));
        assert_eq!(read_i32(from(&[0xff, 0xff, 0xff, 0xff, 0x7f])), Ok(None));
        assert_eq!(read_i64(from(&[0xff; 11])), Ok(None));
        assert_eq!(read_i32(from(&[0x80])), Err(()));
    }
}
