//! Random messages for tests: every field that a version carries gets a value, from a seed.
//!
//! Only built with the feature `testing`; nothing that ships may depend on it.

use bytes::Bytes;
use kalda_model::Uuid;

use crate::wire::{Version, Versioned};

/// A stream of numbers that a seed decides (SplitMix64).
#[derive(Clone, Debug)]
pub struct Source(u64);

impl Source {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }
}

/// A type of which random values can be made that are legal in a version.
pub trait Fill: Sized {
    /// The next value.
    fn fill(source: &mut Source, version: Version) -> Self;
}

/// A random message that is legal in `version`; `None` if it does not have that version.
#[must_use]
pub fn sample<T: Fill + Versioned>(seed: u64, version: i16) -> Option<T> {
    let version = T::SCHEMA.version(version)?;
    Some(T::fill(&mut Source::new(seed), version))
}

macro_rules! integers {
    ($($number:ty),*) => {$(
        impl Fill for $number {
            fn fill(source: &mut Source, _: Version) -> Self {
                source.next_u64() as Self
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u16, u32);

impl Fill for f64 {
    fn fill(source: &mut Source, _: Version) -> Self {
        source.below(1 << 40) as Self / 1024.0
    }
}

impl Fill for bool {
    fn fill(source: &mut Source, _: Version) -> Self {
        source.below(2) == 1
    }
}

impl Fill for Uuid {
    fn fill(source: &mut Source, _: Version) -> Self {
        Self(u128::from(source.next_u64()) << 64 | u128::from(source.next_u64()))
    }
}

impl Fill for String {
    fn fill(source: &mut Source, _: Version) -> Self {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '.', '_', '-', 'õ', '鐵'];
        let length = source.below(12);
        (0..length).map(|_| LETTERS[source.below(8) as usize]).collect()
    }
}

impl Fill for Bytes {
    fn fill(source: &mut Source, _: Version) -> Self {
        // Long enough at times for a compact length of two bytes.
        let length = if source.below(8) == 0 { 200 } else { source.below(20) };
        (0..length).map(|_| source.next_u64() as u8).collect()
    }
}

impl<T: Fill> Fill for Vec<T> {
    fn fill(source: &mut Source, version: Version) -> Self {
        let length = source.below(4);
        (0..length).map(|_| T::fill(source, version)).collect()
    }
}

impl<T: Fill> Fill for Option<T> {
    fn fill(source: &mut Source, version: Version) -> Self {
        (source.below(4) != 0).then(|| T::fill(source, version))
    }
}
