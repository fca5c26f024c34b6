//! `timed db ...`: tools for a data directory whose node is stopped. They take its lock, so a node that runs is safe
//! from them.

mod stats;
mod verify;

use super::data_dir::{self, CHAIN_FILE, MASTERNODE_KEY_FILE};
use super::{CliError, Global};
use crate::chain::spec::Chain;
use crate::keyfile;
use crate::ledger::verify::Verifier;
use crate::storage::files::DiskFiles;
use crate::storage::lock::LockError;
use crate::storage::recovery::DirectoryError;
use crate::storage::sled_store::StoreOptions;
use crate::storage::store::StoreError;
use crate::storage::verify::Directory;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::sync::Arc;

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Checks everything from genesis on: blocks, signatures, supply, index, journal, votes.log.
    Verify(verify::Arguments),
    /// Sizes, heights and counts.
    Stats(stats::Arguments),
}

/// Does it.
pub fn run(global: &Global, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Verify(arguments) => verify::run(global, arguments),
        Command::Stats(arguments) => stats::run(global, arguments),
    }
}

/// A locked data directory, and what it is.
struct Opened {
    folder: PathBuf,
    chain: Chain,
    directory: Directory,
}

/// Opens the data directory that the configuration names. Its chain is the configured one, or, where none is said, that of
/// the directory itself.
fn open(global: &Global) -> Result<Opened, CliError> {
    let mut config = global.settings()?;
    let folder = data_dir::path_of(&config)?;
    if !["blocks", "db", "journal"].iter().any(|part| folder.join(part).exists()) {
        let text = "has no blocks/, db/ or journal/: no node ran there. Say --data-dir DIR or --config FILE";
        return Err(CliError::Usage(format!("{} {text}", folder.display())));
    }
    let kept = folder.join(CHAIN_FILE);
    if global.chain.is_none() && global.config.is_none() && kept.exists() {
        config.chain = kept.display().to_string();
    }
    let chain = super::run::launched_chain(&config)?;
    let beside = Some(folder.join(MASTERNODE_KEY_FILE)).filter(|file| file.exists());
    let key_file = config.masternode.key_file.clone().or(beside);
    let key = key_file.as_deref().map(keyfile::read).transpose().map_err(CliError::usage)?;
    let verifier = Arc::new(Verifier::new(chain.clone()));
    let options = StoreOptions::new(chain.clone(), verifier, config.storage.cache_bytes, stop_at_once);
    let files = Arc::new(DiskFiles::new(&folder));
    let directory = Directory::lock(files, options, key.map(|key| key.public_key())).map_err(|error| match error {
        DirectoryError::Lock(LockError::Taken(_)) => CliError::Failure(format!(
            "a node runs on {}: stop it first. These tools work on a data directory that nobody uses",
            folder.display()
        )),
        error => CliError::failure(error),
    })?;
    Ok(Opened { folder, chain, directory })
}

/// The index cannot be read although it was checked.
fn stop_at_once(error: &StoreError) -> ! {
    eprintln!("timed: {error}");
    std::process::exit(1)
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    // A template that cannot be read leaves the bar in its usual look.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// With a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")];
        cases.into_iter().for_each(|(number, text)| assert_eq!(grouped(number), text));
    }
}
