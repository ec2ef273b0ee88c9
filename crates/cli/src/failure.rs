//! How a tool ends when it does not end well: what goes to which stream, and the exit code.
//!
//! Tools return a [`Failure`]; only `main` reports it.

use crate::output::complain;
use std::io;
use std::process::ExitCode;

/// What a tool's run comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a tool stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are wrong. The table of options follows the message if there is one.
    Usage {
        /// One line.
        message: String,
        /// The table, or nothing.
        table: String,
    },
    /// Anything else that one line tells; it goes to the standard error.
    Message(String),
    /// The broker refused or could not be reached; it goes to the standard error.
    Client(kalda_client::Error),
    /// The process ends with this code and nothing more is to be said.
    Code(u8),
    /// It has been said already, in Kafka's own way.
    Reported(Blame),
    /// The standard output failed.
    Output(io::Error),
}

/// Whose fault a reported failure was, for `--strict-exit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blame {
    /// The arguments'.
    Usage,
    /// The broker refused.
    Refused,
    /// Nobody answered.
    Unreachable,
}

impl Blame {
    /// Whose fault an error of the client is.
    pub(crate) fn of(error: &kalda_client::Error) -> Self {
        use kalda_client::Error;
        match error {
            Error::Timeout(_) | Error::Disconnected { .. } => Self::Unreachable,
            Error::Config(_) | Error::InvalidArgument(_) => Self::Usage,
            Error::Api { .. }
            | Error::UnsupportedApi { .. }
            | Error::Protocol(_)
            | Error::CorruptRecord(_)
            | Error::TransactionAborted
            | Error::Closed => Self::Refused,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Usage => 1,
            Self::Refused => 2,
            Self::Unreachable => 3,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<kalda_client::Error> for Failure {
    fn from(error: kalda_client::Error) -> Self {
        Self::Client(error)
    }
}

impl From<kalda_client::ConfigError> for Failure {
    fn from(error: kalda_client::ConfigError) -> Self {
        Self::Client(error.into())
    }
}

impl Failure {
    /// A usage error without the table.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), table: String::new() }
    }

    /// Says what is to be said, and gives the code: 1, or with `--strict-exit` 1 to 3.
    pub(crate) fn report(self, is_strict: bool) -> ExitCode {
        let blame = match self {
            Self::Usage { message, table } => {
                complain!("{message}");
                if !table.is_empty() {
                    complain!("{}", table.trim_end());
                }
                Blame::Usage
            }
            Self::Message(message) => {
                complain!("{message}");
                Blame::Usage
            }
            Self::Client(error) => {
                complain!("{}: {error}", error.exception_name());
                Blame::of(&error)
            }
            Self::Code(code) => return ExitCode::from(code),
            Self::Reported(blame) => blame,
            // Whoever read our output has had enough: that is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => {
                complain!("the output cannot be written: {error}");
                Blame::Usage
            }
        };
        ExitCode::from(if is_strict { blame.code() } else { 1 })
    }
}
