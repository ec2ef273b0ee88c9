//! The byte layout of Kafka's types: integers, strings, blobs, arrays, structs and tagged fields, in
//! the classic and the flexible (KIP-482) form.
//!
//! Called by the code that `#[derive(Message)]` writes. Reading is bounded by the bytes that remain:
//! a declared length never makes it allocate more than the input could fill, and it never panics.

use bytes::{Buf, Bytes, BytesMut};
use kalda_model::Uuid;

use crate::message::{DecodeError, EncodeError};

/// The longest string of the protocol, whichever way its length is written.
const STRING_LEN_MAX: usize = i16::MAX as usize;
/// The room that an array may take on the word of its declared length; beyond it, it grows as
/// elements are really read.
const ARRAY_RESERVE_BYTES_MAX: usize = 4096;

/// The version being written or read, and whether it is a flexible one.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// The version of the whole message.
    pub number: i16,
    /// Whether lengths are compact and structs end with tagged fields.
    pub flexible: bool,
}

impl Version {
    /// Whether the version lies between `first` and `last`, both included.
    #[must_use]
    pub const fn is_within(self, first: i16, last: i16) -> bool {
        first <= self.number && self.number <= last
    }
}

/// What a message says about its versions.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The name in error messages.
    pub name: &'static str,
    /// The oldest valid version.
    pub first: i16,
    /// The newest valid version.
    pub last: i16,
    /// The first flexible version, `i16::MAX` if there is none.
    pub flexible_from: i16,
}

impl Schema {
    /// `None` for a version that the message does not have.
    #[must_use]
    pub const fn version(&self, number: i16) -> Option<Version> {
        if number < self.first || number > self.last {
            return None;
        }
        Some(Version { number, flexible: number >= self.flexible_from })
    }
}

/// A struct that has versions of its own, rather than those of a message around it.
pub trait Versioned {
    /// Its name and versions.
    const SCHEMA: Schema;
}

/// Where encoded bytes go: into a buffer, or only into a count.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A [`Sink`] that counts.
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// A value that can stand in a message.
pub trait Field: Sized {
    /// Appends the value.
    fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError>;
    /// Consumes a value.
    fn read(input: &mut Bytes, version: Version) -> Result<Self, DecodeError>;
}

/// A value that may be null. The methods given are those of structs, which announce themselves by
/// one byte, 1 or -1; what has a length encodes null in it.
pub trait Nullable: Field {
    /// Appends the value or null.
    fn write_nullable<S: Sink>(
        value: Option<&Self>,
        sink: &mut S,
        version: Version,
    ) -> Result<(), EncodeError> {
        match value {
            None => {
                sink.put(&(-1i8).to_be_bytes());
                Ok(())
            }
            Some(value) => {
                sink.put(&1i8.to_be_bytes());
                value.write(sink, version)
            }
        }
    }

    /// Consumes a value or null.
    fn read_nullable(input: &mut Bytes, version: Version) -> Result<Option<Self>, DecodeError> {
        if i8::read(input, version)? < 0 {
            return Ok(None);
        }
        Self::read(input, version).map(Some)
    }
}

impl<T: Nullable> Field for Option<T> {
    fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), sink, version)
    }

    fn read(input: &mut Bytes, version: Version) -> Result<Self, DecodeError> {
        T::read_nullable(input, version)
    }
}

/// Appends `message` in `version`.
pub fn encode<T: Field + Versioned>(
    message: &T,
    out: &mut BytesMut,
    version: i16,
) -> Result<(), EncodeError> {
    let Schema { name, .. } = T::SCHEMA;
    let version = T::SCHEMA
        .version(version)
        .ok_or(EncodeError::UnsupportedVersion { message: name, version })?;
    message.write(out, version)
}

/// Consumes a message of `version`, leaving what follows it.
pub fn decode<T: Field + Versioned>(input: &mut Bytes, version: i16) -> Result<T, DecodeError> {
    let Schema { name, .. } = T::SCHEMA;
    let version = T::SCHEMA
        .version(version)
        .ok_or(DecodeError::UnsupportedVersion { message: name, version })?;
    T::read(input, version)
}

/// The bytes that [`encode`] appends; for what it refuses, those up to the refusal.
pub fn size<T: Field + Versioned>(message: &T, version: i16) -> usize {
    T::SCHEMA.version(version).map_or(0, |version| size_of_field(message, version))
}

fn size_of_field<T: Field>(field: &T, version: Version) -> usize {
    let mut count = Count(0);
    // The error, if any, is reported by the write that follows.
    let _ = field.write(&mut count, version);
    count.0
}

/// Whether a tagged field has to be written.
pub fn differs<T: PartialEq>(value: &T, default: &T) -> bool {
    value != default
}

/// Refuses a value that the version has no place for, unless it is the default.
pub fn require_default<T: PartialEq>(
    value: &T,
    default: &T,
    message: &'static str,
    field: &'static str,
    version: Version,
) -> Result<(), EncodeError> {
    if value == default { Ok(()) } else { Err(EncodeError::absent(message, field, version)) }
}

/// Ends a struct that has no tagged fields.
#[inline]
pub fn write_no_tags<S: Sink>(sink: &mut S, version: Version) -> Result<(), EncodeError> {
    if version.flexible {
        write_uvarint(0, sink);
    }
    Ok(())
}

/// Opens the tagged fields: how many of them are set.
pub fn write_tag_count<S: Sink>(set: &[bool], sink: &mut S) {
    let count = set.iter().filter(|set| **set).count();
    write_uvarint(u32::try_from(count).unwrap_or(u32::MAX), sink);
}

/// Appends one tagged field: tag, size, value.
pub fn write_tag<T: Field, S: Sink>(
    tag: u32,
    value: &T,
    sink: &mut S,
    version: Version,
) -> Result<(), EncodeError> {
    write_uvarint(tag, sink);
    let length = size_of_field(value, version);
    write_uvarint(u32_length(length)?, sink);
    value.write(sink, version)
}

/// What a struct says about a tag: whether it has read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// The value has been read, and must have been all of the field.
    Known,
    /// A field of a newer sender; it is skipped.
    Unknown,
}

/// Reads the tagged fields at the end of a struct, giving each to `on_tag`.
pub fn read_tags(
    input: &mut Bytes,
    version: Version,
    mut on_tag: impl FnMut(u32, &mut Bytes) -> Result<Tag, DecodeError>,
) -> Result<(), DecodeError> {
    if !version.flexible {
        return Ok(());
    }
    for _ in 0..read_uvarint(input)? {
        let tag = read_uvarint(input)?;
        let length = read_uvarint(input)? as usize;
        let mut body = take(input, length)?;
        if on_tag(tag, &mut body)? == Tag::Known && !body.is_empty() {
            return Err(DecodeError::TagLength { tag, unread: body.len() });
        }
    }
    Ok(())
}

/// Reads past the tagged fields of a struct that knows none.
pub fn skip_tags(input: &mut Bytes, version: Version) -> Result<(), DecodeError> {
    read_tags(input, version, |_, _| Ok(Tag::Unknown))
}

/// Appends an unsigned LEB128 number.
#[inline]
pub fn write_uvarint<S: Sink>(value: u32, sink: &mut S) {
    match u8::try_from(value) {
        // Nearly all of them.
        Ok(byte @ ..0x80) => sink.put(&[byte]),
        _ => write_long_uvarint(value, sink),
    }
}

fn write_long_uvarint<S: Sink>(mut value: u32, sink: &mut S) {
    let mut bytes = [0u8; 5];
    let mut length = 0;
    while value >= 0x80 {
        bytes[length] = (value as u8) | 0x80;
        value >>= 7;
        length += 1;
    }
    bytes[length] = value as u8;
    sink.put(&bytes[..=length]);
}

/// Consumes an unsigned LEB128 number of at most 32 bits.
pub fn read_uvarint(input: &mut Bytes) -> Result<u32, DecodeError> {
    let mut value = 0u32;
    for (index, &byte) in input.iter().take(5).enumerate() {
        if index == 4 && byte > 0x0f {
            return Err(DecodeError::Varint);
        }
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            input.advance(index + 1);
            return Ok(value);
        }
    }
    Err(DecodeError::Truncated { needed: 1, remaining: 0 })
}

/// Consumes `length` bytes without copying them.
pub fn take(input: &mut Bytes, length: usize) -> Result<Bytes, DecodeError> {
    if length > input.len() {
        return Err(DecodeError::Truncated { needed: length, remaining: input.len() });
    }
    Ok(input.split_to(length))
}

fn take_array<const N: usize>(input: &mut Bytes) -> Result<[u8; N], DecodeError> {
    let Some(bytes) = input.first_chunk::<N>().copied() else {
        return Err(DecodeError::Truncated { needed: N, remaining: input.len() });
    };
    input.advance(N);
    Ok(bytes)
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn write<S: Sink>(&self, sink: &mut S, _: Version) -> Result<(), EncodeError> {
                sink.put(&self.to_be_bytes());
                Ok(())
            }

            fn read(input: &mut Bytes, _: Version) -> Result<Self, DecodeError> {
                take_array(input).map(Self::from_be_bytes)
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64, u16, u32, f64);

impl Field for bool {
    fn write<S: Sink>(&self, sink: &mut S, _: Version) -> Result<(), EncodeError> {
        sink.put(&[u8::from(*self)]);
        Ok(())
    }

    fn read(input: &mut Bytes, version: Version) -> Result<Self, DecodeError> {
        i8::read(input, version).map(|byte| byte != 0)
    }
}

impl Field for Uuid {
    fn write<S: Sink>(&self, sink: &mut S, _: Version) -> Result<(), EncodeError> {
        sink.put(&self.to_bytes());
        Ok(())
    }

    fn read(input: &mut Bytes, _: Version) -> Result<Self, DecodeError> {
        take_array(input).map(Self::from_bytes)
    }
}

/// The length of a blob or an array: `i32`, or compact; `None` is null.
#[inline]
pub fn write_length<S: Sink>(
    length: Option<usize>,
    sink: &mut S,
    version: Version,
) -> Result<(), EncodeError> {
    let length = length.map(u32_length).transpose()?;
    if version.flexible {
        write_uvarint(length.map_or(0, |length| length + 1), sink);
    } else {
        sink.put(&length.map_or(u32::MAX, |length| length).to_be_bytes());
    }
    Ok(())
}

fn read_length(input: &mut Bytes, version: Version) -> Result<Option<usize>, DecodeError> {
    if version.flexible {
        return Ok((read_uvarint(input)? as usize).checked_sub(1));
    }
    Ok(usize::try_from(i32::read(input, version)?).ok())
}

fn u32_length(length: usize) -> Result<u32, EncodeError> {
    let too_long = EncodeError::TooLong { length, max: i32::MAX as usize };
    let length = i32::try_from(length).map_err(|_| too_long)?;
    Ok(length.unsigned_abs())
}

macro_rules! non_null {
    () => {
        fn write<S: Sink>(&self, sink: &mut S, version: Version) -> Result<(), EncodeError> {
            Self::write_nullable(Some(self), sink, version)
        }

        fn read(input: &mut Bytes, version: Version) -> Result<Self, DecodeError> {
            Self::read_nullable(input, version)?.ok_or(DecodeError::Null)
        }
    };
}

impl Field for String {
    non_null!();
}

impl Nullable for String {
    fn write_nullable<S: Sink>(
        value: Option<&Self>,
        sink: &mut S,
        version: Version,
    ) -> Result<(), EncodeError> {
        let text = value.map_or("", String::as_str);
        if text.len() > STRING_LEN_MAX {
            return Err(EncodeError::TooLong { length: text.len(), max: STRING_LEN_MAX });
        }
        if version.flexible {
            write_length(value.map(String::len), sink, version)?;
        } else {
            sink.put(&value.map_or(u16::MAX, |text| text.len() as u16).to_be_bytes());
        }
        sink.put(text.as_bytes());
        Ok(())
    }

    fn read_nullable(input: &mut Bytes, version: Version) -> Result<Option<Self>, DecodeError> {
        let length = if version.flexible {
            read_length(input, version)?
        } else {
            usize::try_from(i16::read(input, version)?).ok()
        };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_LEN_MAX {
            return Err(DecodeError::StringLength { length });
        }
        let text = take(input, length)?;
        let text = std::str::from_utf8(&text).map_err(|_| DecodeError::Utf8)?;
        Ok(Some(text.to_owned()))
    }
}

impl Field for Bytes {
    non_null!();
}

impl Nullable for Bytes {
    fn write_nullable<S: Sink>(
        value: Option<&Self>,
        sink: &mut S,
        version: Version,
    ) -> Result<(), EncodeError> {
        write_length(value.map(Bytes::len), sink, version)?;
        if let Some(bytes) = value {
            sink.put(bytes);
        }
        Ok(())
    }

    fn read_nullable(input: &mut Bytes, version: Version) -> Result<Option<Self>, DecodeError> {
        read_length(input, version)?.map(|length| take(input, length)).transpose()
    }
}

impl<T: Field> Field for Vec<T> {
    non_null!();
}

impl<T: Field> Nullable for Vec<T> {
    fn write_nullable<S: Sink>(
        value: Option<&Self>,
        sink: &mut S,
        version: Version,
    ) -> Result<(), EncodeError> {
        write_length(value.map(Vec::len), sink, version)?;
        for element in value.into_iter().flatten() {
            element.write(sink, version)?;
        }
        Ok(())
    }

    fn read_nullable(input: &mut Bytes, version: Version) -> Result<Option<Self>, DecodeError> {
        let Some(length) = read_length(input, version)? else { return Ok(None) };
        // Every element takes a byte at least.
        if length > input.len() {
            return Err(DecodeError::Truncated { needed: length, remaining: input.len() });
        }
        let reserve = ARRAY_RESERVE_BYTES_MAX / size_of::<T>().max(1);
        let mut elements = Vec::with_capacity(length.min(reserve));
        for _ in 0..length {
            elements.push(T::read(input, version)?);
        }
        Ok(Some(elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: Version = Version { number: 0, flexible: false };
    const FLEXIBLE: Version = Version { number: 0, flexible: true };

    fn read<T: Field>(bytes: &[u8], version: Version) -> Result<(T, usize), DecodeError> {
        let mut input = Bytes::copy_from_slice(bytes);
        T::read(&mut input, version).map(|value| (value, input.len()))
    }

    #[test]
    fn varints_round_trip_and_stay_within_32_bits() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x0fff_ffff, u32::MAX] {
            let mut bytes = BytesMut::new();
            write_uvarint(value, &mut bytes);
            let mut input = bytes.freeze();
            assert_eq!(read_uvarint(&mut input), Ok(value));
            assert!(input.is_empty());
        }
        let varint = |bytes: &'static [u8]| read_uvarint(&mut Bytes::from_static(bytes));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(DecodeError::Varint));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Err(DecodeError::Varint));
        assert!(varint(&[0x80, 0x80]).is_err());
        // Longer than need be, as Kafka reads it too.
        assert_eq!(varint(&[0x81, 0x80, 0x00]), Ok(1));
    }

    #[test]
    fn null_and_empty_are_told_apart_in_both_forms() {
        assert_eq!(read::<Option<String>>(&[0xff, 0xff], CLASSIC), Ok((None, 0)));
        assert_eq!(read::<Option<String>>(&[0], FLEXIBLE), Ok((None, 0)));
        assert_eq!(read::<Option<String>>(&[0, 0], CLASSIC), Ok((Some(String::new()), 0)));
        assert_eq!(read::<Option<String>>(&[1], FLEXIBLE), Ok((Some(String::new()), 0)));
        assert_eq!(read::<Option<Vec<i32>>>(&[0xff; 4], CLASSIC), Ok((None, 0)));
        assert_eq!(read::<Option<Bytes>>(&[1, 9], FLEXIBLE), Ok((Some(Bytes::new()), 1)));
        assert_eq!(read::<String>(&[0], FLEXIBLE), Err(DecodeError::Null));
        assert_eq!(read::<Vec<i32>>(&[0xff; 4], CLASSIC), Err(DecodeError::Null));
        assert_eq!(read::<Bytes>(&[0xff; 4], CLASSIC), Err(DecodeError::Null));
    }

    #[test]
    fn an_array_reserves_little_on_the_word_of_its_length() {
        // A length that the input could just hold if every element took one byte.
        let mut bytes = BytesMut::from(&1_000_000i32.to_be_bytes()[..]);
        bytes.resize(1_000_004, 0);
        assert!(read::<Vec<Uuid>>(&bytes, CLASSIC).is_err());
        let mut bytes = BytesMut::from(&3i32.to_be_bytes()[..]);
        bytes.resize(1000, 0);
        let (three, rest) = read::<Vec<i16>>(&bytes, CLASSIC).unwrap();
        assert_eq!((three.len(), rest), (3, 990));
        assert!(three.capacity() < 16);
    }

    #[test]
    fn a_string_that_is_not_utf8_is_an_error() {
        assert_eq!(read::<String>(&[0, 2, 0xc3, 0x28], CLASSIC), Err(DecodeError::Utf8));
    }
}
