//! Where log lines go and how they look.

use super::CliError;
use crate::config::{Log, LogFormat};
use indicatif::MultiProgress;
use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write};
use std::sync::LazyLock;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// The bars on standard error, if there are any: a line of the log goes above them.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, without tearing a bar.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Starts logging to standard error, and to a file if one is named.
pub fn start(log: &Log) -> Result<(), CliError> {
    let filter = || {
        EnvFilter::try_new(&log.level).map_err(|e| {
            CliError::usage(format!("log.level = {:?} is no level and no list of directives: {e}", log.level))
        })
    };
    let is_terminal = std::io::stderr().is_terminal();
    let is_plain = match log.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Plain => true,
        LogFormat::Json => false,
    };
    let screen = tracing_subscriber::fmt::layer().with_writer(|| AboveBars).with_ansi(is_terminal).with_target(false);
    // Nobody may read it any more: no reason to say so there, and none to stop.
    let screen = screen.log_internal_errors(false);
    let screen = if is_plain { screen.boxed() } else { screen.json().boxed() };
    let file = match &log.file {
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let file = opened.map_err(|e| CliError::usage(format!("cannot log to {}: {e}", path.display())))?;
            let layer = tracing_subscriber::fmt::layer().with_writer(file).with_ansi(false).with_target(false);
            let layer = layer.log_internal_errors(false);
            let layer = if log.format == LogFormat::Json { layer.json().boxed() } else { layer.boxed() };
            Some(layer.with_filter(filter()?))
        }
        None => None,
    };
    tracing_subscriber::registry().with(screen.with_filter(filter()?)).with(file).init();
    Ok(())
}
