//! The standard output, buffered. Its failures are told, not swallowed; a closed pipe ends the tool.

use std::io::{self, BufWriter, StdoutLock, Write};

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The standard output.
pub(crate) type Output = BufWriter<StdoutLock<'static>>;

/// Takes the standard output.
pub(crate) fn stdout() -> Output {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
}

/// Writes one line and lets it out at once.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Writes a line to the standard error, as `eprintln!` does, but goes on if nobody reads it.
macro_rules! complain {
    ($($message:tt)*) => {
        $crate::output::to_stderr(format_args!($($message)*))
    };
}
pub(crate) use complain;

/// See [`complain`].
pub(crate) fn to_stderr(message: std::fmt::Arguments<'_>) {
    // There is nowhere left to tell of an error of the standard error.
    let _ = writeln!(io::stderr(), "{message}");
}
