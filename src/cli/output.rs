//! Lines on standard output. Who reads them may be gone (`timed .. | head`): then the command ends, quietly, as any filter.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// What a shell shows for a command that ended on a pipe without a reader: 128 and the signal's number.
const NO_READER: i32 = 141;

/// Prints a line.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::output::line(format_args!($($part)*)) };
}

/// Prints a line, or ends the program where that cannot be.
pub fn line(text: Arguments<'_>) {
    let Err(error) = writeln!(std::io::stdout().lock(), "{text}") else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(NO_READER);
    }
    // Nobody should take a part for the whole.
    eprintln!("timed: cannot write to standard output: {error}");
    std::process::exit(1);
}
