//! 128-bit ids, written as Kafka writes them: 22 characters of URL-safe base64 without padding
//! (`org.apache.kafka.common.Uuid`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A 128-bit id, big-endian on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub u128);

/// The id of a topic: new for every creation, so that a re-created topic is another topic (KIP-516).
pub type TopicId = Uuid;
/// The id of one log directory of one node (KIP-858).
pub type DirectoryId = Uuid;

/// The name of the cluster, a [`Uuid`] by habit but any text by contract.
pub type ClusterId = String;

impl Uuid {
    /// "No id".
    pub const ZERO: Self = Self(0);
    /// The topic id of `__cluster_metadata`, and, as a directory id, "unassigned".
    pub const ONE: Self = Self(1);
    /// As a directory id: the replica's directory is lost.
    pub const LOST_DIRECTORY: Self = Self(2);
    /// The topic id of the metadata log.
    pub const METADATA_TOPIC: TopicId = Self::ONE;

    /// The ids below this one are reserved (`Uuid.RESERVED`, `DirectoryId.RESERVED`).
    const RESERVED_END: u128 = 100;

    /// Makes a random (version 4) id out of 16 random bytes. `None` for the few values that Kafka
    /// never hands out, reserved ones and those whose text starts with a dash (they would read as a
    /// command-line option): draw again.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Option<Self> {
        let mut value = u128::from_be_bytes(bytes);
        value = (value & !(0xf << 76)) | (0x4 << 76);
        value = (value & !(0x3 << 62)) | (0x2 << 62);
        let id = Self(value);
        let reserved = value < Self::RESERVED_END || id.to_string().starts_with('-');
        (!reserved).then_some(id)
    }

    /// The 16 bytes as they go over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id whose wire form is `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Whether this is [`Uuid::ZERO`].
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidUuid(pub String);

impl fmt::Display for InvalidUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an id: expected 22 characters of URL-safe base64", self.0)
    }
}

impl std::error::Error for InvalidUuid {}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let bytes = decoded.ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.map(Self::from_bytes).ok_or_else(|| InvalidUuid(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_kafkas_and_round_trips() {
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id: Uuid = "mpav7dCVQWSJYovnmjBlpw".parse().unwrap();
        assert_eq!(id.to_string(), "mpav7dCVQWSJYovnmjBlpw");
        assert!("mpav7dCV".parse::<Uuid>().is_err());
        assert!("mpav7dCVQWSJYovnmjBlp!".parse::<Uuid>().is_err());
    }

    #[test]
    fn random_ids_carry_version_4_and_never_look_like_an_option() {
        let id = Uuid::from_random([0x11; 16]).unwrap();
        assert_eq!(id.to_bytes()[6] >> 4, 4);
        assert_eq!(id.to_bytes()[8] >> 6, 2);
        assert_eq!(
            Uuid::from_random([0xff; 16]).map(|id| id.to_string().starts_with('-')),
            Some(false)
        );
        assert!(Uuid::from_random([0xfb; 16]).is_none());
    }
}
