//! How a client's call fails, sorted by whose fault it is.
//!
//! Made everywhere in this crate; the tools turn it into Kafka's lines.

use kalda_protocol::{ApiKey, DecodeError, EncodeError, ErrorCode};

use crate::config::ConfigError;

/// Why a call failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Error {
    /// The broker refused; the message is the broker's, or Kafka's general one for the code.
    #[error("{message}")]
    Api {
        /// The code.
        code: ErrorCode,
        /// What the broker says about it.
        message: String,
    },
    /// The broker has no version of the API that this client speaks.
    #[error("The broker {peer} does not support the API {api}")]
    UnsupportedApi {
        /// The API.
        api: ApiKey,
        /// Whom we asked.
        peer: String,
    },
    /// The connection could not be made or broke.
    #[error("{peer}: {reason}")]
    Disconnected {
        /// The other side.
        peer: String,
        /// What happened.
        reason: String,
    },
    /// The time given was over.
    #[error("{0}")]
    Timeout(String),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker's bytes are not what the protocol says, or ours cannot be said in it.
    #[error("{0}")]
    Protocol(String),
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    InvalidArgument(String),
    /// The records of a batch do not decode.
    #[error("{0}")]
    CorruptRecord(String),
    /// The transaction was aborted before the record was sent.
    #[error("the transaction is aborted")]
    TransactionAborted,
    /// The producer or consumer has been closed.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// The error that a code from the wire stands for; `None` when it says that all is well.
    #[must_use]
    pub fn from_code(code: i16, message: Option<String>) -> Option<Self> {
        let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        code.is_error().then(|| {
            let message = message.filter(|text| !text.is_empty());
            Self::Api { code, message: message.unwrap_or_else(|| code.message().to_owned()) }
        })
    }

    /// `Err` with the error that a code stands for.
    pub(crate) fn check(code: i16, message: Option<String>) -> crate::Result<()> {
        Self::from_code(code, message).map_or(Ok(()), Err)
    }

    /// The broker's code, if it was the broker that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Api { code, .. } => code.is_retriable(),
            Self::Disconnected { .. } | Self::Timeout(_) => true,
            Self::UnsupportedApi { .. }
            | Self::Config(_)
            | Self::Protocol(_)
            | Self::InvalidArgument(_)
            | Self::CorruptRecord(_)
            | Self::TransactionAborted
            | Self::Closed => false,
        }
    }

    /// Whether what we know of leaders, topics or the controller is out of date.
    #[must_use]
    pub fn is_stale_metadata(&self) -> bool {
        match self {
            Self::Disconnected { .. } => true,
            Self::Api { code, .. } => matches!(
                code,
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::InconsistentTopicId
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::NotController
            ),
            _ => false,
        }
    }

    /// The Java exception that Kafka's tools would name here.
    #[must_use]
    pub fn exception_name(&self) -> String {
        let name = match self {
            Self::Api { code, .. } => {
                return code.exception_name().unwrap_or("java.lang.Error").to_owned();
            }
            Self::UnsupportedApi { .. } => "common.errors.UnsupportedVersionException",
            Self::Disconnected { .. } => "common.errors.DisconnectException",
            Self::Timeout(_) => "common.errors.TimeoutException",
            Self::Config(_) => "common.config.ConfigException",
            Self::Protocol(_) => "common.protocol.types.SchemaException",
            Self::InvalidArgument(_) => return "java.lang.IllegalArgumentException".to_owned(),
            Self::CorruptRecord(_) => "common.errors.CorruptRecordException",
            Self::TransactionAborted => "common.errors.TransactionAbortedException",
            Self::Closed => "common.KafkaException",
        };
        format!("org.apache.kafka.{name}")
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::Api { code, message: code.message().to_owned() }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(format!("the broker's answer does not decode: {error}"))
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Protocol(format!("the request cannot be encoded: {error}"))
    }
}
