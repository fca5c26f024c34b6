//! What a load tells while it runs, on standard error: a line that changes on a terminal, nothing elsewhere.

use crate::load::book::Book;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Blanks a line of a terminal and returns to its beginning.
const CLEAR: &str = "\r\x1b[2K";

/// See the module.
pub struct Progress {
    is_terminal: bool,
}

impl Progress {
    /// Whether it says anything depends on where standard error goes.
    pub fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal() }
    }

    /// Says what is going on.
    pub fn say(&self, text: &str) {
        if self.is_terminal {
            eprint!("{CLEAR}{text}");
            // A line that cannot be shown is no reason to stop.
            std::io::stderr().flush().ok();
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.say("");
    }

    /// Says how far a run is, for ever.
    pub async fn follow(&self, book: &Book) {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        loop {
            tick.tick().await;
            self.say(&format!("{} of {} payments settled", book.settled(), book.count()));
        }
    }
}
